// SPDX-License-Identifier: MIT
/*
 * Frames through the network device: both ways, all sizes, buffers of every
 * shape, a full or an empty other side. The wire is a socket pair.
 */
#include "tests/unit/file_updates.h"
#include "tests/unit/net_rig.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"

#define BIG (65535 + ETH_HLEN)

static uint8_t sent[256 * KIB], got[256 * KIB];

static void wire_expect(struct rig *rig, unsigned pair, size_t bytes, unsigned seed)
{
	struct virtio_net_hdr_v1 header = { 0 };
	size_t got_bytes;

	frame_make(sent, bytes, seed);
	assert_true(wire_receive(rig, pair, &header, got, &got_bytes, RIG_TIMEOUT_MS));
	assert_int_equal(header.flags, 0);
	assert_int_equal(got_bytes, bytes);
	assert_memory_equal(got, sent, bytes);
}

static void transmit_one(struct rig *rig, size_t bytes, unsigned parts)
{
	frame_make(sent, bytes, (unsigned)bytes);
	tx_post(rig, 0, sent, bytes, parts);
	tx_reap(rig, 0, 1);
	wire_expect(rig, 0, bytes, (unsigned)bytes);
}

static void sends_frames_of_all_sizes(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		struct rig_config config = { .bare = i & 1, .calls = i & 2 };
		struct rig *rig = rig_begin(&config);

		transmit_one(rig, ETH_HLEN, 1);
		transmit_one(rig, 60, 1);
		transmit_one(rig, 60, 60);
		transmit_one(rig, 1514, 3);
		transmit_one(rig, BIG, 17);
		transmit_one(rig, BIG + 4, 255);
		rig_destroy(rig);
	}
	(void)state;
}

static void receives_frames_of_all_sizes(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		struct rig_config config = { .bare = i & 1, .calls = i & 2 };
		struct rig *rig = rig_begin(&config);

		rx_post(rig, 0, 100, 1526);
		for (unsigned frame = 0; frame < 40; frame++)
			rx_expect(rig, 0, 60 + frame, frame);
		rx_expect(rig, 0, 1514, 1);
		rx_expect(rig, 0, 1515, 2);
		rx_expect(rig, 0, BIG, 3);
		rx_expect(rig, 0, ETH_HLEN, 4);
		rig_destroy(rig);
	}
	(void)state;
}


/* ---- From the guest ---- */

/* One frame in an indirect chain of the parts given; it goes back with length 0. */
static void transmit_parts(struct rig *rig, const struct driver_part *parts, unsigned count)
{
	assert_int_equal(driver_request(rig_tx(rig, 0), parts, count), 0);
}

static struct driver_part header_part(struct rig *rig, struct virtio_net_hdr_v1 header)
{
	return driver_out(rig->driver, &header, sizeof(header));
}

static void takes_any_framing(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ 0 });
	struct driver_part parts[80];
	uint8_t whole[12 + 60] = { 0 };

	frame_make(whole + 12, 60, 7);
	parts[0] = driver_out(rig->driver, whole, sizeof(whole));
	transmit_parts(rig, parts, 1);
	wire_expect(rig, 0, 60, 7);
	for (unsigned i = 0; i < sizeof(whole); i++)
		parts[i] = driver_out(rig->driver, whole + i, 1);
	transmit_parts(rig, parts, sizeof(whole));
	wire_expect(rig, 0, 60, 7);
	parts[0] = driver_out(rig->driver, whole, 13);
	parts[1] = driver_out(rig->driver, whole + 13, sizeof(whole) - 13);
	parts[2] = driver_in(rig->driver, 16); /* writable, and none of our business */
	transmit_parts(rig, parts, 3);
	wire_expect(rig, 0, 60, 7);
	rig_destroy(rig);
	(void)state;
}

/* With its header before it, such a frame would be one part more than readv(2) takes. */
static void drops_a_frame_of_too_many_parts(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ 0 });
	struct driver_part parts[NET_IOVS];
	uint8_t bytes[12 + 1] = { 0 };

	parts[0] = driver_out(rig->driver, bytes, sizeof(bytes));
	for (unsigned i = 1; i < NET_IOVS; i++)
		parts[i] = driver_out(rig->driver, bytes, 1);
	transmit_parts(rig, parts, NET_IOVS);
	transmit_one(rig, 60, 3); /* the next one is none the worse for it */
	rig_destroy(rig);
	(void)state;
}

