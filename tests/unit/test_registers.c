// SPDX-License-Identifier: MIT
/*
 * What a driver sees of any device's registers: features, status, queues,
 * configuration; and the machine's pause, resume and reset. Numbers are those
 * of the conformance list.
 */
#include "tests/unit/unit.h"
#include "tests/unit/file_updates.h"
#include "tests/unit/probe.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

#define ACKNOWLEDGE VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER VIRTIO_CONFIG_S_DRIVER
#define FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define DRIVER_OK VIRTIO_CONFIG_S_DRIVER_OK
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define FAILED VIRTIO_CONFIG_S_FAILED
#define READY (ACKNOWLEDGE | DRIVER | FEATURES_OK)
#define LIVE (READY | DRIVER_OK)

static const uint64_t version_1 = BIT64(VIRTIO_F_VERSION_1);

static int set_up(void **state)
{
	struct driver_config config = { .type = &virtio_probe, .queue_size = 16 };

	*state = driver_create(&config);
	return 0;
}

static int tear_down(void **state)
{
	driver_destroy(*state);
	return 0;
}

static void expect_service(struct driver *driver, unsigned queue)
{
	struct driver_part part = driver_in(driver, 8);

	assert_int_equal(driver_request(&driver->queues[queue], &part, 1), 8);
}

/* Leaves `count` chains held by the device. */
static void hold(struct driver *driver, unsigned queue, unsigned count, bool unpop_on_stop)
{
	struct driver_part part = driver_in(driver, 8);

	probe_hold(driver, queue, unpop_on_stop);
	for (unsigned i = 0; i < count; i++)
		assert_true(driver_add(&driver->queues[queue], &part, 1) >= 0);
	driver_publish(&driver->queues[queue]);
	driver_kick(&driver->queues[queue]);
	probe_wait_held(driver, queue, count);
}

/* ---- Features ---- */

static void common_features_are_offered(void **state)
{
	struct driver *driver = *state;
	uint64_t offered = driver->device->offered;

	assert_true(offered & version_1); /* C15 */
	assert_true(offered & BIT64(VIRTIO_RING_F_EVENT_IDX));
	assert_true(offered & BIT64(VIRTIO_RING_F_INDIRECT_DESC));
	assert_true(offered & BIT64(VIRTIO_F_RING_RESET));
	assert_false(offered & BIT64(VIRTIO_F_SR_IOV)); /* C16 */
	assert_int_equal(!!(offered & BIT64(VIRTIO_F_RING_PACKED)), driver_offers_packed());
}

static void features_that_hold_together_are_accepted(void **state)
{
	static const uint64_t sets[] = {
		BIT64(VIRTIO_F_VERSION_1), /* C24 */
		BIT64(VIRTIO_F_VERSION_1) | BIT64(PROBE_F_B),
		BIT64(VIRTIO_F_VERSION_1) | BIT64(PROBE_F_A) | BIT64(PROBE_F_B),
	};
	struct driver *driver = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(sets); i++)
		for (unsigned again = 0; again < 2; again++) { /* C22 */
			assert_true(driver_negotiate(driver, sets[i]));
			driver_reset(driver);
		}
}

static void features_that_do_not_are_refused(void **state)
{
	static const uint64_t sets[] = {
		0, /* C21 */
		BIT64(PROBE_F_A) | BIT64(PROBE_F_B),
		BIT64(VIRTIO_F_VERSION_1) | BIT64(PROBE_F_C), /* C20: not offered */
		BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_IN_ORDER),
		BIT64(VIRTIO_F_VERSION_1) | BIT64(63),
		BIT64(VIRTIO_F_VERSION_1) | BIT64(PROBE_F_A), /* C20: needs B */
	};
	struct driver *driver = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(sets); i++) {
		assert_false(driver_negotiate(driver, sets[i]));
		/* Without it nothing can start. */
		virtio_set_status(driver->device, LIVE & ~FEATURES_OK);
		assert_int_equal(virtio_get_status(driver->device), ACKNOWLEDGE | DRIVER);
		/* Not a reason to reset: a better set will do. */
		assert_true(driver_negotiate(driver, version_1));
		driver_reset(driver);
	}
	assert_int_equal(probe_of(driver)->counts.ready, 0);
}

static void driver_features_read_back_until_fixed(void **state)
{
	struct driver *driver = *state;
	struct virtio_device *device = driver->device;

	virtio_set_driver_features(device, 0, 3); /* C18 */
	virtio_set_driver_features(device, 1, 1);
	virtio_set_driver_features(device, 2, 0xffffffff);
	assert_int_equal(virtio_get_driver_features(device, 0), 3);
	assert_int_equal(virtio_get_driver_features(device, 1), 1);
	assert_int_equal(virtio_get_driver_features(device, 2), 0);
	assert_int_equal(virtio_get_driver_features(device, 0xffffffff), 0);
	assert_true(driver_negotiate(driver, version_1));
	virtio_set_driver_features(device, 0, 3); /* C23 */
	virtio_set_driver_features(device, 1, 0);
	assert_int_equal(virtio_get_driver_features(device, 0), 0);
	assert_int_equal(virtio_get_driver_features(device, 1), 1);
	assert_true(virtio_has(device, VIRTIO_F_VERSION_1));
	driver_reset(driver);
	assert_int_equal(virtio_get_driver_features(device, 1), 0); /* C27 */
}

/* ---- Status ---- */

