// SPDX-License-Identifier: MIT
/*
 * The device tree's contents, after the bindings in the Linux kernel's
 * Documentation/devicetree/bindings. Control thread, no state.
 */
#include "arm64/device_tree.h"

#include <errno.h>
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "arm64/layout.h"
#include "base/log.h"
#include "boot/fdt.h"
#include "hw/pl031.h"
#include "hw/pl061.h"
#include "hw/primecell.h"
#include "hw/pvpanic.h"
#include "hw/serial.h"

#define COMMAND_LINE_LIMIT 2047 /* Linux's COMMAND_LINE_SIZE on arm64, without the NUL */

/* What the tree takes without vCPUs and command line, and what each vCPU adds; both plenty. */
#define ROOM_BYTES      (12 * KIB)
#define ROOM_VCPU_BYTES 192

#define RNG_SEED_BYTES 64
#define SERIAL_CLOCK_HZ 1843200
#define APB_CLOCK_HZ    24000000

/* An interrupt of the GIC is three cells: kind, number, flags. */
#define IRQ_SPI         0
#define IRQ_PPI         1
#define IRQ_EDGE_RISING 1
#define IRQ_LEVEL_HIGH  4
#define GICV2_CPU_SHIFT 8 /* in a PPI's flags: to which processors of a GICv2 it goes */

/* The affinity fields of MPIDR_EL1, as a cpu node's reg has them. */
#define MPIDR_AFFINITY UINT64_C(0xff00ffffff)

/* Flags in the first cell of a PCI address. */
#define PCI_MEMORY32     UINT32_C(0x02000000)
#define PCI_MEMORY64     UINT32_C(0x03000000)
#define PCI_PREFETCHABLE UINT32_C(0x40000000)
#define PCI_SLOT_SHIFT   11
#define PCI_PINS         4

#define HIGH(value) ((uint32_t)((uint64_t)(value) >> 32))
#define LOW(value)  ((uint32_t)(value))

enum phandle { PHANDLE_GIC = 1, PHANDLE_MSI, PHANDLE_APB_CLOCK, PHANDLE_GPIO };

/* Compatible strings, most specific first, as one string of several with its last NUL. */
#define put_compatible(tree, names) fdt_put_bytes(tree, "compatible", names, sizeof(names))

static bool is_gicv2(const struct device_tree_config *config)
{
	return config->irqchip == IRQCHIP_GICV2 || config->irqchip == IRQCHIP_GICV2M;
}

static void put_range(struct fdt_writer *tree, uint64_t address, uint64_t size)
{
	fdt_put_ranges(tree, "reg", &(struct fdt_range){ address, size }, 1);
}

static void put_spi(struct fdt_writer *tree, uint32_t spi)
{
	fdt_put_cells(tree, "interrupts", (const uint32_t[]){ IRQ_SPI, spi, IRQ_EDGE_RISING }, 3);
}

static uint32_t ppi_flags(const struct device_tree_config *config)
{
	if (!is_gicv2(config))
		return IRQ_LEVEL_HIGH;
	return IRQ_LEVEL_HIGH | (uint32_t)(BIT64(config->vcpu_count) - 1) << GICV2_CPU_SHIFT;
}

static void put_size_cells(struct fdt_writer *tree)
{
	fdt_put_u32(tree, "#address-cells", 2);
	fdt_put_u32(tree, "#size-cells", 2);
}

static int put_chosen(const struct device_tree_config *config, struct fdt_writer *tree)
{
	struct {
		uint64_t kaslr;
		uint8_t rng[RNG_SEED_BYTES];
	} seeds;

	if (getrandom(&seeds, sizeof(seeds), 0) != sizeof(seeds))
		return fail_host_errno("device tree: random numbers");
	fdt_node_begin(tree, "chosen");
	fdt_put_string(tree, "bootargs", config->command_line);
	fdt_put_string(tree, "stdout-path", "serial0");
	fdt_put_u64(tree, "kaslr-seed", seeds.kaslr);
	fdt_put_bytes(tree, "rng-seed", seeds.rng, sizeof(seeds.rng));
	if (config->initrd_bytes) {
		fdt_put_u64(tree, "linux,initrd-start", config->initrd_gpa);
		fdt_put_u64(tree, "linux,initrd-end", config->initrd_gpa + config->initrd_bytes);
	}
	fdt_node_end(tree);
	explicit_bzero(&seeds, sizeof(seeds));
	return 0;
}

static void put_aliases(struct fdt_writer *tree)
{
	char path[32];

	snprintf(path, sizeof(path), "/serial@%llx", (unsigned long long)LAYOUT_SERIAL_GPA);
	fdt_node_begin(tree, "aliases");
	fdt_put_string(tree, "serial0", path);
	fdt_node_end(tree);
}

