// SPDX-License-Identifier: MIT
/*
 * C01-C14: what virtio 1.2 section 4.1 (Virtio Over PCI Bus) and PCI itself ask of a device's
 * configuration space, capabilities and BARs.
 */
#include "kit/subject.h"
#include "kit/tap.h"
#include "kit/text.h"

#define COMMON_BYTES	   56
#define COMMON_BYTES_RESET 60
#define NOTIFY_CAP_BYTES   20
#define SUBSYSTEM_MODERN   0x40
#define FIRST_CAPABILITY   0x40
#define PCI_CFG_DATA	   16
#define QUIET_NS	   100000000
#define TYPE_VENDOR	   9

static void c01_identity(struct virtio_device *device)
{
	const struct pci_function *function = device->function;

	ok(pci_read16(function, PCI_VENDOR_ID) == 0x1af4 &&
		   pci_read16(function, PCI_DEVICE_ID) == VIRTIO_NOT_TRANSITIONAL + device->type,
	   "C01 %s: vendor 0x1af4, device 0x1040 + type", device->name);
	ok(pci_read8(function, PCI_REVISION_ID) >= 1, "C01 %s: revision is at least 1",
	   device->name);
	ok(pci_read16(function, PCI_SUBSYSTEM_ID) >= SUBSYSTEM_MODERN,
	   "C01 %s: subsystem id %x is at least 0x40", device->name,
	   pci_read16(function, PCI_SUBSYSTEM_ID));
}

static void c02_capability_list(struct virtio_device *device)
{
	const struct pci_function *function = device->function;
	uint8_t at = pci_read8(function, PCI_CAPABILITY_LIST);
	uint8_t seen[256] = { 0 };
	bool good = true;

	for (; at && !seen[at]; at = pci_read8(function, at + PCI_CAP_LIST_NEXT)) {
		seen[at] = 1;
		good = good && at >= FIRST_CAPABILITY && !(at & 3);
	}
	ok(good && !at, "C02 %s: capabilities are aligned, behind the header, without loop",
	   device->name);
	ok(pci_read16(function, PCI_STATUS) & PCI_STATUS_CAP_LIST, "C02 %s: status says so",
	   device->name);
	ok((pci_read8(function, PCI_HEADER_TYPE) & 0x7f) == PCI_HEADER_TYPE_NORMAL,
	   "C02 %s: header type 0", device->name);
}

static void c03_to_c07_structures(struct virtio_device *device)
{
	uint32_t common_bytes =
		device->offered & BIT64(VIRTIO_F_RING_RESET) ? COMMON_BYTES_RESET : COMMON_BYTES;
	uint32_t multiplier = device->notify_multiplier;
	bool fits = true;

	ok(!(device->common->offset & 3) && device->common->bytes >= common_bytes,
	   "C03 %s: common configuration of %u bytes at %x", device->name, device->common->bytes,
	   device->common->offset);
	ok(!(device->notify->offset & 1) && !(multiplier & (multiplier - 1)) && multiplier != 1,
	   "C04 %s: notification at %x, multiplier %u", device->name, device->notify->offset,
	   multiplier);
	for (uint16_t queue = 0; queue < device->queue_count; queue++) {
		uint64_t end;

		virtio_select(device, queue);
		end = (uint64_t)multiplier * common_read16(device, VIRTIO_PCI_COMMON_Q_NOFF) + 2;
		fits = fits && end <= device->notify->bytes;
	}
	ok(fits, "C05 %s: each queue's doorbell lies inside the structure", device->name);
	ok(device->isr->bytes >= 1, "C06 %s: ISR status is there", device->name);
	if (device->type == VIRTIO_ID_RNG)
		return;
	ok(device->config && !(device->config->offset & 3), "C07 %s: device configuration is there",
	   device->name);
}

/* Where the window looks, then a read of `bytes` through it. */
static uint32_t window_read(const struct virtio_device *device,
			    const struct virtio_capability *target, uint32_t offset, uint32_t bytes)
{
	const struct pci_function *function = device->function;
	uint8_t at = device->pci_config->position;

	pci_write8(function, at + VIRTIO_PCI_CAP_BAR, target->bar);
	pci_write32(function, at + VIRTIO_PCI_CAP_OFFSET, target->offset + offset);
	pci_write32(function, at + VIRTIO_PCI_CAP_LENGTH, bytes);
	if (bytes == 1)
		return pci_read8(function, at + PCI_CFG_DATA);
	if (bytes == 2)
		return pci_read16(function, at + PCI_CFG_DATA);
	return pci_read32(function, at + PCI_CFG_DATA);
}

