/* SPDX-License-Identifier: MIT */
/*
 * The driver's side of a packed ring (virtio 1.2, 2.8), for guest.c, which
 * keeps what is the same with both formats. On the target's one thread.
 */
#ifndef TESTS_FUZZ_GUEST_PACKED_H
#define TESTS_FUZZ_GUEST_PACKED_H

#include "tests/fuzz/guest.h"

/* The ring's memory is zero. */
void guest_packed_begin(struct guest_queue *queue);

/* Chains that are added become available all at once, when they are published. */
void guest_packed_add(struct guest_queue *queue, uint16_t id, const struct guest_chain *chain,
		      uint64_t table_gpa);
void guest_packed_publish(struct guest_queue *queue);
bool guest_packed_wants_kick(const struct guest_queue *queue);
/* To be told `later` descriptors, less than the ring has, after those that were taken. */
void guest_packed_ask(struct guest_queue *queue, uint16_t later);

/* The end of what is used; the next of it, if there is one; which is then free. */
uint16_t guest_packed_used(const struct guest_queue *queue);
bool guest_packed_take(const struct guest_queue *queue, uint32_t *id, uint32_t *bytes);
void guest_packed_free(struct guest_queue *queue, uint16_t id, const struct guest_chain *chain);

/* Of a hostile guest: what lies there becomes available; a descriptor with any flags. */
void guest_packed_add_head(struct guest_queue *queue);
void guest_packed_store_any(struct guest_queue *queue, uint16_t index,
			    const struct vring_desc *desc);

#endif
