// SPDX-License-Identifier: MIT
/* What the device tree tells of the board, read back by libfdt. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#include "arm64/device_tree.h"
#include "arm64/layout.h"
#include "base/bytes.h"
#include "tests/unit/boot_files.h"

#define VCPUS 3

static const uint64_t mpidrs[VCPUS] = { 0x80000000, 0x80000001, UINT64_C(0x180000100) };
static void *blob;

static struct device_tree_config config_of(enum irqchip irqchip)
{
	return (struct device_tree_config){
		.memory_bytes = 5 * GIB,
		.command_line = "console=ttyS0 panic=-1",
		.mpidrs = mpidrs,
		.vcpu_count = VCPUS,
		.irqchip = irqchip,
		.window32 = { LAYOUT_PCI_WINDOW32_GPA, LAYOUT_PCI_WINDOW32_BYTES },
		.window64 = { 8 * GIB, 256 * GIB },
	};
}

static void write_tree(const struct device_tree_config *config)
{
	size_t room = device_tree_room(config);
	int size;

	free(blob);
	blob = malloc(room);
	assert_non_null(blob);
	size = device_tree_write(config, blob, room);
	assert_true(size > 0 && (size_t)size <= room && room <= DEVICE_TREE_BYTES_MAX);
	assert_int_equal(fdt_check_full(blob, (size_t)size), 0);
}

static int teardown(void **state)
{
	(void)state;
	free(blob);
	blob = NULL;
	return 0;
}

static int node_at(const char *path)
{
	int node = fdt_path_offset(blob, path);

	if (node < 0)
		print_message("no %s\n", path);
	assert_true(node >= 0);
	return node;
}

/* Cell `index` of a property. */
static uint32_t cell(const char *path, const char *name, unsigned index)
{
	int length;
	const uint32_t *cells = fdt_getprop(blob, node_at(path), name, &length);

	assert_non_null(cells);
	assert_true(index < (unsigned)length / 4);
	return be32toh(cells[index]);
}

static uint64_t cell_pair(const char *path, const char *name, unsigned index)
{
	return (uint64_t)cell(path, name, index) << 32 | cell(path, name, index + 1);
}

static unsigned cell_count(const char *path, const char *name)
{
	int length;

	assert_non_null(fdt_getprop(blob, node_at(path), name, &length));
	return (unsigned)length / 4;
}

static const char *text(const char *path, const char *name)
{
	int length;
	const char *value = fdt_getprop(blob, node_at(path), name, &length);

	assert_non_null(value);
	assert_int_equal(value[length - 1], '\0');
	return value;
}

static bool has(const char *path, const char *name)
{
	return fdt_getprop(blob, node_at(path), name, NULL);
}

static void test_chosen(void **state)
{
	struct device_tree_config config = config_of(IRQCHIP_GICV3_ITS);
	uint64_t seed;
	uint32_t random;

	(void)state;
	write_tree(&config);
	assert_string_equal(text("/chosen", "bootargs"), "console=ttyS0 panic=-1");
	assert_string_equal(text("/chosen", "stdout-path"), "serial0");
	assert_string_equal(text("serial0", "compatible"), "ns16550a");
	assert_false(has("/chosen", "linux,initrd-start"));
	assert_int_equal(cell_count("/chosen", "rng-seed"), 16);
	seed = cell_pair("/chosen", "kaslr-seed", 0);
	random = cell("/chosen", "rng-seed", 15);
	config.initrd_gpa = UINT64_C(0x123450000);
	config.initrd_bytes = 12345;
	write_tree(&config);
	assert_int_equal(cell_pair("/chosen", "linux,initrd-start", 0), 0x123450000);
	assert_int_equal(cell_pair("/chosen", "linux,initrd-end", 0), 0x123450000 + 12345);
	/* New at each boot; once in 2^64 and 2^32 runs this test is wrong. */
	assert_true(cell_pair("/chosen", "kaslr-seed", 0) != seed ||
		    cell("/chosen", "rng-seed", 15) != random);
}

static void test_processors(void **state)
{
	struct device_tree_config config = config_of(IRQCHIP_GICV3_ITS);

	(void)state;
	write_tree(&config);
	assert_int_equal(cell_pair("/cpus/cpu@0", "reg", 0), 0);
	assert_int_equal(cell_pair("/cpus/cpu@1", "reg", 0), 1);
	assert_int_equal(cell_pair("/cpus/cpu@100000100", "reg", 0), UINT64_C(0x100000100));
	assert_string_equal(text("/cpus/cpu@1", "enable-method"), "psci");
	assert_string_equal(text("/psci", "compatible"), "arm,psci-1.0");
	assert_string_equal(text("/psci", "method"), "hvc");
	assert_int_equal(cell_pair("/memory@80000000", "reg", 0), 0x80000000);
	assert_int_equal(cell_pair("/memory@80000000", "reg", 2), 5 * GIB);
	assert_true(fdt_path_offset(blob, "/pmu") < 0);
	config.pmu = true;
	write_tree(&config);
	assert_int_equal(cell("/pmu", "interrupts", 0), 1);
	assert_int_equal(cell("/pmu", "interrupts", 1), LAYOUT_PMU_PPI);
}

