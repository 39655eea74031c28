// SPDX-License-Identifier: MIT
/* The writer of device trees, read back by libfdt. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "boot/fdt.h"

static _Alignas(8) uint8_t blob[4096];

static void write_sample(struct fdt_writer *writer, size_t capacity)
{
	fdt_writer_begin(writer, blob, capacity);
	fdt_put_string(writer, "model", "sample");
	fdt_node_begin_at(writer, "device", UINT64_C(0x123456789a));
	fdt_put_flag(writer, "present");
	fdt_put_u32(writer, "one", 0x01020304);
	fdt_put_u64(writer, "long", UINT64_C(0x0102030405060708));
	fdt_put_cells(writer, "cells", (const uint32_t[]){ 1, 2, UINT32_MAX }, 3);
	fdt_put_ranges(writer, "reg", (const struct fdt_range[]){
		{ UINT64_C(0x123456789a), 0x1000 }, { 1, 2 },
	}, 2);
	fdt_put_bytes(writer, "bytes", "abc", 3);
	fdt_node_begin(writer, "inner");
	fdt_node_end(writer);
	fdt_node_end(writer);
}

static void assert_property(int node, const char *name, const void *bytes, int length)
{
	int found;
	const void *value = fdt_getprop(blob, node, name, &found);

	assert_non_null(value);
	assert_int_equal(found, length);
	assert_memory_equal(value, bytes, (size_t)length);
}

static void test_tree(void **state)
{
	struct fdt_writer writer;
	int node, size;

	(void)state;
	write_sample(&writer, sizeof(blob));
	size = fdt_writer_end(&writer);
	assert_true(size > 0 && size < (int)sizeof(blob));
	assert_int_equal(fdt_totalsize(blob), size);
	assert_int_equal(fdt_check_full(blob, (size_t)size), 0);
	assert_property(0, "model", "sample", 7);
	node = fdt_path_offset(blob, "/device@123456789a");
	assert_true(node > 0);
	assert_property(node, "present", "", 0);
	assert_property(node, "one", "\1\2\3\4", 4);
	assert_property(node, "long", "\1\2\3\4\5\6\7\10", 8);
	assert_property(node, "cells", "\0\0\0\1\0\0\0\2\xff\xff\xff\xff", 12);
	assert_property(node, "reg", "\0\0\0\x12\x34\x56\x78\x9a\0\0\0\0\0\0\x10\0"
			"\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2", 32);
	assert_property(node, "bytes", "abc", 3);
	assert_true(fdt_path_offset(blob, "/device@123456789a/inner") > node);
}

/* Whatever the room is, it fits or the end says that it does not. */
static void test_too_small(void **state)
{
	struct fdt_writer writer;
	int size, enough = 0;

	(void)state;
	for (size_t room = 0; room <= 512; room += 4) {
		memset(blob, 0xee, sizeof(blob));
		write_sample(&writer, room);
		size = fdt_writer_end(&writer);
		assert_int_equal(blob[room], 0xee);
		if (size < 0) {
			assert_int_equal(size, -ENOSPC);
			assert_int_equal(enough, 0);
		} else {
			assert_true(size <= (int)room);
			assert_int_equal(fdt_check_full(blob, (size_t)size), 0);
			enough++;
		}
	}
	assert_true(enough > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_too_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
