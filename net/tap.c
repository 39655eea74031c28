// SPDX-License-Identifier: MIT
/*
 * Opening and setting up taps: which interface, whose, with which header and
 * offloads. Frames are link_file's. Control thread but for set_offloads() and
 * set_active(), see net/link.h.
 */
#include "net/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "net/interface.h"
#include "net/link_file.h"

/* Linux 6.2; the headers may be older than the kernel. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define TUN_PATH "/dev/net/tun"

struct tap {
	struct link link;
	struct link_file files[LINK_QUEUES_MAX];
	unsigned file_count; /* opened */
	short flags;	     /* IFF_*, as TUNSETIFF took them */
};

static struct tap *tap_of(struct link *link)
{
	return container_of(link, struct tap, link);
}

static unsigned tun_offloads(unsigned offloads)
{
	unsigned bits = 0;

	if (offloads & LINK_CSUM)
		bits |= TUN_F_CSUM;
	if (offloads & LINK_TSO4)
		bits |= TUN_F_TSO4;
	if (offloads & LINK_TSO6)
		bits |= TUN_F_TSO6;
	if (offloads & LINK_ECN)
		bits |= TUN_F_TSO_ECN;
	if (offloads & LINK_USO)
		bits |= TUN_F_USO4 | TUN_F_USO6;
	return bits;
}

/* One call sets it for all queues of the interface. */
static int tap_set_offloads(struct link *link, unsigned offloads)
{
	if (!link->header)
		return 0;
	return ioctl(tap_of(link)->files[0].fd, TUNSETOFFLOAD, tun_offloads(offloads)) < 0 ?
		       -errno : 0;
}

