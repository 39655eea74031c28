/* SPDX-License-Identifier: MIT */
/*
 * Frames from the link to the guest: the receive queue of one pair. The pair's
 * worker but for init and destroy.
 */
#ifndef VIRTIO_NET_RECEIVE_H
#define VIRTIO_NET_RECEIVE_H

#include "virtio/net_frame.h"
#include "virtio/virtqueue.h"

struct net_pair;

enum net_buffer_state {
	NET_BUFFER_FREE,
	NET_BUFFER_HELD, /* a frame that came begins or goes on in it */
	NET_BUFFER_USED, /* given to the guest: to be forgotten */
};

/* A chain taken from the receive queue ahead of need. */
struct net_buffer {
	struct chain chain;
	enum net_buffer_state state;
};

/* One read, into buffers [first, first + count) and then into `tail`. */
struct net_place {
	struct link_io io;
	struct net_pair *pair;
	unsigned first, count;
	uint64_t covered_bytes; /* of those buffers */
	uint8_t *tail;
	int result;
	uint64_t frame_bytes; /* with its header; 0: none came */
};

struct net_receive {
	struct virtqueue *queue;
	struct net_buffer *buffers; /* in the order they were popped */
	unsigned buffer_count, buffer_limit;
	struct net_place places[NET_BATCH];
	unsigned place_count, delivered;
	unsigned pending; /* reads without a result, and one while reads are being issued */
	struct iovec iovs[NET_IOVS];
	unsigned iov_count;
	uint8_t *tails;	       /* one for each place, backed once they are touched */
	unsigned batch;	       /* reads at once: grows with what is found */
	uint64_t span_bytes;   /* of buffers for each read: follows the size of frames */
	unsigned span_surplus; /* batches in a row that needed far less */
	bool readable;	       /* the link may have a frame */
	bool parked;	       /* the one read of the batch waits in the link for its frame */
	unsigned lone;	       /* frames to be read so, one by one, before more are looked for */
	unsigned lone_left;
	unsigned burst;	       /* frames since the link was waited for */
	bool waiting;
	struct link_wait wait;
	bool holding, hold_over; /* the frame after `delivered` waits for buffers; long enough */
	struct worker_timer hold;
};

/* Control thread. 0 or a failure, logged. */
int net_receive_init(struct net_pair *pair);
void net_receive_destroy(struct net_pair *pair);
void net_receive_start(struct net_pair *pair, struct virtqueue *queue);
void net_receive_kick(struct net_pair *pair);
void net_receive_stop(struct net_pair *pair);
/* pair->active is now false: wait for frames no longer. */
void net_receive_deactivate(struct net_pair *pair);

#endif
