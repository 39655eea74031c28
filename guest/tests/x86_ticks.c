// SPDX-License-Identifier: MIT
/*
 * A clock that ticks each 10 ms, as older kernels have one. After the first
 * time that none came for `gap_ms` milliseconds, the host having stopped us,
 * they must come as before: those that were missed are missed. Till then it
 * ticks without end.
 */
#include "kit/arch.h"
#include "kit/tap.h"
#include "kit/text.h"
#include "x86.h"

#define PERIOD_NS  UINT64_C(10000000)
#define WINDOW_NS  UINT64_C(300000000)
#define APIC_GPA   UINT64_C(0xfee00000)
#define X2_MSR	   0x800
#define LVT_TIMER  0x32
#define PERIODIC   0x20000
#define TIMER_INITIAL 0x38

static void apic_write(unsigned reg, uint32_t value)
{
	if (x86_apic_is_x2())
		msr_write(X2_MSR + reg, value);
	else
		mmio_write32(APIC_GPA + reg * 16, value);
}

static void wait_for_tick(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

void guest_main(void)
{
	uint64_t gap_ns = param_number("gap_ms", 2000) * 1000000;
	unsigned line = arch_line_new();
	uint64_t before, now = arch_now_ns(), ticks;

	apic_write(LVT_TIMER, PERIODIC | line);
	apic_write(TIMER_INITIAL, PERIOD_NS);
	note("ticks");
	do {
		before = now;
		wait_for_tick();
		now = arch_now_ns();
	} while (now - before < gap_ns);
	note("none for %lu ms", (now - before) / 1000000);
	before = now;
	ticks = arch_line_count(line);
	do {
		wait_for_tick();
		now = arch_now_ns();
	} while (now - before < WINDOW_NS);
	ticks = arch_line_count(line) - ticks;
	note("then %lu in %lu ms", ticks, (now - before) / 1000000);
	apic_write(TIMER_INITIAL, 0);
	ok(ticks > 0, "it ticks");
	/* A quarter for how well the clock was set. */
	ok(ticks <= (now - before) * 5 / 4 / PERIOD_NS + 3, "no burst of ticks");
}
