/* SPDX-License-Identifier: MIT */
/*
 * The network that a device is plugged into, played in the process: it takes
 * and gives frames at once or when the target says so, is full for a while,
 * refuses a frame, goes away. The target's frames have headers; link.header says
 * whether the device's have. Everything that it answers later is answered on the
 * worker. One thread, one link a program; frames pass on its first queue only.
 */
#ifndef TESTS_FUZZ_PLAYED_LINK_H
#define TESTS_FUZZ_PLAYED_LINK_H

#include "net/link.h"

#define PLAYED_QUEUES 2
#define PLAYED_FRAME_BYTES 4096
#define PLAYED_FRAMES 32 /* on their way to the guest */
#define PLAYED_IOS 128

struct played_frame {
	unsigned bytes; /* with the header, if the link has any */
	uint8_t data[PLAYED_FRAME_BYTES];
};

struct played_link {
	struct link link;
	struct link_queue queues[PLAYED_QUEUES];
	struct worker *worker; /* the target's */
	struct worker_task task;
	bool posted;

	/* The target sets these, and calls played_link_changed(). */
	bool hold, full, refuses, lost;
	unsigned failures; /* answers that were none of the device's fault */

	struct link_io *sends[PLAYED_IOS], *receives[PLAYED_IOS];
	unsigned send_count, receive_count;
	struct link_wait *waits[LINK_WRITABLE + 1];
	struct link_io *parked; /* the receive that waits for a frame, or NULL */
	bool cancelled_waits, cancelled_sends, cancelled_parked;
	struct played_frame frames[PLAYED_FRAMES]; /* to the guest */
	unsigned frame_count;

	void (*sent)(const uint8_t *frame, unsigned bytes); /* the target's: a frame from the guest */
};

void played_link_init(struct played_link *link, struct worker *worker);
/* As it was at first; nothing is in flight. */
void played_link_clear(struct played_link *link);

/* A frame for the guest; false: there are enough on their way. */
bool played_link_put(struct played_link *link, const void *frame, unsigned bytes);
/* When the worker runs, whatever can be answered is; while held, one send and one receive. */
void played_link_changed(struct played_link *link);
/* Sends and receives without an answer. */
unsigned played_link_held(const struct played_link *link);

#endif
