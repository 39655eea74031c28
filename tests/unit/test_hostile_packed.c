// SPDX-License-Identifier: MIT
/*
 * What a guest can write into a packed ring that no driver would: a request ends
 * (its id comes back with nothing written) or the device breaks until it is
 * reset, and nothing else happens (H31, and others of the list that apply).
 */
#include "tests/unit/unit.h"
#include "tests/unit/probe.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/fd.h"

#define SIZE 12 /* no power of two */
#define RAM_END (DRIVER_MEMORY_GPA + DRIVER_MEMORY_BYTES)

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT
#define AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED (1u << VRING_PACKED_DESC_F_USED)

static struct driver *begin(uint64_t refused)
{
	struct driver_config config = {
		.type = &virtio_probe,
		.refused = refused,
		.queue_size = SIZE,
	};
	struct driver *driver = driver_create(&config);

	driver_begin(driver);
	driver->queues[0].by_hand = true;
	return driver;
}

static void expect_service(struct driver *driver)
{
	struct driver_part part = driver_in(driver, 8);

	driver->queues[0].by_hand = false;
	assert_int_equal(driver_request(&driver->queues[0], &part, 1), 8);
}

static void start_again(struct driver *driver)
{
	driver_reset(driver);
	driver_rewind(driver, DRIVER_MEMORY_GPA);
	driver_begin(driver);
	driver->queues[0].by_hand = true;
}

static void show(struct driver_queue *queue)
{
	driver_publish(queue);
	driver_kick_always(queue);
}

/* Broken: said so, used nothing, and a reset brings it back. */
static void expect_dead(struct driver *driver)
{
	driver_wait_status(driver, VIRTIO_CONFIG_S_NEEDS_RESET);
	driver_kick_always(&driver->queues[0]);
	assert_int_equal(virtio_device_pause(driver->device, DRIVER_TIMEOUT_MS), 0);
	virtio_device_resume(driver->device);
	assert_false(driver_has_used(&driver->queues[0]));
	start_again(driver);
	expect_service(driver);
}

