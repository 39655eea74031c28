/* SPDX-License-Identifier: MIT */
/*
 * From a head to iovecs: walks a descriptor chain in guest memory (virtio 1.2,
 * 2.7.5 and 2.8), copies each descriptor once and checks the copy. No state, any
 * thread.
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
	const void *entries; /* of the ring, in guest RAM: vring_desc or vring_packed_desc */
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

/*
 * A place in a packed ring: offset, and above it the wrap counter of the lap, as
 * the driver and device event areas have it.
 */
#define PACKED_WRAP (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

static inline uint16_t packed_offset(uint16_t place)
{
	return place & (PACKED_WRAP - 1);
}

/* `count` descriptors on, at most a lap. */
static inline uint16_t packed_advance(uint16_t place, uint16_t count, uint16_t size)
{
	unsigned offset = packed_offset(place) + count;
	unsigned wrap = place & PACKED_WRAP;

	return (uint16_t)(offset < size ? offset | wrap : (offset - size) | (wrap ^ PACKED_WRAP));
}

/* Whether flags say "made available in this lap": AVAIL is the wrap counter, USED is not. */
static inline bool packed_is_available(uint16_t flags, uint16_t place)
{
	unsigned bits = flags & (1u << VRING_PACKED_DESC_F_AVAIL | 1u << VRING_PACKED_DESC_F_USED);

	return bits == 1u << (place & PACKED_WRAP ? VRING_PACKED_DESC_F_AVAIL :
						    VRING_PACKED_DESC_F_USED);
}

/*
 * A buffer of a packed ring: where it begins, what the ring has room for, and
 * the first descriptor's flags, read with acquire, go in.
 */
struct packed_list {
	uint16_t place, room, head_flags;
	uint16_t id, count; /* found: what the driver calls it, and its descriptors */
};

/* Same for the list of descriptors at list->place; list->id is sound unless it is corrupt. */
enum descriptor_verdict descriptor_walk_packed(const struct descriptor_table *table,
					       struct packed_list *list,
					       struct descriptor_parts *parts);

#endif
