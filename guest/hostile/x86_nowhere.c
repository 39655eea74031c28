// SPDX-License-Identifier: MIT
/*
 * H58 on x86: a jump to where nothing is. KVM can't fetch an instruction from there, and ringvm has
 * no way to go on: it must say so and leave with its code for a crashed guest.
 */
#include "kit/arch.h"
#include "kit/tap.h"
#include "x86.h"

#define NOWHERE_GPA UINT64_C(0x200000000000)

void guest_main(void)
{
	x86_map(NOWHERE_GPA, 0x1000);
	note("H58: about to jump to where nothing is");
	((void (*)(void))NOWHERE_GPA)();
}
