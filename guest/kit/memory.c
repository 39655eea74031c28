// SPDX-License-Identifier: MIT
/* A pointer that moves up through the RAM bank which the image lies in. */
#include "kit/memory.h"
#include "kit/arch.h"
#include "kit/tap.h"
#include "kit/text.h"

extern char image_end[];

static uint64_t next_gpa, end_gpa;

static void memory_init(void)
{
	next_gpa = (uint64_t)image_end;
	for (unsigned i = 0; i < platform.ram_count; i++) {
		const struct range *bank = &platform.ram[i];

		if (next_gpa >= bank->base && next_gpa < bank->base + bank->bytes)
			end_gpa = bank->base + bank->bytes;
	}
	if (!end_gpa)
		bail_out("the image is not in RAM that the memory map lists");
}

void *memory_get_raw(size_t bytes, size_t align)
{
	uint64_t gpa;

	if (!end_gpa)
		memory_init();
	gpa = (next_gpa + align - 1) & ~(uint64_t)(align - 1);
	if (gpa + bytes > end_gpa)
		bail_out("out of guest RAM: %zu bytes wanted", bytes);
	next_gpa = gpa + bytes;
	return (void *)gpa;
}

void *memory_get(size_t bytes, size_t align)
{
	return memset(memory_get_raw(bytes, align), 0, bytes);
}

uint64_t memory_mark(void)
{
	if (!end_gpa)
		memory_init();
	return next_gpa;
}

void memory_release(uint64_t mark)
{
	next_gpa = mark;
}

uint64_t memory_end(void)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < platform.ram_count; i++)
		if (platform.ram[i].base + platform.ram[i].bytes > end)
			end = platform.ram[i].base + platform.ram[i].bytes;
	return end;
}
