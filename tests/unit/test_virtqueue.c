// SPDX-License-Identifier: MIT
/*
 * A ring, split or packed, between the in-memory driver and the probe: what must
 * be served is, in every layout and at every size, and no wake-up is lost.
 */
#include "tests/unit/unit.h"
#include "tests/unit/probe.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fd.h"

#define NO_EVENT_IDX BIT64(VIRTIO_RING_F_EVENT_IDX)
#define LOOKS_FOR_EVER_NS UINT64_C(3600000000000)
#define NO_INDIRECT BIT64(VIRTIO_RING_F_INDIRECT_DESC)

static struct driver *begin_polled(uint64_t refused, uint16_t queue_size, uint64_t poll_ns)
{
	struct driver_config config = {
		.type = &virtio_probe,
		.refused = refused,
		.queue_size = queue_size,
		.poll_ns = poll_ns,
	};
	struct driver *driver = driver_create(&config);

	driver_begin(driver);
	return driver;
}

static struct driver *begin(uint64_t refused, uint16_t queue_size)
{
	return begin_polled(refused, queue_size, 0);
}

static uint64_t answer_at(struct driver *driver, const struct driver_part *part)
{
	return load_le64(driver_at(driver, part->gpa));
}

/* ---- Sizes, layouts, wrap ---- */

/* `total` requests, as many at a time as fit; each is checked. */
static void stream(struct driver *driver, unsigned total)
{
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part (*parts)[2] = calloc(queue->size, sizeof(*parts));
	uint64_t *expected = calloc(queue->size, sizeof(*expected));
	unsigned added = 0, taken = 0, in_flight = 0;
	uint16_t *free_slots = calloc(queue->size, sizeof(*free_slots));
	uint16_t *slot_of = calloc(queue->size, sizeof(*slot_of));

	for (unsigned i = 0; i < queue->size; i++) {
		parts[i][0] = driver_out(driver, &i, sizeof(i));
		parts[i][1] = driver_in(driver, 8);
		free_slots[i] = (uint16_t)i;
	}
	while (taken < total) {
		uint32_t bytes;
		uint16_t head;
		int added_head = 0;

		while (added < total && in_flight < queue->size && added_head >= 0) {
			uint16_t slot = free_slots[queue->size - 1u - in_flight];
			unsigned *value = driver_at(driver, parts[slot][0].gpa);

			*value = added;
			added_head = driver_add(queue, parts[slot], 2);
			if (added_head < 0)
				break;
			expected[slot] = probe_hash(PROBE_HASH_START, (uint8_t *)value,
						    sizeof(*value));
			slot_of[added_head] = slot;
			added++;
			in_flight++;
		}
		driver_publish(queue);
		driver_kick(queue);
		assert_true(driver_wait(queue, &head, &bytes, DRIVER_TIMEOUT_MS));
		do {
			uint16_t slot = slot_of[head];

			assert_int_equal(bytes, 8);
			assert_int_equal(answer_at(driver, &parts[slot][1]), expected[slot]);
			in_flight--;
			free_slots[queue->size - 1u - in_flight] = slot;
			taken++;
		} while (driver_take(queue, &head, &bytes));
	}
	assert_int_equal(in_flight, 0);
	free(slot_of);
	free(free_slots);
	free(expected);
	free(parts);
}

/* Direct chains of two parts do not fit a queue of one. */
static void each_size_and_layout_is_served(void **state)
{
	static const uint16_t sizes[] = { 1, 2, 256, VIRTQUEUE_MAX, 3, 5, 255, VIRTQUEUE_MAX - 1 };
	unsigned size_count = driver_offers_packed() ? ARRAY_SIZE(sizes) : 4; /* C81 */
	static const uint64_t refused[] = { 0, NO_EVENT_IDX, NO_INDIRECT,
					    NO_EVENT_IDX | NO_INDIRECT };

	(void)state;
	for (unsigned i = 0; i < size_count; i++)
		for (unsigned j = 0; j < ARRAY_SIZE(refused); j++) {
			struct driver *driver;

			if (sizes[i] == 1 && (refused[j] & NO_INDIRECT))
				continue;
			driver = begin(refused[j], sizes[i]);
			stream(driver, sizes[i] * 4u + 100);
			driver_destroy(driver);
		}
}

