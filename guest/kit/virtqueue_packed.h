/* SPDX-License-Identifier: MIT */
/* What virtqueue.c does by the ring's format, for the packed one (virtio 1.2, 2.8). */
#ifndef GUEST_KIT_VIRTQUEUE_PACKED_H
#define GUEST_KIT_VIRTQUEUE_PACKED_H

#include "kit/virtqueue.h"

#include <stddef.h>

/* A descriptor at the next place, to be seen when it is published; AVAIL and USED in flags are
 * flipped from right. */
void virtqueue_packed_write(struct virtqueue *queue, struct vring_packed_desc desc);

size_t virtqueue_packed_bytes(uint16_t size);
/* In clear memory of so many bytes. */
void virtqueue_packed_init(struct virtqueue *queue, void *memory);
/* Writes the chain of queue->desc; one that is not there becomes a descriptor that may not be. */
void virtqueue_packed_offer(struct virtqueue *queue, uint16_t head);
void virtqueue_packed_publish(struct virtqueue *queue);
bool virtqueue_packed_kick_wanted(struct virtqueue *queue, uint16_t count);
bool virtqueue_packed_has_used(const struct virtqueue *queue);
struct used virtqueue_packed_take(struct virtqueue *queue);
/* Sets when the device interrupts: VRING_PACKED_EVENT_FLAG_*, for DESC `count` descriptors on. */
void virtqueue_packed_interrupt(struct virtqueue *queue, uint16_t flags, uint16_t count);

#endif
