/* SPDX-License-Identifier: MIT */
/*
 * What a network card owes to its driver and to its link (virtio 1.2, 5.1.6):
 * frames on their way in each direction, the receive filter, and what each
 * command of the control queue comes to. Written from the specification, and
 * knows nothing of the device's code. One thread.
 */
#ifndef TESTS_FUZZ_NET_MODEL_H
#define TESTS_FUZZ_NET_MODEL_H

#include <linux/if_ether.h>
#include <linux/virtio_net.h>

#include "tests/fuzz/fuzz.h"
#include "virtio/virtio.h"

#define MODEL_FRAME_BYTES 4096
#define MODEL_FRAMES 64
#define MODEL_COMMAND_BYTES 600
#define MODEL_MTU 1000
#define MODEL_HEADER_BYTES sizeof(struct virtio_net_hdr_v1)
#define MODEL_MODES (VIRTIO_NET_CTRL_RX_NOBCAST + 1)

enum model_fate { MODEL_COMES, MODEL_MAY_COME, MODEL_NEVER };

struct model_frame {
	unsigned bytes; /* with the header */
	enum model_fate fate;
	uint8_t data[MODEL_FRAME_BYTES];
};

struct model_queue {
	struct model_frame frames[MODEL_FRAMES];
	unsigned count;
};

struct model_table {
	unsigned count; /* of model_addresses[], as bits of `has` if they are known */
	unsigned has;
	bool overflow;
};

struct net_command {
	uint8_t data[MODEL_COMMAND_BYTES];
	unsigned bytes;
	bool sound;
	struct virtio_net_ctrl_hdr header;
	bool on;
	uint8_t mac[ETH_ALEN];
	struct model_table unicast, multicast;
};

struct net_model {
	const struct virtio_device *device;
	bool headers; /* of the link's; where it has none, the guest's are of zeros */
	struct model_queue to_link, to_guest;
	bool modes[MODEL_MODES];
	uint8_t mac[ETH_ALEN];
	struct model_table unicast, multicast;
	uint16_t made;	       /* frames, which have their number in the source address */
	unsigned commands;     /* under way: the filter is one or the other */
	unsigned least_buffer; /* that the driver has posted: a frame that fits is never dropped */
};

extern const uint8_t model_mac[ETH_ALEN]; /* the card's own */

/* Features are negotiated: no offloads without headers. */
void net_model_begin(struct net_model *model, const struct virtio_device *device, bool headers);

/* A frame of up to `most` bytes, and perhaps one that a card does not take. */
void net_frame_make(struct net_model *model, struct fuzz_input *input, struct model_frame *frame,
		    unsigned most);

/* From the driver to the link. `lossy`: the link has failed, frames may be missing. */
void net_model_will_send(struct net_model *model, const struct model_frame *frame);
void net_model_sent(struct net_model *model, const uint8_t *data, unsigned bytes, bool lossy);

/* From the link to the driver. */
void net_model_will_receive(struct net_model *model, const struct model_frame *frame);
void net_model_received(struct net_model *model, const struct model_frame *frame, bool lossy);
/* The link's frames have all been read. */
void net_model_none_left(struct net_model *model, bool lossy);

void net_command_make(struct net_model *model, struct fuzz_input *input,
		      struct net_command *command);
void net_model_commanded(struct net_model *model, const struct net_command *command, bool ok);

#endif