/* C99's unknown flags, and what a tap would refuse without need. */
static void cleans_the_header(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ 0 });
	struct virtio_net_hdr_v1 header = { .flags = 0xff, .num_buffers = htole16(77) };
	struct driver_part parts[2];
	size_t bytes;

	frame_make(sent, 100, 1);
	parts[1] = driver_out(rig->driver, sent, 100);
	header.hdr_len = htole16(0xffff);
	header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	header.gso_size = htole16(50);
	header.csum_start = htole16(34);
	header.csum_offset = htole16(16);
	parts[0] = header_part(rig, header);
	transmit_parts(rig, parts, 2);
	assert_true(wire_receive(rig, 0, &header, got, &bytes, RIG_TIMEOUT_MS));
	assert_int_equal(header.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(header.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(le16toh(header.gso_size), 50);
	assert_int_equal(le16toh(header.hdr_len), 0);
	assert_int_equal(le16toh(header.csum_start), 34);
	assert_int_equal(le16toh(header.csum_offset), 16);
	assert_int_equal(header.num_buffers, 0);
	assert_int_equal(bytes, 100);
	rig_destroy(rig);
	(void)state;
}

/* H55: each goes back with length 0, and the next good frame gets through. */
static void drops_what_is_no_frame(void **state)
{
	static const uint32_t sizes[] = { 1, 11, 12, 13, 25, 12 + BIG + 5, 256 * KIB };
	struct rig *rig = rig_begin(&(struct rig_config){ 0 });
	struct driver_queue *queue = rig_tx(rig, 0);
	struct driver_part writable = driver_in(rig->driver, 64);

	memset(sent, 0, sizeof(sent));
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct driver_part part = driver_out(rig->driver, sent, sizes[i]);

		assert_int_equal(driver_request(queue, &part, 1), 0);
		transmit_one(rig, 60 + i, 1);
	}
	assert_int_equal(driver_request(queue, &writable, 1), 0);
	transmit_one(rig, 60, 1);
	assert_false(wire_receive(rig, 0, &(struct virtio_net_hdr_v1){ 0 }, got, &(size_t){ 0 },
				  0));
	rig_destroy(rig);
	(void)state;
}

static void post_numbered(struct rig *rig, unsigned first, unsigned count, unsigned parts)
{
	for (unsigned i = first; i < first + count; i++) {
		frame_make(sent, 60 + i, i);
		tx_post(rig, 0, sent, 60 + i, parts);
	}
}

/* More parts than fit into one batch, and a bad frame among good ones. */
static void keeps_the_order(void **state)
{
	for (unsigned calls = 0; calls < 2; calls++) {
		struct rig_config config = { .calls = calls };
		struct rig *rig = rig_begin(&config);
		struct driver_part bad = driver_out(rig->driver, sent, 5);

		post_numbered(rig, 0, 100, 30);
		assert_true(driver_add(rig_tx(rig, 0), &bad, 1) >= 0);
		post_numbered(rig, 100, 100, 1);
		tx_reap(rig, 0, 201);
		for (unsigned i = 0; i < 200; i++)
			wire_expect(rig, 0, 60 + i, i);
		rig_destroy(rig);
	}
	(void)state;
}

/* Frames of 1 KiB without a reader: the socket fills up, the queue waits, nothing is lost. */
static void waits_for_room(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ 0 });
	const unsigned count = 250;
	uint16_t head;
	uint32_t bytes;

	/*
	 * Sockets know RWF_NOWAIT since Linux 6.4, taps since 5.11: without, the ring parks the
	 * writes of a batch, which go out in any order when there is room again.
	 */
	if (!rig_wire_nowait(rig)) {
		rig_destroy(rig);
		skip();
	}
	for (unsigned i = 0; i < count; i++) {
		frame_make(sent, 4000 + i, i);
		tx_post(rig, 0, sent, 4000 + i, 1);
	}
	rig_nap_ms(RIG_QUIET_MS);
	assert_true(rig_quiet_cpu_us(rig) < RIG_QUIET_MS * 1000 / 10); /* waits, does not spin */
	for (unsigned i = 0; i < count; i++)
		wire_expect(rig, 0, 4000 + i, i);
	tx_reap(rig, 0, count);
	assert_false(driver_take(rig_tx(rig, 0), &head, &bytes));
	rig_destroy(rig);
	(void)state;
}

