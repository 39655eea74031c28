// SPDX-License-Identifier: MIT
/*
 * Accesses to devices by instructions of which the processor does not tell a hypervisor register
 * and size: pairs, and those that step the address on. Each ends in an external abort, on whatever
 * device, and the machine goes on.
 */
#include "arm64.h"
#include "kit/arch.h"
#include "kit/tap.h"

#define STATUS_MASK  0x3f /* DFSC of ESR_EL1 */
#define STATUS_ABORT 0x10 /* synchronous external abort, not on a walk */
#define MANY	     200

struct access {
	const char *name;
	/* Returns the address as the instruction left it. */
	uint64_t (*run)(uint64_t address);
};

static uint64_t load_pair(uint64_t address)
{
	uint64_t a, b;

	__asm__ volatile("ldp %0, %1, [%2]" : "=&r"(a), "=&r"(b) : "r"(address) : "memory");
	return address;
}

static uint64_t load_pair_of_words(uint64_t address)
{
	uint64_t a, b;

	__asm__ volatile("ldp %w0, %w1, [%2]" : "=&r"(a), "=&r"(b) : "r"(address) : "memory");
	return address;
}

static uint64_t store_pair(uint64_t address)
{
	__asm__ volatile("stp xzr, xzr, [%0]" : : "r"(address) : "memory");
	return address;
}

static uint64_t load_and_step(uint64_t address)
{
	uint64_t value;

	__asm__ volatile("ldr %w0, [%1], #4" : "=&r"(value), "+r"(address) : : "memory");
	return address;
}

static uint64_t step_and_load(uint64_t address)
{
	uint64_t value;

	address -= 8;
	__asm__ volatile("ldr %0, [%1, #8]!" : "=&r"(value), "+r"(address) : : "memory");
	return address + 8;
}

static uint64_t store_and_step(uint64_t address)
{
	__asm__ volatile("strb wzr, [%0], #1" : "+r"(address) : : "memory");
	return address;
}

static const struct access accesses[] = {
	{ "ldp x", load_pair },	       { "ldp w", load_pair_of_words },
	{ "stp", store_pair },	       { "ldr with a step after", load_and_step },
	{ "ldr with a step before", step_and_load }, { "strb with a step", store_and_step },
};

static bool aborts(const struct access *access, uint64_t address)
{
	unsigned before = arm64_abort.count;
	uint64_t after;

	arm64_abort.expected = true;
	after = access->run(address);
	arm64_abort.expected = false;
	if (arm64_abort.count != before + 1) {
		note("%u aborts", arm64_abort.count - before);
		return false;
	}
	if ((arm64_abort.syndrome & STATUS_MASK) != STATUS_ABORT ||
	    arm64_abort.address != address || after != address) {
		note("syndrome %lx, fault at %lx, address %lx, before %lx", arm64_abort.syndrome,
		     arm64_abort.address, after, address);
		return false;
	}
	return true;
}

static void check_device(const char *device, uint64_t address)
{
	for (unsigned i = 0; i < sizeof(accesses) / sizeof(*accesses); i++)
		ok(aborts(&accesses[i], address), "%s at %s: an external abort", accesses[i].name,
		   device);
}

static uint64_t device_gpa(const char *compatible)
{
	const struct tree_node none = { 0 };

	return tree_cells(tree_find(none, "compatible", compatible), "reg", 0, 2);
}

void guest_main(void)
{
	uint64_t serial = device_gpa("ns16550a"), gic = device_gpa("arm,gic-v3");
	uint32_t identity = mmio_read32(platform.ecam_gpa);
	unsigned good = 0;

	if (!gic)
		gic = device_gpa("arm,cortex-a15-gic");
	check_device("the serial port", serial);
	check_device("PCI's configuration", platform.ecam_gpa);
	check_device("a hole", platform.window32.base + platform.window32.bytes - 4096);
	check_device("the interrupt controller in KVM", gic);
	while (good < MANY && aborts(&accesses[0], serial))
		good++;
	ok(good == MANY, "%u of them one after the other", MANY);
	ok(mmio_read32(platform.ecam_gpa) == identity, "a plain access works as before");
}
