// SPDX-License-Identifier: MIT
/*
 * What a guest can write into a ring that no driver would: a request ends (the
 * head comes back with length 0) or the device breaks until it is reset, and
 * nothing else happens. Numbers are those of the list of hostile guests.
 */
#include "tests/unit/unit.h"
#include "tests/unit/probe.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/fd.h"

#define SIZE 128
#define RAM_END (DRIVER_MEMORY_GPA + DRIVER_MEMORY_BYTES)

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

static struct driver *begin(uint64_t refused)
{
	struct driver_config config = {
		.type = &virtio_probe,
		.refused = refused,
		.queue_size = SIZE,
	};
	struct driver *driver = driver_create(&config);

	driver_begin(driver);
	return driver;
}

static void set(struct vring_desc *desc, uint64_t gpa, uint32_t bytes, uint16_t flags,
		uint16_t next)
{
	desc->addr = htole64(gpa);
	desc->len = htole32(bytes);
	desc->flags = htole16(flags);
	desc->next = htole16(next);
}

static void show(struct driver_queue *queue, uint16_t head)
{
	driver_add_head(queue, head);
	driver_publish(queue);
	driver_kick_always(queue);
}

static void expect_service(struct driver *driver)
{
	struct driver_part part = driver_in(driver, 8);

	assert_int_equal(driver_request(&driver->queues[0], &part, 1), 8);
}

/* Broken: said so, used nothing, stays silent, and a reset brings it back. */
static void expect_dead(struct driver *driver)
{
	struct driver_queue *queue = &driver->queues[0];
	uint16_t used = __atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE);

	driver_wait_status(driver, VIRTIO_CONFIG_S_NEEDS_RESET);
	for (int left = DRIVER_TIMEOUT_MS; !event_fd_drain(driver->device->config_fd); left--) {
		struct timespec delay = { .tv_nsec = 1000000 };

		assert_true(left);
		nanosleep(&delay, NULL);
	}
	for (unsigned i = 0; i < 3; i++)
		driver_kick_always(queue);
	assert_int_equal(virtio_device_pause(driver->device, DRIVER_TIMEOUT_MS), 0);
	virtio_device_resume(driver->device);
	assert_int_equal(__atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE), used);
	driver_reset(driver);
	driver_rewind(driver, DRIVER_MEMORY_GPA);
	driver_begin(driver);
	expect_service(driver);
}

/* The request ended, nothing else did, and the device has not come to see it. */
static void expect_ended(struct driver *driver, uint16_t expected)
{
	uint32_t bytes;
	uint16_t head;

	assert_true(driver_wait(&driver->queues[0], &head, &bytes, DRIVER_TIMEOUT_MS));
	assert_int_equal(head, expected);
	assert_int_equal(bytes, 0);
	assert_int_equal(probe_of(driver)->counts.served, 0);
	assert_false(virtio_get_status(driver->device) & VIRTIO_CONFIG_S_NEEDS_RESET);
	/* The head was made by hand: keep it from the driver's own list. */
	driver_reset(driver);
	driver_begin(driver);
	expect_service(driver);
}

/* ---- Chains ---- */

/* What a case works on: the ring's descriptors, and room for a table and data. */
struct scene {
	struct vring_desc *desc, *table;
	uint64_t table_gpa, data_gpa;
};

static void self_loop(struct scene *scene)
{
	set(&scene->desc[0], scene->data_gpa, 16, NEXT, 0);
}

static void writable_self_loop(struct scene *scene)
{
	set(&scene->desc[0], scene->data_gpa, 16, NEXT | WRITE, 0);
}

static void empty_self_loop(struct scene *scene)
{
	set(&scene->desc[0], 0, 0, NEXT, 0);
}

static void huge_self_loop(struct scene *scene)
{
	set(&scene->desc[0], DRIVER_MEMORY_GPA, DRIVER_MEMORY_BYTES, NEXT, 0);
}

static void loop_of_two(struct scene *scene)
{
	set(&scene->desc[0], scene->data_gpa, 16, NEXT, 1);
	set(&scene->desc[1], scene->data_gpa, 16, NEXT | WRITE, 0);
}

static void loop_in_a_table(struct scene *scene)
{
	set(&scene->desc[0], scene->table_gpa, 4 * 16, INDIRECT, 0);
	set(&scene->table[0], scene->data_gpa, 16, NEXT, 1);
	set(&scene->table[1], scene->data_gpa, 16, NEXT, 0);
}

