/* SPDX-License-Identifier: MIT */
/*
 * From a head to iovecs: walks a descriptor chain in guest memory (virtio 1.2,
 * 2.7.5), copies each descriptor once and checks the copy. No state, any thread.
 */
#ifndef VIRTIO_DESCRIPTOR_H
#define VIRTIO_DESCRIPTOR_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/memory.h"

struct descriptor_table {
	const struct guest_memory *memory;
	const void *entries; /* of the ring, in guest RAM */
	uint16_t size;
	bool indirect; /* negotiated */
};

/* Readable parts first, then writable ones; none is empty. */
struct descriptor_parts {
	struct iovec *iov;
	unsigned capacity; /* of iov */
	unsigned readable_count, writable_count;
	uint64_t readable_bytes, writable_bytes;
	const char *fault; /* what is wrong, when it is */
};

enum descriptor_verdict {
	DESCRIPTOR_OK,
	DESCRIPTOR_MALFORMED, /* this chain can't be served; the ring is sound */
	DESCRIPTOR_CORRUPT,   /* the ring can't be trusted any more */
};

/* Say what is wrong; the second, of this chain only. */
static inline enum descriptor_verdict descriptor_corrupt(struct descriptor_parts *parts,
							 const char *what)
{
	parts->fault = what;
	return DESCRIPTOR_CORRUPT;
}

static inline enum descriptor_verdict descriptor_malformed(struct descriptor_parts *parts,
							   const char *what)
{
	parts->fault = what;
	return DESCRIPTOR_MALFORMED;
}

/* `parts` has iov and capacity set and is zero otherwise; `head` is below the table's size. */
enum descriptor_verdict descriptor_walk(const struct descriptor_table *table, uint16_t head,
					struct descriptor_parts *parts);

#endif
