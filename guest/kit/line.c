// SPDX-License-Identifier: MIT
/* Waiting for interrupts. */
#include "kit/arch.h"

#define WAIT_STEP_NS 300000

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
