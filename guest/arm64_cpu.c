// SPDX-License-Identifier: MIT
/* Processors: the tree's list, PSCI, and the start of one after the other in a function given. */
#include "arm64.h"
#include "kit/arch.h"
#include "kit/tap.h"
#include "kit/text.h"

#include <linux/psci.h>

#define START_NS       UINT64_C(10000000000)
#define MPIDR_AFFINITY UINT64_C(0xff00ffffff)

struct arm64_cpus arm64_cpus;
extern const char arm64_ap_entry[];

static void (*volatile ap_entry)(unsigned cpu);
static volatile uint64_t ap_running;

uint64_t arm64_psci(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	return x0;
}

void arm64_cpu_init(void)
{
	struct tree_node node = { 0 };

	while ((node = tree_find(node, "device_type", "cpu")).at &&
	       arm64_cpus.count < ARM64_CPU_MAX) {
		uint32_t bytes = 0;

		tree_property(node, "reg", &bytes);
		arm64_cpus.mpidr[arm64_cpus.count++] = tree_cells(node, "reg", 0, bytes / 4);
	}
	if (!arm64_cpus.count)
		bail_out("no CPU in the device tree");
}

unsigned arm64_cpu_self(void)
{
	uint64_t mpidr = sysreg_read("mpidr_el1") & MPIDR_AFFINITY;

	for (unsigned cpu = 0; cpu < arm64_cpus.count; cpu++)
		if (arm64_cpus.mpidr[cpu] == mpidr)
			return cpu;
	bail_out("CPU %lx is not in the device tree", mpidr);
}

bool arch_cpu_is(unsigned cpu)
{
	return arm64_cpu_self() == cpu;
}

void arm64_ap_main(uint64_t cpu)
{
	arm64_mmu_on();
	arm64_gic_init_cpu();
	ap_running = cpu;
	ap_entry((unsigned)cpu);
}

bool arch_cpu_start(unsigned cpu, void (*entry)(unsigned cpu))
{
	uint64_t end = arch_now_ns() + START_NS;

	if (cpu >= arm64_cpus.count)
		return false;
	ap_entry = entry;
	/* It begins with its caches off: it must find in memory what it reads before. */
	__asm__ volatile("dsb sy" : : : "memory");
	if (arm64_psci(PSCI_0_2_FN64_CPU_ON, arm64_cpus.mpidr[cpu], (uint64_t)arm64_ap_entry, cpu))
		return false;
	while (ap_running != cpu && arch_now_ns() < end)
		arch_wait_ns(200000);
	return ap_running == cpu;
}

/* A pending interrupt ends wfi although it is masked; then it is taken. */
void arch_cpu_pause(void)
{
	__asm__ volatile("dsb sy\n\t"
			 "wfi\n\t"
			 "msr daifclr, #2\n\t"
			 "isb\n\t"
			 "msr daifset, #2"
			 :
			 :
			 : "memory");
}

/* It is mapped as Device memory: they fault. */
bool arch_mmio_unaligned(void)
{
	return false;
}
