// SPDX-License-Identifier: MIT
/*
 * IDT, local APIC (xAPIC or x2APIC) and clock. The handler only counts, on the CPU that takes the
 * interrupt. The local APIC timer runs at 1 GHz on KVM and QEMU alike: it ends the waits, and once
 * at start gives the TSC its unit.
 */
#include "kit/arch.h"
#include "kit/tap.h"
#include "kit/text.h"
#include "x86.h"

#define APIC_BASE_MSR	   0x1b
#define APIC_BASE_ENABLE   0x800
#define APIC_BASE_X2	   0x400
#define APIC_GPA	   UINT64_C(0xfee00000)
#define APIC_X2_MSR	   0x800
#define APIC_ID		   0x02
#define APIC_EOI	   0x0b
#define APIC_SPURIOUS	   0x0f
#define APIC_COMMAND	   0x30
#define APIC_LVT_TIMER	   0x32
#define APIC_TIMER_INITIAL 0x38
#define APIC_TIMER_CURRENT 0x39
#define APIC_TIMER_DIVIDE  0x3e
#define APIC_DIVIDE_BY_1   0x0b
#define APIC_SOFTWARE_ON   0x100
#define CPUID_X2APIC	   (1u << 21)
#define IOAPIC_GPA	   UINT64_C(0xfec00000)
#define IOAPIC_WINDOW	   0x10
#define IOAPIC_ENTRY	   0x10
#define IOAPIC_PINS	   24
#define IOAPIC_PCI_FIRST   16
#define IOAPIC_LEVEL	   0x8000
#define PIC_MASTER_MASK	   0x21
#define PIC_SLAVE_MASK	   0xa1
#define CALIBRATE_NS	   2000000

#define VECTOR_EXCEPTIONS 32
#define VECTOR_TIMER	  0x20
#define VECTOR_LINES	  0x30
#define VECTOR_SPURIOUS	  0xff

