// SPDX-License-Identifier: MIT
/*
 * core/arch.h for x86, the vCPU's part: its identity, power-on state and
 * return to it. Control thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/log.h"
#include "core/arch.h"
#include "x86/arch_vm.h"
#include "x86/cpuid.h"
#include "x86/msr.h"
#include "x86/cpu_state.h"

struct arch_vcpu {
	struct cpu_state power_on;
};

static void set_msr(struct cpu_state *state, uint32_t index, uint64_t value)
{
	__u64 *msr = cpu_state_msr(state, index);

	if (msr)
		*msr = value;
}

/*
 * Power-on state is what KVM made, plus what firmware would do on every CPU: a
 * kernel takes no memory type but what it finds in the MTRRs.
 */
static int make_reset_state(struct vcpu *vcpu)
{
	struct cpu_state *state = &vcpu->arch->power_on;
	struct msr_list *list = &vcpu->vm->arch->msrs;
	__u64 *misc_enable;
	int error;

	error = cpu_state_save(state, vcpu, list);
	if (error)
		return error;
	misc_enable = cpu_state_msr(state, MSR_MISC_ENABLE);
	if (misc_enable)
		*misc_enable |= MISC_ENABLE_FAST_STRINGS;
	set_msr(state, MSR_MTRR_DEFAULT, MTRR_DEFAULT_ENABLE | MTRR_WRITE_BACK);
	/*
	 * A host's write of 0 tells KVM to give this vCPU the offset that the
	 * others have; any other value would be taken as it is.
	 */
	set_msr(state, MSR_TSC, 0);
	return cpu_state_try_msrs(state, vcpu, list);
}

int arch_vcpu_init(struct vcpu *vcpu)
{
	struct kvm_cpuid2 *cpuid = vcpu->vm->arch->cpuid;
	int error;

	cpuid_set_vcpu(cpuid, vcpu->index);
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid))
		return fail_host_errno("vcpu%u: KVM_SET_CPUID2", vcpu->index);
	vcpu->arch = calloc(1, sizeof(*vcpu->arch));
	if (!vcpu->arch)
		return fail_host(ENOMEM, "vcpu%u: out of memory", vcpu->index);
	error = make_reset_state(vcpu);
	if (error)
		arch_vcpu_destroy(vcpu);
	return error;
}

void arch_vcpu_destroy(struct vcpu *vcpu)
{
	if (!vcpu->arch)
		return;
	cpu_state_destroy(&vcpu->arch->power_on);
	free(vcpu->arch);
	vcpu->arch = NULL;
}

int arch_vcpu_reset(struct vcpu *vcpu)
{
	return cpu_state_load(&vcpu->arch->power_on, vcpu);
}