/* A pause in the middle of it: what was not sent is sent after it. */
static void pauses_while_it_waits_for_room(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ 0 });
	const unsigned count = 250;

	for (unsigned i = 0; i < count; i++) {
		frame_make(sent, 4000 + i, i);
		tx_post(rig, 0, sent, 4000 + i, 1);
	}
	rig_nap_ms(RIG_QUIET_MS / 2);
	assert_int_equal(virtio_device_pause(rig->driver->device, RIG_TIMEOUT_MS), 0);
	wire_expect(rig, 0, 4000, 0);
	virtio_device_resume(rig->driver->device);
	for (unsigned i = 1; i < count; i++)
		wire_expect(rig, 0, 4000 + i, i);
	tx_reap(rig, 0, count);
	rig_destroy(rig);
	(void)state;
}

static void resets_while_it_waits_for_room(void **state)
{
	for (unsigned calls = 0; calls < 2; calls++) {
		struct rig_config config = { .calls = calls };
		struct rig *rig = rig_begin(&config);

		for (unsigned i = 0; i < 250; i++) {
			frame_make(sent, 4000, i);
			tx_post(rig, 0, sent, 4000, 1);
		}
		rig_nap_ms(RIG_QUIET_MS / 2);
		driver_reset(rig->driver);
		while (wire_receive(rig, 0, &(struct virtio_net_hdr_v1){ 0 }, got, &(size_t){ 0 },
				    0))
			;
		driver_begin(rig->driver);
		transmit_one(rig, 60, 1);
		rig_destroy(rig);
	}
	(void)state;
}

/* ---- To the guest ---- */

/* C101: rx_take() looks at fullness and that all buffers come at once. */
static void merges_small_buffers(void **state)
{
	static const uint32_t rooms[] = { 12, 13, 26, 60, 300 };

	for (unsigned i = 0; i < ARRAY_SIZE(rooms); i++) {
		struct rig_config config = { .bare = i & 1 };
		struct rig *rig = rig_begin(&config);
		uint32_t bytes = rooms[i] * 100;

		rx_post(rig, 0, 256, rooms[i]);
		rx_expect(rig, 0, bytes, 1); /* by a wrong guess of its size */
		rx_expect(rig, 0, bytes, 2); /* by a right one */
		rx_post(rig, 0, 150, rooms[i]);
		rx_expect(rig, 0, 60, 3);
		rx_expect(rig, 0, bytes, 4);
		rig_destroy(rig);
	}
	(void)state;
}

static void send_made(struct rig *rig, size_t bytes, unsigned seed)
{
	frame_make(sent, bytes, seed);
	wire_send(rig, 0, NULL, sent, bytes);
}

static void take_made(struct rig *rig, size_t bytes, unsigned seed)
{
	struct virtio_net_hdr_v1 header;
	size_t got_bytes;

	assert_true(rx_take(rig, 0, &header, got, &got_bytes, RIG_TIMEOUT_MS));
	frame_make(sent, bytes, seed);
	assert_int_equal(got_bytes, bytes);
	assert_memory_equal(got, sent, bytes);
}

/* Frames of very different sizes in one batch. */
static void merges_in_a_batch(void **state)
{
	static const size_t sizes[] = { 60, 9000, 61, 1514, 30000, 14, 5000, 62, 2000, 1515, 60 };

	for (unsigned calls = 0; calls < 2; calls++) {
		struct rig_config config = { .calls = calls };
		struct rig *rig = rig_begin(&config);

		/* The second round begins with a guess of 30000. */
		for (unsigned round = 0; round < 2; round++) {
			if (round)
				rx_post(rig, 0, 39, 1536);
			for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
				send_made(rig, sizes[i], i);
			if (!round)
				rx_post(rig, 0, 39, 1536); /* what they need, and none more */
			for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
				take_made(rig, sizes[i], i);
		}
		rig_destroy(rig);
	}
	(void)state;
}

/* C100: num_buffers is 1, and what does not fit is dropped whole. */
static void does_not_merge_unasked(void **state)
{
	struct rig_config config = { .refused = BIT64(VIRTIO_NET_F_MRG_RXBUF) };
	struct rig *rig = rig_begin(&config);
	struct virtio_net_hdr_v1 header;
	size_t bytes;

	rx_post(rig, 0, 8, 1526);
	send_made(rig, 1515, 1);
	send_made(rig, 60000, 2);
	send_made(rig, 1514, 3);
	assert_true(rx_take(rig, 0, &header, got, &bytes, RIG_TIMEOUT_MS));
	assert_int_equal(le16toh(header.num_buffers), 1);
	assert_int_equal(bytes, 1514);
	for (unsigned i = 0; i < 7; i++)
		rx_expect(rig, 0, 60, i);
	rig_destroy(rig);
	(void)state;
}

