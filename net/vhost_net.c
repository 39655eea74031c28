// SPDX-License-Identifier: MIT
/*
 * The calls of /dev/vhost-net: opened on the control thread, then used on one
 * worker. Keeps nothing but the file.
 */
#include "net/vhost_net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "base/log.h"

#define VHOST_NET_PATH "/dev/vhost-net"

static int open_refused(const char *device, int error)
{
	if (error == EACCES || error == EPERM)
		return fail_host(error, "%s: " VHOST_NET_PATH ": %s; let this user open it (chmod "
				 "0666 " VHOST_NET_PATH "), or leave out vhost=on", device,
				 strerror(error));
	return fail_host(error, "%s: " VHOST_NET_PATH ": %s; load the driver with 'modprobe "
			 "vhost_net', or leave out vhost=on", device, strerror(error));
}

static int call_refused(const char *device, const char *call)
{
	return fail_host_errno("%s: " VHOST_NET_PATH ": %s; leave out vhost=on", device, call);
}

static int memory_tell(const struct vhost_net *vhost, const char *device,
		       const struct guest_memory *memory)
{
	struct vhost_memory *table = calloc(1, sizeof(*table) +
					       memory->count * sizeof(table->regions[0]));
	int error = 0;

	if (!table)
		return fail_host(ENOMEM, "%s: out of memory", device);
	table->nregions = memory->count;
	for (unsigned i = 0; i < memory->count; i++)
		table->regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = memory->regions[i].gpa,
			.memory_size = memory->regions[i].size_bytes,
			.userspace_addr = (uintptr_t)memory->regions[i].host,
		};
	if (ioctl(vhost->fd, VHOST_SET_MEM_TABLE, table) < 0)
		error = call_refused(device, "guest memory");
	free(table);
	return error;
}

int vhost_net_open(struct vhost_net *vhost, const char *device, const struct guest_memory *memory)
{
	int error = 0;

	vhost->fd = open(VHOST_NET_PATH, O_RDWR | O_CLOEXEC);
	if (vhost->fd < 0)
		return open_refused(device, errno);
	if (ioctl(vhost->fd, VHOST_SET_OWNER) < 0)
		error = call_refused(device, "its thread");
	else if (ioctl(vhost->fd, VHOST_GET_FEATURES, &vhost->features) < 0)
		error = call_refused(device, "its features");
	if (!error)
		error = memory_tell(vhost, device, memory);
	if (error)
		vhost_net_close(vhost);
	return error;
}

void vhost_net_close(struct vhost_net *vhost)
{
	fd_close(&vhost->fd);
}

static int ring_set_up(const struct vhost_net *vhost, enum vhost_net_ring ring,
		       const struct vhost_net_queue *queue, uint64_t features)
{
	struct vhost_vring_state size = { ring, queue->size }, base = { ring, queue->next_avail };
	struct vhost_vring_file kick = { ring, queue->kick_fd }, call = { ring, queue->call_fd };
	struct vhost_vring_file error = { ring, queue->error_fd };
	struct vhost_vring_addr address = {
		.index = ring,
		.desc_user_addr = (uintptr_t)queue->desc,
		.avail_user_addr = (uintptr_t)queue->avail,
		.used_user_addr = (uintptr_t)queue->used,
	};

	/* Features are the device's, but the same for both rings: no matter who is first. */
	if (ioctl(vhost->fd, VHOST_SET_FEATURES, &features) < 0 ||
	    ioctl(vhost->fd, VHOST_SET_VRING_NUM, &size) < 0 ||
	    ioctl(vhost->fd, VHOST_SET_VRING_BASE, &base) < 0 ||
	    ioctl(vhost->fd, VHOST_SET_VRING_ADDR, &address) < 0 ||
	    ioctl(vhost->fd, VHOST_SET_VRING_ERR, &error) < 0 ||
	    ioctl(vhost->fd, VHOST_SET_VRING_CALL, &call) < 0 ||
	    ioctl(vhost->fd, VHOST_SET_VRING_KICK, &kick) < 0)
		return -errno;
	return 0;
}

int vhost_net_start(const struct vhost_net *vhost, enum vhost_net_ring ring,
		    const struct vhost_net_queue *queue, uint64_t features, int tap_fd)
{
	struct vhost_vring_file backend = { ring, tap_fd };
	int error = ring_set_up(vhost, ring, queue, features & vhost->features);

	if (error)
		return error;
	if (ioctl(vhost->fd, VHOST_NET_SET_BACKEND, &backend) < 0)
		return -errno;
	/* What the driver made available before there was anybody to hear of it. */
	event_fd_signal(queue->kick_fd);
	return 0;
}

int vhost_net_stop(const struct vhost_net *vhost, enum vhost_net_ring ring)
{
	struct vhost_vring_file backend = { ring, -1 };
	struct vhost_vring_state base = { .index = ring };

	if (ioctl(vhost->fd, VHOST_NET_SET_BACKEND, &backend) < 0 ||
	    ioctl(vhost->fd, VHOST_GET_VRING_BASE, &base) < 0)
		return -errno;
	return (uint16_t)base.num;
}
