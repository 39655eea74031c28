/* SPDX-License-Identifier: MIT */
/*
 * The kernel's command line: put together from words, asked for words, copied
 * into guest memory. Control thread.
 */
#ifndef BOOT_CMDLINE_H
#define BOOT_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/memory.h"

#define COMMAND_LINE_BYTES 8192

struct command_line {
	char text[COMMAND_LINE_BYTES]; /* always terminated */
	size_t length; /* as asked for: what does not fit is counted too */
};

/* Appends words, after a space unless it is the first. NULL and "" do nothing. */
void command_line_append(struct command_line *line, const char *words);

/* Whether one of the words is `key` or begins with "key=". Quotes keep spaces in a word. */
bool command_line_has(const char *text, const char *key);

/*
 * Copies the text and its NUL to `gpa`. `limit` is how many characters the
 * kernel takes, without the NUL. 0 or a failure, logged with both numbers.
 */
int command_line_load(const char *text, size_t limit, const struct guest_memory *memory,
		      uint64_t gpa);

#endif
