// SPDX-License-Identifier: MIT
/*
 * The network device apart from its frames: options, features, configuration
 * space, the control queue with its filter and its queue pairs.
 */
#include "tests/unit/net_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "tests/unit/message.h"
#include "virtio/net.h"

#define CONFIG(rig, field)                                                                         \
	virtio_config_read((rig)->driver->device, offsetof(struct virtio_net_config, field),       \
			   sizeof(((struct virtio_net_config *)0)->field))

static uint8_t buffer[64 * KIB];

/* ---- Options ---- */

static int create_with(const char *text)
{
	char *options = calloc(1, virtio_net.options_size);
	struct worker worker = { 0 }, *workers[] = { &worker };
	struct guest_memory memory = { 0 };
	struct virtio_deps deps = { .name = "net0", .memory = &memory, .workers = workers,
				    .worker_count = 1 };
	struct virtio_device *device = NULL;
	int error = options_parse("--network", text, virtio_net.keys, options);

	assert_non_null(options);
	if (!error)
		error = virtio_net.create(options, &deps, &device);
	if (device)
		virtio_net.destroy(device);
	options_free(virtio_net.keys, options);
	free(options);
	return error;
}

static void refuses_wrong_options(void **state)
{
	static const char *const wrong[] = {
		"mode=bridge", "mq=0", "mq=9", "mtu=67", "mtu=65536", "guest_mac=01:00:00:00:00:00",
		"guest_mac=2", "none,tapif=tap0", "none,fd=3", "none,host_ip=10.0.0.1",
		"fd=3,mq=2", "fd=3,tapif=tap0", "fd=3,host_ip=10.0.0.1",
		"tapif=abcdefghijklmnop", "fd=99", "fd=0", "none,vhost=on", "mq=2,vhost=on",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		int error = create_with(wrong[i]);

		assert_true(error < 0);
		assert_false(fail_is_host(error));
	}
	assert_int_equal(create_with("none"), 0);
	assert_int_equal(create_with("mode=none,mq=8,mtu=9000,guest_mac=02:00:00:00:00:01"), 0);
	(void)state;
}

/* What no interface can be named, and what one can. */
static void refuses_names_that_can_not_be(void **state)
{
	static const char *const wrong[] = {
		"a/b", "a b", ".", "..", "eth0:1", " ", "a\tb", "a\n", "a%", "%s", "t%d%d", "t%dx%",
		"/dev/net/tun", "\xc3\xa0",
	};
	static const char *const right[] = { "a.b", "...", "t%d", "-", "a,,b", "\xc3\xa4" };
	char text[64];

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		snprintf(text, sizeof(text), "tap,tapif=%s", wrong[i]);
		message_begin();
		assert_int_equal(create_with(text), -EINVAL);
		assert_true(message_end(": expected a name such as tap0, without '/', ':', '%' and "
					"spaces\n"));
	}
	/* The name is looked at first: these meet the next refusal, and no tap is made. */
	for (unsigned i = 0; i < ARRAY_SIZE(right); i++) {
		snprintf(text, sizeof(text), "none,tapif=%s", right[i]);
		message_begin();
		assert_int_equal(create_with(text), -EINVAL);
		assert_true(message_end("net0: tapif, fd and host_ip are for mode=tap\n"));
	}
	(void)state;
}

static unsigned workers_for(const char *text, unsigned vcpus)
{
	char *options = calloc(1, virtio_net.options_size);
	unsigned count;

	assert_int_equal(options_parse("--network", text, virtio_net.keys, options), 0);
	count = virtio_net.worker_count(options, vcpus);
	options_free(virtio_net.keys, options);
	free(options);
	return count;
}

static void asks_for_workers(void **state)
{
	assert_int_equal(workers_for("tap", 8), 1);
	assert_int_equal(workers_for("tap,mq=2", 8), 2);
	assert_int_equal(workers_for("tap,mq=8", 8), 4);
	assert_int_equal(workers_for("tap,mq=8", 2), 2);
	assert_int_equal(workers_for("none,mq=8", 8), 0);
	assert_int_equal(workers_for("tap,vhost=on", 8), 0);
	(void)state;
}