static void test_many_processors(void **state)
{
	static uint64_t many[512];
	struct device_tree_config config = config_of(IRQCHIP_GICV3_ITS);
	char line[2049];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = UINT64_C(0x80000000) | (i % 16) | (i / 16) << 8;
	config.mpidrs = many;
	config.vcpu_count = ARRAY_SIZE(many);
	memset(line, 'x', sizeof(line));
	line[2047] = '\0';
	config.command_line = line;
	config.pmu = true;
	config.initrd_bytes = 1;
	write_tree(&config);
	assert_int_equal(cell_pair("/cpus/cpu@1f0f", "reg", 0), 0x1f0f);
	assert_int_equal(cell_pair("/interrupt-controller@8000000", "reg", 6), 512 * 128 * KIB);
	line[2047] = 'x';
	line[2048] = '\0';
	message_begin();
	assert_int_equal(device_tree_write(&config, blob, device_tree_room(&config)), -E2BIG);
	assert_true(message_end("2048 characters; an arm64 kernel takes 2047"));
	config.command_line = "";
	message_begin();
	assert_int_equal(device_tree_write(&config, blob, 4096), -ENOSPC);
	assert_true(message_end("4096 bytes are too few"));
}

static void assert_ppi(const char *path, unsigned index, uint32_t number, uint32_t flags)
{
	assert_int_equal(cell(path, "interrupts", 3 * index), 1);
	assert_int_equal(cell(path, "interrupts", 3 * index + 1), number);
	assert_int_equal(cell(path, "interrupts", 3 * index + 2), flags);
}

static void test_gicv3(void **state)
{
	struct device_tree_config config = config_of(IRQCHIP_GICV3_ITS);
	uint32_t its;

	(void)state;
	write_tree(&config);
	assert_string_equal(text("/interrupt-controller@8000000", "compatible"), "arm,gic-v3");
	assert_int_equal(cell_pair("/interrupt-controller@8000000", "reg", 4),
			 LAYOUT_REDISTRIBUTOR_GPA);
	assert_int_equal(cell_pair("/interrupt-controller@8000000", "reg", 6),
			 VCPUS * LAYOUT_REDISTRIBUTOR_BYTES);
	its = cell("/interrupt-controller@8000000/msi-controller@8080000", "phandle", 0);
	assert_int_equal(cell("/pcie@40000000", "msi-map", 0), 0);
	assert_int_equal(cell("/pcie@40000000", "msi-map", 1), its);
	assert_int_equal(cell("/pcie@40000000", "msi-map", 2), 0);
	assert_int_equal(cell("/pcie@40000000", "msi-map", 3), 0x10000);
	assert_ppi("/timer", 0, 13, 4);
	assert_ppi("/timer", 2, 11, 4);
	config.irqchip = IRQCHIP_GICV3;
	write_tree(&config);
	assert_true(fdt_first_subnode(blob, node_at("/interrupt-controller@8000000")) < 0);
	assert_false(has("/pcie@40000000", "msi-map"));
	assert_false(has("/pcie@40000000", "msi-parent"));
}

static void test_gicv2(void **state)
{
	struct device_tree_config config = config_of(IRQCHIP_GICV2M);

	(void)state;
	write_tree(&config);
	assert_string_equal(text("/interrupt-controller@8000000", "compatible"),
			    "arm,cortex-a15-gic");
	assert_int_equal(cell_pair("/interrupt-controller@8000000", "reg", 4),
			 LAYOUT_GICV2_CPU_GPA);
	assert_int_equal(cell("/interrupt-controller@8000000/v2m@8040000", "phandle", 0),
			 cell("/pcie@40000000", "msi-parent", 0));
	/* A GICv2 is told which processors a private interrupt is for. */
	assert_ppi("/timer", 1, 14, 0x704);
	config.irqchip = IRQCHIP_GICV2;
	write_tree(&config);
	assert_true(fdt_first_subnode(blob, node_at("/interrupt-controller@8000000")) < 0);
	assert_false(has("/pcie@40000000", "msi-map"));
	assert_false(has("/pcie@40000000", "msi-parent"));
}

/* Where a slot's pin leads to, as a guest finds it: the entry that equals it under the mask. */
static uint32_t route_of(uint32_t slot, uint32_t pin)
{
	const char *pcie = "/pcie@40000000";
	unsigned entries = cell_count(pcie, "interrupt-map") / 10;
	uint32_t spi = 0, found = 0;

	for (unsigned i = 0; i < entries; i++) {
		if (cell(pcie, "interrupt-map", i * 10) !=
		    (slot << 11 & cell(pcie, "interrupt-map-mask", 0)))
			continue;
		if (cell(pcie, "interrupt-map", i * 10 + 3) !=
		    (pin & cell(pcie, "interrupt-map-mask", 3)))
			continue;
		found++;
		assert_int_equal(cell(pcie, "interrupt-map", i * 10 + 4),
				 cell("/interrupt-controller@8000000", "phandle", 0));
		assert_int_equal(cell(pcie, "interrupt-map", i * 10 + 7), 0);
		spi = cell(pcie, "interrupt-map", i * 10 + 8);
		assert_int_equal(cell(pcie, "interrupt-map", i * 10 + 9), 4);
	}
	assert_int_equal(found, 1);
	return spi;
}

