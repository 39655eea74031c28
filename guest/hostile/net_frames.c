// SPDX-License-Identifier: MIT
/*
 * H55, H56: frames, receive buffers and control commands that no driver makes (virtio 1.2, 5.1.6).
 * A frame that can't be sent is dropped, and its buffer comes back; a command is an error. Params:
 * ms=N, how long a host sends to a guest that has no buffers.
 */
#include "kit/hostile.h"
#include "kit/memory.h"
#include "kit/tap.h"
#include "kit/text.h"

#include <linux/if_ether.h>

#define HEADER_BYTES 12
#define FRAME_BYTES  200
#define FRAMES	     32 /* of two descriptors each, in a ring of 64 */
#define LARGE	     (256 * 1024)
#define PARTS_MAX    1024
#define POISON	     0xa5
#define NO_ANSWER    0x77
#define MS	     UINT64_C(1000000)
#define FLOOD	     160 /* frames */

struct frame {
	struct virtio_net_hdr_mrg_rxbuf header;
	uint8_t data[FRAME_BYTES];
};

static struct victim *victim;
static uint8_t *buffer; /* LARGE */
static struct vring_desc *table;
static struct frame frames[FRAMES];
static unsigned frame_count;
static struct used used;

/* All of `count` heads come back empty. */
static bool all_come_back(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (!victim_take(victim, &used)) {
			note("%s: %u of %u came back, status %x", victim->name, i, count,
			     virtio_status(victim->device));
			victim_recovers(victim);
			return false;
		}
		if (used.written) {
			note("%s: %u bytes were written", victim->name, used.written);
			return false;
		}
	}
	return !virtio_needs_reset(victim->device);
}

static bool drops(const struct part *parts, unsigned count)
{
	virtqueue_add(victim->queue, parts, count);
	victim_send(victim);
	return all_come_back(1);
}

static void say(const char *line, bool good, const char *what)
{
	ok(victim_serves(victim) && good, "%s %s: %s", line, victim->name, what);
}

/* ---- H55: transmit ---- */

static void tx_lengths(void)
{
	static const uint32_t lengths[] = {
		1, 11, 12, 13, 25, 26, 65536 + 12, 65565, 65566, LARGE
	};
	struct part nothing_to_read = { buffer, 64, true };
	bool good = drops(&nothing_to_read, 1);

	memset(buffer, 0, HEADER_BYTES);
	for (unsigned i = 0; i < ARRAY_COUNT(lengths); i++)
		good = good && drops(&(struct part){ buffer, lengths[i], false }, 1);
	say("H55", good, "frames of 0, 1, 11 to 13, 25, 26 bytes, 64 KiB and more, 256 KiB");
}

static void tx_parts(void)
{
	static const unsigned counts[] = { 17, 18, 19, PARTS_MAX - 1, PARTS_MAX };
	static struct part parts[PARTS_MAX];
	bool good = true;

	for (unsigned whole_header = 0; whole_header < 2; whole_header++) {
		for (unsigned i = 0; i < ARRAY_COUNT(counts); i++) {
			for (unsigned part = 0; part < counts[i]; part++)
				parts[part] = (struct part){ buffer + part, 1, false };
			if (whole_header)
				parts[0].bytes = HEADER_BYTES;
			virtqueue_add_indirect(victim->queue, table, parts, counts[i]);
			victim_send(victim);
			good = good && all_come_back(1);
		}
	}
	say("H55", good, "frames of 17 to 1024 parts of one byte");
}

static bool frames_end(void)
{
	unsigned count = frame_count;

	frame_count = 0;
	victim_send(victim);
	return all_come_back(count);
}