static void indices_wrap(void **state)
{
	static const uint64_t refused[] = { 0, NO_EVENT_IDX };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
		struct driver *driver = begin(refused[i], 256);

		stream(driver, 70000);
		assert_in_range(driver->queues[0].avail_idx, 4000, 5000); /* it did wrap */
		driver_destroy(driver);
	}
}

/* A split ring as it is after so many requests. */
static void start_at(struct driver *driver, uint16_t place)
{
	struct driver_queue *queue = &driver->queues[0];

	assert_int_equal(virtio_device_pause(driver->device, DRIVER_TIMEOUT_MS), 0);
	queue->queue->next_avail = queue->queue->next_used = place;
	queue->avail_idx = queue->kicked_idx = queue->last_used = place;
	queue->avail->idx = queue->used->idx = htole16(place);
	virtio_device_resume(driver->device);
}

/* A split ring's indices have 16 bits; a packed one's wrap each lap. */
static void indices_wrap_at_size_one(void **state)
{
	const unsigned requests = 66000;
	unsigned laps = unit_rounds(requests);
	struct driver *driver = begin(0, 1);

	(void)state;
	if (!driver_offers_packed())
		start_at(driver, (uint16_t)(requests - laps));
	stream(driver, laps);
	if (!driver_offers_packed())
		assert_int_equal(driver->queues[0].avail_idx, requests - 65536);
	driver_destroy(driver);
}

/* ---- Chains ---- */

static void request_in_pieces(struct driver *driver, unsigned count, bool indirect)
{
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part *parts = calloc(count, sizeof(*parts));
	uint64_t mark = driver_mark(driver), hash = PROBE_HASH_START;
	uint8_t answer[8];

	queue->indirect = indirect;
	for (unsigned i = 0; i + 1 < count; i++) {
		uint8_t bytes[3] = { i, i >> 8, 0xa5 };

		parts[i] = driver_out(driver, bytes, 1 + i % 3);
		hash = probe_hash(hash, bytes, parts[i].bytes);
	}
	parts[count - 1] = driver_in(driver, 16);
	assert_int_equal(driver_request(queue, parts, count), 8);
	memcpy(answer, driver_at(driver, parts[count - 1].gpa), 8);
	assert_int_equal(load_le64(answer), hash);
	driver_rewind(driver, mark);
	/* Its tables were above the mark. */
	memset(queue->tables, 0, queue->size * sizeof(*queue->tables));
	free(parts);
}

static void chains_of_every_length_are_served(void **state)
{
	static const unsigned counts[] = { 1, 2, 3, 6, 7, 8, 9, 63, 64 };
	struct driver *driver = begin(0, 64);

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
		request_in_pieces(driver, counts[i], false);
		request_in_pieces(driver, counts[i], true);
	}
	/* A table may hold more than the ring: as much as one host call takes. */
	request_in_pieces(driver, 500, true);
	request_in_pieces(driver, VIRTQUEUE_MAX, true);
	driver_destroy(driver);
}

static void many_long_chains_at_once(void **state)
{
	struct driver *driver = begin(0, 64);
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part parts[40];
	uint32_t bytes;
	uint16_t head;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++)
		parts[i] = driver_in(driver, 4);
	for (unsigned round = 0; round < 3; round++) {
		probe_hold(driver, 0, false);
		for (unsigned i = 0; i < 64; i++)
			assert_true(driver_add(queue, parts, ARRAY_SIZE(parts)) >= 0);
		driver_publish(queue);
		driver_kick(queue);
		probe_wait_held(driver, 0, 64);
		probe_release(driver, 0);
		assert_int_equal(probe_answer(driver, 0, 64, round), 64);
		for (unsigned i = 0; i < 64; i++) {
			assert_true(driver_wait(queue, &head, &bytes, DRIVER_TIMEOUT_MS));
			assert_int_equal(bytes, 8);
		}
	}
	driver_destroy(driver);
}