/* A chain of many parts, as drivers without merging post for large frames. */
static void receives_into_long_chains(void **state)
{
	struct rig_config config = { .refused = BIT64(VIRTIO_NET_F_MRG_RXBUF) };
	struct rig *rig = rig_begin(&config);
	struct driver_part parts[200];
	uint32_t bytes;
	uint16_t head;

	for (unsigned chain = 0; chain < 20; chain++) {
		for (unsigned i = 0; i < ARRAY_SIZE(parts); i++)
			parts[i] = driver_in(rig->driver, i ? 64 : 5);
		assert_true(driver_add(rig_rx(rig, 0), parts, ARRAY_SIZE(parts)) >= 0);
	}
	driver_publish(rig_rx(rig, 0));
	driver_kick(rig_rx(rig, 0));
	for (unsigned i = 0; i < 20; i++)
		send_made(rig, 10000 + i, i);
	for (unsigned i = 0; i < 20; i++) {
		assert_true(driver_wait(rig_rx(rig, 0), &head, &bytes, RIG_TIMEOUT_MS));
		assert_int_equal(bytes, 12 + 10000 + i);
	}
	rig_destroy(rig);
	(void)state;
}

/* H55: readable only, a byte, less than a header: back with 0, and no harm done. */
static void returns_useless_buffers(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ 0 });
	struct driver_part readable = driver_out(rig->driver, "x", 1);
	uint32_t bytes;
	uint16_t head;

	send_made(rig, 60000, 1);
	for (unsigned i = 0; i < 200; i++) {
		struct driver_part part = driver_in(rig->driver, 1 + i % 11);

		assert_true(driver_add(rig_rx(rig, 0), i % 12 ? &part : &readable, 1) >= 0);
	}
	driver_publish(rig_rx(rig, 0));
	driver_kick(rig_rx(rig, 0));
	for (unsigned i = 0; i < 200; i++) {
		assert_true(driver_wait(rig_rx(rig, 0), &head, &bytes, RIG_TIMEOUT_MS));
		assert_int_equal(bytes, 0);
	}
	assert_true(rig_quiet_cpu_us(rig) < RIG_QUIET_MS * 1000 / 10);
	rx_post(rig, 0, 50, 1536);
	take_made(rig, 60000, 1);
	rx_expect(rig, 0, 60, 2);
	rig_destroy(rig);
	(void)state;
}

/* Frames wait in the link while the guest has no buffers; nobody spins. */
static void recovers_from_no_buffers(void **state)
{
	for (unsigned calls = 0; calls < 2; calls++) {
		struct rig_config config = { .calls = calls };
		struct rig *rig = rig_begin(&config);

		for (unsigned round = 0; round < 3; round++) {
			for (unsigned i = 0; i < 60; i++)
				send_made(rig, 60 + i, i);
			rig_nap_ms(RIG_QUIET_MS / 4);
			assert_true(rig_quiet_cpu_us(rig) < RIG_QUIET_MS * 1000 / 10);
			for (unsigned i = 0; i < 60; i++) {
				rx_post(rig, 0, 1, 1536);
				take_made(rig, 60 + i, i);
			}
		}
		rig_destroy(rig);
	}
	(void)state;
}

/* A frame that needs more buffers than there are is dropped; they serve the next. */
static void drops_what_has_no_room(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ .queue_size = 4 });

	rx_post(rig, 0, 4, 1536);
	send_made(rig, 60000, 1);
	send_made(rig, 5 * 1536, 2);
	rx_expect(rig, 0, 4 * 1536 - 12, 3);
	rx_post(rig, 0, 4, 1536);
	for (unsigned i = 0; i < 4; i++)
		rx_expect(rig, 0, 60, i);
	rig_destroy(rig);
	(void)state;
}

/* One that lacks buffers waits for them, and is dropped only when none come for a while. */
/*
 * The device waits 100 ms: where this thread was kept from the CPU for about as long, what was held
 * may be gone, and another round is tried.
 */
