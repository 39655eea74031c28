/* SPDX-License-Identifier: MIT */
/*
 * The control queue: what the driver asks of the device as a whole. Its worker
 * but for reset; `wanted` is read by every pair's while a command is applied.
 */
#ifndef VIRTIO_NET_CONTROL_H
#define VIRTIO_NET_CONTROL_H

#include <stdatomic.h>

#include "virtio/net_filter.h"
#include "virtio/virtqueue.h"

struct net;

struct net_control {
	struct virtqueue *queue;
	struct net_filter wanted;
	unsigned wanted_pairs;
	uint16_t head; /* of the command */
	uint8_t *ack;
	bool ack_is_first; /* no writable byte stands before it */
	bool busy;
	atomic_uint unapplied; /* pairs */
	struct worker_task applied;
};

/* Drained; vCPU thread: brings back what create() left. */
void net_control_reset(struct net *net);
void net_control_start(struct net *net, struct virtqueue *queue);
void net_control_kick(struct net *net);

#endif
