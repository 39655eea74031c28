/* SPDX-License-Identifier: MIT */
/*
 * Where everything is on the arm64 board. This is the only place that knows;
 * devices get their addresses from board.c, the guest from the device tree.
 *
 *	0x0_0100_0000  +--------------------------------+
 *	               | serial port, clock, GPIO,      |
 *	               | pvpanic: 64 KiB each           |
 *	0x0_0200_0000  | steal time                     |  memory, not the kernel's
 *	0x0_0800_0000  +--------------------------------+
 *	               | GIC distributor                |  in KVM
 *	0x0_0801_0000  | GICv2 CPU interface            |  in KVM
 *	0x0_0804_0000  | GICv2M frame                   |
 *	0x0_0808_0000  | ITS                            |  in KVM
 *	0x0_0A00_0000  | redistributors, 128 KiB a vCPU |  in KVM
 *	0x0_4000_0000  +--------------------------------+
 *	               | PCI: configuration (ECAM)      |
 *	0x0_5000_0000  +--------------------------------+
 *	               | PCI: 32-bit BARs               |
 *	0x0_8000_0000  +--------------------------------+
 *	               | RAM                            |
 *	          end  +--------------------------------+
 *	               | PCI: 64-bit BARs               |
 *	               +--------------------------------+  intermediate physical address bits
 *
 * The serial port is where kvmtool has it, so that an earlycon= of its users
 * works here too. Each device has 64 KiB, the largest page of any guest.
 */
#ifndef ARM64_LAYOUT_H
#define ARM64_LAYOUT_H

#include "base/bytes.h"

#define LAYOUT_DEVICE_BYTES     (64 * KIB)
#define LAYOUT_SERIAL_GPA       UINT64_C(0x01000000)
#define LAYOUT_RTC_GPA          UINT64_C(0x01010000)
#define LAYOUT_GPIO_GPA         UINT64_C(0x01020000)
#define LAYOUT_PVPANIC_GPA      UINT64_C(0x01030000)
#define LAYOUT_STEAL_TIME_GPA   UINT64_C(0x02000000)

#define LAYOUT_GIC_DISTRIBUTOR_GPA     UINT64_C(0x08000000)
#define LAYOUT_GIC_DISTRIBUTOR_BYTES   (64 * KIB)
#define LAYOUT_GICV2_CPU_GPA           UINT64_C(0x08010000)
#define LAYOUT_GICV2_CPU_BYTES         (8 * KIB)
#define LAYOUT_GICV2M_GPA              UINT64_C(0x08040000)
#define LAYOUT_GICV2M_BYTES            (64 * KIB)
#define LAYOUT_ITS_GPA                 UINT64_C(0x08080000)
#define LAYOUT_ITS_BYTES               (128 * KIB)
#define LAYOUT_REDISTRIBUTOR_GPA       UINT64_C(0x0a000000)
#define LAYOUT_REDISTRIBUTOR_BYTES     (128 * KIB) /* a vCPU */

#define LAYOUT_ECAM_GPA           UINT64_C(0x40000000)
#define LAYOUT_PCI_BUSES          1 /* there is room for 256 */
#define LAYOUT_ECAM_BYTES         (LAYOUT_PCI_BUSES * MIB)
#define LAYOUT_PCI_WINDOW32_GPA   UINT64_C(0x50000000)
#define LAYOUT_PCI_WINDOW32_BYTES UINT64_C(0x30000000)

#define LAYOUT_RAM_GPA UINT64_C(0x80000000)

/*
 * Shared peripheral interrupts, counted from the first: interrupt number 32 of
 * the GIC is SPI 0. A GSI of KVM is an SPI.
 */
#define LAYOUT_SERIAL_SPI  1
#define LAYOUT_RTC_SPI     2
#define LAYOUT_GPIO_SPI    3
#define LAYOUT_INTX_SPI    4 /* and the three after it */
#define LAYOUT_GICV2M_SPI  32 /* and all after it, for MSI-X without an ITS */
#define LAYOUT_GIC_SPIS    960 /* the most that KVM makes */

/* The GPIO's line of the power key. */
#define LAYOUT_POWER_KEY_LINE 3

/* Private peripheral interrupts, counted from the first: number 16 of the GIC is PPI 0. */
#define LAYOUT_TIMER_SECURE_PPI  13
#define LAYOUT_TIMER_PPI         14
#define LAYOUT_TIMER_VIRTUAL_PPI 11
#define LAYOUT_TIMER_HYP_PPI     10
#define LAYOUT_PMU_PPI           7

#endif
