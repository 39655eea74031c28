// SPDX-License-Identifier: MIT
/* Segments, a task state and page rights for ring 3; the way there is x86_user_entry.S. */
#include "bench/user.h"
#include "bench/x86_user.h"
#include "kit/arch.h"
#include "kit/text.h"
#include "x86.h"

#define STACK_BYTES  65536
#define CLOCK_NS     2000000
#define PAGE_PRESENT 0x1
#define PAGE_USER    0x4
#define PAGE_LARGE   0x80
#define PAGE_ADDRESS UINT64_C(0x000ffffffffff000)
#define PAGE_LEVELS  4
#define TSS_PRESENT  UINT64_C(0x0000890000000000)
#define FLAGS_NONE   0x2 /* always set */
#define FLAGS_INTERRUPTS 0x202

struct __attribute__((packed)) task_state {
	uint32_t reserved;
	uint64_t ring0_stack;
	uint64_t unused[11];
	uint16_t reserved2, port_map; /* beyond the limit: no port is allowed */
};

static_assert(sizeof(struct task_state) == 104);

struct __attribute__((packed)) table_pointer {
	uint16_t limit;
	uint64_t base;
};

extern uint64_t page_table_4[512];
extern const char user_undefined[];
void user_enter(void (*function)(void), const char *stack_end, uint64_t flags);

static char ring0_stack[STACK_BYTES] __attribute__((aligned(16)));
static char ring3_stack[STACK_BYTES] __attribute__((aligned(16)));
static struct task_state task;

/* The first four are those of x86_start.S. */
static uint64_t segments[8] __attribute__((aligned(8))) = {
	0,
	0x00cf9b000000ffff,
	0x00af9b000000ffff,
	0x00cf93000000ffff,
	0x00cff3000000ffff, /* SELECTOR_USER_DATA */
	0x00affb000000ffff, /* SELECTOR_USER_CODE */
};

static void load_segments(void)
{
	struct table_pointer pointer = { sizeof(segments) - 1, (uint64_t)segments };
	uint64_t base = (uint64_t)&task;

	task.ring0_stack = (uint64_t)ring0_stack + sizeof(ring0_stack);
	task.port_map = sizeof(task);
	segments[SELECTOR_TSS / 8] = (sizeof(task) - 1) | (base & 0xffffff) << 16 | TSS_PRESENT |
				     (base >> 24 & 0xff) << 56;
	segments[SELECTOR_TSS / 8 + 1] = base >> 32;
	__asm__ volatile("lgdt %0" : : "m"(pointer) : "memory");
	__asm__ volatile("ltr %w0" : : "r"(SELECTOR_TSS) : "memory");
}

static void catch_undefined(void)
{
	struct table_pointer pointer;
	uint64_t stub = (uint64_t)user_undefined;
	uint64_t *gate;

	__asm__ volatile("sidt %0" : "=m"(pointer));
	gate = (uint64_t *)pointer.base + VECTOR_UNDEFINED * 2;
	gate[0] = (gate[0] & UINT64_C(0x0000ffffffff0000)) | (stub & 0xffff) |
		  (stub >> 16 & 0xffff) << 48;
	gate[1] = stub >> 32;
}

static void allow_user(uint64_t *table, unsigned level)
{
	for (unsigned i = 0; i < 512; i++) {
		if (!(table[i] & PAGE_PRESENT))
			continue;
		table[i] |= PAGE_USER;
		if (level > 1 && !(table[i] & PAGE_LARGE))
			allow_user((uint64_t *)(table[i] & PAGE_ADDRESS), level - 1);
	}
}

static void flush_pages(void)
{
	__asm__ volatile("movq %0, %%cr3" : : "r"(page_table_4) : "memory");
}

/* The counts of a millisecond. */
static uint64_t clock_ms;

static void measure_clock(void)
{
	uint64_t begin_ns = arch_now_ns(), begin = user_clock(), now_ns;

	do {
		now_ns = arch_now_ns();
	} while (now_ns - begin_ns < CLOCK_NS);
	clock_ms = (user_clock() - begin) * 1000000 / (now_ns - begin_ns);
}

uint64_t user_clock(void)
{
	return tsc_read();
}

uint64_t user_clock_ns(uint64_t difference)
{
	return difference * 1000000 / clock_ms;
}

void user_run(void (*function)(void), bool interrupts)
{
	static bool prepared;

	if (!prepared) {
		load_segments();
		catch_undefined();
		measure_clock();
		prepared = true;
	}
	allow_user(page_table_4, PAGE_LEVELS);
	flush_pages();
	user_enter(function, ring3_stack + sizeof(ring3_stack),
		   interrupts ? FLAGS_INTERRUPTS : FLAGS_NONE);
}
