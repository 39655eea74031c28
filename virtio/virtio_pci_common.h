/* SPDX-License-Identifier: MIT */
/*
 * The common configuration structure (virtio 1.2, 4.1.4.3) as bytes at an
 * offset. What it selects and shows is kept here, all else is the device's
 * (virtio/registers.h) and MSI-X's. vCPU threads; the selectors are one word
 * each, so two vCPUs that race get each other's queue, as on real hardware.
 */
#ifndef VIRTIO_VIRTIO_PCI_COMMON_H
#define VIRTIO_VIRTIO_PCI_COMMON_H

#include <stdatomic.h>
#include <stdint.h>

#include "hw/msix.h"
#include "virtio/virtio.h"

/* Up to and with queue_reset, rounded up. */
#define VIRTIO_PCI_COMMON_BYTES 64

/* The MSI-X sources of a device. */
#define VIRTIO_PCI_SOURCE_CONFIG 0
#define VIRTIO_PCI_SOURCE_QUEUE(index) (1 + (index))

struct virtio_pci_common {
	struct virtio_device *device;
	struct msix *msix;
	_Atomic uint32_t device_feature_select, driver_feature_select;
	_Atomic uint16_t queue_select;
};

void virtio_pci_common_init(struct virtio_pci_common *common, struct virtio_device *device,
			    struct msix *msix);

/* Selectors and vectors as after power-on; the device is its own. */
void virtio_pci_common_reset(struct virtio_pci_common *common);

/* offset + length may exceed the structure: bytes that are not there read as 0. */
uint64_t virtio_pci_common_read(struct virtio_pci_common *common, uint64_t offset,
				unsigned length);

/*
 * Writes count only if they are one whole field (a queue's address: half of it,
 * or all). device_status is not handled here but by the transport.
 */
void virtio_pci_common_write(struct virtio_pci_common *common, uint64_t offset, unsigned length,
			     uint64_t value);

#endif
