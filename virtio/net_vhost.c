// SPDX-License-Identifier: MIT
/*
 * Hands the queues of a network card to vhost-net and takes them back, on the
 * queues' worker. What the kernel finds wrong with a ring it says by an eventfd:
 * the device then has failed, as if we had found it.
 */
#include "virtio/net_vhost.h"

#include <errno.h>
#include <linux/vhost.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "virtio/net_device.h"

static void ring_failed(struct fd_watch *watch)
{
	struct net_vhost_ring *ring = container_of(watch, struct net_vhost_ring, error_watch);
	unsigned index = (unsigned)(ring - ring->net->vhost->rings);

	event_fd_drain(ring->error_fd);
	virtio_fail(&ring->net->device, "queue %u: the kernel can't use its ring", index);
}

static struct net_vhost_ring *ring_of(const struct virtqueue *queue)
{
	return &net_of(queue->device)->vhost->rings[queue->index];
}

static int ring_watch(struct net_vhost_ring *ring, struct worker *worker)
{
	int error;

	event_fd_drain(ring->error_fd);
	error = worker_keep_file(worker, &ring->error_slot, ring->error_fd);
	return error ? error : worker_watch(worker, &ring->error_watch, ring->error_slot);
}

/* As negotiated; and where a tap has no headers, vhost-net takes them off and puts them on. */
static uint64_t ring_features(const struct net *net)
{
	return net->device.negotiated |
	       (net->link->header ? 0 : BIT64(VHOST_NET_F_VIRTIO_NET_HDR));
}

static int net_vhost_begin(struct virtqueue *queue)
{
	struct net *net = net_of(queue->device);
	struct link_queue *link = net->pairs[0].link;
	struct net_vhost_ring *ring = ring_of(queue);
	struct virtqueue_areas areas;
	int error = virtqueue_split_areas(queue, &areas);

	if (!error)
		error = ring_watch(ring, queue->worker);
	if (error)
		return error;
	const struct vhost_net_queue rings = {
		.size = queue->size,
		.next_avail = queue->next_avail,
		.desc = areas.desc,
		.avail = areas.avail,
		.used = areas.used,
		.kick_fd = queue->kick_fd,
		.call_fd = queue->call_fd,
		.error_fd = ring->error_fd,
	};
	error = vhost_net_start(&net->vhost->vhost, queue->index, &rings, ring_features(net),
				link->link->ops->vhost_fd(link));
	if (error)
		worker_unwatch(queue->worker, &ring->error_watch);
	return error;
}

static void net_vhost_end(struct virtqueue *queue)
{
	struct net *net = net_of(queue->device);
	int place = vhost_net_stop(&net->vhost->vhost, queue->index);

	worker_unwatch(queue->worker, &ring_of(queue)->error_watch);
	/* All that it took it has used: a pause goes on from there. */
	if (place >= 0)
		queue->next_avail = queue->next_used = (uint16_t)place;
	else
		virtio_fail(queue->device, "queue %u: the kernel does not let go of it (error %d)",
			    queue->index, -place);
}

const struct virtqueue_outside net_vhost_outside = {
	.begin = net_vhost_begin,
	.end = net_vhost_end,
};

/*
 * Frames are not filtered by their address, and there is one pair: nothing that
 * a control queue could be told is left.
 */
uint64_t net_vhost_features(const struct net_vhost *vhost, uint64_t features)
{
	static const uint64_t never = BIT64(VIRTIO_NET_F_CTRL_VQ) | BIT64(VIRTIO_NET_F_CTRL_RX) |
				      BIT64(VIRTIO_NET_F_CTRL_RX_EXTRA) |
				      BIT64(VIRTIO_NET_F_CTRL_MAC_ADDR) |
				      BIT64(VIRTIO_NET_F_MQ) | BIT64(VIRTIO_F_RING_PACKED);
	/* What it must know of; the rest is between the driver, the tap and us. */
	static const uint64_t its = BIT64(VIRTIO_NET_F_MRG_RXBUF) | BIT64(VIRTIO_F_VERSION_1) |
				    BIT64(VIRTIO_RING_F_EVENT_IDX) |
				    BIT64(VIRTIO_RING_F_INDIRECT_DESC);

	return features & ~never & ~(its & ~vhost->vhost.features);
}

static int rings_init(struct net_vhost *vhost, struct net *net)
{
	for (unsigned i = 0; i < ARRAY_SIZE(vhost->rings); i++) {
		struct net_vhost_ring *ring = &vhost->rings[i];

		ring->net = net;
		ring->error_slot = -1;
		ring->error_watch.ready = ring_failed;
		ring->error_fd = event_fd_create();
		if (ring->error_fd < 0)
			return fail_host(-ring->error_fd, "%s: eventfd: %s; raise the limit of "
					 "open files (ulimit -n)", net->device.deps.name,
					 strerror(-ring->error_fd));
	}
	return 0;
}

int net_vhost_create(struct net_vhost **created, struct net *net,
		     const struct guest_memory *memory)
{
	const char *name = net->device.deps.name;
	struct net_vhost *vhost = calloc(1, sizeof(*vhost));
	int error;

	if (!vhost)
		return fail_host(ENOMEM, "%s: out of memory", name);
	vhost->vhost.fd = vhost->rings[0].error_fd = vhost->rings[1].error_fd = -1;
	error = rings_init(vhost, net);
	if (!error)
		error = vhost_net_open(&vhost->vhost, name, memory);
	if (!error && !(vhost->vhost.features & BIT64(VIRTIO_F_VERSION_1)))
		error = fail_host(ENOTSUP, "%s: this kernel's vhost-net knows no virtio 1.0; leave "
				  "out vhost=on", name);
	if (error) {
		net_vhost_destroy(vhost);
		return error;
	}
	*created = vhost;
	return 0;
}

void net_vhost_destroy(struct net_vhost *vhost)
{
	if (!vhost)
		return;
	vhost_net_close(&vhost->vhost);
	for (unsigned i = 0; i < ARRAY_SIZE(vhost->rings); i++)
		fd_close(&vhost->rings[i].error_fd);
	free(vhost);
}