/* ---- Notifications ---- */

static void use_one(struct driver *driver, const struct driver_part *part)
{
	struct driver_queue *queue = &driver->queues[0];
	uint32_t bytes;
	uint16_t head;

	assert_true(driver_add(queue, part, 1) >= 0);
	driver_publish(queue);
	driver_kick(queue);
	for (int left = DRIVER_TIMEOUT_MS; !driver_take(queue, &head, &bytes); left--) {
		struct timespec delay = { .tv_nsec = 1000000 };

		assert_true(left);
		nanosleep(&delay, NULL);
	}
	probe_settle(driver);
}

static void event_index_says_when_to_interrupt(void **state)
{
	struct driver *driver = begin(0, 16);
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part part = driver_in(driver, 8);

	(void)state;
	event_fd_drain(queue->queue->call_fd);
	if (!queue->is_packed) /* the flag means nothing now */
		driver_interrupts(queue, false);
	/* Up and past the end of a packed ring: one when used passes the event, else none. */
	for (unsigned i = 0; i < 3; i++) {
		uint16_t event = queue->last_used + 3;

		driver_interrupt_after(queue, 3);
		for (unsigned j = 0; j < 6; j++) {
			uint16_t before = queue->last_used;

			use_one(driver, &part);
			assert_int_equal(event_fd_drain(queue->queue->call_fd), before == event);
		}
	}
	driver_destroy(driver);
}

static void event_index_wraps(void **state)
{
	struct driver *driver = begin(0, 16);
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part part = driver_in(driver, 8);

	(void)state;
	stream(driver, 65533); /* 3 before the end, whichever ring it is */
	probe_settle(driver);
	event_fd_drain(queue->queue->call_fd);
	driver_interrupt_after(queue, 2);
	use_one(driver, &part);
	use_one(driver, &part);
	assert_int_equal(event_fd_drain(queue->queue->call_fd), 0);
	use_one(driver, &part); /* the used index from 0xffff to 0 */
	assert_int_equal(event_fd_drain(queue->queue->call_fd), 1);
	use_one(driver, &part);
	assert_int_equal(event_fd_drain(queue->queue->call_fd), 0);
	driver_destroy(driver);
}

/* An event that was passed before a pause is not passed again after it. */
static void event_index_outlives_a_pause(void **state)
{
	struct driver *driver = begin(0, 16);
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part part = driver_in(driver, 8);

	(void)state;
	driver_interrupt_after(queue, 2);
	for (unsigned i = 0; i < 5; i++)
		use_one(driver, &part);
	assert_int_equal(virtio_device_pause(driver->device, DRIVER_TIMEOUT_MS), 0);
	virtio_device_resume(driver->device);
	event_fd_drain(queue->queue->call_fd);
	use_one(driver, &part);
	assert_int_equal(event_fd_drain(queue->queue->call_fd), 0);
	driver_destroy(driver);
}

static void flags_say_whether_to_interrupt(void **state)
{
	struct driver *driver = begin(NO_EVENT_IDX, 16);
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part part = driver_in(driver, 8);

	(void)state;
	event_fd_drain(queue->queue->call_fd);
	if (!queue->is_packed) /* a used event is not looked at */
		__atomic_store_n(&queue->avail->ring[queue->size], htole16(0x7000),
				 __ATOMIC_RELAXED);
	use_one(driver, &part);
	assert_int_equal(event_fd_drain(queue->queue->call_fd), 1);
	driver_interrupts(queue, false);
	use_one(driver, &part);
	assert_int_equal(event_fd_drain(queue->queue->call_fd), 0);
	driver_interrupts(queue, true);
	use_one(driver, &part);
	assert_int_equal(event_fd_drain(queue->queue->call_fd), 1);
	driver_destroy(driver);
}

