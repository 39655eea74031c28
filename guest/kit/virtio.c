// SPDX-License-Identifier: MIT
/* The driver's side of a modern virtio-pci device. */
#include "kit/virtio.h"
#include "kit/tap.h"
#include "kit/text.h"

#define VENDOR_VIRTIO	  0x1af4
#define FUNCTIONS_MAX	  32
#define DEFAULT_RING_SIZE 64

static const char *type_name(uint16_t type)
{
	switch (type) {
	case VIRTIO_ID_NET:
		return "net";
	case VIRTIO_ID_BLOCK:
		return "blk";
	case VIRTIO_ID_CONSOLE:
		return "console";
	case VIRTIO_ID_RNG:
		return "rng";
	default:
		return "virtio";
	}
}

static void read_capability(struct virtio_device *device, uint8_t at)
{
	const struct pci_function *function = device->function;
	struct virtio_capability *found = &device->capabilities[device->capability_count++];
	uint8_t bar = pci_read8(function, at + VIRTIO_PCI_CAP_BAR);

	*found = (struct virtio_capability){
		at,
		pci_read8(function, at + VIRTIO_PCI_CAP_LEN),
		pci_read8(function, at + VIRTIO_PCI_CAP_CFG_TYPE),
		bar,
		pci_read32(function, at + VIRTIO_PCI_CAP_OFFSET),
		pci_read32(function, at + VIRTIO_PCI_CAP_LENGTH),
		0,
	};
	if (bar < PCI_BARS && function->bars[bar].bytes)
		found->gpa = function->bars[bar].base + found->offset;
}

/* The first of each type is the one a driver should use. */
static void use_capability(struct virtio_device *device, const struct virtio_capability *found)
{
	const struct virtio_capability **use;

	switch (found->type) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		use = &device->common;
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		use = &device->notify;
		break;
	case VIRTIO_PCI_CAP_ISR_CFG:
		use = &device->isr;
		break;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		use = &device->config;
		break;
	case VIRTIO_PCI_CAP_PCI_CFG:
		use = &device->pci_config;
		break;
	default:
		return;
	}
	if (!*use)
		*use = found;
}

static void count_queues(struct virtio_device *device)
{
	device->queue_count = common_read16(device, VIRTIO_PCI_COMMON_NUMQ);
	if (device->queue_count > VIRTIO_QUEUES_MAX)
		device->queue_count = VIRTIO_QUEUES_MAX;
}

static void device_init(struct virtio_device *device, struct pci_function *function)
{
	device->function = function;
	device->type = (uint16_t)(pci_read16(function, PCI_DEVICE_ID) - VIRTIO_NOT_TRANSITIONAL);
	for (uint8_t at = pci_capability(function, PCI_CAP_ID_VNDR, 0);
	     at && device->capability_count < VIRTIO_CAPABILITIES_MAX;
	     at = pci_capability(function, PCI_CAP_ID_VNDR, at))
		read_capability(device, at);
	for (unsigned i = 0; i < device->capability_count; i++)
		use_capability(device, &device->capabilities[i]);
	if (!device->common || !device->notify || !device->isr)
		bail_out("%s has no common, notify or ISR capability", device->name);
	device->notify_multiplier =
		pci_read32(function, device->notify->position + VIRTIO_PCI_NOTIFY_CAP_MULT);
	msix_init(&device->msix, function);
	device->line_count = device->msix.count;
	if (device->line_count > VIRTIO_LINES_MAX)
		device->line_count = VIRTIO_LINES_MAX;
	for (unsigned i = 0; i < device->line_count; i++)
		device->lines[i] = arch_line_new();
	count_queues(device);
	for (uint16_t i = 0; i < VIRTIO_QUEUES_MAX; i++)
		device->queues[i].index = i;
	device->offered = virtio_offered(device);
}

unsigned virtio_scan(struct virtio_device **devices)
{
	static struct pci_function functions[FUNCTIONS_MAX];
	static struct virtio_device found[VIRTIO_DEVICES_MAX];
	unsigned function_count = pci_scan(functions, FUNCTIONS_MAX);
	unsigned count = 0;

	for (unsigned i = 0; i < function_count && count < VIRTIO_DEVICES_MAX; i++) {
		struct virtio_device *device = &found[count];
		unsigned same = 0;

		if (pci_read16(&functions[i], PCI_VENDOR_ID) != VENDOR_VIRTIO ||
		    pci_read16(&functions[i], PCI_DEVICE_ID) < VIRTIO_NOT_TRANSITIONAL)
			continue;
		device->type = (uint16_t)(pci_read16(&functions[i], PCI_DEVICE_ID) -
					  VIRTIO_NOT_TRANSITIONAL);
		for (unsigned j = 0; j < count; j++)
			same += found[j].type == device->type;
		text_format(device->name, sizeof(device->name), "%s%u", type_name(device->type),
			    same);
		device_init(device, &functions[i]);
		count++;
	}
	if (!count)
		bail_out("no virtio device");
	*devices = found;
	return count;
}

