// SPDX-License-Identifier: MIT
/*
 * The network device (virtio 1.2, 5.1): options, features, configuration space,
 * and which queue does what. The link behind it is in net/; frames and commands
 * in net_receive.c, net_transmit.c, net_control.c. Threads: see struct
 * virtio_type.
 */
#include "virtio/net.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "net/link_none.h"
#include "net/tap.h"
#include "virtio/net_device.h"

#define NET_PCI_CLASS 0x0200 /* network, Ethernet */
#define NET_WORKERS_MAX 4
#define NET_MTU_MIN 68
#define NET_MTU_MAX 65535
#define NET_SPEED_MBPS 10000 /* what a tap says of itself */
#define NET_DUPLEX_FULL 1

enum net_mode { NET_MODE_TAP, NET_MODE_NONE };

static const char *const net_modes[] = { "tap", "none", NULL };

struct net_options {
	unsigned mode;
	char *interface;
	int fd;
	struct option_mac mac;
	char *host_ip;
	unsigned pairs;
	unsigned mtu;
	bool vhost;
};

static const struct option_key net_keys[] = {
	{ "mode", OPTION_CHOICE, offsetof(struct net_options, mode),
	  "tap (default), or none: no cable in", .positional = true, .choices = net_modes },
	{ "tapif", OPTION_STRING, offsetof(struct net_options, interface),
	  "the tap's name, existing or new" },
	{ "fd", OPTION_INT_FD, offsetof(struct net_options, fd),
	  "an open tap's file descriptor instead" },
	{ "guest_mac", OPTION_MAC, offsetof(struct net_options, mac),
	  "the guest's address (default: made from host and interface)" },
	{ "host_ip", OPTION_STRING, offsetof(struct net_options, host_ip),
	  "ADDRESS[/24] for the host's side of the tap, and bring it up" },
	{ "mq", OPTION_UINT, offsetof(struct net_options, pairs), "queue pairs, 1 (default) to 8",
	  .minimum = 1, .maximum = NET_PAIRS_MAX },
	{ "mtu", OPTION_UINT, offsetof(struct net_options, mtu),
	  "to be set on the tap and told to the guest", .minimum = NET_MTU_MIN,
	  .maximum = NET_MTU_MAX },
	{ "vhost", OPTION_FLAG, offsetof(struct net_options, vhost),
	  "the host's kernel moves the frames, by /dev/vhost-net" },
	{ 0 },
};

static unsigned net_pairs(const struct net_options *options)
{
	return options->pairs ? options->pairs : 1;
}

bool net_options_vhost(const void *options)
{
	return ((const struct net_options *)options)->vhost;
}

static unsigned net_worker_count(const void *text, unsigned vcpu_count)
{
	const struct net_options *options = text;

	if (options->mode == NET_MODE_NONE || options->vhost)
		return 0;
	return (unsigned)min_u64(net_pairs(options), min_u64(vcpu_count, NET_WORKERS_MAX));
}

/* ---- Features ---- */

/* What each needs beside it: all of these bits (5.1.3.1). */
static const struct {
	unsigned feature, needs;
} net_needs[] = {
	{ VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_CSUM },
	{ VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_CSUM },
	{ VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_CSUM },
	{ VIRTIO_NET_F_GUEST_USO6, VIRTIO_NET_F_GUEST_CSUM },
	{ VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_CSUM },
	{ VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_CSUM },
	{ VIRTIO_NET_F_HOST_USO, VIRTIO_NET_F_CSUM },
	{ VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_VQ },
	{ VIRTIO_NET_F_CTRL_RX_EXTRA, VIRTIO_NET_F_CTRL_VQ },
	{ VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_VQ },
	{ VIRTIO_NET_F_MQ, VIRTIO_NET_F_CTRL_VQ },
};

static uint64_t net_features_missing(uint64_t features)
{
	static const uint64_t guest_tso = BIT64(VIRTIO_NET_F_GUEST_TSO4) |
					  BIT64(VIRTIO_NET_F_GUEST_TSO6);
	static const uint64_t host_tso = BIT64(VIRTIO_NET_F_HOST_TSO4) |
					 BIT64(VIRTIO_NET_F_HOST_TSO6);
	uint64_t missing = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(net_needs); i++)
		if (features & BIT64(net_needs[i].feature))
			missing |= BIT64(net_needs[i].needs) & ~features;
	/* ECN needs one of two. */
	if ((features & BIT64(VIRTIO_NET_F_GUEST_ECN)) && !(features & guest_tso))
		missing |= guest_tso;
	if ((features & BIT64(VIRTIO_NET_F_HOST_ECN)) && !(features & host_tso))
		missing |= host_tso;
	return missing;
}

