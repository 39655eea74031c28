// SPDX-License-Identifier: MIT
/* Lists of processors: what is read, in which order, and what is refused. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/cpu_list.h"

static struct cpu_list list;

static void test_order_is_kept_and_begins_again(void **state)
{
	static const unsigned expected[] = { 7, 0, 2, 3, 4, 7, 0, 2 };

	(void)state;
	assert_int_equal(cpu_list_parse(&list, "7,0,2-4"), 0);
	assert_int_equal(list.count, 5);
	for (unsigned i = 0; i < ARRAY_SIZE(expected); i++)
		assert_int_equal(*cpu_list_at(&list, i), expected[i]);
	assert_true(cpu_list_has(&list, 3));
	assert_false(cpu_list_has(&list, 1));
}

static void test_none(void **state)
{
	const struct cpu_list none = { 0 };

	(void)state;
	assert_null(cpu_list_at(&none, 0));
	assert_false(cpu_list_has(&none, 0));
}

static void test_bounds(void **state)
{
	char text[64];

	(void)state;
	snprintf(text, sizeof(text), "0-%d", CPU_SETSIZE - 1);
	assert_int_equal(cpu_list_parse(&list, text), 0);
	assert_int_equal(list.count, CPU_LIST_MAX);
	snprintf(text, sizeof(text), "%d", CPU_SETSIZE);
	assert_int_equal(cpu_list_parse(&list, text), -EINVAL);
	/* One more than there is room for. */
	snprintf(text, sizeof(text), "0-%d,0", CPU_SETSIZE - 1);
	assert_int_equal(cpu_list_parse(&list, text), -EINVAL);
	assert_int_equal(list.count, 0);
}

static void test_refusals(void **state)
{
	static const char *const wrong[] = {
		"", ",", "1,", ",1", "1,,2", "a", "1a", "-1", "1-", "3-2", "1-2-3", " 1", "1 ",
		"+1", "0x1", "99999999999999999999", "1;2",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (cpu_list_parse(&list, wrong[i]) != -EINVAL || list.count)
			fail_msg("accepted '%s'", wrong[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_is_kept_and_begins_again),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