static void driver_ok_needs_features_ok_first(void **state)
{
	struct driver *driver = *state;
	struct virtio_device *device = driver->device;

	virtio_set_driver_features(device, 1, 1);
	virtio_set_status(device, DRIVER_OK);
	assert_int_equal(virtio_get_status(device), 0);
	virtio_set_status(device, LIVE); /* both in one write: only the first counts */
	assert_int_equal(virtio_get_status(device), READY);
	assert_int_equal(probe_of(driver)->counts.ready, 0);
	virtio_set_status(device, LIVE); /* H39: with no queue enabled */
	assert_int_equal(virtio_get_status(device), LIVE);
	assert_int_equal(probe_of(driver)->counts.ready, 1);
	assert_int_equal(event_fd_drain(device->config_fd), 0); /* C51 */
}

static void all_ones_start_nothing(void **state)
{
	struct driver *driver = *state;

	virtio_set_driver_features(driver->device, 1, 1);
	for (unsigned i = 0; i < 3; i++)
		virtio_set_status(driver->device, 0xff);
	assert_int_equal(virtio_get_status(driver->device), LIVE | FAILED); /* H39 */
	assert_int_equal(probe_of(driver)->counts.ready, 0);
	driver_reset(driver);
	driver_begin(driver);
	expect_service(driver, 0);
}

static void bits_are_only_ever_added(void **state)
{
	struct driver *driver = *state;

	driver_begin(driver);
	virtio_set_status(driver->device, READY); /* C32 */
	assert_int_equal(virtio_get_status(driver->device), LIVE);
	virtio_set_status(driver->device, LIVE | NEEDS_RESET | 0x30); /* C36 */
	assert_int_equal(virtio_get_status(driver->device), LIVE);
	assert_int_equal(probe_of(driver)->counts.ready, 1);
	expect_service(driver, 0);
}

static void buffers_wait_for_driver_ok(void **state)
{
	struct driver *driver = *state;
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part part;
	uint32_t bytes;
	uint16_t head;

	assert_true(driver_negotiate(driver, driver->device->offered));
	driver_set_up_queue(driver, 0, 16);
	part = driver_in(driver, 8);
	driver_add(queue, &part, 1);
	driver_publish(queue);
	driver_kick_always(queue);
	assert_false(driver_wait(queue, &head, &bytes, 50)); /* C28 */
	event_fd_drain(driver->device->queues[0].kick_fd);
	virtio_set_status(driver->device, LIVE);
	/* Served without a kick. */
	assert_true(driver_wait(queue, &head, &bytes, DRIVER_TIMEOUT_MS));
	assert_int_equal(bytes, 8);
	assert_int_equal(probe_of(driver)->counts.start, 1);
}

static void queues_not_enabled_are_not_touched(void **state)
{
	struct driver *driver = *state;
	struct driver_part part;

	assert_true(driver_negotiate(driver, driver->device->offered));
	driver_set_up_queue(driver, 1, 16);
	virtio_set_status(driver->device, LIVE);
	for (unsigned i = 0; i < 100; i++)
		event_fd_signal(driver->device->queues[0].kick_fd); /* C43 */
	part = driver_in(driver, 8);
	assert_int_equal(driver_request(&driver->queues[1], &part, 1), 8);
	assert_int_equal(probe_of(driver)->counts.start, 1);
}

static void failed_makes_it_quiet(void **state)
{
	struct driver *driver = *state;
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part part;
	uint32_t bytes;
	uint16_t head;

	driver_begin(driver);
	expect_service(driver, 0);
	virtio_set_status(driver->device, LIVE | FAILED); /* C35 */
	part = driver_in(driver, 8);
	driver_add(queue, &part, 1);
	driver_publish(queue);
	driver_kick_always(queue);
	assert_false(driver_wait(queue, &head, &bytes, 50));
	assert_int_equal(virtio_get_status(driver->device), LIVE | FAILED);
	driver_reset(driver);
	driver_begin(driver);
	expect_service(driver, 0);
}

static void host_that_refuses_ready_breaks_the_device(void **state)
{
	struct driver *driver = *state;

	assert_true(driver_negotiate(driver, driver->device->offered));
	driver_set_up_queue(driver, 0, 16);
	probe_of(driver)->refuse_ready = true;
	virtio_set_status(driver->device, LIVE);
	assert_int_equal(virtio_get_status(driver->device), LIVE | NEEDS_RESET);
	assert_int_equal(event_fd_drain(driver->device->config_fd), 1); /* C33 */
	assert_int_equal(probe_of(driver)->counts.start, 0);
	probe_of(driver)->refuse_ready = false;
	driver_reset(driver); /* C34 */
	driver_begin(driver);
	expect_service(driver, 0);
}

static void failing_again_says_nothing_new(void **state)
{
	struct driver *driver = *state;

	virtio_fail(driver->device, "before %s", "DRIVER_OK");
	assert_int_equal(event_fd_drain(driver->device->config_fd), 0);
	driver_reset(driver);
	driver_begin(driver);
	for (unsigned i = 0; i < 5; i++)
		virtio_fail(driver->device, "attempt %u", i);
	assert_int_equal(event_fd_drain(driver->device->config_fd), 1);
	assert_int_equal(virtio_get_status(driver->device), LIVE | NEEDS_RESET);
}

