// SPDX-License-Identifier: MIT
#include "tests/fuzz/net_model.h"

#include <string.h>

#include "base/bytes.h"

const uint8_t model_mac[ETH_ALEN] = { 0x02, 0x11, 0x22, 0x33, 0x44, 0x55 };

/* Those that frames and filters are made of: the card's, broadcast, groups, others. */
static const uint8_t addresses[][ETH_ALEN] = {
	{ 0x02, 0x11, 0x22, 0x33, 0x44, 0x55 }, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
	{ 0x01, 0x00, 0x5e, 0x00, 0x00, 0x01 }, { 0x33, 0x33, 0x00, 0x00, 0x00, 0x01 },
	{ 0x02, 0xaa, 0x00, 0x00, 0x00, 0x01 }, { 0x02, 0xaa, 0x00, 0x00, 0x00, 0x02 },
};

#define BROADCAST 1

void net_model_begin(struct net_model *model, const struct virtio_device *device, bool headers)
{
	model->device = device;
	model->headers = headers;
	model->to_link.count = model->to_guest.count = 0;
	memset(model->modes, 0, sizeof(model->modes));
	model->modes[VIRTIO_NET_CTRL_RX_PROMISC] = true;
	memcpy(model->mac, model_mac, ETH_ALEN);
	model->unicast = model->multicast = (struct model_table){ 0 };
	model->made = 0;
	model->commands = 0;
	model->least_buffer = UINT32_MAX;
}

/* ---- Frames ---- */

void net_frame_make(struct net_model *model, struct fuzz_input *input, struct model_frame *frame,
		    unsigned most)
{
	static const uint8_t gso[] = {
		VIRTIO_NET_HDR_GSO_NONE, VIRTIO_NET_HDR_GSO_NONE, VIRTIO_NET_HDR_GSO_TCPV4,
		VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN, VIRTIO_NET_HDR_GSO_TCPV6,
		5 /* UDP_L4 */, 99, VIRTIO_NET_HDR_GSO_NONE,
	};
	uint8_t choice = fuzz_u8(input), seed = fuzz_u8(input);
	uint16_t number = model->made++; /* so that it is known which of them has come */
	struct virtio_net_hdr_v1 header = {
		.flags = choice & 0x80 ? fuzz_u8(input) & 7 : 0,
		.gso_type = choice & 0x40 ? gso[seed % 8] : VIRTIO_NET_HDR_GSO_NONE,
		.hdr_len = htole16(choice & 0x20 ? (uint16_t)fuzz_number(input, 2) : 0),
		.gso_size = htole16(seed * 8),
		.csum_start = htole16(seed),
		.num_buffers = htole16(seed),
	};
	struct ethhdr ethernet = {
		.h_source = { 0x02, 0xbb, (uint8_t)(number >> 8), (uint8_t)number, 0, seed },
		.h_proto = htobe16(choice & 0x10 ? ETH_P_8021Q : ETH_P_IP),
	};
	unsigned least = sizeof(header) + sizeof(ethernet);

	if (!model->headers)
		header = (struct virtio_net_hdr_v1){ 0 };
	memcpy(ethernet.h_dest, addresses[choice % ARRAY_SIZE(addresses)], ETH_ALEN);
	frame->bytes = least + (unsigned)fuzz_number(input, 2) % (most - least);
	for (unsigned i = least; i < frame->bytes; i++)
		frame->data[i] = (uint8_t)(seed + i + i / 256 * 3);
	memcpy(frame->data, &header, sizeof(header));
	memcpy(frame->data + sizeof(header), &ethernet, sizeof(ethernet));
}

static void queue_put(struct model_queue *queue, const struct model_frame *frame)
{
	fuzz_check(queue->count < MODEL_FRAMES);
	queue->frames[queue->count].bytes = frame->bytes;
	queue->frames[queue->count].fate = frame->fate;
	memcpy(queue->frames[queue->count++].data, frame->data, frame->bytes);
}