/* mode=none: a card that works, without a cable. */
static void lives_without_a_cable(void **state)
{
	struct driver_config config = { .type = &virtio_net, .options = "none,mq=2" };
	struct driver *driver = driver_create(&config);
	struct driver_part parts[] = { driver_in(driver, 1536), driver_out(driver, buffer, 72) };
	const size_t status = offsetof(struct virtio_net_config, status);
	uint8_t mac[ETH_ALEN];

	for (unsigned i = 0; i < 10; i++) {
		uint64_t mark = driver_mark(driver);

		driver_begin(driver);
		assert_int_equal(virtio_config_read(driver->device, status, 2), 0);
		assert_true(driver_add(&driver->queues[0], &parts[0], 1) >= 0);
		driver_publish(&driver->queues[0]);
		driver_kick(&driver->queues[0]);
		assert_int_equal(driver_request(&driver->queues[1], &parts[1], 1), 0);
		driver_reset(driver);
		driver_rewind(driver, mark);
	}
	store_le(mac, virtio_config_read(driver->device, 0, ETH_ALEN), ETH_ALEN);
	assert_int_equal(mac[0], 0x02);
	driver_destroy(driver);

	/* The address is the same each time. */
	driver = driver_create(&config);
	assert_int_equal(virtio_config_read(driver->device, 0, ETH_ALEN), load_le(mac, ETH_ALEN));
	driver_destroy(driver);
	(void)state;
}

/* ---- Features and configuration ---- */

/* C19, C20, C98 */
static void holds_features_together(void **state)
{
	static const struct {
		unsigned feature, needs;
	} rules[] = {
		{ VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_VQ },
		{ VIRTIO_NET_F_CTRL_RX_EXTRA, VIRTIO_NET_F_CTRL_VQ },
		{ VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_VQ },
		{ VIRTIO_NET_F_MQ, VIRTIO_NET_F_CTRL_VQ },
		{ VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_CSUM },
		{ VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_CSUM },
		{ VIRTIO_NET_F_HOST_USO, VIRTIO_NET_F_CSUM },
		{ VIRTIO_NET_F_HOST_ECN, VIRTIO_NET_F_HOST_TSO4 },
		{ VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_CSUM },
		{ VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_CSUM },
		{ VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_CSUM },
		{ VIRTIO_NET_F_GUEST_USO6, VIRTIO_NET_F_GUEST_CSUM },
		{ VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_GUEST_TSO6 },
	};
	struct rig *rig = rig_create(&(struct rig_config){ .pairs = 4, .mtu = 1400 });
	struct driver *driver = rig->driver;
	const uint64_t base = BIT64(VIRTIO_F_VERSION_1);

	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
		uint64_t features = base | BIT64(rules[i].feature);

		if (rules[i].feature == VIRTIO_NET_F_GUEST_ECN)
			features |= BIT64(VIRTIO_NET_F_GUEST_CSUM);
		if (rules[i].feature == VIRTIO_NET_F_HOST_ECN)
			features |= BIT64(VIRTIO_NET_F_CSUM);
		assert_true(driver->device->offered & BIT64(rules[i].feature));
		assert_false(driver_negotiate(driver, features));
		driver_reset(driver);
		assert_true(driver_negotiate(driver, features | BIT64(rules[i].needs)));
		driver_reset(driver);
	}
	assert_false(driver_negotiate(driver, base | BIT64(VIRTIO_NET_F_RSS)));
	driver_reset(driver);
	assert_true(driver_negotiate(driver, base));
	assert_int_equal(CONFIG(rig, max_virtqueue_pairs), 4);
	assert_int_equal(CONFIG(rig, mtu), 1400);
	assert_int_equal(CONFIG(rig, status), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(CONFIG(rig, speed), 10000);
	assert_int_equal(CONFIG(rig, duplex), 1);
	assert_int_equal(CONFIG(rig, mac), load_le(rig_mac, ETH_ALEN));
	rig_destroy(rig);
	(void)state;
}

