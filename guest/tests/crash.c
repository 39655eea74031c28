// SPDX-License-Identifier: MIT
/* A triple fault: the VMM must say so and leave with its code for a crashed guest. */
#include "kit/arch.h"
#include "kit/tap.h"

void guest_main(void)
{
	note("about to crash");
	arch_crash();
}
