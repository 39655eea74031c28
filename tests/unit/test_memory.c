// SPDX-License-Identifier: MIT
/* Guest memory: edges, wraps, holes, guard pages; and the bus that fills the holes. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "core/bus.h"
#include "core/memory.h"
#include "tests/unit/boot_files.h"
#include "tests/unit/fake_kvm.h"

#define LOW_BYTES (3 * MIB + 64 * KIB) /* no multiple of a huge page, of any host's pages one */
#define HIGH_GPA (4 * GIB)
#define HIGH_BYTES (2 * MIB)

static struct guest_memory memory;

static int setup(void **state)
{
	(void)state;
	fake_kvm_reset();
	memory = (struct guest_memory){ 0 };
	return guest_memory_add(&memory, 0, LOW_BYTES) ||
	       guest_memory_add(&memory, HIGH_GPA, HIGH_BYTES);
}

static int teardown(void **state)
{
	(void)state;
	guest_memory_destroy(&memory);
	return 0;
}

static void test_edges(void **state)
{
	uint8_t *low = guest_memory_at(&memory, 0, LOW_BYTES);

	(void)state;
	assert_non_null(low);
	assert_ptr_equal(guest_memory_at(&memory, LOW_BYTES - 1, 1), low + LOW_BYTES - 1);
	assert_null(guest_memory_at(&memory, LOW_BYTES - 1, 2));
	assert_null(guest_memory_at(&memory, LOW_BYTES, 0));
	assert_null(guest_memory_at(&memory, LOW_BYTES, 1));
	assert_non_null(guest_memory_at(&memory, 4096, 0));
	assert_null(guest_memory_at(&memory, HIGH_GPA - 1, 2));
	assert_non_null(guest_memory_at(&memory, HIGH_GPA, HIGH_BYTES));
	assert_null(guest_memory_at(&memory, HIGH_GPA, HIGH_BYTES + 1));
	assert_int_equal(guest_memory_total_bytes(&memory), LOW_BYTES + HIGH_BYTES);
}

static void test_lengths_that_wrap(void **state)
{
	(void)state;
	assert_null(guest_memory_at(&memory, 4096, UINT64_MAX));
	assert_null(guest_memory_at(&memory, 4096, UINT64_MAX - 4095));
	assert_null(guest_memory_at(&memory, UINT64_MAX, 1));
	assert_null(guest_memory_at(&memory, UINT64_MAX, 2));
	assert_null(guest_memory_at(&memory, UINT64_MAX - 4095, 8192));
}

static void test_copies_are_whole_or_not_at_all(void **state)
{
	uint8_t bytes[16];

	(void)state;
	memset(bytes, 0xa5, sizeof(bytes));
	assert_false(guest_memory_write(&memory, LOW_BYTES - 8, bytes, sizeof(bytes)));
	assert_int_equal(*(uint8_t *)guest_memory_at(&memory, LOW_BYTES - 8, 1), 0);
	assert_true(guest_memory_write(&memory, LOW_BYTES - 16, bytes, sizeof(bytes)));
	memset(bytes, 0, sizeof(bytes));
	assert_false(guest_memory_read(&memory, LOW_BYTES, bytes, 1));
	assert_true(guest_memory_read(&memory, LOW_BYTES - 16, bytes, sizeof(bytes)));
	assert_int_equal(bytes[15], 0xa5);
}

static void test_clear_gives_zeros(void **state)
{
	uint64_t value = 0x1122334455667788;

	(void)state;
	assert_true(guest_memory_write(&memory, HIGH_GPA + 8, &value, sizeof(value)));
	guest_memory_clear(&memory);
	assert_true(guest_memory_read(&memory, HIGH_GPA + 8, &value, sizeof(value)));
	assert_int_equal(value, 0);
}

static void test_huge_pages_are_possible(void **state)
{
	(void)state;
	for (unsigned i = 0; i < memory.count; i++)
		assert_int_equal((uintptr_t)memory.regions[i].host % (2 * MIB),
				 memory.regions[i].gpa % (2 * MIB));
}