static void offers_what_the_link_has(void **state)
{
	struct rig *rig = rig_create(&(struct rig_config){ .bare = true });
	uint64_t offered = rig->driver->device->offered;

	for (unsigned i = 0; i <= VIRTIO_NET_F_HOST_UFO; i++)
		assert_int_equal(!!(offered & BIT64(i)), i == VIRTIO_NET_F_MAC);
	assert_false(offered & (BIT64(VIRTIO_NET_F_HOST_USO) | BIT64(VIRTIO_NET_F_GUEST_USO4) |
				BIT64(VIRTIO_NET_F_MQ) | BIT64(VIRTIO_NET_F_RSS) |
				BIT64(VIRTIO_NET_F_CTRL_VLAN) |
				BIT64(VIRTIO_NET_F_GUEST_ANNOUNCE)));
	rig_destroy(rig);
	(void)state;
}

/* The driver's choice reaches the link at DRIVER_OK and is undone by a reset. */
static void tells_the_link_of_offloads(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){
		.refused = BIT64(VIRTIO_NET_F_GUEST_TSO6) | BIT64(VIRTIO_NET_F_GUEST_USO6) });

	assert_int_equal(rig->offloads, LINK_CSUM | LINK_TSO4 | LINK_ECN);
	driver_reset(rig->driver);
	assert_int_equal(rig->offloads, 0);
	rig_destroy(rig);
	(void)state;
}

/* C24: nothing but VERSION_1, so no control queue, no merging, no event index. */
static void works_with_no_feature(void **state)
{
	struct rig_config config = { .refused = ~BIT64(VIRTIO_F_VERSION_1) };
	struct rig *rig = rig_begin(&config);
	struct driver_part parts[2] = { driver_out(rig->driver, "\0\0\1", 3),
					driver_in(rig->driver, 1) };
	uint32_t bytes;
	uint16_t head;

	rx_post(rig, 0, 10, 1526);
	for (unsigned i = 0; i < 10; i++)
		rx_expect(rig, 0, 1514, i);
	frame_make(buffer, 100, 1);
	tx_post(rig, 0, buffer, 100, 1);
	tx_reap(rig, 0, 1);
	/* A queue that was not negotiated is not there, nor served. */
	driver_reset(rig->driver);
	driver_begin_early(rig->driver);
	driver_expect_absent(rig->driver, 2);
	assert_true(driver_add(&rig->driver->queues[2], parts, 2) >= 0);
	driver_publish(&rig->driver->queues[2]);
	driver_kick_always(&rig->driver->queues[2]);
	assert_false(driver_wait(&rig->driver->queues[2], &head, &bytes, RIG_QUIET_MS));
	rig_destroy(rig);
	(void)state;
}

/* ---- Commands ---- */

static uint8_t set_mode(struct rig *rig, uint8_t mode, bool on)
{
	return control(rig, VIRTIO_NET_CTRL_RX, mode, &on, 1);
}

static uint8_t set_pairs(struct rig *rig, uint16_t pairs)
{
	pairs = htole16(pairs);
	return control(rig, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, 2);
}

/* C104, C107 */
static void refuses_unknown_commands(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ .pairs = 2 });

	for (unsigned class = 0; class < 256; class += class < 8 ? 1 : 31)
		for (unsigned command = class == 0 ? 6 : class == 1 ? 2 : 0; command < 256;
		     command += command < 8 ? 1 : 27)
			assert_int_equal(control(rig, class, command, buffer, 4),
					 VIRTIO_NET_ERR);
	assert_int_equal(control(rig, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG, buffer,
				 sizeof(buffer)), VIRTIO_NET_ERR);
	assert_int_equal(set_mode(rig, VIRTIO_NET_CTRL_RX_PROMISC, true), VIRTIO_NET_OK);
	assert_int_equal(set_mode(rig, VIRTIO_NET_CTRL_RX_ALLMULTI, true), VIRTIO_NET_OK);
	rig_destroy(rig);
	(void)state;
}

