// SPDX-License-Identifier: MIT
/*
 * From the entry to guest_main(): what the device tree says of RAM, PCI and the serial port (a
 * 16550A or a PL011), and the ways to end the machine. Runs on the boot CPU.
 */
#include "arm64.h"
#include "kit/arch.h"
#include "kit/tap.h"
#include "kit/text.h"

#include <linux/psci.h>
#include <linux/serial_reg.h>

#define PL011_FLAGS	 0x18
#define PL011_FULL	 0x20
#define PL011_EMPTY	 0x10
#define SERIAL_FIFO	 16
#define RANGE_CELLS	 7
#define RANGE_SPACE(x)	 ((x) >> 24 & 3)
#define RANGE_MEMORY32	 2
#define RANGE_MEMORY64	 3
#define PANIC_PANICKED	 0x01

struct platform platform;

static struct {
	uint64_t gpa;
	bool pl011;
} serial;
static uint64_t panic_gpa;

void arch_put(const char *bytes, size_t count)
{
	if (!serial.gpa)
		return;
	while (count) {
		if (serial.pl011) {
			while (mmio_read32(serial.gpa + PL011_FLAGS) & PL011_FULL)
				;
			mmio_write32(serial.gpa, (uint8_t)*bytes++);
			count--;
			continue;
		}
		while (!(mmio_read8(serial.gpa + UART_LSR) & UART_LSR_THRE))
			;
		for (unsigned i = 0; i < SERIAL_FIFO && count; i++, count--)
			mmio_write8(serial.gpa + UART_TX, (uint8_t)*bytes++);
	}
}

int arch_get(void)
{
	if (serial.pl011)
		return mmio_read32(serial.gpa + PL011_FLAGS) & PL011_EMPTY ?
			       -1 : (int)(mmio_read32(serial.gpa) & 0xff);
	if (!(mmio_read8(serial.gpa + UART_LSR) & UART_LSR_DR))
		return -1;
	return mmio_read8(serial.gpa + UART_RX);
}

static void read_serial(void)
{
	struct tree_node node = tree_find((struct tree_node){ 0 }, "compatible", "ns16550a");

	if (!node.at) {
		node = tree_find(node, "compatible", "arm,pl011");
		serial.pl011 = true;
	}
	serial.gpa = tree_cells(node, "reg", 0, 2);
	if (serial.pl011)
		return;
	mmio_write8(serial.gpa + UART_LCR, UART_LCR_WLEN8);
	mmio_write8(serial.gpa + UART_IER, 0);
	mmio_write8(serial.gpa + UART_FCR, UART_FCR_ENABLE_FIFO);
	mmio_write8(serial.gpa + UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
}

static void read_ram(void)
{
	struct tree_node node = { 0 };

	while ((node = tree_find(node, "device_type", "memory")).at &&
	       platform.ram_count < PLATFORM_RAM_MAX)
		platform.ram[platform.ram_count++] = (struct range){
			tree_cells(node, "reg", 0, 2), tree_cells(node, "reg", 2, 2)
		};
}

static void read_pci(void)
{
	struct tree_node node = tree_find((struct tree_node){ 0 }, "compatible",
					  "pci-host-ecam-generic");
	uint32_t bytes = 0;

	if (!tree_property(node, "ranges", &bytes))
		return;
	platform.ecam_gpa = tree_cells(node, "reg", 0, 2);
	platform.bus_first = (uint8_t)tree_cells(node, "bus-range", 0, 1);
	platform.bus_last = (uint8_t)tree_cells(node, "bus-range", 1, 1);
	for (unsigned at = 0; (at + RANGE_CELLS) * 4 <= bytes; at += RANGE_CELLS) {
		uint32_t space = RANGE_SPACE((uint32_t)tree_cells(node, "ranges", at, 1));
		struct range range = { tree_cells(node, "ranges", at + 3, 2),
				       tree_cells(node, "ranges", at + 5, 2) };

		if (space == RANGE_MEMORY32)
			platform.window32 = range;
		else if (space == RANGE_MEMORY64)
			platform.window64 = range;
	}
	arch_map(platform.ecam_gpa + ((uint64_t)platform.bus_first << 20),
		 ((uint64_t)platform.bus_last - platform.bus_first + 1) << 20);
}

static void read_params(void)
{
	const char *params = tree_property(tree_path("/chosen"), "bootargs", NULL);

	if (params)
		text_format(platform.params, sizeof(platform.params), "%s", params);
}

void arm64_boot(uint64_t tree_gpa)
{
	tree_init(tree_gpa);
	read_ram();
	arm64_memory_init();
	arm64_mmu_on();
	read_serial();
	platform.boot = "device tree";
	read_params();
	read_pci();
	panic_gpa = tree_cells(tree_find((struct tree_node){ 0 }, "compatible",
					 "qemu,pvpanic-mmio"), "reg", 0, 2);
	arm64_cpu_init();
	platform.cpu_count = arm64_cpus.count;
	arm64_gic_init();
	guest_main();
	tap_end();
	arch_power_off();
}

/* What is asked of the machine may take a while: another thread of the VMM does it. */
__attribute__((noreturn)) static void stay(void)
{
	for (;;)
		__asm__ volatile("wfi");
}

void arch_power_off(void)
{
	arm64_psci(PSCI_0_2_FN_SYSTEM_OFF, 0, 0, 0);
	stay();
}

void arch_reset(void)
{
	arm64_psci(PSCI_0_2_FN_SYSTEM_RESET, 0, 0, 0);
	stay();
}

/* Nothing a guest does in EL1 ends the machine as a triple fault does. */
void arch_crash(void)
{
	bail_out("there is no way to crash here");
}

bool arch_panic_notify(void)
{
	if (!panic_gpa || !(mmio_read8(panic_gpa) & PANIC_PANICKED))
		return false;
	mmio_write8(panic_gpa, PANIC_PANICKED);
	return true;
}
