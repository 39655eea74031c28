// SPDX-License-Identifier: MIT
/*
 * The network device on real taps, in a network namespace of the test's own.
 * The host's side is a packet socket on the tap. Needs root and /dev/net/tun;
 * skipped without.
 */
#include "tests/unit/unit.h"
#include "tests/unit/driver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "net/interface.h"
#include "net/link_file.h"
#include "tests/unit/message.h"
#include "virtio/net.h"
#include "virtio/net_device.h"

#define TYPE 0x88b5 /* local experiments */
#define QUIET_MS 100

static uint8_t sent[128 * KIB], got[128 * KIB];

/* ---- The host's side ---- */

/* With a virtio header before each frame, as the tap has. */
static int packet_socket(const char *interface, bool header)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(interface),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = header, room = 1 << 20;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)), 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void frame_make(uint8_t *frame, size_t bytes, unsigned seed)
{
	struct ethhdr ethernet = { .h_proto = htons(TYPE) };

	memset(ethernet.h_dest, 0x02, ETH_ALEN);
	memset(ethernet.h_source, 0x04, ETH_ALEN);
	for (size_t i = 0; i < bytes; i++)
		frame[i] = (uint8_t)(seed * 31 + i + i / 251);
	memcpy(frame, &ethernet, sizeof(ethernet));
}

static void host_send(int fd, unsigned bytes, unsigned seed)
{
	frame_make(sent, bytes, seed);
	assert_int_equal(send(fd, sent, bytes, 0), bytes);
}

/* The next frame of ours: the kernel's own talk is passed over. */
static void host_expect(int fd, unsigned bytes, unsigned seed)
{
	const struct ethhdr *ethernet = (const struct ethhdr *)got;
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	ssize_t length;

	do {
		assert_int_equal(poll(&poll_fd, 1, DRIVER_TIMEOUT_MS), 1);
		length = recv(fd, got, sizeof(got), 0);
		assert_true(length >= (ssize_t)sizeof(*ethernet));
	} while (ethernet->h_proto != htons(TYPE));
	frame_make(sent, bytes, seed);
	assert_int_equal(length, bytes);
	assert_memory_equal(got, sent, bytes);
}

/* ---- The guest's side ---- */

struct guest {
	struct driver *driver;
	struct net *net;
	const char *interface;
	int host;
};

static struct guest guest_create(const char *options, unsigned workers, bool calls)
{
	struct driver_config config = {
		.type = &virtio_net, .options = options, .worker_count = workers,
	};
	struct guest guest = { .driver = driver_create(&config) };

	guest.net = net_of(guest.driver->device);
	guest.interface = guest.net->link->name;
	if (calls)
		container_of(guest.net->link->queues[0], struct link_file, queue)->nowait = false;
	guest.host = packet_socket(guest.interface, false);
	return guest;
}

/* A ring lets go of its files some time after it was closed: with Linux 6.1, a second. */
static bool is_gone(const char *name)
{
	for (unsigned i = 0; i < 1000 && !interface_find(name); i++)
		usleep(10000);
	return interface_find(name);
}

static void guest_destroy(struct guest *guest)
{
	fd_close(&guest->host);
	driver_destroy(guest->driver);
	is_gone("t0"); /* the next test makes another */
}

static void guest_post(struct guest *guest, unsigned pair, unsigned count, uint32_t bytes)
{
	struct driver_queue *queue = &guest->driver->queues[2 * pair];

	while (count--) {
		struct driver_part part = driver_in(guest->driver, bytes);

		assert_true(driver_add(queue, &part, 1) >= 0);
	}
	driver_publish(queue);
	driver_kick(queue);
}

/* The next frame of type `type`; false if none comes in time. */
static bool guest_take(struct guest *guest, unsigned pair, uint16_t type,
		       struct virtio_net_hdr_v1 *header, size_t *bytes, int timeout_ms)
{
	struct driver_queue *queue = &guest->driver->queues[2 * pair];
	const struct ethhdr *ethernet = (const struct ethhdr *)got;
	uint32_t length;
	uint16_t head;

