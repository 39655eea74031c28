// SPDX-License-Identifier: MIT
/* Made-up files, memory, and the line that a refusal prints. */
#include "tests/unit/unit.h"

#include "tests/unit/boot_files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"

#define FILES_MAX 64

static char paths[FILES_MAX][32];
static unsigned path_count;
static int saved_stderr = -1, message_fd = -1;
static struct guest_memory memory;

const char *boot_file_make(const void *bytes, size_t length)
{
	char *path = paths[path_count];
	int fd;

	assert_true(path_count < FILES_MAX);
	strcpy(path, "/tmp/ringvm-boot-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	path_count++;
	assert_int_equal(write(fd, bytes, length), (ssize_t)length);
	close(fd);
	return path;
}

void boot_files_remove(void)
{
	while (path_count)
		unlink(paths[--path_count]);
}

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

struct guest_memory *boot_memory_make(uint64_t bytes)
{
	uint64_t below = min_u64(bytes, 3 * GIB);

	boot_memory_free();
	assert_int_equal(guest_memory_add(&memory, 0, below), 0);
	if (bytes > below)
		assert_int_equal(guest_memory_add(&memory, 4 * GIB, bytes - below), 0);
	return &memory;
}

void boot_memory_free(void)
{
	guest_memory_destroy(&memory);
}

int boot_teardown(void **state)
{
	(void)state;
	boot_files_remove();
	boot_memory_free();
	return 0;
}