/* An IP frame by its type, and else empty, sent with others. */
static bool frame_with(struct virtio_net_hdr header)
{
	struct frame *frame = &frames[frame_count++];
	struct part parts[2] = { { &frame->header, HEADER_BYTES, false },
				 { frame->data, FRAME_BYTES, false } };

	frame->header.hdr = header;
	frame->header.num_buffers = 0xffff;
	memset(frame->data, 255, ETH_ALEN);
	frame->data[6] = 2;
	frame->data[12] = 8;
	virtqueue_add(victim->queue, parts, 2);
	return frame_count < FRAMES || frames_end();
}

static void tx_headers(void)
{
	static const uint8_t gso[] = { 0, 1, 3, 4, 5, 0x81, 0xff };
	static const uint16_t sizes[] = { 0, 1, 0xffff };
	static const uint16_t checksums[][2] = {
		{ 0, 0 }, { 0xffff, 0xffff }, { 0, 0xffff }, { FRAME_BYTES, 0 },
		{ FRAME_BYTES - 1, 1 },
	};
	bool good = true;

	for (unsigned type = 0; type < 0x100; type += param_is_set("full") ? 1 : 3)
		good = good && frame_with((struct virtio_net_hdr){
				       .gso_type = (uint8_t)type, .flags = (uint8_t)(type * 7) });
	say("H55", frames_end() && good, "segmentation of any type, any flags");
	for (unsigned i = 0; i < ARRAY_COUNT(gso); i++)
		for (unsigned j = 0; j < ARRAY_COUNT(sizes); j++)
			for (unsigned k = 0; k < ARRAY_COUNT(checksums); k++)
				good = good &&
				       frame_with((struct virtio_net_hdr){
					       .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					       .gso_type = gso[i],
					       .gso_size = sizes[j],
					       .hdr_len = sizes[(i + k) % 3],
					       .csum_start = checksums[k][0],
					       .csum_offset = checksums[k][1] });
	say("H55", frames_end() && good,
	    "gso_size and hdr_len 0, 1, 0xffff, checksums past the end");
}

/* ---- H55: receive ---- */

static void rx_buffers(const char *mode)
{
	struct part readable = { buffer, 2048, false };
	struct part empty[2] = { { buffer, 0, true }, { buffer, 0, true } };
	struct part tiny[3] = { { buffer, 1, true }, { buffer, 4, true }, { buffer, 6, true } };
	uint16_t head;
	bool good;

	head = virtqueue_add(victim->queue, &readable, 1);
	victim_send(victim);
	ok(victim_ended(victim, head), "H55 %s: a buffer to read from%s", victim->name, mode);
	head = virtqueue_add(victim->queue, empty, 2);
	victim_send(victim);
	ok(victim_ended(victim, head), "H55 %s: a buffer of no bytes%s", victim->name, mode);
	for (unsigned i = 0; i < FRAMES; i++)
		virtqueue_add(victim->queue, tiny, 1 + i % 2);
	victim_send(victim);
	good = all_come_back(FRAMES);
	virtqueue_add(victim->queue, tiny, 3);
	victim_send(victim);
	good = all_come_back(1) && good;
	ok(victim_serves(victim) && good, "H55 %s: buffers of 1, 5, 11 bytes%s", victim->name,
	   mode);
}

/* The smallest that may be merged: frames come in many of them, or not at all. */
static void rx_pieces(void)
{
	bool good = true;

	for (unsigned bytes = HEADER_BYTES; bytes < HEADER_BYTES + 3; bytes++) {
		struct part part = { buffer, bytes, true };

		for (unsigned i = 0; i < 2 * FRAMES - 1; i++)
			virtqueue_add(victim->queue, &part, 1);
		victim_send(victim);
		hostile_wait(5 * MS);
		good = good && !virtio_needs_reset(victim->device);
		victim->is_well = false;
		good = victim_recovers(victim) && good;
	}
	say("H55", good, "frames into buffers of 12 to 14 bytes");
}