static void one_batch_makes_one_interrupt(void **state)
{
	struct driver *driver = begin(NO_EVENT_IDX, 64);
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part part = driver_in(driver, 8);

	(void)state;
	probe_hold(driver, 0, false);
	for (unsigned i = 0; i < 50; i++)
		driver_add(queue, &part, 1);
	driver_publish(queue);
	driver_kick(queue);
	probe_wait_held(driver, 0, 50);
	event_fd_drain(queue->queue->call_fd);
	assert_int_equal(probe_answer(driver, 0, 50, 3), 50);
	probe_settle(driver);
	assert_int_equal(event_fd_drain(queue->queue->call_fd), 1);
	driver_destroy(driver);
}

static void spurious_kicks_are_harmless(void **state)
{
	struct driver *driver = begin(0, 16);
	struct driver_part part = driver_in(driver, 8);

	(void)state;
	for (unsigned i = 0, kicks = unit_rounds(20000); i < kicks; i++)
		driver_kick_always(&driver->queues[0]);
	assert_int_equal(driver_request(&driver->queues[0], &part, 1), 8);
	driver_destroy(driver);
}

/* The avail event is where the device is: the next buffer, and no other, needs a kick. */
static void idle_queue_asks_for_a_kick(void **state)
{
	struct driver *driver = begin(0, 16);
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part part = driver_in(driver, 8);
	uint64_t kicks;

	(void)state;
	use_one(driver, &part);
	kicks = queue->kicks;
	use_one(driver, &part);
	assert_int_equal(queue->kicks, kicks + 1);
	if (!queue->is_packed)
		assert_int_equal(__atomic_load_n(&queue->used->flags, __ATOMIC_RELAXED), 0);
	driver_destroy(driver);
}

static void spin(unsigned turns)
{
	for (volatile unsigned i = 0; i < turns; i++)
		;
}

/* While the worker looks it asks for no kick, and needs none: which it is, only it knows. */
static void polled_queue_needs_no_kick(void **state)
{
	static const uint64_t refused[] = { 0, NO_EVENT_IDX };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
		struct driver *driver = begin_polled(refused[i], 8, LOOKS_FOR_EVER_NS);
		struct driver_queue *queue = &driver->queues[0];
		struct driver_part part = driver_in(driver, 8);
		uint64_t requests = 0;

		use_one(driver, &part);
		while (queue->kicks > requests++ && requests < 1000000)
			use_one(driver, &part);
		assert_true(queue->kicks < requests);
		/* A queue that has stopped is not looked at. */
		driver_reset(driver);
		driver_begin(driver);
		use_one(driver, &part);
		driver_destroy(driver);
	}
}

/*
 * Single publishes at all distances from the device's look at an empty ring. A
 * kick that is wrongly left out, by either side, shows as a wait without end.
 */
static void no_wake_up_is_lost(void **state)
{
	static const uint64_t refused[] = { 0, NO_EVENT_IDX, 0, NO_EVENT_IDX, 0 };
	static const uint64_t poll_ns[] = { 0, 0, 1, 2000, 50000 };
	unsigned rounds = unit_rounds(20000), seed = 1;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
		struct driver *driver = begin_polled(refused[i], 8, poll_ns[i]);
		struct driver_queue *queue = &driver->queues[0];
		struct driver_part part = driver_in(driver, 8);
		uint32_t bytes;
		uint16_t head;

		for (unsigned round = 0; round < rounds; round++) {
			unsigned count = 1 + round % 4;

			for (unsigned j = 0; j < count; j++) {
				seed = seed * 1103515245u + 12345;
				assert_true(driver_add(queue, &part, 1) >= 0);
				driver_publish(queue);
				driver_kick(queue);
				spin((seed >> 8) % 4096);
			}
			for (unsigned j = 0; j < count; j++)
				assert_true(driver_wait(queue, &head, &bytes, DRIVER_TIMEOUT_MS));
		}
		driver_destroy(driver);
	}
}

/* ---- Fairness ---- */