	do {
		uint8_t *data;

		if (!driver_wait(queue, &head, &length, timeout_ms))
			return false;
		data = driver_at(guest->driver, driver_first_part(queue, head).gpa);
		memcpy(header, data, sizeof(*header));
		*bytes = length - sizeof(*header);
		memcpy(got, data + sizeof(*header), *bytes);
		for (unsigned left = le16toh(header->num_buffers) - 1u; left; left--) {
			assert_true(driver_take(queue, &head, &length));
			data = driver_at(guest->driver, driver_first_part(queue, head).gpa);
			memcpy(got + *bytes, data, length);
			*bytes += length;
		}
	} while (ethernet->h_proto != htons(type));
	return true;
}

static void guest_expect(struct guest *guest, unsigned bytes, unsigned seed)
{
	struct virtio_net_hdr_v1 header;
	size_t length;

	assert_true(guest_take(guest, 0, TYPE, &header, &length, DRIVER_TIMEOUT_MS));
	frame_make(sent, bytes, seed);
	assert_int_equal(length, bytes);
	assert_memory_equal(got, sent, bytes);
}

static void guest_send_with(struct guest *guest, struct virtio_net_hdr_v1 header, unsigned bytes,
			    unsigned seed)
{
	struct driver_part parts[2] = { driver_out(guest->driver, &header, sizeof(header)) };

	frame_make(sent, bytes, seed);
	parts[1] = driver_out(guest->driver, sent, bytes);
	assert_true(driver_add(&guest->driver->queues[1], parts, 2) >= 0);
	driver_publish(&guest->driver->queues[1]);
	driver_kick(&guest->driver->queues[1]);
}

static void guest_reap(struct guest *guest, unsigned count)
{
	uint32_t bytes;
	uint16_t head;

	while (count--)
		assert_true(driver_wait(&guest->driver->queues[1], &head, &bytes,
					DRIVER_TIMEOUT_MS));
}

static uint8_t guest_command(struct guest *guest, uint8_t class, uint8_t command,
			     const void *data, uint32_t bytes)
{
	struct virtio_net_ctrl_hdr header = { class, command };
	struct driver_part parts[] = {
		driver_out(guest->driver, &header, sizeof(header)),
		driver_out(guest->driver, data, bytes), driver_in(guest->driver, 1),
	};
	struct driver_queue *queue = &guest->driver->queues[2 * guest->net->pair_count];

	assert_int_equal(driver_request(queue, parts, 3), 1);
	return *(uint8_t *)driver_at(guest->driver, parts[2].gpa);
}

static uint64_t guest_status(struct guest *guest)
{
	return virtio_config_read(guest->driver->device,
				  offsetof(struct virtio_net_config, status), 2);
}

/* ---- Tests ---- */

static void carries_frames(void **state)
{
	for (unsigned calls = 0; calls < 2; calls++) {
		struct guest guest = guest_create("tap,tapif=t0,host_ip=192.168.33.1/24", 1, calls);

		driver_begin(guest.driver);
		assert_int_equal(guest_status(&guest), VIRTIO_NET_S_LINK_UP);
		guest_post(&guest, 0, 200, 1536);
		for (unsigned i = 0; i < 100; i++)
			host_send(guest.host, 60 + i, i);
		for (unsigned i = 0; i < 100; i++)
			guest_expect(&guest, 60 + i, i);
		for (unsigned i = 0; i < 100; i++)
			guest_send_with(&guest, (struct virtio_net_hdr_v1){ 0 }, 60 + i, i);
		guest_reap(&guest, 100);
		for (unsigned i = 0; i < 100; i++)
			host_expect(guest.host, 60 + i, i);
		guest_destroy(&guest);
		assert_true(is_gone("t0")); /* ours, and gone with us */
	}
	(void)state;
}

