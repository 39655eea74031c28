/* SPDX-License-Identifier: MIT */
/*
 * Where everything is on the x86 board. This is the only place that knows;
 * devices get their addresses from board.c.
 *
 *	0x0_0000_0000  +--------------------------------+
 *	               | boot structures (below)        |  RAM
 *	0x0_0009_FC00  +--------------------------------+
 *	               | kept from the guest's use      |  RAM, reserved
 *	0x0_000E_0000  | RSDP and ACPI tables           |
 *	0x0_000F_FFF0  | reset vector                   |
 *	0x0_0010_0000  +--------------------------------+
 *	               | RAM, at most up to 3 GiB       |
 *	0x0_C000_0000  +--------------------------------+
 *	               | PCI: 32-bit BARs               |
 *	0x0_E000_0000  +--------------------------------+
 *	               | PCI: configuration (ECAM)      |  reserved
 *	0x0_F000_0000  +--------------------------------+
 *	0x0_FEC0_0000  | IOAPIC                         |  in KVM
 *	0x0_FEE0_0000  | local APICs, MSI               |  in KVM
 *	0x0_FEFF_C000  | pages that KVM keeps for VMX   |
 *	0x1_0000_0000  +--------------------------------+
 *	               | RAM, what is above 3 GiB       |
 *	          end  +--------------------------------+
 *	               | PCI: 64-bit BARs               |
 *	               +--------------------------------+  physical address bits
 *
 * In the boot structures, all before the kernel owns memory:
 *
 *	0x01000  GDT
 *	0x02000  boot_params ("zero page"), or PVH start info and its lists
 *	0x03000  page tables: one to one, 4 GiB in 2 MiB pages
 *	0x20000  command line
 */
#ifndef X86_LAYOUT_H
#define X86_LAYOUT_H

#include "base/bytes.h"

#define LAYOUT_GDT_GPA          UINT64_C(0x1000)
#define LAYOUT_BOOT_PARAMS_GPA  UINT64_C(0x2000)
#define LAYOUT_PVH_GPA          UINT64_C(0x2000)
#define LAYOUT_PAGE_TABLES_GPA  UINT64_C(0x3000)
#define LAYOUT_COMMAND_LINE_GPA UINT64_C(0x20000)

#define LAYOUT_LOW_RAM_END      UINT64_C(0x9fc00)
#define LAYOUT_ACPI_GPA         UINT64_C(0xe0000)
#define LAYOUT_ACPI_BYTES       UINT64_C(0x10000)
#define LAYOUT_RESET_VECTOR_GPA UINT64_C(0xffff0)
#define LAYOUT_HIGH_RAM_GPA     MIB /* "high" as in "above the ISA hole" */

#define LAYOUT_RAM_BELOW_4G_MAX (3 * GIB)
#define LAYOUT_RAM_ABOVE_4G_GPA (4 * GIB)

#define LAYOUT_PCI_WINDOW32_GPA   UINT64_C(0xc0000000)
#define LAYOUT_PCI_WINDOW32_BYTES UINT64_C(0x20000000)
#define LAYOUT_ECAM_GPA           UINT64_C(0xe0000000)
#define LAYOUT_PCI_BUSES          1 /* there is room for 256 */
#define LAYOUT_ECAM_BYTES         (LAYOUT_PCI_BUSES * MIB)

#define LAYOUT_IOAPIC_GPA       UINT64_C(0xfec00000)
#define LAYOUT_LOCAL_APIC_GPA   UINT64_C(0xfee00000)
#define LAYOUT_IDENTITY_MAP_GPA UINT64_C(0xfeffc000) /* one page */
#define LAYOUT_TSS_GPA          UINT64_C(0xfeffd000) /* three pages */

/* Ports. */
#define LAYOUT_SERIAL_PORT  0x3f8
#define LAYOUT_PVPANIC_PORT 0x505
#define LAYOUT_POWER_PORT   0x600
#define LAYOUT_I8042_PORT   0x64
#define LAYOUT_CF9_PORT     0xcf9

/* Pins of the IOAPIC. */
#define LAYOUT_IOAPIC_PINS 24
#define LAYOUT_SERIAL_GSI  4
#define LAYOUT_EVENT_GSI   9
#define LAYOUT_INTX_GSI    16 /* and the three after it */

#endif