static void put_memory(const struct device_tree_config *config, struct fdt_writer *tree)
{
	fdt_node_begin_at(tree, "memory", LAYOUT_RAM_GPA);
	fdt_put_string(tree, "device_type", "memory");
	put_range(tree, LAYOUT_RAM_GPA, config->memory_bytes);
	fdt_node_end(tree);
}

static void put_cpus(const struct device_tree_config *config, struct fdt_writer *tree)
{
	fdt_node_begin(tree, "cpus");
	fdt_put_u32(tree, "#address-cells", 2);
	fdt_put_u32(tree, "#size-cells", 0);
	for (unsigned i = 0; i < config->vcpu_count; i++) {
		uint64_t affinity = config->mpidrs[i] & MPIDR_AFFINITY;

		fdt_node_begin_at(tree, "cpu", affinity);
		fdt_put_string(tree, "device_type", "cpu");
		fdt_put_string(tree, "compatible", "arm,armv8");
		fdt_put_string(tree, "enable-method", "psci");
		fdt_put_u64(tree, "reg", affinity);
		fdt_node_end(tree);
	}
	fdt_node_end(tree);
}

static void put_psci(struct fdt_writer *tree)
{
	fdt_node_begin(tree, "psci");
	put_compatible(tree, "arm,psci-1.0\0arm,psci-0.2");
	fdt_put_string(tree, "method", "hvc");
	fdt_node_end(tree);
}

static void put_timer(const struct device_tree_config *config, struct fdt_writer *tree)
{
	uint32_t flags = ppi_flags(config);
	const uint32_t interrupts[] = {
		IRQ_PPI, LAYOUT_TIMER_SECURE_PPI, flags,
		IRQ_PPI, LAYOUT_TIMER_PPI, flags,
		IRQ_PPI, LAYOUT_TIMER_VIRTUAL_PPI, flags,
		IRQ_PPI, LAYOUT_TIMER_HYP_PPI, flags,
	};

	fdt_node_begin(tree, "timer");
	put_compatible(tree, "arm,armv8-timer");
	fdt_put_cells(tree, "interrupts", interrupts, ARRAY_SIZE(interrupts));
	fdt_put_flag(tree, "always-on");
	fdt_node_end(tree);
}

static void put_pmu(const struct device_tree_config *config, struct fdt_writer *tree)
{
	fdt_node_begin(tree, "pmu");
	put_compatible(tree, "arm,armv8-pmuv3");
	fdt_put_cells(tree, "interrupts",
		      (const uint32_t[]){ IRQ_PPI, LAYOUT_PMU_PPI, ppi_flags(config) }, 3);
	fdt_node_end(tree);
}

static void put_its(struct fdt_writer *tree)
{
	fdt_node_begin_at(tree, "msi-controller", LAYOUT_ITS_GPA);
	put_compatible(tree, "arm,gic-v3-its");
	put_range(tree, LAYOUT_ITS_GPA, LAYOUT_ITS_BYTES);
	fdt_put_flag(tree, "msi-controller");
	fdt_put_u32(tree, "#msi-cells", 1);
	fdt_put_u32(tree, "phandle", PHANDLE_MSI);
	fdt_node_end(tree);
}

/* How many SPIs it has, and from which on, stands in its own register. */
static void put_gicv2m(struct fdt_writer *tree)
{
	fdt_node_begin_at(tree, "v2m", LAYOUT_GICV2M_GPA);
	put_compatible(tree, "arm,gic-v2m-frame");
	put_range(tree, LAYOUT_GICV2M_GPA, LAYOUT_GICV2M_BYTES);
	fdt_put_flag(tree, "msi-controller");
	fdt_put_u32(tree, "phandle", PHANDLE_MSI);
	fdt_node_end(tree);
}

