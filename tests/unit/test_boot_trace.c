// SPDX-License-Identifier: MIT
/* Marks of a boot: which count, what is read out of a console, how they are shown. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/boot_trace.h"

static struct boot_trace trace;
static struct boot_text text;

static int setup(void **state)
{
	(void)state;
	boot_trace_begin(&trace);
	text = (struct boot_text){ 0 };
	return 0;
}

static void test_execve_comes_before_main(void **state)
{
	(void)state;
	assert_true(trace.at_ns[BOOT_EXEC]);
	assert_true(trace.at_ns[BOOT_EXEC] < trace.at_ns[BOOT_MAIN]);
}

static void test_first_occurrence_counts(void **state)
{
	uint64_t first_ns;

	(void)state;
	boot_trace_mark(&trace, BOOT_DISK);
	first_ns = trace.at_ns[BOOT_DISK];
	assert_true(first_ns >= trace.at_ns[BOOT_MAIN]);
	while (boot_trace_now_ns() == first_ns)
		;
	boot_trace_mark(&trace, BOOT_DISK);
	assert_int_equal(trace.at_ns[BOOT_DISK], first_ns);
}

static void test_off(void **state)
{
	(void)state;
	boot_trace_mark(NULL, BOOT_DISK);
	boot_trace_output(NULL, BOOT_SERIAL, NULL, "x", 1);
	boot_trace_print(NULL, NULL);
}

static void say(const char *what)
{
	boot_trace_output(&trace, BOOT_SERIAL, &text, what, strlen(what));
}

static void test_kernel_tells_of_init(void **state)
{
	static const char line[] = "[    0.51] Run /sbin/init as init process\r\n";

	(void)state;
	say("");
	assert_false(trace.at_ns[BOOT_SERIAL]);
	say("as init proces");
	assert_true(trace.at_ns[BOOT_SERIAL]);
	say("aas init\nas init procesas init ");
	assert_false(trace.at_ns[BOOT_INIT]);
	/* A byte at a time, as a serial port has it. */
	for (size_t i = 0; i < strlen(line); i++)
		boot_trace_output(&trace, BOOT_SERIAL, &text, &line[i], 1);
	assert_true(trace.at_ns[BOOT_INIT]);
}

static char shown[512];

__attribute__((format(printf, 1, 2)))
static void show(const char *format, ...)
{
	size_t length = strlen(shown);
	va_list args;

	va_start(args, format);
	vsnprintf(shown + length, sizeof(shown) - length, format, args);
	va_end(args);
	strcat(shown, "\n");
}

static void test_shown_in_order_of_time(void **state)
{
	static const char expected[] = "ms from execve, and from the line before:\n"
		"      0.000       0.000  execve\n"
		"      1.500       1.500  main\n"
		"      2.000       0.500  first byte on the serial port\n"
		"      2.000       0.000  first request to a disk\n"
		"    123.000     121.000  VM made\n";

	(void)state;
	trace = (struct boot_trace){ .at_ns = {
		[BOOT_EXEC] = 1000000, [BOOT_MAIN] = 2500000, [BOOT_VM] = 124000000,
		[BOOT_SERIAL] = 3000000, [BOOT_DISK] = 3000000,
	} };
	boot_trace_print(&trace, show);
	assert_string_equal(shown, expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_execve_comes_before_main, setup),
		cmocka_unit_test_setup(test_first_occurrence_counts, setup),
		cmocka_unit_test_setup(test_off, setup),
		cmocka_unit_test_setup(test_kernel_tells_of_init, setup),
		cmocka_unit_test_setup(test_shown_in_order_of_time, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
