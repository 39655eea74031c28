// SPDX-License-Identifier: MIT
/* Every CPU that the firmware tables list starts, knows its own id, and takes interrupts. */
#include "kit/arch.h"
#include "kit/tap.h"
#include "kit/text.h"

#define CPUS_MAX 512

static volatile bool right_ids[CPUS_MAX];
static volatile unsigned woken;

static void cpu_main(unsigned cpu)
{
	right_ids[cpu] = arch_cpu_is(cpu);
	arch_cpu_pause();
	__atomic_fetch_add(&woken, 1, __ATOMIC_RELAXED);
}

void guest_main(void)
{
	unsigned line = arch_line_new();
	unsigned started = 1, right = 1;
	uint64_t end;

	ok(platform.cpu_count == param_number("cpus", 1), "%u CPUs are listed", platform.cpu_count);
	ok(arch_interrupts_reach_all(), "interrupts reach every CPU, whatever its id");
	for (unsigned cpu = 1; cpu < platform.cpu_count; cpu++) {
		if (!arch_cpu_start(cpu, cpu_main)) {
			note("CPU %u does not start", cpu);
			continue;
		}
		started++;
	}
	ok(started == platform.cpu_count, "all CPUs start");
	end = arch_now_ns() + UINT64_C(10000000000);
	for (unsigned cpu = 1; cpu < platform.cpu_count; cpu++) {
		while (woken < cpu && arch_now_ns() < end) {
			arch_cpu_interrupt(cpu, line);
			arch_wait_ns(1000000);
		}
		if (right_ids[cpu])
			right++;
		else
			note("CPU %u has another id than the tables say", cpu);
	}
	ok(right == platform.cpu_count, "the tables and each CPU agree on its id");
	ok(woken == platform.cpu_count - 1, "each wakes from a halt by an interrupt");
}