static int tap_set_active(struct link_queue *queue, bool active)
{
	struct ifreq request = { .ifr_flags = active ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

	if (queue->link->queue_count == 1)
		return 0;
	return ioctl(container_of(queue, struct link_file, queue)->fd, TUNSETQUEUE, &request) < 0 ?
		       -errno : 0;
}

static int tap_vhost_fd(struct link_queue *queue)
{
	return container_of(queue, struct link_file, queue)->fd;
}

static void tap_destroy(struct link *link)
{
	struct tap *tap = tap_of(link);

	while (tap->file_count)
		link_file_close(&tap->files[--tap->file_count]);
	free(tap);
}

static const struct link_ops tap_ops = {
	.destroy = tap_destroy,
	.set_offloads = tap_set_offloads,
	.set_active = tap_set_active,
	.vhost_fd = tap_vhost_fd,
	.start = link_file_start,
	.stop = link_file_stop,
	.send = link_file_send,
	.receive = link_file_receive,
	.wait = link_file_wait,
	.cancel_io = link_file_cancel_io,
	.cancel_wait = link_file_cancel_wait,
};

static int tun_open(const struct tap_config *config)
{
	int fd = open(TUN_PATH, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0)
		return fd;
	if (errno == EACCES || errno == EPERM)
		return fail_host(errno, "%s: " TUN_PATH ": %s; let this user open it (chmod 0666 "
				 TUN_PATH ")", config->device, strerror(errno));
	if (errno == EMFILE || errno == ENFILE)
		return fail_host(errno, "%s: " TUN_PATH ": %s; raise the limit (ulimit -n)",
				 config->device, strerror(errno));
	return fail_host(errno, "%s: " TUN_PATH ": %s; load the driver with 'modprobe tun'",
			 config->device, strerror(errno));
}

/* TUNSETIFF was refused: what to do about it. */
static int interface_refused(const struct tap_config *config, int error)
{
	const char *name = config->interface ? config->interface : "tap";
	const char *several = config->queue_count > 1 ? " multi_queue" : "";
	const char *made = config->interface && !strchr(name, '%') ? name : "tap0";

	switch (error) {
	case EPERM:
	case EACCES:
		return fail_host(error, "%s: %s: %s; create it with 'ip tuntap add dev %s mode "
				 "tap user $USER%s' and name it by tapif=%s", config->device, made,
				 strerror(error), made, several, made);
	case EBUSY:
		return fail_host(error, "%s: %s: %s; end the program that has it open, or name "
				 "another one", config->device, name, strerror(error));
	case EINVAL:
		return fail_host(error, "%s: %s: it is not a tap%s; create one with 'ip tuntap "
				 "add dev NAME mode tap user $USER%s'", config->device, name,
				 *several ? " with several queues" : "", several);
	default:
		return fail_host(error, "%s: %s: %s", config->device, name, strerror(error));
	}
}

/* Positive errno; else 0, and the link has the name that the kernel chose or completed. */
static int interface_attach(struct tap *tap, int fd, const char *name)
{
	struct ifreq request = { .ifr_flags = tap->flags };
	unsigned tries = 0;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	while (ioctl(fd, TUNSETIFF, &request) < 0)
		if (errno != EBUSY || !fd_may_be_free_soon(&tries))
			return errno;
	snprintf(tap->link.name, sizeof(tap->link.name), "%s", request.ifr_name);
	return 0;
}

/* A tap made for several queues refuses an opener that does not say so, and the other way round. */
static int first_attach(struct tap *tap, const struct tap_config *config, int fd)
{
	const char *name = config->interface ? config->interface : "";
	unsigned features = 0;
	int error;

	if (ioctl(fd, TUNGETFEATURES, &features) < 0)
		return errno;
	tap->flags = (short)(IFF_TAP | IFF_NO_PI | (features & IFF_VNET_HDR));
	if (config->queue_count > 1)
		tap->flags |= IFF_MULTI_QUEUE;
	error = interface_attach(tap, fd, name);
	if (error == EINVAL && config->queue_count == 1) {
		tap->flags |= IFF_MULTI_QUEUE;
		error = interface_attach(tap, fd, name);
	}
	return error;
}

static int file_add(struct tap *tap, const struct tap_config *config, int fd)
{
	int size = LINK_HEADER_BYTES, little_endian = 1, unlimited = INT_MAX;
	struct link *link = &tap->link;
	unsigned index = tap->file_count++;

	link_file_init(&tap->files[index], link, index, fd);
	link->queues[index] = &tap->files[index].queue;
	link->header = tap->flags & IFF_VNET_HDR;
	if (link->header && (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0 ||
			     ioctl(fd, TUNSETVNETLE, &little_endian) < 0))
		return fail_host_errno("%s: %s: virtio header", config->device, link->name);
	/* The default; but an interface keeps what an earlier owner has set. */
	if (ioctl(fd, TUNSETSNDBUF, &unlimited) < 0 && errno != ENOTTY)
		return fail_host_errno("%s: %s: send buffer", config->device, link->name);
	/* Only the first takes part until the driver asks for more. */
	if (index && tap_set_active(link->queues[index], false) < 0)
		return fail_host_errno("%s: %s: queue %u", config->device, link->name, index);
	return 0;
}

/*
 * Which interface it is, and what its frames look like. Whether the kernel puts
 * packet information before them can't be asked: the bit of IFF_NO_PI is
 * answered as IFF_NOFILTER.
 */
static int given_identify(struct tap *tap, const struct tap_config *config, int fd)
{
	struct ifreq request = { 0 };

	if (ioctl(fd, TUNGETIFF, &request) < 0)
		return fail(errno, "%s: file descriptor %d is no tap: %s; give the number of one "
			    "that is open, or name it by tapif", config->device, config->fd,
			    strerror(errno));
	snprintf(tap->link.name, sizeof(tap->link.name), "%s", request.ifr_name);
	tap->flags = request.ifr_flags;
	if (!(tap->flags & IFF_TAP))
		return fail(EINVAL, "%s: file descriptor %d (%s) is not a tap; open it with "
			    "IFF_TAP | IFF_NO_PI | IFF_VNET_HDR", config->device, config->fd,
			    tap->link.name);
	if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return fail_errno("%s: file descriptor %d", config->device, config->fd);
	return 0;
}

static int tap_add_given(struct tap *tap, const struct tap_config *config)
{
	int fd = fcntl(config->fd, F_DUPFD_CLOEXEC, 0);
	int error;

	if (fd < 0 && errno == EBADF)
		return fail(errno, "%s: file descriptor %d: %s; have whoever starts ringvm open "
			    "a tap there", config->device, config->fd, strerror(errno));
	if (fd < 0)
		return fail(errno, "%s: file descriptor %d: %s; %s", config->device, config->fd,
			    strerror(errno), fd_open_advice(errno));
	error = given_identify(tap, config, fd);
	if (error) {
		close(fd);
		return error;
	}
	return file_add(tap, config, fd);
}

static int tap_add_interface(struct tap *tap, const struct tap_config *config)
{
	while (tap->file_count < config->queue_count) {
		int fd = tun_open(config);
		int error;

		if (fd < 0)
			return fd;
		error = tap->file_count ? interface_attach(tap, fd, tap->link.name) :
					  first_attach(tap, config, fd);
		if (error) {
			close(fd);
			return interface_refused(config, error);
		}
		error = file_add(tap, config, fd);
		if (error)
			return error;
	}
	return 0;
}

static int set_mtu(const char *name, const struct tap_config *config)
{
	unsigned present;
	char advice[128];
	int error = interface_mtu(name, &present);

	if (!error && present != config->mtu)
		error = interface_set_mtu(name, config->mtu);
	if (!error)
		return 0;
	if (error == -EINVAL)
		snprintf(advice, sizeof(advice), "no tap has one so large; name a smaller one");
	else
		snprintf(advice, sizeof(advice), "set it with 'ip link set dev %s mtu %u'", name,
			 config->mtu);
	return fail_host(-error, "%s: %s: MTU %u: %s; %s", config->device, name, config->mtu,
			 strerror(-error), fd_limit_advice(-error, advice));
}

static int set_address(const char *name, const struct tap_config *config)
{
	char advice[128];
	int error = interface_set_address(name, config->host_ip);

	if (error == -EINVAL)
		return fail(EINVAL, "%s: host_ip=%s: expected an IPv4 address such as "
			    "192.168.33.1/24", config->device, config->host_ip);
	snprintf(advice, sizeof(advice), "set it with 'ip address add %s dev %s' and leave host_ip "
		 "out", config->host_ip, name);
	if (error)
		return fail_host(-error, "%s: %s: address %s: %s; %s", config->device, name,
				 config->host_ip, strerror(-error),
				 fd_limit_advice(-error, advice));
	return 0;
}

static int configure(const char *name, const struct tap_config *config, bool made)
{
	int error = 0;

	if (config->mtu)
		error = set_mtu(name, config);
	if (!error && config->host_ip)
		error = set_address(name, config);
	if (error || !(made || config->host_ip))
		return error;
	error = interface_set_up(name);
	if (error)
		return fail_host(-error, "%s: %s: %s; bring it up with 'ip link set dev %s up'",
				 config->device, name, strerror(-error), name);
	return 0;
}

/* By asking for it: from none to all. USO came with Linux 6.2. */
static void probe_offloads(struct link *link)
{
	static const unsigned steps[] = { LINK_CSUM, LINK_TSO4, LINK_TSO6, LINK_ECN, LINK_USO };

	for (unsigned i = 0; link->header && i < ARRAY_SIZE(steps); i++)
		if (!tap_set_offloads(link, link->offloads | steps[i]))
			link->offloads |= steps[i];
	tap_set_offloads(link, 0);
}

int tap_open(struct link **link, const struct tap_config *config)
{
	struct tap *tap;
	int error = config->interface ? interface_find(config->interface) : -ENODEV;
	bool made = error == -ENODEV;

	if (error && !made)
		return fail_host(-error, "%s: %s: whether it is there: %s; %s", config->device,
				 config->interface, strerror(-error),
				 fd_limit_advice(-error, "see 'ip link'"));
	tap = calloc(1, sizeof(*tap));
	if (!tap)
		return fail_host(ENOMEM, "%s: out of memory", config->device);
	tap->link.ops = &tap_ops;
	tap->link.queue_count = config->queue_count;
	tap->link.carrier = true;
	if (config->fd >= 0) {
		error = tap_add_given(tap, config);
	} else {
		error = tap_add_interface(tap, config);
		if (!error)
			error = configure(tap->link.name, config, made);
	}
	if (error) {
		tap_destroy(&tap->link);
		return error;
	}
	probe_offloads(&tap->link);
	*link = &tap->link;
	return 0;
}
