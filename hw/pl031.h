/* SPDX-License-Identifier: MIT */
/*
 * The real time clock of ARM boards (PrimeCell PL031, DDI 0224): a counter of
 * seconds since 1970, an alarm. It starts as the host's clock and follows it;
 * the guest may set it, which moves it against the host's. Registers run on vCPU
 * threads under pl031.lock, the alarm on the worker.
 */
#ifndef HW_PL031_H
#define HW_PL031_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/worker.h"

#define PL031_PART 0x31

/* Registers, of 4 bytes. */
#define PL031_DATA       0x00 /* seconds */
#define PL031_MATCH      0x04 /* the alarm is when the clock gets there */
#define PL031_LOAD       0x08 /* a write sets the clock */
#define PL031_CONTROL    0x0c /* 1: it runs; always */
#define PL031_MASK       0x10 /* PL031_ALARM: it interrupts */
#define PL031_RAW_STATUS 0x14
#define PL031_STATUS     0x18 /* raw status and mask */
#define PL031_CLEAR      0x1c

#define PL031_ALARM 1u

struct pl031_config {
	struct bus *bus;
	uint64_t base;         /* of PRIMECELL_BYTES */
	int irq_event_fd;      /* an edge for each time the interrupt condition rises */
	struct worker *worker; /* with a free file slot; looks after the alarm */
};

struct pl031 {
	struct pl031_config config;
	struct region region;
	int timer_fd, timer_slot; /* a timerfd: any thread sets it, the worker sees it expire */
	struct fd_watch timer_watch;
	pthread_mutex_t lock;     /* leaf; all below */
	uint32_t offset;          /* what the guest's clock is ahead of the host's, modulo 2^32 */
	uint32_t match, load;
	int64_t alarm_s;          /* when the match is, in the host's time */
	bool alarm_waits, alarm_due, enabled;
};

/* 0 or a failure, logged. The worker's thread, also before it runs. */
int pl031_init(struct pl031 *pl031, const struct pl031_config *config);
/* The worker's thread; vCPUs have ended. */
void pl031_destroy(struct pl031 *pl031);

/* No alarm is set; the clock runs on, as from a battery. vCPUs parked. */
void pl031_reset(struct pl031 *pl031);

#endif
