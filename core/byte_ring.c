// SPDX-License-Identifier: MIT
/*
 * The ring of bytes. The counters run on past the ring's size and wrap by
 * themselves. All loads and stores of them are sequentially consistent: users
 * pair them with flags of their own ("asleep") and need that order.
 */
#include "core/byte_ring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

int byte_ring_init(struct byte_ring *ring, uint32_t size)
{
	assert(is_power_of_two(size));
	ring->bytes = malloc(size);
	ring->size = size;
	ring->head = 0;
	ring->tail = 0;
	return ring->bytes ? 0 : -ENOMEM;
}

void byte_ring_destroy(struct byte_ring *ring)
{
	free(ring->bytes);
	ring->bytes = NULL;
}

uint32_t byte_ring_used(const struct byte_ring *ring)
{
	/* The head first: it never passes the tail, so the difference stays within the size. */
	uint32_t head = ring->head;

	return (uint32_t)min_u64(ring->tail - head, ring->size);
}

uint32_t byte_ring_room(const struct byte_ring *ring)
{
	return ring->size - byte_ring_used(ring);
}

size_t byte_ring_free_span(const struct byte_ring *ring, uint8_t **span)
{
	uint32_t start = ring->tail & (ring->size - 1);

	*span = ring->bytes + start;
	return min_u64(byte_ring_room(ring), ring->size - start);
}

void byte_ring_filled(struct byte_ring *ring, size_t length)
{
	assert(length <= byte_ring_room(ring));
	ring->tail += (uint32_t)length;
}

size_t byte_ring_put(struct byte_ring *ring, const void *data, size_t length)
{
	size_t done = 0, n;
	uint8_t *span;

	while (done < length && (n = byte_ring_free_span(ring, &span))) {
		n = min_u64(n, length - done);
		memcpy(span, (const uint8_t *)data + done, n);
		byte_ring_filled(ring, n);
		done += n;
	}
	return done;
}

size_t byte_ring_used_span(const struct byte_ring *ring, const uint8_t **span)
{
	uint32_t start = ring->head & (ring->size - 1);

	*span = ring->bytes + start;
	return min_u64(byte_ring_used(ring), ring->size - start);
}

void byte_ring_drop(struct byte_ring *ring, size_t length)
{
	assert(length <= byte_ring_used(ring));
	ring->head += (uint32_t)length;
}

size_t byte_ring_take(struct byte_ring *ring, void *data, size_t length)
{
	const uint8_t *span;
	size_t done = 0, n;

	while (done < length && (n = byte_ring_used_span(ring, &span))) {
		n = min_u64(n, length - done);
		memcpy((uint8_t *)data + done, span, n);
		byte_ring_drop(ring, n);
		done += n;
	}
	return done;
}