/* One that was paused while it was busy would begin anew as it drains, and ask for kicks. */
static void a_failed_device_begins_no_queue(void **state)
{
	struct driver *driver = *state;
	struct driver_queue *queue = &driver->queues[0];
	unsigned starts;
	uint16_t *wish;

	driver_begin(driver);
	hold(driver, 0, 2, false);
	wish = queue->is_packed ? &queue->packed.device_event->off_wrap :
				  (uint16_t *)&queue->used->ring[queue->size];
	virtio_device_pause(driver->device, 0);
	probe_settle(driver);
	virtio_device_resume(driver->device);
	probe_settle(driver); /* the queues that were idle have begun */
	starts = probe_of(driver)->counts.start;
	virtio_fail(driver->device, "on purpose");
	__atomic_store_n(wish, 0x7777, __ATOMIC_RELAXED);
	assert_int_equal(probe_answer(driver, 0, 2, 0), 2);
	probe_settle(driver);
	assert_int_equal(probe_of(driver)->counts.start, starts);
	assert_int_equal(__atomic_load_n(wish, __ATOMIC_RELAXED), 0x7777);
	assert_false(driver_has_used(queue));
	probe_release(driver, 0);
	driver_reset(driver);
	driver_begin(driver);
	expect_service(driver, 0);
}

/* ---- Reset ---- */

static void reset_forgets_everything(void **state)
{
	struct driver *driver = *state;
	struct virtio_device *device = driver->device;

	driver_begin(driver);
	expect_service(driver, 0);
	driver_reset(driver);
	for (unsigned i = 0; i < PROBE_QUEUES; i++) { /* C27 */
		assert_false(virtio_queue_enabled(device, i));
		assert_int_equal(virtio_queue_size(device, i), VIRTQUEUE_MAX);
		for (unsigned part = VIRTIO_RING_DESC; part <= VIRTIO_RING_USED; part++)
			assert_int_equal(virtio_queue_address(device, i, part), 0);
	}
	assert_int_equal(device->negotiated, 0);
	assert_int_equal(probe_of(driver)->counts.reset, 1);
	assert_int_equal(probe_of(driver)->counts.stop, PROBE_QUEUES);
}

static void reset_works_in_every_state(void **state)
{
	static const uint8_t states[] = { ACKNOWLEDGE, ACKNOWLEDGE | DRIVER, READY, FAILED, 0xff };
	struct driver *driver = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(states); i++) { /* C31 */
		virtio_set_driver_features(driver->device, 1, 1);
		virtio_set_status(driver->device, states[i]);
		virtio_set_status(driver->device, 0);
		assert_int_equal(virtio_get_status(driver->device), 0);
	}
	driver_begin(driver);
	expect_service(driver, 0);
	virtio_fail(driver->device, "on purpose");
	driver_reset(driver);
	assert_int_equal(virtio_get_status(driver->device), 0); /* C26 */
	driver_begin(driver);
	expect_service(driver, 0);
}

/* C29: non-zero until nothing can touch the guest's memory; and nothing did. */
static void reset_waits_for_what_is_in_flight(void **state)
{
	struct driver *driver = *state;
	struct virtio_device *device = driver->device;
	struct driver_queue *queue = &driver->queues[0];
	driver_begin(driver);
	hold(driver, 0, 10, false);
	event_fd_drain(queue->queue->call_fd);
	virtio_set_status(device, 0);
	for (unsigned i = 0; i < 20; i++) {
		virtio_set_status(device, i & 1 ? LIVE : 0); /* has no effect meanwhile */
		assert_int_not_equal(virtio_get_status(device), 0);
		virtio_queue_set_size(device, 0, 2);
		virtio_queue_enable(device, 1);
		virtio_set_driver_features(device, 0, 0);
		virtio_queue_reset(device, 0);
	}
	assert_int_equal(probe_of(driver)->counts.ready, 1);
	assert_int_equal(virtio_device_quiesce(device, 10), -ETIMEDOUT);
	assert_int_equal(probe_answer(driver, 0, 9, 0), 9);
	assert_int_not_equal(virtio_get_status(device), 0);
	assert_int_equal(probe_answer(driver, 0, 1, 0), 1);
	assert_int_equal(virtio_device_quiesce(device, DRIVER_TIMEOUT_MS), 0);
	assert_int_equal(virtio_get_status(device), 0);
	assert_false(driver_has_used(queue));
	assert_int_equal(event_fd_drain(device->queues[0].call_fd), 0);
	probe_release(driver, 0);
	driver_begin(driver);
	expect_service(driver, 0);
}

/* A task that holds the worker up, says so, and when let through perhaps ends a held chain. */
struct gate {
	struct worker_task task;
	struct probe *push_for;
	sem_t entered, open;
};

static void gate_run(struct worker_task *task)
{
	struct gate *gate = container_of(task, struct gate, task);
	struct probe *probe = gate->push_for;

	sem_post(&gate->entered);
	while (sem_wait(&gate->open) < 0)
		;
	if (probe) {
		struct probe_queue *queue = &probe->states[0];

		virtqueue_push(&probe->queues[0], queue->held[--queue->held_count].head, 8);
	}
}

static void gate_post(struct gate *gate, struct driver *driver, struct probe *push_for)
{
	*gate = (struct gate){ .task.run = gate_run, .push_for = push_for };
	sem_init(&gate->entered, 0, 0);
	sem_init(&gate->open, 0, 0);
	worker_post(driver->worker_list[0], &gate->task);
}

static void gate_wait_entered(struct gate *gate)
{
	while (sem_wait(&gate->entered) < 0)
		;
}

