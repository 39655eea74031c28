// SPDX-License-Identifier: MIT
/* Which of several requests the control thread gets to hear. */
#include "tests/unit/unit.h"

#include "base/fd.h"
#include "core/request.h"

static struct request_line line;

static int setup(void **state)
{
	(void)state;
	return request_line_init(&line);
}

static int teardown(void **state)
{
	(void)state;
	request_line_destroy(&line);
	return 0;
}

static void the_first_wins(void **state)
{
	(void)state;
	request_raise(&line, REQUEST_POWER_OFF);
	request_raise(&line, REQUEST_CRASH);
	request_raise(&line, REQUEST_QUIT);
	assert_true(event_fd_pending(line.event_fd));
	assert_int_equal(request_take(&line), REQUEST_POWER_OFF);
	assert_int_equal(request_take(&line), REQUEST_NONE);
	assert_false(event_fd_pending(line.event_fd));
}

static void a_reset_gives_way_to_user_and_host(void **state)
{
	static const enum request strong[] = { REQUEST_QUIT, REQUEST_FAIL };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		request_raise(&line, REQUEST_RESET);
		request_raise(&line, REQUEST_POWER_OFF);
		request_raise(&line, strong[i]);
		request_raise(&line, REQUEST_RESET);
		assert_int_equal(request_take(&line), strong[i]);
	}
}

static void only_the_guests_are_forgotten(void **state)
{
	static const struct {
		enum request raised, left;
	} cases[] = {
		{ REQUEST_POWER_OFF, REQUEST_NONE }, { REQUEST_RESET, REQUEST_NONE },
		{ REQUEST_CRASH, REQUEST_NONE },     { REQUEST_PANIC, REQUEST_NONE },
		{ REQUEST_QUIT, REQUEST_QUIT },	     { REQUEST_FAIL, REQUEST_FAIL },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		request_raise(&line, cases[i].raised);
		request_forget_guests(&line);
		assert_true(event_fd_pending(line.event_fd));
		assert_int_equal(request_take(&line), cases[i].left);
	}
	request_forget_guests(&line);
	assert_int_equal(request_take(&line), REQUEST_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_first_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reset_gives_way_to_user_and_host, setup,
						teardown),
		cmocka_unit_test_setup_teardown(only_the_guests_are_forgotten, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
