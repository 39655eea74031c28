/* SPDX-License-Identifier: MIT */
/*
 * One request that each device completes by itself, so that the tests of rings, interrupts and
 * resets are the same for all: blk reads a sector, net transmits a frame, console a newline, rng
 * gives random bytes. Data is checked as far as the device gives any.
 */
#ifndef GUEST_KIT_SUBJECT_H
#define GUEST_KIT_SUBJECT_H

#include "kit/virtio.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_net.h>

#define REQUEST_PARTS	   3
#define REQUEST_DATA_BYTES 512
#define REQUEST_NS	   UINT64_C(10000000000)

struct request {
	struct part parts[REQUEST_PARTS];
	unsigned count;
	uint32_t readable_bytes, writable_bytes;
	uint32_t written_min, written_max; /* what the used element may say */
	uint32_t sector;		   /* blk */
	union {
		struct virtio_blk_outhdr blk;
		struct virtio_net_hdr_mrg_rxbuf net;
	} header;
	uint8_t data[REQUEST_DATA_BYTES];
	uint8_t status;
};

/* The queue that requests go to. */
struct virtqueue *subject_queue(struct virtio_device *device);

/* The queue that takes a network card's commands. */
struct virtqueue *net_control_queue(struct virtio_device *device);

/* Fills in the parts, and poisons what the device shall write. `number` varies the request. */
void request_init(struct request *request, const struct virtio_device *device, unsigned number);
/* Fills it in, and adds it to the subject's queue; nothing is published. */
void request_add(struct request *request, struct virtio_device *device, unsigned number);
/* Right length, right status, right data; says what is wrong. */
bool request_check(const struct request *request, const struct virtio_device *device,
		   const struct used *used);

/* A request added, kicked, waited for and checked on the subject's queue. */
bool subject_works(struct virtio_device *device);

/* The same from a reset on, with the usual features. */
bool subject_restarts(struct virtio_device *device);

/* Scans, then runs the tests of a section on each device. */
void for_each_device(void (*test)(struct virtio_device *device));

#endif
