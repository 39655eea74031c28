/* SPDX-License-Identifier: MIT */
/*
 * A split virtqueue with EVENT_IDX and INDIRECT_DESC (virtio 1.2, 2.7), owned
 * by its device and served by one worker. Kick fd in, call fd out; ring memory
 * in between. No lock: addresses and size change under device->lock and only
 * while the queue is stopped, all else belongs to the worker.
 */
#ifndef VIRTIO_VIRTQUEUE_H
#define VIRTIO_VIRTQUEUE_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/memory.h"
#include "core/worker.h"
#include "virtio/chain.h"

#define VIRTQUEUE_MAX 1024 /* entries: also the most iovecs that the kernel takes at once */
#define VIRTQUEUE_PASS_CHAINS 64 /* popped in one pass of the worker, so that no queue starves */

struct virtio_device;

struct virtqueue {
	struct virtio_device *device;
	struct worker *worker;
	uint16_t index, max_size;

	/* Written by the driver; device->lock, and only while stopped. */
	uint16_t size;
	bool enabled;
	uint64_t desc_gpa, avail_gpa, used_gpa;

	/* For the life of the device. */
	int kick_fd; /* the guest has made buffers available */
	int call_fd; /* the driver wants to look at the used ring */

	/* What other threads may ask for while the worker stops the queue. */
	_Atomic bool live; /* started, and not yet drained */

	/* Worker thread only, from start to drained. */
	struct virtqueue_run *run;
};

/* Control thread, from the device's create(). 0 or a failure, logged. */
int virtqueue_init(struct virtqueue *queue, struct virtio_device *device, uint16_t index,
		   uint16_t max_size, struct worker *worker);
void virtqueue_destroy(struct virtqueue *queue);

/* ---- Worker thread, between the device's start() and stop() ---- */

/*
 * The next available chain. False when there is none (the driver will kick
 * again), when this pass's budget is spent (the device's kick() will be called
 * again), or when the ring can't be trusted (the device has failed).
 */
bool virtqueue_pop(struct virtqueue *queue, struct chain *chain);

/* Gives back the chain popped last, then the one before it...: it will be popped again. */
void virtqueue_unpop(struct virtqueue *queue, uint16_t head);

/*
 * Ends a chain: `written_bytes` counts from its first writable byte. Reaches
 * the guest when the worker's pass publishes; dropped when the queue is being
 * reset or the device has failed. Every popped chain ends here or in unpop.
 */
void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written_bytes);

/* Calls the device's kick() again in the next pass: a device that stopped before pop did. */
void virtqueue_again(struct virtqueue *queue);

/* Whether the queue takes new chains: false from stop() on. */
bool virtqueue_running(const struct virtqueue *queue);

/* Chains popped and neither pushed nor given back. */
unsigned virtqueue_in_flight(const struct virtqueue *queue);

#endif
