/* SPDX-License-Identifier: MIT */
/*
 * The driver's side of a virtqueue, split or packed (virtio 1.2, 2.7 and 2.8). Two levels: whole
 * chains of parts with descriptors that the queue keeps account of, and single descriptors for
 * tests that build rings by hand; a queue is used in one way or the other between two set-ups.
 * Chains are made in a descriptor table in both formats: a packed ring gets a copy when they are
 * offered.
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

struct packed {
	volatile struct vring_packed_desc *ring;
	volatile struct vring_packed_desc_event *driver_event, *device_event;
	uint16_t avail_slot, used_slot;
	bool avail_wrap, used_wrap;
	volatile struct vring_packed_desc *first; /* not published yet, or NULL */
	uint16_t first_flags;
	uint16_t count[VIRTQUEUE_SIZE_MAX]; /* descriptors, by head */
};

struct virtqueue {
	uint16_t index, size; /* size 0: not set up */
	bool is_packed;	      /* set by virtio_negotiate() */
	struct packed packed;
	volatile struct vring_desc *desc;
	volatile struct vring_avail *avail;
	volatile struct vring_used *used;
	uint16_t next_avail, kicked_avail, next_used; /* packed: descriptors; else chains */
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

/* What the three address registers are given. */
struct virtqueue_areas {
	volatile void *desc, *driver, *device;
};

/* Lays the rings out in clear memory. The device is told by virtio_queue_enable(). */
void virtqueue_init(struct virtqueue *queue, uint16_t size);
struct virtqueue_areas virtqueue_areas(const struct virtqueue *queue);

/* A chain of direct descriptors, or of one that points to `table`. Returns the head, or
 * VIRTQUEUE_FULL. */
uint16_t virtqueue_add(struct virtqueue *queue, const struct part *parts, unsigned count);
uint16_t virtqueue_add_indirect(struct virtqueue *queue, struct vring_desc *table,
				const struct part *parts, unsigned count);

/* Entry `index` of an indirect table in the format of this queue. */
struct vring_desc virtqueue_table_entry(const struct virtqueue *queue, const struct part *part,
					unsigned index, bool last);

/* Single descriptors, and a head put in the available ring; nothing is published. */
void virtqueue_write(struct virtqueue *queue, uint16_t slot, struct vring_desc desc);
void virtqueue_offer(struct virtqueue *queue, uint16_t head);

/* Makes what was added available; notify: and always tells the device; kick: if it wants to know.
 */
void virtqueue_publish(struct virtqueue *queue);
void virtqueue_notify(struct virtqueue *queue);
bool virtqueue_kick(struct virtqueue *queue);

/* Whether there is a used element to take. */
bool virtqueue_has_used(const struct virtqueue *queue);
/* The next used element, if there is one; if there comes one within `ns`. */
bool virtqueue_poll(struct virtqueue *queue, struct used *used);
bool virtqueue_wait(struct virtqueue *queue, struct used *used, uint64_t ns);

/* Sets when the device interrupts: with EVENT_IDX at the n-th used element from now (packed: n-th
 * descriptor), without by the flag. */
void virtqueue_interrupt_after(struct virtqueue *queue, uint16_t count);
void virtqueue_interrupt_never(struct virtqueue *queue);

#endif
