// SPDX-License-Identifier: MIT
/*
 * The probe: see probe.h. Its state is the worker's; tests reach it by
 * worker_call(). cmocka's assertions are for the test's thread only.
 */
#include "tests/unit/unit.h"
#include "tests/unit/probe.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fd.h"

static struct probe *probe_from(struct virtio_device *device)
{
	return container_of(device, struct probe, device);
}

struct probe *probe_of(struct driver *driver)
{
	return probe_from(driver->device);
}

uint64_t probe_hash(uint64_t hash, const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* ---- On the worker ---- */

static void answer(struct virtqueue *queue, struct chain *chain)
{
	struct probe *probe = probe_from(queue->device);
	uint64_t hash = PROBE_HASH_START;
	uint32_t written;
	uint8_t bytes[100];

	while (chain->readable_bytes) {
		size_t step = min_u64(chain->readable_bytes, sizeof(bytes));

		assert(chain_pull(chain, bytes, step));
		hash = probe_hash(hash, bytes, step);
	}
	written = (uint32_t)min_u64(chain->writable_bytes, sizeof(hash));
	assert(chain_put(chain, &hash, written));
	if (probe->logged < PROBE_LOG)
		probe->log[probe->logged++] = (uint8_t)queue->index;
	probe->counts.served++;
	virtqueue_push(queue, chain->head, written);
}

static void probe_kick(struct virtqueue *queue)
{
	struct probe *probe = probe_from(queue->device);
	struct probe_queue *state = &probe->states[queue->index];
	struct chain chain;

	probe->counts.kick++;
	while (virtqueue_pop(queue, &chain)) {
		if (state->hold)
			state->held[state->held_count++] = chain;
		else
			answer(queue, &chain);
	}
}

static void probe_start(struct virtqueue *queue)
{
	probe_from(queue->device)->counts.start++;
}

static void probe_stop(struct virtqueue *queue)
{
	struct probe *probe = probe_from(queue->device);
	struct probe_queue *state = &probe->states[queue->index];

	probe->counts.stop++;
	while (state->unpop_on_stop && state->held_count)
		virtqueue_unpop(queue, state->held[--state->held_count].head);
}

/* ---- On the test's thread ---- */

static uint64_t probe_features_missing(uint64_t features)
{
	return features & BIT64(PROBE_F_A) ? BIT64(PROBE_F_B) & ~features : 0;
}

static bool probe_has_queue(const struct virtio_device *device, unsigned index)
{
	return !(container_of(device, struct probe, device)->absent & 1u << index);
}

static int probe_ready(struct virtio_device *device)
{
	probe_from(device)->counts.ready++;
	return probe_from(device)->refuse_ready ? -EIO : 0;
}

static void probe_reset(struct virtio_device *device)
{
	probe_from(device)->counts.reset++;
}

static void probe_config_written(struct virtio_device *device, size_t offset, size_t length)
{
	struct probe *probe = probe_from(device);

	probe->counts.config_written++;
	probe->written_offset = offset;
	probe->written_length = length;
}

static void probe_destroy(struct virtio_device *device)
{
	virtio_device_destroy(device);
	free(probe_from(device));
}

/* Byte 4 and the upper half of byte 5 may be written. */
static const uint8_t config_writable[PROBE_CONFIG_BYTES] = { [4] = 0xff, [5] = 0xf0 };

static int probe_create(const void *options, const struct virtio_deps *deps,
			struct virtio_device **device)
{
	struct probe *probe = calloc(1, sizeof(*probe));
	struct virtio_device_config config = {
		.type = &virtio_probe,
		.deps = deps,
		.features = BIT64(PROBE_F_A) | BIT64(PROBE_F_B),
		.config = probe->config,
		.config_size = sizeof(probe->config),
		.config_writable = config_writable,
		.queues = probe->queues,
		.queue_count = PROBE_QUEUES,
	};

	(void)options;
	for (unsigned i = 0; i < PROBE_CONFIG_BYTES; i++)
		probe->config[i] = (uint8_t)(0x10 + i);
	assert_int_equal(virtio_device_init(&probe->device, &config), 0);
	for (unsigned i = 0; i < PROBE_QUEUES; i++)
		assert_int_equal(virtqueue_init(&probe->queues[i], &probe->device, i, VIRTQUEUE_MAX,
						deps->workers[i % deps->worker_count]), 0);
	*device = &probe->device;
	return 0;
}

const struct virtio_type virtio_probe = {
	.name = "probe",
	.id = 0x3f,
	.create = probe_create,
	.destroy = probe_destroy,
	.features_missing = probe_features_missing,
	.has_queue = probe_has_queue,
	.ready = probe_ready,
	.config_written = probe_config_written,
	.reset = probe_reset,
	.start = probe_start,
	.kick = probe_kick,
	.stop = probe_stop,
};

/* ---- From the test's thread to the worker ---- */

struct call {
	struct worker_task task;
	struct virtqueue *queue;
	struct probe_queue *state;
	unsigned count, seed; /* in; count also out */
	bool flag;
};

static unsigned call(struct driver *driver, unsigned index, struct call call)
{
	struct probe *probe = probe_of(driver);

	call.queue = &probe->queues[index];
	call.state = &probe->states[index];
	worker_call(call.queue->worker, &call.task);
	return call.count;
}

void probe_call(struct driver *driver, unsigned queue, void (*run)(struct worker_task *task))
{
	call(driver, queue, (struct call){ .task.run = run });
}

static void visit(struct worker_task *task)
{
	(void)task;
}

void probe_settle(struct driver *driver)
{
	/* The second visit comes after the first one's pass. */
	probe_call(driver, 0, visit);
	probe_call(driver, 0, visit);
}

static void run_hold(struct worker_task *task)
{
	struct call *in = container_of(task, struct call, task);

	in->state->hold = true;
	in->state->unpop_on_stop = in->flag;
}

void probe_hold(struct driver *driver, unsigned queue, bool unpop_on_stop)
{
	call(driver, queue, (struct call){ .task.run = run_hold, .flag = unpop_on_stop });
}

static void run_release(struct worker_task *task)
{
	struct call *in = container_of(task, struct call, task);

	in->state->hold = false;
	virtqueue_again(in->queue);
}

void probe_release(struct driver *driver, unsigned queue)
{
	call(driver, queue, (struct call){ .task.run = run_release });
}

static void run_answer(struct worker_task *task)
{
	struct call *in = container_of(task, struct call, task);
	struct probe_queue *state = in->state;
	unsigned done = 0;

	for (; done < in->count && state->held_count; done++) {
		unsigned pick = in->seed ? (in->seed + done * 7919) % state->held_count : 0;
		struct chain chain = state->held[pick];

		state->held_count--;
		memmove(&state->held[pick], &state->held[pick + 1],
			(state->held_count - pick) * sizeof(state->held[0]));
		answer(in->queue, &chain);
	}
	in->count = done;
}

unsigned probe_answer(struct driver *driver, unsigned queue, unsigned count, unsigned seed)
{
	return call(driver, queue,
		    (struct call){ .task.run = run_answer, .count = count, .seed = seed });
}

static void run_give_back(struct worker_task *task)
{
	struct call *in = container_of(task, struct call, task);
	struct probe_queue *state = in->state;

	assert(in->count <= state->held_count);
	while (in->count--)
		virtqueue_unpop(in->queue, state->held[--state->held_count].head);
}

void probe_give_back(struct driver *driver, unsigned queue, unsigned count)
{
	call(driver, queue, (struct call){ .task.run = run_give_back, .count = count });
}

static void run_held(struct worker_task *task)
{
	struct call *in = container_of(task, struct call, task);

	in->count = in->state->held_count;
	if (virtqueue_running(in->queue))
		assert(virtqueue_in_flight(in->queue) == in->count);
}

unsigned probe_held(struct driver *driver, unsigned queue)
{
	return call(driver, queue, (struct call){ .task.run = run_held });
}

void probe_wait_held(struct driver *driver, unsigned queue, unsigned count)
{
	struct timespec delay = { .tv_nsec = 200000 };

	for (int left = DRIVER_TIMEOUT_MS * 5; probe_held(driver, queue) < count; left--) {
		assert_true(left);
		nanosleep(&delay, NULL);
	}
	assert_int_equal(probe_held(driver, queue), count);
}

void probe_refuses(struct driver *driver, enum virtio_ring_part part, uint64_t gpa)
{
	struct virtio_device *device = driver->device;

	driver_reset(driver);
	event_fd_drain(device->config_fd);
	assert_true(driver_negotiate(driver, device->offered));
	for (unsigned any = VIRTIO_RING_DESC; any <= VIRTIO_RING_USED; any++)
		virtio_queue_set_address(device, 0, any, DRIVER_MEMORY_GPA + any * 0x10000);
	virtio_queue_set_address(device, 0, part, gpa);
	virtio_queue_enable(device, 0);
	virtio_set_status(device, 0xf);
	assert_int_equal(virtio_get_status(device), 0xf | VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(event_fd_drain(device->config_fd), 1);
	assert_true(virtqueue_drained(&device->queues[0]));
}
