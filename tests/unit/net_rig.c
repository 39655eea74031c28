// SPDX-License-Identifier: MIT
#include "tests/unit/net_rig.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "net/link_file.h"
#include "virtio/net.h"

#define FRAME_ROOM (256 * KIB)

const uint8_t rig_mac[ETH_ALEN] = { 0x02, 0x11, 0x22, 0x33, 0x44, 0x55 };

/* ---- The link ---- */

struct wire_link {
	struct link link;
	struct link_file files[LINK_QUEUES_MAX];
	struct rig *rig;
};

static struct wire_link *wire_of(struct link *link)
{
	return container_of(link, struct wire_link, link);
}

static void wire_destroy(struct link *link)
{
	for (unsigned i = 0; i < link->queue_count; i++)
		link_file_close(&wire_of(link)->files[i]);
	free(wire_of(link));
}

static int wire_set_offloads(struct link *link, unsigned offloads)
{
	wire_of(link)->rig->offloads = offloads;
	return 0;
}

static int wire_set_active(struct link_queue *queue, bool active)
{
	wire_of(queue->link)->rig->active[queue->index] = active;
	return 0;
}

static int wire_vhost_fd(struct link_queue *queue)
{
	return wire_of(queue->link)->files[queue->index].fd;
}

static const struct link_ops wire_ops = {
	.vhost_fd = wire_vhost_fd,
	.destroy = wire_destroy,
	.set_offloads = wire_set_offloads,
	.set_active = wire_set_active,
	.start = link_file_start,
	.stop = link_file_stop,
	.send = link_file_send,
	.receive = link_file_receive,
	.wait = link_file_wait,
	.cancel_io = link_file_cancel_io,
	.cancel_wait = link_file_cancel_wait,
};

static struct link *wire_create(struct rig *rig, const struct rig_config *config)
{
	struct wire_link *wire = calloc(1, sizeof(*wire));

	assert_non_null(wire);
	wire->rig = rig;
	wire->link = (struct link){
		.ops = &wire_ops,
		.name = "wire",
		.queue_count = config->pairs ? config->pairs : 1,
		.offloads = config->bare ? 0 : ALL_OFFLOADS,
		.header = !config->bare,
		.carrier = true,
	};
	for (unsigned i = 0; i < wire->link.queue_count; i++) {
		int ends[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC,
					    0, ends), 0);
		rig->wires[i] = ends[1];
		link_file_init(&wire->files[i], &wire->link, i, ends[0]);
		if (config->calls)
			wire->files[i].nowait = false;
		wire->link.queues[i] = &wire->files[i].queue;
	}
	return &wire->link;
}

/* ---- The device ---- */

static struct rig *being_made;
static const struct rig_config *being_made_of;

static struct virtio_type wire_type; /* virtio_net, on a wire */

static int wire_type_create(const void *options, const struct virtio_deps *deps,
			    struct virtio_device **device)
{
	struct net_settings settings = {
		.type = &wire_type, .mtu = being_made_of->mtu, .vhost = being_made_of->vhost
	};

	(void)options;
	memcpy(settings.mac, rig_mac, ETH_ALEN);
	return net_create_on(wire_create(being_made, being_made_of), &settings, deps, device);
}

struct rig *rig_create(const struct rig_config *config)
{
	struct driver_config driver_config = {
		.type = &wire_type,
		.refused = config->refused,
		.queue_size = config->queue_size,
		.worker_count = config->workers,
	};
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	wire_type = virtio_net;
	wire_type.create = wire_type_create;
	wire_type.keys = NULL;
	being_made = rig;
	being_made_of = config;
	rig->bare = config->bare;
	rig->driver = driver_create(&driver_config);
	rig->net = net_of(rig->driver->device);
	return rig;
}

struct rig *rig_begin(const struct rig_config *config)
{
	struct rig *rig = rig_create(config);

	driver_begin(rig->driver);
	return rig;
}