/* Used, with this id and so many bytes, and the device lives. */
static void expect_used(struct driver *driver, uint16_t id, uint32_t written)
{
	uint32_t bytes;
	uint16_t got;

	assert_true(driver_wait(&driver->queues[0], &got, &bytes, DRIVER_TIMEOUT_MS));
	assert_int_equal(got, id);
	assert_int_equal(bytes, written);
	assert_false(virtio_get_status(driver->device) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* ---- Lists of descriptors ---- */

#define DATA 0  /* stands for the address of 4 KiB of memory */
#define TABLE 1 /* of a table of 5 sound entries */
#define LIST_MAX 14

enum outcome { DEAD, ENDED, SERVED };

static const struct {
	const char *name;
	enum outcome outcome;
	uint64_t refused;
	unsigned count;
	struct vring_packed_desc list[LIST_MAX]; /* AVAIL and USED flip what they should be */
} lists[] = {
	{ "next behind the last one available", DEAD, 0, 2,
	  { { DATA, 8, 1, WRITE | NEXT }, { DATA, 8, 1, WRITE | NEXT } } },
	{ "next, and the next one is of the last lap", DEAD, 0, 2,
	  { { DATA, 8, 1, WRITE | NEXT }, { DATA, 8, 1, WRITE | AVAIL | USED } } },
	{ "next, and the next one is used", DEAD, 0, 2,
	  { { DATA, 8, 1, WRITE | NEXT }, { DATA, 8, 1, WRITE | USED } } },
	{ "a list of the whole ring and a next", DEAD, 0, SIZE,
	  { { DATA, 8, 0, NEXT }, { DATA, 8, 0, NEXT }, { DATA, 8, 0, NEXT },
	    { DATA, 8, 0, NEXT }, { DATA, 8, 0, NEXT }, { DATA, 8, 0, NEXT },
	    { DATA, 8, 0, NEXT }, { DATA, 8, 0, NEXT }, { DATA, 8, 0, NEXT },
	    { DATA, 8, 0, NEXT }, { DATA, 8, 0, NEXT }, { DATA, 8, 0, NEXT } } },
	{ "malformed, then out of the ring", DEAD, 0, 2,
	  { { RAM_END, 8, 1, NEXT }, { DATA, 8, 1, NEXT } } },
	{ "H17 table not negotiated", DEAD, BIT64(VIRTIO_RING_F_INDIRECT_DESC), 1,
	  { { TABLE, 16, 1, INDIRECT } } },
	{ "H19 empty table", DEAD, 0, 1, { { TABLE, 0, 1, INDIRECT } } },
	{ "H19 table of 15 bytes", DEAD, 0, 1, { { TABLE, 15, 1, INDIRECT } } },
	{ "H19 table of 17 bytes", DEAD, 0, 1, { { TABLE, 17, 1, INDIRECT } } },
	{ "H20 table of 4 GiB", DEAD, 0, 1, { { TABLE, 0xfffffff0, 1, INDIRECT } } },
	{ "H10 table that wraps", DEAD, 0, 1, { { UINT64_MAX - 15, 32, 1, INDIRECT } } },
	{ "H21 table with a next", DEAD, 0, 2,
	  { { TABLE, 16, 1, INDIRECT | NEXT }, { DATA, 8, 1, WRITE } } },
	{ "table in a list", DEAD, 0, 2, { { DATA, 8, 1, NEXT }, { TABLE, 16, 1, INDIRECT } } },
	{ "H20 table of too many entries", ENDED, 0, 1,
	  { { DRIVER_MEMORY_GPA, (VIRTQUEUE_MAX + 1) * 16, 7, INDIRECT } } },
	{ "H10 buffer that wraps", ENDED, 0, 1, { { UINT64_MAX - 7, 16, 7, WRITE } } },
	{ "H11 buffer in the APIC", ENDED, 0, 1, { { 0xfee00000, 16, 7, WRITE } } },
	{ "H12 buffer past the end", ENDED, 0, 1, { { RAM_END - 8, 9, 7, WRITE } } },
	{ "H15 writable before readable", ENDED, 0, 1 + 1,
	  { { DATA, 16, 9, WRITE | NEXT }, { DATA, 16, 7, 0 } } },
	{ "H14 empty parts", SERVED, 0, 4,
	  { { UINT64_MAX, 0, 9, NEXT }, { UINT64_MAX, 0, 9, WRITE | NEXT },
	    { DATA, 8, 9, WRITE | NEXT }, { UINT64_MAX, 0, 7, 0 } } },
	{ "flags that mean nothing", SERVED, 0, 1, { { DATA, 8, 7, WRITE | 0x7f78 } } },
	{ "C84 a table, beside WRITE", SERVED, 0, 1, { { TABLE, 5 * 16, 7, INDIRECT | WRITE } } },
};

/* 2.8.7: ids and flags other than WRITE mean nothing in a table. */
static uint64_t make_table(struct driver *driver, uint64_t data)
{
	static const uint16_t flags[5] = { NEXT, 0, INDIRECT | NEXT, WRITE | INDIRECT,
					   WRITE | NEXT | AVAIL };
	uint64_t gpa = driver_alloc(driver, 16 + 5 * 16) + 4; /* not aligned */

	for (unsigned i = 0; i < 5; i++) {
		struct vring_packed_desc entry = { htole64(data), htole32(8), 0xffff,
						   htole16(flags[i]) };

		memcpy((uint8_t *)driver_at(driver, gpa) + i * 16, &entry, sizeof(entry));
	}
	return gpa;
}

static void lists_no_driver_makes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
		struct driver *driver = begin(lists[i].refused);
		uint64_t data = driver_alloc(driver, 4096);
		uint64_t table = make_table(driver, data);

		print_message("%s\n", lists[i].name);
		for (unsigned j = 0; j < lists[i].count; j++) {
			struct vring_packed_desc desc = lists[i].list[j];

			desc.addr = desc.addr == DATA ? data : desc.addr == TABLE ? table :
								       desc.addr;
			driver_packed_write(&driver->queues[0], &desc);
		}
		show(&driver->queues[0]);
		if (lists[i].outcome == DEAD) {
			expect_dead(driver);
		} else {
			expect_used(driver, 7, lists[i].outcome == SERVED ? 8 : 0);
			assert_int_equal(probe_of(driver)->counts.served,
					 lists[i].outcome == SERVED);
		}
		driver_destroy(driver);
	}
}

/* ---- Ids ---- */