/* H56 */
static void survives_malformed_commands(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ .pairs = 2 });
	struct driver *driver = rig->driver;
	struct driver_queue *queue = rig_control(rig);
	struct driver_part parts[] = { driver_out(driver, "\0\0\1", 3), driver_in(driver, 1) };
	struct driver_part ack_readable = driver_out(driver, "\0\0\1\xff", 4);
	const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5, 6 };
	/* Six times that is 2 in 32 bits. */
	const uint8_t second_huge[] = { 1, 0, 0, 0, 2, 1, 1, 1, 1, 1, 0xab, 0xaa, 0xaa, 0x2a, 0, 0 };
	const uint8_t table = VIRTIO_NET_CTRL_MAC_TABLE_SET;

	assert_int_equal(driver_request(queue, &ack_readable, 1), 0); /* no place for an ack */
	assert_int_equal(driver_request(queue, &parts[0], 1), 0);
	assert_int_equal(driver_request(queue, &parts[1], 1), 1); /* an ack and no command */
	assert_int_equal(*(uint8_t *)driver_at(driver, parts[1].gpa), VIRTIO_NET_ERR);
	parts[0].bytes = 1; /* half a header */
	assert_int_equal(driver_request(queue, parts, 2), 1);
	assert_int_equal(*(uint8_t *)driver_at(driver, parts[1].gpa), VIRTIO_NET_ERR);

	for (unsigned bytes = 1; bytes <= sizeof(huge); bytes++)
		assert_int_equal(control(rig, VIRTIO_NET_CTRL_MAC, table, huge, bytes),
				 VIRTIO_NET_ERR);
	for (unsigned bytes = 1; bytes <= sizeof(second_huge); bytes++)
		assert_int_equal(control(rig, VIRTIO_NET_CTRL_MAC, table, second_huge, bytes),
				 VIRTIO_NET_ERR);
	assert_int_equal(control(rig, VIRTIO_NET_CTRL_MAC, table, buffer, 9), VIRTIO_NET_ERR);
	assert_int_equal(control(rig, VIRTIO_NET_CTRL_RX, 0, "\1\1", 2), VIRTIO_NET_ERR);
	assert_int_equal(control(rig, VIRTIO_NET_CTRL_RX, 0, "\2", 1), VIRTIO_NET_ERR);
	assert_int_equal(control(rig, VIRTIO_NET_CTRL_RX, 0, NULL, 0), VIRTIO_NET_ERR);
	assert_int_equal(control(rig, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, buffer, 5),
			 VIRTIO_NET_ERR);
	assert_int_equal(control(rig, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, buffer, 7),
			 VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(rig, 0), VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(rig, 3), VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(rig, 0xffff), VIRTIO_NET_ERR);
	assert_int_equal(control(rig, VIRTIO_NET_CTRL_MQ, 0, "\1", 1), VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(rig, 2), VIRTIO_NET_OK);
	rig_destroy(rig);
	(void)state;
}

static void refuses_commands_not_negotiated(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){
		.refused = BIT64(VIRTIO_NET_F_CTRL_RX) | BIT64(VIRTIO_NET_F_CTRL_RX_EXTRA) |
			   BIT64(VIRTIO_NET_F_CTRL_MAC_ADDR) });

	for (unsigned mode = 0; mode < 6; mode++)
		assert_int_equal(set_mode(rig, mode, true), VIRTIO_NET_ERR);
	assert_int_equal(control(rig, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, buffer,
				 8), VIRTIO_NET_ERR);
	assert_int_equal(control(rig, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET,
				 "\2\0\0\0\0\1", 6), VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(rig, 1), VIRTIO_NET_ERR);
	rig_destroy(rig);
	(void)state;
}

/* C105 */
static void changes_its_address(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ 0 });
	const uint8_t mac[] = { 2, 9, 8, 7, 6, 5 };

	assert_int_equal(control(rig, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET,
				 "\1\0\0\0\0\1", 6), VIRTIO_NET_ERR);
	assert_int_equal(CONFIG(rig, mac), load_le(rig_mac, ETH_ALEN));
	assert_int_equal(control(rig, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6),
			 VIRTIO_NET_OK);
	assert_int_equal(CONFIG(rig, mac), load_le(mac, ETH_ALEN));
	driver_reset(rig->driver);
	assert_int_equal(CONFIG(rig, mac), load_le(rig_mac, ETH_ALEN));
	rig_destroy(rig);
	(void)state;
}

