// SPDX-License-Identifier: MIT
/*
 * Taking bytes off the two ends of a chain. The iovecs point into guest RAM
 * that was checked when the chain was popped; what is taken is cut off them, so
 * an iovec left in a chain is never empty. Worker thread.
 */
#include "virtio/chain.h"

#include <string.h>

#include "base/bytes.h"
#include "core/fetch.h"

enum transfer { TRANSFER_OUT, TRANSFER_IN, TRANSFER_NONE };

/* Moves `length` bytes, which are there, and steps over what they covered. */
static void chain_take(struct iovec **parts, uint16_t *count, void *data, uint64_t length,
		       enum transfer transfer)
{
	uint8_t *cursor = data;

	while (length) {
		struct iovec *part = *parts;
		size_t step = (size_t)min_u64(part->iov_len, length);

		if (transfer == TRANSFER_OUT)
			memcpy(cursor, part->iov_base, step);
		else if (transfer == TRANSFER_IN)
			memcpy(part->iov_base, cursor, step);
		if (transfer != TRANSFER_NONE)
			cursor += step;

		part->iov_base = (uint8_t *)part->iov_base + step;
		part->iov_len -= step;
		length -= step;
		if (!part->iov_len) {
			++*parts;
			--*count;
		}
	}
}

static bool chain_take_readable(struct chain *chain, void *data, uint64_t length,
				enum transfer transfer)
{
	if (length > chain->readable_bytes)
		return false;
	chain_take(&chain->readable, &chain->readable_count, data, length, transfer);
	chain->readable_bytes -= length;
	return true;
}

static bool chain_take_writable(struct chain *chain, void *data, uint64_t length,
				enum transfer transfer)
{
	if (length > chain->writable_bytes)
		return false;
	chain_take(&chain->writable, &chain->writable_count, data, length, transfer);
	chain->writable_bytes -= length;
	return true;
}

bool chain_pull(struct chain *chain, void *data, size_t length)
{
	/* Counted from the end, the place needs no field of its own; no chain is longer. */
	if (chain->window && chain->window == fetch_window() && length <= chain->readable_bytes)
		fetch_note(FETCH_DATA, BIT64(32) - chain->readable_bytes, length);
	return chain_take_readable(chain, data, length, TRANSFER_OUT);
}

bool chain_put(struct chain *chain, const void *data, size_t length)
{
	return chain_take_writable(chain, (void *)data, length, TRANSFER_IN);
}

bool chain_skip_readable(struct chain *chain, uint64_t length)
{
	return chain_take_readable(chain, NULL, length, TRANSFER_NONE);
}

bool chain_skip_writable(struct chain *chain, uint64_t length)
{
	return chain_take_writable(chain, NULL, length, TRANSFER_NONE);
}

uint8_t *chain_take_last(struct chain *chain)
{
	struct iovec *last;

	if (!chain->writable_count)
		return NULL;
	last = &chain->writable[chain->writable_count - 1];
	last->iov_len--;
	chain->writable_bytes--;
	if (!last->iov_len)
		chain->writable_count--;
	return (uint8_t *)last->iov_base + last->iov_len;
}
