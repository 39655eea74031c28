// SPDX-License-Identifier: MIT
/*
 * C98-C108: the network device (virtio 1.2, 5.1). With link=1 in params there is a host at
 * 192.0.2.1 on the other end that answers ARP and ping; without, frames go nowhere. Segmentation
 * and checksums of a real stack (C102, C103) are left to guests that have one.
 */
#include "kit/memory.h"
#include "kit/subject.h"
#include "kit/tap.h"
#include "kit/text.h"

#include <linux/if_ether.h>

#define HEADER_BYTES 12
#define BUFFERS	     16
#define BUFFER_BYTES 2048
#define SMALL_BUFFER 256
#define ANSWER_NS    UINT64_C(10000000000)
#define QUIET_NS     UINT64_C(100000000)
#define PINGS	     8
#define ARP_NS	     UINT64_C(1000000000)
#define ARP_TRIES    10
#define ARP_BYTES    42
#define PING_BYTES   42 /* headers of Ethernet, IP and ICMP */
#define HOST_IP	     0xc0000201
#define GUEST_IP     0xc0000202
#define POISON	     0xa5

#define CONFIG(field) offsetof(struct virtio_net_config, field)

static struct virtio_device *device;
static uint8_t mac[ETH_ALEN];
static uint8_t (*buffers)[BUFFER_BYTES];
static uint8_t (*second)[BUFFER_BYTES]; /* of the second pair */
static uint8_t frame[HEADER_BYTES + BUFFER_BYTES];

/* What the device answers, or POISON if it does not. */
static uint8_t control(uint8_t class, uint8_t command, const void *data, uint32_t bytes)
{
	static struct virtio_net_ctrl_hdr header;
	static uint8_t ack;
	struct virtqueue *queue = net_control_queue(device);
	struct part parts[3] = { { &header, sizeof(header), false } };
	unsigned count = 1;
	struct used used;

	header = (struct virtio_net_ctrl_hdr){ class, command };
	ack = POISON;
	if (bytes)
		parts[count++] = (struct part){ (void *)data, bytes, false };
	parts[count++] = (struct part){ &ack, 1, true };
	virtqueue_add(queue, parts, count);
	virtqueue_notify(queue);
	if (!virtqueue_wait(queue, &used, REQUEST_NS))
		note("%s: no answer to control %u.%u", device->name, class, command);
	return ack;
}

static void read_mac(uint8_t *to)
{
	for (unsigned i = 0; i < ETH_ALEN; i++)
		to[i] = virtio_config_read8(device, CONFIG(mac) + i);
}

static void c98_config(void)
{
	if (device->offered & BIT64(VIRTIO_NET_F_MQ)) {
		uint16_t pairs = virtio_config_read16(device, CONFIG(max_virtqueue_pairs));

		ok(pairs >= 1 && pairs <= 0x8000, "C98 %s: max_virtqueue_pairs is %u", device->name,
		   pairs);
	}
	if (device->offered & BIT64(VIRTIO_NET_F_MTU)) {
		uint16_t mtu = virtio_config_read16(device, CONFIG(mtu));

		ok(mtu == param_number("mtu", mtu) && mtu >= 68, "C98 %s: mtu is %u", device->name,
		   mtu);
	}
	if (device->offered & BIT64(VIRTIO_NET_F_MAC)) {
		read_mac(mac);
		ok(!(mac[0] & 1) && (mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5]),
		   "C98 %s: the MAC is a station's: %02x:%02x:%02x:%02x:%02x:%02x", device->name,
		   mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	}
	if (device->offered & BIT64(VIRTIO_NET_F_STATUS))
		ok((virtio_config_read16(device, CONFIG(status)) & VIRTIO_NET_S_LINK_UP) ==
			   param_number("link", 0),
		   "C108 %s: the link is %s", device->name,
		   param_number("link", 0) ? "up" : "down");
}

static bool transmit_on(struct virtqueue *queue, uint32_t bytes)
{
	struct part parts[2] = { { frame, HEADER_BYTES, false },
				 { frame + HEADER_BYTES, bytes, false } };
	struct used used;

	virtqueue_add(queue, parts, bytes ? 2 : 1);
	virtqueue_notify(queue);
	return virtqueue_wait(queue, &used, ANSWER_NS) && used.written == 0;
}

static bool transmit(uint32_t bytes)
{
	return transmit_on(&device->queues[1], bytes);
}

