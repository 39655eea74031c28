// SPDX-License-Identifier: MIT
/* Configuration space, BARs, capabilities, and the two ways that lead to them. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "base/bytes.h"
#include "hw/pci_host.h"
#include "tests/unit/bus_guest.h"

#define ECAM_GPA 0xe0000000
#define MEMORY32_GPA 0xc0000000
#define MEMORY32_BYTES 0x01000000
#define MEMORY64_GPA UINT64_C(0x8000000000)
#define MEMORY64_BYTES (64 * GIB)
#define SLOT(n) ((n) << 15)
#define CAPABILITY_ID 0x09
#define ABSENT UINT32_MAX

struct gadget {
	struct pci_function function;
	struct region low, high; /* a 32-bit BAR 0 of 4 KiB, a 64-bit BAR 2 of 64 KiB */
	unsigned capability;
	unsigned moves, resets, reads, writes;
	uint64_t last_write;
};

static struct bus mmio, ports;
static struct pci_host host;
static struct gadget first, second;

static uint64_t gadget_low_read(struct region *region, uint64_t offset, unsigned length)
{
	(void)length;
	container_of(region, struct gadget, low)->reads++;
	return 0x1000 + offset;
}

static void gadget_low_write(struct region *region, uint64_t offset, unsigned length,
			     uint64_t value)
{
	(void)offset;
	(void)length;
	container_of(region, struct gadget, low)->last_write = value;
}

static const struct region_ops low_ops = { gadget_low_read, gadget_low_write };
static const struct region_ops high_ops = { 0 };

static struct gadget *gadget_of(struct pci_function *function)
{
	return container_of(function, struct gadget, function);
}

static void gadget_config_reading(struct pci_function *function, unsigned offset, unsigned length)
{
	(void)offset;
	(void)length;
	gadget_of(function)->reads++;
}

static void gadget_config_written(struct pci_function *function, unsigned offset, unsigned length)
{
	(void)offset;
	(void)length;
	gadget_of(function)->writes++;
}

static void gadget_bar_moved(struct pci_function *function, unsigned bar)
{
	const struct pci_bar *moved = &function->bars[bar];

	/* On the bus at either time, with the base that it has there. */
	assert_true(moved->region->base == pci_bar_gpa(function, bar) || !moved->decoded);
	gadget_of(function)->moves++;
}

static void gadget_reset(struct pci_function *function)
{
	gadget_of(function)->resets++;
}

static const struct pci_ops gadget_ops = {
	.config_reading = gadget_config_reading,
	.config_written = gadget_config_written,
	.bar_moved = gadget_bar_moved,
	.reset = gadget_reset,
};

