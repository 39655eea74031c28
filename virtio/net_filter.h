/* SPDX-License-Identifier: MIT */
/*
 * Which frames a network device lets in: its own address, the tables and modes
 * that the driver sets by the control queue (virtio 1.2, 5.1.6.5.1 and .2).
 * Plain data: each queue pair's worker has a copy of its own.
 */
#ifndef VIRTIO_NET_FILTER_H
#define VIRTIO_NET_FILTER_H

#include <linux/if_ether.h>
#include <stdbool.h>
#include <stdint.h>

#define NET_FILTER_ADDRESSES 64 /* in each table; a driver that wants more gets all */

struct net_address_table {
	uint8_t addresses[NET_FILTER_ADDRESSES][ETH_ALEN];
	unsigned count;
	bool overflow; /* the driver had more: let all of the kind in */
};

struct net_filter {
	uint8_t mac[ETH_ALEN];
	/* VIRTIO_NET_CTRL_RX_*: bit n of `modes` is the mode of that command. */
	unsigned modes;
	struct net_address_table unicast, multicast;
};

/* As after reset: everything is let in until the driver says otherwise. */
void net_filter_init(struct net_filter *filter, const uint8_t *mac);

/* Whether a frame to `destination` is let in. */
bool net_filter_passes(const struct net_filter *filter, const uint8_t *destination);

#endif
