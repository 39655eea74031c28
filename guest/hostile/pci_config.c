// SPDX-License-Identifier: MIT
/*
 * H42, H46, H48 and H49: the window in configuration space pointed anywhere, configuration cycles
 * of every width to every place, and all of configuration space written (PCI 3.0, 6; virtio 1.2,
 * 4.1.4.9).
 */
#include "kit/hostile.h"
#include "kit/tap.h"
#include "kit/text.h"
#include "kit/width.h"

#define CONFIG_BYTES   256
#define FUNCTION_BYTES 0x1000
#define BUS_BYTES      0x100000
#define WINDOW_DATA    16
#define TOGGLES	       100 /* param toggles= */

static uint64_t config_gpa(const struct virtio_device *device)
{
	return platform.ecam_gpa + ((uint64_t)pci_address(device->function) << 12);
}

struct window {
	uint32_t bar, offset, bytes;
};

static void window_set(const struct virtio_device *device, struct window window)
{
	uint8_t at = device->pci_config->position;

	pci_write8(device->function, at + VIRTIO_PCI_CAP_BAR, (uint8_t)window.bar);
	pci_write32(device->function, at + VIRTIO_PCI_CAP_OFFSET, window.offset);
	pci_write32(device->function, at + VIRTIO_PCI_CAP_LENGTH, window.bytes);
}

/* Whatever it is told: the status that lies where it might lead stays, and so does the device. */
static void h42_window(struct virtio_device *device)
{
	uint32_t end = (uint32_t)device->function->bars[device->common->bar].bytes;
	uint32_t status = device->common->offset + VIRTIO_PCI_COMMON_STATUS;
	uint32_t bar = device->common->bar;
	const struct {
		const char *name;
		struct window window;
	} cases[] = {
		{ "BAR 1", { bar + 1, status, 1 } },
		{ "BAR 6", { 6, status, 1 } },
		{ "BAR 255", { 255, status, 1 } },
		{ "length 0", { bar, status, 0 } },
		{ "length 3", { bar, status, 3 } },
		{ "length 8", { bar, status & ~7u, 8 } },
		{ "length 0x80000000", { bar, status, 0x80000000 } },
		{ "an odd offset", { bar, status - 1, 2 } },
		{ "its offset at the BAR's end", { bar, end, 4 } },
		{ "its end past the BAR's", { bar, end - 1, 4 } },
		{ "offset 0xffffffff", { bar, UINT32_MAX, 1 } },
		{ "offset and length that wrap", { bar, UINT32_MAX - 3, 4 } },
	};
	unsigned data = device->pci_config->position + WINDOW_DATA;

	virtio_start(device, virtio_usual_features(device));
	for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
		uint8_t before = virtio_status(device);
		uint32_t value;

		window_set(device, cases[i].window);
		pci_write32(device->function, data, 0);
		value = pci_read32(device->function, data);
		(void)pci_read8(device->function, data + 3);
		ok(!value && virtio_status(device) == before && subject_works(device),
		   "H42 %s: a window with %s leads nowhere", device->name, cases[i].name);
	}
	window_set(device, (struct window){ bar, status, 1 });
	pci_write8(device->function, data, 0);
	ok(!virtio_status(device) || virtio_reset(device),
	   "H42 %s: one to the status leads there still", device->name);
	ok(subject_restarts(device), "H42 %s: and the device works", device->name);
}

/* Aligned, up to four bytes: one register of the function. Else nothing. */
static void h46_cycles(struct virtio_device *device)
{
	uint64_t gpa = config_gpa(device);
	uint8_t bytes[64];
	bool defined = true;

	for (unsigned at = 0; at < sizeof(bytes); at++)
		bytes[at] = pci_read8(device->function, at);
	for (unsigned i = 0; i < WIDTHS; i++)
		for (unsigned at = 0; at + widths[i] <= sizeof(bytes);
		     at += width_step(widths[i])) {
			uint64_t value = width_read(gpa + at, widths[i]);
			bool whole = widths[i] <= 4 && !(at % widths[i]);

			if (whole)
				defined = defined && !memcmp(&value, &bytes[at], widths[i]);
			else
				defined = defined && value == width_ones(widths[i]);
		}
	ok(defined, "H46 %s: aligned reads of 1, 2, 4 bytes are its registers, all others all ones",
	   device->name);
}

