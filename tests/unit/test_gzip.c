// SPDX-License-Identifier: MIT
/* Boot files compressed by gzip: whole, cut, bent, and larger than they may be. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "boot/gzip.h"
#include "tests/unit/boot_files.h"

#define CONTENT_BYTES (300 * KIB + 17)

static uint8_t content[CONTENT_BYTES], packed[2 * CONTENT_BYTES];

/* Content that is half noise and half not, and its compressed form, of so many bytes. */
static size_t pack(size_t length)
{
	z_stream stream = { .next_in = content, .avail_in = (uInt)length,
			    .next_out = packed, .avail_out = sizeof(packed) };
	uint32_t noise = 1;

	for (size_t i = 0; i < sizeof(content); i++) {
		noise = noise * 1664525 + 1013904223;
		content[i] = i < sizeof(content) / 2 ? (uint8_t)(noise >> 24) : 'z';
	}
	assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY),
			 Z_OK);
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	deflateEnd(&stream);
	return sizeof(packed) - stream.avail_out;
}

static int expand(struct boot_file *file, size_t packed_bytes, uint64_t limit_bytes)
{
	const char *path = boot_file_make(packed, packed_bytes);

	assert_int_equal(boot_file_open(file, "kernel", path), 0);
	return gzip_expand(file, limit_bytes);
}

static bool refused(size_t packed_bytes, uint64_t limit_bytes, int wanted, const char *text)
{
	struct boot_file file;
	int error;

	message_begin();
	error = expand(&file, packed_bytes, limit_bytes);
	boot_file_close(&file);
	return message_end(text) && error == -wanted;
}

static void test_content(void **state)
{
	static const size_t lengths[] = {
		1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 128 * KIB, CONTENT_BYTES,
	};
	static uint8_t found[CONTENT_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct boot_file file;
		size_t bytes = pack(lengths[i]);

		/* What follows the kernel is not for the guest. */
		memset(packed + bytes, 's', 100);
		assert_int_equal(expand(&file, bytes + i * 20, lengths[i]), 0);
		assert_int_equal(file.size_bytes, lengths[i]);
		assert_int_equal(boot_file_read(&file, 0, found, lengths[i]), 0);
		assert_memory_equal(found, content, lengths[i]);
		boot_file_close(&file);
	}
}

static void test_other_file(void **state)
{
	struct boot_file file;
	int fd;

	(void)state;
	memcpy(packed, "plain", 5);
	assert_int_equal(boot_file_open(&file, "kernel", boot_file_make(packed, 5)), 0);
	fd = file.fd;
	assert_int_equal(gzip_expand(&file, 1), 0);
	assert_int_equal(file.fd, fd);
	assert_int_equal(file.size_bytes, 5);
	boot_file_close(&file);
}

static void test_hostile_files(void **state)
{
	size_t bytes = pack(CONTENT_BYTES);

	(void)state;
	assert_true(refused(bytes, CONTENT_BYTES - 1, EFBIG, "expands to more than the 0 MiB"));
	assert_true(refused(bytes - 1, GIB, EINVAL, "not valid gzip: it ends too early"));
	assert_true(refused(bytes / 2, GIB, EINVAL, "it ends too early"));
	assert_true(refused(2, GIB, EINVAL, "it ends too early"));
	packed[bytes - 5] ^= 1; /* its checksum */
	assert_true(refused(bytes, GIB, EINVAL, "not valid gzip: incorrect data check"));
	memset(packed + 10, 0xff, 100);
	assert_true(refused(bytes, GIB, EINVAL, "not valid gzip: invalid block type"));
	packed[2] = 7; /* no such method */
	assert_true(refused(bytes, GIB, EINVAL, "unknown compression method"));
	bytes = pack(0);
	assert_true(refused(bytes, GIB, EINVAL, "nothing is in it"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_content, boot_teardown),
		cmocka_unit_test_teardown(test_other_file, boot_teardown),
		cmocka_unit_test_teardown(test_hostile_files, boot_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