static void next_out_of_range(struct scene *scene)
{
	set(&scene->desc[0], scene->data_gpa, 16, NEXT, SIZE);
}

static void next_far_out_of_range(struct scene *scene)
{
	set(&scene->desc[0], scene->data_gpa, 16, NEXT, 0xffff);
}

static void sound_table(struct scene *scene)
{
	set(&scene->desc[0], scene->table_gpa, 16, INDIRECT, 0);
	set(&scene->table[0], scene->data_gpa, 16, 0, 0);
}

static void table_in_a_table(struct scene *scene)
{
	set(&scene->desc[0], scene->table_gpa, 16, INDIRECT, 0);
	set(&scene->table[0], scene->table_gpa, 16, INDIRECT, 0);
}

static void empty_table(struct scene *scene)
{
	set(&scene->desc[0], scene->table_gpa, 0, INDIRECT, 0);
}

static void table_of_a_byte(struct scene *scene)
{
	set(&scene->desc[0], scene->table_gpa, 1, INDIRECT, 0);
}

static void table_short_of_a_byte(struct scene *scene)
{
	set(&scene->desc[0], scene->table_gpa, 15, INDIRECT, 0);
}

static void table_and_a_byte(struct scene *scene)
{
	set(&scene->table[0], scene->data_gpa, 16, 0, 0);
	set(&scene->desc[0], scene->table_gpa, 17, INDIRECT, 0);
}

static void table_of_4_gib(struct scene *scene)
{
	set(&scene->desc[0], scene->table_gpa, 0xfffffff0, INDIRECT, 0);
}

static void table_that_wraps(struct scene *scene)
{
	set(&scene->desc[0], UINT64_MAX - 15, 32, INDIRECT, 0);
}

static void table_with_a_next(struct scene *scene)
{
	set(&scene->table[0], scene->data_gpa, 16, 0, 0);
	set(&scene->desc[0], scene->table_gpa, 16, INDIRECT | NEXT, 1);
	set(&scene->desc[1], scene->data_gpa, 16, 0, 0);
}

static void table_next_out_of_range(struct scene *scene)
{
	set(&scene->desc[0], scene->table_gpa, 2 * 16, INDIRECT, 0);
	set(&scene->table[0], scene->data_gpa, 16, NEXT, 2);
}

static void ring_as_a_table(struct scene *scene)
{
	set(&scene->desc[0], DRIVER_MEMORY_GPA, SIZE * 16, INDIRECT, 0);
}

static void malformed_then_corrupt(struct scene *scene)
{
	set(&scene->desc[0], 0, 16, NEXT, 1);
	set(&scene->desc[1], scene->data_gpa, 16, NEXT, 0xffff);
}

static void buffer_that_wraps(struct scene *scene)
{
	set(&scene->desc[0], UINT64_MAX - 7, 16, WRITE, 0);
}

static void buffer_at_zero(struct scene *scene)
{
	set(&scene->desc[0], 0, 16, WRITE, 0);
}

static void buffer_in_the_apic(struct scene *scene)
{
	set(&scene->desc[0], 0xfee00000, 16, WRITE, 0);
}

static void bad_buffer_before_a_good_one(struct scene *scene)
{
	set(&scene->desc[0], 0, 16, NEXT | WRITE, 1);
	set(&scene->desc[1], scene->data_gpa, 16, WRITE, 0);
}

static void buffer_past_the_end(struct scene *scene)
{
	set(&scene->desc[0], RAM_END - 8, 9, WRITE, 0);
}

static void writable_before_readable(struct scene *scene)
{
	set(&scene->desc[0], scene->data_gpa, 16, NEXT | WRITE, 1);
	set(&scene->desc[1], scene->data_gpa, 16, 0, 0);
}

static void more_than_4_gib(struct scene *scene)
{
	for (unsigned i = 0; i < 64; i++)
		set(&scene->desc[i], DRIVER_MEMORY_GPA, DRIVER_MEMORY_BYTES, i < 63 ? NEXT : 0,
		    i + 1);
}

static void table_of_too_many(struct scene *scene)
{
	set(&scene->desc[0], scene->table_gpa, (VIRTQUEUE_MAX + 1) * 16, INDIRECT, 0);
}

