// SPDX-License-Identifier: MIT
/* The words of the commands that talk to running machines. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "cmd/client.h"
#include "tests/unit/message.h"

static struct client_options options;

/* "stop" and two words. */
static int parse(const char *first, const char *second)
{
	char words[2][400], *argv[] = { "stop", words[0], words[1], NULL };

	strcpy(words[0], first);
	strcpy(words[1], second);
	return client_options_parse(&options, 3, argv);
}

static void test_words(void **state)
{
	(void)state;
	assert_int_equal(parse("-f", "one"), 0);
	assert_string_equal(options.name, "one");
	assert_true(options.force && !options.all && !options.help);
	assert_int_equal(parse("--name=two", "-ah"), 0);
	assert_string_equal(options.name, "two");
	assert_true(options.all && options.help && !options.force);
	assert_int_equal(parse("--", "-three"), 0);
	assert_string_equal(options.name, "-three");
	assert_false(options.force);
}

static void test_refusals(void **state)
{
	static const char *const refused[][2] = {
		{ "one", "two" }, { "-none", "two" }, { "a/b", "-f" }, { "", "-f" },
		{ "-f", "-n" },	  { "--none", "one" }, { "-x", "one" },
		{ "--", "" },
	};
	char name[MACHINE_NAME_MAX + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		assert_int_equal(parse(refused[i][0], refused[i][1]), -EINVAL);
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(parse("-f", name), -EINVAL);
	assert_int_equal(parse("-f", name + 1), 0);
}

static void test_says_what_is_wrong(void **state)
{
	static const struct {
		const char *first, *second, *line;
	} wrong[] = {
		{ "-f", "-n", "stop: -n needs an argument; see 'ringvm stop --help'" },
		{ "-f", "--name", "stop: --name needs an argument; see 'ringvm stop --help'" },
		{ "-fn", "", "stop: '' is no machine's name; see 'ringvm list'" },
		{ "--force=yes", "one", "stop: --force takes no value; leave out '=yes'" },
		{ "--fo=", "one", "stop: --fo takes no value; leave out '='" },
		{ "one", "--none", "stop: unknown option '--none'; see 'ringvm stop --help'" },
		{ "one", "-x", "stop: unknown option '-x'; see 'ringvm stop --help'" },
	};
	char line[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		snprintf(line, sizeof(line), "ringvm: %s\n", wrong[i].line);
		message_begin();
		assert_int_equal(parse(wrong[i].first, wrong[i].second), -EINVAL);
		assert_true(message_end(line));
	}
}

/* What is left of a word that was refused is not read for the next command. */
static void test_begins_anew(void **state)
{
	(void)state;
	assert_int_equal(parse("-xf", "one"), -EINVAL);
	assert_int_equal(parse("one", "-a"), 0);
	assert_string_equal(options.name, "one");
	assert_true(options.all && !options.force);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_says_what_is_wrong),
		cmocka_unit_test(test_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
