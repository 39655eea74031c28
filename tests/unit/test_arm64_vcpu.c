// SPDX-License-Identifier: MIT
/* What KVM is told of a vCPU of arm64, at first and at a reset, and the exits that are ours. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arm64/arch_vm.h"
#include "arm64/layout.h"
#include "arm64/vcpu_regs.h"
#include "base/bytes.h"
#include "core/arch.h"

#define CALLS_MAX 32

/* A call that changes something, in order. */
struct call {
	unsigned long request;
	uint64_t what;  /* register, or group and attribute of a device */
	uint64_t value; /* what was pointed to, its first 8 bytes or less */
};

static struct call calls[CALLS_MAX];
static unsigned call_count;
static unsigned long refused; /* request that KVM refuses */
static bool abort_pending;

static struct arch_vm arch;
static struct vm vm = { .arch = &arch };
static struct kvm_run run;
static struct vcpu vcpus[3];

static void note(unsigned long request, uint64_t what, uint64_t value)
{
	assert_true(call_count < CALLS_MAX);
	calls[call_count++] = (struct call){ request, what, value };
}

static void note_attribute(const struct kvm_device_attr *attribute)
{
	uint64_t value = 0;
	/* The counters' interrupt number is 32 bits wide, a steal time address 64. */
	size_t length = attribute->group == KVM_ARM_VCPU_PVTIME_CTRL ? 8 : 4;

	if (attribute->addr)
		memcpy(&value, (const void *)(uintptr_t)attribute->addr, length);
	note(KVM_SET_DEVICE_ATTR, (uint64_t)attribute->group << 32 | attribute->attr, value);
}

int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	const void *argument;
	va_list list;

	(void)fd;
	va_start(list, request);
	argument = va_arg(list, const void *);
	va_end(list);
	if (request == refused) {
		errno = EINVAL;
		return -1;
	}
	if (request == KVM_ARM_VCPU_INIT)
		note(request, 0, ((const struct kvm_vcpu_init *)argument)->features[0]);
	else if (request == KVM_ARM_VCPU_FINALIZE)
		note(request, 0, (uint64_t)*(const int *)argument);
	else if (request == KVM_SET_DEVICE_ATTR)
		note_attribute(argument);
	else if (request == KVM_SET_ONE_REG)
		note(request, ((const struct kvm_one_reg *)argument)->id,
		     *(const uint64_t *)(uintptr_t)((const struct kvm_one_reg *)argument)->addr);
	else if (request == KVM_GET_ONE_REG)
		*(uint64_t *)(uintptr_t)((const struct kvm_one_reg *)argument)->addr =
			UINT64_C(0x8100000203);
	else if (request == KVM_SET_VCPU_EVENTS)
		abort_pending = ((const struct kvm_vcpu_events *)argument)->exception
				.ext_dabt_pending;
	else
		assert_true(false);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	call_count = 0;
	refused = 0;
	abort_pending = false;
	arch = (struct arch_vm){ .vcpu_init.features[0] = 1u << KVM_ARM_VCPU_PSCI_0_2 };
	run = (struct kvm_run){ 0 };
	for (unsigned i = 0; i < ARRAY_SIZE(vcpus); i++)
		vcpus[i] = (struct vcpu){ .vm = &vm, .index = i, .fd = (int)i, .run = &run };
	return 0;
}

static void test_all_but_the_first_begin_powered_off(void **state)
{
	const uint64_t on = 1u << KVM_ARM_VCPU_PSCI_0_2, off = 1u << KVM_ARM_VCPU_POWER_OFF;

	(void)state;
	assert_int_equal(arch_vcpu_init(&vcpus[0]), 0);
	assert_int_equal(arch_vcpu_init(&vcpus[1]), 0);
	assert_int_equal(call_count, 2);
	assert_int_equal(calls[0].value, on);
	assert_int_equal(calls[1].value, on | off);
	/* And so again at a reset. */
	assert_int_equal(arch_vcpu_reset(&vcpus[1]), 0);
	assert_int_equal(arch_vcpu_reset(&vcpus[0]), 0);
	assert_int_equal(call_count, 4);
	assert_int_equal(calls[2].value, on | off);
	assert_int_equal(calls[3].value, on);
	refused = KVM_ARM_VCPU_INIT;
	assert_true(fail_is_host(arch_vcpu_reset(&vcpus[0])));
}

static void test_vectors_are_settled_once(void **state)
{
	(void)state;
	arch.sve = true;
	assert_int_equal(arch_vcpu_init(&vcpus[0]), 0);
	assert_int_equal(call_count, 2);
	assert_int_equal(calls[1].request, KVM_ARM_VCPU_FINALIZE);
	assert_int_equal(calls[1].value, KVM_ARM_VCPU_SVE);
	assert_int_equal(arch_vcpu_reset(&vcpus[0]), 0);
	assert_int_equal(call_count, 3);
	refused = KVM_ARM_VCPU_FINALIZE;
	assert_true(fail_is_host(arch_vcpu_init(&vcpus[1])));
}