/* An id is the driver's own: any, and also the same for all. */
static void ids_are_given_back_as_they_are(void **state)
{
	static const uint16_t ids[] = { 0, SIZE, SIZE + 1, 0x7fff, 0x8000, 0xffff, 5, 5, 5, 5 };
	struct driver *driver = begin(0);
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part part = driver_in(driver, 8);

	(void)state;
	probe_hold(driver, 0, false);
	for (unsigned i = 0; i < ARRAY_SIZE(ids); i++)
		driver_packed_write(queue, &(struct vring_packed_desc){ part.gpa, 8, ids[i],
									WRITE });
	show(queue);
	probe_wait_held(driver, 0, ARRAY_SIZE(ids));
	assert_int_equal(probe_answer(driver, 0, ARRAY_SIZE(ids), 0), ARRAY_SIZE(ids));
	for (unsigned i = 0; i < ARRAY_SIZE(ids); i++)
		expect_used(driver, ids[i], 8);
	driver_destroy(driver);
}

/* ---- Laps ---- */

/* The whole ring is in flight, and the guest makes it available anew. */
static void more_in_flight_than_the_ring_has(void **state)
{
	struct driver *driver = begin(0);
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part part = driver_in(driver, 8);

	(void)state;
	probe_hold(driver, 0, false);
	for (unsigned i = 0; i < SIZE; i++)
		driver_packed_write(queue, &(struct vring_packed_desc){ part.gpa, 8, 1, WRITE });
	show(queue);
	probe_wait_held(driver, 0, SIZE);
	driver_packed_write(queue, &(struct vring_packed_desc){ part.gpa, 8, 1, WRITE });
	show(queue);
	driver_wait_status(driver, VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(probe_answer(driver, 0, SIZE, 0), SIZE);
	probe_release(driver, 0);
	expect_dead(driver);
	driver_destroy(driver);
}

/* C80: what is not marked available in this lap is not touched, however often one kicks. */
static void wrong_laps_are_not_available(void **state)
{
	static const uint16_t flips[] = { AVAIL, USED, AVAIL | USED };
	struct driver *driver = begin(0);
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part part = driver_in(driver, 8);

	(void)state;
	for (unsigned lap = 0; lap < 2; lap++) {
		for (unsigned i = 0; i < ARRAY_SIZE(flips); i++) {
			struct driver_packed before = queue->packed;

			driver_packed_write(queue, &(struct vring_packed_desc){
				part.gpa, 8, 1, WRITE | flips[i] });
			show(queue);
			probe_settle(driver);
			assert_int_equal(probe_of(driver)->counts.served, lap * SIZE);
			queue->packed.next_avail = before.next_avail;
		}
		for (unsigned i = 0; i < SIZE; i++) {
			driver_packed_write(queue, &(struct vring_packed_desc){ part.gpa, 8, 3,
										WRITE });
			show(queue);
			expect_used(driver, 3, 8);
		}
	}
	driver_destroy(driver);
}

/* Flags 3, DESC without EVENT_IDX, places outside of the ring: interrupts, or none; no hang. */
static void event_areas_of_nonsense(void **state)
{
	static const uint32_t areas[] = { 0x00030000, 0xffffffff, 0xfffc0000, 0x00027fff,
					  0x0002ffff, 0x0002000c, 0x00028abc };

	(void)state;
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(areas); i++) {
		struct driver *driver = begin(i & 1 ? BIT64(VIRTIO_RING_F_EVENT_IDX) : 0);
		struct driver_queue *queue = &driver->queues[0];
		struct driver_part part = driver_in(driver, 8);
		uint32_t area = areas[i / 2];
		unsigned flags = area >> 16 & 3;

		for (unsigned j = 0; j < 3 * SIZE; j++) {
			__atomic_store_n((uint32_t *)queue->packed.driver_event, htole32(area),
					 __ATOMIC_RELAXED);
			event_fd_drain(queue->queue->call_fd);
			driver_packed_write(queue, &(struct vring_packed_desc){ part.gpa, 8, 3,
										WRITE });
			show(queue);
			while (!driver_has_used(queue))
				probe_settle(driver);
			expect_used(driver, 3, 8);
			probe_settle(driver);
			if (flags == 3 || (flags == VRING_PACKED_EVENT_FLAG_DESC && i & 1))
				assert_int_equal(event_fd_drain(queue->queue->call_fd), 1);
		}
		driver_destroy(driver);
	}
}

