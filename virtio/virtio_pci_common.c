// SPDX-License-Identifier: MIT
/*
 * The common configuration structure. A read puts the bytes together anew from
 * the device's state, so that every width and offset is defined; a write is one
 * field or nothing. vCPU threads, no lock of its own.
 */
#include "virtio/virtio_pci_common.h"

#include <linux/virtio_pci.h>

#include "base/bytes.h"
#include "virtio/registers.h"

_Static_assert(sizeof(struct virtio_pci_common_cfg) == VIRTIO_PCI_COMMON_Q_NDATA,
	       "what linux/virtio_pci.h describes ends where the later fields begin");
_Static_assert(VIRTIO_PCI_COMMON_Q_RESET + 2 <= VIRTIO_PCI_COMMON_BYTES, "all fields fit");
_Static_assert(MSIX_NO_VECTOR == VIRTIO_MSI_NO_VECTOR, "one word for no vector");

/* A write as one number: where, and how many bytes. */
#define FIELD(offset, length) ((offset) << 4 | (length))

#define HALF_BYTES 4
#define ADDRESS_BYTES 8

void virtio_pci_common_init(struct virtio_pci_common *common, struct virtio_device *device,
			    struct msix *msix)
{
	common->device = device;
	common->msix = msix;
	common->device_feature_select = 0;
	common->driver_feature_select = 0;
	common->queue_select = 0;
}

void virtio_pci_common_reset(struct virtio_pci_common *common)
{
	msix_unmap_all(common->msix);
	common->device_feature_select = 0;
	common->driver_feature_select = 0;
	common->queue_select = 0;
}

static uint16_t queue_vector(struct virtio_pci_common *common, unsigned queue)
{
	if (queue >= common->device->queue_count)
		return MSIX_NO_VECTOR;
	return msix_mapping(common->msix, VIRTIO_PCI_SOURCE_QUEUE(queue));
}

static void fill_device_fields(struct virtio_pci_common *common, uint8_t *bytes)
{
	struct virtio_device *device = common->device;
	uint32_t offered = common->device_feature_select;
	uint32_t wanted = common->driver_feature_select;

	store_le32(bytes + VIRTIO_PCI_COMMON_DFSELECT, offered);
	if (offered < 2)
		store_le32(bytes + VIRTIO_PCI_COMMON_DF,
			   (uint32_t)(device->offered >> (offered * 32)));
	store_le32(bytes + VIRTIO_PCI_COMMON_GFSELECT, wanted);
	store_le32(bytes + VIRTIO_PCI_COMMON_GF, virtio_get_driver_features(device, wanted));
	store_le16(bytes + VIRTIO_PCI_COMMON_MSIX,
		   msix_mapping(common->msix, VIRTIO_PCI_SOURCE_CONFIG));
	store_le16(bytes + VIRTIO_PCI_COMMON_NUMQ, (uint16_t)device->queue_count);
	bytes[VIRTIO_PCI_COMMON_STATUS] = virtio_get_status(device);
}

static void fill_queue_fields(struct virtio_pci_common *common, uint8_t *bytes)
{
	struct virtio_device *device = common->device;
	uint16_t queue = common->queue_select;

	store_le16(bytes + VIRTIO_PCI_COMMON_Q_SELECT, queue);
	store_le16(bytes + VIRTIO_PCI_COMMON_Q_SIZE, virtio_queue_size(device, queue));
	store_le16(bytes + VIRTIO_PCI_COMMON_Q_MSIX, queue_vector(common, queue));
	store_le16(bytes + VIRTIO_PCI_COMMON_Q_ENABLE, virtio_queue_enabled(device, queue));
	store_le16(bytes + VIRTIO_PCI_COMMON_Q_NOFF, queue < device->queue_count ? queue : 0);
	store_le64(bytes + VIRTIO_PCI_COMMON_Q_DESCLO,
		   virtio_queue_address(device, queue, VIRTIO_RING_DESC));
	store_le64(bytes + VIRTIO_PCI_COMMON_Q_AVAILLO,
		   virtio_queue_address(device, queue, VIRTIO_RING_AVAIL));
	store_le64(bytes + VIRTIO_PCI_COMMON_Q_USEDLO,
		   virtio_queue_address(device, queue, VIRTIO_RING_USED));
	store_le16(bytes + VIRTIO_PCI_COMMON_Q_RESET, virtio_queue_resetting(device, queue));
}

