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

/* An empty one, for made_file_store(). */
void made_file_open(struct boot_file *file, const char *role);

void made_file_clear(struct made_file *made);
/* Bytes anywhere in the first `limit` are replaced, as often as the input wants. */
void made_file_bend(struct made_file *made, struct fuzz_input *input, size_t limit);
/* Some of its end is missing, or all that is left of the input follows. */
void made_file_end(struct made_file *made, struct fuzz_input *input, bool cut);
/* From here on it has these bytes; `shrinks`: some of its end is gone since it was opened. */
void made_file_store(struct boot_file *file, const struct made_file *made,
		     struct fuzz_input *input, bool shrinks);

/*
 * An initrd of up to 256 times one of `units` bytes, which are at most 16 KiB;
 * or none. The next input's has the same descriptor, so nobody closes it.
 */
void made_initrd(struct boot_file *file, struct fuzz_input *input, const size_t units[4]);
/* That it is the first `length` bytes of one. */
void made_initrd_check(const uint8_t *bytes, uint64_t length);

#endif
