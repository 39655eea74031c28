// SPDX-License-Identifier: MIT
/*
 * The network device on a played link. What the guest sends arrives, in order,
 * byte for byte, but for frames that the link had no room for; what the link has
 * for the guest comes in the buffers that it says it takes, all of them full but
 * the last, if the filter lets it in; a command is answered as it deserves.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/device.h"
#include "tests/fuzz/net_model.h"
#include "tests/fuzz/played_link.h"
#include "virtio/net.h"
#include "virtio/net_device.h"

enum { RECEIVE, TRANSMIT, CONTROL, QUEUES };

static struct {
	struct fuzz_device device;
	struct played_link link;
	struct net *net;
	struct net_model model;
	struct net_command commands[GUEST_HEADS_MAX];
	unsigned posted_bytes[GUEST_HEADS_MAX]; /* of receive buffers, by head */
	bool gave_back; /* paused once: buffers may have come back empty */
} card;

static struct guest_queue *queue_of(unsigned kind)
{
	return &card.device.guest.queues[kind];
}

/* ---- To the link ---- */

/* The link's word: this frame has gone out. */
static void sent(const uint8_t *frame, unsigned bytes)
{
	net_model_sent(&card.model, frame, bytes, card.link.failures || card.link.lost);
}

static void transmit(struct fuzz_input *input)
{
	struct model_frame frame = { 0 };
	uint8_t choice = fuzz_u8(input);

	/* Lost ones stay in the model till one comes through. */
	if (card.model.to_link.count == MODEL_FRAMES)
		return;
	net_frame_make(&card.model, input, &frame, choice & 0x40 ? 1300 : 200);
	if (choice < 16)
		frame.bytes = choice * 2; /* too short to be one, up to just enough */
	if (fuzz_chain_add(queue_of(TRANSMIT), input, frame.data, frame.bytes, choice % 4 == 1) < 0)
		return;
	if (frame.bytes >= MODEL_HEADER_BYTES + ETH_HLEN)
		net_model_will_send(&card.model, &frame);
}

static void take_transmitted(void)
{
	uint32_t bytes;

	while (guest_queue_take(queue_of(TRANSMIT), &bytes))
		fuzz_check(!bytes);
}

/* ---- From the link ---- */

static void post(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input);
	unsigned bytes = choice < 8 ? 1 + choice * 2 : choice < 200 ? 64 + choice * 8 :
								    12 + fuzz_u8(input);
	int head = fuzz_chain_add(queue_of(RECEIVE), input, NULL, 0, bytes);

	if (head < 0)
		return;
	card.posted_bytes[head] = bytes;
	if (bytes >= MODEL_HEADER_BYTES)
		card.model.least_buffer = (unsigned)min_u64(card.model.least_buffer, bytes);
}

static void arrive(struct fuzz_input *input)
{
	struct model_frame frame = { 0 };
	uint8_t choice;

	if (card.link.frame_count == PLAYED_FRAMES || card.model.to_guest.count == MODEL_FRAMES)
		return;
	choice = fuzz_u8(input);
	net_frame_make(&card.model, input, &frame, choice & 1 ? 3000 : 200);
	if (choice >= 0xf0) { /* no frame: too short */
		frame.bytes = MODEL_HEADER_BYTES + choice % ETH_HLEN;
		if (!card.link.link.header && frame.bytes == MODEL_HEADER_BYTES)
			frame.bytes++; /* no link gives nothing */
	} else {
		net_model_will_receive(&card.model, &frame);
	}
	fuzz_check(played_link_put(&card.link, frame.data, frame.bytes));
	played_link_changed(&card.link);
}

static unsigned room_of(const struct guest_chain *chain)
{
	return card.posted_bytes[fuzz_chain_head(queue_of(RECEIVE), chain)];
}

/* A frame that begins here; all of its buffers but the last are full, and come together. */
static void take_frame(const struct guest_chain *chain, uint32_t bytes)
{
	struct model_frame frame = { 0 };
	struct virtio_net_hdr_v1 header;
	unsigned room = 0, buffers = 1;

	for (unsigned i = 0; i < buffers; i++) {
		if (i)
			chain = guest_queue_take(queue_of(RECEIVE), &bytes);
		fuzz_check(chain && bytes && frame.bytes == room);
		fuzz_check(bytes <= sizeof(frame.data) - frame.bytes);
		fuzz_chain_load(&card.device.guest, chain, 0, frame.data + frame.bytes, bytes);
		frame.bytes += bytes;
		room += room_of(chain);
		if (i)
			continue;
		fuzz_check(bytes >= sizeof(header));
		memcpy(&header, frame.data, sizeof(header));
		buffers = le16toh(header.num_buffers);
		fuzz_check(buffers == 1 || (buffers && virtio_has(card.device.device,
								  VIRTIO_NET_F_MRG_RXBUF)));
	}
	net_model_received(&card.model, &frame, card.link.lost);
}