static void put_gic(const struct device_tree_config *config, struct fdt_writer *tree)
{
	const struct fdt_range gicv2[] = {
		{ LAYOUT_GIC_DISTRIBUTOR_GPA, LAYOUT_GIC_DISTRIBUTOR_BYTES },
		{ LAYOUT_GICV2_CPU_GPA, LAYOUT_GICV2_CPU_BYTES },
	};
	const struct fdt_range gicv3[] = {
		{ LAYOUT_GIC_DISTRIBUTOR_GPA, LAYOUT_GIC_DISTRIBUTOR_BYTES },
		{ LAYOUT_REDISTRIBUTOR_GPA, config->vcpu_count * LAYOUT_REDISTRIBUTOR_BYTES },
	};

	fdt_node_begin_at(tree, "interrupt-controller", LAYOUT_GIC_DISTRIBUTOR_GPA);
	fdt_put_string(tree, "compatible", is_gicv2(config) ? "arm,cortex-a15-gic" : "arm,gic-v3");
	fdt_put_flag(tree, "interrupt-controller");
	fdt_put_u32(tree, "#interrupt-cells", 3);
	fdt_put_ranges(tree, "reg", is_gicv2(config) ? gicv2 : gicv3, 2);
	fdt_put_u32(tree, "phandle", PHANDLE_GIC);
	put_size_cells(tree);
	fdt_put_flag(tree, "ranges");
	if (config->irqchip == IRQCHIP_GICV3_ITS)
		put_its(tree);
	if (config->irqchip == IRQCHIP_GICV2M)
		put_gicv2m(tree);
	fdt_node_end(tree);
}

/* pci_host_pin_gsi(): which SPI a pin raises depends on the slot modulo 4 only. */
static void put_interrupt_map(struct fdt_writer *tree)
{
	const uint32_t mask[] = { (PCI_PINS - 1) << PCI_SLOT_SHIFT, 0, 0, 7 };
	uint32_t map[PCI_PINS * PCI_PINS][10];

	for (uint32_t slot = 0; slot < PCI_PINS; slot++)
		for (uint32_t pin = 0; pin < PCI_PINS; pin++) {
			const uint32_t entry[] = {
				slot << PCI_SLOT_SHIFT, 0, 0, pin + 1, PHANDLE_GIC, 0, 0,
				IRQ_SPI, LAYOUT_INTX_SPI + (slot + pin) % PCI_PINS, IRQ_LEVEL_HIGH,
			};

			memcpy(map[slot * PCI_PINS + pin], entry, sizeof(entry));
		}
	fdt_put_u32(tree, "#interrupt-cells", 1);
	fdt_put_cells(tree, "interrupt-map-mask", mask, ARRAY_SIZE(mask));
	fdt_put_cells(tree, "interrupt-map", map[0], sizeof(map) / sizeof(uint32_t));
}

static void put_pci_host(const struct device_tree_config *config, struct fdt_writer *tree)
{
	const struct pci_window *low = &config->window32, *high = &config->window64;
	const uint32_t ranges[] = {
		PCI_MEMORY32, HIGH(low->base), LOW(low->base), HIGH(low->base), LOW(low->base),
		HIGH(low->size), LOW(low->size),
		PCI_MEMORY64 | PCI_PREFETCHABLE, HIGH(high->base), LOW(high->base),
		HIGH(high->base), LOW(high->base), HIGH(high->size), LOW(high->size),
	};

	fdt_node_begin_at(tree, "pcie", LAYOUT_ECAM_GPA);
	put_compatible(tree, "pci-host-ecam-generic");
	fdt_put_string(tree, "device_type", "pci");
	fdt_put_u32(tree, "#address-cells", 3);
	fdt_put_u32(tree, "#size-cells", 2);
	put_range(tree, LAYOUT_ECAM_GPA, LAYOUT_ECAM_BYTES);
	fdt_put_cells(tree, "bus-range", (const uint32_t[]){ 0, LAYOUT_PCI_BUSES - 1 }, 2);
	fdt_put_cells(tree, "ranges", ranges, ARRAY_SIZE(ranges));
	fdt_put_flag(tree, "dma-coherent");
	put_interrupt_map(tree);
	/* A requester id is the ITS's device id as it is. */
	if (config->irqchip == IRQCHIP_GICV3_ITS)
		fdt_put_cells(tree, "msi-map", (const uint32_t[]){ 0, PHANDLE_MSI, 0, 0x10000 }, 4);
	if (config->irqchip == IRQCHIP_GICV2M)
		fdt_put_u32(tree, "msi-parent", PHANDLE_MSI);
	fdt_node_end(tree);
}

static void put_serial(struct fdt_writer *tree)
{
	fdt_node_begin_at(tree, "serial", LAYOUT_SERIAL_GPA);
	put_compatible(tree, "ns16550a");
	put_range(tree, LAYOUT_SERIAL_GPA, SERIAL_REGISTERS);
	put_spi(tree, LAYOUT_SERIAL_SPI);
	fdt_put_u32(tree, "clock-frequency", SERIAL_CLOCK_HZ);
	fdt_node_end(tree);
}

