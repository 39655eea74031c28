/* SPDX-License-Identifier: MIT */
/* What a frame in a queue of the network device is, and how many go at once. */
#ifndef VIRTIO_NET_FRAME_H
#define VIRTIO_NET_FRAME_H

#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <stdbool.h>

#include "net/link.h"

#define NET_QUEUE_SIZE 256
#define NET_BATCH 64   /* frames in one io_uring_enter */
#define NET_IOVS 1024  /* for all frames of a batch; readv(2) takes no more for one */

#define NET_HEADER_BYTES sizeof(struct virtio_net_hdr_v1)
#define NET_FRAME_MIN_BYTES (NET_HEADER_BYTES + ETH_HLEN)
/* The largest IP packet, with a VLAN tag. */
#define NET_FRAME_MAX_BYTES (NET_HEADER_BYTES + ETH_HLEN + 4 + 65535)

_Static_assert(NET_HEADER_BYTES == LINK_HEADER_BYTES, "the header of virtio 1.x");

/* Bits 54 to 56, of Linux 6.2: the headers may be older. */
#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO 56
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

struct virtio_device;

/* Whether the driver may be given a frame with this header. Worker thread, while live. */
bool net_frame_negotiated(const struct virtio_device *device,
			  const struct virtio_net_hdr_v1 *header);

#endif