/* Offloads that a link has, as the features of frames to it (HOST) and from it (GUEST). */
static const struct {
	unsigned offload;
	uint64_t to_link, from_link;
} net_offloads[] = {
	{ LINK_CSUM, BIT64(VIRTIO_NET_F_CSUM), BIT64(VIRTIO_NET_F_GUEST_CSUM) },
	{ LINK_TSO4, BIT64(VIRTIO_NET_F_HOST_TSO4), BIT64(VIRTIO_NET_F_GUEST_TSO4) },
	{ LINK_TSO6, BIT64(VIRTIO_NET_F_HOST_TSO6), BIT64(VIRTIO_NET_F_GUEST_TSO6) },
	{ LINK_ECN, BIT64(VIRTIO_NET_F_HOST_ECN), BIT64(VIRTIO_NET_F_GUEST_ECN) },
	{ LINK_USO, BIT64(VIRTIO_NET_F_HOST_USO),
	  BIT64(VIRTIO_NET_F_GUEST_USO4) | BIT64(VIRTIO_NET_F_GUEST_USO6) },
};

static uint64_t net_features(const struct link *link, const struct net_settings *settings)
{
	uint64_t features = BIT64(VIRTIO_NET_F_MAC) | BIT64(VIRTIO_NET_F_STATUS) |
			    BIT64(VIRTIO_NET_F_MRG_RXBUF) | BIT64(VIRTIO_NET_F_CTRL_VQ) |
			    BIT64(VIRTIO_NET_F_CTRL_RX) | BIT64(VIRTIO_NET_F_CTRL_RX_EXTRA) |
			    BIT64(VIRTIO_NET_F_CTRL_MAC_ADDR) |
			    BIT64(VIRTIO_NET_F_SPEED_DUPLEX);

	for (unsigned i = 0; i < ARRAY_SIZE(net_offloads); i++)
		if (link->offloads & net_offloads[i].offload)
			features |= net_offloads[i].to_link | net_offloads[i].from_link;
	if (settings->mtu)
		features |= BIT64(VIRTIO_NET_F_MTU);
	if (link->queue_count > 1)
		features |= BIT64(VIRTIO_NET_F_MQ);
	return features;
}

/* The driver's word is final: the link may leave undone what the driver will do itself. */
static int net_ready(struct virtio_device *device)
{
	struct net *net = net_of(device);
	unsigned offloads = 0;

	if (net->lost)
		return 0;
	for (unsigned i = 0; i < ARRAY_SIZE(net_offloads); i++)
		if ((device->negotiated & net_offloads[i].from_link) == net_offloads[i].from_link)
			offloads |= net_offloads[i].offload;
	return net->link->ops->set_offloads(net->link, offloads & net->link->offloads);
}

static void net_reset(struct virtio_device *device)
{
	struct net *net = net_of(device);

	if (!net->lost)
		net->link->ops->set_offloads(net->link, 0);
	net_control_reset(net);
	pthread_mutex_lock(&device->config_lock);
	memcpy(net->config.mac, net->mac, ETH_ALEN);
	pthread_mutex_unlock(&device->config_lock);
}

void net_link_lost(struct net *net, int error)
{
	uint16_t status = 0;

	if (atomic_exchange(&net->lost, true))
		return;
	log_warning("%s: %s gone (%s): link down", net->device.deps.name, net->link->name,
		    strerror(-error));
	virtio_config_update(&net->device, offsetof(struct virtio_net_config, status), &status,
			     sizeof(status));
}

/* ---- Queues: receive and transmit of each pair, then control ---- */

/* 5.1.2: it follows the pairs that the driver knows of. */
static unsigned control_index(const struct net *net)
{
	return virtio_has(&net->device, VIRTIO_NET_F_MQ) ? 2 * net->pair_count : 2;
}

static bool net_has_queue(const struct virtio_device *device, unsigned index)
{
	unsigned control = control_index(container_of(device, struct net, device));

	return index < control ||
	       (index == control && virtio_has(device, VIRTIO_NET_F_CTRL_VQ));
}

static bool is_control(const struct net *net, const struct virtqueue *queue)
{
	return queue->index == control_index(net);
}

/* Of any but the control queue. */
static struct net_pair *pair_of(struct net *net, const struct virtqueue *queue)
{
	return &net->pairs[queue->index / 2];
}

static bool is_receive(const struct virtqueue *queue)
{
	return queue->index % 2 == 0;
}

