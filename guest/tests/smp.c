// SPDX-License-Identifier: MIT
/* Every CPU that the firmware tables list starts, knows its own APIC id, and takes interrupts. */
#include "kit/arch.h"
#include "kit/tap.h"
#include "kit/text.h"
#include "x86.h"

#define FIXED_IPI 0x4000

static volatile uint32_t apic_ids[X86_CPU_MAX];
static volatile uint32_t cpuid_ids[X86_CPU_MAX];
static volatile unsigned woken;

static void cpu_main(unsigned cpu)
{
	apic_ids[cpu] = x86_apic_id();
	cpuid_ids[cpu] = cpuid_read(11, 0).edx;
	arch_cpu_pause();
	__atomic_fetch_add(&woken, 1, __ATOMIC_RELAXED);
}

void guest_main(void)
{
	unsigned line = arch_line_new();
	unsigned started = 1, right = 1;
	uint64_t end;

	ok(platform.cpu_count == param_number("cpus", 1), "%u CPUs are listed", platform.cpu_count);
	ok(x86_apic_is_x2(), "the APIC is an x2APIC");
	for (unsigned cpu = 1; cpu < platform.cpu_count; cpu++) {
		if (!arch_cpu_start(cpu, cpu_main)) {
			note("CPU %u with APIC id %u does not start", cpu, x86_cpus.apic_id[cpu]);
			continue;
		}
		started++;
	}
	ok(started == platform.cpu_count, "all CPUs start");
	end = arch_now_ns() + UINT64_C(10000000000);
	for (unsigned cpu = 1; cpu < platform.cpu_count; cpu++) {
		while (woken < cpu && arch_now_ns() < end) {
			x86_apic_send(x86_cpus.apic_id[cpu], FIXED_IPI | line);
			arch_wait_ns(1000000);
		}
		if (apic_ids[cpu] == x86_cpus.apic_id[cpu] && cpuid_ids[cpu] == apic_ids[cpu])
			right++;
		else
			note("CPU %u: MADT %u, APIC %u, CPUID %u", cpu, x86_cpus.apic_id[cpu],
			     apic_ids[cpu], cpuid_ids[cpu]);
	}
	ok(right == platform.cpu_count, "MADT, APIC and CPUID agree on the APIC id of each");
	ok(woken == platform.cpu_count - 1, "each wakes from hlt by an interrupt");
}
