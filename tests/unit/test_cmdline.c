// SPDX-License-Identifier: MIT
/* The kernel's command line into memory, and its limit. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "base/bytes.h"
#include "boot/cmdline.h"
#include "tests/unit/boot_files.h"

static void test_load(void **state)
{
	struct guest_memory *memory = boot_memory_make(2 * MIB);

	(void)state;
	assert_int_equal(command_line_load("0123456789", 10, memory, 0x1000), 0);
	assert_string_equal(guest_memory_at(memory, 0x1000, 11), "0123456789");
	message_begin();
	assert_int_equal(command_line_load("0123456789", 9, memory, 0x1000), -E2BIG);
	assert_true(message_end("10 characters; this kernel takes 9"));
	message_begin();
	assert_int_equal(command_line_load("0123456789", 10, memory, 2 * MIB - 10), -EINVAL);
	assert_true(message_end("no guest memory at 0x1ffff6"));
	boot_memory_free();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