/* H55, by the kernel's judgement: each is dropped, and the next frame goes through. */
static void drops_what_the_tap_refuses(void **state)
{
	struct guest guest = guest_create("tapif=t0,host_ip=192.168.33.1", 1, false);

	driver_begin(guest.driver);
	for (unsigned type = 0; type < 256; type += type < 8 ? 1 : 31) {
		static const uint16_t sizes[] = { 0, 1, 0xffff };

		for (unsigned i = 0; i < 3 * ARRAY_SIZE(sizes); i++) {
			struct virtio_net_hdr_v1 header = {
				.flags = i & 1 ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0,
				.gso_type = (uint8_t)type,
				.gso_size = htole16(sizes[i % 3]),
				.hdr_len = 0xffff,
				.csum_start = htole16(i < 3 ? 0xfff0 : 20),
				.csum_offset = htole16(i < 6 ? 0xffff : 2),
			};

			guest_send_with(&guest, header, 100, 0xff);
		}
	}
	guest_reap(&guest, 9 * 16);
	close(guest.host);
	guest.host = packet_socket(guest.interface, false);
	guest_send_with(&guest, (struct virtio_net_hdr_v1){ 0 }, 100, 1);
	guest_reap(&guest, 1);
	host_expect(guest.host, 100, 1);
	guest_destroy(&guest);
	(void)state;
}

/* C99, as the kernel has it: the frame arrives as if its header were empty. */
static void ignores_fields_without_needs_csum(void **state)
{
	struct guest guest = guest_create("tapif=t0,host_ip=192.168.33.1", 1, false);
	const struct virtio_net_hdr_v1 headers[] = {
		{ .flags = 0xff & ~VIRTIO_NET_HDR_F_NEEDS_CSUM },
		{ .csum_start = 0xffff, .csum_offset = 0xffff },
		{ .csum_start = htole16(34), .csum_offset = htole16(16) },
		{ .hdr_len = 0xffff, .gso_size = 0xffff },
	};

	driver_begin(guest.driver);
	for (unsigned i = 0; i < ARRAY_SIZE(headers); i++) {
		guest_send_with(&guest, headers[i], 100, i);
		guest_reap(&guest, 1);
		host_expect(guest.host, 100, i);
	}
	guest_destroy(&guest);
	(void)state;
}

/* A TCP segment of 30000 bytes from the host's stack, as a sender with offloads makes it. */
static void send_segment(const char *interface)
{
	struct {
		struct virtio_net_hdr header;
		struct ethhdr ethernet;
		uint8_t ip[20], tcp[20], data[30000];
	} __attribute__((packed)) *segment = calloc(1, sizeof(*segment));
	static const uint8_t ip[20] = {
		0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 192, 168, 33, 1, 192, 168, 33, 2,
	};
	static const uint8_t tcp[20] = { 0x10, 0, 0x20, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10,
					 0xff, 0xff };
	uint32_t sum = 0;
	int fd = packet_socket(interface, true);

	segment->header = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = 54,
		.gso_size = 1448,
		.csum_start = 34,
		.csum_offset = 16,
	};
	memset(segment->ethernet.h_dest, 0x02, ETH_ALEN);
	segment->ethernet.h_proto = htons(ETH_P_IP);
	memcpy(segment->ip, ip, sizeof(ip));
	segment->ip[2] = (20 + 20 + 30000) >> 8;
	segment->ip[3] = (20 + 20 + 30000) & 0xff;
	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)segment->ip[i] << 8 | segment->ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	segment->ip[10] = (uint8_t)(~sum >> 8);
	segment->ip[11] = (uint8_t)~sum;
	memcpy(segment->tcp, tcp, sizeof(tcp));
	/* The pseudo header's sum is already there, the rest is to be added. */
	sum = 0xc0a8 + 0x2101 + 0xc0a8 + 0x2102 + 6 + 20 + 30000;
	sum = (sum & 0xffff) + (sum >> 16);
	segment->tcp[16] = (uint8_t)(sum >> 8);
	segment->tcp[17] = (uint8_t)sum;
	assert_int_equal(send(fd, segment, sizeof(*segment), 0), sizeof(*segment));
	close(fd);
	free(segment);
}