/* A stray access beside guest RAM must end us, not corrupt us. */
static void touch(const uint8_t *address)
{
	int status;
	pid_t child = fork();

	if (!child) {
		signal(SIGSEGV, SIG_DFL);
		*(volatile uint8_t *)address = 1;
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
}

static void test_guard_pages(void **state)
{
	uint8_t *low = guest_memory_at(&memory, 0, 1);

	(void)state;
	touch(low - 1);
	touch(low + LOW_BYTES);
}

static void test_register_tells_kvm(void **state)
{
	(void)state;
	assert_int_equal(guest_memory_register(&memory, &fake_kvm_call), 0);
	assert_int_equal(fake_kvm.slot_count, 2);
	assert_int_equal(fake_kvm.slots[1].slot, 1);
	assert_int_equal(fake_kvm.slots[1].guest_phys_addr, HIGH_GPA);
	assert_int_equal(fake_kvm.slots[1].memory_size, HIGH_BYTES);
	fake_kvm.fail_request = KVM_SET_USER_MEMORY_REGION;
	fake_kvm.fail_error = ENOMEM;
	assert_true(fail_is_host(guest_memory_register(&memory, &fake_kvm_call)));
}

/* KVM of Linux 6.1 takes no shared mapping where memory is tagged: less of it would not help. */
static void test_kvm_refuses_what_is_under_it(void **state)
{
	(void)state;
	fake_kvm.fail_request = KVM_SET_USER_MEMORY_REGION;
	fake_kvm.fail_error = EINVAL;
	message_begin();
	assert_true(fail_is_host(guest_memory_register(&memory, &fake_kvm_call)));
	assert_true(message_end("Invalid argument; run without --memory-backing"));
	fake_kvm.fail_error = ENOMEM;
	message_begin();
	assert_true(fail_is_host(guest_memory_register(&memory, &fake_kvm_call)));
	assert_true(message_end("Cannot allocate memory; ask for less with --mem"));
}

static void test_more_than_an_address_space(void **state)
{
	struct guest_memory huge = { 0 };

	(void)state;
	assert_true(guest_memory_add(&huge, 0, UINT64_MAX & ~UINT64_C(4095)) < 0);
	assert_true(guest_memory_add(&huge, 0, UINT64_C(1) << 60) < 0);
	assert_int_equal(huge.count, 0);
}

/* All of the rest holds of a file without a name, too. */
static int setup_memfd(void **state)
{
	(void)state;
	fake_kvm_reset();
	memory = (struct guest_memory){ .backing.source = MEMORY_MEMFD };
	return guest_memory_add(&memory, 0, LOW_BYTES) ||
	       guest_memory_add(&memory, HIGH_GPA, HIGH_BYTES);
}

/* A child's write is the parent's as well: it is one file, not a copy. */
static void test_memfd_is_shared(void **state)
{
	volatile uint8_t *byte = guest_memory_at(&memory, HIGH_GPA, 1);
	int status;
	pid_t child = fork();

	(void)state;
	if (!child) {
		*byte = 7;
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(*byte, 7);
	assert_int_equal(guest_memory_add_anonymous(&memory, GIB, 64 * KIB), 0);
	assert_int_equal(memory.regions[2].source, MEMORY_ANONYMOUS);
}

/* Linux from 6.3 on can be told, and a host may ask for it (vm.memfd_noexec). */
static void test_memory_files_are_never_run(void **state)
{
	const unsigned noexec_seal = 8;
	const int seal_exec = 0x20; /* newer than some headers, as the flag is */
	int fd = fd_memory_file("test", 0), probe = memfd_create("probe", noexec_seal);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(!!(fcntl(fd, F_GET_SEALS) & seal_exec), probe >= 0);
	close(fd);
	fd_close(&probe);
}

/* What /proc/self/smaps says of the pages at an address: whether `flag` is among it. */
static bool mapping_has(const void *at, const char *flag)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	bool here = false, has = false;
	unsigned long from, to;
	char line[512];

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = from <= (uintptr_t)at && (uintptr_t)at < to;
		else if (here && !strncmp(line, "VmFlags:", 8))
			has = strstr(line, flag);
	}
	fclose(file);
	return has;
}

/* Not even where a parent wants all of a process's pages merged (Linux 6.4). */
static void test_never_merged_with_others_pages(void **state)
{
	const int set_memory_merge = 67; /* newer than some headers */
	struct guest_memory made = { 0 };
	bool merged;

	(void)state;
	if (prctl(set_memory_merge, 1, 0, 0, 0))
		skip();
	assert_int_equal(guest_memory_add(&made, 0, LOW_BYTES), 0);
	merged = mapping_has(guest_memory_at(&made, 0, 1), " mg");
	assert_int_equal(prctl(set_memory_merge, 0, 0, 0, 0), 0);
	guest_memory_destroy(&made);
	assert_false(merged);
}