/* Pushed, but not yet published when the reset comes in: the guest does not see it. */
static void reset_overtakes_a_publish(void **state)
{
	struct driver *driver = *state;
	struct gate first, second;

	driver_begin(driver);
	hold(driver, 0, 1, false);
	gate_post(&first, driver, NULL);
	gate_wait_entered(&first);
	/* What comes while the worker is held up it takes in in one go. */
	gate_post(&second, driver, probe_of(driver));
	virtio_set_status(driver->device, 0);
	sem_post(&second.open);
	sem_post(&first.open);
	assert_int_equal(virtio_device_quiesce(driver->device, DRIVER_TIMEOUT_MS), 0);
	assert_false(driver_has_used(&driver->queues[0]));
}

/* Drained, but with its task still on the way to the worker: not yet to be freed. */
static void a_queue_is_live_while_its_task_is_posted(void **state)
{
	struct driver *driver = *state;
	struct gate push, block;

	driver_begin(driver);
	hold(driver, 0, 1, false);
	assert_int_equal(virtio_device_pause(driver->device, 0), -ETIMEDOUT);
	gate_post(&push, driver, probe_of(driver));
	gate_wait_entered(&push);
	gate_post(&block, driver, NULL);
	virtio_set_status(driver->device, 0);
	sem_post(&push.open);
	gate_wait_entered(&block);
	assert_int_equal(virtio_device_quiesce(driver->device, 20), -ETIMEDOUT);
	sem_post(&block.open);
	assert_int_equal(virtio_device_quiesce(driver->device, DRIVER_TIMEOUT_MS), 0);
}

/* C30, H38: whatever the worker was at when the next write came. */
static void reset_races(void **state)
{
	struct driver *driver = *state;

	for (unsigned i = 0; i < 300; i++) {
		driver_begin(driver);
		if (i % 3)
			expect_service(driver, i % PROBE_QUEUES);
		if (i % 4 == 0)
			driver_kick_always(&driver->queues[0]);
		driver_reset(driver);
		driver_rewind(driver, DRIVER_MEMORY_GPA);
	}
	assert_int_equal(probe_of(driver)->counts.start, probe_of(driver)->counts.stop);
}

struct failer {
	struct virtio_device *device;
	_Atomic unsigned asked, done;
};

#define FAILURES 3000

static void *fail_when_asked(void *argument)
{
	struct failer *failer = argument;

	for (unsigned round = 1; round <= FAILURES; round++) {
		while (failer->asked != round)
			sched_yield();
		virtio_fail(failer->device, "round %u", round);
		failer->done = round;
	}
	return NULL;
}

/* NEEDS_RESET is never lost to a write of the driver. */
static void failure_races_with_the_driver(void **state)
{
	struct driver *driver = *state;
	struct failer failer = { .device = driver->device };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, fail_when_asked, &failer), 0);
	for (unsigned round = 1; round <= FAILURES; round++) {
		driver_reset(driver);
		failer.asked = round;
		for (unsigned bit = 0; failer.done != round; bit++)
			virtio_set_status(driver->device, bit & 1 ? DRIVER : ACKNOWLEDGE);
		virtio_set_status(driver->device, FAILED);
		assert_true(virtio_get_status(driver->device) & NEEDS_RESET);
	}
	pthread_join(thread, NULL);
}

/* ---- Queues ---- */

/* C39, C85, H32: of a packed ring the size need not be a power of two. */
static void sizes_are_powers_of_two_within_bounds(void **state)
{
	static const uint16_t refused[] = { 0, 0x8001, 0xffff, VIRTQUEUE_MAX * 2, 0x8000 };
	static const uint16_t odd[] = { 3, 100, VIRTQUEUE_MAX - 1 };
	struct driver *driver = *state;
	struct virtio_device *device = driver->device;

	for (unsigned i = 0; i < ARRAY_SIZE(odd); i++) {
		virtio_queue_set_size(device, 0, odd[i]); /* nothing is negotiated yet */
		assert_int_equal(virtio_queue_size(device, 0), VIRTQUEUE_MAX);
	}
	assert_true(driver_negotiate(driver, device->offered));
	virtio_queue_set_size(device, 0, 64);
	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
		virtio_queue_set_size(device, 0, refused[i]);
		assert_int_equal(virtio_queue_size(device, 0), 64);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(odd); i++) {
		virtio_queue_set_size(device, 0, odd[i]);
		assert_int_equal(virtio_queue_size(device, 0),
				 driver_offers_packed() ? odd[i] : 64);
	}
	virtio_queue_set_size(device, 0, 1);
	assert_int_equal(virtio_queue_size(device, 0), 1);
	assert_int_equal(virtio_queue_size(device, 1), VIRTQUEUE_MAX);
}

static void queues_out_of_range_are_not_there(void **state)
{
	static const unsigned indices[] = { PROBE_QUEUES, PROBE_QUEUES + 1, 0xffff, UINT32_MAX };
	struct driver *driver = *state;
	struct virtio_device *device = driver->device;

	driver_begin(driver);
	for (unsigned i = 0; i < ARRAY_SIZE(indices); i++) { /* C38, H34 */
		virtio_queue_set_size(device, indices[i], 8);
		virtio_queue_set_address(device, indices[i], VIRTIO_RING_DESC, 0x1000);
		virtio_queue_enable(device, indices[i]);
		virtio_queue_reset(device, indices[i]);
		assert_int_equal(virtio_queue_size(device, indices[i]), 0);
		assert_int_equal(virtio_queue_address(device, indices[i], VIRTIO_RING_DESC), 0);
		assert_false(virtio_queue_enabled(device, indices[i]));
		assert_false(virtio_queue_resetting(device, indices[i]));
	}
	expect_service(driver, 0);
}

