// SPDX-License-Identifier: MIT
/* Configuration space by ECAM, and the placing of BARs. */
#include "kit/pci.h"
#include "kit/arch.h"
#include "kit/tap.h"
#include "kit/text.h"

#define NO_VENDOR 0xffff

static uint64_t config_gpa(const struct pci_function *function, unsigned offset)
{
	return platform.ecam_gpa + ((uint64_t)pci_address(function) << 12) + offset;
}

uint8_t pci_read8(const struct pci_function *function, unsigned offset)
{
	return mmio_read8(config_gpa(function, offset));
}

uint16_t pci_read16(const struct pci_function *function, unsigned offset)
{
	return mmio_read16(config_gpa(function, offset));
}

uint32_t pci_read32(const struct pci_function *function, unsigned offset)
{
	return mmio_read32(config_gpa(function, offset));
}

void pci_write8(const struct pci_function *function, unsigned offset, uint8_t value)
{
	mmio_write8(config_gpa(function, offset), value);
}

void pci_write16(const struct pci_function *function, unsigned offset, uint16_t value)
{
	mmio_write16(config_gpa(function, offset), value);
}

void pci_write32(const struct pci_function *function, unsigned offset, uint32_t value)
{
	mmio_write32(config_gpa(function, offset), value);
}

void pci_command(const struct pci_function *function, uint16_t set, uint16_t clear)
{
	uint16_t command = pci_read16(function, PCI_COMMAND);

	pci_write16(function, PCI_COMMAND, (uint16_t)((command & ~clear) | set));
}

uint8_t pci_capability(const struct pci_function *function, uint8_t id, uint8_t after)
{
	uint8_t at = pci_read8(function, after ? after + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST);

	for (unsigned i = 0; at >= 0x40 && i < 48; i++) {
		if (pci_read8(function, at) == id)
			return at;
		at = pci_read8(function, at + PCI_CAP_LIST_NEXT);
	}
	return 0;
}

/* From the top down: a VMM or firmware that placed BARs itself began at the bottom. */
uint64_t pci_window_get(uint64_t bytes, bool is_64bit)
{
	static uint64_t taken32, taken64;
	const struct range *window = is_64bit ? &platform.window64 : &platform.window32;
	uint64_t *taken = is_64bit ? &taken64 : &taken32;
	uint64_t top = *taken ? *taken : window->base + window->bytes;

	if (!window->bytes || top - window->base < bytes)
		return 0;
	*taken = (top - bytes) & ~(bytes - 1);
	return *taken >= window->base ? *taken : 0;
}

static void bar_write(const struct pci_function *function, unsigned bar, uint64_t base)
{
	unsigned offset = PCI_BASE_ADDRESS_0 + bar * 4;

	pci_write32(function, offset, (uint32_t)base);
	if (function->bars[bar].is_64bit)
		pci_write32(function, offset + 4, (uint32_t)(base >> 32));
}

void pci_bar_move(struct pci_function *function, unsigned bar, uint64_t base)
{
	uint16_t command = pci_read16(function, PCI_COMMAND);

	pci_write16(function, PCI_COMMAND, command & (uint16_t)~PCI_COMMAND_MEMORY);
	bar_write(function, bar, base);
	function->bars[bar].base = base;
	arch_map(base, function->bars[bar].bytes);
	pci_write16(function, PCI_COMMAND, command);
}

/* Decoding is off. Returns how many BARs this one takes. */
static unsigned bar_size(struct pci_function *function, unsigned bar)
{
	unsigned offset = PCI_BASE_ADDRESS_0 + bar * 4;
	struct pci_bar *found = &function->bars[bar];
	uint32_t low = pci_read32(function, offset);
	uint64_t base, mask;

	found->is_port = low & PCI_BASE_ADDRESS_SPACE_IO;
	found->is_64bit = !found->is_port &&
			  (low & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64;
	base = low;
	pci_write32(function, offset, UINT32_MAX);
	mask = pci_read32(function, offset);
	if (found->is_64bit) {
		base |= (uint64_t)pci_read32(function, offset + 4) << 32;
		pci_write32(function, offset + 4, UINT32_MAX);
		mask |= (uint64_t)pci_read32(function, offset + 4) << 32;
	} else if (mask) {
		mask |= UINT64_C(0xffffffff) << 32;
	}
	bar_write(function, bar, base);
	mask &= found->is_port ? PCI_BASE_ADDRESS_IO_MASK : PCI_BASE_ADDRESS_MEM_MASK;
	found->base =
		base & (found->is_port ? PCI_BASE_ADDRESS_IO_MASK : PCI_BASE_ADDRESS_MEM_MASK);
	found->bytes = mask ? -mask : 0;
	return found->is_64bit ? 2 : 1;
}

static void bars_init(struct pci_function *function)
{
	pci_command(function, 0, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	for (unsigned bar = 0; bar < PCI_BARS;) {
		struct pci_bar *found = &function->bars[bar];
		unsigned slots = bar_size(function, bar);

		if (found->bytes && !found->is_port && !found->base) {
			found->base = pci_window_get(found->bytes,
						     found->is_64bit && platform.window64.bytes);
			bar_write(function, bar, found->base);
		}
		if (found->bytes && !found->is_port)
			arch_map(found->base, found->bytes);
		bar += slots;
	}
	pci_command(function, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0);
}

unsigned pci_scan(struct pci_function *functions, unsigned max)
{
	unsigned count = 0;

	if (!platform.ecam_gpa)
		bail_out("no MCFG: no PCI configuration space");
	for (unsigned address = 0; address < 256 && count < max; address++) {
		struct pci_function *function = &functions[count];

		*function =
			(struct pci_function){ 0, (uint8_t)(address >> 3), address & 7, { { 0 } } };
		if (pci_read16(function, PCI_VENDOR_ID) == NO_VENDOR) {
			/* Without a function 0 there are no others. */
			address |= function->function ? 0 : 7;
			continue;
		}
		if ((pci_read8(function, PCI_HEADER_TYPE) & PCI_HEADER_TYPE_MASK) ==
		    PCI_HEADER_TYPE_NORMAL)
			bars_init(function);
		count++;
		if (!function->function && !(pci_read8(function, PCI_HEADER_TYPE) & 0x80))
			address |= 7;
	}
	return count;
}