static void queue_drop(struct model_queue *queue)
{
	struct model_frame *frames = queue->frames;

	memmove(frames, frames + 1, --queue->count * sizeof(*frames));
}

static bool same(const struct model_frame *frame, const uint8_t *data, unsigned bytes)
{
	return frame->bytes == bytes && !memcmp(frame->data, data, bytes);
}

/* ---- To the link ---- */

/* 5.1.6.2.2: what the device ignores about a header does not go out. */
void net_model_will_send(struct net_model *model, const struct model_frame *frame)
{
	struct model_frame clean = *frame;
	struct virtio_net_hdr_v1 header;

	memcpy(&header, frame->data, sizeof(header));
	header.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	header.num_buffers = 0;
	if (le16toh(header.hdr_len) > frame->bytes - sizeof(header))
		header.hdr_len = 0;
	memcpy(clean.data, &header, sizeof(header));
	queue_put(&model->to_link, &clean);
}

void net_model_sent(struct net_model *model, const uint8_t *data, unsigned bytes, bool lossy)
{
	struct model_queue *queue = &model->to_link;

	while (queue->count && !same(queue->frames, data, bytes)) {
		fuzz_check(lossy);
		queue_drop(queue);
	}
	fuzz_check(queue->count); /* else nobody sent it, or it was sent before */
	queue_drop(queue);
}

/* ---- From the link ---- */

static bool table_has(const struct model_table *table, unsigned address)
{
	return table->overflow || table->has & 1u << address;
}

static unsigned address_of(const struct model_frame *frame)
{
	for (unsigned i = 0;; i++)
		if (!memcmp(frame->data + MODEL_HEADER_BYTES, addresses[i], ETH_ALEN))
			return i;
}

/* 5.1.6.5.1, 5.1.6.5.2 */
static bool passes_filter(const struct net_model *model, const struct model_frame *frame)
{
	unsigned address = address_of(frame);

	if (model->modes[VIRTIO_NET_CTRL_RX_PROMISC])
		return true;
	if (address == BROADCAST)
		return !model->modes[VIRTIO_NET_CTRL_RX_NOBCAST];
	if (addresses[address][0] & 1)
		return !model->modes[VIRTIO_NET_CTRL_RX_NOMULTI] &&
		       (model->modes[VIRTIO_NET_CTRL_RX_ALLMULTI] ||
			table_has(&model->multicast, address));
	return !model->modes[VIRTIO_NET_CTRL_RX_NOUNI] &&
	       (model->modes[VIRTIO_NET_CTRL_RX_ALLUNI] ||
		!memcmp(addresses[address], model->mac, ETH_ALEN) ||
		table_has(&model->unicast, address));
}

/* 5.1.6.4: a driver that can't finish a checksum or cut segments gets none to do. */
static bool header_allowed(const struct net_model *model, const struct virtio_net_hdr_v1 *header)
{
	const struct virtio_device *device = model->device;

	if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM &&
	    !virtio_has(device, VIRTIO_NET_F_GUEST_CSUM))
		return false;
	if (header->gso_type & VIRTIO_NET_HDR_GSO_ECN &&
	    !virtio_has(device, VIRTIO_NET_F_GUEST_ECN))
		return false;
	switch (header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return true;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return virtio_has(device, VIRTIO_NET_F_GUEST_TSO4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return virtio_has(device, VIRTIO_NET_F_GUEST_TSO6);
	case 5: /* UDP_L4 */
		return virtio_has(device, 54) || virtio_has(device, 55); /* GUEST_USO4, USO6 */
	default:
		return false;
	}
}

static enum model_fate fate_of(const struct net_model *model, const struct model_frame *frame)
{
	struct virtio_net_hdr_v1 header;
	bool tagged = frame->data[MODEL_HEADER_BYTES + 2 * ETH_ALEN] == ETH_P_8021Q >> 8;
	unsigned limit = MODEL_MTU + ETH_HLEN + (tagged ? 4 : 0);

