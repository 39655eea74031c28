// SPDX-License-Identifier: MIT
/* The firmware's interface, which is KVM's: its version, and that it has what a kernel calls. */
#include "arm64.h"
#include "kit/arch.h"
#include "kit/tap.h"

#include <linux/psci.h>

static bool has(uint64_t function)
{
	return (int)arm64_psci(PSCI_1_0_FN_PSCI_FEATURES, function, 0, 0) >= 0;
}

void guest_main(void)
{
	int version = (int)arm64_psci(PSCI_0_2_FN_PSCI_VERSION, 0, 0, 0);

	/* Only from 1.0 on can it be asked for its functions. */
	ok(version >= (int)PSCI_VERSION(1, 0), "PSCI is of version 1.0 or later: %x", version);
	ok(has(PSCI_0_2_FN64_CPU_ON), "CPU_ON");
	ok(has(PSCI_0_2_FN_SYSTEM_OFF), "SYSTEM_OFF");
	ok(has(PSCI_0_2_FN_SYSTEM_RESET), "SYSTEM_RESET");
	ok(!has(PSCI_0_2_FN_PSCI_VERSION | 0xff), "what there is none of is not supported");
}
