// SPDX-License-Identifier: MIT
/* A function's MSI-X table. */
#include "kit/msix.h"

static uint64_t entry_gpa(const struct msix *msix, unsigned entry)
{
	return msix->table_gpa + (uint64_t)entry * PCI_MSIX_ENTRY_SIZE;
}

static uint64_t structure_gpa(const struct msix *msix, unsigned offset)
{
	uint32_t where = pci_read32(msix->function, msix->capability + offset);

	return msix->function->bars[where & PCI_MSIX_TABLE_BIR].base +
	       (where & PCI_MSIX_TABLE_OFFSET);
}

static void control(const struct msix *msix, uint16_t bit, bool set)
{
	unsigned offset = msix->capability + PCI_MSIX_FLAGS;
	uint16_t flags = pci_read16(msix->function, offset);

	pci_write16(msix->function, offset, (uint16_t)(set ? flags | bit : flags & ~bit));
}

void msix_init(struct msix *msix, const struct pci_function *function)
{
	*msix = (struct msix){ .function = function };
	msix->capability = pci_capability(function, PCI_CAP_ID_MSIX, 0);
	if (!msix->capability)
		return;
	msix->count =
		(pci_read16(function, msix->capability + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_QSIZE) +
		1u;
	msix->table_gpa = structure_gpa(msix, PCI_MSIX_TABLE);
	msix->pending_gpa = structure_gpa(msix, PCI_MSIX_PBA);
	msix_enable(msix, false);
	msix_mask_function(msix, false);
	for (unsigned entry = 0; entry < msix->count; entry++)
		msix_mask(msix, entry, true);
}

void msix_enable(const struct msix *msix, bool on)
{
	control(msix, PCI_MSIX_FLAGS_ENABLE, on);
}

void msix_mask_function(const struct msix *msix, bool masked)
{
	control(msix, PCI_MSIX_FLAGS_MASKALL, masked);
}

void msix_set(const struct msix *msix, unsigned entry, struct message message)
{
	uint64_t gpa = entry_gpa(msix, entry);

	mmio_write32(gpa + PCI_MSIX_ENTRY_LOWER_ADDR, (uint32_t)message.address);
	mmio_write32(gpa + PCI_MSIX_ENTRY_UPPER_ADDR, (uint32_t)(message.address >> 32));
	mmio_write32(gpa + PCI_MSIX_ENTRY_DATA, message.data);
	msix_mask(msix, entry, false);
}

void msix_mask(const struct msix *msix, unsigned entry, bool masked)
{
	mmio_write32(entry_gpa(msix, entry) + PCI_MSIX_ENTRY_VECTOR_CTRL,
		     masked ? PCI_MSIX_ENTRY_CTRL_MASKBIT : 0);
}

bool msix_is_pending(const struct msix *msix, unsigned entry)
{
	return mmio_read32(msix->pending_gpa + entry / 32 * 4) >> (entry % 32) & 1;
}
