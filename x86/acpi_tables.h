/* SPDX-License-Identifier: MIT */
/*
 * What ACPI tells the guest of the x86 board: processors and IOAPIC, the PCI
 * host with its windows and interrupts, serial port, power registers and button,
 * pvpanic. Hardware-reduced: nothing else of a PC is there. Control thread.
 */
#ifndef X86_ACPI_TABLES_H
#define X86_ACPI_TABLES_H

#include <stdint.h>

#include "core/memory.h"
#include "hw/pci_host.h"

struct acpi_config {
	unsigned vcpu_count;
	struct pci_window window32, window64;
};

/* Where the root pointer is, at any time. */
uint64_t acpi_rsdp_gpa(void);

/* Writes all tables into guest memory that is zero there. 0 or a failure, logged. */
int acpi_tables_write(const struct acpi_config *config, const struct guest_memory *memory);

#endif