/* Not even one that the driver had set up before it said what it takes, with a buffer in it. */
static void queues_without_their_feature_are_not_there(void **state)
{
	struct driver *driver = *state;
	struct virtio_device *device = driver->device;
	struct driver_part part = driver_in(driver, 8);

	probe_of(driver)->absent = 1u << 1;
	assert_true(driver_negotiate(driver, device->offered));
	driver_expect_absent(driver, 1);
	driver_reset(driver);
	driver_begin_early(driver);
	assert_true(driver_add(&driver->queues[1], &part, 1) >= 0);
	driver_publish(&driver->queues[1]);
	for (unsigned again = 0; again < 2; again++) {
		driver_expect_absent(driver, 1);
		driver_kick_always(&driver->queues[1]);
		expect_service(driver, 0);
		expect_service(driver, 2);
		assert_true(virtqueue_drained(&device->queues[1]));
		assert_false(driver_has_used(&driver->queues[1]));
		assert_int_equal(virtio_device_pause(device, DRIVER_TIMEOUT_MS), 0);
		driver_expect_absent(driver, 1);
		virtio_device_resume(device);
	}
	assert_int_equal(virtio_get_status(device), LIVE);

	driver_reset(driver); /* the next driver may take more */
	assert_int_equal(virtio_queue_size(device, 1), VIRTQUEUE_MAX);
	assert_int_equal(virtio_queue_address(device, 1, VIRTIO_RING_DESC), 0);
	assert_false(virtio_queue_enabled(device, 1));
	probe_of(driver)->absent = 0;
	driver_begin(driver);
	expect_service(driver, 1);
}

static void enabled_queues_keep_their_values(void **state)
{
	struct driver *driver = *state;
	struct virtio_device *device = driver->device;
	uint64_t desc;

	assert_true(driver_negotiate(driver, device->offered));
	driver_set_up_queue(driver, 0, 16);
	desc = virtio_queue_address(device, 0, VIRTIO_RING_DESC);
	for (unsigned live = 0; live < 2; live++) { /* C42, H33 */
		virtio_queue_set_size(device, 0, 32);
		virtio_queue_set_address(device, 0, VIRTIO_RING_DESC, 0);
		assert_int_equal(virtio_queue_size(device, 0), 16);
		assert_int_equal(virtio_queue_address(device, 0, VIRTIO_RING_DESC), desc);
		assert_true(virtio_queue_enabled(device, 0));
		virtio_set_status(device, LIVE);
	}
	/* One that was not enabled in time stays as it is. */
	virtio_queue_set_address(device, 1, VIRTIO_RING_DESC, DRIVER_MEMORY_GPA);
	virtio_queue_set_size(device, 1, 2);
	virtio_queue_enable(device, 1);
	assert_int_equal(virtio_queue_address(device, 1, VIRTIO_RING_DESC), 0);
	assert_int_equal(virtio_queue_size(device, 1), VIRTQUEUE_MAX);
	assert_false(virtio_queue_enabled(device, 1));
	expect_service(driver, 0);
}

/* Nor may it be set up while a reset of the device drains, or after one for a reset of its own. */
static void queues_wait_for_a_device_reset(void **state)
{
	struct driver *driver = *state;
	struct virtio_device *device = driver->device;

	assert_true(driver_negotiate(driver, device->offered));
	driver_set_up_queue(driver, 0, 16);
	virtio_set_status(device, LIVE);
	hold(driver, 0, 1, false);
	virtio_set_status(device, 0);
	virtio_queue_set_size(device, 1, 2);
	virtio_queue_enable(device, 1);
	assert_int_equal(virtio_queue_size(device, 1), VIRTQUEUE_MAX);
	assert_false(virtio_queue_enabled(device, 1));
	assert_int_equal(probe_answer(driver, 0, 1, 0), 1);
	probe_release(driver, 0);
	driver_reset(driver);

	driver_begin(driver);
	virtio_queue_reset(device, 1);
	driver_reset(driver);
	driver_begin(driver);
	virtio_queue_reset(device, 1);
	while (virtio_queue_resetting(device, 1))
		sched_yield();
	driver_reset(driver);
	assert_true(driver_negotiate(driver, device->offered));
	driver_set_up_queue(driver, 0, 16);
	virtio_set_status(device, LIVE);
	virtio_queue_set_size(device, 1, 2);
	assert_int_equal(virtio_queue_size(device, 1), VIRTQUEUE_MAX);
	expect_service(driver, 0);
}

static void wait_queue_reset(struct virtio_device *device, unsigned index)
{
	for (unsigned left = 1000000; virtio_queue_resetting(device, index); left--)
		assert_true(left);
}

static void a_queue_is_reset_alone(void **state)
{
	struct driver *driver = *state;
	struct virtio_device *device = driver->device;

	driver_begin(driver);
	hold(driver, 0, 3, false);
	virtio_queue_reset(device, 0); /* C46 */
	virtio_queue_reset(device, 0);
	assert_true(virtio_queue_resetting(device, 0));
	virtio_queue_enable(device, 0); /* too early */
	expect_service(driver, 1);
	assert_true(virtio_queue_resetting(device, 0));
	assert_int_equal(probe_answer(driver, 0, 3, 0), 3);
	wait_queue_reset(device, 0);
	assert_false(virtio_queue_enabled(device, 0));
	assert_int_equal(virtio_queue_size(device, 0), VIRTQUEUE_MAX);
	assert_false(driver_has_used(&driver->queues[0]));
	probe_release(driver, 0);

	driver_set_up_queue(driver, 0, 4); /* another size, and at once in use */
	expect_service(driver, 0);
	expect_service(driver, 1);
	virtio_queue_enable(device, 0); /* is already */
	virtio_queue_reset(device, 2);
	wait_queue_reset(device, 2);
	virtio_queue_reset(device, 2); /* not enabled: nothing to reset */
	assert_false(virtio_queue_resetting(device, 2));
	virtio_queue_set_address(device, 2, VIRTIO_RING_DESC, 8);
	virtio_queue_enable(device, 2);
	assert_int_equal(virtio_get_status(device), LIVE | NEEDS_RESET);
	driver_reset(driver);
	driver_begin(driver);
	expect_service(driver, 2);
}

