// SPDX-License-Identifier: MIT
/* The line that a refusal prints. */
#include "tests/unit/unit.h"

#include "tests/unit/message.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int saved_stderr = -1, message_fd = -1;

void message_begin(void)
{
	char path[] = "/tmp/ringvm-message-XXXXXX";

	message_fd = mkstemp(path);
	assert_true(message_fd >= 0);
	unlink(path);
	saved_stderr = dup(STDERR_FILENO);
	dup2(message_fd, STDERR_FILENO);
}

bool message_end(const char *text)
{
	char line[2048] = "";
	const char *newline;

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	assert_true(pread(message_fd, line, sizeof(line) - 1, 0) >= 0);
	close(message_fd);
	newline = strchr(line, '\n');
	if (newline && !newline[1] && strstr(line, text))
		return true;
	print_message("wanted one line with '%s', got '%s'\n", text, line);
	return false;
}
