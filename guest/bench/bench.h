/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the bench share. A test keeps `depth` requests in flight till its time is over,
 * and counts what comes back; it is set up at ring 0 and runs at ring 3.
 */
#ifndef GUEST_BENCH_BENCH_H
#define GUEST_BENCH_BENCH_H

#include "bench/histogram.h"
#include "kit/arch.h"
#include "kit/virtio.h"

#define BENCH_RING_SIZE 256
#define BENCH_WORD_MAX	16
#define BENCH_NAME_MAX	64

/* test=DEVICE,OPERATION,BYTES,DEPTH[,irq], which is its name */
struct bench_test {
	char name[BENCH_NAME_MAX];
	char device[BENCH_WORD_MAX], operation[BENCH_WORD_MAX];
	uint32_t bytes, depth;
	bool interrupts; /* halts for them instead of polling */
};

/* One run of a test. */
struct bench_run {
	const struct bench_test *test;
	uint64_t ns, requests; /* ends after this time, or after so many if that is not 0 */
	uint64_t begun_ns, begun, done, bytes, kicks;
	struct histogram latency;
};

/* One kind of device. At ring 0: start() brings the device up, prepare() false if it does not know
 * the test. At ring 3: run(). */
struct bench_device {
	const char *name;
	uint16_t type; /* VIRTIO_ID_* */
	void (*start)(struct virtio_device *device);
	bool (*prepare)(struct virtio_device *device, const struct bench_test *test);
	void (*run)(struct virtio_device *device, struct bench_run *run);
	struct virtqueue *(*queue)(struct virtio_device *device, const struct bench_test *test);
};

extern const struct bench_device bench_blk, bench_net, bench_console;

/* Buffers whose every page has been written to: what never was may be one page for all in a VMM. */
void *bench_buffer(uint32_t bytes);
/* Negotiates these features and sets up all queues with rings of BENCH_RING_SIZE at most. */
void bench_start(struct virtio_device *device, uint64_t features);

/* Whether one more request shall begin now; counts it. */
static inline bool bench_begin(struct bench_run *run, uint64_t now_ns)
{
	if (run->requests ? run->begun >= run->requests : now_ns - run->begun_ns >= run->ns)
		return false;
	run->begun++;
	return true;
}

/* A request that began at `start_ns` has come back. */
static inline void bench_done(struct bench_run *run, uint64_t start_ns, uint64_t now_ns,
			      uint64_t bytes)
{
	run->done++;
	run->bytes += bytes;
	histogram_add(&run->latency, now_ns - start_ns);
}

/* Publishes what was offered; tells the device if it wants to know. */
void bench_kick(struct bench_run *run, struct virtqueue *queue);
/* After a round that found nothing: halts for an interrupt, or goes easy on the sibling. */
void bench_idle(struct bench_run *run, struct virtqueue *queue);
/* A number that looks like chance. */
uint64_t bench_random(void);

#endif
