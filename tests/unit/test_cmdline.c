// SPDX-License-Identifier: MIT
/* The kernel's command line: put together, searched, loaded. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "boot/cmdline.h"
#include "tests/unit/boot_files.h"

static void test_append(void **state)
{
	static struct command_line line;
	char word[1000];

	(void)state;
	command_line_append(&line, NULL);
	command_line_append(&line, "");
	assert_string_equal(line.text, "");
	command_line_append(&line, "quiet");
	command_line_append(&line, "root=/dev/vda rw");
	assert_string_equal(line.text, "quiet root=/dev/vda rw");
	assert_int_equal(line.length, strlen(line.text));
	memset(word, 'x', sizeof(word));
	word[sizeof(word) - 1] = 0;
	for (unsigned i = 0; i < 10; i++)
		command_line_append(&line, word);
	/* The length tells that it is cut. */
	assert_int_equal(strlen(line.text), COMMAND_LINE_BYTES - 1);
	assert_int_equal(line.length, 22 + 10 * 1000);
}

static void test_has(void **state)
{
	const char *text = "quiet console=ttyS0 name=\"a panic=1 b\" panicked";

	(void)state;
	assert_true(command_line_has(text, "quiet"));
	assert_true(command_line_has(text, "console"));
	assert_true(command_line_has(text, "panicked"));
	assert_false(command_line_has(text, "panic"));
	assert_false(command_line_has(text, "ttyS0"));
	assert_false(command_line_has(text, "cons"));
	assert_false(command_line_has("", "quiet"));
	assert_true(command_line_has("a\tb", "b"));
}

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
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_has),
		cmocka_unit_test(test_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
