// SPDX-License-Identifier: MIT
/* The kernel's command line, as text. Control thread. */
#include "boot/cmdline.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"

void command_line_append(struct command_line *line, const char *words)
{
	const char *space = line->length ? " " : "";

	if (!words || !*words)
		return;
	if (line->length < sizeof(line->text))
		snprintf(line->text + line->length, sizeof(line->text) - line->length, "%s%s",
			 space, words);
	line->length += strlen(space) + strlen(words);
}

bool command_line_has(const char *text, const char *key)
{
	size_t key_length = strlen(key);
	bool quoted = false, word_start = true;

	for (; *text; text++) {
		if (word_start && strncmp(text, key, key_length) == 0 &&
		    strchr(" \t\n=", text[key_length]))
			return true;
		if (*text == '"')
			quoted = !quoted;
		word_start = !quoted && strchr(" \t\n", *text);
	}
	return false;
}

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
