// SPDX-License-Identifier: MIT
/* Waiting, with interrupts on: for some time, or for an interrupt. */
#include "kit/arch.h"

#define WAIT_STEP_NS 300000
#define LONG_STEP_NS 1000000

void (*wait_hook)(void);

void wait_step(uint64_t ns)
{
	if (wait_hook)
		wait_hook();
	arch_wait_ns(ns);
}

void wait_ns(uint64_t ns)
{
	uint64_t end = arch_now_ns() + ns;

	while (arch_now_ns() < end)
		wait_step(LONG_STEP_NS);
}

bool line_wait(unsigned line, uint64_t count, uint64_t ns)
{
	uint64_t end = arch_now_ns() + ns;

	while (arch_line_count(line) < count) {
		if (arch_now_ns() >= end)
			return false;
		wait_step(WAIT_STEP_NS);
	}
	return true;
}