static void holds_a_frame_for_buffers(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ 0 });
	uint64_t begun_us;
	unsigned held = 0;

	for (unsigned seed = 0; held < 20 && seed < 1000; seed++) {
		begun_us = rig_now_us();
		rx_post(rig, 0, 2, 1536);
		send_made(rig, 9000, seed);
		send_made(rig, 60, seed);
		for (unsigned i = 0; i < 5; i++) {
			if (i == 2)
				rig_nap_ms(2);
			rx_post(rig, 0, 1, 1536);
		}
		if (rig_now_us() - begun_us > 50000) {
			rig_destroy(rig);
			rig = rig_begin(&(struct rig_config){ 0 });
			continue;
		}
		take_made(rig, 9000, seed);
		take_made(rig, 60, seed);
		held++;
	}
	assert_int_equal(held, 20);
	rx_post(rig, 0, 3, 1536);
	begun_us = rig_now_us();
	send_made(rig, 9000, 1);
	send_made(rig, 70, 2);
	rig_nap_ms(1);
	assert_true(!driver_has_used(rig_rx(rig, 0)) || rig_now_us() - begun_us > 50000);
	take_made(rig, 70, 2);
	/* A reset or a pause does not wait for it. */
	send_made(rig, 9000, 1);
	rig_nap_ms(2);
	assert_int_equal(virtio_device_pause(rig->driver->device, RIG_TIMEOUT_MS), 0);
	virtio_device_resume(rig->driver->device);
	rx_expect(rig, 0, 60, 1);
	send_made(rig, 9000, 1);
	rig_nap_ms(2);
	rig_destroy(rig);
	(void)state;
}

/* Whether the next frame is this one, within a second. */
static bool comes(struct rig *rig, size_t bytes, unsigned seed)
{
	struct virtio_net_hdr_v1 header;
	size_t got_bytes;

	frame_make(sent, bytes, seed);
	return rx_take(rig, 0, &header, got, &got_bytes, 1000) && got_bytes == bytes &&
	       !memcmp(got, sent, bytes);
}

/*
 * All frames are there before the first of the ring's buffers is, which all but the last of them
 * fill: whether that waits for what the guest posts then.
 */
static bool holds_the_last(uint16_t queue_size, uint32_t room, size_t bytes)
{
	struct rig *rig = rig_begin(&(struct rig_config){ .queue_size = queue_size });
	unsigned frames = (unsigned)(queue_size * room / bytes) + 1;
	bool held = true;

	for (unsigned i = 0; i < frames; i++)
		send_made(rig, bytes, i);
	rx_post(rig, 0, queue_size, room);
	for (unsigned i = 0; i + 1 < frames && held; i++)
		held = comes(rig, bytes, i);
	rig_nap_ms(1);
	if (held)
		rx_post(rig, 0, queue_size / 2, room);
	held = held && comes(rig, bytes, frames - 1);
	rig_destroy(rig);
	return held;
}

/*
 * What a batch has given to the guest is no longer in hand: it comes back, and the frame behind
 * waits for it. With the largest queue there is also room needed to remember what came back. Where
 * the worker was kept from the CPU for 100 ms the frame is gone, and another round is tried.
 */
static void holds_a_frame_for_what_its_batch_used(void **state)
{
	static const struct {
		uint16_t queue_size;
		uint32_t room;
		size_t bytes;
	} shapes[] = {
		{ 4, 1536, 4500 }, { NET_QUEUE_SIZE, 112, 180 * 112 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(shapes); i++) {
		unsigned held = 0;

		for (unsigned round = 0; round < 20 && held < 5; round++)
			held += holds_the_last(shapes[i].queue_size, shapes[i].room,
					       shapes[i].bytes);
		assert_int_equal(held, 5);
	}
	(void)state;
}

static void drops_short_frames(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ 0 });

	rx_post(rig, 0, 4, 1536);
	send_made(rig, 1, 1);
	send_made(rig, 13, 1);
	rx_expect(rig, 0, 14, 1);
	rig_destroy(rig);
	(void)state;
}

/* Posted buffers are the guest's again while paused, and serve after it. */
static void pauses_and_resumes(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ 0 });
	uint32_t bytes;
	uint16_t head;

	rig->paused = true;
	rx_post(rig, 0, 64, 1536);
	for (unsigned round = 0; round < 20; round++) {
		rx_expect(rig, 0, 60, round);
		assert_int_equal(virtio_device_pause(rig->driver->device, RIG_TIMEOUT_MS), 0);
		send_made(rig, 100, round);
		send_made(rig, 4000, round);
		/* Empty where a frame came between two reads of a batch, so into a later buffer. */
		while (driver_take(rig_rx(rig, 0), &head, &bytes)) {
			assert_int_equal(bytes, 0);
			rx_post(rig, 0, 1, 1536);
		}
		virtio_device_resume(rig->driver->device);
		take_made(rig, 100, round);
		take_made(rig, 4000, round);
		rx_post(rig, 0, 5, 1536);
	}
	rig_destroy(rig);
	(void)state;
}

struct parked_task {
	struct worker_task task;
	struct net_pair *pair;
	bool parked;
};

static void parked_run(struct worker_task *task)
{
	struct parked_task *parked = container_of(task, struct parked_task, task);

	parked->parked = parked->pair->receive.parked;
}

