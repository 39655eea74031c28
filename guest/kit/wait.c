// SPDX-License-Identifier: MIT
/* Waiting, with interrupts on: for some time, or for an interrupt. */
#include "kit/arch.h"

#define WAIT_STEP_NS 300000
#define LONG_STEP_NS 1000000

void wait_ns(uint64_t ns)
{
	uint64_t end = arch_now_ns() + ns;

	while (arch_now_ns() < end)
		arch_wait_ns(LONG_STEP_NS);
}

bool line_wait(unsigned line, uint64_t count, uint64_t ns)
{
	uint64_t end = arch_now_ns() + ns;

	while (arch_line_count(line) < count) {
		if (arch_now_ns() >= end)
			return false;
		arch_wait_ns(WAIT_STEP_NS);
	}
	return true;
}
