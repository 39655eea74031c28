// SPDX-License-Identifier: MIT
/* The header of a frame against what the driver has negotiated. The pair's worker. */
#include "virtio/net_frame.h"

#include "virtio/virtio.h"

bool net_frame_negotiated(const struct virtio_device *device,
			  const struct virtio_net_hdr_v1 *header)
{
	if ((header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
	    !virtio_has(device, VIRTIO_NET_F_GUEST_CSUM))
		return false;
	if ((header->gso_type & VIRTIO_NET_HDR_GSO_ECN) &&
	    !virtio_has(device, VIRTIO_NET_F_GUEST_ECN))
		return false;
	switch (header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return true;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return virtio_has(device, VIRTIO_NET_F_GUEST_TSO4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return virtio_has(device, VIRTIO_NET_F_GUEST_TSO6);
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return virtio_has(device, VIRTIO_NET_F_GUEST_USO4) ||
		       virtio_has(device, VIRTIO_NET_F_GUEST_USO6);
	default:
		return false;
	}
}
