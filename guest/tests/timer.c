// SPDX-License-Identifier: MIT
/* A halted CPU wakes by its timer: not early, and within what a busy host may add. */
#include "kit/arch.h"
#include "kit/tap.h"

#define WAIT_NS	 UINT64_C(5000000)
#define WAITS	 40
#define LIMIT_NS UINT64_C(10000000000)

void guest_main(void)
{
	uint64_t start = arch_now_ns();
	uint64_t early = 0, longest = 0;
	uint64_t total;

	for (unsigned i = 0; i < WAITS; i++) {
		uint64_t from = arch_now_ns();
		uint64_t took;

		arch_wait_ns(WAIT_NS);
		took = arch_now_ns() - from;
		/* The clock was set by 2 ms of the timer: a tenth is its error at most. */
		early += took < WAIT_NS - WAIT_NS / 10;
		longest = took > longest ? took : longest;
	}
	total = arch_now_ns() - start;
	note("%u waits of %lu us: %lu us in all, the longest %lu", WAITS, WAIT_NS / 1000,
	     total / 1000, longest / 1000);
	ok(!early, "no wait ends early");
	ok(total < LIMIT_NS, "all end in time");
}
