// SPDX-License-Identifier: MIT
/*
 * C01-C14: what virtio 1.2 section 4.1 (Virtio Over PCI Bus) and PCI itself ask of a device's
 * configuration space, capabilities and BARs.
 */
#include "kit/subject.h"
#include "kit/tap.h"
#include "kit/text.h"

#include <linux/virtio_console.h>

#define COMMON_BYTES	   56
#define COMMON_BYTES_RESET 64
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

/* A structure has all that an offered feature gives it. */
#define UP_TO(type, field) (offsetof(type, field) + sizeof(((type *)NULL)->field))

static const struct config_end {
	uint16_t type;
	uint8_t feature;
	uint8_t end;
} config_ends[] = {
	{ VIRTIO_ID_BLOCK, VIRTIO_F_VERSION_1, UP_TO(struct virtio_blk_config, capacity) },
	{ VIRTIO_ID_BLOCK, VIRTIO_BLK_F_SIZE_MAX, UP_TO(struct virtio_blk_config, size_max) },
	{ VIRTIO_ID_BLOCK, VIRTIO_BLK_F_SEG_MAX, UP_TO(struct virtio_blk_config, seg_max) },
	{ VIRTIO_ID_BLOCK, VIRTIO_BLK_F_BLK_SIZE, UP_TO(struct virtio_blk_config, blk_size) },
	{ VIRTIO_ID_BLOCK, VIRTIO_BLK_F_TOPOLOGY, UP_TO(struct virtio_blk_config, opt_io_size) },
	{ VIRTIO_ID_BLOCK, VIRTIO_BLK_F_CONFIG_WCE, UP_TO(struct virtio_blk_config, wce) },
	{ VIRTIO_ID_BLOCK, VIRTIO_BLK_F_MQ, UP_TO(struct virtio_blk_config, num_queues) },
	{ VIRTIO_ID_BLOCK, VIRTIO_BLK_F_DISCARD,
	  UP_TO(struct virtio_blk_config, discard_sector_alignment) },
	{ VIRTIO_ID_BLOCK, VIRTIO_BLK_F_WRITE_ZEROES, UP_TO(struct virtio_blk_config, unused1) },
	{ VIRTIO_ID_NET, VIRTIO_NET_F_MAC, UP_TO(struct virtio_net_config, mac) },
	{ VIRTIO_ID_NET, VIRTIO_NET_F_STATUS, UP_TO(struct virtio_net_config, status) },
	{ VIRTIO_ID_NET, VIRTIO_NET_F_MQ, UP_TO(struct virtio_net_config, max_virtqueue_pairs) },
	{ VIRTIO_ID_NET, VIRTIO_NET_F_MTU, UP_TO(struct virtio_net_config, mtu) },
	{ VIRTIO_ID_CONSOLE, VIRTIO_CONSOLE_F_SIZE, UP_TO(struct virtio_console_config, rows) },
	{ VIRTIO_ID_CONSOLE, VIRTIO_CONSOLE_F_MULTIPORT,
	  UP_TO(struct virtio_console_config, max_nr_ports) },
	{ VIRTIO_ID_CONSOLE, VIRTIO_CONSOLE_F_EMERG_WRITE,
	  UP_TO(struct virtio_console_config, emerg_wr) },
};