/* Sum of the TCP part of `got`, pseudo header included: 0xffff if it is right. */
static uint32_t tcp_sum(size_t bytes)
{
	size_t length = bytes - 34;
	uint32_t sum = 0xc0a8 + 0x2101 + 0xc0a8 + 0x2102 + 6 + (uint32_t)length;

	for (size_t i = 0; i < length; i++)
		sum += i % 2 ? got[34 + i] : (uint32_t)got[34 + i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* C103: one large frame for who can take it. */
static void passes_segments_on(void **state)
{
	struct guest guest = guest_create("tapif=t0,host_ip=192.168.33.1", 1, false);
	struct virtio_net_hdr_v1 header;
	size_t bytes;

	assert_true(guest.driver->device->offered & BIT64(VIRTIO_NET_F_GUEST_TSO4));
	assert_true(guest.driver->device->offered & BIT64(VIRTIO_NET_F_HOST_TSO6));
	driver_begin(guest.driver);
	guest_post(&guest, 0, 100, 1536);
	send_segment("t0");
	assert_true(guest_take(&guest, 0, ETH_P_IP, &header, &bytes, DRIVER_TIMEOUT_MS));
	assert_int_equal(bytes, 54 + 30000);
	assert_int_equal(header.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(header.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(le16toh(header.gso_size), 1448);
	guest_destroy(&guest);
	(void)state;
}

/* C102: cut up and summed by the host for who can't. */
static void cuts_segments_up(void **state)
{
	struct guest guest = guest_create("tapif=t0,host_ip=192.168.33.1", 1, false);
	uint64_t features = guest.driver->device->offered;
	struct virtio_net_hdr_v1 header;
	size_t total = 0, bytes;

	features &= ~(BIT64(VIRTIO_NET_F_GUEST_CSUM) | BIT64(VIRTIO_NET_F_GUEST_TSO4) |
		      BIT64(VIRTIO_NET_F_GUEST_TSO6) | BIT64(VIRTIO_NET_F_GUEST_ECN) |
		      BIT64(VIRTIO_NET_F_GUEST_USO4) | BIT64(VIRTIO_NET_F_GUEST_USO6));
	assert_true(driver_negotiate(guest.driver, features));
	for (unsigned i = 0; i < 3; i++)
		driver_set_up_queue(guest.driver, i, 0);
	virtio_set_status(guest.driver->device, 0xf);
	guest_post(&guest, 0, 100, 1536);
	send_segment("t0");
	while (total < 30000) {
		assert_true(guest_take(&guest, 0, ETH_P_IP, &header, &bytes, DRIVER_TIMEOUT_MS));
		assert_int_equal(header.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		assert_int_equal(header.flags, 0);
		assert_in_range(bytes, 55, 54 + 1448);
		assert_int_equal(tcp_sum(bytes), 0xffff);
		total += bytes - 54;
	}
	assert_int_equal(total, 30000);
	guest_destroy(&guest);
	(void)state;
}

/* Flows of any hash go to pairs in use only. C106 */
static void spreads_over_pairs(void **state)
{
	struct guest guest = guest_create("tapif=t0,host_ip=192.168.33.1,mq=4", 4, false);
	unsigned came = 0;
	struct virtio_net_hdr_v1 header;
	size_t bytes;

	driver_begin(guest.driver);
	/* For all of the frames below and the kernel's own: its hash may choose one pair for all. */
	for (unsigned pair = 0; pair < 4; pair++)
		guest_post(&guest, pair, 200, 1536);
	for (unsigned i = 0; i < 20; i++)
		host_send(guest.host, 60, i);
	for (unsigned i = 0; i < 20; i++)
		guest_expect(&guest, 60, i);
	assert_int_equal(guest_command(&guest, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
				       "\4\0", 2), VIRTIO_NET_OK);
	for (unsigned i = 0; i < 40; i++) {
		frame_make(sent, 60, i);
		sent[6 + 5] = (uint8_t)i; /* another source, another flow */
		assert_int_equal(send(guest.host, sent, 60, 0), 60);
	}
	for (unsigned tries = 0; came < 40 && tries < DRIVER_TIMEOUT_MS; tries++)
		while (guest_take(&guest, tries % 4, TYPE, &header, &bytes, 1))
			came++;
	assert_int_equal(came, 40);
	assert_int_equal(guest_command(&guest, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
				       "\1\0", 2), VIRTIO_NET_OK);
	for (unsigned i = 0; i < 20; i++)
		host_send(guest.host, 60, i);
	for (unsigned i = 0; i < 20; i++)
		guest_expect(&guest, 60, i);
	driver_reset(guest.driver);
	driver_begin(guest.driver);
	guest_post(&guest, 0, 64, 1536);
	host_send(guest.host, 60, 5);
	guest_expect(&guest, 60, 5);
	guest_destroy(&guest);
	(void)state;
}

static void delete_interface(const char *name)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg info;
	} request = {
		.header = { .nlmsg_len = sizeof(request), .nlmsg_type = RTM_DELLINK,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.info = { .ifi_index = (int)if_nametoindex(name) },
	};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		uint8_t rest[256];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	assert_true(send(fd, &request, sizeof(request), 0) > 0);
	assert_true(recv(fd, &answer, sizeof(answer), 0) > 0);
	assert_int_equal(answer.error.error, 0);
	close(fd);
}

static uint64_t cpu_us(struct driver *driver)
{
	struct timespec time;
	clockid_t clock;

	pthread_getcpuclockid(driver->workers[0].thread.id, &clock);
	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

/* F07 */
static void survives_the_deletion_of_its_tap(void **state)
{
	for (unsigned calls = 0; calls < 2; calls++) {
		struct guest guest = guest_create("tapif=t0,host_ip=192.168.33.1", 1, calls);
		struct virtio_device *device = guest.driver->device;
		uint64_t before;

		driver_begin(guest.driver);
		guest_post(&guest, 0, 16, 1536);
		host_send(guest.host, 60, 1);
		guest_expect(&guest, 60, 1);
		event_fd_drain(device->config_fd);
		delete_interface("t0");
		for (unsigned i = 0; i < DRIVER_TIMEOUT_MS && !event_fd_pending(device->config_fd);
		     i++)
			usleep(1000);
		assert_int_equal(guest_status(&guest), 0);
		before = cpu_us(guest.driver);
		usleep(QUIET_MS * 1000);
		assert_true(cpu_us(guest.driver) - before < QUIET_MS * 1000 / 10);
		for (unsigned i = 0; i < 100; i++)
			guest_send_with(&guest, (struct virtio_net_hdr_v1){ 0 }, 60, i);
		guest_reap(&guest, 100);
		driver_reset(guest.driver);
		driver_begin(guest.driver);
		guest_destroy(&guest);
	}
	(void)state;
}

/* Found by sending only: nothing is posted to receive into. */
static void notices_a_deletion_by_sending(void **state)
{
	struct guest guest = guest_create("tapif=t0,host_ip=192.168.33.1", 1, false);

	driver_begin(guest.driver);
	delete_interface("t0");
	assert_int_equal(guest_status(&guest), VIRTIO_NET_S_LINK_UP);
	guest_send_with(&guest, (struct virtio_net_hdr_v1){ 0 }, 60, 1);
	guest_reap(&guest, 1);
	assert_int_equal(guest_status(&guest), 0);
	guest_destroy(&guest);
	(void)state;
}

/* ---- Opening ---- */

static int open_with(const char *text, struct virtio_device **device)
{
	static char options[256];
	static struct worker worker, *workers[] = { &worker };
	static struct guest_memory memory;
	struct virtio_deps deps = { .name = "net0", .memory = &memory, .workers = workers,
				    .worker_count = 1 };
	int error;

	assert_true(virtio_net.options_size <= sizeof(options));
	memset(options, 0, sizeof(options));
	*device = NULL;
	error = options_parse("--network", text, virtio_net.keys, options);
	if (!error)
		error = virtio_net.create(options, &deps, device);
	options_free(virtio_net.keys, options);
	return error;
}

static void close_device(struct virtio_device *device)
{
	virtio_net.destroy(device);
}

/* A tap of our own making, as `ip tuntap` would leave it. */
static int make_tap(const char *name, short flags, bool persist)
{
	struct ifreq request = { .ifr_flags = flags };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	assert_true(fd >= 0);
	assert_true(is_gone(name));
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	if (persist) {
		assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
		close(fd);
		return -1;
	}
	return fd;
}

static bool is_up(const char *name)
{
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &request), 0);
	close(fd);
	return request.ifr_flags & IFF_UP;
}

static void configures_new_interfaces_only(void **state)
{
	struct virtio_device *device;
	unsigned mtu;

	assert_int_equal(open_with("tapif=t1,mtu=1300", &device), 0);
	assert_true(is_up("t1"));
	assert_int_equal(interface_mtu("t1", &mtu), 0);
	assert_int_equal(mtu, 1300);
	close_device(device);

	make_tap("t1", IFF_TAP | IFF_NO_PI, true);
	assert_int_equal(open_with("tapif=t1", &device), 0);
	assert_false(is_up("t1"));
	close_device(device);
	assert_int_equal(open_with("tapif=t1,host_ip=10.1.2.3/30", &device), 0);
	assert_true(is_up("t1"));
	close_device(device);
	assert_int_equal(interface_find("t1"), 0);
	/* With several queues: not that one. */
	assert_true(fail_is_host(open_with("tapif=t1,mq=2", &device)));
	delete_interface("t1");

	make_tap("t1", IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE, true);
	assert_int_equal(open_with("tapif=t1", &device), 0);
	close_device(device);
	assert_int_equal(open_with("tapif=t1,mq=8", &device), 0);
	close_device(device);
	delete_interface("t1");

	/* Without a name the kernel gives one. */
	assert_int_equal(open_with("tap", &device), 0);
	assert_int_equal(interface_find("tap0"), 0);
	close_device(device);
	(void)state;
}

/* In a child: 0 if it fails as it should. */
static int open_without_rights(bool root)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	struct virtio_device *device;
	int error;

	if (!root && (setgid(65534) || setuid(65534)))
		return 2;
	if (root && syscall(SYS_capset, &header, data))
		return 2;
	error = open_with("tapif=t1", &device);
	return fail_is_host(error) && fail_error(error) == (root ? EPERM : EACCES) ? 0 : 1;
}

/* F08 */
static void says_why_it_can_not_open(void **state)
{
	struct virtio_device *device, *other;
	int status;
	pid_t child;

	assert_int_equal(open_with("tapif=t1", &device), 0);
	assert_int_equal(fail_error(open_with("tapif=t1", &other)), EBUSY);
	close_device(device);
	assert_true(fail_is_host(open_with("tapif=lo", &device)));
	assert_int_equal(open_with("tapif=t1,host_ip=10.1.2", &device), -EINVAL);
	assert_int_equal(open_with("tapif=t1,host_ip=10.1.2.3/33", &device), -EINVAL);
	assert_int_equal(open_with("tapif=t1,host_ip=10.1.2.3/", &device), -EINVAL);
	assert_int_equal(open_with("tapif=t1,host_ip=1000.1000.1000.1000", &device), -EINVAL);
	message_begin();
	assert_int_equal(open_with("fd=9999", &device), -EBADF);
	assert_true(message_end("net0: file descriptor 9999: Bad file descriptor; have whoever "
				"starts ringvm open a tap there\n"));
	message_begin();
	assert_int_equal(open_with("fd=2", &device), -ENOTTY);
	assert_true(message_end("net0: file descriptor 2 is no tap: Inappropriate ioctl for device; "
				"give the number of one that is open, or name it by tapif\n"));

	/* Without the right to the device file, then without that to make interfaces. */
	for (unsigned i = 0; i < 2; i++) {
		child = fork();
		if (!child)
			_exit(open_without_rights(i));
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	(void)state;
}

/* The call of ioctl(2) for `request` that fails, counting down to 0. */
static unsigned long refused_request;
static unsigned refused_in;

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	void *argument;

	va_start(list, request);
	argument = va_arg(list, void *);
	va_end(list);
	if (request == refused_request && refused_in && !--refused_in) {
		errno = EBADFD;
		return -1;
	}
	return __real_ioctl(fd, request, argument);
}

/* As of an interface that is deleted meanwhile: each of the calls, of each file. */
static void gives_back_what_it_has_when_one_file_fails(void **state)
{
	static const unsigned long requests[] = {
		TUNSETVNETHDRSZ, TUNSETVNETLE, TUNSETSNDBUF, TUNSETQUEUE,
	};
	struct virtio_device *device;

	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
		for (unsigned in = 1; in <= 2; in++) {
			int error;

			refused_request = requests[i];
			refused_in = in;
			message_begin();
			error = open_with("tapif=t5,mq=3", &device);
			assert_true(message_end("File descriptor in bad state\n"));
			assert_int_equal(refused_in, 0);
			assert_true(fail_is_host(error));
			assert_int_equal(fail_error(error), EBADFD);
		}
	}
	assert_int_equal(open_with("tapif=t5,mq=3", &device), 0);
	close_device(device);
	(void)state;
}

static void *let_go(void *fd)
{
	usleep(100000);
	close(*(int *)fd);
	return NULL;
}

/* As the ring of a machine that has just ended. */
static void waits_for_a_tap_that_is_let_go(void **state)
{
	int fd = make_tap("t4", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, false);
	struct virtio_device *device;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, let_go, &fd), 0);
	assert_int_equal(open_with("tapif=t4", &device), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	close_device(device);
	(void)state;
}