static void too_many_parts(struct scene *scene)
{
	set(&scene->desc[0], scene->data_gpa, 16, NEXT, 1);
	set(&scene->desc[1], scene->table_gpa, VIRTQUEUE_MAX * 16, INDIRECT, 0);
	for (unsigned i = 0; i < VIRTQUEUE_MAX; i++)
		set(&scene->table[i], scene->data_gpa, 16, i + 1 < VIRTQUEUE_MAX ? NEXT : 0, i + 1);
}

enum outcome { DEAD, ENDED };

static const struct {
	const char *name;
	void (*make)(struct scene *scene);
	enum outcome outcome;
	uint64_t refused;
} chains[] = {
	{ "H01 self loop", self_loop, DEAD },
	{ "H01 writable self loop", writable_self_loop, DEAD },
	{ "H01 empty self loop", empty_self_loop, DEAD },
	{ "H01 self loop of more than 4 GiB", huge_self_loop, DEAD },
	{ "H02 loop of two", loop_of_two, DEAD },
	{ "H02 loop in a table", loop_in_a_table, DEAD },
	{ "H03 next out of range", next_out_of_range, DEAD },
	{ "H03 next far out of range", next_far_out_of_range, DEAD },
	{ "H03 malformed, then corrupt", malformed_then_corrupt, DEAD },
	{ "H10 table that wraps", table_that_wraps, DEAD },
	{ "H17 table not negotiated", sound_table, DEAD,
	  BIT64(VIRTIO_RING_F_INDIRECT_DESC) },
	{ "H18 table in a table", table_in_a_table, DEAD },
	{ "H19 empty table", empty_table, DEAD },
	{ "H19 table of 1 byte", table_of_a_byte, DEAD },
	{ "H19 table of 15 bytes", table_short_of_a_byte, DEAD },
	{ "H19 table of 17 bytes", table_and_a_byte, DEAD },
	{ "H20 table of 4 GiB", table_of_4_gib, DEAD },
	{ "H21 table with a next", table_with_a_next, DEAD },
	{ "H22 next out of a table", table_next_out_of_range, DEAD },
	{ "H23 ring as a table", ring_as_a_table, DEAD },
	{ "H08 too many parts", too_many_parts, ENDED },
	{ "H09 more than 4 GiB", more_than_4_gib, ENDED },
	{ "H10 buffer that wraps", buffer_that_wraps, ENDED },
	{ "H11 buffer at 0", buffer_at_zero, ENDED },
	{ "H11 buffer in the APIC", buffer_in_the_apic, ENDED },
	{ "H11 bad buffer before a good one", bad_buffer_before_a_good_one, ENDED },
	{ "H12 buffer past the end", buffer_past_the_end, ENDED },
	{ "H15 writable before readable", writable_before_readable, ENDED },
	{ "H20 table of too many entries", table_of_too_many, ENDED },
};

static void chains_no_driver_makes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(chains); i++) {
		struct driver *driver = begin(chains[i].refused);
		struct scene scene = { .desc = driver->queues[0].desc };

		print_message("%s\n", chains[i].name);
		scene.table_gpa = driver_alloc(driver, (VIRTQUEUE_MAX + 1) * 16);
		scene.data_gpa = driver_alloc(driver, 4096);
		scene.table = driver_at(driver, scene.table_gpa);
		chains[i].make(&scene);
		show(&driver->queues[0], 0);
		if (chains[i].outcome == DEAD)
			expect_dead(driver);
		else
			expect_ended(driver, 0);
		driver_destroy(driver);
	}
}