static uint32_t config_bytes(const struct virtio_device *device)
{
	uint32_t bytes = 0;

	for (unsigned i = 0; i < ARRAY_COUNT(config_ends); i++)
		if (config_ends[i].type == device->type &&
		    device->offered & BIT64(config_ends[i].feature) && config_ends[i].end > bytes)
			bytes = config_ends[i].end;
	return bytes;
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
	ok(device->config && !(device->config->offset & 3) &&
		   device->config->bytes >= config_bytes(device),
	   "C07 %s: device configuration has the %u bytes of what is offered", device->name,
	   config_bytes(device));
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

static void c10_capacity(struct virtio_device *device)
{
	uint64_t expected = param_number("sectors", 0);
	uint32_t low, high, low_again;
	uint8_t generation;

	if (device->type != VIRTIO_ID_BLOCK)
		return;
	generation = common_read8(device, VIRTIO_PCI_COMMON_CFGGENERATION);
	low = virtio_config_read32(device, 0);
	high = virtio_config_read32(device, 4);
	low_again = virtio_config_read32(device, 0);
	ok(low == (uint32_t)expected && low_again == low && high == expected >> 32 &&
		   common_read8(device, VIRTIO_PCI_COMMON_CFGGENERATION) == generation,
	   "C10 %s: halves of the capacity are read alone, %x and %x, of one generation",
	   device->name, high, low);
}

/* What the structure is made of, and what is found in it once that was written. */
static const struct field {
	uint8_t offset, bytes;
	uint32_t value;
} fields[] = {
	{ VIRTIO_PCI_COMMON_DFSELECT, 4, 2 },
	{ VIRTIO_PCI_COMMON_DF, 4, 0 },
	{ VIRTIO_PCI_COMMON_GFSELECT, 4, 1 },
	{ VIRTIO_PCI_COMMON_GF, 4, 0x87654321 },
	{ VIRTIO_PCI_COMMON_MSIX, 2, 1 },
	{ VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER },
	{ VIRTIO_PCI_COMMON_Q_SELECT, 2, 0 },
	{ VIRTIO_PCI_COMMON_Q_SIZE, 2, 4 },
	{ VIRTIO_PCI_COMMON_Q_MSIX, 2, 0 },
	{ VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0 },
	{ VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x12345670 },
	{ VIRTIO_PCI_COMMON_Q_DESCHI, 4, 0x1a },
	{ VIRTIO_PCI_COMMON_Q_AVAILLO, 4, 0x23456780 },
	{ VIRTIO_PCI_COMMON_Q_AVAILHI, 4, 0x2b },
	{ VIRTIO_PCI_COMMON_Q_USEDLO, 4, 0x3456789c },
	{ VIRTIO_PCI_COMMON_Q_USEDHI, 4, 0x3c },
};

static uint32_t common_read(const struct virtio_device *device, unsigned offset, unsigned bytes)
{
	return bytes == 4   ? common_read32(device, offset)
	       : bytes == 2 ? common_read16(device, offset)
			    : common_read8(device, offset);
}

static void write_field(const struct virtio_device *device, const struct field *field)
{
	if (field->bytes == 4)
		common_write32(device, field->offset, field->value);
	else if (field->bytes == 2)
		common_write16(device, field->offset, (uint16_t)field->value);
	else
		common_write8(device, field->offset, (uint8_t)field->value);
}

static bool fields_are_right(const struct virtio_device *device)
{
	bool right = common_read16(device, VIRTIO_PCI_COMMON_NUMQ) == device->queue_count;

	for (unsigned i = 0; i < ARRAY_COUNT(fields); i++) {
		uint32_t found = common_read(device, fields[i].offset, fields[i].bytes);

		if (found != fields[i].value)
			note("%s: common configuration has %x at %u", device->name, found,
			     fields[i].offset);
		right = right && found == fields[i].value;
	}
	return right;
}

static void c11_widths(struct virtio_device *device)
{
	uint32_t bytes[COMMON_BYTES];
	bool same = true;

	virtio_reset(device);
	for (unsigned i = 0; i < ARRAY_COUNT(fields); i++)
		if (fields[i].offset != VIRTIO_PCI_COMMON_Q_ENABLE)
			write_field(device, &fields[i]);
	ok(fields_are_right(device), "C11 %s: each field is read by its own width", device->name);
	for (unsigned i = 0; i < COMMON_BYTES; i++)
		bytes[i] = common_read8(device, i);
	for (unsigned i = 0; i < COMMON_BYTES; i += 2)
		same = same && common_read16(device, i) == (bytes[i] | bytes[i + 1] << 8);
	for (unsigned i = 0; i < COMMON_BYTES; i += 4)
		same = same &&
		       common_read32(device, i) == (bytes[i] | bytes[i + 1] << 8 |
						    bytes[i + 2] << 16 | bytes[i + 3] << 24);
	for (unsigned i = 0; i < ARRAY_COUNT(fields); i++)
		for (unsigned j = 0; j < fields[i].bytes; j++)
			same = same &&
			       bytes[fields[i].offset + j] == (fields[i].value >> j * 8 & 0xff);
	ok(same, "C11 %s: other widths read the bytes that lie there", device->name);
	ok(fields_are_right(device), "C11 %s: reads of every width change nothing", device->name);
	virtio_reset(device);
}

static uint64_t bar_read(const struct pci_function *function, unsigned bar)
{
	unsigned offset = PCI_BASE_ADDRESS_0 + bar * 4;
	uint64_t upper = function->bars[bar].is_64bit ? pci_read32(function, offset + 4) : 0;

	return pci_read32(function, offset) | upper << 32;
}

static void bar_write(const struct pci_function *function, unsigned bar, uint64_t value)
{
	unsigned offset = PCI_BASE_ADDRESS_0 + bar * 4;

	pci_write32(function, offset, (uint32_t)value);
	if (function->bars[bar].is_64bit)
		pci_write32(function, offset + 4, (uint32_t)(value >> 32));
}

static void c12_sizing(struct virtio_device *device)
{
	struct pci_function *function = device->function;
	unsigned bar = device->common->bar;
	uint64_t bytes = function->bars[bar].bytes;
	uint64_t all = function->bars[bar].is_64bit ? UINT64_MAX : UINT32_MAX;
	uint64_t before = bar_read(function, bar), mask;

	pci_command(function, 0, PCI_COMMAND_MEMORY);
	bar_write(function, bar, all);
	mask = bar_read(function, bar);
	bar_write(function, bar, before);
	pci_command(function, PCI_COMMAND_MEMORY, 0);
	ok(!(bytes & (bytes - 1)) && mask == ((-bytes & all) | (before & 0xf)),
	   "C12 %s: BAR %u sizes to %lx bytes, in both halves of %lx; its type bits stay",
	   device->name, bar, bytes, mask);
	ok(bar_read(function, bar) == before && common_read16(device, VIRTIO_PCI_COMMON_NUMQ),
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
	c10_capacity(device);
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
