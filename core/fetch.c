// SPDX-License-Identifier: MIT
/*
 * What a thread has read of guest memory since its last pop: a few ranges of
 * each kind, as reads are mostly in order and grow together. Test builds only.
 */
#include "core/fetch.h"

#ifdef FETCH_CHECK

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/log.h"

#define FETCH_RANGES 16 /* of a kind; what comes beyond is not watched */

struct fetch_range {
	uint64_t begin, end;
};

struct fetch_state {
	uint16_t window; /* the last one opened */
	bool open;
	bool unfenced; /* what was stored last */
	unsigned counts[FETCH_KINDS];
	struct fetch_range ranges[FETCH_KINDS][FETCH_RANGES];
};

static const char *const kind_names[] = {
	[FETCH_INDEX] = "available index",
	[FETCH_HEAD] = "entry of the available ring",
	[FETCH_DESCRIPTOR] = "descriptors",
	[FETCH_TABLE] = "indirect table",
	[FETCH_DATA] = "readable data",
};

/* The reader is a function deep in a walk, and what it reads for is the thread's only chain. */
static _Thread_local struct fetch_state fetch;

void fetch_open(void)
{
	if (!++fetch.window)
		fetch.window = 1;
	fetch.open = true;
	for (unsigned kind = 0; kind < FETCH_KINDS; kind++)
		fetch.counts[kind] = 0;
}

void fetch_close(void)
{
	fetch.open = false;
}

uint16_t fetch_window(void)
{
	return fetch.open ? fetch.window : 0;
}

static bool range_grow(struct fetch_range *range, uint64_t begin, uint64_t end)
{
	if (range->end == begin)
		range->end = end;
	else if (range->begin == end)
		range->begin = begin;
	else
		return false;
	return true;
}

void fetch_stored(void)
{
	fetch.unfenced = true;
}

void fetch_fence(void)
{
	__sync_synchronize();
	fetch.unfenced = false;
}

void fetch_look(void)
{
	if (!fetch.unfenced)
		return;
	log_warning("a look at the ring without a fence behind what was stored before it");
	abort();
}

void fetch_note(enum fetch_kind kind, uint64_t place, uint64_t bytes)
{
	struct fetch_range *ranges = fetch.ranges[kind];
	bool grown = false;

	fetch_look();
	if (!fetch.open || !bytes)
		return;
	for (unsigned i = 0; i < fetch.counts[kind]; i++) {
		if (ranges_overlap(ranges[i].begin, ranges[i].end - ranges[i].begin, place,
				   bytes)) {
			log_warning("double fetch: %s, bytes %" PRIu64 " to %" PRIu64
				    ": read before in this pop", kind_names[kind], place,
				    place + bytes - 1);
			abort();
		}
	}
	for (unsigned i = 0; i < fetch.counts[kind] && !grown; i++)
		grown = range_grow(&ranges[i], place, place + bytes);
	if (!grown && fetch.counts[kind] < FETCH_RANGES)
		ranges[fetch.counts[kind]++] = (struct fetch_range){ place, place + bytes };
}

#endif
