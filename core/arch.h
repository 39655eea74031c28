/* SPDX-License-Identifier: MIT */
/*
 * What an architecture supplies for VM and vCPU. core/ declares, exactly one of
 * x86/ and arm64/ defines; the linker picks. All on the control thread but
 * arch_vcpu_exit(). Failures are logged by the callee.
 */
#ifndef CORE_ARCH_H
#define CORE_ARCH_H

#include "base/option.h"
#include "core/syscall_filter.h"
#include "core/vcpu.h"
#include "core/vm.h"

/*
 * Options of `ringvm run` that only this architecture has: each key is one,
 * "--key VALUE". vm_config.arch_options is a copy of `defaults` that they were
 * read into.
 */
struct arch_options {
	const struct option_key *keys;
	const void *defaults;
	size_t size;
};

extern const struct arch_options arch_options;

/* AUDIT_ARCH_*: what seccomp calls it. */
extern const uint32_t arch_audit;

/* System calls beyond core/'s own: of a vCPU's thread, and of the control thread for a reset. */
extern const struct syscall_list arch_vcpu_calls, arch_reset_calls;

/* What to do where there is no KVM device: "load KVM ('modprobe ...') ...". */
extern const char arch_kvm_advice[];

enum vcpu_next {
	VCPU_AGAIN,   /* run on */
	VCPU_RESET,   /* the guest asked for a reset */
	VCPU_OFF,     /* the guest turned the machine off */
	VCPU_CRASHED, /* the guest can't go on; say so first */
};

/* What to give to KVM_CREATE_VM. 0 or a failure. */
int arch_vm_type(struct vm *vm, unsigned long *type);

/* After KVM_CREATE_VM: what must be there before memory and vCPUs. */
int arch_vm_init(struct vm *vm);
void arch_vm_destroy(struct vm *vm);

/* Lays out memory_bytes of RAM around the holes of the address map. */
int arch_vm_add_memory(struct vm *vm);


/* After KVM_CREATE_VCPU: features, identity, the state a reset returns to. */
int arch_vcpu_init(struct vcpu *vcpu);
void arch_vcpu_destroy(struct vcpu *vcpu);

/*
 * After the vCPUs: the interrupt controller is complete from here on, and its
 * own routes are known: calls irq_router_init().
 */
int arch_vm_init_irqs(struct vm *vm);

/* Parked: interrupt controllers, then each vCPU, back to power-on state. */
int arch_vm_reset(struct vm *vm);
int arch_vcpu_reset(struct vcpu *vcpu);

/* vCPU thread, no locks: an exit that core/vcpu.c does not handle itself. */
enum vcpu_next arch_vcpu_exit(struct vcpu *vcpu);

/* vCPU thread: its registers on one log line each, before it is given up. */
void arch_vcpu_dump(struct vcpu *vcpu);

#endif