	memcpy(&header, frame->data, sizeof(header));
	if (!header_allowed(model, &header))
		return MODEL_NEVER;
	if (virtio_has(model->device, VIRTIO_NET_F_MTU) &&
	    header.gso_type == VIRTIO_NET_HDR_GSO_NONE &&
	    frame->bytes - MODEL_HEADER_BYTES > limit)
		return MODEL_NEVER;
	if (model->commands)
		return MODEL_MAY_COME;
	return passes_filter(model, frame) ? MODEL_COMES : MODEL_NEVER;
}

void net_model_will_receive(struct net_model *model, const struct model_frame *frame)
{
	struct model_frame expected = *frame;

	expected.fate = fate_of(model, frame);
	queue_put(&model->to_guest, &expected);
}

/* But for what the device has to fill in. */
static bool same_received(const struct net_model *model, const struct model_frame *expected,
			  const struct model_frame *got)
{
	struct model_frame frame = *expected;
	struct virtio_net_hdr_v1 header, got_header;

	memcpy(&header, frame.data, sizeof(header));
	memcpy(&got_header, got->data, sizeof(header));
	header.num_buffers = got_header.num_buffers;
	if (!virtio_has(model->device, VIRTIO_NET_F_GUEST_CSUM))
		header.flags = 0;
	memcpy(frame.data, &header, sizeof(header));
	return same(&frame, got->data, got->bytes);
}

static bool may_miss(const struct net_model *model, const struct model_frame *frame, bool lossy)
{
	return lossy || frame->fate != MODEL_COMES || frame->bytes > model->least_buffer;
}

void net_model_received(struct net_model *model, const struct model_frame *frame, bool lossy)
{
	struct model_queue *queue = &model->to_guest;

	while (queue->count && (queue->frames->fate == MODEL_NEVER ||
				!same_received(model, queue->frames, frame))) {
		fuzz_check(may_miss(model, queue->frames, lossy));
		queue_drop(queue);
	}
	fuzz_check(queue->count);
	queue_drop(queue);
}

void net_model_none_left(struct net_model *model, bool lossy)
{
	for (; model->to_guest.count; queue_drop(&model->to_guest))
		fuzz_check(may_miss(model, model->to_guest.frames, lossy));
}

/* ---- Commands ---- */

static void append(struct net_command *command, const void *data, unsigned bytes)
{
	fuzz_check(bytes <= sizeof(command->data) - command->bytes);
	memcpy(command->data + command->bytes, data, bytes);
	command->bytes += bytes;
}

/* A few of the addresses; or more than a card need have room for. */
static void append_table(struct fuzz_input *input, struct net_command *command,
			 struct model_table *table, bool multicast)
{
	uint8_t choice = fuzz_u8(input);
	unsigned count = choice >= 0xfc ? 65 + choice % 4 : 0;
	uint32_t entries;

	table->overflow = count;
	for (unsigned i = 0; i < ARRAY_SIZE(addresses) && !count; i++)
		if (choice & 1u << i && !(addresses[i][0] & 1) == !multicast)
			table->has |= 1u << i;
	count += (unsigned)__builtin_popcount(table->has);
	entries = htole32(count);
	append(command, &entries, sizeof(entries));
	for (unsigned i = 0; table->overflow && i < count; i++)
		append(command, addresses[2], ETH_ALEN);
	for (unsigned i = 0; i < ARRAY_SIZE(addresses); i++)
		if (table->has & 1u << i)
			append(command, addresses[i], ETH_ALEN);
}

static void make_mode(struct net_model *model, struct fuzz_input *input,
		      struct net_command *command, uint8_t choice)
{
	uint8_t value = fuzz_u8(input) % 3;

