// SPDX-License-Identifier: MIT
/* The x86 memory map and the 64-bit PCI window, for RAM of many sizes. */
#include "tests/unit/unit.h"

#include "base/bytes.h"
#include "x86/layout.h"
#include "hw/pci_host.h"
#include "x86/memory_map.h"

/* RAM bytes in the map; entries must rise and not overlap. */
static uint64_t mapped_ram(uint64_t memory_bytes)
{
	struct memory_map_entry map[MEMORY_MAP_ENTRIES_MAX];
	unsigned count = memory_map_build(memory_bytes, map);
	uint64_t ram = 0, end = 0;

	assert_true(count && count <= MEMORY_MAP_ENTRIES_MAX);
	for (unsigned i = 0; i < count; i++) {
		assert_true(map[i].size_bytes && map[i].gpa >= end);
		end = map[i].gpa + map[i].size_bytes;
		if (map[i].kind == MEMORY_KIND_RAM)
			ram += map[i].size_bytes;
	}
	return ram;
}

static void test_sizes(void **state)
{
	static const uint64_t sizes[] = {
		2 * MIB, 128 * MIB, 333 * MIB, 3 * GIB - 4096, 3 * GIB, 3 * GIB + 4096, 3073 * MIB,
		4 * GIB, 5 * GIB, 64 * GIB, 1024 * GIB,
	};

	(void)state;
	/* All of it is told of but what the reserved range below 1 MiB takes. */
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
		assert_int_equal(mapped_ram(sizes[i]), sizes[i] - (MIB - LAYOUT_LOW_RAM_END));
	assert_int_equal(mapped_ram(MIB), LAYOUT_LOW_RAM_END);
}

static void test_reserved(void **state)
{
	struct memory_map_entry map[MEMORY_MAP_ENTRIES_MAX];
	unsigned count = memory_map_build(GIB, map);
	bool ecam = false, tables = false;

	(void)state;
	for (unsigned i = 0; i < count; i++) {
		const struct memory_map_entry *e = &map[i];

		if (e->kind != MEMORY_KIND_RESERVED)
			continue;
		tables |= e->gpa <= LAYOUT_ACPI_GPA && e->gpa + e->size_bytes >= MIB;
		ecam |= e->gpa == LAYOUT_ECAM_GPA && e->size_bytes == LAYOUT_ECAM_BYTES;
	}
	assert_true(ecam && tables);
}

static void test_split(void **state)
{
	struct ram_split split = ram_split(3 * GIB + 4096);

	(void)state;
	assert_int_equal(split.below_4g_bytes, 3 * GIB);
	assert_int_equal(split.above_4g_bytes, 4096);
	assert_int_equal(ram_end_gpa(3 * GIB + 4096), 4 * GIB + 4096);
	assert_int_equal(ram_end_gpa(MIB), 4 * GIB);
}

static bool window_above(uint64_t memory_bytes, unsigned bits, struct pci_window *window)
{
	return pci_window64(ram_end_gpa(memory_bytes), bits, window);
}

static void test_window(void **state)
{
	struct pci_window window;

	(void)state;
	assert_true(window_above(GIB, 46, &window));
	assert_int_equal(window.base, 4 * GIB);
	assert_int_equal(window.size, 256 * GIB);
	/* Above RAM that is no round number. */
	assert_true(window_above(5 * GIB + 4096, 39, &window));
	assert_int_equal(window.base, 8 * GIB);
	/* No more than there are address bits. */
	assert_true(window_above(GIB, 36, &window));
	assert_int_equal(window.base + window.size, 64 * GIB);
	assert_false(window_above(63 * GIB, 36, &window));
	assert_false(window_above(64 * GIB, 36, &window));
	assert_false(window_above(UINT64_MAX, 52, &window));
	assert_true(window_above(59 * GIB, 36, &window));
	assert_int_equal(window.size, 4 * GIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
