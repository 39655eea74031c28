/* SPDX-License-Identifier: MIT */
/*
 * A virtio device with an honest driver, on the played ring: what the targets
 * of single devices share. Requests may be nonsense, the rings are sound, so
 * whatever the device does is checked: each chain ends once, interrupts come as
 * they were asked for, nothing but used rings and offered buffers changes, a
 * reset comes to an end and nothing is written after it. One thread.
 */
#ifndef TESTS_FUZZ_DEVICE_H
#define TESTS_FUZZ_DEVICE_H

#include "tests/fuzz/guest.h"
#include "tests/fuzz/played_ring.h"

struct fuzz_device {
	struct guest guest;
	struct worker worker;
	struct virtio_device *device;
	bool paused;
	/* Ends some of what the device waits for besides the ring; false: nothing. May be NULL. */
	bool (*end_more)(struct fuzz_device *subject);
	uint16_t seen[GUEST_QUEUES_MAX]; /* how far each queue's interrupts were checked */
};

/* A queue that the driver uses; `size` is the most that it gives it. */
struct fuzz_queue {
	unsigned index;
	uint16_t size;
	uint32_t data_bytes;
};

/* Once a program. `options` outlives the device. */
void fuzz_device_create(struct fuzz_device *subject, const struct virtio_type *type,
			const void *options);

/*
 * From a reset to DRIVER_OK: the features of `features` that are offered; ring
 * format, EVENT_IDX, INDIRECT_DESC and sizes by the input. guest.queues[] are as `queues`.
 */
void fuzz_device_begin(struct fuzz_device *subject, struct fuzz_input *input, uint64_t features,
		       const struct fuzz_queue *queues, unsigned count);

/* A target's share of the work on an input. */
struct fuzz_driver {
	void (*begin)(struct fuzz_input *input);
	void (*step)(struct fuzz_input *input);
	/* Nothing is held back any more; what has to come of that has come. */
	void (*settle)(struct fuzz_input *input);
	void (*reset)(struct fuzz_input *input);
};

/* The whole of an input. */
void fuzz_device_play(const struct fuzz_driver *driver, struct fuzz_input *input);

/* Until the worker has nothing to do but wait, and then looks at the interrupts. */
void fuzz_device_run(struct fuzz_device *subject);

/* Requests that are held end, in any order, before and after the reset is asked for. */
void fuzz_device_reset(struct fuzz_device *subject, struct fuzz_input *input);

/* Or goes on. */
void fuzz_device_pause(struct fuzz_device *subject);

/* How requests of a device to the host end, by a byte of the input each. */
struct fuzz_ends {
	unsigned most;	   /* at once */
	uint8_t short_from; /* bytes below that: as they should; from there on, short by blocks */
	uint32_t block_bytes;
	const int *errors; /* from 240 on */
	unsigned error_count;
};

/* Lets the input end one or more that are held; how many of them failed. */
unsigned fuzz_device_end_some(struct fuzz_device *subject, struct fuzz_input *input,
			      const struct fuzz_ends *ends);
void fuzz_device_end_all(struct fuzz_device *subject, struct fuzz_input *input);

/*
 * A chain of these bytes and room for `writable`, cut into parts by the input;
 * its head, or -1: the ring or its memory is full. The room is filled with 0xee.
 */
int fuzz_chain_add(struct guest_queue *queue, struct fuzz_input *input, const void *readable,
		   uint32_t readable_bytes, uint32_t writable_bytes);
static inline unsigned fuzz_chain_head(const struct guest_queue *queue,
				       const struct guest_chain *chain)
{
	return (unsigned)(chain - queue->chains);
}

/* Bytes of the writable parts. */
void fuzz_chain_load(struct guest *guest, const struct guest_chain *chain, uint64_t offset,
		     void *data, uint64_t bytes);

void fuzz_queue_publish(struct guest_queue *queue);

#endif
