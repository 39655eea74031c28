// SPDX-License-Identifier: MIT
/* Made-up files and memory. */
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