/* Whether a read waits in the link, or soon does. */
static bool becomes_parked(struct rig *rig)
{
	struct parked_task parked = { { parked_run }, &rig->net->pairs[0], false };

	for (unsigned i = 0; i < RIG_TIMEOUT_MS && !parked.parked; i++) {
		worker_call(parked.pair->worker, &parked.task);
		if (!parked.parked)
			rig_nap_ms(1);
	}
	return parked.parked;
}

/* Frames that come one by one are waited for by the read itself, which is let go of at any time. */
static void reads_lone_frames_as_they_come(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ 0 });
	uint64_t mark = driver_mark(rig->driver);

	(void)state;
	if (!rig_wire_nowait(rig)) {
		rig_destroy(rig);
		skip();
	}
	for (unsigned round = 0; round < 5; round++) {
		rx_post(rig, 0, 128, 1536);
		for (unsigned i = 0; i < 40; i++) {
			rx_expect(rig, 0, i % 8 ? 60 : 4000, i);
			assert_true(becomes_parked(rig));
		}
		/* Larger ones than the read has buffers for are completed from the tail. */
		for (unsigned i = 0; i < 20; i++)
			send_made(rig, i % 3 ? 60 : 5000, i);
		for (unsigned i = 0; i < 20; i++)
			take_made(rig, i % 3 ? 60 : 5000, i);
		rx_expect(rig, 0, 60, round);
		assert_true(becomes_parked(rig));
		driver_reset(rig->driver);
		send_made(rig, 100, round); /* which nobody reads into the old buffers */
		driver_rewind(rig->driver, mark);
		driver_begin(rig->driver);
		rx_post(rig, 0, 8, 1536);
		take_made(rig, 100, round);
		driver_reset(rig->driver);
		driver_rewind(rig->driver, mark);
		driver_begin(rig->driver);
	}
	rig_destroy(rig);
}

static unsigned open_files(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void serves_again_after_resets(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ 0 });
	unsigned before = open_files();

	for (unsigned i = 0; i < 100; i++) {
		uint64_t mark = driver_mark(rig->driver);

		rx_post(rig, 0, 20, 1536);
		rx_expect(rig, 0, 60, i);
		transmit_one(rig, 60, 1);
		send_made(rig, 9000, 1); /* under way, or not, when the reset comes */
		driver_reset(rig->driver);
		while (recv(rig->net->link ? rig->wires[0] : -1, got, sizeof(got), 0) > 0)
			;
		driver_rewind(rig->driver, mark);
		driver_begin(rig->driver);
		/* What was not taken before the reset is for the driver after it. */
		rx_post(rig, 0, 20, 1536);
		send_made(rig, 77, 1);
		for (size_t bytes = 0; bytes != 77;) {
			struct virtio_net_hdr_v1 header;

			assert_true(rx_take(rig, 0, &header, got, &bytes, RIG_TIMEOUT_MS));
		}
		driver_reset(rig->driver);
		driver_rewind(rig->driver, mark);
		driver_begin(rig->driver);
	}
	assert_int_equal(open_files(), before);
	rig_destroy(rig);
	(void)state;
}

static void resets_leave_the_file_table_alone(void **state)
{
	struct rig *rig = rig_create(&(struct rig_config){ .pairs = 2 });
	uint64_t mark = driver_mark(rig->driver);
	const uint8_t off = 0;
	unsigned before = 0;

	(void)state;
	for (unsigned i = 0; i <= file_updates_rounds(); i++) {
		driver_rewind(rig->driver, mark);
		driver_begin(rig->driver);
		rx_post(rig, 0, 2, 1536);
		rx_expect(rig, 0, 60, i); /* and what waits for the next frame is cut short */
		transmit_one(rig, 60, 1);
		/* The last queue to begin. */
		assert_int_equal(control(rig, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC,
					 &off, sizeof(off)), VIRTIO_NET_OK);
		if (!i)
			before = file_updates();
		driver_reset(rig->driver);
	}
	assert_int_equal(file_updates(), before);
	rig_destroy(rig);
}

struct flood {
	int wire;
	_Atomic bool stop;
	uint64_t sent;
};

/* Frames of changing sizes as fast as they go, numbered in their payload. */
static void *flood_main(void *argument)
{
	struct flood *flood = argument;
	static uint8_t frame[12 + 9000];

	while (!flood->stop) {
		size_t bytes = 12 + 60 + flood->sent * 7919 % (flood->sent % 16 ? 1400 : 8900);

		frame_make(frame + 12, bytes - 12, 1);
		memcpy(frame + 12 + ETH_HLEN, &flood->sent, sizeof(flood->sent));
		if (send(flood->wire, frame, bytes, MSG_NOSIGNAL) > 0)
			flood->sent++;
		else
			rig_nap_ms(1);
	}
	return NULL;
}

