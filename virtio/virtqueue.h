/* SPDX-License-Identifier: MIT */
/*
 * A split or packed virtqueue with EVENT_IDX and INDIRECT_DESC (virtio 1.2, 2.7 and 2.8), owned by
 * its device and served by one worker. Kick fd in, call fd out; ring memory in between. No lock:
 * addresses and size change under device->lock and only while the queue is stopped, all else
 * belongs to the worker.
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

enum virtqueue_goal {
	VIRTQUEUE_STOP,  /* drain, drop what completes, touch guest memory no more */
	VIRTQUEUE_PAUSE, /* drain, publish what completes, keep the indices */
	VIRTQUEUE_RUN,
};

struct virtqueue;

/* Who serves a queue instead of its worker: the host's kernel. Worker thread, valid split rings. */
struct virtqueue_outside {
	/* From next_avail on, kick and call fd in its hands. 0 or -errno. */
	int (*begin)(struct virtqueue *queue);
	/* Returns when nothing touches guest memory for it: next_avail, next_used say how far. */
	void (*end)(struct virtqueue *queue);
};

struct virtqueue {
	struct virtio_device *device;
	struct worker *worker;
	uint16_t index, max_size;

	/* Written by the driver; device->lock, and only while stopped. */
	uint16_t size;
	bool enabled;
	uint64_t desc_gpa;
	uint64_t avail_gpa; /* packed: driver event suppression */
	uint64_t used_gpa;  /* packed: device event suppression */

	bool resetting; /* queue_reset was written; enabled until it has drained */
	bool was_reset; /* since DRIVER_OK: may be set up again although the device is live */

	/* For the life of the device. */
	int kick_fd; /* the guest has made buffers available */
	int call_fd; /* the driver wants to look at the used ring */
	const struct virtqueue_outside *outside; /* NULL: the worker serves it */

	/* device->queue_lock: what the registers ask for, and how far the worker is. */
	enum virtqueue_goal goal;
	bool posted; /* the task is on its way */
	bool live;   /* the worker may touch the queue and guest memory */
	struct worker_task task;

	/*
	 * Where the rings continue: the worker's while live, else device->lock. Split:
	 * indices. Packed: offsets, with the wrap counter for bit 15.
	 */
	uint16_t next_avail, next_used;

	/* Worker thread only: both fds among its files, from the first start on; else -1. */
	int kick_slot, call_slot;

	/* Worker thread only, while live. */
	struct virtqueue_run *run; /* from start to drained, else NULL */
	bool is_outside;	   /* between the outside's begin() and end() */
	struct worker_job kick_job, publish_job;
	struct fd_watch kick_watch;
};

/* Control thread, from the device's create(). 0 or a failure, logged. */
int virtqueue_init(struct virtqueue *queue, struct virtio_device *device, uint16_t index,
		   uint16_t max_size, struct worker *worker);
void virtqueue_destroy(struct virtqueue *queue);

/* ---- Worker thread, between the device's start() and stop() ---- */

/*
 * The next available chain. False when there is none (the driver will kick
 * again, or the worker look), when this pass's budget is spent (the device's kick() will be called
 * again), or when the ring can't be trusted (the device has failed).
 */
bool virtqueue_pop(struct virtqueue *queue, struct chain *chain);

/*
 * Gives back the chain popped last, then the one before it...: it will be popped again. If one that
 * was popped later has ended meanwhile (pushed, or malformed) that can't be, as the avail index
 * stands in one place only: the chain is then pushed with length 0.
 */
void virtqueue_unpop(struct virtqueue *queue, uint16_t head);

/*
 * Ends a chain: `written_bytes` counts from its first writable byte. Reaches
 * the guest when the worker's pass publishes; dropped when the queue is being
 * reset or the device has failed. Every popped chain ends here or in unpop.
 */
void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written_bytes);

/* A chain that took as long as `chains` of the usual ones: this pass will pop fewer. */
void virtqueue_spend(struct virtqueue *queue, unsigned chains);

/* Calls the device's kick() again in the next pass: a device that stopped before pop did. */
void virtqueue_again(struct virtqueue *queue);

/* Whether pop can give chains at all: false from stop() on, and when the device has failed. */
bool virtqueue_running(const struct virtqueue *queue);

/* Whether what is pushed still reaches the guest: what takes long may be left undone if not. */
bool virtqueue_wanted(const struct virtqueue *queue);

/* Chains popped and neither pushed nor given back. */
unsigned virtqueue_in_flight(const struct virtqueue *queue);

/* ---- For virtio/registers.c: vCPU and control threads ---- */

/* Whether rings of this size at these addresses can be served: alignment, inside RAM. */
bool virtqueue_rings_valid(const struct virtqueue *queue);

/* Both rings at their beginning, as a driver finds them that has just set them up. */
void virtqueue_rewind(struct virtqueue *queue);

/* The areas of a split ring in guest RAM, for an outside. 0 or -EFAULT. */
struct virtqueue_areas {
	const void *desc, *avail;
	void *used;
};
int virtqueue_split_areas(const struct virtqueue *queue, struct virtqueue_areas *areas);

/* Asks the worker to bring the queue there; never waits. */
void virtqueue_set_goal(struct virtqueue *queue, enum virtqueue_goal goal);
/* The device is silenced: workers see that themselves, an outside must be told. Any thread. */
void virtqueue_silence(struct virtio_device *device);

/* Whether the worker has let go: nothing touches guest memory for this queue. */
bool virtqueue_drained(struct virtqueue *queue);

#endif