static void net_start(struct virtqueue *queue)
{
	struct net *net = net_of(queue->device);
	struct net_pair *pair;
	int error;

	if (is_control(net, queue)) {
		net_control_start(net, queue);
		return;
	}
	pair = pair_of(net, queue);
	if (is_receive(queue))
		net_receive_start(pair, queue);
	else
		net_transmit_start(pair, queue);
	error = net->link->ops->start(pair->link, queue->worker);
	if (error)
		virtio_fail(queue->device, "queue %u: %s can't be used by %s (error %d)",
			    queue->index, net->link->name, queue->worker->name, -error);
}

static void net_kick(struct virtqueue *queue)
{
	struct net *net = net_of(queue->device);

	if (is_control(net, queue))
		net_control_kick(net);
	else if (is_receive(queue))
		net_receive_kick(pair_of(net, queue));
	else
		net_transmit_kick(pair_of(net, queue));
}

static void net_stop(struct virtqueue *queue)
{
	struct net *net = net_of(queue->device);
	struct net_pair *pair;

	if (is_control(net, queue))
		return;
	pair = pair_of(net, queue);
	if (is_receive(queue))
		net_receive_stop(pair);
	else
		net_transmit_stop(pair);
	net->link->ops->stop(pair->link);
}

/* ---- Creation ---- */

/* As the kernel has it; "tap%d" is one that it is to complete. */
static bool is_interface_name(const char *name)
{
	const char *percent = strchr(name, '%');

	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	if (percent && (percent[1] != 'd' || strchr(percent + 1, '%')))
		return false;
	for (; *name; name++)
		if (strchr("/: \t\n\v\f\r\xa0", *name))
			return false;
	return true;
}

static int options_check(const struct net_options *options, const char *name)
{
	bool tap = options->interface || options->fd >= 0 || options->host_ip;

	if (options->interface && strlen(options->interface) >= LINK_NAME_BYTES)
		return fail(EINVAL, "%s: tapif=%s: a name has at most %d letters", name,
			    options->interface, LINK_NAME_BYTES - 1);
	if (options->interface && !is_interface_name(options->interface))
		return fail(EINVAL, "%s: tapif=%s: expected a name such as tap0, without '/', ':', "
			    "'%%' and spaces", name, options->interface);
	if (options->mode == NET_MODE_NONE && tap)
		return fail(EINVAL, "%s: tapif, fd and host_ip are for mode=tap", name);
	if (options->vhost && (options->mode == NET_MODE_NONE || net_pairs(options) > 1))
		return fail(EINVAL, "%s: vhost=on is for a tap with one pair of queues; leave out "
			    "mode=none and mq, or vhost", name);
	if (options->fd >= 0 && (options->interface || options->host_ip || net_pairs(options) > 1))
		return fail(EINVAL, "%s: a tap given by fd is used as it is, with one queue; leave "
			    "out tapif, host_ip and mq", name);
	return 0;
}

static int open_link(struct link **link, const struct net_options *options, const char *name)
{
	const struct tap_config config = {
		.device = name,
		.interface = options->interface,
		.fd = options->fd,
		.host_ip = options->host_ip,
		.queue_count = net_pairs(options),
		.mtu = options->mtu,
	};

	if (options->mode == NET_MODE_NONE)
		return link_none_create(link, name, net_pairs(options));
	return tap_open(link, &config);
}

/* FNV-1a, 64 bits. */
static uint64_t hash_add(uint64_t hash, const void *data, size_t length)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/*
 * A locally administered address that is the same at each start and unlike that
 * of other machines: from the host's id, the network namespace, and the name of
 * the interface (which two machines of one host can't share) or of the device.
 */
static void mac_derive(uint8_t *mac, const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
	struct stat space;
	char id[32];

	if (fd >= 0) {
		ssize_t length = fd_read_full(fd, id, sizeof(id));

		hash = hash_add(hash, id, length > 0 ? (size_t)length : 0);
		close(fd);
	}
	if (!stat("/proc/self/ns/net", &space))
		hash = hash_add(hash, &space.st_ino, sizeof(space.st_ino));
	hash = hash_add(hash, name, strlen(name));
	mac[0] = 0x02;
	for (unsigned i = 1; i < ETH_ALEN; i++)
		mac[i] = (uint8_t)(hash >> (8 * i));
}

static int net_create_pairs(struct net *net)
{
	net->pairs = calloc(net->pair_count, sizeof(*net->pairs));
	if (!net->pairs)
		return fail_host(ENOMEM, "%s: out of memory", net->device.deps.name);
	for (unsigned i = 0; i < net->pair_count; i++) {
		struct net_pair *pair = &net->pairs[i];
		int error;

		pair->net = net;
		pair->link = net->link->queues[i];
		pair->worker = net->device.deps.workers[i % net->device.deps.worker_count];
		pair->active = i == 0;
		net_transmit_init(pair);
		error = net_receive_init(pair);
		if (error)
			return error;
	}
	return 0;
}

