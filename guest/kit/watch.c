// SPDX-License-Identifier: MIT
/* The guest's half of a look at the process from outside. */
#include "kit/watch.h"
#include "kit/arch.h"
#include "kit/tap.h"
#include "kit/text.h"

#define STEP_NS	 UINT64_C(200000)
#define WATCH_NS UINT64_C(60000000000)

void watched(const char *moment)
{
	uint64_t end = arch_now_ns() + WATCH_NS;

	if (!param_is_set("watch"))
		return;
	note("watch: %s asks at %lu us", moment, arch_now_ns() / 1000);
	while (arch_get() < 0) {
		if (arch_now_ns() >= end)
			return;
		wait_step(STEP_NS);
	}
	note("watch: %s was told at %lu us", moment, arch_now_ns() / 1000);
}
