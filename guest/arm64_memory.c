// SPDX-License-Identifier: MIT
/*
 * Page tables: 4 KiB granule, 48 bits, one to one, in blocks of 1 GiB. A GiB with RAM in it is
 * cacheable, each other one a device's.
 */
#include "arm64.h"
#include "kit/arch.h"
#include "kit/tap.h"
#include "kit/text.h"

#define ENTRIES	     512
#define GIB	     (UINT64_C(1) << 30)
#define LEVEL0_SHIFT 39
#define LEVEL1_SHIFT 30
#define TABLES	     8

#define ENTRY_BLOCK  0x1
#define ENTRY_TABLE  0x3
#define ENTRY_ACCESS (1u << 10)
#define ENTRY_INNER  (3u << 8)
#define ENTRY_DEVICE (0u << 2) /* of MAIR */
#define ENTRY_NORMAL (1u << 2)

#define MAIR	     UINT64_C(0xff00)
#define TCR_48BITS   16
#define TCR_CACHED   (UINT64_C(1) << 8 | UINT64_C(1) << 10 | UINT64_C(3) << 12)
#define TCR_NO_TTBR1 (UINT64_C(1) << 23)
#define TCR_IPS(size) ((uint64_t)(size) << 32)
#define PA_48BITS    5
#define SCTLR_ON     (0x30d00800 | 1u << 12 | 1u << 2 | 1u << 0) /* what must be 1; I, C, M */

static uint64_t level0[ENTRIES] __attribute__((aligned(4096)));
static uint64_t level1[TABLES][ENTRIES] __attribute__((aligned(4096)));
static unsigned used;

static void map_block(uint64_t gpa, uint64_t type)
{
	uint64_t *entry = &level0[gpa >> LEVEL0_SHIFT & (ENTRIES - 1)];
	uint64_t *table;

	if (!*entry && used == TABLES)
		bail_out("no page table left to map %lx", gpa);
	if (!*entry)
		*entry = (uint64_t)level1[used++] | ENTRY_TABLE;
	table = (uint64_t *)(*entry & ~UINT64_C(0xfff));
	entry = &table[gpa >> LEVEL1_SHIFT & (ENTRIES - 1)];
	if (!*entry)
		*entry = (gpa & ~(GIB - 1)) | type | ENTRY_ACCESS | ENTRY_INNER | ENTRY_BLOCK;
}

static void map(uint64_t gpa, uint64_t bytes, uint64_t type)
{
	for (uint64_t at = gpa & ~(GIB - 1); at < gpa + bytes; at += GIB)
		map_block(at, type);
}

void arch_map(uint64_t gpa, uint64_t bytes)
{
	map(gpa, bytes, ENTRY_DEVICE);
	/* The walker sees it; an entry that was not there is in no TLB. */
	__asm__ volatile("dsb ishst\n\tisb" : : : "memory");
}

void arm64_memory_init(void)
{
	for (unsigned i = 0; i < platform.ram_count; i++)
		map(platform.ram[i].base, platform.ram[i].bytes, ENTRY_NORMAL);
	map(0, GIB, ENTRY_DEVICE);
}

void arm64_mmu_on(void)
{
	uint64_t size = sysreg_read("id_aa64mmfr0_el1") & 0xf;

	sysreg_write("mair_el1", MAIR);
	sysreg_write("tcr_el1", TCR_48BITS | TCR_CACHED | TCR_NO_TTBR1 |
					TCR_IPS(size > PA_48BITS ? PA_48BITS : size));
	sysreg_write("ttbr0_el1", level0);
	__asm__ volatile("tlbi vmalle1\n\tdsb nsh\n\tic iallu\n\tdsb nsh\n\tisb" : : : "memory");
	sysreg_write("sctlr_el1", SCTLR_ON);
}