static void no_queue_starves_another(void **state)
{
	struct driver *driver = begin(0, VIRTQUEUE_MAX);
	struct driver_part part = driver_in(driver, 8);
	struct probe *probe = probe_of(driver);
	unsigned at = 0;
	uint32_t bytes;
	uint16_t head;

	(void)state;
	probe_settle(driver);
	for (unsigned i = 0; i < VIRTQUEUE_MAX; i++)
		driver_add(&driver->queues[0], &part, 1);
	driver_add(&driver->queues[1], &part, 1);
	driver_publish(&driver->queues[0]);
	driver_publish(&driver->queues[1]);
	/* Both in one write each; which the worker sees first does not matter. */
	driver_kick(&driver->queues[1]);
	driver_kick(&driver->queues[0]);
	assert_true(driver_wait(&driver->queues[1], &head, &bytes, DRIVER_TIMEOUT_MS));
	for (unsigned i = 0; i < VIRTQUEUE_MAX; i++)
		assert_true(driver_wait(&driver->queues[0], &head, &bytes, DRIVER_TIMEOUT_MS));
	probe_settle(driver);
	assert_int_equal(probe->logged, VIRTQUEUE_MAX + 1);
	while (probe->log[at] != 1)
		at++;
	assert_in_range(at, 0, 2 * VIRTQUEUE_PASS_CHAINS);
	assert_true(probe->counts.kick >= VIRTQUEUE_MAX / VIRTQUEUE_PASS_CHAINS);
	driver_destroy(driver);
}

/* ---- Giving back ---- */

static void what_is_given_back_is_popped_again(void **state)
{
	struct driver *driver = begin(0, 16);
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part parts[3];
	int heads[3];
	uint32_t bytes;
	uint16_t head;

	(void)state;
	probe_hold(driver, 0, false);
	for (unsigned i = 0; i < 3; i++) {
		parts[i] = driver_in(driver, 8);
		heads[i] = driver_add(queue, &parts[i], 1);
	}
	driver_publish(queue);
	driver_kick(queue);
	probe_wait_held(driver, 0, 3);
	probe_give_back(driver, 0, 2);
	assert_int_equal(probe_held(driver, 0), 1);
	probe_release(driver, 0);
	/* The two come in their old order; the one kept goes last. */
	for (unsigned i = 1; i < 3; i++) {
		assert_true(driver_wait(queue, &head, &bytes, DRIVER_TIMEOUT_MS));
		assert_int_equal(head, heads[i]);
		assert_int_equal(bytes, 8); /* served, not ended as it was given back */
	}
	assert_int_equal(probe_answer(driver, 0, 1, 0), 1);
	assert_true(driver_wait(queue, &head, &bytes, DRIVER_TIMEOUT_MS));
	assert_int_equal(head, heads[0]);
	driver_destroy(driver);
}

/* A malformed chain in between has been used: the earlier one can't be popped again. */
static void giving_back_across_a_malformed_chain_ends_it(void **state)
{
	struct driver *driver = begin(0, 16);
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part good = driver_in(driver, 8), bad = { .gpa = 0, .bytes = 8 };
	int first, second, third;
	uint32_t bytes;
	uint16_t head;

	(void)state;
	probe_hold(driver, 0, false);
	first = driver_add(queue, &good, 1);
	second = driver_add(queue, &bad, 1);
	third = driver_add(queue, &good, 1);
	driver_publish(queue);
	driver_kick(queue);
	assert_true(driver_wait(queue, &head, &bytes, DRIVER_TIMEOUT_MS));
	assert_int_equal(head, second);
	assert_int_equal(bytes, 0);
	probe_wait_held(driver, 0, 2);
	probe_give_back(driver, 0, 2);
	assert_true(driver_wait(queue, &head, &bytes, DRIVER_TIMEOUT_MS));
	assert_int_equal(head, first);
	assert_int_equal(bytes, 0);
	probe_release(driver, 0);
	assert_true(driver_wait(queue, &head, &bytes, DRIVER_TIMEOUT_MS));
	assert_int_equal(head, third);
	assert_int_equal(bytes, 8);
	driver_destroy(driver);
}

/* ---- Properties ---- */

