// SPDX-License-Identifier: MIT
/* CPUID leaves: topology and identity put into tables as KVM would give them. */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "x86/cpuid.h"

#define INDEXED KVM_CPUID_FLAG_SIGNIFCANT_INDEX

static const struct kvm_cpuid_entry2 intel[] = {
	{ .function = 0, .eax = 0x1f, .ebx = 0x756e6547 },
	{ .function = 1, .ebx = 0xaa20ff55, .ecx = BIT64(27), .edx = BIT64(28) | 1 },
	{ .function = 4, .index = 0, .flags = INDEXED, .eax = 0xfc00c121 },
	{ .function = 4, .index = 3, .flags = INDEXED, .eax = 0xfc1fc163 },
	{ .function = 4, .index = 4, .flags = INDEXED, .eax = 0 },
	{ .function = 0xb, .index = 0, .flags = INDEXED, .eax = 1, .ebx = 2, .ecx = 0x100,
	  .edx = 77 },
	{ .function = 0x15, .eax = 2, .ebx = 100, .ecx = 24000000 },
	{ .function = 0x16, .eax = 2400 },
	{ .function = 0x1f, .index = 0, .flags = INDEXED, .ecx = 0x100 },
	{ .function = 0x80000008, .eax = 0x302e, .ecx = 0 },
};

static const struct kvm_cpuid_entry2 amd[] = {
	{ .function = 0, .eax = 0x10, .ebx = 0x68747541 },
	{ .function = 1, .ebx = 0x800 },
	{ .function = 0x80000001, .ecx = BIT64(22) },
	{ .function = 0x80000008, .eax = 0x3030, .ecx = 0xf0f0ff },
	{ .function = 0x8000001d, .index = 0, .flags = INDEXED, .eax = 0x4121 },
	{ .function = 0x8000001d, .index = 3, .flags = INDEXED, .eax = 0x03ffc163 },
	{ .function = 0x8000001e, .eax = 9, .ebx = 0x1ff, .ecx = 0x703 },
	{ .function = 0x80000026, .index = 0, .flags = INDEXED, .ebx = 2 },
};

static struct kvm_cpuid2 *table_of(const struct kvm_cpuid_entry2 *entries, unsigned count)
{
	struct kvm_cpuid2 *table = cpuid_table_create();

	assert_non_null(table);
	assert_int_equal(table->nent, CPUID_ENTRIES_MAX);
	for (unsigned i = 0; i < count; i++)
		table->entries[i] = entries[i];
	table->nent = count;
	return table;
}

static void check_levels(struct kvm_cpuid2 *table, uint32_t function, unsigned bits,
			 unsigned count, unsigned id)
{
	const struct kvm_cpuid_entry2 *threads = cpuid_find(table, function, 0);
	const struct kvm_cpuid_entry2 *cores = cpuid_find(table, function, 1);
	const struct kvm_cpuid_entry2 *end = cpuid_find(table, function, 2);

	assert_true(threads && cores && end && !cpuid_find(table, function, 3));
	assert_int_equal(threads->eax, 0);
	assert_int_equal(threads->ebx, 1);
	assert_int_equal(threads->ecx, 0x100);
	assert_int_equal(cores->eax, bits);
	assert_int_equal(cores->ebx, count);
	assert_int_equal(cores->ecx, 0x201);
	assert_int_equal(end->ebx, 0);
	assert_int_equal(end->ecx, 2);
	assert_true(threads->edx == id && cores->edx == id && end->edx == id);
}

static void test_intel(void **state)
{
	struct kvm_cpuid2 *table = table_of(intel, ARRAY_SIZE(intel));
	const struct kvm_cpuid_entry2 *features;

	(void)state;
	assert_int_equal(cpuid_physical_bits(table), 46);
	cpuid_set_machine(table, 6, true);
	cpuid_set_vcpu(table, 5);
	features = cpuid_find(table, 1, 0);
	assert_int_equal(features->ebx, 0x0508ff55);
	assert_int_equal(features->ecx, BIT64(27) | BIT64(21) | BIT64(24) | BIT64(31));
	assert_int_equal(features->edx, BIT64(28) | 1);
	/* L1 is a core's own, L3 is shared by all 8 ids; 8 ids of cores. */
	assert_int_equal(cpuid_find(table, 4, 0)->eax, 0x1c000121);
	assert_int_equal(cpuid_find(table, 4, 3)->eax, 0x1c01c163);
	assert_int_equal(cpuid_find(table, 4, 4)->eax, 0);
	check_levels(table, 0xb, 3, 6, 5);
	check_levels(table, 0x1f, 3, 6, 5);
	assert_null(cpuid_find(table, 0x15, 0));
	assert_null(cpuid_find(table, 0x16, 0));
	assert_int_equal(cpuid_find(table, 0x80000008, 0)->ecx, 0);
	/* The table serves the next vCPU. */
	cpuid_set_vcpu(table, 0);
	assert_int_equal(features->ebx, 0x0008ff55);
	check_levels(table, 0xb, 3, 6, 0);
	free(table);
}

