/* SPDX-License-Identifier: MIT */
/*
 * All of a vCPU's state as KVM has it, taken and put back as a whole: what a
 * reset returns to. The vCPU does not run meanwhile. Control thread.
 */
#ifndef X86_CPU_STATE_H
#define X86_CPU_STATE_H

#include <linux/kvm.h>
#include <stdint.h>

struct vcpu;

/* Numbers of the MSRs that KVM lets us read and write back; one list a VM. */
struct msr_list {
	uint32_t *indices;
	unsigned count;
};

struct cpu_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	uint32_t xsave[1024]; /* struct kvm_xsave without its open end */
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp_state;
	struct kvm_nested_state *nested; /* NULL: KVM has no nesting */
	struct kvm_msrs *msrs;
};

/* 0 or a host failure, logged. */
int msr_list_create(struct msr_list *list, int kvm_fd);
void msr_list_destroy(struct msr_list *list);

/*
 * Takes the state into the zeroed `state`. MSRs that KVM refuses to read leave
 * `list`. 0 or a host failure, logged; destroy `state` either way.
 */
int cpu_state_save(struct cpu_state *state, struct vcpu *vcpu, struct msr_list *list);
void cpu_state_destroy(struct cpu_state *state);

/* The saved value of an MSR, to be changed; NULL if it was not saved. */
__u64 *cpu_state_msr(struct cpu_state *state, uint32_t index);

/* Writes the MSRs to the vCPU; what KVM refuses leaves `state` and `list`. */
int cpu_state_try_msrs(struct cpu_state *state, struct vcpu *vcpu, struct msr_list *list);

/* Puts all of it back. 0 or a host failure, logged. */
int cpu_state_load(const struct cpu_state *state, struct vcpu *vcpu);

#endif
