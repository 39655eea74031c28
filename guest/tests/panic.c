// SPDX-License-Identifier: MIT
/* Tells the VMM of a panic by pvpanic; the VMM ends the machine, or this guest waits in vain. */
#include "kit/arch.h"
#include "kit/tap.h"

void guest_main(void)
{
	if (!arch_panic_notify())
		bail_out("no pvpanic device");
	for (;;)
		arch_wait_ns(UINT32_MAX);
}