void rig_destroy(struct rig *rig)
{
	driver_destroy(rig->driver);
	for (unsigned i = 0; i < LINK_QUEUES_MAX; i++)
		if (rig->wires[i] > 0)
			fd_close(&rig->wires[i]);
	free(rig);
}

struct driver_queue *rig_rx(struct rig *rig, unsigned pair)
{
	return &rig->driver->queues[2 * pair];
}

struct driver_queue *rig_tx(struct rig *rig, unsigned pair)
{
	return &rig->driver->queues[2 * pair + 1];
}

struct driver_queue *rig_control(struct rig *rig)
{
	unsigned pairs = virtio_has(&rig->net->device, VIRTIO_NET_F_MQ) ? rig->net->pair_count : 1;

	return &rig->driver->queues[2 * pairs];
}

/* ---- Frames ---- */

void frame_make(uint8_t *frame, size_t bytes, unsigned seed)
{
	struct ethhdr ethernet = { .h_proto = htobe16(0x88b5) }; /* local experiments */

	memcpy(ethernet.h_dest, rig_mac, ETH_ALEN);
	memcpy(ethernet.h_source, "\x02\xaa\xbb\xcc\xdd\xee", ETH_ALEN);
	for (size_t i = 0; i < bytes; i++)
		frame[i] = (uint8_t)(seed * 31 + i + i / 251);
	memcpy(frame, &ethernet, bytes < sizeof(ethernet) ? bytes : sizeof(ethernet));
}

void wire_send(struct rig *rig, unsigned pair, const struct virtio_net_hdr_v1 *header,
	       const uint8_t *frame, size_t bytes)
{
	static const struct virtio_net_hdr_v1 plain;
	struct iovec iov[] = {
		{ (void *)(header ? header : &plain), sizeof(plain) },
		{ (void *)frame, bytes },
	};
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = 2 };
	struct pollfd poll_fd = { .fd = rig->wires[pair], .events = POLLOUT };

	if (rig->bare) {
		message.msg_iov = &iov[1];
		message.msg_iovlen = 1;
	}
	while (sendmsg(rig->wires[pair], &message, MSG_NOSIGNAL) < 0) {
		assert_int_equal(errno, EAGAIN);
		assert_int_equal(poll(&poll_fd, 1, RIG_TIMEOUT_MS), 1);
	}
}

bool wire_receive(struct rig *rig, unsigned pair, struct virtio_net_hdr_v1 *header,
		  uint8_t *frame, size_t *bytes, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = rig->wires[pair], .events = POLLIN };
	struct iovec iov[] = { { header, sizeof(*header) }, { frame, FRAME_ROOM } };
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t result;

	if (rig->bare) {
		message.msg_iov = &iov[1];
		message.msg_iovlen = 1;
	}
	if (poll(&poll_fd, 1, timeout_ms) <= 0)
		return false;
	result = recvmsg(rig->wires[pair], &message, 0);
	assert_true(result > 0);
	*bytes = (size_t)result - (rig->bare ? 0 : sizeof(*header));
	return true;
}

/* ---- The guest's side ---- */

void rx_post(struct rig *rig, unsigned pair, unsigned count, uint32_t bytes)
{
	struct driver_queue *queue = rig_rx(rig, pair);

	for (unsigned i = 0; i < count; i++) {
		struct driver_part part = driver_in(rig->driver, bytes);

		memset(driver_at(rig->driver, part.gpa), 0xee, bytes);
		assert_true(driver_add(queue, &part, 1) >= 0);
	}
	driver_publish(queue);
	driver_kick(queue);
}

/* Where and how much the buffer of a head is: of one part. */
static void *rx_buffer(struct driver_queue *queue, uint16_t head, uint32_t *room)
{
	struct driver_part part = driver_first_part(queue, head);

	*room = part.bytes;
	return driver_at(queue->driver, part.gpa);
}