static void h46_writes(struct virtio_device *device)
{
	uint64_t gpa = config_gpa(device);
	uint32_t before[16], after[16];

	virtio_start(device, virtio_usual_features(device));
	for (unsigned i = 0; i < 16; i++)
		before[i] = pci_read32(device->function, i * 4);
	for (unsigned at = 0; at < sizeof(before); at++) {
		if (!(at & 7))
			width_write(gpa + at, 8, 0);
		if (!arch_mmio_unaligned())
			continue;
		if (at & 1)
			width_write(gpa + at, 2, 0);
		if (at & 3)
			width_write(gpa + at, 4, 0);
		if (at & 7)
			width_write(gpa + at, 8, 0);
	}
	for (unsigned i = 0; i < 16; i++)
		after[i] = pci_read32(device->function, i * 4);
	ok(!memcmp(before, after, sizeof(before)) && subject_works(device),
	   "H46 %s: writes that are not aligned, or of 8 bytes, change nothing", device->name);
}

static void h46_extended(struct virtio_device *device)
{
	uint64_t gpa = config_gpa(device);
	bool zero = true;

	virtio_start(device, virtio_usual_features(device));
	for (unsigned at = CONFIG_BYTES; at < FUNCTION_BYTES; at += at < 512 ? 4 : 60) {
		width_write(gpa + at, 4, UINT32_MAX);
		zero = zero && !width_read(gpa + at, 4) && !width_read(gpa + at, 1);
	}
	(void)width_read(gpa + FUNCTION_BYTES - 4, 4);
	ok(zero && subject_works(device),
	   "H46 %s: 0 from offset 256 on, as without extended "
	   "capabilities",
	   device->name);
}

/* Of a device on bus 0: no function but the first, no device behind the last. */
static void h46_nobody(struct virtio_device *device)
{
	bool nobody = true;

	for (unsigned number = 1; number < 8; number++) {
		uint64_t gpa = config_gpa(device) + number * FUNCTION_BYTES;

		width_write(gpa + PCI_COMMAND, 2, 0xffff);
		nobody = nobody && width_read(gpa, 4) == UINT32_MAX &&
			 width_read(gpa + PCI_COMMAND, 1) == 0xff;
	}
	ok(nobody, "H46 %s: functions 1 to 7 are not there", device->name);
}

static void h46_bus(void)
{
	uint64_t last = platform.ecam_gpa + BUS_BYTES - FUNCTION_BYTES;
	bool nobody = true;

	width_write(last + PCI_COMMAND, 2, 0xffff);
	for (unsigned i = 0; i < WIDTHS; i++)
		nobody = nobody && width_read(last, widths[i]) == width_ones(widths[i]) &&
			 width_read(last + FUNCTION_BYTES - 8, widths[i]) == width_ones(widths[i]);
	ok(nobody, "H46 bus 0: device 31, function 7 is not there");
}

static void h48_other_buses(void)
{
	static const unsigned buses[] = { 1, 2, 15, 16, 128, 255 };
	bool nobody = true;

	for (unsigned i = 0; i < ARRAY_COUNT(buses); i++) {
		uint64_t gpa = platform.ecam_gpa + (uint64_t)buses[i] * BUS_BYTES;

		if (buses[i] <= platform.bus_last)
			continue;
		/* Elsewhere it may be somebody's else. */
		if (buses[i] >= 16)
			break;
		arch_map(gpa, BUS_BYTES);
		for (unsigned j = 0; j < WIDTHS; j++) {
			nobody = nobody && width_read(gpa, widths[j]) == width_ones(widths[j]);
			width_write(gpa + PCI_COMMAND, widths[j], 0);
		}
		if (arch_mmio_unaligned()) {
			/* The last word of one bus and the first of the next. */
			(void)width_read(gpa - 2, 4);
			(void)width_read(gpa - 4, 8);
			width_write(gpa - 4, 8, UINT64_MAX);
		}
	}
	ok(nobody, "H48 buses past the last: all ones, across the end of the last too");
}

