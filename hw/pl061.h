/* SPDX-License-Identifier: MIT */
/*
 * The general purpose I/O of ARM boards (PrimeCell PL061, DDI 0190): eight
 * lines. One of them has a button; nothing is connected to the others. Registers
 * run on vCPU threads under pl061.lock, the button on the worker.
 *
 * A pressed button stays down until the guest has looked at it, and for a
 * moment after that: drivers debounce, and a busy guest must not miss it.
 */
#ifndef HW_PL061_H
#define HW_PL061_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/worker.h"

#define PL061_PART 0x61
#define PL061_LINES 8

/* Registers, of 8 bits in 4 bytes. Bits 9 to 2 of the data register's address mask its lines. */
#define PL061_DATA       0x000 /* to 0x3fc */
#define PL061_DIRECTION  0x400 /* 1: output */
#define PL061_SENSE      0x404 /* 1: by level, 0: by edge */
#define PL061_BOTH_EDGES 0x408
#define PL061_EVENT      0x40c /* 1: high or rising */
#define PL061_MASK       0x410 /* 1: it interrupts */
#define PL061_RAW_STATUS 0x414
#define PL061_STATUS     0x418 /* raw status and mask */
#define PL061_CLEAR      0x41c /* of edges */
#define PL061_FUNCTION   0x420 /* stored only: there is no other function */

struct pl061_config {
	struct bus *bus;
	uint64_t base;         /* of PRIMECELL_BYTES */
	int irq_event_fd;      /* an edge for each time there is something new to handle */
	struct worker *worker; /* times the button; pl061_press_button() runs on it */
	unsigned button_line;  /* high while the button is down */
};

struct pl061 {
	struct pl061_config config;
	struct region region;
	struct worker_timer button_timer;
	pthread_mutex_t lock; /* leaf; all below */
	uint8_t inputs, outputs, direction;
	uint8_t sense, both_edges, event, mask, function;
	uint8_t edges;        /* seen since they were cleared */
	bool button_seen;     /* the guest has read its line while it was down */
	bool button_ending;   /* and that was a while ago */
};

/* 0 or a failure, logged. Control thread. */
int pl061_init(struct pl061 *pl061, const struct pl061_config *config);
/* The worker's thread; vCPUs have ended. */
void pl061_destroy(struct pl061 *pl061);

/* Power-on state, the button up. vCPUs parked; the worker's thread. */
void pl061_reset(struct pl061 *pl061);

/* The worker's thread. Any number of times: a button that is down stays so. */
void pl061_press_button(struct pl061 *pl061);

#endif