static void test_sizes_that_no_huge_page_has(void **state)
{
	struct guest_memory huge = { .backing = { MEMORY_HUGETLB, UINT64_C(1) << 46 } };

	(void)state;
	assert_true(fail_is_host(guest_memory_add(&huge, 0, UINT64_C(1) << 46)));
	assert_int_equal(huge.count, 0);
}

static bool huge_pages_free(unsigned count)
{
	FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r");
	unsigned is_free = 0;

	if (file) {
		if (fscanf(file, "%u", &is_free) != 1)
			is_free = 0;
		fclose(file);
	}
	return is_free >= count;
}

static void test_huge_pages(void **state)
{
	struct guest_memory huge = { .backing = { MEMORY_HUGETLB, 2 * MIB } };
	uint64_t value = 1;

	(void)state;
	if (!huge_pages_free(2))
		skip();
	assert_int_equal(guest_memory_add(&huge, 0, 3 * MIB), -EINVAL);
	assert_int_equal(guest_memory_add(&huge, 2 * MIB, 4 * MIB), 0);
	/* More than any host has set aside. */
	assert_true(fail_is_host(guest_memory_add(&huge, 4 * GIB, UINT64_C(1) << 44)));
	assert_int_equal(huge.count, 1);
	assert_int_equal((uintptr_t)huge.regions[0].host % (2 * MIB), 0);
	touch(huge.regions[0].host - 1);
	touch(huge.regions[0].host + 4 * MIB);
	assert_true(guest_memory_write(&huge, 4 * MIB, &value, sizeof(value)));
	guest_memory_clear(&huge);
	assert_true(guest_memory_read(&huge, 4 * MIB, &value, sizeof(value)));
	assert_int_equal(value, 0);
	guest_memory_destroy(&huge);
}

struct probe {
	struct region region;
	uint64_t value, offset;
	unsigned length, reads, writes;
};

static uint64_t probe_read(struct region *region, uint64_t offset, unsigned length)
{
	struct probe *probe = container_of(region, struct probe, region);

	probe->offset = offset;
	probe->length = length;
	probe->reads++;
	return probe->value;
}

static void probe_write(struct region *region, uint64_t offset, unsigned length, uint64_t value)
{
	struct probe *probe = container_of(region, struct probe, region);

	probe->offset = offset;
	probe->length = length;
	probe->value = value;
	probe->writes++;
}

static const struct region_ops probe_ops = { probe_read, probe_write };
static const struct region_ops silent_ops = { 0 };

static struct probe probe_at(uint64_t base, uint64_t size)
{
	return (struct probe){ .region = { &probe_ops, "probe", base, size } };
}

static void test_bus_finds_by_address(void **state)
{
	struct probe low = probe_at(0x1000, 0x10), high = probe_at(0x2000, 0x1000);
	uint32_t value = 0x11223344;
	struct bus bus;

	(void)state;
	bus_init(&bus);
	assert_int_equal(bus_add(&bus, &high.region), 0);
	assert_int_equal(bus_add(&bus, &low.region), 0);
	assert_true(bus_access(&bus, 0x2ffc, &value, 4, true));
	assert_int_equal(high.offset, 0xffc);
	assert_int_equal(high.value, 0x11223344);
	low.value = 0xaabbccddeeff0011;
	assert_true(bus_access(&bus, 0x1008, &value, 4, false));
	assert_int_equal(low.offset, 8);
	assert_int_equal(value, 0xeeff0011);
	bus_remove(&bus, &low.region);
	bus_remove(&bus, &low.region);
	assert_false(bus_access(&bus, 0x1008, &value, 4, false));
	assert_int_equal(value, 0xffffffff);
	bus_destroy(&bus);
}

