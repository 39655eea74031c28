// SPDX-License-Identifier: MIT
/*
 * From the entry to guest_main(): memory map, command line and RSDP from either boot protocol, the
 * serial port, and the page tables above 4 GiB. Runs on the boot CPU.
 */
#include "kit/arch.h"
#include "kit/tap.h"
#include "kit/text.h"
#include "x86.h"

#include <asm/bootparam.h>
#include <linux/serial_reg.h>

#define SERIAL_PORT  0x3f8
#define SERIAL_FIFO  16
#define RAM_TYPE     1
#define PVH_MAGIC    0x336ec578
#define PAGE_PRESENT 0x3
#define PAGE_LARGE   0x80
#define MAP_TABLES   64

/* The start info of the PVH entry, "x86/HVM direct boot ABI". */
struct pvh_start_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules_gpa, params_gpa, rsdp_gpa, memory_map_gpa;
	uint32_t memory_map_count, reserved;
};

struct pvh_memory_map_entry {
	uint64_t base, bytes;
	uint32_t type, reserved;
};

static_assert(sizeof(struct pvh_start_info) == 56);
static_assert(sizeof(struct pvh_memory_map_entry) == 24);

struct platform platform;
extern uint64_t page_table_4[512];

void x86_boot(uint64_t info_gpa, unsigned protocol);

void x86_map(uint64_t gpa, uint64_t bytes)
{
	static uint64_t tables[MAP_TABLES][512] __attribute__((aligned(4096)));
	static unsigned used;
	uint64_t end = gpa + bytes;

	for (gpa &= ~UINT64_C(0x1fffff); gpa < end; gpa += 0x200000) {
		uint64_t *table = page_table_4;

		for (unsigned shift = 39; shift > 21; shift -= 9) {
			uint64_t *entry = &table[(gpa >> shift) & 511];

			if (!*entry && used == MAP_TABLES)
				bail_out("no page table left to map %lx", gpa);
			if (!*entry)
				*entry = (uint64_t)tables[used++] | PAGE_PRESENT;
			table = (uint64_t *)(*entry & ~UINT64_C(0xfff));
		}
		table[(gpa >> 21) & 511] = gpa | PAGE_PRESENT | PAGE_LARGE;
	}
}

void arch_map(uint64_t gpa, uint64_t bytes)
{
	x86_map(gpa, bytes);
}

void arch_put(const char *bytes, size_t count)
{
	while (count) {
		while (!(port_read8(SERIAL_PORT + UART_LSR) & UART_LSR_THRE))
			;
		for (unsigned i = 0; i < SERIAL_FIFO && count; i++, count--)
			port_write8(SERIAL_PORT + UART_TX, (uint8_t)*bytes++);
	}
}

int arch_get(void)
{
	if (!(port_read8(SERIAL_PORT + UART_LSR) & UART_LSR_DR))
		return -1;
	return port_read8(SERIAL_PORT + UART_RX);
}

static void serial_init(void)
{
	port_write8(SERIAL_PORT + UART_LCR, UART_LCR_WLEN8);
	port_write8(SERIAL_PORT + UART_IER, 0);
	port_write8(SERIAL_PORT + UART_FCR, UART_FCR_ENABLE_FIFO);
	port_write8(SERIAL_PORT + UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
}

static void add_ram(uint64_t base, uint64_t bytes, uint32_t type)
{
	if (type == RAM_TYPE && platform.ram_count < PLATFORM_RAM_MAX)
		platform.ram[platform.ram_count++] = (struct range){ base, bytes };
}

static void copy_params(uint64_t gpa)
{
	if (gpa)
		text_format(platform.params, sizeof(platform.params), "%s", (const char *)gpa);
}

static uint64_t find_rsdp(void)
{
	for (uint64_t gpa = 0xe0000; gpa < 0x100000; gpa += 16)
		if (!memcmp((const void *)gpa, "RSD PTR ", 8))
			return gpa;
	return 0;
}

static uint64_t read_pvh(const struct pvh_start_info *info)
{
	const struct pvh_memory_map_entry *map = (const void *)info->memory_map_gpa;

	if (info->magic != PVH_MAGIC)
		bail_out("PVH start info has magic %x", info->magic);
	for (uint32_t i = 0; info->version && i < info->memory_map_count; i++)
		add_ram(map[i].base, map[i].bytes, map[i].type);
	copy_params(info->params_gpa);
	return info->rsdp_gpa;
}

static uint64_t read_linux(const struct boot_params *params)
{
	for (unsigned i = 0; i < params->e820_entries; i++)
		add_ram(params->e820_table[i].addr, params->e820_table[i].size,
			params->e820_table[i].type);
	copy_params(params->hdr.cmd_line_ptr | (uint64_t)params->ext_cmd_line_ptr << 32);
	return params->acpi_rsdp_addr;
}

void x86_boot(uint64_t info_gpa, unsigned protocol)
{
	uint64_t rsdp;

	serial_init();
	x86_interrupt_init();
	platform.boot = protocol == BOOT_PVH ? "PVH"
					     : protocol == BOOT_LINUX ? "Linux" : "32-bit Linux";
	rsdp = protocol == BOOT_PVH ? read_pvh((const void *)info_gpa)
				    : read_linux((const void *)info_gpa);
	x86_acpi_read(rsdp ? rsdp : find_rsdp());
	platform.cpu_count = x86_cpus.count;
	guest_main();
	tap_end();
	arch_power_off();
}