static void test_one_vcpu(void **state)
{
	struct kvm_cpuid2 *table = table_of(intel, ARRAY_SIZE(intel));

	(void)state;
	cpuid_set_machine(table, 1, false);
	cpuid_set_vcpu(table, 0);
	assert_int_equal(cpuid_find(table, 1, 0)->ebx, 0x0001ff55);
	assert_int_equal(cpuid_find(table, 1, 0)->edx, 1);
	assert_int_equal(cpuid_find(table, 1, 0)->ecx & BIT64(24), 0);
	assert_int_equal(cpuid_find(table, 4, 3)->eax, 0x163);
	check_levels(table, 0xb, 0, 1, 0);
	free(table);
}

static void test_amd(void **state)
{
	struct kvm_cpuid2 *table = table_of(amd, ARRAY_SIZE(amd));

	(void)state;
	assert_int_equal(cpuid_physical_bits(table), 48);
	cpuid_set_machine(table, 4, true);
	cpuid_set_vcpu(table, 3);
	assert_int_equal(cpuid_find(table, 1, 0)->ebx, 0x03040800);
	assert_int_equal(cpuid_find(table, 0x80000001, 0)->ecx, BIT64(22) | BIT64(1));
	assert_int_equal(cpuid_find(table, 0x80000008, 0)->ecx, 0xf02003);
	assert_int_equal(cpuid_find(table, 0x8000001d, 0)->eax, 0x121);
	assert_int_equal(cpuid_find(table, 0x8000001d, 3)->eax, 0xc163);
	assert_int_equal(cpuid_find(table, 0x8000001e, 0)->eax, 3);
	assert_int_equal(cpuid_find(table, 0x8000001e, 0)->ebx, 3);
	assert_int_equal(cpuid_find(table, 0x8000001e, 0)->ecx, 0);
	assert_null(cpuid_find(table, 0x80000026, 0));
	/* A leaf that KVM does not have is not made up. */
	assert_null(cpuid_find(table, 0xb, 0));
	free(table);
}

/* More vCPUs than the old fields hold. */
static void test_many(void **state)
{
	struct kvm_cpuid2 *table = table_of(amd, ARRAY_SIZE(amd));

	(void)state;
	cpuid_set_machine(table, 1000, true);
	cpuid_set_vcpu(table, 999);
	assert_int_equal(cpuid_find(table, 1, 0)->ebx >> 16, 0xe7ff);
	assert_int_equal(cpuid_find(table, 0x80000008, 0)->ecx, 0xf0a0ff);
	assert_int_equal(cpuid_find(table, 0x8000001e, 0)->eax, 999);
	free(table);
}

static void test_tiles_come_whole_or_not_at_all(void **state)
{
	static const struct {
		uint32_t offered, kept;
	} rules[] = {
		{ 0x602e7, 0x602e7 }, { 0x202e7, 0x2e7 }, { 0x402e7, 0x2e7 }, { 0x2e7, 0x2e7 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct kvm_cpuid_entry2 states = {
			.function = 0xd, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
			.eax = rules[i].offered, .ebx = 0x2b00,
		};
		struct kvm_cpuid2 *table = table_of(&states, 1);

		cpuid_set_machine(table, 2, true);
		assert_int_equal(cpuid_find(table, 0xd, 0)->eax, rules[i].kept);
		assert_int_equal(cpuid_find(table, 0xd, 0)->ebx, 0x2b00);
		free(table);
	}
}

static void test_poor_tables(void **state)
{
	struct kvm_cpuid2 *table = table_of(amd, 1);

	(void)state;
	cpuid_set_machine(table, 2, true);
	cpuid_set_vcpu(table, 1);
	assert_int_equal(table->nent, 1);
	assert_int_equal(cpuid_physical_bits(table), 36);
	/* A full table: leaves are left out, nothing is overrun. */
	table->nent = CPUID_ENTRIES_MAX;
	for (unsigned i = 0; i < CPUID_ENTRIES_MAX; i++)
		table->entries[i].function = 0x40000000 + i;
	table->entries[0] = intel[5];
	cpuid_set_machine(table, 2, true);
	assert_int_equal(table->nent, CPUID_ENTRIES_MAX);
	free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_intel),
		cmocka_unit_test(test_one_vcpu),
		cmocka_unit_test(test_amd),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_tiles_come_whole_or_not_at_all),
		cmocka_unit_test(test_poor_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