bool rx_take(struct rig *rig, unsigned pair, struct virtio_net_hdr_v1 *header, uint8_t *frame,
	     size_t *bytes, int timeout_ms)
{
	struct driver_queue *queue = rig_rx(rig, pair);
	uint32_t length, room;
	uint16_t head;
	uint8_t *data;

	do {
		if (!driver_wait(queue, &head, &length, timeout_ms))
			return false;
	} while (!length && rig->paused);
	data = rx_buffer(queue, head, &room);
	assert_in_range(length, sizeof(*header), room);
	memcpy(header, data, sizeof(*header));
	*bytes = length - sizeof(*header);
	memcpy(frame, data + sizeof(*header), *bytes);
	assert_true(le16toh(header->num_buffers) >= 1);
	for (unsigned left = le16toh(header->num_buffers) - 1u; left; left--) {
		assert_int_equal(length, room); /* all but the last are full */
		assert_true(driver_take(queue, &head, &length)); /* published together */
		data = rx_buffer(queue, head, &room);
		assert_in_range(length, 1, room);
		memcpy(frame + *bytes, data, length);
		*bytes += length;
	}
	return true;
}

void rx_expect(struct rig *rig, unsigned pair, size_t bytes, unsigned seed)
{
	static uint8_t sent[FRAME_ROOM], got[FRAME_ROOM];
	struct virtio_net_hdr_v1 header;
	size_t got_bytes;

	frame_make(sent, bytes, seed);
	wire_send(rig, pair, NULL, sent, bytes);
	assert_true(rx_take(rig, pair, &header, got, &got_bytes, RIG_TIMEOUT_MS));
	assert_int_equal(header.flags, 0);
	assert_int_equal(header.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	assert_int_equal(got_bytes, bytes);
	assert_memory_equal(got, sent, bytes);
}

void tx_post(struct rig *rig, unsigned pair, const uint8_t *frame, size_t bytes, unsigned parts)
{
	struct driver_part list[256];
	struct virtio_net_hdr_v1 header = { 0 };
	size_t done = 0;

	assert_in_range(parts, 0, 255);
	list[0] = driver_out(rig->driver, &header, sizeof(header));
	for (unsigned i = 1; i <= parts; i++) {
		size_t part = i == parts ? bytes - done : bytes / parts;

		list[i] = driver_out(rig->driver, frame + done, (uint32_t)part);
		done += part;
	}
	assert_true(driver_add(rig_tx(rig, pair), list, parts + 1) >= 0);
	driver_publish(rig_tx(rig, pair));
	driver_kick(rig_tx(rig, pair));
}

void tx_reap(struct rig *rig, unsigned pair, unsigned count)
{
	while (count--) {
		uint32_t bytes;
		uint16_t head;

		assert_true(driver_wait(rig_tx(rig, pair), &head, &bytes, RIG_TIMEOUT_MS));
		assert_int_equal(bytes, 0);
	}
}

uint8_t control(struct rig *rig, uint8_t class, uint8_t command, const void *data, uint32_t bytes)
{
	struct virtio_net_ctrl_hdr header = { class, command };
	struct driver_part parts[] = {
		driver_out(rig->driver, &header, sizeof(header)),
		driver_out(rig->driver, bytes ? data : &header, bytes ? bytes : 1),
		driver_in(rig->driver, 1),
	};
	uint8_t *ack = driver_at(rig->driver, parts[2].gpa);

	*ack = 0xff;
	if (!bytes)
		parts[1] = parts[2];
	assert_int_equal(driver_request(rig_control(rig), parts, bytes ? 3 : 2), 1);
	return *ack;
}

void rig_nap_ms(unsigned ms)
{
	struct timespec delay = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&delay, NULL);
}

uint64_t rig_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t cpu_us(struct rig *rig)
{
	struct timespec time;
	clockid_t clock;

	assert_int_equal(pthread_getcpuclockid(rig->driver->workers[0].thread.id, &clock), 0);
	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

bool rig_wire_nowait(struct rig *rig)
{
	return wire_of(rig->net->link)->files[0].nowait;
}

uint64_t rig_quiet_cpu_us(struct rig *rig)
{
	uint64_t before = cpu_us(rig);

	rig_nap_ms(RIG_QUIET_MS);
	return cpu_us(rig) - before;
}
