/* SPDX-License-Identifier: MIT */
/*
 * A virtio device for the tests of the queue layer. It answers a chain with a
 * hash of what it read, at once or, when holding, when the test says so. All
 * functions run on the test's thread and call over to the queue's worker.
 */
#ifndef TESTS_UNIT_PROBE_H
#define TESTS_UNIT_PROBE_H

#include "tests/unit/driver.h"

#define PROBE_QUEUES 3
#define PROBE_CONFIG_BYTES 12
#define PROBE_LOG 4096

/* Feature bits: A needs B; C the probe does not offer. */
#define PROBE_F_A 0
#define PROBE_F_B 1
#define PROBE_F_C 2

extern const struct virtio_type virtio_probe;

struct probe_counts {
	_Atomic unsigned ready, reset, config_written; /* device */
	_Atomic unsigned start, stop, kick, served;    /* queues, together */
};

struct probe_queue {
	bool hold;
	bool unpop_on_stop; /* else what is held stays in flight */
	struct chain held[VIRTQUEUE_MAX];
	unsigned held_count;
};

struct probe {
	struct virtio_device device;
	struct virtqueue queues[PROBE_QUEUES];
	struct probe_queue states[PROBE_QUEUES]; /* the queue's worker */
	struct probe_counts counts;
	uint8_t config[PROBE_CONFIG_BYTES];
	bool refuse_ready;
	unsigned absent; /* bits: queues that are not there with features that were taken */
	size_t written_offset, written_length;
	uint8_t log[PROBE_LOG]; /* by which queue each chain was served; one worker */
	unsigned logged;
};

struct probe *probe_of(struct driver *driver);

/* From a reset on: a ring with this part at `gpa`, the others where they can be, is refused. */
void probe_refuses(struct driver *driver, enum virtio_ring_part part, uint64_t gpa);

/* What a chain of these readable bytes is answered with. */
uint64_t probe_hash(uint64_t hash, const uint8_t *bytes, size_t length);
#define PROBE_HASH_START UINT64_C(0xcbf29ce484222325)

/* Chains popped from now on are held; when a queue stops they are given back, or kept. */
void probe_hold(struct driver *driver, unsigned queue, bool unpop_on_stop);
/* Holds no more, and lets kick() run. Those held stay so. */
void probe_release(struct driver *driver, unsigned queue);
/* Answers up to `count` held chains, in an order that `seed` decides (0: oldest first). */
unsigned probe_answer(struct driver *driver, unsigned queue, unsigned count, unsigned seed);
/* Gives the last `count` held chains back to the queue. */
void probe_give_back(struct driver *driver, unsigned queue, unsigned count);
/* Waits until `count` chains are held. */
void probe_wait_held(struct driver *driver, unsigned queue, unsigned count);
unsigned probe_held(struct driver *driver, unsigned queue);

/* Runs `run` on the worker of a queue and waits for it. */
void probe_call(struct driver *driver, unsigned queue, void (*run)(struct worker_task *task));
/* Waits until each pass that is under way on the first queue's worker has published. */
void probe_settle(struct driver *driver);

#endif
