/* SPDX-License-Identifier: MIT */
/* Registers of a vCPU, one by one, by KVM_GET_ONE_REG and its opposite. */
#ifndef ARM64_VCPU_REGS_H
#define ARM64_VCPU_REGS_H

#include <stdint.h>

struct vcpu;

/* Where a kernel begins, and what it is told. */
struct kernel_entry {
	uint64_t pc_gpa;
	uint64_t device_tree_gpa;
};

/*
 * As Linux's boot protocol wants a processor (Documentation/arch/arm64/booting):
 * EL1, interrupts masked, x0 the device tree. vCPU parked or not started. 0 or a
 * failure, logged.
 */
int vcpu_regs_enter(struct vcpu *vcpu, const struct kernel_entry *entry);

/* Its affinity, without the bits that are no part of it. 0 or a failure, logged. */
int vcpu_regs_mpidr(const struct vcpu *vcpu, uint64_t *mpidr);

/* For core/arch.h: logs them. Own thread. */
void vcpu_regs_dump(const struct vcpu *vcpu);

#endif
