/* SPDX-License-Identifier: MIT */
/*
 * What hostile guests share: a victim is one queue of one device, which a test ill-treats by hand;
 * then what must have come of it is asked for here. The last disk of several is the canary, and
 * never a victim. On the command line: link=1, a net device has a host at 192.0.2.1 that answers
 * ARP; input=1, a console has input without end: both then have their receive queue as a victim,
 * too. shared=1: the rng, which shares a worker with the consoles, is a canary, too. full=1: what a
 * test else does on one device it does on all. watch=1: somebody on the host looks at the process
 * before and after, and says so by a byte on the serial port.
 */
#ifndef GUEST_KIT_HOSTILE_H
#define GUEST_KIT_HOSTILE_H

#include "kit/subject.h"

struct victim {
	struct virtio_device *device;
	struct virtqueue *queue;
	char name[32];	 /* "net0 rx" */
	unsigned number; /* among the victims */
	bool writes;	 /* the device, into the buffers it is given */
	bool receives;	 /* takes buffers only when there is something to put into them */
	bool is_well;	 /* it has just served, and is not asked to start again */
	uint64_t config_interrupts; /* before the input */
};

/* Runs the test on every victim, and all that is asserted of a run as a whole. */
void hostile_run(void (*test)(struct victim *victim));
/* Whether case `number` is for this victim: all of them are for the first one, and with full=1. */
bool hostile_wants(const struct victim *victim, unsigned number);
/* Runs each of a guest's functions that is for this victim: all of them for the first device, a
 * part for each other. They start the device by themselves; it is reset after the last. */
void hostile_lines(struct victim *victim, void (*const lines[])(struct virtio_device *device),
		   unsigned count);
/* How often something is done: what the command line says for `name`, or `count`; with full=1 four
 * times that. */
unsigned hostile_count(const char *name, unsigned count);
/* Lets time pass; the canary is read. */
void hostile_wait(uint64_t ns);

/*
 * Up to DRIVER_OK with the usual features but these, from a reset unless it is just so and served.
 * Nothing is in flight: descriptors may be written by hand from 0 on.
 */
void victim_start(struct victim *victim, uint64_t without);
/* Publishes what was offered and kicks; what a receiving queue waits for is brought about. */
void victim_send(struct victim *victim);
/* The next used element within some seconds. */
bool victim_take(struct victim *victim, struct used *used);
/* A request that any driver makes, on the victim's queue. */
bool victim_serves(struct victim *victim);

/* DEAD: NEEDS_RESET and the interrupt for it; nothing is used on any queue; a reset brings it
 * back. */
bool victim_is_dead(struct victim *victim);
/* REQ: the head came back with no byte written, the device is well, the next request is served. */
bool victim_ended(struct victim *victim, uint16_t head);
/* Whatever came of it: after a reset it serves. */
bool victim_recovers(struct victim *victim);

#endif
