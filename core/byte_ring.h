/* SPDX-License-Identifier: MIT */
/*
 * A ring of bytes between one producer and one consumer, without a lock: each
 * side may be on a thread of its own, or be several threads that take turns
 * under a lock of theirs.
 */
#ifndef CORE_BYTE_RING_H
#define CORE_BYTE_RING_H

#include <stddef.h>
#include <stdint.h>

struct byte_ring {
	uint8_t *bytes;
	uint32_t size;         /* a power of two */
	_Atomic uint32_t head; /* taken so far, counted on past `size`; the consumer's */
	_Atomic uint32_t tail; /* put so far; the producer's */
};

/* 0 or -ENOMEM, silent. */
int byte_ring_init(struct byte_ring *ring, uint32_t size);
void byte_ring_destroy(struct byte_ring *ring);

/* Either side. The other may have made it more (used) or less (room) since. */
uint32_t byte_ring_used(const struct byte_ring *ring);
uint32_t byte_ring_room(const struct byte_ring *ring);

/* Producer: returns how many went in; or a free span, and how much of it was filled. */
size_t byte_ring_put(struct byte_ring *ring, const void *data, size_t length);
size_t byte_ring_free_span(const struct byte_ring *ring, uint8_t **span);
void byte_ring_filled(struct byte_ring *ring, size_t length);

/* Consumer: returns how many came out; or a filled span, and how much of it is done with. */
size_t byte_ring_take(struct byte_ring *ring, void *data, size_t length);
size_t byte_ring_used_span(const struct byte_ring *ring, const uint8_t **span);
void byte_ring_drop(struct byte_ring *ring, size_t length);

#endif