/*
 * Pauses, resets, and frames of its own under a flood that outruns its buffers.
 * Frames may be dropped, but none overtakes another.
 */
static void stands_a_flood(void **state)
{
	for (unsigned calls = 0; calls < 2; calls++) {
		struct rig_config config = { .calls = calls };
		struct rig *rig = rig_begin(&config);
		struct flood flood = { .wire = rig->wires[0] };
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, flood_main, &flood), 0);
		for (unsigned round = 0; round < 20; round++) {
			uint64_t mark = driver_mark(rig->driver), last = 0;

			for (unsigned i = 0; i < 8; i++) {
				struct virtio_net_hdr_v1 header;
				size_t bytes;

				rx_post(rig, 0, 30, 1536);
				for (unsigned frame = 0; frame < 4; frame++) {
					uint64_t number;

					assert_true(rx_take(rig, 0, &header, got, &bytes,
							    RIG_TIMEOUT_MS));
					memcpy(&number, got + ETH_HLEN, sizeof(number));
					assert_true(!last || number > last);
					last = number;
				}
				frame_make(sent, 60, 1);
				tx_post(rig, 0, sent, 60, 1);
				tx_reap(rig, 0, 1);
				wire_expect(rig, 0, 60, 1);
				if (i % 3)
					continue;
				assert_int_equal(virtio_device_pause(rig->driver->device,
								     RIG_TIMEOUT_MS), 0);
				virtio_device_resume(rig->driver->device);
				rig->paused = true;
			}
			rig->paused = false;
			driver_reset(rig->driver);
			driver_rewind(rig->driver, mark);
			driver_begin(rig->driver);
		}
		flood.stop = true;
		pthread_join(thread, NULL);
		rig_destroy(rig);
	}
	(void)state;
}

/* ---- What the driver did not negotiate ---- */

static const struct virtio_net_hdr_v1 unfinished = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM };
static const struct virtio_net_hdr_v1 verified = { .flags = VIRTIO_NET_HDR_F_DATA_VALID };

static void send_with(struct rig *rig, const struct virtio_net_hdr_v1 *header, size_t bytes)
{
	frame_make(sent, bytes, 1);
	wire_send(rig, 0, header, sent, bytes);
}

/* Takes a frame of `bytes`, which must be the next, and returns its header. */
static struct virtio_net_hdr_v1 take_with(struct rig *rig, size_t bytes)
{
	struct virtio_net_hdr_v1 header;
	size_t got_bytes;

	assert_true(rx_take(rig, 0, &header, got, &got_bytes, RIG_TIMEOUT_MS));
	assert_int_equal(got_bytes, bytes);
	return header;
}

/* C102 */
static void keeps_checksums_from_who_refused_them(void **state)
{
	struct rig_config config = {
		.refused = BIT64(VIRTIO_NET_F_GUEST_CSUM) | BIT64(VIRTIO_NET_F_GUEST_TSO4) |
			   BIT64(VIRTIO_NET_F_GUEST_TSO6) | BIT64(VIRTIO_NET_F_GUEST_ECN) |
			   BIT64(VIRTIO_NET_F_GUEST_USO4) | BIT64(VIRTIO_NET_F_GUEST_USO6),
	};
	struct rig *rig = rig_begin(&config);

	assert_int_equal(rig->offloads, 0);
	rx_post(rig, 0, 8, 1536);
	send_with(rig, &unfinished, 100);
	send_with(rig, &verified, 101);
	assert_int_equal(take_with(rig, 101).flags, 0);
	rig_destroy(rig);
	(void)state;
}

