/* SPDX-License-Identifier: MIT */
/*
 * Frames from the guest to the link: the transmit queue of one pair. The pair's
 * worker but for init.
 */
#ifndef VIRTIO_NET_TRANSMIT_H
#define VIRTIO_NET_TRANSMIT_H

#include "virtio/net_frame.h"
#include "virtio/virtqueue.h"

struct net_pair;

struct net_send {
	struct link_io io;
	struct net_pair *pair;
	struct virtio_net_hdr_v1 header; /* a copy: the guest can't change it under the kernel */
	uint16_t head;
	bool bad; /* no frame at all: not sent */
	int result;
};

struct net_transmit {
	struct virtqueue *queue;
	struct net_send sends[NET_BATCH];
	unsigned first, tried, count; /* done up to first; on their way or refused up to tried */
	bool one_by_one; /* the link was full once */
	unsigned pending; /* as in net_receive */
	struct iovec iovs[NET_IOVS];
	unsigned iov_count;
	bool waiting;
	struct link_wait wait;
};

void net_transmit_init(struct net_pair *pair);
void net_transmit_start(struct net_pair *pair, struct virtqueue *queue);
void net_transmit_kick(struct net_pair *pair);
void net_transmit_stop(struct net_pair *pair);

#endif
