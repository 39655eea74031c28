// SPDX-License-Identifier: MIT
/*
 * Frames through the network device: both ways, all sizes, buffers of every
 * shape, a full or an empty other side. The wire is a socket pair.
 */
#include "tests/unit/net_rig.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sends_frames_of_all_sizes),
		cmocka_unit_test(receives_frames_of_all_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