static void queue_reset_must_be_negotiated(void **state)
{
	struct driver *driver = *state;

	driver->config.refused = BIT64(VIRTIO_F_RING_RESET);
	driver_begin(driver);
	virtio_queue_reset(driver->device, 0);
	assert_false(virtio_queue_resetting(driver->device, 0));
	assert_true(virtio_queue_enabled(driver->device, 0));
	expect_service(driver, 0);
}

static void device_reset_takes_over_a_queue_reset(void **state)
{
	struct driver *driver = *state;
	struct virtio_device *device = driver->device;

	driver_begin(driver);
	hold(driver, 0, 2, false);
	virtio_queue_reset(device, 0);
	virtio_set_status(device, 0);
	assert_int_not_equal(virtio_get_status(device), 0);
	assert_int_equal(probe_answer(driver, 0, 2, 1), 2);
	driver_reset(driver);
	assert_false(virtio_queue_resetting(device, 0));
	probe_release(driver, 0);
	driver_begin(driver);
	expect_service(driver, 0);
}

/* A worker that can't take a queue in, for want of file slots, breaks the device. */
static struct {
	struct worker *worker;
	int slots[128], count;
} thief;

static void take_all_slots(struct worker_task *task)
{
	int slot;

	(void)task;
	while ((slot = worker_add_file(thief.worker, STDERR_FILENO)) >= 0)
		thief.slots[thief.count++] = slot;
}

static void return_a_slot(struct worker_task *task)
{
	(void)task;
	worker_remove_file(thief.worker, thief.slots[--thief.count]);
}

static void no_file_slot_left(void **state)
{
	struct driver *driver = *state;

	thief.worker = driver->worker_list[0];
	thief.count = 0;
	probe_call(driver, 0, take_all_slots);
	for (unsigned i = 0; i < 2; i++) { /* none for the call fd; then none for the kick fd */
		assert_true(driver_negotiate(driver, driver->device->offered));
		driver_set_up_queue(driver, 0, 16);
		virtio_set_status(driver->device, LIVE);
		driver_wait_status(driver, NEEDS_RESET);
		assert_int_equal(probe_of(driver)->counts.start, 0);
		driver_reset(driver);
		probe_call(driver, 0, return_a_slot);
	}
	while (thief.count)
		probe_call(driver, 0, return_a_slot);
	driver_begin(driver);
	expect_service(driver, 0);
}

static void queue_resets_leave_the_file_table_alone(void **state)
{
	struct driver *driver = *state;
	uint64_t mark;
	unsigned before;

	driver_begin(driver);
	for (unsigned queue = 0; queue < PROBE_QUEUES; queue++)
		expect_service(driver, queue);
	before = file_updates();
	mark = driver_mark(driver);
	for (unsigned i = 0; i < file_updates_rounds(); i++) {
		virtio_queue_reset(driver->device, 0);
		while (virtio_queue_resetting(driver->device, 0))
			sched_yield();
		driver_rewind(driver, mark);
		driver_set_up_queue(driver, 0, 16);
		expect_service(driver, 0);
	}
	assert_int_equal(file_updates(), before);
	assert_int_equal(probe_of(driver)->counts.start, PROBE_QUEUES + file_updates_rounds());
}

static void device_resets_leave_the_file_table_alone(void **state)
{
	struct driver *driver = *state;
	uint64_t mark = driver_mark(driver);
	unsigned before = 0;

	for (unsigned i = 0; i <= file_updates_rounds(); i++) {
		driver_rewind(driver, mark);
		driver_begin(driver);
		for (unsigned queue = 0; queue < PROBE_QUEUES; queue++)
			expect_service(driver, queue);
		if (!i)
			before = file_updates();
		driver_reset(driver);
	}
	assert_int_equal(file_updates(), before);
}

/* ---- Pause ---- */

static void pause_keeps_the_rings(void **state)
{
	struct driver *driver = *state;
	struct driver_queue *queue = &driver->queues[0];
	struct probe *probe = probe_of(driver);
	struct driver_part part;
	uint32_t bytes;
	uint16_t head;

	driver_begin(driver);
	part = driver_in(driver, 8);
	for (unsigned i = 0; i < 20; i++) {
		unsigned served;

		expect_service(driver, 0);
		assert_int_equal(virtio_device_pause(driver->device, DRIVER_TIMEOUT_MS), 0);
		served = probe->counts.served;
		driver_add(queue, &part, 1);
		driver_publish(queue);
		driver_kick_always(queue);
		assert_false(driver_wait(queue, &head, &bytes, 1));
		assert_int_equal(probe->counts.served, served);
		event_fd_drain(queue->queue->kick_fd); /* as if it was lost */
		virtio_device_resume(driver->device);
		assert_true(driver_wait(queue, &head, &bytes, DRIVER_TIMEOUT_MS));
	}
	assert_int_equal(probe->counts.ready, 1);
	assert_int_equal(probe->counts.stop, 20 * PROBE_QUEUES);
}

