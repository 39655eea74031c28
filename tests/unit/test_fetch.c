// SPDX-License-Identifier: MIT
/*
 * That a double fetch ends a test build, and a look without a fence: of the
 * detector by itself, of a chain's data and of descriptors, in builds that have
 * it. (The rings of all other tests, read once each, are its other half.)
 */
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "core/fetch.h"
#include "virtio/chain.h"
#include "virtio/descriptor.h"

static struct guest_memory memory;

#ifdef FETCH_CHECK

/* Whether this ends the process by abort(). */
static bool aborts(void (*body)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		close(STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) || !WEXITSTATUS(status));
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void same_twice(void)
{
	fetch_open();
	fetch_note(FETCH_DATA, 8, 8);
	fetch_note(FETCH_DATA, 8, 8);
}

static void last_byte_of_what_grew(void)
{
	fetch_open();
	fetch_note(FETCH_DATA, 16, 16);
	fetch_note(FETCH_DATA, 0, 16);
	fetch_note(FETCH_DATA, 32, 4);
	fetch_note(FETCH_DATA, 35, 1);
}

static void all_around_it(void)
{
	fetch_open();
	fetch_note(FETCH_DATA, 100, 4);
	fetch_note(FETCH_DATA, 0, 200);
}

static void a_second_read_aborts(void **state)
{
	(void)state;
	assert_true(aborts(same_twice));
	assert_true(aborts(last_byte_of_what_grew));
	assert_true(aborts(all_around_it));
}

static void neighbours(void)
{
	fetch_open();
	for (unsigned i = 0; i < 100; i++)
		fetch_note(FETCH_DATA, i * 8 % 800, 8);
	for (unsigned i = 0; i < 100; i++)
		fetch_note(FETCH_TABLE, (99 - i) * 32, 16);
	fetch_note(FETCH_DATA, 800, 8);
	fetch_note(FETCH_DATA, 8, 0);
	fetch_note(FETCH_DESCRIPTOR, 8, 8);
}

static void in_two_pops(void)
{
	fetch_note(FETCH_INDEX, 0, 2);
	fetch_note(FETCH_INDEX, 0, 2);
	for (unsigned i = 0; i < 2; i++) {
		fetch_open();
		fetch_note(FETCH_INDEX, 0, 2);
	}
	fetch_close();
	fetch_note(FETCH_INDEX, 0, 2);
}

static void other_reads_pass(void **state)
{
	(void)state;
	assert_false(aborts(neighbours));
	assert_false(aborts(in_two_pops));
}

static void look_without_fence(void)
{
	fetch_stored();
	fetch_look();
}

static void fetch_without_fence(void)
{
	fetch_fence();
	fetch_stored();
	fetch_note(FETCH_INDEX, 0, 2);
}

static void fence_between(void)
{
	fetch_look();
	fetch_stored();
	fetch_fence();
	fetch_look();
	fetch_note(FETCH_INDEX, 0, 2);
}

static void a_look_without_fence_aborts(void **state)
{
	(void)state;
	assert_true(aborts(look_without_fence));
	assert_true(aborts(fetch_without_fence));
	assert_false(aborts(fence_between));
}

static void windows_have_numbers(void **state)
{
	uint16_t first;

	(void)state;
	fetch_close();
	assert_int_equal(fetch_window(), 0);
	fetch_open();
	first = fetch_window();
	for (unsigned i = 0; i < 0x10000; i++) {
		fetch_open();
		assert_int_not_equal(fetch_window(), 0);
	}
	assert_int_not_equal(fetch_window(), first);
}

static struct chain chain_of(struct iovec *iov)
{
	return (struct chain){
		.readable = iov,
		.readable_count = 1,
		.readable_bytes = iov->iov_len,
		.window = fetch_window(),
	};
}

