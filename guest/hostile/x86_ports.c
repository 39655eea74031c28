// SPDX-License-Identifier: MIT
/*
 * H47: the ports of PCI's first configuration mechanism and the reset register among them, by every
 * width, across their ends and by strings. Only x86 has ports.
 */
#include "kit/hostile.h"
#include "kit/memory.h"
#include "kit/tap.h"
#include "kit/text.h"
#include "x86.h"

#define ADDRESS	     0xcf8
#define RESET	     0xcf9
#define DATA	     0xcfc
#define SERIAL	     0x3f8
#define NOBODY	     0x80
#define ENABLE	     0x80000000u
#define STRING_BYTES 0x10000
#define OUT_BYTES    0x1000 /* one exit a byte */

static uint32_t address_of(const struct virtio_device *device, unsigned offset)
{
	return ENABLE | (uint32_t)pci_address(device->function) << 8 | offset;
}

static void h47_disabled(struct virtio_device *device)
{
	uint16_t command = pci_read16(device->function, PCI_COMMAND);

	port_write32(ADDRESS, address_of(device, PCI_COMMAND) & ~ENABLE);
	port_write32(DATA, 0);
	port_write16(DATA, 0);
	port_write8(DATA, 0);
	ok(port_read32(DATA) == UINT32_MAX && port_read8(DATA + 3) == 0xff &&
		   pci_read16(device->function, PCI_COMMAND) == command,
	   "H47 %s: without bit 31 of CF8 there is nothing at CFC", device->name);
}

static void h47_address(struct virtio_device *device)
{
	uint32_t address = address_of(device, 0);

	port_write32(ADDRESS, address);
	port_write8(ADDRESS, 0xff);
	port_write16(ADDRESS, 0xffff);
	port_write8(ADDRESS + 2, 0xff);
	port_write16(ADDRESS + 2, 0);
	port_write8(ADDRESS + 3, 0);
	port_write32(ADDRESS + 1, 0);
	port_write32(ADDRESS + 2, 0);
	port_write16(ADDRESS + 3, 0); /* into CFC */
	ok(port_read32(ADDRESS) == address && port_read8(ADDRESS) == 0xff &&
		   port_read16(ADDRESS + 2) == 0xffff && port_read32(ADDRESS + 2) == UINT32_MAX,
	   "H47 %s: CF8 is written and read by 32 bits only", device->name);
	port_write32(ADDRESS, UINT32_MAX);
	ok(port_read32(ADDRESS) == (ENABLE | 0x00fffffc) && port_read32(DATA) == UINT32_MAX,
	   "H47 %s: reserved bits of CF8 read 0; bus 255 is not there", device->name);
}

static void h47_data(struct virtio_device *device)
{
	uint32_t word = pci_read32(device->function, 0);
	bool good = true;

	port_write32(ADDRESS, address_of(device, 0));
	for (unsigned i = 0; i < 4; i++)
		good = good && port_read8((uint16_t)(DATA + i)) == (uint8_t)(word >> i * 8);
	ok(good && port_read16(DATA) == (uint16_t)word && port_read16(DATA + 2) == word >> 16 &&
		   port_read32(DATA) == word,
	   "H47 %s: CFC gives what configuration space has", device->name);
	ok(port_read16(DATA + 1) == 0xffff && port_read16(DATA + 3) == 0xffff &&
		   port_read32(DATA + 1) == UINT32_MAX && port_read32(DATA + 3) == UINT32_MAX,
	   "H47 %s: across a word or past CFF: all ones", device->name);
	word = pci_read32(device->function, PCI_COMMAND);
	port_write32(ADDRESS, address_of(device, PCI_COMMAND));
	port_write16(DATA + 3, 0);
	port_write32(DATA + 1, 0);
	port_write32(DATA - 1, 0);
	port_write32(DATA - 2, 0);
	ok(pci_read32(device->function, PCI_COMMAND) == word && subject_works(device),
	   "H47 %s: writes like these do nothing", device->name);
	port_write32(ADDRESS, address_of(device, 0xfc));
	(void)port_read32(DATA);
	(void)port_read16(DATA + 2);
	port_write32(DATA, UINT32_MAX);
	ok(!port_read32(DATA) || port_read32(DATA) == pci_read32(device->function, 0xfc),
	   "H47 %s: the last register", device->name);
}

/* Bit 2 is what resets; without, nothing does. */
static void h47_reset_register(struct virtio_device *device)
{
	uint32_t address = address_of(device, 0);
	static const uint8_t values[] = { 0, 1, 2, 8, 0x0a, 0xfb, 0 };

	port_write32(ADDRESS, address);
	for (unsigned i = 0; i < ARRAY_COUNT(values); i++)
		port_write8(RESET, values[i]);
	port_write16(RESET, 0x0606);
	port_write32(RESET, 0x06060606);
	ok(port_read32(ADDRESS) == address && subject_works(device),
	   "H47 %s: CF9 without bit 2, or wider than a byte, resets nothing", device->name);
}

static void h47_strings(struct virtio_device *device)
{
	uint64_t mark = memory_mark();
	uint8_t *bytes = memory_get_raw(STRING_BYTES, 4096);
	uint8_t low = pci_read8(device->function, 0);
	bool same = true;

	port_write32(ADDRESS, address_of(device, 0));
	port_read_string(DATA, bytes, STRING_BYTES);
	for (unsigned i = 0; i < STRING_BYTES; i += 61)
		same = same && bytes[i] == low;
	ok(same, "H47 %s: a string of 64 KiB from CFC is one byte again and again", device->name);
	port_read_string(NOBODY, bytes, STRING_BYTES);
	same = true;
	for (unsigned i = 0; i < STRING_BYTES; i += 61)
		same = same && bytes[i] == 0xff;
	port_write_string(NOBODY, bytes, OUT_BYTES);
	port_write_string(DATA, bytes, OUT_BYTES);
	port_read_string(SERIAL, bytes, STRING_BYTES);
	port_read_string(SERIAL + 5, bytes, STRING_BYTES);
	ok(same && subject_works(device),
	   "H47 %s: nor do strings to and from other ports harm anybody", device->name);
	memory_release(mark);
}

static void test(struct victim *victim)
{
	struct virtio_device *device = victim->device;

	victim->is_well = false;
	virtio_start(device, virtio_usual_features(device));
	h47_disabled(device);
	h47_address(device);
	h47_data(device);
	h47_reset_register(device);
	if (hostile_wants(victim, 0))
		h47_strings(device);
	virtio_reset(device);
}

void guest_main(void)
{
	hostile_run(test);
}
