/* SPDX-License-Identifier: MIT */
/*
 * Files to boot from that a target makes up: bytes in memory, and perhaps less
 * of them than the file claims. On the target's one thread.
 */
#ifndef TESTS_FUZZ_MADE_FILE_H
#define TESTS_FUZZ_MADE_FILE_H

#include "boot/boot_file.h"
#include "tests/fuzz/fuzz.h"

#define MADE_FILE_BYTES 16384

struct made_file {
	uint8_t bytes[MADE_FILE_BYTES]; /* zeros at the end are not in the file */
	size_t length;
};

/* Once a program: an empty one. */
void made_file_open(struct boot_file *file, const char *role);
/* From here on it has these bytes; what was read of it before does not matter. */
void made_file_fill(struct boot_file *file, const void *bytes, size_t length);
/* The file is shorter than it was when it was opened; or longer, by zeros. */
void made_file_resize(struct boot_file *file, uint64_t bytes);

/* Bytes anywhere in the first `limit` are replaced, as often as the input wants. */
void made_file_bend(struct made_file *made, struct fuzz_input *input, size_t limit);
/* To the end of the input: whatever is behind what has been made. */
void made_file_append(struct made_file *made, struct fuzz_input *input);

#endif