/* What interrupt_stubs push. */
struct frame {
	uint64_t r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

struct gate {
	uint16_t offset_low, selector, flags, offset_middle;
	uint32_t offset_high, reserved;
};

static_assert(sizeof(struct gate) == 16);

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

extern const char interrupt_stubs[], ap_stacks[X86_CPU_MAX][X86_AP_STACK];
void x86_interrupt(const struct frame *frame);

static struct gate idt[256] __attribute__((aligned(16)));
static volatile uint64_t interrupt_counts[MESSAGE_CPUS][256];
static void (*interrupt_hooks[256])(void);
static unsigned next_line = VECTOR_LINES;
static bool x2apic;
static uint64_t tsc_start, ns_per_tsc_32; /* nanoseconds in 2^-32 */

static uint32_t apic_read(unsigned reg)
{
	return x2apic ? (uint32_t)msr_read(APIC_X2_MSR + reg) : mmio_read32(APIC_GPA + reg * 16);
}

static void apic_write(unsigned reg, uint32_t value)
{
	if (x2apic)
		msr_write(APIC_X2_MSR + reg, value);
	else
		mmio_write32(APIC_GPA + reg * 16, value);
}

/* Each takes its interrupts on its own stack: of the local APIC it would be an exit to ask. */
static unsigned counting_cpu(const struct frame *frame)
{
	uint64_t offset = (uint64_t)frame - (uint64_t)ap_stacks;
	uint64_t cpu = offset < sizeof(ap_stacks) ? offset / X86_AP_STACK + 1 : 0;

	return cpu < MESSAGE_CPUS ? (unsigned)cpu : MESSAGE_CPUS - 1;
}

void x86_interrupt(const struct frame *frame)
{
	uint64_t address;

	if (frame->vector < VECTOR_EXCEPTIONS) {
		__asm__("movq %%cr2, %0" : "=r"(address));
		bail_out("exception %lu at %lx, error %lx, address %lx", frame->vector, frame->rip,
			 frame->error, address);
	}
	__atomic_fetch_add(&interrupt_counts[counting_cpu(frame)][frame->vector], 1,
			   __ATOMIC_RELAXED);
	if (interrupt_hooks[frame->vector])
		interrupt_hooks[frame->vector]();
	if (frame->vector != VECTOR_SPURIOUS)
		apic_write(APIC_EOI, 0);
}

static void load_idt(const struct table_pointer *pointer)
{
	__asm__ volatile("lidt %0" : : "m"(*pointer));
}

void x86_apic_init(void)
{
	struct table_pointer pointer = { sizeof(idt) - 1, (uint64_t)idt };
	uint64_t base = msr_read(APIC_BASE_MSR) | APIC_BASE_ENABLE;

	load_idt(&pointer);
	if (x2apic)
		base |= APIC_BASE_X2;
	msr_write(APIC_BASE_MSR, base);
	apic_write(APIC_SPURIOUS, APIC_SOFTWARE_ON | VECTOR_SPURIOUS);
	apic_write(APIC_LVT_TIMER, VECTOR_TIMER);
	apic_write(APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1);
}

/* Both clocks at one moment: again if the host took the CPU away between the two reads. */
static uint64_t tsc_at(uint32_t *timer)
{
	uint64_t before, after;
	unsigned tries = 0;

	do {
		before = tsc_read();
		*timer = apic_read(APIC_TIMER_CURRENT);
		after = tsc_read();
	} while (after - before > 200000 && ++tries < 20);
	return before + (after - before) / 2;
}

static void clock_init(void)
{
	uint32_t timer_start, timer;
	uint64_t tsc;

	apic_write(APIC_TIMER_INITIAL, UINT32_MAX);
	tsc_start = tsc_at(&timer_start);
	do {
		tsc = tsc_at(&timer);
	} while (timer_start - timer < CALIBRATE_NS);
	apic_write(APIC_TIMER_INITIAL, 0);
	ns_per_tsc_32 = ((uint64_t)(timer_start - timer) << 32) / (tsc - tsc_start);
}

void x86_interrupt_init(void)
{
	for (unsigned vector = 0; vector < 256; vector++) {
		uint64_t stub = (uint64_t)interrupt_stubs + vector * 16;

		idt[vector] = (struct gate){ (uint16_t)stub,	     SELECTOR_CODE,	     0x8e00,
					     (uint16_t)(stub >> 16), (uint32_t)(stub >> 32), 0 };
	}
	/* Firmware, where there is any, leaves the old interrupt controllers at exception vectors.
	 */
	port_write8(PIC_MASTER_MASK, 0xff);
	port_write8(PIC_SLAVE_MASK, 0xff);
	x2apic = cpuid_read(1, 0).ecx & CPUID_X2APIC;
	x86_apic_init();
	clock_init();
}

uint64_t arch_now_ns(void)
{
	return (uint64_t)(((unsigned __int128)(tsc_read() - tsc_start) * ns_per_tsc_32) >> 32);
}

void arch_wait_ns(uint64_t ns)
{
	apic_write(APIC_TIMER_INITIAL, ns > UINT32_MAX ? UINT32_MAX : (uint32_t)(ns ? ns : 1));
	__asm__ volatile("sti; hlt; cli" : : : "memory");
	apic_write(APIC_TIMER_INITIAL, 0);
}

unsigned arch_line_new(void)
{
	if (next_line == VECTOR_SPURIOUS)
		bail_out("out of interrupt vectors");
	return next_line++;
}

struct message arch_line_message(unsigned line, unsigned cpu)
{
	return (struct message){ APIC_GPA | (uint64_t)x86_cpus.apic_id[cpu] << 12, line };
}

uint64_t arch_line_count_on(unsigned line, unsigned cpu)
{
	return interrupt_counts[cpu][line];
}

void arch_line_hook(unsigned line, void (*hook)(void))
{
	interrupt_hooks[line] = hook;
}

static void ioapic_write(unsigned reg, uint32_t value)
{
	mmio_write32(IOAPIC_GPA, reg);
	mmio_write32(IOAPIC_GPA + IOAPIC_WINDOW, value);
}

unsigned arch_intx_line(void)
{
	static unsigned line;

	if (line)
		return line;
	line = arch_line_new();
	for (unsigned pin = IOAPIC_PCI_FIRST; pin < IOAPIC_PINS; pin++) {
		ioapic_write(IOAPIC_ENTRY + pin * 2 + 1, x86_cpus.apic_id[0] << 24);
		ioapic_write(IOAPIC_ENTRY + pin * 2, IOAPIC_LEVEL | line);
	}
	return line;
}

uint32_t x86_apic_id(void)
{
	return x2apic ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
}

bool x86_apic_is_x2(void)
{
	return x2apic;
}

void x86_apic_send(uint32_t apic_id, uint32_t command)
{
	if (x2apic) {
		msr_write(APIC_X2_MSR + APIC_COMMAND, (uint64_t)apic_id << 32 | command);
		return;
	}
	apic_write(APIC_COMMAND + 1, apic_id << 24);
	apic_write(APIC_COMMAND, command);
}

void x86_triple_fault(void)
{
	struct table_pointer none = { 0, 0 };

	load_idt(&none);
	__asm__ volatile("ud2");
	__builtin_unreachable();
}

void arch_crash(void)
{
	x86_triple_fault();
}
