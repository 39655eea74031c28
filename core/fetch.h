/* SPDX-License-Identifier: MIT */
/*
 * Double fetches: a value in guest memory that is read, checked and read again
 * may have changed in between. Whoever reads the ring or what a device takes for
 * its instructions notes it here; in builds with --enable-fetch-check (those with
 * sanitizers) the second note of a byte between one pop and the next ends the
 * process, in others there is nothing of it. A byte goes by its place in the
 * chain, not by its address: a guest may well put two things in one place. Data
 * that only passes through, from an iovec to the host, is not noted.
 *
 * Each thread has its own window. A read outside of any, such as that of a ring
 * that was empty, is not held against another.
 *
 * A wish in guest memory, as for a kick, and the look behind it that makes up for
 * what came before the driver saw it, have a full fence between them. No test
 * sees on every machine that one is missing; these builds do, at the first look.
 */
#ifndef CORE_FETCH_H
#define CORE_FETCH_H

#include <stdint.h>

/* What was read; `place` counts bytes of that. */
enum fetch_kind {
	FETCH_INDEX,	  /* the available index of a split ring */
	FETCH_HEAD,	  /* its entry in the available ring */
	FETCH_DESCRIPTOR, /* the ring's own, one after the other as the walk came to them */
	FETCH_TABLE,	  /* those of an indirect table */
	FETCH_DATA,	  /* the chain's readable bytes */
	FETCH_KINDS,
};

#ifdef FETCH_CHECK

/* A pop begins: what is read from here on is read for it. Forgets all that was noted. */
void fetch_open(void);
/* It has found nothing. */
void fetch_close(void);
/* A number of the window that is open, for who reads a chain later; never 0. 0: none is. */
uint16_t fetch_window(void);
/* Aborts, with a message, if any of these bytes has been noted in this window. */
void fetch_note(enum fetch_kind kind, uint64_t place, uint64_t bytes);
/* Something was stored that the driver answers: no look before fetch_fence(). */
void fetch_stored(void);
/* A full fence. */
void fetch_fence(void);
/* We look at what the driver stores: aborts where no fence came first. fetch_note() is one, too. */
void fetch_look(void);

#else

static inline void fetch_open(void)
{
}

static inline void fetch_close(void)
{
}

static inline uint16_t fetch_window(void)
{
	return 0;
}

static inline void fetch_note(enum fetch_kind kind, uint64_t place, uint64_t bytes)
{
	(void)kind;
	(void)place;
	(void)bytes;
}

static inline void fetch_stored(void)
{
}

static inline void fetch_fence(void)
{
	__sync_synchronize();
}

static inline void fetch_look(void)
{
}

#endif
#endif