static void keeps_segments_from_who_refused_them(void **state)
{
	static const struct {
		uint8_t type;
		unsigned feature;
		unsigned also; /* which can't be without */
	} kinds[] = {
		{ VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO4 },
		{ VIRTIO_NET_HDR_GSO_TCPV6, VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_TSO6 },
		{ VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN, VIRTIO_NET_F_GUEST_ECN,
		  VIRTIO_NET_F_GUEST_ECN },
		{ VIRTIO_NET_HDR_GSO_UDP_L4, VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_USO6 },
	};

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(kinds); i++) {
		unsigned kind = i / 2;
		bool refuse = i % 2;
		struct rig_config config = {
			.refused = refuse ? BIT64(kinds[kind].feature) | BIT64(kinds[kind].also) : 0,
		};
		struct virtio_net_hdr_v1 header = {
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.gso_type = kinds[kind].type,
			.gso_size = htole16(1448),
		};
		struct rig *rig = rig_begin(&config);

		assert_int_equal(rig->offloads == ALL_OFFLOADS, !refuse);
		rx_post(rig, 0, 64, 1536);
		send_with(rig, &header, 9000);
		send_with(rig, NULL, 100);
		if (!refuse)
			assert_int_equal(take_with(rig, 9000).gso_type, kinds[kind].type);
		assert_int_equal(take_with(rig, 100).gso_type, VIRTIO_NET_HDR_GSO_NONE);
		rig_destroy(rig);
	}
	(void)state;
}

static void holds_to_the_mtu(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ .mtu = 1000 });

	assert_int_equal(virtio_config_read(rig->driver->device,
					    offsetof(struct virtio_net_config, mtu), 2), 1000);
	rx_post(rig, 0, 8, 1536);
	send_with(rig, NULL, 1015);
	send_with(rig, NULL, 1014);
	take_with(rig, 1014);
	rig_destroy(rig);
	(void)state;
}

/* ---- A link that goes away ---- */

static void survives_the_loss_of_its_link(void **state)
{
	for (unsigned calls = 0; calls < 2; calls++) {
		struct rig_config config = { .calls = calls };
		struct rig *rig = rig_begin(&config);
		struct virtio_device *device = rig->driver->device;
		const size_t offset = offsetof(struct virtio_net_config, status);
		uint32_t generation = virtio_config_generation(device);

		rx_post(rig, 0, 16, 1536);
		rx_expect(rig, 0, 60, 1);
		assert_int_equal(virtio_config_read(device, offset, 2), VIRTIO_NET_S_LINK_UP);
		event_fd_drain(device->config_fd);
		fd_close(&rig->wires[0]);
		for (unsigned i = 0; i < RIG_TIMEOUT_MS && !event_fd_pending(device->config_fd); i++)
			rig_nap_ms(1);
		assert_true(event_fd_pending(device->config_fd));
		assert_int_equal(virtio_config_read(device, offset, 2), 0);
		assert_int_not_equal(virtio_config_generation(device), generation);
		assert_true(rig_quiet_cpu_us(rig) < RIG_QUIET_MS * 1000 / 10);
		frame_make(sent, 60, 1);
		for (unsigned i = 0; i < 200; i++)
			tx_post(rig, 0, sent, 60, 1);
		tx_reap(rig, 0, 200);
		assert_int_equal(control(rig, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, "\1",
					 1), VIRTIO_NET_OK);
		driver_reset(rig->driver);
		driver_begin(rig->driver);
		rig_destroy(rig);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sends_frames_of_all_sizes),
		cmocka_unit_test(takes_any_framing),
		cmocka_unit_test(drops_a_frame_of_too_many_parts),
		cmocka_unit_test(cleans_the_header),
		cmocka_unit_test(drops_what_is_no_frame),
		cmocka_unit_test(keeps_the_order),
		cmocka_unit_test(waits_for_room),
		cmocka_unit_test(pauses_while_it_waits_for_room),
		cmocka_unit_test(resets_while_it_waits_for_room),
		cmocka_unit_test(receives_frames_of_all_sizes),
		cmocka_unit_test(merges_small_buffers),
		cmocka_unit_test(merges_in_a_batch),
		cmocka_unit_test(does_not_merge_unasked),
		cmocka_unit_test(receives_into_long_chains),
		cmocka_unit_test(returns_useless_buffers),
		cmocka_unit_test(recovers_from_no_buffers),
		cmocka_unit_test(drops_what_has_no_room),
		cmocka_unit_test(holds_a_frame_for_buffers),
		cmocka_unit_test(holds_a_frame_for_what_its_batch_used),
		cmocka_unit_test(drops_short_frames),
		cmocka_unit_test(pauses_and_resumes),
		cmocka_unit_test(reads_lone_frames_as_they_come),
		cmocka_unit_test(serves_again_after_resets),
		cmocka_unit_test(resets_leave_the_file_table_alone),
		cmocka_unit_test(stands_a_flood),
		cmocka_unit_test(keeps_checksums_from_who_refused_them),
		cmocka_unit_test(keeps_segments_from_who_refused_them),
		cmocka_unit_test(holds_to_the_mtu),
		cmocka_unit_test(survives_the_loss_of_its_link),
	};

	return driver_run_on_both_rings(tests, NULL, NULL);
}
