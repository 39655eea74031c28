/* SPDX-License-Identifier: MIT */
/*
 * A network card whose two queues the kernel serves (vhost=on): registers,
 * negotiation and reset stay ours, kick and call fds are the kernel's while a
 * queue runs.
 */
#ifndef VIRTIO_NET_VHOST_H
#define VIRTIO_NET_VHOST_H

#include "core/worker.h"
#include "net/vhost_net.h"
#include "virtio/virtqueue.h"

struct net;

/* One of the pair's rings. The worker's. */
struct net_vhost_ring {
	struct net *net;
	int error_fd; /* the kernel has given up on the ring */
	int error_slot; /* among the worker's files, from the first start on; else -1 */
	struct fd_watch error_watch;
};

struct net_vhost {
	struct vhost_net vhost;
	struct net_vhost_ring rings[2];
};

/* Control thread. 0 or a failure, logged. */
int net_vhost_create(struct net_vhost **vhost, struct net *net, const struct guest_memory *memory);
/* NULL: nothing. Queues drained. */
void net_vhost_destroy(struct net_vhost *vhost);

/* Which of these features are left when the kernel serves the queues. */
uint64_t net_vhost_features(const struct net_vhost *vhost, uint64_t features);

extern const struct virtqueue_outside net_vhost_outside;

#endif