/*
 * A random driver against a device that answers in any order, or at once: each
 * head comes back once with the right bytes, and no interrupt while the driver
 * wants none. Kicks only when asked to. Pauses go unnoticed; after a reset, of
 * the queue or the device, and whatever was in flight, all begins anew.
 */
struct script {
	unsigned seed;
	struct driver *driver;
	struct driver_queue *queue;
	struct {
		uint64_t hash;
		struct driver_part answer;
		bool busy;
	} requests[VIRTQUEUE_MAX];
	unsigned in_flight;
	bool quiet; /* no interrupt may come */
};

static unsigned choose(struct script *script, unsigned limit)
{
	script->seed = script->seed * 1103515245u + 12345;
	return (script->seed >> 8) % limit;
}

static void script_add(struct script *script)
{
	struct driver_part parts[20];
	unsigned readable = choose(script, 10), writable = 1 + choose(script, 10);
	uint64_t hash = PROBE_HASH_START;
	int head;

	for (unsigned i = 0; i < readable; i++) {
		uint8_t bytes[200];
		uint32_t length = 1 + choose(script, sizeof(bytes));

		memset(bytes, (int)choose(script, 256), length);
		parts[i] = driver_out(script->driver, bytes, length);
		hash = probe_hash(hash, bytes, length);
	}
	parts[readable] = driver_in(script->driver, 8);
	for (unsigned i = 1; i < writable; i++)
		parts[readable + i] = driver_in(script->driver, choose(script, 3));
	script->queue->indirect = script->driver->config.refused & NO_INDIRECT ?
				  false : choose(script, 2);
	head = driver_add(script->queue, parts, readable + writable);
	if (head < 0)
		return;
	assert_false(script->requests[head].busy);
	script->requests[head].busy = true;
	script->requests[head].hash = hash;
	script->requests[head].answer = parts[readable];
	script->in_flight++;
}

static bool script_take(struct script *script, bool wait)
{
	uint32_t bytes;
	uint16_t head;

	if (!(wait ? driver_wait(script->queue, &head, &bytes, DRIVER_TIMEOUT_MS) :
		     driver_take(script->queue, &head, &bytes)))
		return false;
	assert_true(script->requests[head].busy);
	assert_int_equal(bytes, 8);
	assert_int_equal(answer_at(script->driver, &script->requests[head].answer),
			 script->requests[head].hash);
	script->requests[head].busy = false;
	script->in_flight--;
	return true;
}

static void script_be_quiet(struct script *script)
{
	struct driver_queue *queue = script->queue;

	if (queue->event_idx && !queue->is_packed)
		driver_interrupt_after(queue, UINT16_MAX); /* one lap of the index from here */
	else
		driver_interrupts(queue, false);
	probe_settle(script->driver);
	event_fd_drain(queue->queue->call_fd);
	script->quiet = true;
}

static void script_listen(struct script *script)
{
	struct driver_queue *queue = script->queue;

	if (!script->quiet)
		return;
	probe_settle(script->driver);
	assert_int_equal(event_fd_drain(queue->queue->call_fd), 0);
	script->quiet = false;
	if (queue->event_idx)
		driver_interrupt_after(queue, 0);
	else
		driver_interrupts(queue, true);
}

static void script_step(struct script *script)
{
	switch (choose(script, 9)) {
	case 0:
	case 1:
	case 2:
		script_add(script);
		break;
	case 3:
		driver_publish(script->queue);
		driver_kick(script->queue);
		break;
	case 4:
		probe_hold(script->driver, 0, false);
		break;
	case 5:
		probe_release(script->driver, 0);
		break;
	case 6:
		probe_answer(script->driver, 0, choose(script, 8), choose(script, 100));
		break;
	case 7:
		while (script_take(script, false))
			;
		break;
	case 8:
		if (choose(script, 4))
			break;
		if (script->quiet)
			script_listen(script);
		else
			script_be_quiet(script);
		break;
	}
}

