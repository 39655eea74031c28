/* SPDX-License-Identifier: MIT */
/*
 * A descriptor chain, checked and translated: parts the device may read, then
 * parts it may write, each inside guest RAM. Devices take bytes from it and
 * never see a descriptor, so any framing works (virtio 1.2, 2.6.4 Message
 * Framing). The iovecs belong to the queue and stay until virtqueue_push() or
 * virtqueue_unpop() of the head. Worker thread.
 */
#ifndef VIRTIO_CHAIN_H
#define VIRTIO_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/*
 * The first byte written to a page has the host zero all of it, 2 MiB maybe: a device whose
 * worker others share writes to so many parts of a chain, and spends as many chains for each.
 */
#define CHAIN_PARTS_SHARED 4

struct chain {
	uint16_t head;
	uint16_t readable_count, writable_count; /* iovecs left */
	uint16_t window; /* in which it was popped, see core/fetch.h */
	struct iovec *readable, *writable;
	uint64_t readable_bytes, writable_bytes; /* left */
};

/* Copies the next `length` readable bytes out; false, and nothing taken, if there are fewer. */
bool chain_pull(struct chain *chain, void *data, size_t length);

/* Copies into the next writable bytes; false, and nothing written, if there are fewer. */
bool chain_put(struct chain *chain, const void *data, size_t length);

/* Passes over bytes without copying; false, and nothing passed, if there are fewer. */
bool chain_skip_readable(struct chain *chain, uint64_t length);
bool chain_skip_writable(struct chain *chain, uint64_t length);

/* Cuts off the very last writable byte, such as a status; NULL if there is none. */
uint8_t *chain_take_last(struct chain *chain);

#endif
