/* SPDX-License-Identifier: MIT */
/*
 * The driver's side of a modern virtio-pci device (virtio 1.2, 4.1): its structures, features,
 * status and queues. Tests that must break a rule reach the registers by common_read/write.
 */
#ifndef GUEST_KIT_VIRTIO_H
#define GUEST_KIT_VIRTIO_H

#include "kit/msix.h"
#include "kit/pci.h"
#include "kit/virtqueue.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>

#define VIRTIO_DEVICES_MAX	8
#define VIRTIO_QUEUES_MAX	20
#define VIRTIO_CAPABILITIES_MAX 16
#define VIRTIO_LINES_MAX	20
#define VIRTIO_RESET_NS		UINT64_C(5000000000)
#define VIRTIO_NOT_TRANSITIONAL 0x1040

/* Status before DRIVER_OK, and with it. */
#define VIRTIO_STATUS_READY                                                                        \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define VIRTIO_STATUS_LIVE (VIRTIO_STATUS_READY | VIRTIO_CONFIG_S_DRIVER_OK)

struct virtio_capability {
	uint8_t position, length, type, bar;
	uint32_t offset, bytes;
	uint64_t gpa; /* 0 when the BAR is not there */
};

struct virtio_device {
	struct pci_function *function;
	uint16_t type; /* VIRTIO_ID_* */
	char name[16]; /* "blk0" */
	struct virtio_capability capabilities[VIRTIO_CAPABILITIES_MAX];
	unsigned capability_count;
	const struct virtio_capability *common, *notify, *isr, *config, *pci_config;
	uint32_t notify_multiplier;
	struct msix msix;
	unsigned lines[VIRTIO_LINES_MAX]; /* by MSI-X entry; entry 0 is for config changes */
	unsigned line_count;
	uint64_t offered, negotiated;
	uint16_t queue_count;
	struct virtqueue queues[VIRTIO_QUEUES_MAX];
};

static inline uint8_t common_read8(const struct virtio_device *device, unsigned offset)
{
	return mmio_read8(device->common->gpa + offset);
}

static inline uint16_t common_read16(const struct virtio_device *device, unsigned offset)
{
	return mmio_read16(device->common->gpa + offset);
}

static inline uint32_t common_read32(const struct virtio_device *device, unsigned offset)
{
	return mmio_read32(device->common->gpa + offset);
}

static inline void common_write8(const struct virtio_device *device, unsigned offset, uint8_t value)
{
	mmio_write8(device->common->gpa + offset, value);
}

static inline void common_write16(const struct virtio_device *device, unsigned offset,
				  uint16_t value)
{
	mmio_write16(device->common->gpa + offset, value);
}

static inline void common_write32(const struct virtio_device *device, unsigned offset,
				  uint32_t value)
{
	mmio_write32(device->common->gpa + offset, value);
}

/* All virtio devices of bus 0, in order of their address; bails out without any. */
unsigned virtio_scan(struct virtio_device **devices);
/* Scans, and gives the first of a type; bails out without one. */
struct virtio_device *virtio_find(uint16_t type);

uint8_t virtio_status(const struct virtio_device *device);
void virtio_set_status(const struct virtio_device *device, uint8_t status);
/* Writes 0 and waits till it reads 0. */
bool virtio_reset(struct virtio_device *device);

bool virtio_needs_reset(const struct virtio_device *device);
/* Waits for it. */
bool virtio_needs_reset_within(const struct virtio_device *device, uint64_t ns);

uint64_t virtio_offered(const struct virtio_device *device);
void virtio_accept(const struct virtio_device *device, uint64_t features);
uint64_t virtio_accepted(const struct virtio_device *device);
/* Reset up to FEATURES_OK with exactly these bits and VERSION_1. False if the device refuses. */
bool virtio_negotiate(struct virtio_device *device, uint64_t features);
/* What a test takes that wants all that is offered but multiport; the packed ring, too. */
uint64_t virtio_usual_features(const struct virtio_device *device);

void virtio_select(const struct virtio_device *device, uint16_t queue);
uint16_t virtio_queue_max(const struct virtio_device *device, uint16_t queue);
/* Rings of `size` entries (0: 64) or the most, an MSI-X entry of its own, queue_enable = 1. */
void virtio_queue_setup(struct virtio_device *device, uint16_t queue, uint16_t size);
/* Writes what virtqueue_init() laid out, but does not enable the queue. */
void virtio_queue_program(struct virtio_device *device, uint16_t queue);
void virtio_queue_enable(const struct virtio_device *device, uint16_t queue);
/* MSI-X on, one line an entry, entry 0 for config changes. Before DRIVER_OK. */
void virtio_interrupts_setup(struct virtio_device *device);
void virtio_driver_ok(const struct virtio_device *device);

/* Up to DRIVER_OK, one queue with rings of so many entries that are not enabled. */
void virtio_prepare(struct virtio_device *device, uint64_t features, struct virtqueue *off,
		    uint16_t size);
/* All of it: negotiate (bails out on refusal), every queue, interrupts, DRIVER_OK. */
void virtio_start(struct virtio_device *device, uint64_t features);
/* The same, one queue with so many entries. */
void virtio_start_sized(struct virtio_device *device, uint64_t features,
			const struct virtqueue *queue, uint16_t size);

uint8_t virtio_config_read8(const struct virtio_device *device, unsigned offset);
uint16_t virtio_config_read16(const struct virtio_device *device, unsigned offset);
uint32_t virtio_config_read32(const struct virtio_device *device, unsigned offset);
uint64_t virtio_config_read64(const struct virtio_device *device, unsigned offset);

#endif
