// SPDX-License-Identifier: MIT
/*
 * Messages on stderr: one line and one write each, by level, and no more than ten a second of what
 * a guest causes. stderr is a socket that keeps writes apart, so that what is read is one write.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#undef fail /* cmocka's: that of base/log.h is tested here */

#define LINE_BYTES 2048
#define TRIES	   1000
#define THREADS	   4
#define EACH	   10

static int reader_fd, stderr_fd;

static int setup(void **state)
{
	int fds[2];

	(void)state;
	stderr_fd = dup(STDERR_FILENO);
	if (stderr_fd < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0 ||
	    dup2(fds[1], STDERR_FILENO) < 0)
		return -1;
	close(fds[1]);
	reader_fd = fds[0];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dup2(stderr_fd, STDERR_FILENO);
	close(stderr_fd);
	close(reader_fd);
	log_set_level(LOG_LEVEL_INFO);
	return 0;
}

/* What one write wrote; empty if there was none. */
static const char *next_write(void)
{
	static char text[LINE_BYTES];
	ssize_t length = recv(reader_fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	text[length > 0 ? length : 0] = 0;
	return text;
}

static void expect_none(void)
{
	assert_string_equal(next_write(), "");
}

static unsigned count_writes(void)
{
	unsigned count = 0;

	while (*next_write())
		count++;
	return count;
}

static void a_message_is_one_line_and_one_write(void **state)
{
	(void)state;
	log_warning("disk%u: %s", 0, "full");
	assert_string_equal(next_write(), "ringvm: disk0: full\n");
	log_info("two");
	log_info("writes");
	assert_string_equal(next_write(), "ringvm: two\n");
	assert_string_equal(next_write(), "ringvm: writes\n");
	expect_none();
}

static void newlines_become_spaces(void **state)
{
	(void)state;
	log_warning("a\nfile\r\nof lines\n");
	assert_string_equal(next_write(), "ringvm: a file  of lines \n");
	expect_none();
}

static void long_messages_are_cut(void **state)
{
	char message[LINE_BYTES];
	const char *line;

	(void)state;
	memset(message, 'x', sizeof(message) - 1);
	message[sizeof(message) - 1] = 0;
	log_warning("%s", message);
	line = next_write();
	assert_in_range(strlen(line), 1000, 1024);
	assert_int_equal(strspn(line + strlen("ringvm: "), "x"),
			 strlen(line) - strlen("ringvm: \n"));
	assert_int_equal(line[strlen(line) - 1], '\n');
	errno = ENOSPC;
	assert_int_equal(fail_errno("%s", message), -ENOSPC);
	line = next_write();
	assert_in_range(strlen(line), 1000, 1024);
	assert_int_equal(line[strlen(line) - 1], '\n');
	expect_none();
}

static void failures_say_why(void **state)
{
	int failure;

	(void)state;
	assert_int_equal(fail(EINVAL, "disk0: no path"), -EINVAL);
	assert_string_equal(next_write(), "ringvm: disk0: no path\n");
	assert_false(fail_is_host(-EINVAL));
	assert_true(fail_is_host(-EMFILE));
	assert_true(fail_is_host(-ENOMEM));
	assert_false(fail_is_host(ENOMEM));
	assert_false(fail_is_host(0));
	failure = fail_host(ENOSYS, "kvm: too old");
	assert_true(fail_is_host(failure));
	assert_int_equal(fail_error(failure), ENOSYS);
	assert_string_equal(next_write(), "ringvm: kvm: too old\n");
	errno = ENOENT;
	assert_int_equal(fail_errno("%s: open", "image"), -ENOENT);
	assert_string_equal(next_write(), "ringvm: image: open: No such file or directory\n");
	errno = EACCES;
	failure = fail_host_errno("/dev/kvm: open");
	assert_true(fail_is_host(failure));
	assert_int_equal(fail_error(failure), EACCES);
	assert_string_equal(next_write(), "ringvm: /dev/kvm: open: Permission denied\n");
	expect_none();
}

static void a_message_leaves_errno_alone(void **state)
{
	(void)state;
	errno = EXDEV;
	log_warning("written");
	assert_int_equal(errno, EXDEV);
	close(STDERR_FILENO);
	log_warning("nowhere to go");
	assert_int_equal(errno, EXDEV);
}

static void levels_have_a_threshold(void **state)
{
	struct log_limit limit = { 0 };

	(void)state;
	assert_false(log_enabled(LOG_LEVEL_DEBUG));
	log_debug("not by default");
	expect_none();
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("asked for");
	assert_string_equal(next_write(), "ringvm: asked for\n");
	log_set_level(LOG_LEVEL_WARNING);
	log_info("too low");
	expect_none();
	log_warning("just so");
	assert_string_equal(next_write(), "ringvm: just so\n");
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("too low");
	log_limited(&limit, "too low");
	expect_none();
	fail(EIO, "always");
	assert_string_equal(next_write(), "ringvm: always\n");
}

static void terminals_get_a_carriage_return(void **state)
{
	int terminal_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), stderr_end_fd;
	struct termios raw;
	char line[LINE_BYTES];
	ssize_t length;

	(void)state;
	if (terminal_fd < 0)
		skip();
	assert_int_equal(grantpt(terminal_fd) | unlockpt(terminal_fd), 0);
	stderr_end_fd = open(ptsname(terminal_fd), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_return_code(tcgetattr(stderr_end_fd, &raw), errno);
	cfmakeraw(&raw);
	assert_return_code(tcsetattr(stderr_end_fd, TCSANOW, &raw), errno);
	assert_return_code(dup2(stderr_end_fd, STDERR_FILENO), errno);
	log_warning("seen");
	length = read(terminal_fd, line, sizeof(line));
	assert_int_equal(length, strlen("ringvm: seen\r\n"));
	assert_memory_equal(line, "ringvm: seen\r\n", (size_t)length);
	log_warning("%0*d", LINE_BYTES, 0);
	length = read(terminal_fd, line, sizeof(line));
	assert_in_range(length, 1000, 1024);
	assert_memory_equal(line + length - 3, "0\r\n", 3);
	close(stderr_end_fd);
	close(terminal_fd);
}

/* ---- log_limited() ---- */

static time_t second_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* The limit's last second becomes one that is over. */
static void second_passes(struct log_limit *limit)
{
	limit->second--;
}

/* So many in one second of the clock; false if a slow machine did not get that done. */
static bool limited_within_a_second(struct log_limit *limit, unsigned count)
{
	time_t second = second_now();

	for (unsigned i = 0; i < count; i++)
		log_limited(limit, "disk0: bad request %u", i);
	return second_now() == second;
}

/* From a limit that is new. */
static void log_some(struct log_limit *limit, unsigned count)
{
	for (unsigned i = 0; i < TRIES; i++) {
		*limit = (struct log_limit){ 0 };
		count_writes();
		if (limited_within_a_second(limit, count))
			return;
	}
	skip();
}

static void ten_a_second_are_written(void **state)
{
	struct log_limit limit;
	char line[64];

	(void)state;
	log_some(&limit, 25);
	for (unsigned i = 0; i < LOG_LIMIT_PER_SECOND; i++) {
		snprintf(line, sizeof(line), "ringvm: disk0: bad request %u\n", i);
		assert_string_equal(next_write(), line);
	}
	expect_none();
	log_some(&limit, LOG_LIMIT_PER_SECOND);
	assert_int_equal(count_writes(), LOG_LIMIT_PER_SECOND);
}

static void the_next_second_says_how_many_were_suppressed(void **state)
{
	struct log_limit limit;

	(void)state;
	log_some(&limit, 25);
	count_writes();
	second_passes(&limit);
	log_limited(&limit, "disk0: another");
	assert_string_equal(next_write(), "ringvm: suppressed 15 messages like the next\n");
	assert_string_equal(next_write(), "ringvm: disk0: another\n");
	expect_none();
	/* Once: nothing was suppressed since. */
	second_passes(&limit);
	log_limited(&limit, "disk0: a third");
	assert_string_equal(next_write(), "ringvm: disk0: a third\n");
	expect_none();
}

/* With nothing suppressed before, ten again. */
static void each_second_has_ten(void **state)
{
	struct log_limit limit;
	unsigned count = 0;

	(void)state;
	for (unsigned i = 0; i < TRIES && count != 11; i++) {
		log_some(&limit, 25);
		count_writes();
		second_passes(&limit);
		/* Not in another second than the ten. */
		if (limited_within_a_second(&limit, 25))
			count = count_writes();
	}
	assert_int_equal(count, 11);
	assert_int_equal(limit.suppressed, 15);
}

static void each_object_has_a_limit_of_its_own(void **state)
{
	struct log_limit limit, other = { 0 };

	(void)state;
	log_some(&limit, 25);
	count_writes();
	log_limited(&other, "net0: first");
	assert_string_equal(next_write(), "ringvm: net0: first\n");
	expect_none();
}

static void *log_much(void *argument)
{
	for (unsigned i = 0; i < EACH; i++)
		log_warning("%s", (const char *)argument);
	return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
	static const char *const texts[THREADS] = { "aaaa", "bbbb", "cccc", "dddd" };
	pthread_t threads[THREADS];
	unsigned counts[THREADS] = { 0 };

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		void *text = (void *)(uintptr_t)texts[i];

		assert_int_equal(pthread_create(&threads[i], NULL, log_much, text), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < THREADS * EACH; i++) {
		const char *line = next_write();

		assert_int_equal(strlen(line), strlen("ringvm: aaaa\n"));
		for (unsigned j = 0; j < THREADS; j++)
			counts[j] += !strncmp(line + strlen("ringvm: "), texts[j], 4);
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(counts[i], EACH);
	expect_none();
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(a_message_is_one_line_and_one_write),
		LOG_TEST(newlines_become_spaces),
		LOG_TEST(long_messages_are_cut),
		LOG_TEST(failures_say_why),
		LOG_TEST(a_message_leaves_errno_alone),
		LOG_TEST(levels_have_a_threshold),
		LOG_TEST(terminals_get_a_carriage_return),
		LOG_TEST(ten_a_second_are_written),
		LOG_TEST(the_next_second_says_how_many_were_suppressed),
		LOG_TEST(each_second_has_ten),
		LOG_TEST(each_object_has_a_limit_of_its_own),
		LOG_TEST(lines_of_threads_do_not_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
