// SPDX-License-Identifier: MIT
/* The reset vector: a few bytes of real-mode code. Control thread, no state. */
#include "x86/reset_vector.h"

#include <errno.h>

#include "base/log.h"
#include "hw/power.h"
#include "x86/layout.h"

int reset_vector_write(const struct guest_memory *memory)
{
	static const uint8_t code[] = {
		0xba, (LAYOUT_POWER_PORT + POWER_RESET) & 0xff, /* mov $port, %dx */
		(LAYOUT_POWER_PORT + POWER_RESET) >> 8,
		0xb0, POWER_RESET_VALUE, /* mov $value, %al */
		0xee,                    /* out %al, (%dx) */
		0xf4,                    /* hlt */
		0xeb, 0xfd,              /* jmp to the hlt */
	};

	if (!guest_memory_write(memory, LAYOUT_RESET_VECTOR_GPA, code, sizeof(code)))
		return fail(EINVAL, "reset vector: no guest memory; give more with --mem");
	return 0;
}
