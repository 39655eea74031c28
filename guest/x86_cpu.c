// SPDX-License-Identifier: MIT
/* Application processors: started one after the other by INIT and SIPI, each in a function given.
 */
#include "kit/arch.h"
#include "kit/text.h"
#include "x86.h"

#define COMMAND_FIXED 0x4000
#define COMMAND_INIT  0x4500
#define COMMAND_START (0x4600 | X86_AP_START >> 12)
#define START_NS      UINT64_C(10000000000)

extern const char ap_trampoline[], ap_trampoline_end[];
void x86_ap_main(unsigned cpu);

struct x86_cpus x86_cpus;
unsigned x86_ap_started; /* counted by ap_protected in x86_start.S */

static void (*volatile ap_entry)(unsigned cpu);
static volatile unsigned ap_running;

void x86_ap_main(unsigned cpu)
{
	x86_apic_init();
	ap_running = cpu;
	ap_entry(cpu);
}

static bool came_up(unsigned cpu, uint64_t ns)
{
	uint64_t end = arch_now_ns() + ns;

	while (ap_running != cpu && arch_now_ns() < end)
		arch_wait_ns(200000);
	return ap_running == cpu;
}

bool arch_cpu_start(unsigned cpu, void (*entry)(unsigned cpu))
{
	if (cpu >= x86_cpus.count)
		return false;
	memcpy((void *)X86_AP_START, ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
	ap_entry = entry;
	x86_apic_send(x86_cpus.apic_id[cpu], COMMAND_INIT);
	arch_wait_ns(10000000);
	x86_apic_send(x86_cpus.apic_id[cpu], COMMAND_START);
	if (came_up(cpu, 200000000))
		return true;
	x86_apic_send(x86_cpus.apic_id[cpu], COMMAND_START);
	return came_up(cpu, START_NS);
}

bool arch_cpu_is(unsigned cpu)
{
	return x86_apic_id() == x86_cpus.apic_id[cpu] && cpuid_read(11, 0).edx == x86_apic_id();
}

void arch_cpu_interrupt(unsigned cpu, unsigned line)
{
	x86_apic_send(x86_cpus.apic_id[cpu], COMMAND_FIXED | line);
}

bool arch_interrupts_reach_all(void)
{
	return x86_apic_is_x2();
}

void arch_cpu_pause(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

bool arch_mmio_unaligned(void)
{
	return true;
}
