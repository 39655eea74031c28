// SPDX-License-Identifier: MIT
/* The least a machine does: start, speak on the serial port, tell the time and power off. */
#include "kit/arch.h"
#include "kit/tap.h"
#include "kit/text.h"

void guest_main(void)
{
	uint64_t start = arch_now_ns();

	note("hello, started by the %s entry, params '%s'", platform.boot, platform.params);
	if (param_is_set("entry64"))
		ok(!strcmp(platform.boot, "Linux"), "the way in is the 64-bit entry");
	ok(platform.ram_count > 0, "RAM is listed");
	ok(platform.cpu_count > 0, "CPUs are listed: %u", platform.cpu_count);
	arch_wait_ns(1000000);
	ok(arch_now_ns() - start >= 1000000, "time passes");
}