static int net_create_queues(struct net *net)
{
	unsigned pairs = net->pair_count;

	for (unsigned i = 0; i < net->device.queue_count; i++) {
		struct worker *worker = net->pairs[i < 2 * pairs ? i / 2 : 0].worker;
		int error = virtqueue_init(&net->queues[i], &net->device, (uint16_t)i,
					   NET_QUEUE_SIZE, worker);

		if (error)
			return error;
	}
	return 0;
}

/* Its two queues of frames, and with them all features that only we have. */
static int net_hand_over(struct net *net)
{
	int error = net_vhost_create(&net->vhost, net, net->device.deps.memory);

	if (error)
		return error;
	net->device.offered = net_vhost_features(net->vhost, net->device.offered);
	net->queues[0].outside = net->queues[1].outside = &net_vhost_outside;
	return 0;
}

static void net_config_init(struct net *net, const struct net_settings *settings)
{
	struct virtio_net_config *config = &net->config;

	memcpy(net->mac, settings->mac, ETH_ALEN);
	memcpy(config->mac, settings->mac, ETH_ALEN);
	config->status = htole16(net->link->carrier ? VIRTIO_NET_S_LINK_UP : 0);
	config->max_virtqueue_pairs = htole16((uint16_t)net->pair_count);
	config->mtu = htole16((uint16_t)settings->mtu);
	config->speed = htole32(NET_SPEED_MBPS);
	config->duplex = NET_DUPLEX_FULL;
}

static void net_free(struct net *net)
{
	for (unsigned i = 0; net->pairs && i < net->pair_count; i++)
		net_receive_destroy(&net->pairs[i]);
	free(net->pairs);
	net_vhost_destroy(net->vhost);
	net->link->ops->destroy(net->link);
	free(net);
}

static void net_destroy(struct virtio_device *device)
{
	virtio_device_destroy(device);
	net_free(net_of(device));
}

int net_create_on(struct link *link, const struct net_settings *settings,
		  const struct virtio_deps *deps, struct virtio_device **device)
{
	struct net *net = calloc(1, sizeof(*net));
	int error;

	if (!net) {
		link->ops->destroy(link);
		return fail_host(ENOMEM, "%s: out of memory", deps->name);
	}
	net->link = link;
	net->pair_count = link->queue_count;
	const struct virtio_device_config config = {
		.type = settings->type,
		.deps = deps,
		.features = net_features(link, settings),
		.config = &net->config,
		.config_size = offsetof(struct virtio_net_config, rss_max_key_size),
		.queues = net->queues,
		/* No control queue where there is nothing to control. */
		.queue_count = 2 * net->pair_count + !settings->vhost,
	};
	error = virtio_device_init(&net->device, &config);
	if (error) {
		net_free(net);
		return error;
	}
	error = net_create_pairs(net);
	if (!error)
		error = net_create_queues(net);
	if (!error && settings->vhost)
		error = net_hand_over(net);
	if (error) {
		net_destroy(&net->device);
		return error;
	}
	net_config_init(net, settings);
	net_control_reset(net);
	*device = &net->device;
	return 0;
}

static int net_create(const void *text, const struct virtio_deps *deps,
		      struct virtio_device **device)
{
	const struct net_options *options = text;
	struct net_settings settings = {
		.type = &virtio_net, .mtu = options->mtu, .vhost = options->vhost
	};
	struct link *link;
	int error = options_check(options, deps->name);

	if (!error)
		error = open_link(&link, options, deps->name);
	if (error)
		return error;
	if (options->mac.given)
		memcpy(settings.mac, options->mac.address, ETH_ALEN);
	else
		mac_derive(settings.mac,
			   options->mode == NET_MODE_TAP ? link->name : deps->name);
	return net_create_on(link, &settings, deps, device);
}

const struct virtio_type virtio_net = {
	.name = "net",
	.option = "network",
	.option_letter = 'n',
	.option_help = "a network card on a tap of the host",
	.keys = net_keys,
	.options_size = sizeof(struct net_options),

	.id = VIRTIO_ID_NET,
	.pci_class = NET_PCI_CLASS,
	.worker_count = net_worker_count,

	.create = net_create,
	.destroy = net_destroy,
	.features_missing = net_features_missing,
	.has_queue = net_has_queue,
	.ready = net_ready,
	.reset = net_reset,

	.start = net_start,
	.kick = net_kick,
	.stop = net_stop,
};