static void test_bus_answers_all_ones_where_nothing_is(void **state)
{
	struct probe probe = probe_at(0x1000, 0x10);
	struct region silent = { &silent_ops, "silent", 0x3000, 0x10 };
	uint64_t value = 0;
	struct bus bus;

	(void)state;
	bus_init(&bus);
	bus_add(&bus, &probe.region);
	bus_add(&bus, &silent);
	assert_false(bus_access(&bus, 0x0fff, &value, 2, false)); /* begins before it */
	assert_int_equal(value, 0xffff);
	assert_false(bus_access(&bus, 0x100c, &value, 8, false)); /* runs past its end */
	assert_int_equal(value, UINT64_MAX);
	assert_false(bus_access(&bus, 0x100c, &value, 8, true));
	assert_false(bus_access(&bus, UINT64_MAX, &value, 1, false));
	assert_int_equal(probe.reads + probe.writes, 0);
	value = 0;
	assert_true(bus_access(&bus, 0x3000, &value, 4, true));
	assert_true(bus_access(&bus, 0x3000, &value, 4, false));
	assert_int_equal(value, 0xffffffff);
	bus_destroy(&bus);
}

static void test_bus_splits_odd_lengths(void **state)
{
	struct probe probe = probe_at(0x1000, 0x10);
	uint8_t bytes[3] = { 1, 2, 3 };
	struct bus bus;

	(void)state;
	bus_init(&bus);
	bus_add(&bus, &probe.region);
	assert_true(bus_access(&bus, 0x1000, bytes, 3, true));
	assert_int_equal(probe.writes, 2);
	assert_int_equal(probe.value, 3);
	assert_int_equal(probe.length, 1);
	bus_destroy(&bus);
}

static void test_bus_refuses_overlap(void **state)
{
	struct probe first = probe_at(0x2000, 0x1000), same = first;
	struct probe before = probe_at(0x1fff, 2), inside = probe_at(0x2800, 1);
	struct probe touching = probe_at(0x3000, 1), wraps = probe_at(UINT64_MAX, 2);
	static struct probe many[BUS_REGIONS_MAX];
	struct bus bus;
	int error = 0;

	(void)state;
	bus_init(&bus);
	assert_int_equal(bus_add(&bus, &first.region), 0);
	assert_int_equal(bus_add(&bus, &same.region), -EEXIST);
	assert_int_equal(bus_add(&bus, &before.region), -EEXIST);
	assert_int_equal(bus_add(&bus, &inside.region), -EEXIST);
	assert_int_equal(bus_add(&bus, &wraps.region), -EEXIST);
	assert_int_equal(bus_add(&bus, &touching.region), 0);
	for (unsigned i = 0; i < BUS_REGIONS_MAX && !error; i++) {
		many[i] = probe_at(0x10000 + i * 16, 16);
		error = bus_add(&bus, &many[i].region);
	}
	assert_int_equal(error, -ENOSPC);
	bus_destroy(&bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_edges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lengths_that_wrap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copies_are_whole_or_not_at_all, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_clear_gives_zeros, setup, teardown),
		cmocka_unit_test_setup_teardown(test_huge_pages_are_possible, setup, teardown),
		cmocka_unit_test_setup_teardown(test_guard_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_register_tells_kvm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_edges, setup_memfd, teardown),
		cmocka_unit_test_setup_teardown(test_copies_are_whole_or_not_at_all, setup_memfd,
						teardown),
		cmocka_unit_test_setup_teardown(test_clear_gives_zeros, setup_memfd, teardown),
		cmocka_unit_test_setup_teardown(test_huge_pages_are_possible, setup_memfd,
						teardown),
		cmocka_unit_test_setup_teardown(test_guard_pages, setup_memfd, teardown),
		cmocka_unit_test_setup_teardown(test_memfd_is_shared, setup_memfd, teardown),
		cmocka_unit_test_setup_teardown(test_kvm_refuses_what_is_under_it, setup_memfd,
						teardown),
		cmocka_unit_test(test_memory_files_are_never_run),
		cmocka_unit_test(test_never_merged_with_others_pages),
		cmocka_unit_test(test_sizes_that_no_huge_page_has),
		cmocka_unit_test(test_huge_pages),
		cmocka_unit_test(test_more_than_an_address_space),
		cmocka_unit_test(test_bus_finds_by_address),
		cmocka_unit_test(test_bus_answers_all_ones_where_nothing_is),
		cmocka_unit_test(test_bus_splits_odd_lengths),
		cmocka_unit_test(test_bus_refuses_overlap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
