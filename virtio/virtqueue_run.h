/* SPDX-License-Identifier: MIT */
/*
 * A queue while it is served: ring as host pointers, chains in flight, and the
 * memory for their iovecs; and what a ring format has to supply. Made and freed
 * on the worker by virtqueue_run.c; seen by virtqueue*.c only. Worker thread.
 */
#ifndef VIRTIO_VIRTQUEUE_RUN_H
#define VIRTIO_VIRTQUEUE_RUN_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "virtio/descriptor.h"
#include "virtio/virtqueue.h"

#define VIRTQUEUE_SHORT 7       /* parts kept beside a head: header, 4 KiB pages, status */
#define VIRTQUEUE_ROWS_KEPT 4   /* spare rows of 16 KiB that a queue holds on to */

/* The parts of one long chain. */
struct virtqueue_row {
	struct virtqueue_row *next;
	struct iovec parts[VIRTQUEUE_MAX];
};

/* A chain as its ring format knows it: what names it, and the descriptors of the ring it takes. */
struct virtqueue_buffer {
	uint16_t id, descriptors;
};

/* Two cache lines. */
struct virtqueue_head {
	union {
		struct iovec parts[VIRTQUEUE_SHORT];
		struct virtqueue_row *row; /* of a long chain */
	};
	uint64_t position; /* the run's */
	struct virtqueue_buffer buffer;
	union {
		uint16_t next_avail; /* the queue's before it was popped */
		uint16_t next_free;  /* packed ring, while not busy: of the free ones */
	};
	bool busy; /* popped, and neither pushed nor given back */
	bool is_long;
};

struct split_ring {
	struct vring_avail *avail; /* in guest RAM, as the rest here */
	struct vring_used *used;
	uint16_t *used_event, *avail_event; /* behind avail's and used's last element */
	uint16_t avail_idx;                 /* the last we saw */
	uint16_t published;                 /* the used index that the guest sees */
};

struct packed_ring {
	struct vring_packed_desc *ring; /* in guest RAM, as the two below */
	uint32_t *driver_event;         /* a vring_packed_desc_event, read in one piece */
	struct vring_packed_desc_event *device_event;

	uint16_t burst_place, burst_flags; /* the used descriptor that is not shown yet */
	unsigned burst;                    /* descriptors used since the driver was shown any */
	uint16_t free_slot;                /* the first of the free heads[] */
	uint16_t head_flags;               /* of the next descriptor, when we looked */
};

struct virtqueue_run {
	const struct virtqueue_ring *ring;
	union {
		struct split_ring split;
		struct packed_ring packed;
	};
	struct descriptor_table table;
	bool event_idx;    /* negotiated */
	bool kicks_wanted; /* without event_idx: what the driver was told last */

	unsigned pass_chains; /* that this pass may still pop */
	uint64_t position;    /* chains taken, less those given back */
	unsigned in_flight;

	bool stopping; /* no new chains; ends when none is in flight */
	bool drop;     /* and what completes reaches the guest no more */

	struct virtqueue *queue;
	struct worker_poll poll; /* on the list: no kick was asked for */

	struct virtqueue_row *scratch; /* where the next chain is put together */
	struct virtqueue_row *spare;   /* the last one used first: its pages are warm */
	unsigned spare_count;

	struct virtqueue_head heads[];
};

/* A ring format. The queue may break in any of these: look at virtio_silenced() after. */
struct virtqueue_ring {
	/* What next_avail and next_used are before the first chain. */
	uint16_t first_place;

	/* Finds the areas: size, alignment, inside RAM. Touches `run` only; any thread. */
	bool (*map)(const struct virtqueue *queue, struct virtqueue_run *run);

	/* From where next_avail and next_used stand. */
	void (*start)(struct virtqueue *queue);

	/* Whether there is a chain to take. */
	bool (*look)(struct virtqueue *queue);

	/*
	 * With a full fence, if wanted: the driver that sees our wish kicks for what
	 * look() did not find. Without EVENT_IDX also called when kicks are not wanted.
	 */
	void (*want_kicks)(struct virtqueue *queue, bool wanted);

	/* The chain that look() found; next_avail moves behind it, unless that is corrupt. */
	enum descriptor_verdict (*take)(struct virtqueue *queue, struct virtqueue_buffer *buffer,
					struct descriptor_parts *parts);

	/* Where in heads[] it goes while it is in flight, and the end of that. NULL: at its id. */
	uint16_t (*slot)(struct virtqueue_run *run);
	void (*slot_free)(struct virtqueue_run *run, uint16_t slot);

	/* Writes the next used entry, for the guest to find when it is published. */
	void (*use)(struct virtqueue *queue, const struct virtqueue_buffer *buffer,
		    uint32_t written_bytes);

	/* Shows what was used since the last time; whether the driver wants to be interrupted. */
	bool (*publish)(struct virtqueue *queue);
};

extern const struct virtqueue_ring virtqueue_split, virtqueue_packed;

/* A part of a ring in guest RAM; NULL if it is misaligned or not all there. */
void *virtqueue_area(const struct virtqueue *queue, uint64_t gpa, uint64_t alignment,
		     uint64_t bytes);

/* NULL when the host is out of memory. */
struct virtqueue_row *virtqueue_row_take(struct virtqueue_run *run);
void virtqueue_row_give(struct virtqueue_run *run, struct virtqueue_row *row);

/* Shows the guest all that was pushed, at once, and decides on the interrupt. */
void virtqueue_publish(struct virtqueue *queue);

/* For the worker: see struct worker_poll. */
bool virtqueue_poll_look(struct worker_poll *poll);
bool virtqueue_poll_rest(struct worker_poll *poll);

#endif
