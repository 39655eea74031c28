// SPDX-License-Identifier: MIT
/*
 * The receive filter, as a function of its settings and an address. Setting it
 * is virtio/net_control.c; any thread that owns the copy.
 */
#include "virtio/net_filter.h"

#include <linux/virtio_net.h>
#include <string.h>

#include "base/bytes.h"

void net_filter_init(struct net_filter *filter, const uint8_t *mac)
{
	memset(filter, 0, sizeof(*filter));
	memcpy(filter->mac, mac, ETH_ALEN);
	filter->modes = BIT64(VIRTIO_NET_CTRL_RX_PROMISC);
}

static bool mode_is_on(const struct net_filter *filter, unsigned mode)
{
	return filter->modes & BIT64(mode);
}

static bool table_has(const struct net_address_table *table, const uint8_t *address)
{
	if (table->overflow)
		return true;
	for (unsigned i = 0; i < table->count; i++)
		if (!memcmp(table->addresses[i], address, ETH_ALEN))
			return true;
	return false;
}

bool net_filter_passes(const struct net_filter *filter, const uint8_t *destination)
{
	static const uint8_t broadcast[ETH_ALEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	if (mode_is_on(filter, VIRTIO_NET_CTRL_RX_PROMISC))
		return true;
	if (!memcmp(destination, broadcast, ETH_ALEN))
		return !mode_is_on(filter, VIRTIO_NET_CTRL_RX_NOBCAST);
	if (destination[0] & 1) {
		if (mode_is_on(filter, VIRTIO_NET_CTRL_RX_NOMULTI))
			return false;
		return mode_is_on(filter, VIRTIO_NET_CTRL_RX_ALLMULTI) ||
		       table_has(&filter->multicast, destination);
	}
	if (mode_is_on(filter, VIRTIO_NET_CTRL_RX_NOUNI))
		return false;
	return mode_is_on(filter, VIRTIO_NET_CTRL_RX_ALLUNI) ||
	       !memcmp(destination, filter->mac, ETH_ALEN) ||
	       table_has(&filter->unicast, destination);
}