/* ---- The filter ---- */

/* Whether a frame to `destination` comes through; a frame to the guest's own address follows. */
static bool lets_in(struct rig *rig, const char *destination)
{
	struct virtio_net_hdr_v1 header;
	uint8_t frame[64], got[2048];
	size_t bytes;
	bool passed;

	frame_make(frame, 60, 1);
	memcpy(frame, destination, ETH_ALEN);
	wire_send(rig, 0, NULL, frame, 60);
	memcpy(frame, "\2\2\2\2\2\2", ETH_ALEN); /* in the table, or all are let in */
	wire_send(rig, 0, NULL, frame, 61);
	rx_post(rig, 0, 2, 128);
	assert_true(rx_take(rig, 0, &header, got, &bytes, RIG_TIMEOUT_MS));
	passed = bytes == 60;
	if (passed)
		assert_true(rx_take(rig, 0, &header, got, &bytes, RIG_TIMEOUT_MS));
	assert_int_equal(bytes, 61);
	return passed;
}

#define OWN "\x02\x11\x22\x33\x44\x55"
#define OTHER "\x02\x11\x22\x33\x44\x56"
#define BROADCAST "\xff\xff\xff\xff\xff\xff"
#define GROUP "\x33\x33\0\0\0\1"
#define OTHER_GROUP "\x33\x33\0\0\0\2"

static void filters(void **state)
{
	const uint8_t table[] = "\1\0\0\0" "\2\2\2\2\2\2" "\1\0\0\0" GROUP;
	struct rig *rig = rig_begin(&(struct rig_config){ 0 });

	/* Until told otherwise, all. */
	assert_true(lets_in(rig, OTHER));
	assert_true(lets_in(rig, OTHER_GROUP));
	assert_int_equal(control(rig, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table,
				 sizeof(table) - 1), VIRTIO_NET_OK);
	assert_true(lets_in(rig, OTHER));
	assert_int_equal(set_mode(rig, VIRTIO_NET_CTRL_RX_PROMISC, false), VIRTIO_NET_OK);
	assert_true(lets_in(rig, OWN));
	assert_true(lets_in(rig, BROADCAST));
	assert_true(lets_in(rig, GROUP));
	assert_false(lets_in(rig, OTHER));
	assert_false(lets_in(rig, OTHER_GROUP));
	set_mode(rig, VIRTIO_NET_CTRL_RX_ALLMULTI, true);
	assert_true(lets_in(rig, OTHER_GROUP));
	assert_false(lets_in(rig, OTHER));
	set_mode(rig, VIRTIO_NET_CTRL_RX_NOMULTI, true);
	assert_false(lets_in(rig, GROUP));
	set_mode(rig, VIRTIO_NET_CTRL_RX_NOBCAST, true);
	assert_false(lets_in(rig, BROADCAST));
	set_mode(rig, VIRTIO_NET_CTRL_RX_NOBCAST, false);
	assert_true(lets_in(rig, BROADCAST));
	set_mode(rig, VIRTIO_NET_CTRL_RX_ALLUNI, true);
	assert_true(lets_in(rig, OTHER));
	set_mode(rig, VIRTIO_NET_CTRL_RX_PROMISC, true);
	set_mode(rig, VIRTIO_NET_CTRL_RX_NOUNI, true);
	assert_true(lets_in(rig, OWN)); /* promiscuous wins */
	driver_reset(rig->driver);
	driver_begin(rig->driver);
	assert_true(lets_in(rig, OTHER_GROUP));
	rig_destroy(rig);
	(void)state;
}

static void filters_as_a_function(void **state)
{
	struct net_filter filter;

	net_filter_init(&filter, rig_mac);
	assert_true(net_filter_passes(&filter, (const uint8_t *)OTHER));
	filter.modes = 0;
	assert_false(net_filter_passes(&filter, (const uint8_t *)OTHER));
	filter.unicast.overflow = true;
	assert_true(net_filter_passes(&filter, (const uint8_t *)OTHER));
	assert_false(net_filter_passes(&filter, (const uint8_t *)GROUP));
	filter.multicast.overflow = true;
	assert_true(net_filter_passes(&filter, (const uint8_t *)GROUP));
	filter.modes = BIT64(VIRTIO_NET_CTRL_RX_NOUNI);
	assert_false(net_filter_passes(&filter, (const uint8_t *)OWN));
	(void)state;
}