/* As a device would that looks at a header, and then takes it. */
static void data_looked_at_first(void)
{
	char header[16] = { 0 }, copy[16];
	struct iovec iov = { header, sizeof(header) }, peeked = iov;
	struct chain chain, look;

	fetch_open();
	chain = chain_of(&iov);
	look = chain_of(&peeked);
	chain_pull(&look, copy, 4);
	chain_pull(&chain, copy, sizeof(copy));
}

static void data_in_order(void)
{
	char header[16] = { 0 }, copy[16];
	struct iovec iov = { header, sizeof(header) }, late = iov;
	struct chain chain, other;

	fetch_open();
	chain = chain_of(&iov);
	chain_pull(&chain, copy, 4);
	chain_pull(&chain, copy, 13);
	chain_skip_readable(&chain, 4);
	chain_pull(&chain, copy, 8);
	/* One that was popped before this one. */
	fetch_open();
	other = chain_of(&late);
	fetch_open();
	fetch_note(FETCH_DATA, BIT64(32) - 16, 16);
	chain_pull(&other, copy, 16);
}

static void data_is_pulled_once(void **state)
{
	(void)state;
	assert_true(aborts(data_looked_at_first));
	assert_false(aborts(data_in_order));
}

static struct descriptor_table table_of(struct vring_desc *ring)
{
	return (struct descriptor_table){ .memory = &memory, .entries = ring, .size = 4 };
}

static void chain_walked_twice(void)
{
	struct vring_desc ring[4] = { 0 };
	struct descriptor_table table = table_of(ring);
	struct descriptor_parts parts = { 0 };

	fetch_open();
	descriptor_walk(&table, 1, &parts);
	descriptor_walk(&table, 1, &parts);
}

static void list_walked_twice(void)
{
	struct vring_desc ring[4] = { 0 };
	struct descriptor_table table = table_of(ring);
	struct packed_list list = {
		.place = PACKED_WRAP,
		.room = 4,
		.head_flags = 1u << VRING_PACKED_DESC_F_AVAIL,
	};
	struct descriptor_parts parts = { 0 };

	fetch_open();
	descriptor_walk_packed(&table, &list, &parts);
	descriptor_walk_packed(&table, &list, &parts);
}

/* The guest's doing, and no second read of ours: each step of a walk is one. */
static void loops(void)
{
	struct vring_desc ring[4] = { { .flags = VRING_DESC_F_NEXT, .next = 0 } };
	struct descriptor_table table = table_of(ring);
	struct descriptor_parts parts = { 0 };

	fetch_open();
	assert_int_equal(descriptor_walk(&table, 0, &parts), DESCRIPTOR_CORRUPT);
}

static void descriptors_are_read_once(void **state)
{
	(void)state;
	assert_true(aborts(chain_walked_twice));
	assert_true(aborts(list_walked_twice));
	assert_false(aborts(loops));
}

#endif

/* The flags that say that a list is there are those that it is served by. */
static void head_flags_are_read_once(void **state)
{
	struct vring_packed_desc ring[4] = { { .len = htole32(0), .id = htole16(7) } };
	struct descriptor_table table = { .memory = &memory, .entries = ring, .size = 4 };
	struct packed_list list = {
		.place = PACKED_WRAP,
		.room = 4,
		.head_flags = 1u << VRING_PACKED_DESC_F_AVAIL,
	};
	struct descriptor_parts parts = { 0 };

	(void)state;
	fetch_close();
	ring[0].flags = htole16(VRING_DESC_F_NEXT);
	assert_int_equal(descriptor_walk_packed(&table, &list, &parts), DESCRIPTOR_OK);
	assert_int_equal(list.count, 1);
	assert_int_equal(list.id, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef FETCH_CHECK
		cmocka_unit_test(a_second_read_aborts),
		cmocka_unit_test(other_reads_pass),
		cmocka_unit_test(a_look_without_fence_aborts),
		cmocka_unit_test(windows_have_numbers),
		cmocka_unit_test(data_is_pulled_once),
		cmocka_unit_test(descriptors_are_read_once),
#endif
		cmocka_unit_test(head_flags_are_read_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
