/* SPDX-License-Identifier: MIT */
/*
 * A queue while it is served: rings as host pointers, chains in flight, and the
 * memory for their iovecs. Made and freed on the worker by virtqueue_run.c;
 * seen by virtqueue.c only. Worker thread.
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

struct virtqueue_head {
	struct iovec parts[VIRTQUEUE_SHORT];
	struct virtqueue_row *row; /* instead of parts, for a long chain */
	uint16_t position;         /* avail index it was popped at */
	bool busy;                 /* popped, and neither pushed nor given back */
};

struct virtqueue_run {
	struct descriptor_table table;
	struct vring_avail *avail; /* in guest RAM, as the two below */
	struct vring_used *used;
	uint16_t *used_event, *avail_event; /* behind avail's and used's last element */
	bool event_idx;                     /* negotiated */
	bool kicks_wanted;                  /* without event_idx: what used->flags says */

	uint16_t avail_idx; /* the last we saw */
	uint16_t published; /* the used index that the guest sees */
	unsigned pass_chains; /* that this pass may still pop */
	unsigned in_flight;

	bool stopping; /* no new chains; ends when none is in flight */
	bool drop;     /* and what completes reaches the guest no more */

	int kick_slot, call_slot; /* fixed files of the worker */

	struct virtqueue_row *scratch; /* where the next chain is put together */
	struct virtqueue_row *spare;   /* the last one used first: its pages are warm */
	unsigned spare_count;

	struct virtqueue_head heads[];
};

/* NULL when the host is out of memory. */
struct virtqueue_row *virtqueue_row_take(struct virtqueue_run *run);
void virtqueue_row_give(struct virtqueue_run *run, struct virtqueue_row *row);

/* Stores the used index, once for all that was pushed, and decides on the interrupt. */
void virtqueue_publish(struct virtqueue *queue);

#endif
