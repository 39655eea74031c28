/* SPDX-License-Identifier: MIT */
/*
 * What a worker looks at by itself for a while before it sleeps: rings in guest
 * memory, which a guest then need not announce work on. A poll is on the list
 * only while whoever owns it has nothing to do and has asked for no wake-up; a
 * worker that gives up looking lets each one ask. Worker thread.
 */
#ifndef CORE_WORKER_POLL_H
#define CORE_WORKER_POLL_H

#include <stdbool.h>
#include <stdint.h>

struct worker;

/* Embedded. Both say whether there is work, and have then made a job of it ready. */
struct worker_poll {
	bool (*look)(struct worker_poll *poll);
	/* Asks to be woken, and looks once more; off the list from then on. */
	bool (*rest)(struct worker_poll *poll);
	struct worker_poll *next;
	bool listed;
};

struct worker_spin {
	uint64_t window_ns; /* the longest look; 0: none, sleep at once */
	uint64_t found_ns;  /* how long it took of late till something was found */
	struct worker_poll *first;
	unsigned score; /* 0: looking has not paid of late */
	unsigned skipped, skip;
};

/* Whether it is any use to put a poll on the list: else ask to be woken. */
bool worker_polls(const struct worker *worker);
void worker_poll_add(struct worker *worker, struct worker_poll *poll);
void worker_poll_remove(struct worker *worker, struct worker_poll *poll);

/*
 * For the worker's loop. look: once at each poll, as a worker that has other work
 * does in every pass; nobody would tell it of theirs. spin_due: whether to look
 * for longer; while that does not pay, now and then. spin, with nothing left to
 * submit: whether work was found within the window. rest: lets all polls ask.
 * True: one found work.
 */
bool worker_look(struct worker *worker);
bool worker_spin_due(struct worker *worker);
bool worker_spin(struct worker *worker);
bool worker_rest(struct worker *worker);

#endif