struct virtio_device *virtio_find(uint16_t type)
{
	struct virtio_device *devices;
	unsigned count = virtio_scan(&devices);

	for (unsigned i = 0; i < count; i++)
		if (devices[i].type == type)
			return &devices[i];
	bail_out("no %s device", type_name(type));
}

uint8_t virtio_status(const struct virtio_device *device)
{
	return common_read8(device, VIRTIO_PCI_COMMON_STATUS);
}

void virtio_set_status(const struct virtio_device *device, uint8_t status)
{
	common_write8(device, VIRTIO_PCI_COMMON_STATUS, status);
}

bool virtio_reset(struct virtio_device *device)
{
	uint64_t end = arch_now_ns() + VIRTIO_RESET_NS;

	virtio_set_status(device, 0);
	device->negotiated = 0;
	while (virtio_status(device)) {
		if (arch_now_ns() > end)
			return false;
		wait_step(300000);
	}
	/* Interrupts were off: what was raised before the reset is counted now. */
	arch_wait_ns(50000);
	return true;
}

bool virtio_needs_reset(const struct virtio_device *device)
{
	return virtio_status(device) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

bool virtio_needs_reset_within(const struct virtio_device *device, uint64_t ns)
{
	uint64_t end = arch_now_ns() + ns;

	while (!virtio_needs_reset(device)) {
		if (arch_now_ns() > end)
			return false;
		wait_step(300000);
	}
	return true;
}

static uint64_t read_features(const struct virtio_device *device, unsigned select, unsigned value)
{
	uint64_t features;

	common_write32(device, select, 0);
	features = common_read32(device, value);
	common_write32(device, select, 1);
	return features | (uint64_t)common_read32(device, value) << 32;
}

uint64_t virtio_offered(const struct virtio_device *device)
{
	return read_features(device, VIRTIO_PCI_COMMON_DFSELECT, VIRTIO_PCI_COMMON_DF);
}

uint64_t virtio_accepted(const struct virtio_device *device)
{
	return read_features(device, VIRTIO_PCI_COMMON_GFSELECT, VIRTIO_PCI_COMMON_GF);
}

void virtio_accept(const struct virtio_device *device, uint64_t features)
{
	common_write32(device, VIRTIO_PCI_COMMON_GFSELECT, 0);
	common_write32(device, VIRTIO_PCI_COMMON_GF, (uint32_t)features);
	common_write32(device, VIRTIO_PCI_COMMON_GFSELECT, 1);
	common_write32(device, VIRTIO_PCI_COMMON_GF, (uint32_t)(features >> 32));
}

bool virtio_negotiate(struct virtio_device *device, uint64_t features)
{
	uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	features |= BIT64(VIRTIO_F_VERSION_1);
	if (!virtio_reset(device))
		return false;
	virtio_set_status(device, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_set_status(device, status);
	virtio_accept(device, features);
	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	virtio_set_status(device, status);
	if (virtio_status(device) != status)
		return false;
	device->negotiated = features;
	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
		device->queues[i].is_packed = features & BIT64(VIRTIO_F_RING_PACKED);
	/* Some devices have queues only for features that were accepted. */
	count_queues(device);
	return true;
}

uint64_t virtio_usual_features(const struct virtio_device *device)
{
	uint64_t features =
		device->offered & ~(BIT64(VIRTIO_F_SR_IOV) | BIT64(38) /* NOTIFICATION_DATA */);

	/* Multiport needs a talk on the control queues before a port may speak. */
	if (device->type == VIRTIO_ID_CONSOLE)
		features &= ~BIT64(1 /* VIRTIO_CONSOLE_F_MULTIPORT */);
	return features;
}

void virtio_select(const struct virtio_device *device, uint16_t queue)
{
	common_write16(device, VIRTIO_PCI_COMMON_Q_SELECT, queue);
}

uint16_t virtio_queue_max(const struct virtio_device *device, uint16_t queue)
{
	virtio_select(device, queue);
	return common_read16(device, VIRTIO_PCI_COMMON_Q_SIZE);
}

static void write_address(const struct virtio_device *device, unsigned offset, volatile void *ring)
{
	common_write32(device, offset, (uint32_t)(uint64_t)ring);
	common_write32(device, offset + 4, (uint32_t)((uint64_t)ring >> 32));
}

void virtio_queue_program(struct virtio_device *device, uint16_t index)
{
	struct virtqueue *queue = &device->queues[index];
	struct virtqueue_areas areas = virtqueue_areas(queue);

	virtio_select(device, index);
	queue->event_idx = device->negotiated & BIT64(VIRTIO_RING_F_EVENT_IDX);
	queue->notify_gpa =
		device->notify->gpa + (uint64_t)device->notify_multiplier *
					      common_read16(device, VIRTIO_PCI_COMMON_Q_NOFF);
	common_write16(device, VIRTIO_PCI_COMMON_Q_SIZE, queue->size);
	write_address(device, VIRTIO_PCI_COMMON_Q_DESCLO, areas.desc);
	write_address(device, VIRTIO_PCI_COMMON_Q_AVAILLO, areas.driver);
	write_address(device, VIRTIO_PCI_COMMON_Q_USEDLO, areas.device);
	if (!device->line_count)
		return;
	queue->entry = 1u + index < device->line_count ? 1u + index : device->line_count - 1;
	queue->line = device->lines[queue->entry];
	common_write16(device, VIRTIO_PCI_COMMON_Q_MSIX, (uint16_t)queue->entry);
}

void virtio_queue_enable(const struct virtio_device *device, uint16_t queue)
{
	virtio_select(device, queue);
	common_write16(device, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
}

void virtio_queue_setup(struct virtio_device *device, uint16_t queue, uint16_t size)
{
	uint16_t max = virtio_queue_max(device, queue);

	/* Not there without a feature that was not accepted. */
	device->queues[queue].size = 0;
	if (!max)
		return;
	if (!size)
		size = DEFAULT_RING_SIZE;
	virtqueue_init(&device->queues[queue], size < max ? size : max);
	virtio_queue_program(device, queue);
	virtio_queue_enable(device, queue);
}

void virtio_interrupts_setup(struct virtio_device *device)
{
	if (!device->line_count)
		return;
	msix_mask_function(&device->msix, false);
	msix_enable(&device->msix, true);
	for (unsigned i = 0; i < device->line_count; i++)
		msix_set(&device->msix, i, arch_line_message(device->lines[i], 0));
	common_write16(device, VIRTIO_PCI_COMMON_MSIX, 0);
}

void virtio_driver_ok(const struct virtio_device *device)
{
	virtio_set_status(device, virtio_status(device) | VIRTIO_CONFIG_S_DRIVER_OK);
}

void virtio_prepare(struct virtio_device *device, uint64_t features, struct virtqueue *off,
		    uint16_t size)
{
	virtio_negotiate(device, features);
	virtio_interrupts_setup(device);
	for (uint16_t i = 0; i < device->queue_count; i++)
		if (&device->queues[i] != off)
			virtio_queue_setup(device, i, 0);
	virtqueue_init(off, size);
	virtio_queue_program(device, off->index);
}

void virtio_start_sized(struct virtio_device *device, uint64_t features,
			const struct virtqueue *queue, uint16_t size)
{
	if (!virtio_negotiate(device, features))
		bail_out("%s refuses features %lx, status %x", device->name, features,
			 virtio_status(device));
	virtio_interrupts_setup(device);
	for (uint16_t i = 0; i < device->queue_count; i++)
		virtio_queue_setup(device, i, &device->queues[i] == queue ? size : 0);
	virtio_driver_ok(device);
}

void virtio_start(struct virtio_device *device, uint64_t features)
{
	virtio_start_sized(device, features, NULL, 0);
}

uint8_t virtio_config_read8(const struct virtio_device *device, unsigned offset)
{
	return mmio_read8(device->config->gpa + offset);
}

uint16_t virtio_config_read16(const struct virtio_device *device, unsigned offset)
{
	return mmio_read16(device->config->gpa + offset);
}

uint32_t virtio_config_read32(const struct virtio_device *device, unsigned offset)
{
	return mmio_read32(device->config->gpa + offset);
}

uint64_t virtio_config_read64(const struct virtio_device *device, unsigned offset)
{
	return virtio_config_read32(device, offset) |
	       (uint64_t)virtio_config_read32(device, offset + 4) << 32;
}