/* What a driver may change; the rest stays as it is. */
static void writable_mask(const struct virtio_device *device, uint8_t *mask)
{
	unsigned window = device->pci_config->position;

	memset(mask, 0, CONFIG_BYTES);
	/* Memory space, bus master; INTx disable. */
	mask[PCI_COMMAND] = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	mask[PCI_COMMAND + 1] = PCI_COMMAND_INTX_DISABLE >> 8;
	mask[PCI_CACHE_LINE_SIZE] = 0xff;
	mask[PCI_INTERRUPT_LINE] = 0xff;
	memset(&mask[PCI_BASE_ADDRESS_0], 0xff, PCI_BARS * 4);
	mask[window + VIRTIO_PCI_CAP_BAR] = 0xff;
	memset(&mask[window + VIRTIO_PCI_CAP_OFFSET], 0xff, 12);
	mask[device->msix.capability + PCI_MSIX_FLAGS + 1] =
		(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) >> 8;
}

static void read_config(const struct virtio_device *device, uint8_t *bytes)
{
	/* The pin's state may change meanwhile. */
	for (unsigned at = 0; at < CONFIG_BYTES; at++)
		bytes[at] = pci_read8(device->function, at) &
			    (at == PCI_STATUS ? (uint8_t)~PCI_STATUS_INTERRUPT : 0xff);
}

/* Written by `width` where no byte of it may be written; then byte by byte what may. */
static void write_all(const struct virtio_device *device, const uint8_t *mask, uint64_t value)
{
	for (unsigned i = 0; i < 3; i++)
		for (unsigned at = 0; at < CONFIG_BYTES; at += widths[i]) {
			bool fixed = true;

			for (unsigned j = at; j < at + widths[i]; j++)
				fixed = fixed && !mask[j];
			if (fixed)
				width_write(config_gpa(device) + at, widths[i], value);
		}
}

static void h49_registers(struct virtio_device *device)
{
	static uint8_t before[CONFIG_BYTES], after[CONFIG_BYTES], mask[CONFIG_BYTES];
	bool masked = true;

	virtio_start(device, virtio_usual_features(device));
	writable_mask(device, mask);
	read_config(device, before);
	write_all(device, mask, UINT64_MAX);
	write_all(device, mask, 0);
	write_all(device, mask, UINT64_C(0xa5a5a5a5a5a5a5a5));
	read_config(device, after);
	ok(!memcmp(before, after, CONFIG_BYTES) && subject_works(device),
	   "H49 %s: identity, capabilities and their bodies are read-only", device->name);
	/* Each of the others, every bit turned; decoding is off for a moment. */
	for (unsigned at = 0; at < CONFIG_BYTES; at++) {
		bool is_bar = at >= PCI_BASE_ADDRESS_0 && at < PCI_BASE_ADDRESS_0 + PCI_BARS * 4;

		if (!mask[at] || is_bar)
			continue;
		pci_write8(device->function, at, (uint8_t)~before[at]);
		masked = masked &&
			 !((pci_read8(device->function, at) ^ before[at]) & (uint8_t)~mask[at]);
		pci_write8(device->function, at, before[at]);
	}
	ok(masked && subject_restarts(device),
	   "H49 %s: of the others, only the bits that are a driver's", device->name);
}

static void h49_command(struct virtio_device *device)
{
	unsigned count = hostile_count("toggles", TOGGLES);
	uint16_t command = pci_read16(device->function, PCI_COMMAND);
	bool decoded = true;

	virtio_start(device, virtio_usual_features(device));
	for (unsigned i = 0; i < count; i++) {
		pci_write16(device->function, PCI_COMMAND, i & 1 ? 0xffff : 0);
		decoded = decoded && (virtio_status(device) == 0xff) == !(i & 1);
	}
	pci_write16(device->function, PCI_COMMAND, command);
	ok(decoded && subject_works(device),
	   "H49 %s: Command all ones and 0, %u times (scaled from 10^5), with queues live",
	   device->name, count);
}

static void test(struct victim *victim)
{
	static void (*const lines[])(struct virtio_device * device) = {
		h42_window, h46_cycles,	   h46_writes,	h46_extended,
		h46_nobody, h49_registers, h49_command,
	};

	if (!victim->number) {
		h46_bus();
		h48_other_buses();
	}
	hostile_lines(victim, lines, ARRAY_COUNT(lines));
}

void guest_main(void)
{
	hostile_run(test);
}
