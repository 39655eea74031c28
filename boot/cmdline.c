// SPDX-License-Identifier: MIT
/* The kernel's command line. Control thread. */
#include "boot/cmdline.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

int command_line_load(const char *text, size_t limit, const struct guest_memory *memory,
		      uint64_t gpa)
{
	size_t length = strlen(text);

	if (length > limit)
		return fail(E2BIG,
			    "command line: %zu characters; this kernel takes %zu: shorten --params",
			    length, limit);
	if (!guest_memory_write(memory, gpa, text, length + 1))
		return fail(EINVAL, "command line: no guest memory at 0x%llx; give more with --mem",
			    (unsigned long long)gpa);
	return 0;
}