	command->header = (struct virtio_net_ctrl_hdr){ VIRTIO_NET_CTRL_RX, choice / 4 % 7 };
	command->on = value;
	command->sound = value < 2 && command->header.cmd < MODEL_MODES &&
			 virtio_has(model->device, command->header.cmd <= 1 ?
						   VIRTIO_NET_F_CTRL_RX :
						   VIRTIO_NET_F_CTRL_RX_EXTRA);
	append(command, &command->header, sizeof(command->header));
	append(command, &value, sizeof(value));
}

static void make_tables(struct net_model *model, struct fuzz_input *input,
			struct net_command *command)
{
	command->header = (struct virtio_net_ctrl_hdr){
		VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET
	};
	command->sound = virtio_has(model->device, VIRTIO_NET_F_CTRL_RX);
	append(command, &command->header, sizeof(command->header));
	append_table(input, command, &command->unicast, false);
	/* Two of more entries than a table has do not fit into the guest's memory. */
	if (command->unicast.overflow)
		append(command, (uint8_t[4]){ 0 }, 4);
	else
		append_table(input, command, &command->multicast, true);
}

static void make_address(struct net_model *model, struct fuzz_input *input,
			 struct net_command *command)
{
	const uint8_t *address = addresses[fuzz_below(input, ARRAY_SIZE(addresses))];

	command->header = (struct virtio_net_ctrl_hdr){
		VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET
	};
	command->sound = !(address[0] & 1) &&
			 virtio_has(model->device, VIRTIO_NET_F_CTRL_MAC_ADDR);
	memcpy(command->mac, address, ETH_ALEN);
	append(command, &command->header, sizeof(command->header));
	append(command, address, ETH_ALEN);
}

static void make_pairs(struct net_model *model, struct fuzz_input *input,
		       struct net_command *command)
{
	uint16_t pairs = fuzz_u8(input) % 4;
	struct virtio_net_ctrl_mq body = { htole16(pairs) };

	command->header = (struct virtio_net_ctrl_hdr){
		VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET
	};
	command->sound = pairs >= 1 && pairs <= 2 && virtio_has(model->device, VIRTIO_NET_F_MQ);
	append(command, &command->header, sizeof(command->header));
	append(command, &body, sizeof(body));
}

void net_command_make(struct net_model *model, struct fuzz_input *input,
		      struct net_command *command)
{
	uint8_t choice = fuzz_u8(input);

	*command = (struct net_command){ 0 };
	switch (choice % 4) {
	case 0:
		make_mode(model, input, command, choice);
		break;
	case 1:
		make_tables(model, input, command);
		break;
	case 2:
		make_address(model, input, command);
		break;
	default:
		make_pairs(model, input, command);
		break;
	}
	if (choice >= 0xfc) { /* less than a header */
		command->sound = false;
		command->bytes = choice & 1;
	} else if (choice >= 0xf0) { /* longer or shorter than it says */
		command->sound = false;
		command->bytes = choice & 1 ? command->bytes - 1 : command->bytes + 1;
	} else if (choice >= 0xe0) { /* no such thing */
		command->sound = false;
		command->data[choice & 1] = 0x20 + choice % 16;
	}
	model->commands++;
	for (unsigned i = 0; i < model->to_guest.count; i++)
		if (model->to_guest.frames[i].fate != MODEL_NEVER || command->sound)
			model->to_guest.frames[i].fate = MODEL_MAY_COME;
}

void net_model_commanded(struct net_model *model, const struct net_command *command, bool ok)
{
	fuzz_check(ok == command->sound);
	model->commands--;
	if (!ok)
		return;
	if (command->header.class == VIRTIO_NET_CTRL_RX) {
		model->modes[command->header.cmd] = command->on;
	} else if (command->header.class == VIRTIO_NET_CTRL_MAC &&
		   command->header.cmd == VIRTIO_NET_CTRL_MAC_ADDR_SET) {
		memcpy(model->mac, command->mac, ETH_ALEN);
	} else if (command->header.class == VIRTIO_NET_CTRL_MAC) {
		model->unicast = command->unicast;
		model->multicast = command->multicast;
	}
}