/* H14, and C76: the WRITE flag of an indirect descriptor means nothing. */
static void odd_chains_that_are_served(void **state)
{
	struct driver *driver = begin(0);
	struct driver_queue *queue = &driver->queues[0];
	uint64_t table_gpa = driver_alloc(driver, 200 * 16) + 4; /* not aligned */
	struct driver_part answer = driver_in(driver, 8);
	struct vring_desc entry;
	uint32_t bytes;
	uint16_t head;

	(void)state;
	/* 100 empty parts at addresses that do not exist, one that counts, one more empty. */
	for (unsigned i = 0; i < 102; i++)
		set(&queue->desc[i], UINT64_MAX, 0, (i < 101 ? NEXT : 0) | (i & 1 ? WRITE : 0),
		    i + 1);
	set(&queue->desc[100], answer.gpa, 8, NEXT | WRITE, 101);
	show(queue, 0);
	assert_true(driver_wait(queue, &head, &bytes, DRIVER_TIMEOUT_MS));
	assert_int_equal(bytes, 8);

	/* Nothing but empty parts: a chain without a byte. */
	set(&queue->desc[0], 0, 0, 0, 0);
	show(queue, 0);
	assert_true(driver_wait(queue, &head, &bytes, DRIVER_TIMEOUT_MS));
	assert_int_equal(bytes, 0);

	set(&entry, answer.gpa, 8, WRITE, 0);
	memcpy((uint8_t *)driver_at(driver, table_gpa), &entry, sizeof(entry));
	set(&queue->desc[0], table_gpa, 16, INDIRECT | WRITE, 0);
	show(queue, 0);
	assert_true(driver_wait(queue, &head, &bytes, DRIVER_TIMEOUT_MS));
	assert_int_equal(bytes, 8);

	/* One readable part of the ring, then a table. */
	set(&queue->desc[1], answer.gpa, 8, NEXT, 0);
	show(queue, 1);
	assert_true(driver_wait(queue, &head, &bytes, DRIVER_TIMEOUT_MS));
	assert_int_equal(bytes, 8);
	driver_destroy(driver);
}

/* ---- The ring itself ---- */

static void head_out_of_range(void **state)
{
	static const uint16_t heads[] = { SIZE, SIZE + 1, 0xffff };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(heads); i++) {
		struct driver *driver = begin(0);

		show(&driver->queues[0], heads[i]);
		expect_dead(driver);
		driver_destroy(driver);
	}
}

static void available_index_jumps(void **state)
{
	static const uint16_t jumps[] = { SIZE + 1, 0x8000, 0xffff, 0xfffd };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(jumps); i++) {
		struct driver *driver = begin(0);
		struct driver_queue *queue = &driver->queues[0];

		for (unsigned j = 0; j < 5; j++)
			expect_service(driver);
		queue->avail_idx += jumps[i];
		driver_publish(queue);
		driver_kick_always(queue);
		expect_dead(driver);
		driver_destroy(driver);
	}
}

static void expect_one_head_refused(unsigned copies)
{
	struct driver *driver = begin(0);
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part part = driver_in(driver, 8);
	int head;

	probe_hold(driver, 0, false);
	head = driver_add(queue, &part, 1);
	driver_publish(queue);
	driver_kick(queue);
	probe_wait_held(driver, 0, 1);
	for (unsigned i = 0; i < copies; i++)
		driver_add_head(queue, (uint16_t)head);
	driver_publish(queue);
	driver_kick_always(queue);
	driver_wait_status(driver, VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(probe_held(driver, 0), 1);
	queue->used->ring[0].id = queue->used->ring[0].len = 0x5a5a5a5a;
	assert_int_equal(probe_answer(driver, 0, 1, 0), 1);
	assert_int_equal(queue->used->ring[0].id, 0x5a5a5a5a);
	assert_int_equal(queue->used->ring[0].len, 0x5a5a5a5a);
	probe_release(driver, 0);
	expect_dead(driver);
	driver_destroy(driver);
}

/* H07: the others are refused; the first ends on the host's side and nobody hears of it. */
static void head_offered_again_in_flight(void **state)
{
	(void)state;
	expect_one_head_refused(1);
	expect_one_head_refused(SIZE);
}

static void used_index_is_the_devices_own(void **state)
{
	struct driver *driver = begin(0);
	struct driver_queue *queue = &driver->queues[0];

	(void)state;
	expect_service(driver);
	__atomic_store_n(&queue->used->idx, 1000, __ATOMIC_RELEASE);
	queue->last_used = 1;
	/* Until the device writes its own again, this looks like 999 used chains. */
	show(queue, 0);
	for (int left = DRIVER_TIMEOUT_MS;
	     __atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE) != 2; left--) {
		struct timespec delay = { .tv_nsec = 1000000 };

		assert_true(left);
		nanosleep(&delay, NULL);
	}
	driver_destroy(driver);
}

/* H24: nothing to expect but that it ends, one way or the other, and resets. */
static void rings_on_top_of_each_other(void **state)
{
	struct driver *driver = begin(0);
	uint64_t gpa = driver_alloc(driver, 8192);

	(void)state;
	driver_reset(driver);
	assert_true(driver_negotiate(driver, driver->device->offered));
	for (unsigned part = VIRTIO_RING_DESC; part <= VIRTIO_RING_USED; part++)
		virtio_queue_set_address(driver->device, 0, part, gpa);
	virtio_queue_enable(driver->device, 0);
	memset(driver_at(driver, gpa), 1, 4096);
	virtio_set_status(driver->device, 0xf);
	for (unsigned i = 0; i < 100; i++)
		event_fd_signal(driver->device->queues[0].kick_fd);
	driver_reset(driver);
	driver_begin(driver);
	expect_service(driver);
	driver_destroy(driver);
}