static void c99_headers(void)
{
	struct virtio_net_hdr_mrg_rxbuf *header = (void *)frame;
	bool good;

	memset(frame, 0, sizeof(frame));
	memset(frame + HEADER_BYTES, 0xff, ETH_ALEN);
	header->hdr.flags = 0xf0;
	good = transmit(ETH_ZLEN);
	header->hdr.flags = 0;
	header->hdr.csum_start = 0xffff;
	header->hdr.csum_offset = 0xffff;
	header->hdr.hdr_len = 0xffff;
	good = good && transmit(ETH_ZLEN);
	ok(good && subject_works(device),
	   "C99 %s: frames with unknown flags, and with fields without NEEDS_CSUM, come back",
	   device->name);
	header->hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	good = transmit(ETH_ZLEN);
	header->hdr.gso_type = 0x7f;
	good = good && transmit(ETH_ZLEN) && transmit(0) && transmit(1);
	ok(good && subject_works(device),
	   "C99 %s: frames that can't be sent come back all the same", device->name);
}

static void c104_control(void)
{
	static const uint8_t on = 1, off = 0;

	ok(control(0xee, 0, NULL, 0) == VIRTIO_NET_ERR &&
		   control(VIRTIO_NET_CTRL_RX, 0xee, &on, 1) == VIRTIO_NET_ERR &&
		   control(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, NULL, 0) ==
			   VIRTIO_NET_ERR,
	   "C104 %s: what is unknown or too short is an error", device->name);
	if (device->offered & BIT64(VIRTIO_NET_F_CTRL_RX))
		ok(control(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &on, 1) ==
				   VIRTIO_NET_OK &&
			   control(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, &on, 1) ==
				   VIRTIO_NET_OK &&
			   control(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &off, 1) ==
				   VIRTIO_NET_OK,
		   "C104 %s: receive modes are taken", device->name);
	ok(control(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG, &on, 1) == VIRTIO_NET_ERR,
	   "C107 %s: RSS that is not offered is an error", device->name);
}

static void c105_addresses(void)
{
	static const uint8_t other[ETH_ALEN] = { 0x02, 0x11, 0x22, 0x33, 0x44, 0x55 };
	static const uint32_t empty[2];
	static const uint32_t lie[2] = { 0xffffffff, 0 };
	uint8_t now[ETH_ALEN];

	if (device->offered & BIT64(VIRTIO_NET_F_CTRL_MAC_ADDR)) {
		uint8_t ack =
			control(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other, ETH_ALEN);

		read_mac(now);
		ok(ack == VIRTIO_NET_OK && !memcmp(now, other, ETH_ALEN),
		   "C105 %s: MAC_ADDR_SET is seen in the configuration", device->name);
		ok(control(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other, 5) ==
			   VIRTIO_NET_ERR,
		   "C105 %s: five bytes are no address", device->name);
		control(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, ETH_ALEN);
	}
	ok(control(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, empty, 8) == VIRTIO_NET_OK,
	   "C105 %s: empty tables are taken", device->name);
	ok(control(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, lie, 8) == VIRTIO_NET_ERR,
	   "C105 %s: a table that is not there is an error", device->name);
}

/* So many changes that a counter of eight bits may be back where it was. */
static void c49_generation(void)
{
	static const uint8_t other[ETH_ALEN] = { 0x02, 0x11, 0x22, 0x33, 0x44, 0x77 };
	unsigned changes = param_number("link", 0) ? 2 : 256, done = 0;
	uint8_t generation = common_read8(device, VIRTIO_PCI_COMMON_CFGGENERATION);

	if (!(device->offered & BIT64(VIRTIO_NET_F_CTRL_MAC_ADDR)))
		return;
	while (done < changes && control(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET,
					 done & 1 ? mac : other, ETH_ALEN) == VIRTIO_NET_OK)
		done++;
	ok(done == changes && common_read8(device, VIRTIO_PCI_COMMON_CFGGENERATION) != generation,
	   "C49 %s: config_generation is another after %u changes", device->name, done);
}

static bool set_pairs(uint16_t pairs)
{
	return control(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, 2) ==
	       VIRTIO_NET_OK;
}

static void c106_pairs(void)
{
	uint16_t max, pairs;
	bool refused, taken;

	if (!(device->negotiated & BIT64(VIRTIO_NET_F_MQ))) {
		skip("MQ is not offered", "C106 %s: queue pairs", device->name);
		return;
	}
	max = virtio_config_read16(device, CONFIG(max_virtqueue_pairs));
	pairs = 0;
	refused = control(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, 2) ==
		  VIRTIO_NET_ERR;
	pairs = (uint16_t)(max + 1);
	refused = refused && control(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs,
				     2) == VIRTIO_NET_ERR;
	ok(refused, "C106 %s: 0 and %u pairs are refused", device->name, max + 1);
	taken = set_pairs(max) && set_pairs(1) && set_pairs(max);
	ok(taken, "C106 %s: %u and 1 are taken", device->name, max);
}