static struct driver_queue *popped_from;

/* Made available on the worker, lest a kick of before, still on its way, has it served. */
static void pop_once(struct worker_task *task)
{
	struct virtqueue *queue = popped_from->queue;
	struct chain chain;

	(void)task;
	driver_publish(popped_from);
	if (virtqueue_pop(queue, &chain))
		virtqueue_push(queue, chain.head, 0);
}

/* A device that stops to pop leaves kicks off: they are on again after a pause. */
static void pause_forgets_that_kicks_were_off(void **state)
{
	struct driver *driver = *state;
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part part;
	uint32_t bytes;
	uint16_t head;

	driver->config.refused = BIT64(VIRTIO_RING_F_EVENT_IDX);
	driver_begin(driver);
	expect_service(driver, 0);
	part = driver_in(driver, 8);
	driver_add(queue, &part, 1);
	popped_from = queue;
	probe_call(driver, 0, pop_once);
	assert_true(driver_wait(queue, &head, &bytes, DRIVER_TIMEOUT_MS));
	assert_int_equal(bytes, 0);
	assert_int_equal(virtio_device_pause(driver->device, DRIVER_TIMEOUT_MS), 0);
	virtio_device_resume(driver->device);
	probe_held(driver, 0); /* the worker has resumed */
	expect_service(driver, 0);
}

/* What was in flight is published, with its interrupt, before the pause is reported. */
static void pause_publishes_what_completes(void **state)
{
	struct driver *driver = *state;
	struct driver_queue *queue = &driver->queues[0];
	uint32_t bytes;
	uint16_t head;

	driver_begin(driver);
	hold(driver, 0, 3, false);
	event_fd_drain(queue->queue->call_fd);
	assert_int_equal(virtio_device_pause(driver->device, 10), -ETIMEDOUT);
	assert_int_equal(probe_answer(driver, 0, 3, 0), 3);
	assert_int_equal(virtio_device_pause(driver->device, DRIVER_TIMEOUT_MS), 0);
	assert_int_equal(event_fd_drain(queue->queue->call_fd), 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(driver_take(queue, &head, &bytes));
		assert_int_equal(bytes, 8);
	}
	probe_release(driver, 0);
	virtio_device_resume(driver->device);
	expect_service(driver, 0);
}

static void pause_gives_back_what_was_posted(void **state)
{
	struct driver *driver = *state;
	struct driver_queue *queue = &driver->queues[0];
	uint32_t bytes;
	uint16_t head;

	driver_begin(driver);
	hold(driver, 0, 5, true);
	assert_int_equal(virtio_device_pause(driver->device, DRIVER_TIMEOUT_MS), 0);
	assert_int_equal(driver->device->queues[0].next_avail,
			 driver->device->queues[0].next_used);
	assert_false(driver_take(queue, &head, &bytes));
	virtio_device_resume(driver->device);
	probe_wait_held(driver, 0, 5);
	probe_release(driver, 0);
	assert_int_equal(probe_answer(driver, 0, 5, 0), 5);
	for (unsigned i = 0; i < 5; i++)
		assert_true(driver_wait(queue, &head, &bytes, DRIVER_TIMEOUT_MS));
}

/* A pause that timed out and is taken back: the queue begins again when it has drained. */
static void resume_before_it_has_drained(void **state)
{
	struct driver *driver = *state;
	struct driver_queue *queue = &driver->queues[0];
	uint32_t bytes;
	uint16_t head;

	driver_begin(driver);
	hold(driver, 0, 2, false);
	assert_int_equal(virtio_device_pause(driver->device, 0), -ETIMEDOUT);
	probe_held(driver, 0); /* the worker has seen it */
	virtio_device_resume(driver->device);
	expect_service(driver, 1);
	probe_release(driver, 0);
	assert_int_equal(probe_answer(driver, 0, 2, 0), 2);
	for (unsigned i = 0; i < 2; i++)
		assert_true(driver_wait(queue, &head, &bytes, DRIVER_TIMEOUT_MS));
	expect_service(driver, 0);
	assert_int_equal(probe_of(driver)->counts.stop, PROBE_QUEUES);
}

/* And one that a reset finds: nothing is published any more. */
static void reset_of_a_pause_that_drains(void **state)
{
	struct driver *driver = *state;

	driver_begin(driver);
	hold(driver, 0, 2, false);
	assert_int_equal(virtio_device_pause(driver->device, 0), -ETIMEDOUT);
	virtio_set_status(driver->device, 0);
	virtio_device_resume(driver->device); /* nothing is left to resume */
	probe_release(driver, 0);
	assert_int_equal(probe_answer(driver, 0, 2, 0), 2);
	assert_int_equal(virtio_device_quiesce(driver->device, DRIVER_TIMEOUT_MS), 0);
	assert_false(driver_has_used(&driver->queues[0]));
	driver_begin(driver);
	expect_service(driver, 0);
}

static void goals_change_faster_than_the_worker(void **state)
{
	struct driver *driver = *state;

	driver_begin(driver);
	for (unsigned i = 0; i < 2000; i++) {
		virtio_device_pause(driver->device, 0);
		if (i % 7)
			virtio_device_resume(driver->device);
		if (i % 31 == 0) {
			driver_reset(driver);
			driver_rewind(driver, DRIVER_MEMORY_GPA);
			driver_begin(driver);
		}
	}
	virtio_device_resume(driver->device);
	for (unsigned i = 0; i < PROBE_QUEUES; i++)
		expect_service(driver, i);
}

