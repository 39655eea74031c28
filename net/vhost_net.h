/* SPDX-License-Identifier: MIT */
/*
 * The kernel's vhost-net: it moves frames between a tap and two rings in guest
 * memory on a thread of its own. This is the way to its calls; who serves the
 * device decides when. Split rings only.
 */
#ifndef NET_VHOST_NET_H
#define NET_VHOST_NET_H

#include <stdint.h>

#include "core/memory.h"

enum vhost_net_ring { VHOST_NET_RECEIVE, VHOST_NET_TRANSMIT };

struct vhost_net {
	int fd;
	uint64_t features; /* VIRTIO_* bits that it can do */
};

/* A ring in host addresses, of guest memory that vhost_net_open() was given. */
struct vhost_net_queue {
	uint16_t size;
	uint16_t next_avail; /* where it begins */
	const void *desc, *avail;
	void *used;
	int kick_fd;  /* the kernel waits for it, but leaves it readable */
	int call_fd;  /* written by it */
	int error_fd; /* written by it once it can't go on with the ring */
};

/*
 * Makes this process its owner and tells it of all guest memory, which is fixed
 * by now. `device` is for messages. Control thread, before the sandbox. 0 or a
 * failure, logged with what to do.
 */
int vhost_net_open(struct vhost_net *vhost, const char *device, const struct guest_memory *memory);
/* Both rings stopped. */
void vhost_net_close(struct vhost_net *vhost);

/*
 * One thread for both rings. `features` as negotiated; `tap_fd` with a header of
 * 12 bytes, or without any and VHOST_NET_F_VIRTIO_NET_HDR among them. 0 or -errno:
 * then it does not run.
 */
int vhost_net_start(const struct vhost_net *vhost, enum vhost_net_ring ring,
		    const struct vhost_net_queue *queue, uint64_t features, int tap_fd);

/*
 * Waits until the kernel has let go of the ring: all that it took is used.
 * Returns where it stopped, or -errno where that can't be told.
 */
int vhost_net_stop(const struct vhost_net *vhost, enum vhost_net_ring ring);

#endif
