// SPDX-License-Identifier: MIT
/*
 * The device tree of arm64, on any host that has libfdt: machines of any size
 * and command line, room that is enough and room that is not. Written whole and
 * sound, within the room that was said to be enough, saying what the machine is;
 * or refused, and never a byte behind the room (a sanitizer sees it).
 */
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#include "arm64/device_tree.h"
#include "arm64/layout.h"
#include "base/log.h"
#include "tests/fuzz/fuzz.h"

#define VCPUS_MAX 600
#define COMMAND_LINE_MAX 3000
#define COMMAND_LINE_LIMIT 2047 /* of the kernel */
#define GICV2_VCPUS_MAX 8

static uint64_t mpidrs[VCPUS_MAX];
static char command_line[COMMAND_LINE_MAX + 1];

static uint64_t any_size(struct fuzz_input *input)
{
	return (fuzz_number(input, 5) + 1) << fuzz_below(input, 13);
}

static struct device_tree_config any_config(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input);
	size_t length = fuzz_number(input, 2) % (COMMAND_LINE_MAX + 1);
	struct device_tree_config config = {
		.memory_bytes = any_size(input) & ~UINT64_C(0xffff),
		.command_line = command_line,
		.mpidrs = mpidrs,
		.vcpu_count = 1 + (unsigned)fuzz_number(input, 2) % VCPUS_MAX,
		.irqchip = IRQCHIP_GICV3_ITS + choice % 4,
		.pmu = choice & 0x10,
		.window32 = { LAYOUT_PCI_WINDOW32_GPA, LAYOUT_PCI_WINDOW32_BYTES },
	};

	if (config.irqchip == IRQCHIP_GICV2 || config.irqchip == IRQCHIP_GICV2M)
		config.vcpu_count = 1 + config.vcpu_count % GICV2_VCPUS_MAX;
	if (choice & 0x20)
		config.window64 = (struct pci_window){ BIT64(40), any_size(input) };
	if (choice & 0x40) {
		config.initrd_gpa = LAYOUT_RAM_GPA + any_size(input);
		config.initrd_bytes = any_size(input);
	}
	memset(command_line, 'c', length);
	command_line[length] = '\0';
	for (size_t i = 0; i < length && i < 16; i++)
		if (!(command_line[i] = (char)fuzz_u8(input)))
			command_line[i] = ' ';
	/* No two alike, as the kernel of the host numbers them. */
	for (unsigned i = 0; i < config.vcpu_count; i++)
		mpidrs[i] = BIT64(31) | (i & 15) | (uint64_t)(i >> 4) << 8;
	return config;
}

static const void *property(const void *blob, const char *path, const char *name, int bytes)
{
	int node = fdt_path_offset(blob, path), length;
	const void *found = node < 0 ? NULL : fdt_getprop(blob, node, name, &length);

	fuzz_check(found && (length == bytes || bytes < 0));
	return found;
}

static uint64_t cells(const void *blob, const char *path, const char *name)
{
	uint64_t value;

	memcpy(&value, property(blob, path, name, 8), sizeof(value));
	return fdt64_to_cpu(value);
}

static unsigned cpu_count(const void *blob)
{
	int cpus = fdt_path_offset(blob, "/cpus"), node;
	unsigned count = 0;

	fdt_for_each_subnode(node, blob, cpus) {
		const char *type = fdt_getprop(blob, node, "device_type", NULL);

		count += type && !strcmp(type, "cpu");
	}
	return count;
}

static void check_memory(const void *blob, const struct device_tree_config *config)
{
	int node = fdt_node_offset_by_prop_value(blob, -1, "device_type", "memory", 7), length;
	const void *found = node < 0 ? NULL : fdt_getprop(blob, node, "reg", &length);
	fdt64_t range[2];

	fuzz_check(found && length == sizeof(range));
	memcpy(range, found, sizeof(range));
	fuzz_check(fdt64_to_cpu(range[0]) == LAYOUT_RAM_GPA);
	fuzz_check(fdt64_to_cpu(range[1]) == config->memory_bytes);
}

static void check_tree(const void *blob, size_t size, const struct device_tree_config *config)
{
	fuzz_check(!fdt_check_full(blob, size));
	fuzz_check(fdt_totalsize(blob) == size);
	fuzz_check(!strcmp(property(blob, "/chosen", "bootargs", -1), config->command_line));
	fuzz_check(cpu_count(blob) == config->vcpu_count);
	check_memory(blob, config);
	if (!config->initrd_bytes)
		return;
	fuzz_check(cells(blob, "/chosen", "linux,initrd-start") == config->initrd_gpa);
	fuzz_check(cells(blob, "/chosen", "linux,initrd-end") ==
		   config->initrd_gpa + config->initrd_bytes);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_set_level(LOG_LEVEL_ERROR);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = fuzz_input(data, size);
	struct device_tree_config config = any_config(&input);
	size_t enough = device_tree_room(&config), room = enough;
	void *blob;
	int written;

	fuzz_check(enough % 8 == 0 && enough <= DEVICE_TREE_BYTES_MAX);
	if (fuzz_u8(&input) & 1)
		room = (size_t)fuzz_number(&input, 3) % (enough + 1) & ~(size_t)7;
	blob = malloc(room ? room : 8);
	fuzz_check(blob);
	written = device_tree_write(&config, blob, room);
	if (room == enough)
		fuzz_check((written > 0) == (strlen(command_line) <= COMMAND_LINE_LIMIT));
	if (written > 0) {
		fuzz_check((size_t)written <= room);
		check_tree(blob, (size_t)written, &config);
	}
	free(blob);
	return 0;
}