static void test_pci(void **state)
{
	struct device_tree_config config = config_of(IRQCHIP_GICV3_ITS);
	struct pci_host host = { .config.intx_gsis = { 4, 5, 6, 7 } };

	(void)state;
	write_tree(&config);
	for (uint16_t slot = 0; slot < 32; slot++) {
		const struct pci_function function = { .address = (uint16_t)(slot << 3) };

		assert_int_equal(route_of(slot, 1), pci_host_pin_gsi(&host, &function));
		assert_int_equal(route_of(slot, 4), LAYOUT_INTX_SPI + (slot + 3) % 4);
	}
	assert_int_equal(cell_pair("/pcie@40000000", "reg", 0), LAYOUT_ECAM_GPA);
	assert_int_equal(cell_pair("/pcie@40000000", "reg", 2), LAYOUT_ECAM_BYTES);
	assert_int_equal(cell("/pcie@40000000", "bus-range", 1), LAYOUT_PCI_BUSES - 1);
	assert_int_equal(cell("/pcie@40000000", "ranges", 0), 0x02000000);
	assert_int_equal(cell_pair("/pcie@40000000", "ranges", 1), LAYOUT_PCI_WINDOW32_GPA);
	assert_int_equal(cell_pair("/pcie@40000000", "ranges", 3), LAYOUT_PCI_WINDOW32_GPA);
	assert_int_equal(cell_pair("/pcie@40000000", "ranges", 5), LAYOUT_PCI_WINDOW32_BYTES);
	assert_int_equal(cell("/pcie@40000000", "ranges", 7), 0x43000000);
	assert_int_equal(cell_pair("/pcie@40000000", "ranges", 8), 8 * GIB);
	assert_int_equal(cell_pair("/pcie@40000000", "ranges", 10), 8 * GIB);
	assert_int_equal(cell_pair("/pcie@40000000", "ranges", 12), 256 * GIB);
	assert_true(has("/pcie@40000000", "dma-coherent"));
}

static void test_devices(void **state)
{
	static const struct {
		const char *path, *compatible;
		uint64_t gpa;
		uint32_t spi;
	} devices[] = {
		{ "/serial@1000000", "ns16550a", LAYOUT_SERIAL_GPA, LAYOUT_SERIAL_SPI },
		{ "/rtc@1010000", "arm,pl031", LAYOUT_RTC_GPA, LAYOUT_RTC_SPI },
		{ "/gpio@1020000", "arm,pl061", LAYOUT_GPIO_GPA, LAYOUT_GPIO_SPI },
	};
	struct device_tree_config config = config_of(IRQCHIP_GICV3);
	uint32_t clock;

	(void)state;
	write_tree(&config);
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		assert_string_equal(text(devices[i].path, "compatible"), devices[i].compatible);
		assert_int_equal(cell_pair(devices[i].path, "reg", 0), devices[i].gpa);
		assert_int_equal(cell(devices[i].path, "interrupts", 0), 0);
		assert_int_equal(cell(devices[i].path, "interrupts", 1), devices[i].spi);
		assert_int_equal(cell(devices[i].path, "interrupts", 2), 1);
	}
	clock = cell("/apb-pclk", "phandle", 0);
	assert_int_equal(cell("/rtc@1010000", "clocks", 0), clock);
	assert_int_equal(cell("/gpio@1020000", "clocks", 0), clock);
	assert_int_equal(cell("/gpio@1020000", "arm,primecell-periphid", 0), 0x41061);
	assert_int_equal(cell("/gpio-keys/power-button", "gpios", 0),
			 cell("/gpio@1020000", "phandle", 0));
	assert_int_equal(cell("/gpio-keys/power-button", "gpios", 1), LAYOUT_POWER_KEY_LINE);
	assert_int_equal(cell("/gpio-keys/power-button", "linux,code", 0), 116);
	assert_int_equal(cell_pair("/pvpanic@1030000", "reg", 0), LAYOUT_PVPANIC_GPA);
	/* The largest page of any guest holds no two of them. */
	assert_int_equal(LAYOUT_DEVICE_BYTES, 64 * KIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_chosen, teardown),
		cmocka_unit_test_teardown(test_processors, teardown),
		cmocka_unit_test_teardown(test_many_processors, teardown),
		cmocka_unit_test_teardown(test_gicv3, teardown),
		cmocka_unit_test_teardown(test_gicv2, teardown),
		cmocka_unit_test_teardown(test_pci, teardown),
		cmocka_unit_test_teardown(test_devices, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
