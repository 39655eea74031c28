// SPDX-License-Identifier: MIT
/*
 * The bytes of a function's configuration space. vCPU threads under
 * pci_host.lock, which the caller holds. Where BARs lead is left to pci_host.c.
 */
#include "hw/pci.h"

#include <assert.h>

#include "base/bytes.h"

#define CAPABILITY_ALIGNMENT 4
#define COMMAND_WRITABLE (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE)
#define PIN_A 1

void pci_function_init(struct pci_function *function, const char *name,
		       const struct pci_ops *ops, const struct pci_identity *identity)
{
	uint8_t *config = function->config;

	*function = (struct pci_function){
		.ops = ops,
		.name = name,
		.next_free = PCI_STD_HEADER_SIZEOF,
	};
	store_le16(&config[PCI_VENDOR_ID], identity->vendor);
	store_le16(&config[PCI_DEVICE_ID], identity->device);
	store_le16(&config[PCI_SUBSYSTEM_VENDOR_ID], identity->subsystem_vendor);
	store_le16(&config[PCI_SUBSYSTEM_ID], identity->subsystem);
	store_le16(&config[PCI_CLASS_DEVICE], identity->class_code);
	config[PCI_REVISION_ID] = identity->revision;
	store_le16(&function->writable[PCI_COMMAND], COMMAND_WRITABLE);
	/* Means nothing to us; drivers save and restore it. */
	function->writable[PCI_CACHE_LINE_SIZE] = 0xff;
}

void pci_add_bar(struct pci_function *function, unsigned bar, struct region *region,
		 uint32_t flags)
{
	unsigned offset = PCI_BASE_ADDRESS_0 + bar * 4;
	uint64_t writable = ~(region->size - 1);
	bool is_64bit = flags & PCI_BASE_ADDRESS_MEM_TYPE_64;

	assert(bar + is_64bit < PCI_BARS && !function->bars[bar].region);
	assert(is_power_of_two(region->size) && region->size > ~PCI_BASE_ADDRESS_MEM_MASK);
	function->bars[bar] = (struct pci_bar){ .region = region, .is_64bit = is_64bit };
	store_le32(&function->config[offset], flags);
	store_le32(&function->writable[offset], (uint32_t)writable);
	if (is_64bit)
		store_le32(&function->writable[offset + 4], (uint32_t)(writable >> 32));
}

unsigned pci_add_capability(struct pci_function *function, uint8_t id, unsigned length)
{
	unsigned offset = function->next_free;
	unsigned link = function->last_capability ?
			function->last_capability + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST;

	assert(range_within(offset, length, PCI_CONFIG_BYTES));
	function->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	function->config[link] = (uint8_t)offset;
	function->config[offset + PCI_CAP_LIST_ID] = id;
	function->last_capability = offset;
	function->next_free = (unsigned)align_up(offset + length, CAPABILITY_ALIGNMENT);
	return offset;
}

void pci_add_pin(struct pci_function *function)
{
	function->config[PCI_INTERRUPT_PIN] = PIN_A;
	function->writable[PCI_INTERRUPT_LINE] = 0xff;
}

uint32_t pci_config_read(struct pci_function *function, unsigned offset, unsigned length)
{
	if (!range_within(offset, length, PCI_CONFIG_BYTES))
		return 0;
	if (function->ops->config_reading)
		function->ops->config_reading(function, offset, length);
	return (uint32_t)load_le(&function->config[offset], length);
}

void pci_config_write(struct pci_function *function, unsigned offset, unsigned length,
		      uint32_t value)
{
	if (!range_within(offset, length, PCI_CONFIG_BYTES))
		return;
	for (unsigned i = offset; i < offset + length; i++, value >>= 8) {
		uint8_t byte = (uint8_t)value, mask = function->writable[i];

		function->config[i] = (uint8_t)((function->config[i] & ~mask) | (byte & mask));
		function->config[i] &= (uint8_t)~(byte & function->write_clears[i]);
	}
	if (function->ops->config_written)
		function->ops->config_written(function, offset, length);
}

uint16_t pci_command(const struct pci_function *function)
{
	return load_le16(&function->config[PCI_COMMAND]);
}

uint64_t pci_bar_gpa(const struct pci_function *function, unsigned bar)
{
	const uint8_t *bytes = &function->config[PCI_BASE_ADDRESS_0 + bar * 4];

	return (function->bars[bar].is_64bit ? load_le64(bytes) : load_le32(bytes)) &
	       PCI_BASE_ADDRESS_MEM_MASK;
}

void pci_bar_set_gpa(struct pci_function *function, unsigned bar, uint64_t gpa)
{
	uint8_t *bytes = &function->config[PCI_BASE_ADDRESS_0 + bar * 4];
	uint32_t flags = load_le32(bytes) & ~(uint32_t)PCI_BASE_ADDRESS_MEM_MASK;

	store_le32(bytes, flags | (uint32_t)gpa);
	if (function->bars[bar].is_64bit)
		store_le32(bytes + 4, (uint32_t)(gpa >> 32));
}