/* What the guest asks all the time is answered all the time, and there is no room for it. */
static void rx_starved(void)
{
	static struct frame request = {
		.data = { 255, 255, 255, 255, 255, 255, 2, 21, 21, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4,
			  0, 1, 2, 21, 21, 0, 0, 1, 192, 0, 2, 2, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1 },
	};
	struct virtqueue *queue = subject_queue(victim->device);
	uint64_t end = arch_now_ns() + param_number("ms", 300) * MS;
	struct part part = { &request, HEADER_BYTES + ETH_ZLEN, false };
	unsigned sent = 0;

	while (arch_now_ns() < end || sent < FLOOD) {
		while (virtqueue_poll(queue, &used))
			sent++;
		while (virtqueue_add(queue, &part, 1) != VIRTQUEUE_FULL)
			;
		virtqueue_notify(queue);
		hostile_wait(MS);
	}
	ok(victim_recovers(victim), "H55 %s: answers to %u frames, and no buffer for any",
	   victim->name, sent);
}

static void receive(void)
{
	victim_start(victim, 0);
	rx_buffers("");
	rx_pieces();
	rx_starved();
	victim_start(victim, BIT64(VIRTIO_NET_F_MRG_RXBUF));
	rx_buffers(", without MRG_RXBUF");
}

/* ---- H56: control ---- */

/* The acknowledgement, or POISON: there was none. */
static uint8_t run_parts(struct part *parts, unsigned count, bool acknowledged)
{
	static uint8_t ack;
	struct virtqueue *queue = net_control_queue(victim->device);
	uint16_t head;

	ack = POISON;
	if (acknowledged)
		parts[count++] = (struct part){ &ack, 1, true };
	head = virtqueue_add(queue, parts, count);
	virtqueue_notify(queue);
	if (!virtqueue_wait(queue, &used, REQUEST_NS)) {
		note("%s: no answer, status %x", victim->name, virtio_status(victim->device));
		return NO_ANSWER;
	}
	if (used.head == head && used.written == (acknowledged ? 1 : 0) &&
	    !virtio_needs_reset(victim->device))
		return ack;
	note("%s: head %u came for %u, with %u bytes and %x", victim->name, used.head, head,
	     used.written, ack);
	return NO_ANSWER;
}

static uint8_t run(uint8_t class, uint8_t command, const void *data, uint32_t bytes)
{
	static struct virtio_net_ctrl_hdr header;
	struct part parts[3] = { { &header, sizeof(header), false },
				 { (void *)data, bytes, false } };

	header = (struct virtio_net_ctrl_hdr){ class, command };
	return run_parts(parts, bytes ? 2 : 1, true);
}

static bool is_error(uint8_t class, uint8_t command, const void *data, uint32_t bytes)
{
	return run(class, command, data, bytes) == VIRTIO_NET_ERR;
}

static void control_shapes(void)
{
	static uint8_t bytes[64] = { VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1 };
	struct part parts[4] = { { bytes, 3, false } };
	bool good = run_parts(parts, 1, false) == POISON;

	parts[1] = (struct part){ bytes + 32, 1, false };
	good = good && run_parts(parts, 2, false) == POISON;
	say("H56", good, "no acknowledgement, and one to be read");
	good = run_parts(parts, 0, true) == VIRTIO_NET_ERR;
	parts[0] = (struct part){ bytes, 1, false };
	good = good && run_parts(parts, 1, true) == VIRTIO_NET_ERR;
	say("H56", good, "no command, and half of one");
}

static void control_commands(void)
{
	static const uint8_t one = 1;
	bool good = is_error(0xff, 0xff, NULL, 0) && is_error(0xff, 0xff, buffer, LARGE) &&
		    is_error(VIRTIO_NET_CTRL_RX, 0xff, &one, 1);

	/* VLAN, ANNOUNCE, GUEST_OFFLOADS and what comes later are not offered. */
	for (uint8_t class = 2; class < 0x20; class++)
		if (class != VIRTIO_NET_CTRL_MQ)
			good = good && is_error(class, 0, &one, 1);
	good = good && is_error(VIRTIO_NET_CTRL_RX, 0, buffer, 0) &&
	       is_error(VIRTIO_NET_CTRL_RX, 0, buffer, 2);
	*buffer = 0xff;
	good = good && is_error(VIRTIO_NET_CTRL_RX, 0, buffer, 1);
	say("H56", good, "classes, commands and values that are none");
}