static void take_received(void)
{
	struct guest_queue *queue = queue_of(RECEIVE);
	struct guest_chain *chain;
	uint32_t bytes;

	while ((chain = guest_queue_take(queue, &bytes))) {
		if (bytes)
			take_frame(chain, bytes);
		else /* too short for a header, or not to be given back otherwise */
			fuzz_check(card.gave_back ||
				   room_of(chain) < MODEL_HEADER_BYTES);
	}
}

/* ---- Commands ---- */

static void command(struct fuzz_input *input)
{
	struct net_command made;
	uint8_t choice = fuzz_u8(input);
	unsigned room = choice < 8 ? 0 : choice < 16 ? 3 : 1;
	int head;

	net_command_make(&card.model, input, &made);
	made.sound &= room > 0; /* without an answer it is not carried out */
	head = fuzz_chain_add(queue_of(CONTROL), input, made.data, made.bytes, room);
	if (head < 0)
		card.model.commands--;
	else
		card.commands[head] = made;
}

static void take_answers(void)
{
	struct guest_queue *queue = queue_of(CONTROL);
	struct guest_chain *chain;
	uint32_t bytes;

	while ((chain = guest_queue_take(queue, &bytes))) {
		uint64_t room = guest_chain_bytes(chain, true);
		uint8_t ack = VIRTIO_NET_ERR, first = 0;

		fuzz_check(bytes == (room == 1)); /* behind a gap no byte counts (2.7.8.2) */
		if (room)
			fuzz_chain_load(&card.device.guest, chain, room - 1, &ack, 1);
		if (room > 1)
			fuzz_chain_load(&card.device.guest, chain, 0, &first, 1);
		fuzz_check(room <= 1 || first == 0xee);
		fuzz_check(ack == VIRTIO_NET_OK || ack == VIRTIO_NET_ERR);
		net_model_commanded(&card.model, &card.commands[fuzz_chain_head(queue, chain)],
				    ack == VIRTIO_NET_OK);
	}
}

/* ---- Steps ---- */

static void take(struct fuzz_input *input, unsigned kind)
{
	uint8_t choice = fuzz_u8(input);

	if (kind == RECEIVE)
		take_received();
	else if (kind == TRANSMIT)
		take_transmitted();
	else
		take_answers();
	guest_queue_ask(queue_of(kind), choice % 8, choice & 8);
}

static bool release(struct fuzz_device *subject)
{
	(void)subject;
	if (!played_link_held(&card.link))
		return false;
	played_link_changed(&card.link);
	return true;
}

/* The link holds nothing back, and time passes. */
static void settle(struct fuzz_input *input)
{
	card.link.hold = card.link.full = card.link.refuses = false;
	if (card.device.paused)
		fuzz_device_pause(&card.device);
	played_link_changed(&card.link);
	played_ring_let_time_pass(true);
	for (unsigned i = 0; i < QUEUES; i++)
		fuzz_queue_publish(queue_of(i));
	fuzz_device_run(&card.device);
	played_ring_let_time_pass(false);
	/* Frames that wait have nothing to go into. */
	fuzz_check(!card.link.frame_count || card.link.lost ||
		   guest_queue_returned(queue_of(RECEIVE)));
	for (unsigned i = 0; i < QUEUES; i++) {
		take(input, i);
		fuzz_check(i == RECEIVE || queue_of(i)->free == queue_of(i)->size ||
			   (i == CONTROL && !virtio_has(card.device.device,
							VIRTIO_NET_F_CTRL_VQ)));
	}
	fuzz_check(!card.model.to_link.count || card.link.failures || card.link.lost);
	card.model.to_link.count = 0;
	if (!card.link.frame_count)
		net_model_none_left(&card.model, card.link.lost);
	guest_audit(&card.device.guest);
}