static void put_apb_clock(struct fdt_writer *tree)
{
	fdt_node_begin(tree, "apb-pclk");
	put_compatible(tree, "fixed-clock");
	fdt_put_u32(tree, "#clock-cells", 0);
	fdt_put_u32(tree, "clock-frequency", APB_CLOCK_HZ);
	fdt_put_string(tree, "clock-output-names", "apb_pclk");
	fdt_put_u32(tree, "phandle", PHANDLE_APB_CLOCK);
	fdt_node_end(tree);
}

/* The id is in its registers, too, but to read it there takes eight exits. */
static void put_primecell(struct fdt_writer *tree, uint64_t gpa, uint32_t spi, uint8_t part)
{
	put_range(tree, gpa, PRIMECELL_BYTES);
	put_spi(tree, spi);
	fdt_put_u32(tree, "arm,primecell-periphid", PRIMECELL_PERIPHERAL_ID(part));
	fdt_put_u32(tree, "clocks", PHANDLE_APB_CLOCK);
	fdt_put_string(tree, "clock-names", "apb_pclk");
}

static void put_clock(struct fdt_writer *tree)
{
	fdt_node_begin_at(tree, "rtc", LAYOUT_RTC_GPA);
	put_compatible(tree, "arm,pl031\0arm,primecell");
	put_primecell(tree, LAYOUT_RTC_GPA, LAYOUT_RTC_SPI, PL031_PART);
	fdt_node_end(tree);
}

static void put_gpio(struct fdt_writer *tree)
{
	fdt_node_begin_at(tree, "gpio", LAYOUT_GPIO_GPA);
	put_compatible(tree, "arm,pl061\0arm,primecell");
	put_primecell(tree, LAYOUT_GPIO_GPA, LAYOUT_GPIO_SPI, PL061_PART);
	fdt_put_flag(tree, "gpio-controller");
	fdt_put_u32(tree, "#gpio-cells", 2);
	fdt_put_flag(tree, "interrupt-controller");
	fdt_put_u32(tree, "#interrupt-cells", 2);
	fdt_put_u32(tree, "#address-cells", 0);
	fdt_put_u32(tree, "phandle", PHANDLE_GPIO);
	fdt_node_end(tree);
}

static void put_power_key(struct fdt_writer *tree)
{
	fdt_node_begin(tree, "gpio-keys");
	put_compatible(tree, "gpio-keys");
	fdt_node_begin(tree, "power-button");
	fdt_put_string(tree, "label", "Power Button");
	fdt_put_u32(tree, "linux,code", KEY_POWER);
	fdt_put_cells(tree, "gpios",
		      (const uint32_t[]){ PHANDLE_GPIO, LAYOUT_POWER_KEY_LINE, 0 }, 3);
	fdt_node_end(tree);
	fdt_node_end(tree);
}

static void put_pvpanic(struct fdt_writer *tree)
{
	fdt_node_begin_at(tree, "pvpanic", LAYOUT_PVPANIC_GPA);
	put_compatible(tree, "qemu,pvpanic-mmio");
	put_range(tree, LAYOUT_PVPANIC_GPA, PVPANIC_REGISTERS);
	fdt_node_end(tree);
}

size_t device_tree_room(const struct device_tree_config *config)
{
	return align_up(ROOM_BYTES + strlen(config->command_line) +
			config->vcpu_count * (uint64_t)ROOM_VCPU_BYTES, 8);
}

int device_tree_write(const struct device_tree_config *config, void *bytes, size_t room)
{
	size_t length = strlen(config->command_line);
	struct fdt_writer tree;
	int error, size;

	if (length > COMMAND_LINE_LIMIT)
		return fail(E2BIG, "command line: %zu characters; an arm64 kernel takes %d: "
			    "shorten --params", length, COMMAND_LINE_LIMIT);
	fdt_writer_begin(&tree, bytes, room);
	put_compatible(&tree, "linux,dummy-virt");
	fdt_put_string(&tree, "model", "ringvm");
	put_size_cells(&tree);
	fdt_put_u32(&tree, "interrupt-parent", PHANDLE_GIC);
	error = put_chosen(config, &tree);
	if (error)
		return error;
	put_aliases(&tree);
	put_memory(config, &tree);
	put_cpus(config, &tree);
	put_psci(&tree);
	put_timer(config, &tree);
	if (config->pmu)
		put_pmu(config, &tree);
	put_gic(config, &tree);
	put_pci_host(config, &tree);
	put_serial(&tree);
	put_apb_clock(&tree);
	put_clock(&tree);
	put_gpio(&tree);
	put_power_key(&tree);
	put_pvpanic(&tree);
	size = fdt_writer_end(&tree);
	return size < 0 ? fail(-size, "device tree: %zu bytes are too few for it", room) : size;
}
