/* SPDX-License-Identifier: MIT */
/*
 * PCI functions by ECAM: finding them, their configuration space, BARs and capabilities. BARs that
 * no firmware has placed are placed in the windows of `platform`.
 */
#ifndef GUEST_KIT_PCI_H
#define GUEST_KIT_PCI_H

#include <linux/pci_regs.h>
#include <stdbool.h>
#include <stdint.h>

#define PCI_BARS 6

struct pci_bar {
	uint64_t base, bytes; /* bytes 0: not there, or the upper half of the one before */
	bool is_64bit, is_port;
};

struct pci_function {
	uint8_t bus, device, function;
	struct pci_bar bars[PCI_BARS];
};

static inline uint16_t pci_address(const struct pci_function *function)
{
	return (uint16_t)(function->bus << 8 | function->device << 3 | function->function);
}

uint8_t pci_read8(const struct pci_function *function, unsigned offset);
uint16_t pci_read16(const struct pci_function *function, unsigned offset);
uint32_t pci_read32(const struct pci_function *function, unsigned offset);
void pci_write8(const struct pci_function *function, unsigned offset, uint8_t value);
void pci_write16(const struct pci_function *function, unsigned offset, uint16_t value);
void pci_write32(const struct pci_function *function, unsigned offset, uint32_t value);

/* Fills in the functions of bus 0, BARs sized, placed and mapped; decoding and mastering on. */
unsigned pci_scan(struct pci_function *functions, unsigned max);
/* The first capability of `id` behind `after` (0: from the start); 0 if there is none. */
uint8_t pci_capability(const struct pci_function *function, uint8_t id, uint8_t after);
/* Sets and clears bits of the command register. */
void pci_command(const struct pci_function *function, uint16_t set, uint16_t clear);
/* Places a BAR anew, decoding off meanwhile. */
void pci_bar_move(struct pci_function *function, unsigned bar, uint64_t base);
/* A free place for `bytes` in the 32- or 64-bit window; 0 if there is none. */
uint64_t pci_window_get(uint64_t bytes, bool is_64bit);

#endif
