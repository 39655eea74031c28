// SPDX-License-Identifier: MIT
/*
 * core/arch.h for arm64, the vCPU's part: its features, power-on state and
 * return to it, and its exits.
 */
#include <inttypes.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "arm64/arch_vm.h"
#include "arm64/gic_attribute.h"
#include "arm64/layout.h"
#include "arm64/steal_time.h"
#include "arm64/vcpu_regs.h"
#include "base/bytes.h"
#include "base/log.h"
#include "core/arch.h"

/* Of Linux 7.0; what it says is in kvm_run.arm_nisv as well. */
#ifndef KVM_EXIT_ARM_LDST64B
#define KVM_EXIT_ARM_LDST64B 42
#endif

/* PSCI turns on all but the first. */
static int power_on_state(struct vcpu *vcpu)
{
	struct kvm_vcpu_init init = vcpu->vm->arch->vcpu_init;

	if (vcpu->index)
		init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF;
	if (ioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &init))
		return fail_host_errno("vcpu%u: KVM_ARM_VCPU_INIT", vcpu->index);
	return 0;
}

int arch_vcpu_init(struct vcpu *vcpu)
{
	const struct arch_vm *arch = vcpu->vm->arch;
	int sve = KVM_ARM_VCPU_SVE;
	int error = power_on_state(vcpu);

	if (!error && arch->sve && ioctl(vcpu->fd, KVM_ARM_VCPU_FINALIZE, &sve))
		error = fail_host_errno("vcpu%u: vectors; run with --sve off", vcpu->index);
	return !error && arch->steal_time ? steal_time_set(vcpu) : error;
}

static int pmu_set(const struct vcpu *vcpu, uint64_t attribute, const void *value)
{
	struct kvm_device_attr pmu = {
		.group = KVM_ARM_VCPU_PMU_V3_CTRL,
		.attr = attribute,
		.addr = (uintptr_t)value,
	};

	if (ioctl(vcpu->fd, KVM_SET_DEVICE_ATTR, &pmu))
		return fail_host_errno("vcpu%u: performance counters; run with --pmu off",
				       vcpu->index);
	return 0;
}

int arch_vcpu_complete(struct vcpu *vcpu)
{
	const int interrupt = GIC_PPI_FIRST + LAYOUT_PMU_PPI;
	int error = 0;

	if (!vcpu->vm->arch->pmu)
		return 0;
	error = pmu_set(vcpu, KVM_ARM_VCPU_PMU_V3_IRQ, &interrupt);
	return error ? error : pmu_set(vcpu, KVM_ARM_VCPU_PMU_V3_INIT, NULL);
}

/* Nothing of ours hangs on it: KVM has its state. */
void arch_vcpu_destroy(struct vcpu *vcpu)
{
	(void)vcpu;
}

int arch_vcpu_reset(struct vcpu *vcpu)
{
	return power_on_state(vcpu);
}

/*
 * An access whose size and register the processor does not tell (a pair, a
 * write-back, a vector), or of 64 bytes at once, which no device here takes:
 * the answer is an external abort.
 */
static enum vcpu_next abort_access(struct vcpu *vcpu)
{
	struct kvm_vcpu_events events = { .exception.ext_dabt_pending = 1 };

	log_limited(&vcpu->log_limit, "vcpu%u: an access to 0x%llx by an instruction that no "
		    "device can serve ends in an abort", vcpu->index,
		    (unsigned long long)vcpu->run->arm_nisv.fault_ipa);
	if (!ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events))
		return VCPU_AGAIN;
	fail_errno("vcpu%u: KVM_SET_VCPU_EVENTS", vcpu->index);
	return VCPU_CRASHED;
}

enum vcpu_next arch_vcpu_exit(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_ARM_NISV:
	case KVM_EXIT_ARM_LDST64B:
		return abort_access(vcpu);
	}
	fail(0, "vcpu%u: KVM exit %u is not known here", vcpu->index, vcpu->run->exit_reason);
	arch_vcpu_dump(vcpu);
	return VCPU_CRASHED;
}

void arch_vcpu_dump(struct vcpu *vcpu)
{
	vcpu_regs_dump(vcpu);
}