static void c08_window(struct virtio_device *device)
{
	const struct virtio_capability *common = device->common;

	if (!ok(device->pci_config && device->pci_config->length >= NOTIFY_CAP_BYTES,
		"C08 %s: configuration access capability is there", device->name))
		return;
	virtio_reset(device);
	virtio_set_status(device, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	common_write32(device, VIRTIO_PCI_COMMON_DFSELECT, 1);
	virtio_select(device, 0);
	ok(window_read(device, common, VIRTIO_PCI_COMMON_STATUS, 1) ==
			   VIRTIO_CONFIG_S_ACKNOWLEDGE &&
		   window_read(device, common, VIRTIO_PCI_COMMON_Q_SIZE, 2) ==
			   common_read16(device, VIRTIO_PCI_COMMON_Q_SIZE) &&
		   window_read(device, common, VIRTIO_PCI_COMMON_DF, 4) ==
			   common_read32(device, VIRTIO_PCI_COMMON_DF),
	   "C08 %s: reads of 1, 2 and 4 bytes through it are those of MMIO", device->name);
	window_read(device, common, VIRTIO_PCI_COMMON_STATUS, 1);
	pci_write8(device->function, device->pci_config->position + PCI_CFG_DATA,
		   VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	ok(virtio_status(device) == (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER),
	   "C08 %s: a write through it is one by MMIO", device->name);
	virtio_reset(device);
}

static bool overlap(const struct virtio_capability *a, const struct virtio_capability *b)
{
	return a->bar == b->bar && a->offset < b->offset + b->bytes &&
	       b->offset < a->offset + a->bytes;
}

static void c09_layout(struct virtio_device *device)
{
	bool inside = true, apart = true, lengths = true;

	for (unsigned i = 0; i < device->capability_count; i++) {
		const struct virtio_capability *a = &device->capabilities[i];
		bool extended =
			a->type == VIRTIO_PCI_CAP_NOTIFY_CFG || a->type == VIRTIO_PCI_CAP_PCI_CFG;

		lengths = lengths && a->length >= (extended ? NOTIFY_CAP_BYTES : 16);
		if (a->type == VIRTIO_PCI_CAP_PCI_CFG)
			continue;
		inside = inside && a->bar < PCI_BARS &&
			 (uint64_t)a->offset + a->bytes <= device->function->bars[a->bar].bytes;
		for (unsigned j = 0; j < i; j++)
			apart = apart && (device->capabilities[j].type == VIRTIO_PCI_CAP_PCI_CFG ||
					  !overlap(a, &device->capabilities[j]));
	}
	ok(lengths, "C09 %s: cap_len covers what follows the capability", device->name);
	ok(inside, "C09 %s: each structure lies inside its BAR", device->name);
	ok(apart, "C09 %s: structures do not overlap", device->name);
}

static void c10_halves(struct virtio_device *device)
{
	static const unsigned fields[] = { VIRTIO_PCI_COMMON_Q_DESCLO, VIRTIO_PCI_COMMON_Q_AVAILLO,
					   VIRTIO_PCI_COMMON_Q_USEDLO };
	bool good = true;

	virtio_reset(device);
	virtio_select(device, 0);
	for (unsigned i = 0; i < ARRAY_COUNT(fields); i++) {
		common_write32(device, fields[i], 0x12345000);
		common_write32(device, fields[i] + 4, 0x1);
		good = good && common_read32(device, fields[i]) == 0x12345000 &&
		       common_read32(device, fields[i] + 4) == 0x1;
		common_write32(device, fields[i] + 4, 0x2);
		common_write32(device, fields[i], 0x6789a000);
		good = good && common_read32(device, fields[i]) == 0x6789a000 &&
		       common_read32(device, fields[i] + 4) == 0x2;
	}
	ok(good, "C10 %s: halves of the queue addresses are written and read alone", device->name);
	virtio_reset(device);
}

static void c11_widths(struct virtio_device *device)
{
	bool same = true;
	uint32_t features;

	virtio_reset(device);
	virtio_set_status(device, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	common_write32(device, VIRTIO_PCI_COMMON_DFSELECT, 1);
	virtio_select(device, 0);
	features = common_read32(device, VIRTIO_PCI_COMMON_DF);
	for (unsigned offset = 0; offset < COMMON_BYTES; offset++) {
		(void)common_read8(device, offset);
		if (!(offset & 1))
			(void)common_read16(device, offset);
		if (!(offset & 3))
			(void)common_read32(device, offset);
	}
	same = virtio_status(device) == VIRTIO_CONFIG_S_ACKNOWLEDGE &&
	       common_read32(device, VIRTIO_PCI_COMMON_DFSELECT) == 1 &&
	       common_read16(device, VIRTIO_PCI_COMMON_Q_SELECT) == 0 &&
	       common_read16(device, VIRTIO_PCI_COMMON_Q_ENABLE) == 0 &&
	       common_read32(device, VIRTIO_PCI_COMMON_DF) == features;
	ok(same, "C11 %s: reads of every width change nothing", device->name);
	virtio_reset(device);
}

static void c12_sizing(struct virtio_device *device)
{
	struct pci_function *function = device->function;
	unsigned bar = device->common->bar;
	unsigned offset = PCI_BASE_ADDRESS_0 + bar * 4;
	uint64_t bytes = function->bars[bar].bytes;
	uint32_t low = pci_read32(function, offset), mask;

	pci_command(function, 0, PCI_COMMAND_MEMORY);
	pci_write32(function, offset, UINT32_MAX);
	mask = pci_read32(function, offset);
	pci_write32(function, offset, low);
	pci_command(function, PCI_COMMAND_MEMORY, 0);
	ok(!(bytes & (bytes - 1)) && (mask & ~0xfu) == (uint32_t)-bytes &&
		   (mask & 0xf) == (low & 0xf),
	   "C12 %s: BAR %u sizes to %lx bytes, its type bits stay", device->name, bar, bytes);
	ok(pci_read32(function, offset) == low && common_read16(device, VIRTIO_PCI_COMMON_NUMQ),
	   "C12 %s: put back, it works", device->name);
}

static void c12_decoding(struct virtio_device *device)
{
	struct pci_function *function = device->function;
	uint8_t off;

	virtio_reset(device);
	virtio_set_status(device, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	pci_command(function, 0, PCI_COMMAND_MEMORY);
	off = virtio_status(device);
	pci_command(function, PCI_COMMAND_MEMORY, 0);
	ok(off == 0xff, "C12 %s: memory space off: reads are all ones", device->name);
	ok(virtio_status(device) == VIRTIO_CONFIG_S_ACKNOWLEDGE, "C12 %s: on again: state was kept",
	   device->name);
	virtio_reset(device);
}

static void set_base(struct virtio_device *device, unsigned bar, uint64_t base)
{
	uint64_t old = device->function->bars[bar].base;

	pci_bar_move(device->function, bar, base);
	for (unsigned i = 0; i < device->capability_count; i++)
		if (device->capabilities[i].bar == bar && device->capabilities[i].gpa)
			device->capabilities[i].gpa += base - old;
	if ((device->msix.table_gpa ^ old) < device->function->bars[bar].bytes) {
		device->msix.table_gpa += base - old;
		device->msix.pending_gpa += base - old;
	}
}

static void c12_moving(struct virtio_device *device)
{
	struct pci_function *function = device->function;
	unsigned bar = device->common->bar;
	uint64_t home = function->bars[bar].base;
	uint64_t old_status = device->common->gpa + VIRTIO_PCI_COMMON_STATUS;
	uint64_t place = pci_window_get(function->bars[bar].bytes,
					function->bars[bar].is_64bit && platform.window64.bytes);

	virtio_start(device, virtio_usual_features(device));
	if (!place) {
		skip("no free window", "C12 %s: moved with queues live", device->name);
		return;
	}
	set_base(device, bar, place);
	subject_queue(device)->notify_gpa += place - home;
	ok(subject_works(device), "C12 %s: moved with queues live, it works at the new place",
	   device->name);
	ok(mmio_read8(old_status) == 0xff, "C12 %s: and not at the old one", device->name);
	set_base(device, bar, home);
	subject_queue(device)->notify_gpa += home - place;
	ok(subject_works(device), "C12 %s: and back", device->name);
	virtio_reset(device);
}

static void c13_bus_master(struct virtio_device *device)
{
	static struct request request;
	struct virtqueue *queue = subject_queue(device);
	struct used used;
	bool quiet;

	virtio_start(device, virtio_usual_features(device));
	pci_command(device->function, 0, PCI_COMMAND_MASTER);
	request_add(&request, device, 0);
	virtqueue_notify(queue);
	quiet = !virtqueue_wait(queue, &used, QUIET_NS) && !arch_line_count(queue->line);
	pci_command(device->function, PCI_COMMAND_MASTER, 0);
	virtqueue_notify(queue);
	ok(!quiet || virtqueue_wait(queue, &used, REQUEST_NS),
	   "C13 %s: bus master off and on: the request is %s", device->name,
	   quiet ? "held back till then" : "served meanwhile (not enforced)");
	virtio_reset(device);
}

static void c14_no_more(struct virtio_device *device)
{
	bool none = true;

	for (unsigned i = 0; i < device->capability_count; i++)
		none = none && device->capabilities[i].type != VIRTIO_PCI_CAP_SHARED_MEMORY_CFG &&
		       device->capabilities[i].type != TYPE_VENDOR;
	ok(none, "C14 %s: no shared memory or vendor capability", device->name);
}

static void test(struct virtio_device *device)
{
	c01_identity(device);
	c02_capability_list(device);
	c03_to_c07_structures(device);
	c08_window(device);
	c09_layout(device);
	c10_halves(device);
	c11_widths(device);
	c12_sizing(device);
	c12_decoding(device);
	c12_moving(device);
	c13_bus_master(device);
	c14_no_more(device);
}

void guest_main(void)
{
	for_each_device(test);
}
