/* SPDX-License-Identifier: MIT */
/*
 * A PCI function's configuration space: bytes, a mask of the bits that the
 * guest may write, a mask of those that a written 1 clears. Embedded in the
 * device. Who shows it at which address, and puts its BARs on the bus, is
 * hw/pci_host.h. All of a function is guarded by pci_host.lock once it has been
 * added; before that, control thread.
 */
#ifndef HW_PCI_H
#define HW_PCI_H

#include <linux/pci_regs.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"

/* Conventional functions: what ECAM shows beyond reads as 0, "no extended capability". */
#define PCI_CONFIG_BYTES PCI_CFG_SPACE_SIZE
#define PCI_BARS 6

struct pci_function;

/*
 * pci_host.lock held: on a vCPU thread, or on the control thread with vCPUs
 * parked. Locks below pci_host.lock may be taken. NULL: nothing to do.
 */
struct pci_ops {
	/* Bring config[] up to date before these bytes are read. */
	void (*config_reading)(struct pci_function *function, unsigned offset, unsigned length);
	/* The guest has written these bytes; masks have been applied. */
	void (*config_written)(struct pci_function *function, unsigned offset, unsigned length);
	/* bars[bar].decoded changed: after the region joined the bus, before it leaves. */
	void (*bar_moved)(struct pci_function *function, unsigned bar);
	/* config[] is as it was when added. */
	void (*reset)(struct pci_function *function);
};

struct pci_bar {
	struct region *region; /* size: a power of two of at least 16; NULL: no such BAR */
	bool is_64bit;
	bool decoded; /* region is on the bus, at region->base */
};

struct pci_function {
	const struct pci_ops *ops;
	const char *name;
	uint16_t address; /* bus << 8 | device << 3 | function; from pci_host_add() */
	uint8_t config[PCI_CONFIG_BYTES];
	uint8_t writable[PCI_CONFIG_BYTES];
	uint8_t write_clears[PCI_CONFIG_BYTES];
	uint8_t initial[PCI_CONFIG_BYTES]; /* what a reset goes back to */
	struct pci_bar bars[PCI_BARS];
	unsigned last_capability, next_free; /* offsets; last 0: none yet */
};

struct pci_identity {
	uint16_t vendor, device;
	uint16_t subsystem_vendor, subsystem;
	uint16_t class_code; /* base class and subclass */
	uint8_t revision;
};

/* ---- Before pci_host_add() ---- */

void pci_function_init(struct pci_function *function, const char *name,
		       const struct pci_ops *ops, const struct pci_identity *identity);

/*
 * A memory BAR that shows `region`; `flags` of PCI_BASE_ADDRESS_MEM_*. A 64-bit
 * one takes the next index as well.
 */
void pci_add_bar(struct pci_function *function, unsigned bar, struct region *region,
		 uint32_t flags);

/* Appends a read-only, zeroed capability of `length` bytes with its 2-byte head; its offset. */
unsigned pci_add_capability(struct pci_function *function, uint8_t id, unsigned length);

/* Says that the function uses pin A. pci_host_add() fills in the line. */
void pci_add_pin(struct pci_function *function);

/* ---- pci_host.lock ---- */

/* Of 1, 2 or 4 bytes, aligned. Beyond PCI_CONFIG_BYTES reads 0, ignores writes. */
uint32_t pci_config_read(struct pci_function *function, unsigned offset, unsigned length);
void pci_config_write(struct pci_function *function, unsigned offset, unsigned length,
		      uint32_t value);

uint16_t pci_command(const struct pci_function *function);

/* What the BAR's registers hold, whether decoded or not. */
uint64_t pci_bar_gpa(const struct pci_function *function, unsigned bar);
void pci_bar_set_gpa(struct pci_function *function, unsigned bar, uint64_t gpa);

#endif