/* The driver notices nothing of it. */
static void script_pause(struct script *script)
{
	struct virtio_device *device = script->driver->device;

	probe_release(script->driver, 0);
	probe_answer(script->driver, 0, VIRTQUEUE_MAX, 1);
	assert_int_equal(virtio_device_pause(device, DRIVER_TIMEOUT_MS), 0);
	virtio_device_resume(device);
}

/* With all that is in flight, held or not published. */
static void script_reset(struct script *script)
{
	struct driver *driver = script->driver;
	uint16_t size = script->queue->size;

	probe_release(driver, 0);
	if (choose(script, 2)) {
		virtio_queue_reset(driver->device, 0);
		probe_answer(driver, 0, VIRTQUEUE_MAX, 1);
		while (virtio_queue_resetting(driver->device, 0))
			probe_settle(driver);
		driver_set_up_queue(driver, 0, size);
	} else {
		virtio_set_status(driver->device, 0);
		probe_answer(driver, 0, VIRTQUEUE_MAX, 1);
		driver_reset(driver);
		driver_rewind(driver, DRIVER_MEMORY_GPA);
		driver_begin(driver);
	}
}

static void script_finish(struct script *script)
{
	script_listen(script);
	driver_publish(script->queue);
	driver_kick(script->queue);
	probe_release(script->driver, 0);
	probe_answer(script->driver, 0, VIRTQUEUE_MAX, 1);
	while (script->in_flight)
		assert_true(script_take(script, true));
}

static void run_script(struct driver *driver, unsigned seed)
{
	static struct script script;
	uint64_t mark = driver_mark(driver);

	script = (struct script){ .seed = seed, .driver = driver, .queue = &driver->queues[0] };
	for (unsigned i = 0; i < 120; i++) {
		script_step(&script);
		if (choose(&script, 40) == 0)
			script_pause(&script);
	}
	if (choose(&script, 6) == 0) {
		script_reset(&script);
		return;
	}
	script_finish(&script);
	driver_rewind(driver, mark);
	memset(script.queue->tables, 0, script.queue->size * sizeof(*script.queue->tables));
}

static void random_scripts(void **state)
{
	static const uint64_t refused[] = { 0, NO_EVENT_IDX, NO_INDIRECT,
					    NO_EVENT_IDX | NO_INDIRECT };
	unsigned scripts = unit_rounds(105); /* of 120 steps, 8 times */

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		uint16_t size = (uint16_t)(2u << i) + (driver_offers_packed() && i % 2);
		struct driver *driver = begin(refused[i % 4], size);

		for (unsigned seed = 0; seed < scripts; seed++) {
			print_message("queue of %u, seed %u\n", size, seed);
			run_script(driver, i * 100000 + seed);
			if (seed % 8 == 7) {
				driver_reset(driver);
				driver_rewind(driver, DRIVER_MEMORY_GPA);
				driver_begin(driver);
			}
		}
		driver_destroy(driver);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_size_and_layout_is_served),
		cmocka_unit_test(indices_wrap),
		cmocka_unit_test(indices_wrap_at_size_one),
		cmocka_unit_test(chains_of_every_length_are_served),
		cmocka_unit_test(many_long_chains_at_once),
		cmocka_unit_test(event_index_says_when_to_interrupt),
		cmocka_unit_test(event_index_wraps),
		cmocka_unit_test(event_index_outlives_a_pause),
		cmocka_unit_test(flags_say_whether_to_interrupt),
		cmocka_unit_test(one_batch_makes_one_interrupt),
		cmocka_unit_test(spurious_kicks_are_harmless),
		cmocka_unit_test(idle_queue_asks_for_a_kick),
		cmocka_unit_test(polled_queue_needs_no_kick),
		cmocka_unit_test(no_wake_up_is_lost),
		cmocka_unit_test(no_queue_starves_another),
		cmocka_unit_test(what_is_given_back_is_popped_again),
		cmocka_unit_test(giving_back_across_a_malformed_chain_ends_it),
		cmocka_unit_test(random_scripts),
	};

	return driver_run_on_both_rings(tests, NULL, NULL);
}