/* Tables that are empty, and larger than ours. */
static void takes_tables_of_all_sizes(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ 0 });
	uint8_t table[8 + 200 * ETH_ALEN] = { 0 };

	set_mode(rig, VIRTIO_NET_CTRL_RX_PROMISC, false);
	assert_int_equal(control(rig, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table,
				 8), VIRTIO_NET_OK);
	store_le32(table, 200);
	assert_int_equal(control(rig, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table,
				 sizeof(table)), VIRTIO_NET_OK);
	assert_true(lets_in(rig, OTHER)); /* more than we hold: all */
	assert_false(lets_in(rig, GROUP));
	store_le32(table, 65);
	store_le32(table + 4 + 65 * ETH_ALEN, 135);
	assert_int_equal(control(rig, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table,
				 sizeof(table)), VIRTIO_NET_OK);
	assert_true(lets_in(rig, OTHER)); /* by one */
	memset(table, 0, sizeof(table));
	store_le32(table, 64);
	store_le32(table + 4 + 64 * ETH_ALEN, 136);
	memcpy(table + 4 + 63 * ETH_ALEN, "\2\2\2\2\2\2", ETH_ALEN);
	assert_int_equal(control(rig, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table,
				 sizeof(table)), VIRTIO_NET_OK);
	assert_false(lets_in(rig, OTHER));
	assert_true(lets_in(rig, GROUP));
	rig_destroy(rig);
	(void)state;
}

/* ---- Queue pairs ---- */

static void send_to_pair(struct rig *rig, unsigned pair)
{
	frame_make(buffer, 60, pair);
	wire_send(rig, pair, NULL, buffer, 60);
}

/* C106 */
static void uses_as_many_pairs_as_asked(void **state)
{
	for (unsigned workers = 1; workers <= 4; workers += 3) {
		struct rig *rig = rig_begin(&(struct rig_config){ .pairs = 4,
								  .workers = workers });
		uint32_t bytes;
		uint16_t head;

		for (unsigned pair = 0; pair < 4; pair++)
			rx_post(rig, pair, 20, 128);
		assert_false(rig->active[1] || rig->active[2] || rig->active[3]);
		send_to_pair(rig, 3); /* comes in as soon as the pair is used */
		assert_false(driver_wait(rig_rx(rig, 3), &head, &bytes, RIG_QUIET_MS));
		rx_expect(rig, 0, 60, 1);

		assert_int_equal(set_pairs(rig, 4), VIRTIO_NET_OK);
		for (unsigned pair = 1; pair < 4; pair++)
			assert_true(rig->active[pair]);
		assert_true(driver_wait(rig_rx(rig, 3), &head, &bytes, RIG_TIMEOUT_MS));
		for (unsigned pair = 0; pair < 4; pair++) {
			rx_expect(rig, pair, 60, pair);
			frame_make(buffer, 70, pair);
			tx_post(rig, pair, buffer, 70, 1);
			tx_reap(rig, pair, 1);
			assert_true(wire_receive(rig, pair, &(struct virtio_net_hdr_v1){ 0 },
						 buffer, &(size_t){ 0 }, RIG_TIMEOUT_MS));
		}
		assert_int_equal(set_pairs(rig, 2), VIRTIO_NET_OK);
		assert_false(rig->active[2] || rig->active[3]);
		send_to_pair(rig, 3);
		assert_false(driver_wait(rig_rx(rig, 3), &head, &bytes, RIG_QUIET_MS));
		rx_expect(rig, 1, 60, 1);
		/* A frame sent on a pair that is not in use goes nowhere, and its buffer back. */
		tx_post(rig, 3, buffer, 70, 1);
		tx_reap(rig, 3, 1);
		assert_false(wire_receive(rig, 3, &(struct virtio_net_hdr_v1){ 0 }, buffer,
					  &(size_t){ 0 }, RIG_QUIET_MS));
		driver_reset(rig->driver);
		assert_false(rig->active[1]);
		rig_destroy(rig);
	}
	(void)state;
}

