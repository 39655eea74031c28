// SPDX-License-Identifier: MIT
/* Halts for good and hears no power button: only the VMM can end it. */
#include "kit/arch.h"
#include "kit/tap.h"

void guest_main(void)
{
	note("about to hang");
	for (;;)
		arch_wait_ns(UINT32_MAX);
}
