// SPDX-License-Identifier: MIT
#include "tests/fuzz/made_file.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"

#define INITRD_UNITS 256
#define INITRD_UNIT_MAX (16 * KIB)

void made_file_open(struct boot_file *file, const char *role)
{
	*file = (struct boot_file){ .role = role, .path = "made-up" };
	file->fd = memfd_create(role, MFD_CLOEXEC);
	fuzz_check(file->fd >= 0);
}

void made_file_clear(struct made_file *made)
{
	memset(made, 0, sizeof(*made));
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

void made_file_end(struct made_file *made, struct fuzz_input *input, bool cut)
{
	if (cut)
		made->length -= (size_t)fuzz_number(input, 2) % (made->length + 1);
	while (!cut && fuzz_more(input) && made->length < MADE_FILE_BYTES)
		made->bytes[made->length++] = fuzz_u8(input);
}

void made_file_store(struct boot_file *file, const struct made_file *made,
		     struct fuzz_input *input, bool shrinks)
{
	size_t length = made->length;

	fuzz_check(!ftruncate(file->fd, 0));
	fuzz_check(pwrite(file->fd, made->bytes, length, 0) == (ssize_t)length);
	file->size_bytes = length;
	if (shrinks)
		fuzz_check(!ftruncate(file->fd, (off_t)(length - fuzz_u8(input) % (length + 1))));
}

/* Made once: it is long, and all that inputs want of it is another length. */
static int initrd_fd(void)
{
	static int fd = -1;
	uint8_t bytes[INITRD_UNIT_MAX];

	if (fd >= 0)
		return fd;
	fd = memfd_create("initrd", MFD_CLOEXEC);
	memset(bytes, 'i', sizeof(bytes));
	for (unsigned i = 0; i < INITRD_UNITS; i++)
		fuzz_check(write(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes));
	return fd;
}

void made_initrd(struct boot_file *file, struct fuzz_input *input, const size_t units[4])
{
	uint8_t choice = fuzz_u8(input);
	size_t length = units[choice % 4] * (1 + fuzz_u8(input));

	fuzz_check(length <= INITRD_UNITS * INITRD_UNIT_MAX);
	*file = (struct boot_file){ .role = "initrd", .path = "made-up", .fd = -1 };
	if (choice >= 0xc0)
		return;
	file->fd = initrd_fd();
	file->size_bytes = length;
}

void made_initrd_check(const uint8_t *bytes, uint64_t length)
{
	fuzz_check(bytes[0] == 'i' && !memcmp(bytes, bytes + 1, length - 1));
}