/* H25 to H27. */
static void rings_that_can_not_be(void **state)
{
	static const struct {
		enum virtio_ring_part part;
		uint64_t gpa;
	} cases[] = {
		{ VIRTIO_RING_DESC, 0 },
		{ VIRTIO_RING_DESC, DRIVER_MEMORY_GPA + 8 },
		{ VIRTIO_RING_DESC, RAM_END - VIRTQUEUE_MAX * 16 + 16 },
		{ VIRTIO_RING_DESC, UINT64_MAX - 15 },
		{ VIRTIO_RING_AVAIL, 0 },
		{ VIRTIO_RING_AVAIL, DRIVER_MEMORY_GPA + 1 },
		{ VIRTIO_RING_AVAIL, RAM_END - VIRTQUEUE_MAX * 2 - 4 },
		{ VIRTIO_RING_USED, 0xfee00000 },
		{ VIRTIO_RING_USED, DRIVER_MEMORY_GPA + 2 },
		{ VIRTIO_RING_USED, RAM_END - VIRTQUEUE_MAX * 8 - 4 },
	};
	struct driver *driver = begin(0);

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		probe_refuses(driver, cases[i].part, cases[i].gpa);
	driver_reset(driver);
	driver_begin(driver);
	expect_service(driver);
	driver_destroy(driver);
}

/* ---- A vCPU that rewrites descriptors while they are walked ---- */

struct rewriter {
	struct vring_desc *desc;
	uint64_t data_gpa;
	_Atomic bool stop;
};

static void *rewrite(void *argument)
{
	static const uint16_t flags[] = { 0, NEXT, WRITE, NEXT | WRITE };
	struct rewriter *rewriter = argument;

	for (unsigned i = 0; !rewriter->stop; i++) {
		struct vring_desc *desc = &rewriter->desc[i % 8];

		__atomic_store_n(&desc->flags, htole16(flags[(i / 8) % 4]), __ATOMIC_RELAXED);
		__atomic_store_n(&desc->next, htole16((i * 7) % 8), __ATOMIC_RELAXED);
		__atomic_store_n(&desc->len, htole32(i & 16 ? UINT32_MAX : 16), __ATOMIC_RELAXED);
		__atomic_store_n(&desc->addr, htole64(i & 32 ? rewriter->data_gpa : i),
				 __ATOMIC_RELAXED);
	}
	return NULL;
}

static void descriptors_rewritten_during_the_walk(void **state)
{
	struct rewriter rewriter = { 0 };
	struct driver *driver = begin(0);
	pthread_t thread;

	(void)state;
#ifdef __SANITIZE_THREAD__
	skip(); /* a data race is what this is about */
#endif
	for (unsigned round = 0; round < 200; round++) {
		struct driver_queue *queue = &driver->queues[0];
		struct timespec delay = { .tv_nsec = 200000 };

		rewriter.desc = queue->desc;
		rewriter.data_gpa = driver_alloc(driver, 64);
		rewriter.stop = false;
		assert_int_equal(pthread_create(&thread, NULL, rewrite, &rewriter), 0);
		for (uint16_t i = 0; i < SIZE; i++)
			driver_add_head(queue, i % 8);
		driver_publish(queue);
		driver_kick_always(queue);
		nanosleep(&delay, NULL);
		rewriter.stop = true;
		pthread_join(thread, NULL);
		driver_reset(driver);
		driver_rewind(driver, DRIVER_MEMORY_GPA);
		driver_begin(driver);
	}
	expect_service(driver);
	driver_destroy(driver);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains_no_driver_makes),
		cmocka_unit_test(odd_chains_that_are_served),
		cmocka_unit_test(head_out_of_range),
		cmocka_unit_test(available_index_jumps),
		cmocka_unit_test(head_offered_again_in_flight),
		cmocka_unit_test(used_index_is_the_devices_own),
		cmocka_unit_test(rings_on_top_of_each_other),
		cmocka_unit_test(rings_that_can_not_be),
		cmocka_unit_test(descriptors_rewritten_during_the_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
