// SPDX-License-Identifier: MIT
/* A reset by the register that the FADT names. What follows is the VMM's --reboot. */
#include "kit/arch.h"
#include "kit/tap.h"

void guest_main(void)
{
	note("about to reset");
	arch_reset();
}
