/* SPDX-License-Identifier: MIT */
/*
 * The driver's side of a split virtqueue (virtio 1.2, 2.7). Two levels: whole chains of parts with
 * descriptors that the queue keeps account of, and single descriptors for tests that build rings
 * by hand; a queue is used in one way or the other between two set-ups.
 */
#ifndef GUEST_KIT_VIRTQUEUE_H
#define GUEST_KIT_VIRTQUEUE_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#define VIRTQUEUE_SIZE_MAX 1024
#define VIRTQUEUE_FULL	   0xffff

struct part {
	void *data;
	uint32_t bytes;
	bool writable; /* by the device */
};

struct virtqueue {
	uint16_t index, size; /* size 0: not set up */
	volatile struct vring_desc *desc;
	volatile struct vring_avail *avail;
	volatile struct vring_used *used;
	uint16_t next_avail, kicked_avail, next_used;
	bool event_idx;
	unsigned entry, line; /* MSI-X entry, and the line it raises */
	uint64_t notify_gpa;
	void *memory; /* room for VIRTQUEUE_SIZE_MAX entries, or NULL before the first set-up */
	uint16_t free_count, free_head;
	uint16_t free_next[VIRTQUEUE_SIZE_MAX];
	uint16_t chain_count[VIRTQUEUE_SIZE_MAX]; /* by head; 0: not in flight */
};

struct used {
	uint16_t head;
	uint32_t written;
};

/* Lays the rings out in clear memory. The device is told by virtio_queue_enable(). */
void virtqueue_init(struct virtqueue *queue, uint16_t size);

/* A chain of direct descriptors, or of one that points to `table`. Returns the head, or
 * VIRTQUEUE_FULL. */
uint16_t virtqueue_add(struct virtqueue *queue, const struct part *parts, unsigned count);
uint16_t virtqueue_add_indirect(struct virtqueue *queue, struct vring_desc *table,
				const struct part *parts, unsigned count);

/* Single descriptors, and a head put in the available ring; nothing is published. */
void virtqueue_write(struct virtqueue *queue, uint16_t slot, struct vring_desc desc);
void virtqueue_offer(struct virtqueue *queue, uint16_t head);

/* Makes what was added available; notify: and always tells the device; kick: if it wants to know.
 */
void virtqueue_publish(struct virtqueue *queue);
void virtqueue_notify(struct virtqueue *queue);
bool virtqueue_kick(struct virtqueue *queue);

/* The next used element, if there is one; if there comes one within `ns`. */
bool virtqueue_poll(struct virtqueue *queue, struct used *used);
bool virtqueue_wait(struct virtqueue *queue, struct used *used, uint64_t ns);

/* Sets when the device interrupts: with EVENT_IDX at the n-th used element from now, without by the
 * flag. */
void virtqueue_interrupt_after(struct virtqueue *queue, uint16_t count);
void virtqueue_interrupt_never(struct virtqueue *queue);

#endif
