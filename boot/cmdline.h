/* SPDX-License-Identifier: MIT */
/*
 * The kernel's command line into guest memory, if the kernel takes that much.
 * Control thread.
 */
#ifndef BOOT_CMDLINE_H
#define BOOT_CMDLINE_H

#include <stddef.h>
#include <stdint.h>

#include "core/memory.h"

/*
 * Copies the text and its NUL to `gpa`. `limit` is how many characters the
 * kernel takes, without the NUL. 0 or a failure, logged with both numbers.
 */
int command_line_load(const char *text, size_t limit, const struct guest_memory *memory,
		      uint64_t gpa);

#endif