/* ---- With a host on the other end ---- */

static uint16_t internet_checksum(const uint8_t *data, uint32_t bytes)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < bytes; i += 2)
		sum += (uint32_t)data[i] << 8 | (i + 1 < bytes ? data[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put16(uint8_t *to, uint16_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static void put32(uint8_t *to, uint32_t value)
{
	put16(to, (uint16_t)(value >> 16));
	put16(to + 2, (uint16_t)value);
}

static uint8_t *start_frame(const uint8_t *to, const uint8_t *from, uint16_t type)
{
	uint8_t *ether = frame + HEADER_BYTES;

	memset(frame, 0, sizeof(frame));
	memcpy(ether, to, ETH_ALEN);
	memcpy(ether + ETH_ALEN, from, ETH_ALEN);
	put16(ether + 12, type);
	return ether + ETH_HLEN;
}

static void send_arp(const uint8_t *from)
{
	static const uint8_t all[ETH_ALEN] = { 255, 255, 255, 255, 255, 255 };
	static const uint8_t head[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	uint8_t *arp = start_frame(all, from, ETH_P_ARP);

	memcpy(arp, head, sizeof(head));
	memcpy(arp + 8, from, ETH_ALEN);
	put32(arp + 14, GUEST_IP);
	put32(arp + 24, HOST_IP);
	transmit(ARP_BYTES);
}

static uint32_t make_ping(const uint8_t *to, const uint8_t *from, uint16_t payload, uint16_t number)
{
	uint8_t *ip = start_frame(to, from, ETH_P_IP);
	uint8_t *icmp = ip + 20;

	ip[0] = 0x45;
	put16(ip + 2, (uint16_t)(28 + payload));
	ip[8] = 64;
	ip[9] = 1;
	put32(ip + 12, GUEST_IP);
	put32(ip + 16, HOST_IP);
	put16(ip + 10, internet_checksum(ip, 20));
	icmp[0] = 8;
	put16(icmp + 6, number);
	for (uint16_t i = 0; i < payload; i++)
		icmp[8 + i] = (uint8_t)i;
	put16(icmp + 2, internet_checksum(icmp, 8u + payload));
	return PING_BYTES + (uint32_t)payload;
}

static void send_ping(const uint8_t *to, const uint8_t *from, uint16_t payload, uint16_t number)
{
	transmit(make_ping(to, from, payload, number));
}

static void post_buffers(uint16_t queue, uint32_t bytes)
{
	for (unsigned i = 0; i < BUFFERS; i++) {
		struct part part = { buffers[i], bytes, true };

		memset(buffers[i], POISON, HEADER_BYTES);
		virtqueue_add(&device->queues[queue], &part, 1);
	}
	virtqueue_notify(&device->queues[queue]);
}

/*
 * The next frame, gathered into `frame` with its header; the buffers go back. Returns its bytes
 * behind the header, 0 for none within `ns`; *count says how many buffers it took, *full if all but
 * the last were.
 */
static uint32_t receive(uint32_t buffer_bytes, uint64_t ns, unsigned *count, bool *full)
{
	struct virtqueue *queue = &device->queues[0];
	uint32_t bytes = 0;
	struct used used;
	unsigned wanted = 1;

	*full = true;
	for (*count = 0; *count < wanted; (*count)++) {
		/* All of a frame are published together: only the first may be waited for. */
		if (!virtqueue_wait(queue, &used, *count ? 0 : ns)) {
			*full = false;
			return 0;
		}
		uint8_t *data = (uint8_t *)queue->desc[used.head].addr;
		struct part part = { data, buffer_bytes, true };

		if (!*count && device->negotiated & BIT64(VIRTIO_NET_F_MRG_RXBUF))
			wanted = ((struct virtio_net_hdr_mrg_rxbuf *)data)->num_buffers;
		*full = *full && (*count + 1 == wanted || used.written == buffer_bytes);
		memcpy(frame + bytes, data, used.written);
		bytes += used.written;
		virtqueue_add(queue, &part, 1);
	}
	virtqueue_notify(queue);
	return bytes - HEADER_BYTES;
}

struct answer {
	uint32_t bytes;
	unsigned buffers;
	bool full;
};

/* Skips what else a host says, till a frame of this type (and for IP: this ping) comes. */
static bool receive_answer(uint16_t type, uint16_t number, uint32_t buffer_bytes, uint64_t ns,
			   struct answer *answer)
{
	const uint8_t *ether = frame + HEADER_BYTES;
	uint64_t end = arch_now_ns() + ns;

	while (arch_now_ns() < end) {
		answer->bytes = receive(buffer_bytes, ns, &answer->buffers, &answer->full);
		if (!answer->bytes || (ether[12] << 8 | ether[13]) != type)
			continue;
		if (type == ETH_P_ARP && ether[21] == 2)
			return true;
		if (type == ETH_P_IP && ether[23] == 1 && !ether[34] &&
		    (ether[40] << 8 | ether[41]) == number)
			return true;
	}
	return false;
}

static bool payload_is_right(uint16_t payload)
{
	const uint8_t *icmp = frame + HEADER_BYTES + ETH_HLEN + 20;

	for (uint16_t i = 0; i < payload; i++)
		if (icmp[8 + i] != (uint8_t)i)
			return false;
	return internet_checksum(icmp, 8u + payload) == 0;
}

static void start(uint64_t features, uint32_t buffer_bytes)
{
	virtio_start(device, features);
	post_buffers(0, buffer_bytes);
}

static bool learn_host(const uint8_t *from, uint32_t buffer_bytes, uint8_t *host)
{
	struct answer answer;

	/* A host takes a second or so to see that its end has a carrier. */
	for (unsigned i = 0; i < ARP_TRIES; i++) {
		send_arp(from);
		if (!receive_answer(ETH_P_ARP, 0, buffer_bytes, ARP_NS, &answer))
			continue;
		memcpy(host, frame + HEADER_BYTES + ETH_ALEN, ETH_ALEN);
		return true;
	}
	return false;
}

static void c100_plain(uint8_t *host)
{
	uint64_t features = virtio_usual_features(device) & ~BIT64(VIRTIO_NET_F_MRG_RXBUF);
	const struct virtio_net_hdr_mrg_rxbuf *header = (void *)frame;
	struct answer answer;

	/* Without segmentation: 5.1.6.3.1 would want buffers of 64 KiB. */
	features &= ~(BIT64(VIRTIO_NET_F_GUEST_TSO4) | BIT64(VIRTIO_NET_F_GUEST_TSO6) |
		      BIT64(VIRTIO_NET_F_GUEST_ECN) | BIT64(VIRTIO_NET_F_GUEST_UFO) | BIT64(54) |
		      BIT64(55) /* GUEST_USO4 and 6 */);
	start(features, BUFFER_BYTES);
	ok(learn_host(mac, BUFFER_BYTES, host), "C99 %s: ARP is answered", device->name);
	send_ping(host, mac, 1000, 1);
	ok(receive_answer(ETH_P_IP, 1, BUFFER_BYTES, ANSWER_NS, &answer) &&
		   payload_is_right(1000) && answer.buffers == 1 && header->num_buffers == 1 &&
		   !header->hdr.gso_type && !header->hdr.flags,
	   "C100 %s: without MRG_RXBUF a ping comes back in one buffer, num_buffers %u",
	   device->name, header->num_buffers);
	start(features, SMALL_BUFFER);
	send_ping(host, mac, 1000, 2);
	send_ping(host, mac, 10, 3);
	ok(receive_answer(ETH_P_IP, 3, SMALL_BUFFER, ANSWER_NS, &answer) && payload_is_right(10),
	   "C100 %s: a frame that is too long for its buffer is dropped, the next comes",
	   device->name);
}

static void c101_mergeable(const uint8_t *host)
{
	static const uint16_t payloads[] = { 10, 201, 202, 203, 458, 1400 };
	unsigned good = 0;

	if (!(device->offered & BIT64(VIRTIO_NET_F_MRG_RXBUF))) {
		skip("MRG_RXBUF is not offered", "C101 %s: mergeable buffers", device->name);
		return;
	}
	start(virtio_usual_features(device), SMALL_BUFFER);
	for (uint16_t i = 0; i < ARRAY_COUNT(payloads); i++) {
		uint32_t bytes = HEADER_BYTES + PING_BYTES + payloads[i];
		struct answer answer = { 0 };
		bool came;

		send_ping(host, mac, payloads[i], (uint16_t)(10 + i));
		came = receive_answer(ETH_P_IP, (uint16_t)(10 + i), SMALL_BUFFER, ANSWER_NS,
				      &answer);
		if (came && answer.full && payload_is_right(payloads[i]) &&
		    answer.buffers == (bytes + SMALL_BUFFER - 1) / SMALL_BUFFER)
			good++;
		else
			note("%u bytes: %u buffers, full %u", bytes, answer.buffers, answer.full);
	}
	ok(good == ARRAY_COUNT(payloads),
	   "C101 %s: frames take as many buffers as they need, full but the last, all at once",
	   device->name);
}

static void c105_new_address(uint8_t *host)
{
	static const uint8_t other[ETH_ALEN] = { 0x02, 0x11, 0x22, 0x33, 0x44, 0x66 };
	struct answer answer;

	if (!(device->offered & BIT64(VIRTIO_NET_F_CTRL_MAC_ADDR)))
		return;
	start(virtio_usual_features(device), BUFFER_BYTES);
	control(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other, ETH_ALEN);
	ok(learn_host(other, BUFFER_BYTES, host), "C105 %s: frames to the address set come",
	   device->name);
	send_ping(host, other, 100, 20);
	ok(receive_answer(ETH_P_IP, 20, BUFFER_BYTES, ANSWER_NS, &answer) && payload_is_right(100),
	   "C105 %s: pings too", device->name);
	virtio_start(device, virtio_usual_features(device));
	read_mac(frame);
	ok(!memcmp(frame, mac, ETH_ALEN), "C105 %s: a reset brings the first address back",
	   device->name);
	post_buffers(0, BUFFER_BYTES);
	learn_host(mac, BUFFER_BYTES, host);
}

static void post_second(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct part part = { second[i], BUFFER_BYTES, true };

		virtqueue_add(&device->queues[2], &part, 1);
	}
	virtqueue_notify(&device->queues[2]);
}

/* Pings whose answers come on the first queue, and nothing on the second. */
static bool first_alone(const uint8_t *host, uint16_t number)
{
	struct answer answer;
	unsigned good = 0;
	struct used used;

	for (uint16_t i = 0; i < PINGS; i++) {
		send_ping(host, mac, i, (uint16_t)(number + i));
		good += receive_answer(ETH_P_IP, (uint16_t)(number + i), BUFFER_BYTES, ANSWER_NS,
				       &answer);
	}
	return good == PINGS && !virtqueue_poll(&device->queues[2], &used);
}

/* What is sent on the second pair is answered there, but maybe the first time. */
static bool second_works(const uint8_t *host)
{
	struct used used;

	for (uint16_t i = 0; i < ARP_TRIES; i++) {
		transmit_on(&device->queues[3], make_ping(host, mac, i, (uint16_t)(50 + i)));
		if (virtqueue_wait(&device->queues[2], &used, ARP_NS))
			return true;
	}
	return false;
}

static void c106_one_pair(const uint8_t *host)
{
	if (!(device->offered & BIT64(VIRTIO_NET_F_MQ)))
		return;
	start(virtio_usual_features(device), BUFFER_BYTES);
	set_pairs(2);
	start(virtio_usual_features(device), BUFFER_BYTES);
	post_second(1);
	ok(first_alone(host, 30), "C106 %s: after reset all comes on the first queue",
	   device->name);
	ok(set_pairs(2) && second_works(host), "C106 %s: of two pairs the second is used, too",
	   device->name);
	/* Its only buffer is gone, so these answers are kept when their queue is given up. */
	for (uint16_t i = 0; i < PINGS; i++)
		transmit_on(&device->queues[3], make_ping(host, mac, i, (uint16_t)(70 + i)));
	wait_ns(QUIET_NS);
	ok(set_pairs(1), "C106 %s: back to one", device->name);
	post_second(PINGS);
	ok(first_alone(host, 90), "C106 %s: and nothing comes on the second any more",
	   device->name);
	set_pairs(2);
}

static void test(struct virtio_device *found)
{
	uint8_t host[ETH_ALEN] = { 0 };

	device = found;
	if (device->type != VIRTIO_ID_NET)
		return;
	virtio_reset(device);
	c98_config();
	virtio_start(device, virtio_usual_features(device));
	c99_headers();
	virtio_start(device, virtio_usual_features(device));
	c104_control();
	c105_addresses();
	c49_generation();
	c106_pairs();
	if (param_number("link", 0)) {
		c100_plain(host);
		c101_mergeable(host);
		c105_new_address(host);
		c106_one_pair(host);
		return; /* the machine's end finds it running, with all its pairs */
	}
	virtio_reset(device);
}

void guest_main(void)
{
	buffers = memory_get_raw(BUFFERS * sizeof(*buffers), 4096);
	second = memory_get_raw(PINGS * sizeof(*second), 4096);
	for_each_device(test);
}