/* 5.1.2: the control queue of a driver that knows one pair is queue 2. */
static void finds_its_control_queue(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){
		.pairs = 4, .workers = 2, .refused = BIT64(VIRTIO_NET_F_MQ) });

	assert_ptr_equal(rig_control(rig), &rig->driver->queues[2]);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(set_mode(rig, VIRTIO_NET_CTRL_RX_PROMISC, i % 2), VIRTIO_NET_OK);
	assert_int_equal(set_pairs(rig, 2), VIRTIO_NET_ERR);
	rx_post(rig, 0, 10, 128);
	rx_expect(rig, 0, 60, 1);
	rig_destroy(rig);
	(void)state;
}

/* 5.1.2: nor are there other pairs for it. */
static void has_no_pair_that_was_not_asked_for(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){
		.pairs = 4, .workers = 2, .refused = BIT64(VIRTIO_NET_F_MQ) });
	size_t bytes;

	driver_reset(rig->driver);
	driver_begin_early(rig->driver);
	for (unsigned i = 3; i < rig->driver->device->queue_count; i++)
		driver_expect_absent(rig->driver, i);
	frame_make(buffer, 70, 1);
	for (unsigned pair = 1; pair < 4; pair++) {
		tx_post(rig, pair, buffer, 70, 1);
		driver_kick_always(rig_tx(rig, pair));
		assert_false(wire_receive(rig, pair, &(struct virtio_net_hdr_v1){ 0 }, buffer,
					  &bytes, RIG_QUIET_MS));
		assert_false(driver_has_used(rig_tx(rig, pair)));
	}
	assert_int_equal(set_mode(rig, VIRTIO_NET_CTRL_RX_PROMISC, 1), VIRTIO_NET_OK);
	rx_post(rig, 0, 10, 128);
	rx_expect(rig, 0, 60, 1);
	rig_destroy(rig);
	(void)state;
}

/* Commands under way, on several workers, while the device is reset. */
static void resets_amid_commands(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ .pairs = 4, .workers = 4 });

	for (unsigned i = 0; i < 200; i++) {
		uint64_t mark = driver_mark(rig->driver);
		struct driver_part parts[] = {
			driver_out(rig->driver, "\4\0\4", 4), driver_in(rig->driver, 1),
		};

		for (unsigned pair = 0; pair < 4; pair++)
			rx_post(rig, pair, 4, 128);
		for (unsigned command = 0; command < 4; command++)
			assert_true(driver_add(rig_control(rig), parts, 2) >= 0);
		driver_publish(rig_control(rig));
		driver_kick(rig_control(rig));
		driver_reset(rig->driver);
		assert_false(rig->active[1] || rig->active[2] || rig->active[3]);
		driver_rewind(rig->driver, mark);
		driver_begin(rig->driver);
	}
	rig_destroy(rig);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_wrong_options),
		cmocka_unit_test(refuses_names_that_can_not_be),
		cmocka_unit_test(asks_for_workers),
		cmocka_unit_test(lives_without_a_cable),
		cmocka_unit_test(holds_features_together),
		cmocka_unit_test(offers_what_the_link_has),
		cmocka_unit_test(tells_the_link_of_offloads),
		cmocka_unit_test(works_with_no_feature),
		cmocka_unit_test(refuses_unknown_commands),
		cmocka_unit_test(survives_malformed_commands),
		cmocka_unit_test(refuses_commands_not_negotiated),
		cmocka_unit_test(changes_its_address),
		cmocka_unit_test(filters),
		cmocka_unit_test(filters_as_a_function),
		cmocka_unit_test(takes_tables_of_all_sizes),
		cmocka_unit_test(uses_as_many_pairs_as_asked),
		cmocka_unit_test(finds_its_control_queue),
		cmocka_unit_test(has_no_pair_that_was_not_asked_for),
		cmocka_unit_test(resets_amid_commands),
	};

	return driver_run_on_both_rings(tests, NULL, NULL);
}