uint64_t virtio_pci_common_read(struct virtio_pci_common *common, uint64_t offset,
				unsigned length)
{
	uint8_t bytes[VIRTIO_PCI_COMMON_BYTES + sizeof(uint64_t)] = { 0 };

	if (offset >= VIRTIO_PCI_COMMON_BYTES)
		return 0;
	if (offset < VIRTIO_PCI_COMMON_Q_SELECT)
		fill_device_fields(common, bytes);
	if (offset + length > VIRTIO_PCI_COMMON_Q_SELECT)
		fill_queue_fields(common, bytes);
	/* Only if asked for: a read of the generation is the driver's mark of a change. */
	if (ranges_overlap(offset, length, VIRTIO_PCI_COMMON_CFGGENERATION, 1))
		bytes[VIRTIO_PCI_COMMON_CFGGENERATION] =
			(uint8_t)virtio_config_generation(common->device);
	return load_le(bytes + offset, length);
}

static void write_queue_vector(struct virtio_pci_common *common, uint16_t vector)
{
	uint16_t queue = common->queue_select;

	if (queue < common->device->queue_count)
		msix_map(common->msix, VIRTIO_PCI_SOURCE_QUEUE(queue), vector);
}

/* 2.6.1: a queue that was reset is as after power-on, its vector as well. */
static void write_queue_reset(struct virtio_pci_common *common)
{
	virtio_queue_reset(common->device, common->queue_select);
	if (virtio_has(common->device, VIRTIO_F_RING_RESET))
		write_queue_vector(common, MSIX_NO_VECTOR);
}

/* One of the three addresses of a queue, whole or one half. */
static void write_address(struct virtio_pci_common *common, uint64_t offset, unsigned length,
			  uint64_t value)
{
	uint64_t position = offset - VIRTIO_PCI_COMMON_Q_DESCLO;
	enum virtio_ring_part part = (enum virtio_ring_part)(position / ADDRESS_BYTES);
	uint16_t queue = common->queue_select;
	uint8_t bytes[ADDRESS_BYTES];

	if (length < HALF_BYTES || !is_aligned(position, length))
		return;
	store_le64(bytes, virtio_queue_address(common->device, queue, part));
	store_le(bytes + position % ADDRESS_BYTES, value, length);
	virtio_queue_set_address(common->device, queue, part, load_le64(bytes));
}

void virtio_pci_common_write(struct virtio_pci_common *common, uint64_t offset, unsigned length,
			     uint64_t value)
{
	struct virtio_device *device = common->device;

	if (offset >= VIRTIO_PCI_COMMON_Q_DESCLO && offset < VIRTIO_PCI_COMMON_Q_NDATA) {
		write_address(common, offset, length, value);
		return;
	}
	switch (FIELD(offset, length)) {
	case FIELD(VIRTIO_PCI_COMMON_DFSELECT, 4):
		common->device_feature_select = (uint32_t)value;
		break;
	case FIELD(VIRTIO_PCI_COMMON_GFSELECT, 4):
		common->driver_feature_select = (uint32_t)value;
		break;
	case FIELD(VIRTIO_PCI_COMMON_GF, 4):
		virtio_set_driver_features(device, common->driver_feature_select, (uint32_t)value);
		break;
	case FIELD(VIRTIO_PCI_COMMON_MSIX, 2):
		msix_map(common->msix, VIRTIO_PCI_SOURCE_CONFIG, (uint16_t)value);
		break;
	case FIELD(VIRTIO_PCI_COMMON_Q_SELECT, 2):
		common->queue_select = (uint16_t)value;
		break;
	case FIELD(VIRTIO_PCI_COMMON_Q_SIZE, 2):
		virtio_queue_set_size(device, common->queue_select, (uint16_t)value);
		break;
	case FIELD(VIRTIO_PCI_COMMON_Q_MSIX, 2):
		write_queue_vector(common, (uint16_t)value);
		break;
	case FIELD(VIRTIO_PCI_COMMON_Q_ENABLE, 2):
		if (value == 1)
			virtio_queue_enable(device, common->queue_select);
		break;
	case FIELD(VIRTIO_PCI_COMMON_Q_RESET, 2):
		if (value == 1)
			write_queue_reset(common);
		break;
	}
}