static bool table_is_error(uint32_t unicast, uint32_t bytes)
{
	memcpy(buffer, &unicast, sizeof(unicast));
	return is_error(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, buffer, bytes);
}

static void control_tables(void)
{
	static const uint32_t counts[] = {
		0xffffffff, 0x80000000, 0x2aaaaaab /* six times which is 2 more than 2^32 */, 2
	};
	const uint32_t many = (65536 - 8) / ETH_ALEN;
	bool good = true;

	memset(buffer, 0, LARGE);
	for (unsigned i = 0; i < ARRAY_COUNT(counts); i++)
		good = good && table_is_error(counts[i], 8) && table_is_error(counts[i], 14);
	say("H56", good, "tables of 2^32-1, 2^31, 2^32/6+1 addresses, of which one is there");
	good = table_is_error(0, 4) && table_is_error(0, 3) && table_is_error(0, 9) &&
	       table_is_error(1, 4 + 5 + 4) && table_is_error(0, LARGE);
	memset(buffer + 4, 255, 4);
	good = good && table_is_error(0, 8);
	say("H56", good, "tables of odd lengths, and a second one that lies");
	memset(buffer, 0, LARGE);
	memcpy(buffer, &many, sizeof(many));
	say("H56",
	    run(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, buffer, 8 + many * ETH_ALEN) ==
		    VIRTIO_NET_OK,
	    "a table of 10921 addresses is taken, and all of them pass");
}

static bool pairs_are_error(uint16_t pairs, uint32_t bytes)
{
	memcpy(buffer, &pairs, sizeof(pairs));
	return is_error(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, buffer, bytes);
}

static void control_queues(void)
{
	const uint8_t rss = VIRTIO_NET_CTRL_MQ_RSS_CONFIG, hash = VIRTIO_NET_CTRL_MQ_HASH_CONFIG;

	memset(buffer, 0, LARGE);
	say("H56",
	    pairs_are_error(0, 2) && pairs_are_error(0xffff, 2) && pairs_are_error(0x8000, 2) &&
		    pairs_are_error(3, 2) && pairs_are_error(1, 1) && pairs_are_error(1, 3) &&
		    pairs_are_error(1, LARGE),
	    "0, 3, 32768, 65535 pairs, and commands of 1, 3 bytes, 256 KiB");
	memset(buffer, 255, 64); /* the length of the key, wherever it is taken to be */
	say("H56",
	    is_error(VIRTIO_NET_CTRL_MQ, rss, buffer, 65536) &&
		    is_error(VIRTIO_NET_CTRL_MQ, rss, buffer, 44) &&
		    is_error(VIRTIO_NET_CTRL_MQ, hash, buffer, 44) &&
		    is_error(VIRTIO_NET_CTRL_MQ, 0xff, buffer, 2),
	    "RSS of 64 KiB, with a key of 255 bytes");
}

static void test(struct victim *next)
{
	victim = next;
	if (victim->device->type != VIRTIO_ID_NET)
		return;
	if (victim->receives) {
		receive();
		return;
	}
	/* What was sent for the device's other victim is still in this queue. */
	victim->is_well = false;
	victim_start(victim, 0);
	tx_lengths();
	tx_parts();
	tx_headers();
	control_shapes();
	control_commands();
	control_tables();
	control_queues();
}

void guest_main(void)
{
	buffer = memory_get_raw(LARGE, 4096);
	table = memory_get_raw(PARTS_MAX * sizeof(*table), 16);
	hostile_run(test);
}
