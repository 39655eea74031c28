// SPDX-License-Identifier: MIT
#include "kit/arch.h"
#include "kit/tap.h"

void second_cpu_start(void (*entry)(unsigned cpu))
{
	static bool started;

	if (!started && !arch_cpu_start(1, entry))
		bail_out("CPU 1 does not start");
	started = true;
}
