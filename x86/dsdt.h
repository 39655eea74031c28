/* SPDX-License-Identifier: MIT */
/* The DSDT: the board's devices in AML. Control thread, no state. */
#ifndef X86_DSDT_H
#define X86_DSDT_H

#include "boot/acpi.h"
#include "x86/acpi_tables.h"

/* Writes the table; its gpa, or 0 if it did not fit. */
uint64_t dsdt_write(const struct acpi_config *config, struct acpi_writer *writer);

#endif