/* ---- Configuration space ---- */

static void config_reads_any_width(void **state)
{
	struct driver *driver = *state;
	struct virtio_device *device = driver->device;

	for (unsigned length = 1; length <= 8; length++) /* C25: before any negotiation */
		for (size_t offset = 0; offset < PROBE_CONFIG_BYTES + 8; offset++) {
			uint64_t expected = 0;

			for (unsigned i = 0; i < length; i++)
				if (offset + i < PROBE_CONFIG_BYTES)
					expected |= (uint64_t)(0x10 + offset + i) << (8 * i);
			assert_int_equal(virtio_config_read(device, offset, length), expected);
		}
	assert_int_equal(virtio_config_read(device, SIZE_MAX, 8), 0);
}

static void config_takes_writes_where_it_may(void **state)
{
	struct driver *driver = *state;
	struct virtio_device *device = driver->device;
	struct probe *probe = probe_of(driver);

	virtio_config_write(device, 0, 4, UINT64_MAX); /* H41 */
	virtio_config_write(device, PROBE_CONFIG_BYTES - 1, 8, 0);
	virtio_config_write(device, PROBE_CONFIG_BYTES, 8, 0);
	virtio_config_write(device, SIZE_MAX - 3, 8, 0);
	assert_int_equal(probe->counts.config_written, 0);
	assert_int_equal(virtio_config_read(device, 0, 8), UINT64_C(0x1716151413121110));
	virtio_config_write(device, 2, 8, 0);
	assert_int_equal(virtio_config_read(device, 0, 8), UINT64_C(0x1716050013121110));
	assert_int_equal(probe->counts.config_written, 1);
	assert_int_equal(probe->written_offset, 2);
	assert_int_equal(probe->written_length, 8);
	virtio_config_write(device, 5, 1, 0xff);
	assert_int_equal(virtio_config_read(device, 5, 1), 0xf5);
	/* What the driver writes is no change to tell it of. */
	assert_int_equal(event_fd_drain(device->config_fd), 0);
}

static void config_changes_are_told_and_counted(void **state)
{
	struct driver *driver = *state;
	struct virtio_device *device = driver->device;
	uint8_t before = (uint8_t)virtio_config_generation(device);
	uint8_t byte = 0xee;

	for (unsigned i = 0; i < 1000; i++) /* C48 */
		assert_int_equal((uint8_t)virtio_config_generation(device), before);
	virtio_config_update(device, 3, &byte, 1);
	assert_int_equal(virtio_config_read(device, 3, 1), 0xee);
	assert_int_equal(event_fd_drain(device->config_fd), 0); /* no driver yet */
	assert_int_not_equal((uint8_t)virtio_config_generation(device), before);
	before = (uint8_t)virtio_config_generation(device);
	assert_int_equal((uint8_t)virtio_config_generation(device), before);

	driver_begin(driver);
	before = (uint8_t)virtio_config_generation(device);
	for (unsigned i = 0; i < 256; i++) /* C49 */
		virtio_config_update(device, 3, &byte, 1);
	assert_int_equal(event_fd_drain(device->config_fd), 256); /* C50 */
	assert_int_not_equal((uint8_t)virtio_config_generation(device), before);
	virtio_set_status(device, 0);
	virtio_config_update(device, 3, &byte, 1);
	assert_int_equal(event_fd_drain(device->config_fd), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(common_features_are_offered),
		TEST(features_that_hold_together_are_accepted),
		TEST(features_that_do_not_are_refused),
		TEST(driver_features_read_back_until_fixed),
		TEST(driver_ok_needs_features_ok_first),
		TEST(all_ones_start_nothing),
		TEST(bits_are_only_ever_added),
		TEST(buffers_wait_for_driver_ok),
		TEST(queues_not_enabled_are_not_touched),
		TEST(failed_makes_it_quiet),
		TEST(host_that_refuses_ready_breaks_the_device),
		TEST(failing_again_says_nothing_new),
		TEST(a_failed_device_begins_no_queue),
		TEST(reset_forgets_everything),
		TEST(reset_works_in_every_state),
		TEST(reset_waits_for_what_is_in_flight),
		TEST(reset_overtakes_a_publish),
		TEST(a_queue_is_live_while_its_task_is_posted),
		TEST(reset_races),
		TEST(failure_races_with_the_driver),
		TEST(sizes_are_powers_of_two_within_bounds),
		TEST(queues_out_of_range_are_not_there),
		TEST(queues_without_their_feature_are_not_there),
		TEST(enabled_queues_keep_their_values),
		TEST(queues_wait_for_a_device_reset),
		TEST(a_queue_is_reset_alone),
		TEST(queue_reset_must_be_negotiated),
		TEST(device_reset_takes_over_a_queue_reset),
		TEST(no_file_slot_left),
		TEST(queue_resets_leave_the_file_table_alone),
		TEST(device_resets_leave_the_file_table_alone),
		TEST(pause_keeps_the_rings),
		TEST(pause_forgets_that_kicks_were_off),
		TEST(pause_publishes_what_completes),
		TEST(pause_gives_back_what_was_posted),
		TEST(resume_before_it_has_drained),
		TEST(reset_of_a_pause_that_drains),
		TEST(goals_change_faster_than_the_worker),
		TEST(config_reads_any_width),
		TEST(config_takes_writes_where_it_may),
		TEST(config_changes_are_told_and_counted),
	};

	return driver_run_on_both_rings(tests, NULL, NULL);
}