/* An open tap, with and without a header, is used as it is; the caller's fd stays open. */
static void takes_open_taps(void **state)
{
	static const short flags[] = { IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, IFF_TAP | IFF_NO_PI };
	struct virtio_device *device;

	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		int fd = make_tap("t2", flags[i], false);
		char options[32];
		struct guest guest;

		assert_int_equal(interface_set_up("t2"), 0);
		snprintf(options, sizeof(options), "fd=%d", fd);
		for (unsigned round = 0; round < 2; round++) {
			guest = guest_create(options, 1, false);
			assert_int_equal(guest.net->link->header, i == 0);
			assert_int_equal(!!guest.net->link->offloads, i == 0);
			driver_begin(guest.driver);
			guest_post(&guest, 0, 10, 1536);
			host_send(guest.host, 100, round);
			guest_expect(&guest, 100, round);
			guest_send_with(&guest, (struct virtio_net_hdr_v1){ 0 }, 90, round);
			guest_reap(&guest, 1);
			host_expect(guest.host, 90, round);
			guest_destroy(&guest);
		}
		close(fd);
	}
	int fd = make_tap("t2", IFF_TUN | IFF_NO_PI, false);
	char options[32];

	snprintf(options, sizeof(options), "fd=%d", fd);
	assert_int_equal(open_with(options, &device), -EINVAL);
	close(fd);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(carries_frames),
		cmocka_unit_test(drops_what_the_tap_refuses),
		cmocka_unit_test(ignores_fields_without_needs_csum),
		cmocka_unit_test(passes_segments_on),
		cmocka_unit_test(cuts_segments_up),
		cmocka_unit_test(spreads_over_pairs),
		cmocka_unit_test(survives_the_deletion_of_its_tap),
		cmocka_unit_test(notices_a_deletion_by_sending),
		cmocka_unit_test(configures_new_interfaces_only),
		cmocka_unit_test(says_why_it_can_not_open),
		cmocka_unit_test(gives_back_what_it_has_when_one_file_fails),
		cmocka_unit_test(waits_for_a_tap_that_is_let_go),
		cmocka_unit_test(takes_open_taps),
	};

	if (geteuid() || unshare(CLONE_NEWNET) || access("/dev/net/tun", R_OK | W_OK)) {
		printf("1..0 # SKIP needs root and /dev/net/tun\n");
		return 77;
	}
	return driver_run_on_both_rings(tests, NULL, NULL);
}
