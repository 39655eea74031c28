// SPDX-License-Identifier: MIT
#include "tests/fuzz/made_file.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void made_file_open(struct boot_file *file, const char *role)
{
	*file = (struct boot_file){ .role = role, .path = "made-up" };
	file->fd = memfd_create(role, MFD_CLOEXEC);
	fuzz_check(file->fd >= 0);
}

void made_file_fill(struct boot_file *file, const void *bytes, size_t length)
{
	fuzz_check(!ftruncate(file->fd, 0));
	fuzz_check(pwrite(file->fd, bytes, length, 0) == (ssize_t)length);
	file->size_bytes = length;
}

void made_file_resize(struct boot_file *file, uint64_t bytes)
{
	fuzz_check(!ftruncate(file->fd, (off_t)bytes));
}

void made_file_bend(struct made_file *made, struct fuzz_input *input, size_t limit)
{
	for (unsigned left = fuzz_u8(input) % 16; left; left--) {
		size_t at = (size_t)fuzz_number(input, 2) % limit;
		unsigned bytes = 1u << fuzz_below(input, 4);

		for (; bytes && at < limit; bytes--)
			made->bytes[at++] = fuzz_u8(input);
	}
}

void made_file_append(struct made_file *made, struct fuzz_input *input)
{
	while (fuzz_more(input) && made->length < MADE_FILE_BYTES)
		made->bytes[made->length++] = fuzz_u8(input);
}
