// SPDX-License-Identifier: MIT
/* The wishes of struct arm64_options against KVM's capabilities. Control thread. */
#include "arm64/features.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "arm64/arch_vm.h"
#include "base/bytes.h"
#include "base/log.h"
#include "core/vm.h"

static int choose(const char *name, unsigned wanted, bool offered, bool *has)
{
	*has = offered && wanted != WISH_OFF;
	if (wanted == WISH_ON && !offered)
		return fail_host(ENOTSUP, "--%s: this host's processor or KVM does not have it; "
				 "leave it to --%s auto", name, name);
	return 0;
}

static bool offers(const struct vm *vm, unsigned capability)
{
	return vm_capability(vm, capability) > 0;
}

static int enable(struct vm *vm, uint32_t capability, const char *name)
{
	struct kvm_enable_cap enable = { .cap = capability };
	int error = kvm_call(&vm->kvm, KVM_ENABLE_CAP, &enable);

	return error < 0 ? fail_host(-error, "%s: enable %s: %s", vm->config.dev_path, name,
				     strerror(-error)) : 0;
}

static int prepare_vcpu_init(struct vm *vm)
{
	struct arch_vm *arch = vm->arch;
	const struct {
		bool has;
		unsigned feature;
	} features[] = {
		{ true, KVM_ARM_VCPU_PSCI_0_2 },
		{ arch->pmu, KVM_ARM_VCPU_PMU_V3 },
		{ arch->sve, KVM_ARM_VCPU_SVE },
		{ arch->pauth, KVM_ARM_VCPU_PTRAUTH_ADDRESS },
		{ arch->pauth, KVM_ARM_VCPU_PTRAUTH_GENERIC },
	};
	int error = kvm_call(&vm->kvm, KVM_ARM_PREFERRED_TARGET, &arch->vcpu_init);

	if (error < 0)
		return fail_host(-error, "%s: KVM_ARM_PREFERRED_TARGET: %s", vm->config.dev_path,
				 strerror(-error));
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
		if (features[i].has)
			arch->vcpu_init.features[features[i].feature / 32] |=
				1u << features[i].feature % 32;
	return 0;
}

int features_choose(struct vm *vm)
{
	const struct arm64_options *options = vm->config.arch_options;
	struct arch_vm *arch = vm->arch;
	bool pauth = offers(vm, KVM_CAP_ARM_PTRAUTH_ADDRESS) &&
		     offers(vm, KVM_CAP_ARM_PTRAUTH_GENERIC);
	int error = choose("pmu", options->pmu, offers(vm, KVM_CAP_ARM_PMU_V3), &arch->pmu);

	if (!error)
		error = choose("sve", options->sve, offers(vm, KVM_CAP_ARM_SVE), &arch->sve);
	if (!error)
		error = choose("pauth", options->pauth, pauth, &arch->pauth);
	if (!error)
		error = choose("mte", options->mte, offers(vm, KVM_CAP_ARM_MTE), &arch->mte);
	if (!error)
		error = choose("steal-time", options->steal_time, offers(vm, KVM_CAP_STEAL_TIME),
			       &arch->steal_time);
	/* Before the first vCPU, says KVM. */
	if (!error && arch->mte)
		error = enable(vm, KVM_CAP_ARM_MTE, "memory tagging");
	/* Else an access that the processor does not describe would end the machine. */
	if (!error && offers(vm, KVM_CAP_ARM_NISV_TO_USER))
		error = enable(vm, KVM_CAP_ARM_NISV_TO_USER, "KVM_CAP_ARM_NISV_TO_USER");
	return error ? error : prepare_vcpu_init(vm);
}
