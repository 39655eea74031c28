// SPDX-License-Identifier: MIT
/* The option reader: kinds, positional values, refusals. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/option.h"
#include "tests/unit/message.h"

struct sample {
	char *path;
	bool readonly;
	unsigned queues;
	uint64_t size_bytes;
	unsigned cache;
	struct option_mac mac;
	int fd;
};

static const char *const caches[] = { "writeback", "direct", NULL };

static const struct option_key keys[] = {
	{ "path", OPTION_STRING, offsetof(struct sample, path), "file", .positional = true,
	  .required = true },
	{ "ro", OPTION_FLAG, offsetof(struct sample, readonly), "refuse writes" },
	{ "queues", OPTION_UINT, offsetof(struct sample, queues), "queues", .minimum = 1,
	  .maximum = 16 },
	{ "size", OPTION_SIZE, offsetof(struct sample, size_bytes), "size" },
	{ "cache", OPTION_CHOICE, offsetof(struct sample, cache), "cache", .choices = caches },
	{ "mac", OPTION_MAC, offsetof(struct sample, mac), "address" },
	{ "fd", OPTION_INT_FD, offsetof(struct sample, fd), "descriptor" },
	{ 0 },
};

static struct sample sample;

static int parse(const char *text)
{
	options_free(keys, &sample);
	sample = (struct sample){ .queues = 1 };
	return options_parse("--sample", text, keys, &sample);
}

static int teardown(void **state)
{
	(void)state;
	options_free(keys, &sample);
	return 0;
}

static void test_every_kind(void **state)
{
	(void)state;
	assert_int_equal(parse("disk.img,ro,queues=4,size=2G,cache=direct,"
			       "mac=02:00:00:00:00:ab,fd=7"), 0);
	assert_string_equal(sample.path, "disk.img");
	assert_true(sample.readonly);
	assert_int_equal(sample.queues, 4);
	assert_int_equal(sample.size_bytes, 2 * GIB);
	assert_int_equal(sample.cache, 1);
	assert_true(sample.mac.given);
	assert_int_equal(sample.mac.address[5], 0xab);
	assert_int_equal(sample.fd, 7);
}

static void test_defaults_stay(void **state)
{
	(void)state;
	assert_int_equal(parse("disk.img"), 0);
	assert_false(sample.readonly);
	assert_int_equal(sample.queues, 1);
	assert_false(sample.mac.given);
	assert_int_equal(sample.fd, -1);
}

static void test_path_forms(void **state)
{
	(void)state;
	assert_int_equal(parse("path=a,ro=off"), 0);
	assert_string_equal(sample.path, "a");
	assert_false(sample.readonly);
	assert_int_equal(parse("dir/a=b"), 0);
	assert_string_equal(sample.path, "dir/a=b");
	assert_int_equal(parse("a,,b,ro"), 0);
	assert_string_equal(sample.path, "a,b");
	assert_true(sample.readonly);
	assert_int_equal(parse("ro,path=x"), 0);
	assert_string_equal(sample.path, "x");
}

static void test_refusals(void **state)
{
	static const char *const wrong[] = {
		"", "ro", "a,queues=0", "a,queues=17", "a,queues=x", "a,queues", "a,queues=-1",
		"a,size=1X", "a,size=99999999999G", "a,cache=none", "a,mac=02:00", "a,bogus=1",
		"a,mac=01:00:00:00:00:00", "a,mac=00:00:00:00:00:00", "a,ro=maybe", "a,,,b",
		"a,fd=-2", "path=", "bogus=1",
		"a,mac=02:00:00:00:00:abc", "a,mac=-2:00:00:00:00:01", "a,mac=02: 0:00:00:00:01",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (parse(wrong[i]) != -EINVAL)
			fail_msg("accepted '%s'", wrong[i]);
}

/* Neither wins: two words that contradict each other are somebody's mistake. */
static void test_a_key_once(void **state)
{
	static const struct {
		const char *text, *key;
	} twice[] = {
		{ "a,path=b", "path" },		{ "path=a,path=a", "path" },
		{ "a,ro,ro", "ro" },		{ "ro=on,path=a,ro=off", "ro" },
		{ "a,size=1K,size=1K", "size" },	{ "a,fd=7,mac=02:00:00:00:00:01,fd=8", "fd" },
		{ "a,cache=direct,queues=2,cache=direct", "cache" },
	};
	char line[80];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(twice); i++) {
		snprintf(line, sizeof(line), "ringvm: --sample: %s is given twice; give it once\n",
			 twice[i].key);
		message_begin();
		assert_int_equal(parse(twice[i].text), -EINVAL);
		assert_true(message_end(line));
	}
	/* A path that is like an item of ours is no second one. */
	assert_int_equal(parse("./path=b,ro"), 0);
	assert_string_equal(sample.path, "./path=b");
}

static void test_sizes(void **state)
{
	uint64_t bytes;

	(void)state;
	assert_int_equal(option_size_parse("512", MIB, &bytes), 0);
	assert_int_equal(bytes, 512 * MIB);
	assert_int_equal(option_size_parse("512MiB", 1, &bytes), 0);
	assert_int_equal(bytes, 512 * MIB);
	assert_int_equal(option_size_parse("4096B", MIB, &bytes), 0);
	assert_int_equal(bytes, 4096);
	assert_int_equal(option_size_parse("1t", 1, &bytes), 0);
	assert_int_equal(bytes, 1024 * GIB);
	assert_int_equal(option_size_parse("", 1, &bytes), -EINVAL);
	assert_int_equal(option_size_parse("-1", 1, &bytes), -EINVAL);
	assert_int_equal(option_size_parse("1MM", 1, &bytes), -EINVAL);
	assert_int_equal(option_size_parse("20000000T", 1, &bytes), -ERANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_every_kind, teardown),
		cmocka_unit_test_teardown(test_defaults_stay, teardown),
		cmocka_unit_test_teardown(test_path_forms, teardown),
		cmocka_unit_test_teardown(test_refusals, teardown),
		cmocka_unit_test_teardown(test_a_key_once, teardown),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