static void gadget_init(struct gadget *gadget)
{
	static const struct pci_identity identity = {
		.vendor = 0x1234, .device = 0x5678, .class_code = 0x0880, .revision = 3,
		.subsystem_vendor = 0x9abc, .subsystem = 0xdef0,
	};

	*gadget = (struct gadget){
		.low = { &low_ops, "low", 0, 4 * KIB },
		.high = { &high_ops, "high", 0, 64 * KIB },
	};
	pci_function_init(&gadget->function, "gadget", &gadget_ops, &identity);
	pci_add_bar(&gadget->function, 0, &gadget->low, 0);
	pci_add_bar(&gadget->function, 2, &gadget->high,
		    PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
	gadget->capability = pci_add_capability(&gadget->function, CAPABILITY_ID, 7);
	pci_add_capability(&gadget->function, CAPABILITY_ID + 1, 12);
	gadget->function.writable[gadget->capability + 4] = 0x0f;
	gadget->function.config[gadget->capability + 5] = 0xff;
	gadget->function.write_clears[gadget->capability + 5] = 0xf0;
	pci_add_pin(&gadget->function);
}

static struct pci_host_config host_config(void)
{
	return (struct pci_host_config){
		.mmio = &mmio,
		.ports = &ports,
		.ecam_base = ECAM_GPA,
		.bus_count = 2,
		.memory32 = { MEMORY32_GPA, MEMORY32_BYTES },
		.memory64 = { MEMORY64_GPA, MEMORY64_BYTES },
		.intx_gsis = { 16, 17, 18, 19 },
	};
}

static int setup(void **state)
{
	struct pci_host_config config = host_config();

	(void)state;
	bus_init(&mmio);
	bus_init(&ports);
	assert_int_equal(pci_host_init(&host, &config), 0);
	gadget_init(&first);
	gadget_init(&second);
	assert_int_equal(pci_host_add(&host, &first.function), 0);
	assert_int_equal(pci_host_add(&host, &second.function), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pci_host_remove(&host, &second.function);
	pci_host_remove(&host, &first.function);
	pci_host_destroy(&host);
	assert_int_equal(mmio.count, 0);
	assert_int_equal(ports.count, 0);
	bus_destroy(&ports);
	bus_destroy(&mmio);
	return 0;
}

/* By ECAM, in slot 1 or 2. */
static uint32_t get(unsigned slot, unsigned offset, unsigned length)
{
	return (uint32_t)bus_read(&mmio, ECAM_GPA + SLOT(slot) + offset, length);
}

static void set(unsigned slot, unsigned offset, unsigned length, uint32_t value)
{
	bus_write(&mmio, ECAM_GPA + SLOT(slot) + offset, length, value);
}

static void test_identity(void **state)
{
	(void)state;
	assert_int_equal(get(0, PCI_VENDOR_ID, 4), 0x00081b36);
	assert_int_equal(get(0, PCI_CLASS_DEVICE, 2), 0x0600);
	assert_int_equal(get(0, PCI_HEADER_TYPE, 1), PCI_HEADER_TYPE_NORMAL);
	assert_int_equal(get(0, PCI_STATUS, 2), 0);
	assert_int_equal(get(1, PCI_VENDOR_ID, 4), 0x56781234);
	assert_int_equal(get(1, PCI_SUBSYSTEM_VENDOR_ID, 4), 0xdef09abc);
	assert_int_equal(get(1, PCI_CLASS_REVISION, 4), 0x08800003);
	assert_int_equal(get(1, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	assert_int_equal(get(1, PCI_INTERRUPT_PIN, 1), 1);
	assert_int_equal(get(1, PCI_INTERRUPT_LINE, 1), 17);
	assert_int_equal(get(2, PCI_INTERRUPT_LINE, 1), 18);
	assert_int_equal(pci_host_pin_gsi(&host, &second.function), 18);
}

static void test_masks(void **state)
{
	unsigned at = first.capability;

	(void)state;
	for (unsigned offset = 0; offset < PCI_COMMAND; offset += 2)
		set(1, offset, 2, 0);
	set(1, PCI_CLASS_REVISION, 4, 0);
	assert_int_equal(get(1, PCI_VENDOR_ID, 4), 0x56781234);
	assert_int_equal(get(1, PCI_CLASS_REVISION, 4), 0x08800003);
	set(1, PCI_COMMAND, 4, UINT32_MAX);
	assert_int_equal(get(1, PCI_COMMAND, 2),
			 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	assert_int_equal(get(1, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	set(1, PCI_INTERRUPT_LINE, 2, 0x55aa);
	assert_int_equal(get(1, PCI_INTERRUPT_LINE, 2), 0x01aa);

	set(1, at, 4, UINT32_MAX);
	assert_int_equal(get(1, at, 1), CAPABILITY_ID);
	set(1, at + 4, 1, 0xff);
	assert_int_equal(get(1, at + 4, 1), 0x0f);
	set(1, at + 5, 1, 0x3c);
	assert_int_equal(get(1, at + 5, 1), 0xcf); /* 1 clears where it may, and only there */
	assert_true(first.writes > 0 && first.reads > 0);
	assert_int_equal(second.writes, 0);
}

static void test_capabilities(void **state)
{
	unsigned at = get(1, PCI_CAPABILITY_LIST, 1), count = 0;

	(void)state;
	for (; at; at = get(1, at + PCI_CAP_LIST_NEXT, 1), count++) {
		assert_true(at >= PCI_STD_HEADER_SIZEOF && at % 4 == 0 && count < 2);
		assert_int_equal(get(1, at, 1), CAPABILITY_ID + count);
	}
	assert_int_equal(count, 2);
}

static void test_odd_accesses(void **state)
{
	(void)state;
	for (unsigned offset = 0; offset < 8; offset++)
		for (unsigned length = 1; length <= 8; length *= 2) {
			uint64_t value = bus_read(&mmio, ECAM_GPA + SLOT(1) + offset, length);

			if (length == 8 || offset % length)
				assert_true(value == all_ones(length));
		}
	set(1, PCI_COMMAND - 1, 4, UINT32_MAX);
	set(1, PCI_COMMAND + 1, 2, UINT32_MAX);
	bus_write(&mmio, ECAM_GPA + SLOT(1) + PCI_CLASS_REVISION, 8, UINT64_MAX);
	bus_write(&mmio, ECAM_GPA + SLOT(1), 8, UINT64_MAX);
	assert_int_equal(get(1, PCI_COMMAND, 2), 0);

	/* Where a byte is, it is the byte of the double word. */
	assert_int_equal(get(1, PCI_VENDOR_ID + 1, 1), 0x12);
	assert_int_equal(get(1, PCI_DEVICE_ID, 2), 0x5678);
	/* Beyond the 256 bytes there are no extended capabilities. */
	assert_int_equal(get(1, 256, 4), 0);
	assert_int_equal(get(1, 4092, 4), 0);
	set(1, 256, 4, UINT32_MAX);
	assert_int_equal(get(1, 256, 4), 0);
}

static void test_absent(void **state)
{
	static const uint32_t nobody[] = {
		SLOT(3), SLOT(31), SLOT(1) + 0x1000, SLOT(31) + 0x7000, 1 << 20,
		(1 << 20) + SLOT(1), (2 << 20) - 0x1000,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(nobody); i++) {
		assert_int_equal(bus_read(&mmio, ECAM_GPA + nobody[i], 4), ABSENT);
		assert_int_equal(bus_read(&mmio, ECAM_GPA + nobody[i] + 255, 1), 0xff);
		bus_write(&mmio, ECAM_GPA + nobody[i] + PCI_COMMAND, 2, UINT32_MAX);
	}
	assert_int_equal(bus_read(&mmio, ECAM_GPA + (2 << 20), 4), ABSENT);
	assert_int_equal(get(1, PCI_COMMAND, 2), 0);
}

#define ADDRESS(bus, slot, offset) (0x80000000 | (bus) << 16 | (slot) << 11 | (offset))

static void test_ports(void **state)
{
	(void)state;
	assert_int_equal(bus_read(&ports, 0xcfc, 4), ABSENT); /* not enabled */
	bus_write(&ports, 0xcf8, 4, ADDRESS(0, 1, 0) & ~0x80000000);
	assert_int_equal(bus_read(&ports, 0xcfc, 4), ABSENT);
	bus_write(&ports, 0xcf8, 4, UINT32_MAX);
	assert_int_equal(bus_read(&ports, 0xcf8, 4), 0x80fffffc);
	assert_int_equal(bus_read(&ports, 0xcfc, 4), ABSENT);

	bus_write(&ports, 0xcf8, 4, ADDRESS(0, 1, PCI_VENDOR_ID));
	assert_int_equal(bus_read(&ports, 0xcfc, 4), 0x56781234);
	assert_int_equal(bus_read(&ports, 0xcfc, 2), 0x1234);
	assert_int_equal(bus_read(&ports, 0xcfe, 2), 0x5678);
	assert_int_equal(bus_read(&ports, 0xcff, 1), 0x56);
	assert_int_equal(bus_read(&ports, 0xcfd, 2), 0xffff);
	assert_int_equal(bus_read(&ports, 0xcfe, 4), ABSENT); /* past 0xcff */

	/* Only a double word is the address register. */
	bus_write(&ports, 0xcf8, 1, 0x55);
	bus_write(&ports, 0xcf9, 1, 0x06);
	bus_write(&ports, 0xcfa, 2, 0x5555);
	assert_int_equal(bus_read(&ports, 0xcf8, 4), ADDRESS(0, 1, 0));
	assert_int_equal(bus_read(&ports, 0xcf9, 1), 0xff);
	assert_int_equal(bus_read(&ports, 0xcf8, 2), 0xffff);

	bus_write(&ports, 0xcf8, 4, ADDRESS(0, 2, PCI_INTERRUPT_LINE));
	bus_write(&ports, 0xcfc, 1, 0x77);
	assert_int_equal(get(2, PCI_INTERRUPT_LINE, 1), 0x77);
	bus_write(&ports, 0xcf8, 4, ADDRESS(0, 2, PCI_INTERRUPT_LINE) & ~0x80000000);
	bus_write(&ports, 0xcfc, 1, 0x11);
	assert_int_equal(get(2, PCI_INTERRUPT_LINE, 1), 0x77);

	bus_write(&ports, 0xcf8, 4, ADDRESS(1, 2, 0));
	assert_int_equal(bus_read(&ports, 0xcfc, 4), ABSENT);
	bus_write(&ports, 0xcf8, 4, ADDRESS(255, 31, 0) | 7 << 8);
	assert_int_equal(bus_read(&ports, 0xcfc, 4), ABSENT);
}

static void test_no_ports(void **state)
{
	struct pci_host_config config = host_config();
	struct pci_host other;

	(void)state;
	config.ports = NULL;
	config.ecam_base = 0xf0000000;
	assert_int_equal(pci_host_init(&other, &config), 0);
	assert_int_equal(ports.count, 2);
	pci_host_destroy(&other);
	/* Where an ECAM is already there can't be another. */
	assert_int_equal(pci_host_init(&other, &(struct pci_host_config){
					.mmio = &mmio, .ecam_base = ECAM_GPA, .bus_count = 1 }),
			 -EEXIST);
	assert_int_equal(get(1, PCI_VENDOR_ID, 4), 0x56781234);
}

static void test_bar_sizing(void **state)
{
	uint32_t bar0 = get(1, PCI_BASE_ADDRESS_0, 4), bar2 = get(1, PCI_BASE_ADDRESS_2, 4);

	(void)state;
	assert_int_equal(bar0, MEMORY32_GPA);
	assert_int_equal(bar2, (MEMORY32_GPA + 0x10000) | PCI_BASE_ADDRESS_MEM_TYPE_64 |
			       PCI_BASE_ADDRESS_MEM_PREFETCH);
	for (unsigned bar = 0; bar < PCI_BARS; bar++)
		set(1, PCI_BASE_ADDRESS_0 + bar * 4, 4, UINT32_MAX);
	assert_int_equal(get(1, PCI_BASE_ADDRESS_0, 4), 0xfffff000);
	assert_int_equal(get(1, PCI_BASE_ADDRESS_1, 4), 0);
	assert_int_equal(get(1, PCI_BASE_ADDRESS_2, 4), 0xffff000c);
	assert_int_equal(get(1, PCI_BASE_ADDRESS_3, 4), 0xffffffff);
	assert_int_equal(get(1, PCI_BASE_ADDRESS_4, 4), 0);
	assert_int_equal(get(1, PCI_BASE_ADDRESS_5, 4), 0);
	set(1, PCI_BASE_ADDRESS_0, 4, bar0);
	set(1, PCI_BASE_ADDRESS_2, 4, bar2);
	set(1, PCI_BASE_ADDRESS_3, 4, 0);
	assert_int_equal(first.moves, 0);
	set(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(bus_read(&mmio, bar0 + 8, 4), 0x1008);
	assert_int_equal(first.moves, 2);
}

static void test_decode(void **state)
{
	(void)state;
	assert_int_equal(bus_read(&mmio, MEMORY32_GPA, 4), ABSENT);
	set(1, PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	assert_int_equal(bus_read(&mmio, MEMORY32_GPA + 0xffc, 4), 0x1ffc);
	assert_int_equal(bus_read(&mmio, MEMORY32_GPA + 0x1000, 4), ABSENT);
	bus_write(&mmio, MEMORY32_GPA, 4, 0x12345678);
	assert_int_equal(first.last_write, 0x12345678);
	assert_int_equal(second.last_write, 0);
	set(1, PCI_COMMAND, 1, 0);
	assert_int_equal(bus_read(&mmio, MEMORY32_GPA, 4), ABSENT);
	for (unsigned i = 0; i < 1000; i++)
		set(1, PCI_COMMAND, 2, i & 1 ? UINT16_MAX : 0);
	assert_int_equal(bus_read(&mmio, MEMORY32_GPA, 4), 0x1000);
	assert_int_equal(mmio.count, 3);
}

/* With decoding on, and without: the old address is gone, the new one answers. */
static void test_bar_moves(void **state)
{
	uint64_t target = MEMORY32_GPA + 0x800000;

	(void)state;
	set(1, PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	set(1, PCI_BASE_ADDRESS_0, 4, (uint32_t)target);
	assert_int_equal(bus_read(&mmio, MEMORY32_GPA, 4), ABSENT);
	assert_int_equal(bus_read(&mmio, target, 4), 0x1000);
	assert_int_equal(first.moves, 4);
	set(1, PCI_BASE_ADDRESS_0, 4, (uint32_t)target); /* nothing changes */
	assert_int_equal(first.moves, 4);
	set(1, PCI_COMMAND, 1, 0);
	set(1, PCI_BASE_ADDRESS_0, 4, MEMORY32_GPA);
	assert_int_equal(bus_read(&mmio, MEMORY32_GPA, 4), ABSENT);
	set(1, PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	assert_int_equal(bus_read(&mmio, MEMORY32_GPA, 4), 0x1000);
	assert_int_equal(bus_read(&mmio, target, 4), ABSENT);
}

/* A 64-bit BAR that moves with decoding on is nowhere but where a window is. */
static void test_bar_halves(void **state)
{
	(void)state;
	set(1, PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	assert_true(first.function.bars[2].decoded);
	set(1, PCI_BASE_ADDRESS_2, 4, UINT32_MAX);
	assert_false(first.function.bars[2].decoded);
	set(1, PCI_BASE_ADDRESS_2, 4, 0x00010000);
	assert_false(first.function.bars[2].decoded);
	set(1, PCI_BASE_ADDRESS_3, 4, UINT32_MAX);
	assert_false(first.function.bars[2].decoded);
	set(1, PCI_BASE_ADDRESS_3, 4, MEMORY64_GPA >> 32);
	assert_true(first.function.bars[2].decoded);
	assert_true(first.high.base == MEMORY64_GPA + 0x10000);
	set(1, PCI_BASE_ADDRESS_2, 2, 0);
	set(1, PCI_BASE_ADDRESS_2 + 2, 1, 2);
	assert_true(first.high.base == MEMORY64_GPA + 0x20000);
}

static void test_bar_places(void **state)
{
	static const struct {
		uint32_t low, high;
	} refused[] = {
		{ 0, 0 },				    /* guest memory */
		{ 0x100000, 0 },
		{ ECAM_GPA, 0 },
		{ 0xfee00000, 0 },
		{ MEMORY32_GPA - 0x10000, 0 },
		{ MEMORY32_GPA + MEMORY32_BYTES, 0 },
		{ 0xffff0000, 0 },
		{ 0, 1 },				    /* above 4 GiB, below the window */
		{ 0, (uint32_t)((MEMORY64_GPA + MEMORY64_BYTES) >> 32) },
		{ 0xffff0000, 0xffffffff },		    /* the very last bytes */
		{ MEMORY32_GPA, 0 },			    /* the other BAR */
	};

	(void)state;
	set(1, PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		set(1, PCI_BASE_ADDRESS_2, 4, refused[i].low);
		set(1, PCI_BASE_ADDRESS_3, 4, refused[i].high);
		assert_false(first.function.bars[2].decoded);
		assert_int_equal(get(1, PCI_VENDOR_ID, 4), 0x56781234);
		assert_int_equal(bus_read(&mmio, MEMORY32_GPA, 4), 0x1000);
	}
	set(1, PCI_BASE_ADDRESS_2, 4, MEMORY32_GPA + MEMORY32_BYTES - 0x10000);
	set(1, PCI_BASE_ADDRESS_3, 4, 0);
	assert_true(first.function.bars[2].decoded);
}

/* Who was there first stays; who came second gets the place when it is free. */
static void test_bar_waits_for_its_place(void **state)
{
	uint32_t place = get(2, PCI_BASE_ADDRESS_0, 4);

	(void)state;
	set(1, PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	set(2, PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	set(1, PCI_BASE_ADDRESS_0, 4, place);
	assert_false(first.function.bars[0].decoded);
	assert_true(second.function.bars[0].decoded);
	set(2, PCI_BASE_ADDRESS_0, 4, MEMORY32_GPA); /* the two change places */
	assert_true(first.function.bars[0].decoded);
	assert_true(second.function.bars[0].decoded);
	bus_write(&mmio, place, 4, 1);
	bus_write(&mmio, MEMORY32_GPA, 4, 2);
	assert_int_equal(first.last_write, 1);
	assert_int_equal(second.last_write, 2);
}

static void test_reset(void **state)
{
	(void)state;
	set(1, PCI_COMMAND, 2, UINT16_MAX);
	set(1, PCI_BASE_ADDRESS_0, 4, MEMORY32_GPA + 0x700000);
	set(1, first.capability + 4, 1, 0xff);
	bus_write(&ports, 0xcf8, 4, ADDRESS(0, 1, 0));
	pci_host_reset(&host);
	assert_int_equal(mmio.count, 1);
	assert_int_equal(first.resets, 1);
	assert_int_equal(second.resets, 1);
	assert_int_equal(get(1, PCI_COMMAND, 2), 0);
	assert_int_equal(get(1, PCI_BASE_ADDRESS_0, 4), MEMORY32_GPA);
	assert_int_equal(get(1, first.capability + 4, 1), 0);
	assert_int_equal(bus_read(&ports, 0xcf8, 4), 0);
}

static void gadget_add_large(struct gadget *gadget)
{
	gadget_init(gadget);
	gadget->high.size = 16 * MIB;
	store_le32(&gadget->function.writable[PCI_BASE_ADDRESS_2], (uint32_t)~(16 * MIB - 1));
	assert_int_equal(pci_host_add(&host, &gadget->function), 0);
	assert_true(is_aligned(pci_bar_gpa(&gadget->function, 2), 16 * MIB));
}

/* Large BARs go above 4 GiB when the window below is full. */
static void test_bus_and_windows_fill_up(void **state)
{
	static struct gadget many[PCI_HOST_DEVICES];
	unsigned count = 2; /* those of setup() */

	(void)state;
	for (; count < PCI_HOST_DEVICES; count++)
		gadget_add_large(&many[count]);
	assert_true(pci_bar_gpa(&many[count - 1].function, 2) >= MEMORY64_GPA);
	gadget_init(&many[0]);
	assert_int_equal(pci_host_add(&host, &many[0].function), -ENOSPC);
	while (count > 2)
		pci_host_remove(&host, &many[--count].function);

	gadget_init(&many[0]);
	many[0].low.size = MEMORY32_BYTES;
	assert_int_equal(pci_host_add(&host, &many[0].function), -ENOSPC);
	assert_int_equal(get(3, PCI_VENDOR_ID, 4), ABSENT);
}

/* Each device has a slot of its own as long as there are slots; then they share them. */
static void test_slots_are_shared_when_all_are_taken(void **state)
{
	static struct gadget many[32];
	const uint64_t company = ECAM_GPA + SLOT(1) + (1 << 12);
	unsigned count = 0;

	(void)state;
	for (; count < 29; count++)
		gadget_add_large(&many[count]);
	assert_int_equal(many[28].function.address, 31 << 3);
	assert_int_equal(get(1, PCI_HEADER_TYPE, 1), PCI_HEADER_TYPE_NORMAL);
	assert_int_equal(bus_read(&mmio, company + PCI_VENDOR_ID, 4), ABSENT);

	gadget_add_large(&many[count]);
	assert_int_equal(many[count].function.address, 1 << 3 | 1);
	assert_int_equal(pci_host_pin_gsi(&host, &many[count++].function), 17);
	gadget_add_large(&many[count]);
	assert_int_equal(many[count++].function.address, 2 << 3 | 1);
	pci_host_reset(&host);
	assert_int_equal(bus_read(&mmio, company + PCI_VENDOR_ID, 4), 0x56781234);
	assert_int_equal(get(0, PCI_HEADER_TYPE, 1), PCI_HEADER_TYPE_NORMAL);
	assert_int_equal(get(1, PCI_HEADER_TYPE, 1), 0x80);
	assert_int_equal(get(2, PCI_HEADER_TYPE, 1), 0x80);
	assert_int_equal(get(3, PCI_HEADER_TYPE, 1), PCI_HEADER_TYPE_NORMAL);
	bus_write(&ports, 0xcf8, 4, ADDRESS(0, 1, 0) | 1 << 8);
	assert_int_equal(bus_read(&ports, 0xcfc, 4), 0x56781234);
	while (count)
		pci_host_remove(&host, &many[--count].function);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_masks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_capabilities, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_accesses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_absent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bar_sizing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_decode, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bar_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bar_halves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bar_places, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bar_waits_for_its_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bus_and_windows_fill_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slots_are_shared_when_all_are_taken, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