/* H25 to H27. */
static void areas_that_can_not_be(void **state)
{
	static const struct {
		enum virtio_ring_part part;
		uint64_t gpa;
	} cases[] = {
		{ VIRTIO_RING_DESC, 0 },
		{ VIRTIO_RING_DESC, DRIVER_MEMORY_GPA + 8 },
		{ VIRTIO_RING_DESC, RAM_END - VIRTQUEUE_MAX * 16 + 16 },
		{ VIRTIO_RING_AVAIL, RAM_END },
		{ VIRTIO_RING_AVAIL, DRIVER_MEMORY_GPA + 2 },
		{ VIRTIO_RING_USED, 0xfee00000 },
		{ VIRTIO_RING_USED, DRIVER_MEMORY_GPA + 1 },
		{ VIRTIO_RING_USED, UINT64_MAX - 3 },
	};
	struct driver *driver = begin(0);

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		probe_refuses(driver, cases[i].part, cases[i].gpa);
	start_again(driver);
	expect_service(driver);
	driver_destroy(driver);
}

/* A size that only a packed ring may have, and then the split one is negotiated. */
static void odd_size_for_a_split_ring(void **state)
{
	struct driver *driver = begin(0);
	struct virtio_device *device = driver->device;

	(void)state;
	driver_reset(driver);
	virtio_set_status(device, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	virtio_set_driver_features(device, 1, (uint32_t)(device->offered >> 32));
	virtio_queue_set_size(device, 0, SIZE);
	for (unsigned part = VIRTIO_RING_DESC; part <= VIRTIO_RING_USED; part++)
		virtio_queue_set_address(device, 0, part, DRIVER_MEMORY_GPA + part * 0x10000);
	virtio_queue_enable(device, 0);
	virtio_set_driver_features(device, 1, 1); /* VERSION_1 alone */
	virtio_set_status(device, 0xb);
	virtio_set_status(device, 0xf);
	assert_int_equal(virtio_get_status(device), 0xf | VIRTIO_CONFIG_S_NEEDS_RESET);
	start_again(driver);
	expect_service(driver);
	driver_destroy(driver);
}

/* ---- A vCPU that rewrites the ring while it is walked (H28, H30) ---- */

struct rewriter {
	struct driver_packed packed;
	uint64_t data_gpa;
	_Atomic bool stop;
};

static void *rewrite(void *argument)
{
	static const uint16_t flags[] = { AVAIL | WRITE, USED | NEXT, AVAIL | NEXT | WRITE, USED,
					  AVAIL | USED, INDIRECT | AVAIL, 0 };
	struct rewriter *rewriter = argument;

	for (unsigned i = 0; !rewriter->stop; i++) {
		struct vring_packed_desc *desc = &rewriter->packed.ring[i % SIZE];

		__atomic_store_n(&desc->len, htole32(i & 16 ? UINT32_MAX : 16), __ATOMIC_RELAXED);
		__atomic_store_n(&desc->addr, htole64(i & 32 ? rewriter->data_gpa : i),
				 __ATOMIC_RELAXED);
		__atomic_store_n(&desc->id, htole16(i), __ATOMIC_RELAXED);
		__atomic_store_n(&desc->flags, htole16(flags[(i / SIZE) % ARRAY_SIZE(flags)]),
				 __ATOMIC_RELAXED);
		__atomic_store_n((uint32_t *)rewriter->packed.driver_event, i * 2654435761u,
				 __ATOMIC_RELAXED);
	}
	return NULL;
}

static void ring_rewritten_during_the_walk(void **state)
{
	struct driver *driver = begin(0);

	(void)state;
#ifdef __SANITIZE_THREAD__
	skip(); /* a data race is what this is about */
#endif
	for (unsigned round = 0; round < 200; round++) {
		struct timespec delay = { .tv_nsec = 200000 };
		struct rewriter rewriter = {
			.packed = driver->queues[0].packed,
			.data_gpa = driver_alloc(driver, 64),
		};
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, rewrite, &rewriter), 0);
		for (unsigned i = 0; i < 8; i++) {
			driver_kick_always(&driver->queues[0]);
			nanosleep(&delay, NULL);
		}
		rewriter.stop = true;
		pthread_join(thread, NULL);
		start_again(driver);
	}
	expect_service(driver);
	driver_destroy(driver);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_no_driver_makes),
		cmocka_unit_test(ids_are_given_back_as_they_are),
		cmocka_unit_test(more_in_flight_than_the_ring_has),
		cmocka_unit_test(wrong_laps_are_not_available),
		cmocka_unit_test(event_areas_of_nonsense),
		cmocka_unit_test(areas_that_can_not_be),
		cmocka_unit_test(odd_size_for_a_split_ring),
		cmocka_unit_test(ring_rewritten_during_the_walk),
	};

	driver_offer_packed(true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
