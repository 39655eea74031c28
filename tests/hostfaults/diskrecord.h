/* SPDX-License-Identifier: MIT */
/*
 * What guest/tests/diskwriter.c writes into a sector, and what faultfs logs: the two things that
 * crashcheck reads. The record stands in its sector as often as it fits, so that a torn one shows.
 */
#ifndef HOSTFAULTS_DISKRECORD_H
#define HOSTFAULTS_DISKRECORD_H

#include <stdbool.h>
#include <stdint.h>

#define DISKRECORD_SECTOR 512
#define DISKRECORD_COPIES (DISKRECORD_SECTOR / sizeof(struct diskrecord))

struct diskrecord {
	uint64_t sequence; /* of the write, from 1 */
	/* When this one was made, every write below... */
	uint64_t flushed; /* ...was covered by a flush that had ended */
	uint64_t ended;	  /* ...had ended itself */
	uint32_t sector;
	uint32_t check;
};

/*
 * Neighbours in time are no neighbours on the disk, so that nobody joins them. `sectors` is a power
 * of two: as many writes in a row go to a different sector each, and then again in the same order.
 */
static inline uint32_t diskrecord_sector(uint64_t sequence, uint32_t sectors)
{
	return (uint32_t)(sequence * 2654435761u & (sectors - 1));
}

static inline uint32_t diskrecord_check(const struct diskrecord *record)
{
	const uint64_t words[] = { record->sequence, record->flushed, record->ended,
				   record->sector };
	uint64_t sum = 14695981039346656037u;

	for (unsigned i = 0; i < 4; i++)
		for (unsigned shift = 0; shift < 64; shift += 8)
			sum = (sum ^ (words[i] >> shift & 0xff)) * 1099511628211u;
	return (uint32_t)(sum ^ sum >> 32);
}

/* An entry of faultfs's log. A write's data follows its BEGIN; one with O_DSYNC ends in STABLE. */
enum disklog_type {
	DISKLOG_WRITE_BEGIN,
	DISKLOG_WRITE_END,
	DISKLOG_WRITE_STABLE,
	DISKLOG_SYNC_BEGIN,
	DISKLOG_SYNC_END,
};

struct disklog_entry {
	uint32_t type, bytes;
	uint64_t id; /* of the request */
	uint64_t offset;
};

#endif
