/* SPDX-License-Identifier: MIT */
/*
 * What a network device is plugged into: a tap, a user-mode stack, nothing. A
 * link has one queue for each pair of virtqueues; a queue takes and gives whole
 * frames, each behind a virtio_net_hdr_v1 if link->header says so.
 *
 * Who uses a link owns the memory of requests until done(), which comes once
 * for each, in the order of the calls, and perhaps before the call returns.
 */
#ifndef NET_LINK_H
#define NET_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/worker.h"

#define LINK_QUEUES_MAX 8
#define LINK_HEADER_BYTES 12 /* struct virtio_net_hdr_v1 */
#define LINK_NAME_BYTES 16

/* What the receiver of a frame will do by itself. */
enum link_offload {
	LINK_CSUM = 1 << 0, /* finish a checksum; all below need it */
	LINK_TSO4 = 1 << 1, /* take TCP segments of up to 64 KiB */
	LINK_TSO6 = 1 << 2,
	LINK_ECN = 1 << 3, /* with ECN in them */
	LINK_USO = 1 << 4, /* the same for UDP, both families */
};

struct link;

struct link_queue {
	struct link *link;
	unsigned index;
};

/* One frame to be sent or to be received into. */
struct link_io {
	/*
	 * Bytes of the frame, header included (as many as the iovecs hold: it was
	 * perhaps longer), or -EAGAIN: no room to send, or nothing to receive. Any
	 * other error means to send() that this frame was refused, to receive()
	 * that the link is gone, which send() tells by -ENODEV. Worker thread.
	 */
	void (*done)(struct link_io *io, int result);
	const struct iovec *iov;
	unsigned iov_count; /* at most 1024 */
	/*
	 * To receive(): rather than -EAGAIN, the next frame that comes; alone in its
	 * queue, until it is done. A link that can't do so answers -EAGAIN.
	 */
	bool may_wait;
	struct ring_op op; /* the link's */
};

enum link_event { LINK_READABLE, LINK_WRITABLE };

struct link_wait {
	/* Once: the event may have come (0), or the wait was cancelled or failed (-errno). */
	void (*ready)(struct link_wait *wait, int result);
	struct ring_op op; /* the link's */
};

struct link_ops {
	/* Control thread. Nothing is in flight. */
	void (*destroy)(struct link *link);

	/* vCPU thread, queues stopped: enum link_offload of whom we give frames to. 0 or -errno. */
	int (*set_offloads)(struct link *link, unsigned offloads);

	/*
	 * Whether the link shall spread frames to this queue too; at first only to
	 * queue 0. Queues stopped, or on the queue's worker. 0 or -errno.
	 */
	int (*set_active)(struct link_queue *queue, bool active);

	/* The file that the kernel's vhost-net can serve the queue by; NULL: none. Any thread. */
	int (*vhost_fd)(struct link_queue *queue);

	/* The queue's worker from here on. Each start has its stop. 0 or -errno. */
	int (*start)(struct link_queue *queue, struct worker *worker);
	/* What is in flight still ends by done() or ready(). */
	void (*stop)(struct link_queue *queue);

	void (*send)(struct link_queue *queue, struct link_io *io);
	void (*receive)(struct link_queue *queue, struct link_io *io);
	/* At most one wait for each event. */
	void (*wait)(struct link_queue *queue, struct link_wait *wait, enum link_event event);
	/* Makes an end of it soon; done() or ready() still comes, with -ECANCELED or what came. */
	void (*cancel_io)(struct link_queue *queue, struct link_io *io);
	void (*cancel_wait)(struct link_queue *queue, struct link_wait *wait);
};

struct link {
	const struct link_ops *ops;
	char name[LINK_NAME_BYTES]; /* "tap0": for messages */
	unsigned queue_count;
	struct link_queue *queues[LINK_QUEUES_MAX];
	unsigned offloads; /* enum link_offload: what it takes, and can be told to give */
	bool header;	   /* frames have a header of LINK_HEADER_BYTES, little endian */
	bool carrier;	   /* the cable is in; fixed */
};

#endif
