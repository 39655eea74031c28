/* SPDX-License-Identifier: MIT */
/*
 * A network device on a link made of socket pairs: the test is the wire. Frames
 * have a header as a tap's have, unless the rig was made without.
 */
#ifndef TESTS_UNIT_NET_RIG_H
#define TESTS_UNIT_NET_RIG_H

#include "tests/unit/unit.h"
#include "tests/unit/driver.h"

#include <sys/mman.h>

#include "virtio/net_device.h"

#define RIG_TIMEOUT_MS DRIVER_TIMEOUT_MS
#define RIG_QUIET_MS 100 /* for what must not come */

#define ALL_OFFLOADS (LINK_CSUM | LINK_TSO4 | LINK_TSO6 | LINK_ECN | LINK_USO)

struct rig_config {
	unsigned pairs;	  /* 0: 1 */
	unsigned workers; /* 0: 1 */
	bool bare;	  /* a link without headers */
	bool vhost;	  /* the kernel serves it: for who plays the kernel */
	bool calls;	  /* a link whose files don't know RWF_NOWAIT */
	unsigned mtu;
	uint64_t refused; /* features */
	uint16_t queue_size;
};

struct rig {
	struct driver *driver;
	struct net *net;
	bool bare;
	bool paused; /* once: buffers may have been returned empty */
	int wires[LINK_QUEUES_MAX]; /* the far ends */
	/* What the device told the link last. */
	_Atomic unsigned offloads;
	_Atomic bool active[LINK_QUEUES_MAX];
};

extern const uint8_t rig_mac[ETH_ALEN];

/* begin: negotiate all but what is refused, set up, DRIVER_OK. */
struct rig *rig_create(const struct rig_config *config);
struct rig *rig_begin(const struct rig_config *config);
void rig_destroy(struct rig *rig);

struct driver_queue *rig_rx(struct rig *rig, unsigned pair);
struct driver_queue *rig_tx(struct rig *rig, unsigned pair);
struct driver_queue *rig_control(struct rig *rig);

/* A frame of `bytes` to the device's own address, its payload made from `seed`. */
void frame_make(uint8_t *frame, size_t bytes, unsigned seed);

/* The wire: false if nothing came in time. Without a header for a NULL one. */
void wire_send(struct rig *rig, unsigned pair, const struct virtio_net_hdr_v1 *header,
	       const uint8_t *frame, size_t bytes);
bool wire_receive(struct rig *rig, unsigned pair, struct virtio_net_hdr_v1 *header,
		  uint8_t *frame, size_t *bytes, int timeout_ms);

/* Puts `count` buffers of `bytes` each up to receive into, and kicks. */
void rx_post(struct rig *rig, unsigned pair, unsigned count, uint32_t bytes);
/* The next frame whole, from as many buffers as it says; false if none came in time. */
bool rx_take(struct rig *rig, unsigned pair, struct virtio_net_hdr_v1 *header, uint8_t *frame,
	     size_t *bytes, int timeout_ms);
/* One frame on the wire must arrive just so. */
void rx_expect(struct rig *rig, unsigned pair, size_t bytes, unsigned seed);

/* A frame from the guest, in one part for the header and `parts` for the rest; not waited for. */
void tx_post(struct rig *rig, unsigned pair, const uint8_t *frame, size_t bytes, unsigned parts);
/* Waits until `count` transmit chains have been used, each with length 0. */
void tx_reap(struct rig *rig, unsigned pair, unsigned count);

/* One command; the ack, or 0xff if there was none. */
uint8_t control(struct rig *rig, uint8_t class, uint8_t command, const void *data, uint32_t bytes);

/* Whether the host's sockets know RWF_NOWAIT, as taps do. */
bool rig_wire_nowait(struct rig *rig);

/* CPU time that the first worker takes within RIG_QUIET_MS, in microseconds. */
uint64_t rig_quiet_cpu_us(struct rig *rig);
void rig_nap_ms(unsigned ms);
uint64_t rig_now_us(void);

#endif
