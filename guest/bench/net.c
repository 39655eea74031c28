// SPDX-License-Identifier: MIT
/*
 * A network card on a tap. Operations: tx, `depth` frames of `bytes` in flight, as segments to be
 * cut by the host where they are larger than an Ethernet frame; rx, as many frames as come;
 * rxburst, the same, but all buffers are given at once, after all have been filled. Frames are of
 * an experimental type or for nobody's address: no host answers. A received frame of bench's sender
 * (tests/bench/sender.c) holds behind the Ethernet header the sender's clock: its latency is one
 * way.
 */
#include "bench/bench.h"
#include "bench/user.h"
#include "kit/memory.h"
#include "kit/text.h"

#include <linux/if_ether.h>
#include <linux/virtio_net.h>

#define RX_QUEUE      0
#define TX_QUEUE      1
#define RX_BYTES      2048
#define HEADER_BYTES  sizeof(struct virtio_net_hdr_mrg_rxbuf)
#define FRAME_MAX     (ETH_HLEN + 1500)
#define BURST_WAIT_NS 5000000
#define SEGMENT	      1448
#define IP_BYTES      20
#define TCP_BYTES     32
#define IP_TOTAL      (ETH_HLEN + 2)
#define IP_CHECKSUM   (ETH_HLEN + 10)
#define TCP_START     (ETH_HLEN + IP_BYTES)
#define TCP_CHECKSUM  16

static uint64_t *tx_starts_ns; /* by head */
static uint8_t *rx_buffers[BENCH_RING_SIZE];
static uint16_t rx_kept[BENCH_RING_SIZE]; /* heads that the device does not have */
static unsigned rx_kept_count;

/* The receive queue is always full: its buffers stay with the device from test to test. */
static void net_start(struct virtio_device *device)
{
	struct virtqueue *queue = &device->queues[RX_QUEUE];

	bench_start(device, BIT64(VIRTIO_RING_F_EVENT_IDX) | BIT64(VIRTIO_NET_F_CSUM) |
				    BIT64(VIRTIO_NET_F_HOST_TSO4) | BIT64(VIRTIO_NET_F_MRG_RXBUF) |
				    BIT64(VIRTIO_NET_F_MAC));
	for (uint16_t head = 0; head < queue->size; head++) {
		rx_buffers[head] = bench_buffer(RX_BYTES);
		virtqueue_write(queue, head,
				(struct vring_desc){ (uint64_t)rx_buffers[head], RX_BYTES,
						     VRING_DESC_F_WRITE, 0 });
		virtqueue_offer(queue, head);
	}
	virtqueue_notify(queue);
}

