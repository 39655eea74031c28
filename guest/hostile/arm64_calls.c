// SPDX-License-Identifier: MIT
/*
 * H58 on arm64: calls of PSCI and others with arguments that make no sense (Arm DEN 0022, 0028), a
 * CPU that starts where nothing is, and accesses to devices by instructions that KVM can't
 * describe. Needs three CPUs.
 */
#include "arm64.h"
#include "kit/hostile.h"
#include "kit/tap.h"
#include "kit/text.h"

#define PSCI_BASE	  UINT64_C(0x84000000)
#define PSCI_64		  UINT64_C(0x40000000)
#define PSCI_FUNCTIONS	  0x40
#define PSCI_CPU_ON	  UINT64_C(0xc4000003)
#define PSCI_AFFINITY	  UINT64_C(0xc4000004)
#define INVALID_PARAMETERS (-2)
#define ALREADY_ON	  (-4)
#define NOWHERE_GPA	  UINT64_C(0x30000000)
#define DFSC_EXTERNAL	  0x10
#define MS		  UINT64_C(1000000)

static int call(uint64_t function, uint64_t a, uint64_t b)
{
	return (int)arm64_psci(function, a, b, 0);
}

static void cpu_main(unsigned cpu)
{
	(void)cpu;
	for (;;)
		arch_cpu_pause();
}

static void cpus_on(void)
{
	static const uint64_t nobody[] = { 0xff, 0xffff, 0xffffff, UINT64_C(0xff00000000), ~0ul };
	uint64_t entry = (uint64_t)cpus_on;
	bool good = true;

	for (unsigned i = 0; i < ARRAY_COUNT(nobody); i++)
		good = good && call(PSCI_CPU_ON, nobody[i], entry) == INVALID_PARAMETERS;
	ok(good, "H58 PSCI: CPU_ON of CPUs that are none: INVALID_PARAMETERS");
	ok(call(PSCI_CPU_ON, arm64_cpus.mpidr[0], entry) == ALREADY_ON,
	   "H58 PSCI: CPU_ON of the caller: ALREADY_ON");
	good = arch_cpu_start(1, cpu_main);
	for (unsigned i = 0; i < 100; i++)
		good = good && call(PSCI_CPU_ON, arm64_cpus.mpidr[1], entry) == ALREADY_ON;
	ok(good, "H58 PSCI: CPU_ON of one that runs, 100 times: ALREADY_ON");
}

/* It takes one abort after the other. */
static void cpu_nowhere(void)
{
	int answer = call(PSCI_CPU_ON, arm64_cpus.mpidr[2], NOWHERE_GPA);

	hostile_wait(200 * MS);
	ok(!answer && !call(PSCI_AFFINITY, arm64_cpus.mpidr[2], 0),
	   "H58 PSCI: a CPU that starts where nothing is runs, and others go on");
}

/* Those that stop, suspend or reset, by their number. */
static bool is_left_out(unsigned function)
{
	return function == 1 || function == 2 || function == 8 || function == 9 ||
	       function == 0xc || function == 0xe || function == 0x12;
}

static void garbage(void)
{
	static const uint64_t ids[] = { 0x12345678, 0x80000002, 0x86000000, 0x8600ff01, 0x86000001,
					0xbf00ff01, 0xc4000fff, 0xc5000020, 0xc6000002, 0xffffffff,
					UINT64_C(0x1234567884000000), ~0ul };

	for (unsigned function = 0; function < PSCI_FUNCTIONS; function++) {
		if (is_left_out(function))
			continue;
		call(PSCI_BASE + function, ~0ul, ~0ul);
		call(PSCI_BASE + PSCI_64 + function, ~0ul, ~0ul);
	}
	for (unsigned i = 0; i < ARRAY_COUNT(ids); i++)
		call(ids[i], ~0ul, ~0ul);
	ok((int)arm64_psci(0xffffffff, 0, 0, 0) == -1 &&
		   (int)arm64_psci(PSCI_BASE, 0, 0, 0) >= 0x2,
	   "H58 calls: of any number and arguments; unknown ones: NOT_SUPPORTED");
}

/* The device would answer with an external abort, and so does ringvm. */
static void pairs(const struct virtio_device *device)
{
	uint64_t gpa = device->common->gpa, low, high;

	arm64_abort.count = 0;
	arm64_abort.expected = true;
	for (unsigned i = 0; i < 50; i++) {
		__asm__ volatile("ldp %0, %1, [%2]" : "=r"(low), "=r"(high) : "r"(gpa));
		__asm__ volatile("stp xzr, xzr, [%0]" : : "r"(gpa) : "memory");
		__asm__ volatile("ldr %0, [%1], #8" : "=r"(low), "+r"(gpa));
		gpa = device->common->gpa;
	}
	arm64_abort.expected = false;
	ok(arm64_abort.count == 150 && (arm64_abort.syndrome & 0x3f) == DFSC_EXTERNAL,
	   "H58 %s: pairs and write-back on registers: %u external aborts of 150", device->name,
	   arm64_abort.count);
}

static void test(struct victim *victim)
{
	if (victim->number)
		return;
	cpus_on();
	garbage();
	pairs(victim->device);
	cpu_nowhere();
}

void guest_main(void)
{
	hostile_run(test);
}
