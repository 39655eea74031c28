/* SPDX-License-Identifier: MIT */
/* Guest RAM for rings and buffers: handed out once, never given back; addresses are physical. */
#ifndef GUEST_KIT_MEMORY_H
#define GUEST_KIT_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed. Bails out when RAM ends. `align` is a power of two. */
void *memory_get(size_t bytes, size_t align);
/* The same, as it comes: for buffers too large to be cleared by an emulated CPU. */
void *memory_get_raw(size_t bytes, size_t align);
/* Everything handed out since the mark may be handed out again. */
uint64_t memory_mark(void);
void memory_release(uint64_t mark);
/* One past the RAM that lies highest. */
uint64_t memory_end(void);

#endif