static void put_be16(uint8_t *to, unsigned value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

/* Broadcast, of a type for experiments. */
static void write_plain(uint8_t *frame)
{
	memset(frame, 0xff, ETH_ALEN);
	frame[ETH_ALEN] = 2;
	put_be16(frame + 2 * ETH_ALEN, 0x88b5);
}

/* The sum that a TCP checksum starts from when the host shall finish it. */
static unsigned pseudo_sum(const uint8_t *ip, unsigned bytes)
{
	unsigned sum = 6 + bytes;

	for (unsigned i = 12; i < IP_BYTES; i += 2)
		sum += (unsigned)ip[i] << 8 | ip[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static unsigned ip_checksum(const uint8_t *ip)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < IP_BYTES; i += 2)
		sum += (unsigned)ip[i] << 8 | ip[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

/* A TCP segment between two addresses for documentation, to a card that is not there. */
static void write_segments(struct virtio_net_hdr_mrg_rxbuf *header, uint8_t *frame, uint32_t bytes)
{
	static const uint8_t ip_start[IP_BYTES] = { 0x45, 0, 0,	  0, 0, 0, 0x40, 0, 64, 6,
						    0,	  0, 192, 0, 2, 9, 192,	 0, 2,	10 };
	uint8_t *ip = frame + ETH_HLEN;
	uint8_t *tcp = frame + TCP_START;

	frame[0] = 2;
	frame[5] = 0xee;
	frame[ETH_ALEN] = 2;
	put_be16(frame + 2 * ETH_ALEN, ETH_P_IP);
	memcpy(ip, ip_start, IP_BYTES);
	put_be16(frame + IP_TOTAL, bytes - ETH_HLEN);
	put_be16(frame + IP_CHECKSUM, ip_checksum(ip));
	put_be16(tcp, 9);
	put_be16(tcp + 2, 9);
	tcp[12] = TCP_BYTES / 4 << 4;
	tcp[13] = 0x10; /* ACK */
	put_be16(tcp + TCP_CHECKSUM, pseudo_sum(ip, bytes - TCP_START));
	header->hdr = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = TCP_START + TCP_BYTES,
		.gso_size = SEGMENT,
		.csum_start = TCP_START,
		.csum_offset = TCP_CHECKSUM,
	};
}

static void prepare_request(struct virtqueue *queue, uint16_t head, uint32_t bytes)
{
	uint32_t room = (uint32_t)HEADER_BYTES + bytes;
	uint8_t *data = bench_buffer(room);

	memset(data, 0, HEADER_BYTES + ETH_HLEN + IP_BYTES + TCP_BYTES);
	if (bytes > FRAME_MAX)
		write_segments((void *)data, data + HEADER_BYTES, bytes);
	else
		write_plain(data + HEADER_BYTES);
	virtqueue_write(queue, head, (struct vring_desc){ (uint64_t)data, room, 0, 0 });
}

static bool is_burst(const struct bench_test *test)
{
	return !strcmp(test->operation, "rxburst");
}

static bool is_rx(const struct bench_test *test)
{
	return !strcmp(test->operation, "rx") || is_burst(test);
}

static struct virtqueue *net_queue(struct virtio_device *device, const struct bench_test *test)
{
	return &device->queues[is_rx(test) ? RX_QUEUE : TX_QUEUE];
}

static bool net_prepare(struct virtio_device *device, const struct bench_test *test)
{
	struct virtqueue *queue = net_queue(device, test);
	uint64_t needed = BIT64(VIRTIO_NET_F_CSUM) | BIT64(VIRTIO_NET_F_HOST_TSO4);

	if (is_rx(test))
		return true;
	if (strcmp(test->operation, "tx") || !test->depth || test->depth > queue->size ||
	    test->bytes < ETH_ZLEN)
		return false;
	if (test->bytes > FRAME_MAX && (device->negotiated & needed) != needed)
		return false;
	tx_starts_ns = memory_get(test->depth * sizeof(*tx_starts_ns), 64);
	for (uint16_t head = 0; head < test->depth; head++)
		prepare_request(queue, head, test->bytes);
	return true;
}

/* One way, if the frame tells when it was sent. */
static uint64_t sent_ns(const uint8_t *frame, uint64_t now_ns)
{
	uint64_t sent = *(const uint64_t *)(frame + ETH_HLEN);

	return sent ? now_ns - user_clock_ns(user_clock() - sent) : now_ns;
}

static bool tx_round(struct bench_run *run, struct virtqueue *queue)
{
	uint64_t now_ns = arch_now_ns();
	struct used used;
	bool any = false;

	while (virtqueue_poll(queue, &used)) {
		bench_done(run, tx_starts_ns[used.head], now_ns, run->test->bytes);
		any = true;
		if (!bench_begin(run, now_ns))
			continue;
		tx_starts_ns[used.head] = now_ns;
		virtqueue_offer(queue, used.head);
	}
	return any;
}

static void tx_run(struct bench_run *run, struct virtqueue *queue)
{
	for (uint16_t head = 0; head < run->test->depth && bench_begin(run, run->begun_ns);
	     head++) {
		tx_starts_ns[head] = run->begun_ns;
		virtqueue_offer(queue, head);
	}
	bench_kick(run, queue);
	while (run->done < run->begun) {
		if (!tx_round(run, queue)) {
			bench_idle(run, queue);
			continue;
		}
		if (queue->next_avail != queue->kicked_avail)
			bench_kick(run, queue);
	}
}

/* Gives the buffers back at once, or keeps them for rx_burst(). */
static bool rx_round(struct bench_run *run, struct virtqueue *queue)
{
	uint64_t now_ns = arch_now_ns();
	struct used used;
	bool any = false;

	while (virtqueue_poll(queue, &used)) {
		const uint8_t *frame = rx_buffers[used.head] + HEADER_BYTES;

		if (bench_begin(run, now_ns))
			bench_done(run, sent_ns(frame, now_ns), now_ns,
				   used.written - HEADER_BYTES);
		if (is_burst(run->test))
			rx_kept[rx_kept_count++] = (uint16_t)used.head;
		else
			virtqueue_offer(queue, used.head);
		any = true;
	}
	return any;
}

/* All buffers at once, when the frames to fill them wait already. */
static void rx_burst(struct bench_run *run, struct virtqueue *queue)
{
	uint64_t begin_ns = arch_now_ns();

	while (rx_kept_count == queue->size && arch_now_ns() - begin_ns < BURST_WAIT_NS)
		__builtin_ia32_pause();
	while (rx_kept_count)
		virtqueue_offer(queue, rx_kept[--rx_kept_count]);
	bench_kick(run, queue);
}

static void rx_run(struct bench_run *run, struct virtqueue *queue)
{
	while (run->requests ? run->done < run->requests
			     : arch_now_ns() - run->begun_ns < run->ns) {
		if (!rx_round(run, queue))
			bench_idle(run, queue);
		else if (!is_burst(run->test))
			bench_kick(run, queue);
		else if (rx_kept_count == queue->size)
			rx_burst(run, queue);
	}
	if (rx_kept_count)
		rx_burst(run, queue);
}

static void net_run(struct virtio_device *device, struct bench_run *run)
{
	struct virtqueue *queue = net_queue(device, run->test);

	virtqueue_interrupt_never(queue);
	if (is_rx(run->test))
		rx_run(run, queue);
	else
		tx_run(run, queue);
}

const struct bench_device bench_net = {
	.name = "net",
	.type = VIRTIO_ID_NET,
	.start = net_start,
	.prepare = net_prepare,
	.run = net_run,
	.queue = net_queue,
};
