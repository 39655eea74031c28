// SPDX-License-Identifier: MIT
/*
 * The ITS: each device of bus 0 may raise each line on either of the first two processors, by an
 * LPI of its own. Only the boot CPU gives commands.
 */
#include "arm64.h"
#include "kit/arch.h"
#include "kit/memory.h"
#include "kit/tap.h"
#include "kit/text.h"

#define GITS_CTLR	0x0000
#define GITS_TYPER	0x0008
#define GITS_CBASER	0x0080
#define GITS_CWRITER	0x0088
#define GITS_CREADR	0x0090
#define GITS_BASER	0x0100
#define GITS_BASERS	8
#define GITS_TRANSLATER 0x10040
#define GICR_CTLR	0x0000
#define GICR_TYPER	0x0008
#define GICR_PROPBASER	0x0070
#define GICR_PENDBASER	0x0078

#define VALID	      (UINT64_C(1) << 63)
#define CACHED	      (UINT64_C(7) << 7 | UINT64_C(1) << 10) /* inner write-back, shareable */
#define BASER_CACHED  (UINT64_C(7) << 59 | UINT64_C(1) << 10)
#define BASER_64K     (UINT64_C(2) << 8)
#define TABLE_BYTES   65536
#define COMMAND_BYTES 32

#define COMMAND_SYNC   0x05
#define COMMAND_MAPD   0x08
#define COMMAND_MAPC   0x09
#define COMMAND_MAPTI  0x0a
#define COMMAND_INVALL 0x0d

#define DEVICES	   32 /* of bus 0, their first functions */
#define EVENT_BITS 9 /* line, and one of MESSAGE_CPUS */
#define EVENTS	   (1u << EVENT_BITS)
#define LINE_BITS  8
#define ID_BITS	   15 /* of interrupts: 8192 and DEVICES * EVENTS more */
#define LPIS	   (DEVICES * EVENTS)
#define LPI_ON	   0xa1

static struct {
	uint64_t gpa;
	uint8_t *commands, *properties;
	uint64_t written;
	uint64_t target[MESSAGE_CPUS]; /* as commands name a redistributor */
} its;
static bool given[EVENTS];

static uint64_t table_get(void)
{
	return (uint64_t)memory_get(TABLE_BYTES, TABLE_BYTES);
}

static void command(uint64_t a, uint64_t b, uint64_t c)
{
	volatile uint64_t *at = (volatile uint64_t *)(its.commands + its.written);

	at[0] = a;
	at[1] = b;
	at[2] = c;
	at[3] = 0;
	its.written = (its.written + COMMAND_BYTES) % TABLE_BYTES;
	/* The ring is large; it is emptied before it can overtake itself. */
	if (its.written % (TABLE_BYTES / 2))
		return;
	__asm__ volatile("dsb ishst" : : : "memory");
	mmio_write64(its.gpa + GITS_CWRITER, its.written);
	while (mmio_read64(its.gpa + GITS_CREADR) != its.written)
		;
}

static void commands_end(unsigned cpu)
{
	command(COMMAND_SYNC, 0, its.target[cpu]);
	__asm__ volatile("dsb ishst" : : : "memory");
	mmio_write64(its.gpa + GITS_CWRITER, its.written);
	while (mmio_read64(its.gpa + GITS_CREADR) != its.written)
		;
}

bool arm64_its_init(void)
{
	struct tree_node node = tree_find((struct tree_node){ 0 }, "compatible",
					  "arm,gic-v3-its");

	its.gpa = tree_cells(node, "reg", 0, 2);
	if (!its.gpa)
		return false;
	for (unsigned i = 0; i < GITS_BASERS; i++) {
		uint64_t at = its.gpa + GITS_BASER + i * 8;
		uint64_t baser = mmio_read64(at);

		if (baser >> 56 & 7) /* a table is wanted */
			mmio_write64(at, VALID | BASER_CACHED | BASER_64K | table_get());
	}
	its.commands = (uint8_t *)table_get();
	its.properties = memory_get(1u << ID_BITS, TABLE_BYTES);
	mmio_write64(its.gpa + GITS_CBASER,
		     VALID | BASER_CACHED | (uint64_t)its.commands | (TABLE_BYTES / 4096 - 1));
	mmio_write64(its.gpa + GITS_CWRITER, 0);
	mmio_write32(its.gpa + GITS_CTLR, 1);
	return true;
}

void arm64_its_init_cpu(uint64_t redistributor_gpa)
{
	unsigned cpu = arm64_cpu_self();
	uint64_t entry_bytes = (mmio_read64(its.gpa + GITS_TYPER) >> 4 & 0xf) + 1;

	if (cpu >= MESSAGE_CPUS)
		return;
	mmio_write64(redistributor_gpa + GICR_PROPBASER,
		     (uint64_t)its.properties | CACHED | (ID_BITS - 1));
	mmio_write64(redistributor_gpa + GICR_PENDBASER, table_get() | CACHED);
	mmio_write32(redistributor_gpa + GICR_CTLR, 1);
	its.target[cpu] = (mmio_read64(redistributor_gpa + GICR_TYPER) >> 8 & 0xffff) << 16;
	for (uint64_t device = 0; !cpu && device < DEVICES; device++)
		command(COMMAND_MAPD | device << 35, EVENT_BITS - 1,
			VALID | (uint64_t)memory_get(EVENTS * entry_bytes, 256));
	command(COMMAND_MAPC, 0, VALID | its.target[cpu] | cpu);
	commands_end(cpu);
}

unsigned arm64_its_line(uint32_t interrupt)
{
	return (interrupt - ARM64_LPI_FIRST) & ((1u << LINE_BITS) - 1);
}

struct arm64_message arm64_its_message(unsigned line, unsigned cpu)
{
	uint32_t event = cpu << LINE_BITS | line;

	if (cpu >= MESSAGE_CPUS)
		bail_out("messages go to the first two processors only");
	for (uint64_t device = 0; !given[event] && device < DEVICES; device++) {
		uint64_t lpi = device * EVENTS + event;

		its.properties[lpi] = LPI_ON;
		command(COMMAND_MAPTI | device << 35, event | (ARM64_LPI_FIRST + lpi) << 32, cpu);
	}
	if (!given[event]) {
		command(COMMAND_INVALL, 0, cpu);
		commands_end(cpu);
	}
	given[event] = true;
	return (struct arm64_message){ its.gpa + GITS_TRANSLATER, event };
}
