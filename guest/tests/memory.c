// SPDX-License-Identifier: MIT
/*
 * The memory map: banks in order, without overlap, as much as `total_mib` says, with RAM at both
 * ends of each and no two banks the same memory. Touches a few pages only, so that a machine may be
 * larger than its host.
 */
#include "kit/arch.h"
#include "kit/tap.h"
#include "kit/text.h"

#define LOW_RAM	 0x100000

extern char image_end[];

static bool in_order(void)
{
	for (unsigned i = 1; i < platform.ram_count; i++) {
		const struct range *before = &platform.ram[i - 1];

		if (platform.ram[i].base < before->base + before->bytes)
			return false;
	}
	return true;
}

static uint64_t *last_word(const struct range *bank)
{
	return (uint64_t *)(bank->base + bank->bytes - sizeof(uint64_t));
}

/* Where a bank may be written: behind the image, or at its start when it is elsewhere. */
static uint64_t *first_word(const struct range *bank)
{
	uint64_t end = (uint64_t)image_end;

	if (end > bank->base && end < bank->base + bank->bytes)
		return (uint64_t *)end;
	return (uint64_t *)bank->base;
}

static void touch_all(void)
{
	bool kept = true;

	for (unsigned i = 0; i < platform.ram_count; i++) {
		const struct range *bank = &platform.ram[i];

		if (bank->base < LOW_RAM)
			continue;
		arch_map(bank->base, bank->bytes);
		*first_word(bank) = 0x1111 + i;
		*last_word(bank) = 0x2222 + i;
	}
	for (unsigned i = 0; i < platform.ram_count; i++) {
		const struct range *bank = &platform.ram[i];

		if (bank->base < LOW_RAM)
			continue;
		kept = kept && *first_word(bank) == 0x1111 + i && *last_word(bank) == 0x2222 + i;
	}
	ok(kept, "both ends of each bank keep what is written");
}

static bool overlap(const struct range *a, const struct range *b)
{
	return a->base < b->base + b->bytes && b->base < a->base + a->bytes;
}

void guest_main(void)
{
	uint64_t total_mib = param_number("total_mib", 0);
	uint64_t sum = 0;
	bool apart = true;

	for (unsigned i = 0; i < platform.ram_count; i++) {
		const struct range *bank = &platform.ram[i];

		note("RAM %lx-%lx", bank->base, bank->base + bank->bytes - 1);
		sum += bank->bytes;
		apart = apart && !overlap(bank, &platform.window32) &&
			!overlap(bank, &platform.window64);
	}
	ok(in_order(), "banks are in order and do not overlap");
	ok(apart, "no bank lies where PCI BARs may be put");
	/* Legacy holes and tables may take a little. */
	ok(sum <= total_mib << 20 && sum + (2 << 20) > total_mib << 20, "RAM is %lu MiB",
	   total_mib);
	touch_all();
}
