/* SPDX-License-Identifier: MIT */
/*
 * The network device, as its own files see it: net.c makes it and follows the
 * status machine, net_receive.c, net_transmit.c and net_control.c each serve one
 * kind of queue. A pair of queues belongs to one worker; what several pairs
 * share changes only while they stand still, or by a task on each worker.
 */
#ifndef VIRTIO_NET_DEVICE_H
#define VIRTIO_NET_DEVICE_H

#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <stdatomic.h>

#include "net/link.h"
#include "virtio/net_control.h"
#include "virtio/net_filter.h"
#include "virtio/net_receive.h"
#include "virtio/net_transmit.h"
#include "virtio/net_vhost.h"
#include "virtio/virtio.h"

#define NET_PAIRS_MAX LINK_QUEUES_MAX

/* All of it belongs to the worker while the device is live. */
struct net_pair {
	struct net *net;
	struct link_queue *link;
	struct worker *worker;
	bool active; /* the driver wants frames on it */
	struct net_filter filter;
	struct net_receive receive;
	struct net_transmit transmit;
	struct worker_task apply; /* takes over what the control queue has set */
};

struct net {
	struct virtio_device device;
	struct link *link;
	struct virtio_net_config config; /* as the guest sees it */
	uint8_t mac[ETH_ALEN];		 /* of config, after a reset */
	struct net_vhost *vhost; /* NULL: the worker serves the queues */
	atomic_bool lost;		 /* the link has gone, for good */
	unsigned pair_count;
	struct net_pair *pairs;
	struct net_control control;
	struct virtqueue queues[2 * NET_PAIRS_MAX + 1];
};

static inline struct net *net_of(struct virtio_device *device)
{
	return container_of(device, struct net, device);
}

/* What a device is besides its link. */
struct net_settings {
	const struct virtio_type *type;
	uint8_t mac[ETH_ALEN];
	unsigned mtu; /* 0: the driver is told none */
	bool vhost;   /* the link has a vhost_fd, and one queue */
};

/* Control thread. Takes the link over, also upon failure. 0 or a failure, logged. */
int net_create_on(struct link *link, const struct net_settings *settings,
		  const struct virtio_deps *deps, struct virtio_device **device);

/* Worker thread: the link is gone; tells the driver. Once. */
void net_link_lost(struct net *net, int error);

#endif