static void test_each_has_a_steal_time_of_its_own(void **state)
{
	(void)state;
	arch.steal_time = true;
	for (unsigned i = 0; i < ARRAY_SIZE(vcpus); i++) {
		const struct call *call = &calls[2 * i + 1];

		assert_int_equal(arch_vcpu_init(&vcpus[i]), 0);
		assert_int_equal(call->what, (uint64_t)KVM_ARM_VCPU_PVTIME_CTRL << 32 |
					     KVM_ARM_VCPU_PVTIME_IPA);
		assert_int_equal(call->value, LAYOUT_STEAL_TIME_GPA + 64 * i);
	}
}

static void test_counters_get_their_interrupt(void **state)
{
	const uint64_t group = (uint64_t)KVM_ARM_VCPU_PMU_V3_CTRL << 32;

	(void)state;
	assert_int_equal(arch_vcpu_complete(&vcpus[0]), 0);
	assert_int_equal(call_count, 0);
	arch.pmu = true;
	assert_int_equal(arch_vcpu_complete(&vcpus[0]), 0);
	assert_int_equal(call_count, 2);
	assert_int_equal(calls[0].what, group | KVM_ARM_VCPU_PMU_V3_IRQ);
	assert_int_equal(calls[0].value, 23); /* what the device tree calls PPI 7 */
	assert_int_equal(calls[1].what, group | KVM_ARM_VCPU_PMU_V3_INIT);
	refused = KVM_SET_DEVICE_ATTR;
	assert_true(fail_is_host(arch_vcpu_complete(&vcpus[1])));
}

static void test_entry_registers(void **state)
{
	const struct kernel_entry entry = { .pc_gpa = 0x80200000, .device_tree_gpa = 0x8fe00000 };
	const uint64_t x0 = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE;

	(void)state;
	assert_int_equal(vcpu_regs_enter(&vcpus[0], &entry), 0);
	assert_int_equal(call_count, 6);
	for (unsigned i = 0; i <= 3; i++) {
		assert_int_equal(calls[i].what, x0 + 2 * i);
		assert_int_equal(calls[i].value, i ? 0 : entry.device_tree_gpa);
	}
	assert_int_equal(calls[4].what, x0 + 64);
	assert_int_equal(calls[4].value, entry.pc_gpa);
	assert_int_equal(calls[5].what, x0 + 66);
	assert_int_equal(calls[5].value, 0x3c5);
}

static void test_affinity_is_all_of_it_and_no_more(void **state)
{
	uint64_t mpidr;

	(void)state;
	assert_int_equal(vcpu_regs_mpidr(&vcpus[0], &mpidr), 0);
	assert_int_equal(mpidr, UINT64_C(0x8100000203));
	refused = KVM_GET_ONE_REG;
	assert_true(fail_is_host(vcpu_regs_mpidr(&vcpus[0], &mpidr)));
}

static void test_an_access_without_syndrome_is_the_guests_trouble(void **state)
{
	(void)state;
	run.exit_reason = KVM_EXIT_ARM_NISV;
	run.arm_nisv.fault_ipa = 0x30000000;
	assert_int_equal(arch_vcpu_exit(&vcpus[0]), VCPU_AGAIN);
	assert_true(abort_pending);
	refused = KVM_SET_VCPU_EVENTS;
	assert_int_equal(arch_vcpu_exit(&vcpus[0]), VCPU_CRASHED);
}

/* Linux 7.0 on a processor with FEAT_LS64: what KVM does not serve itself is an exit of its own. */
static void test_an_access_of_64_bytes_is_the_guests_trouble(void **state)
{
	(void)state;
	run.exit_reason = 42; /* KVM_EXIT_ARM_LDST64B */
	run.arm_nisv.fault_ipa = 0x30000040;
	assert_int_equal(arch_vcpu_exit(&vcpus[0]), VCPU_AGAIN);
	assert_true(abort_pending);
}

static void test_an_unknown_exit_is_the_end(void **state)
{
	(void)state;
	run.exit_reason = KVM_EXIT_DEBUG;
	assert_int_equal(arch_vcpu_exit(&vcpus[0]), VCPU_CRASHED);
	assert_false(abort_pending);
	refused = KVM_GET_ONE_REG; /* the dump does without what it can't read */
	assert_int_equal(arch_vcpu_exit(&vcpus[0]), VCPU_CRASHED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_all_but_the_first_begin_powered_off, setup),
		cmocka_unit_test_setup(test_vectors_are_settled_once, setup),
		cmocka_unit_test_setup(test_each_has_a_steal_time_of_its_own, setup),
		cmocka_unit_test_setup(test_counters_get_their_interrupt, setup),
		cmocka_unit_test_setup(test_entry_registers, setup),
		cmocka_unit_test_setup(test_affinity_is_all_of_it_and_no_more, setup),
		cmocka_unit_test_setup(test_an_access_without_syndrome_is_the_guests_trouble, setup),
		cmocka_unit_test_setup(test_an_access_of_64_bytes_is_the_guests_trouble, setup),
		cmocka_unit_test_setup(test_an_unknown_exit_is_the_end, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