static void begin(struct fuzz_input *input)
{
	uint64_t features = card.device.device->offered;
	uint16_t choice = (uint16_t)fuzz_number(input, 2);
	static const uint64_t refused[] = {
		BIT64(VIRTIO_NET_F_MRG_RXBUF), BIT64(VIRTIO_NET_F_MQ), BIT64(VIRTIO_NET_F_MTU),
		BIT64(VIRTIO_NET_F_CTRL_RX) | BIT64(VIRTIO_NET_F_CTRL_RX_EXTRA),
		BIT64(VIRTIO_NET_F_CTRL_MAC_ADDR), BIT64(VIRTIO_NET_F_GUEST_TSO4) |
		BIT64(VIRTIO_NET_F_GUEST_ECN), BIT64(VIRTIO_NET_F_GUEST_USO4) |
		BIT64(VIRTIO_NET_F_GUEST_USO6), BIT64(VIRTIO_NET_F_CTRL_RX_EXTRA),
	};
	/* What takes a header on the link. */
	static const uint64_t offloads = BIT64(VIRTIO_NET_F_CSUM) | BIT64(VIRTIO_NET_F_GUEST_CSUM) |
		BIT64(VIRTIO_NET_F_GUEST_TSO4) | BIT64(VIRTIO_NET_F_GUEST_TSO6) |
		BIT64(VIRTIO_NET_F_GUEST_ECN) | BIT64(VIRTIO_NET_F_GUEST_USO4) |
		BIT64(VIRTIO_NET_F_GUEST_USO6) | BIT64(VIRTIO_NET_F_HOST_TSO4) |
		BIT64(VIRTIO_NET_F_HOST_TSO6) | BIT64(VIRTIO_NET_F_HOST_ECN) |
		BIT64(VIRTIO_NET_F_HOST_USO);
	struct fuzz_queue queues[QUEUES] = {
		{ 0, 16, 36 * KIB }, { 1, 16, 24 * KIB }, { 2, 4, 4000 },
	};

	features &= ~(BIT64(VIRTIO_RING_F_EVENT_IDX) | BIT64(VIRTIO_RING_F_INDIRECT_DESC) |
		      BIT64(VIRTIO_F_RING_PACKED));
	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++)
		features &= choice & 1u << i ? ~refused[i] : UINT64_MAX;
	if (choice & 0x100) { /* a driver that can do nothing but frames as they are */
		features &= UINT64_MAX << 32 & ~offloads;
		features |= BIT64(VIRTIO_NET_F_CTRL_VQ);
	}
	card.link.link.header = (choice & 0xf000) != 0xf000;
	if (!card.link.link.header)
		features &= ~offloads;
	if (features & BIT64(VIRTIO_NET_F_MQ))
		queues[CONTROL].index = 4;
	played_link_clear(&card.link);
	card.gave_back = false;
	/* What outlives a reset: the link's fate. */
	card.net->lost = false;
	card.net->config.status = htole16(VIRTIO_NET_S_LINK_UP);
	card.net->pairs[0].transmit.one_by_one = false;
	/* Either remembers what a batch has used, or forgets it for room, as the largest queue's. */
	card.net->pairs[0].receive.buffer_limit = choice & 0x200 ? 16 : NET_QUEUE_SIZE;
	fuzz_device_begin(&card.device, input, features, queues, QUEUES);
	net_model_begin(&card.model, card.device.device, card.link.link.header);
}

static void reset(struct fuzz_input *input)
{
	/* What the link gets from here on was cut short. */
	card.link.failures++;
	fuzz_device_reset(&card.device, input);
}

static void change_link(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input);

	card.link.hold = choice & 1;
	card.link.full = choice & 2;
	card.link.refuses = choice & 4;
	card.link.lost |= choice >= 0xf0;
	played_link_changed(&card.link);
	fuzz_device_run(&card.device);
}

static void step(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input);
	unsigned kind = (choice >> 5) % QUEUES;

	switch (choice & 31) {
	case 0 ... 4:
		transmit(input);
		break;
	case 5 ... 9:
		post(input);
		break;
	case 10 ... 14:
		arrive(input);
		break;
	case 15 ... 16:
		command(input);
		break;
	case 17 ... 21:
		fuzz_queue_publish(queue_of(kind));
		fuzz_device_run(&card.device);
		break;
	case 22 ... 24:
		take(input, kind);
		break;
	case 25 ... 26:
		change_link(input);
		break;
	case 27:
		played_link_changed(&card.link);
		fuzz_device_run(&card.device);
		break;
	case 28:
		settle(input);
		break;
	case 29:
		card.gave_back = true;
		fuzz_device_pause(&card.device);
		break;
	case 30:
		played_ring_let_time_pass(true);
		fuzz_device_run(&card.device);
		played_ring_let_time_pass(false);
		break;
	default:
		reset(input);
		begin(input);
		break;
	}
}

static struct virtio_type card_type; /* virtio_net, on our link */

static int card_create(const void *options, const struct virtio_deps *deps,
		       struct virtio_device **device)
{
	struct net_settings settings = { .type = &card_type, .mtu = MODEL_MTU };

	(void)options;
	memcpy(settings.mac, model_mac, ETH_ALEN);
	return net_create_on(&card.link.link, &settings, deps, device);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	card_type = virtio_net;
	card_type.create = card_create;
	played_link_init(&card.link, &card.device.worker);
	card.link.sent = sent;
	card.device.end_more = release;
	fuzz_device_create(&card.device, &card_type, NULL);
	card.net = net_of(card.device.device);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuzz_driver driver = { begin, step, settle, reset };
	struct fuzz_input input = fuzz_input(data, size);

	fuzz_device_play(&driver, &input);
	return 0;
}
