// SPDX-License-Identifier: MIT
/*
 * Messages on stderr. Any thread: each message is put together on the caller's
 * stack and leaves in one write(2), so lines of two threads never mix. Nobody
 * may be reading them: a message that finds no room is lost, and counted.
 */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_BYTES 1024
#define LOG_WAIT_S 1

static enum log_level threshold = LOG_LEVEL_INFO;
static _Atomic uint32_t lost;

void log_set_level(enum log_level level)
{
	threshold = level;
}

bool log_enabled(enum log_level level)
{
	return level <= threshold;
}

/* Also true of a stderr that is closed, or whose reader has gone: write(2) does not wait there. */
static bool has_room(time_t wait_s)
{
	struct pollfd output = { .fd = STDERR_FILENO, .events = POLLOUT };
	int ready;

	do
		ready = ppoll(&output, 1, &(struct timespec){ .tv_sec = wait_s }, NULL);
	while (ready < 0 && errno == EINTR);
	return ready != 0;
}

/* There is nobody to tell when stderr itself fails. */
static void stderr_write(const char *text, size_t length)
{
	if (write(STDERR_FILENO, text, length) < 0)
		return;
}

static void lost_tell(const char *newline)
{
	uint32_t count = atomic_exchange(&lost, 0);
	char text[80];

	if (!count)
		return;
	snprintf(text, sizeof(text), "ringvm: %u messages were lost: nobody read them%s", count,
		 newline);
	stderr_write(text, strlen(text));
}

/*
 * A newline inside a message (from a file name, say) becomes a space, so that a
 * message stays one line. Carriage return first: the terminal may be raw.
 */
__attribute__((format(printf, 4, 0)))
static void log_line(enum log_level level, time_t wait_s, const char *suffix, const char *format,
		     va_list args)
{
	char line[LOG_LINE_BYTES];
	const char *newline;
	size_t length;
	int saved = errno;

	if (!log_enabled(level))
		return;
	/* Who has not read for that long is not waited for again. */
	if (!has_room(lost ? 0 : wait_s)) {
		lost++;
		errno = saved;
		return;
	}
	newline = isatty(STDERR_FILENO) ? "\r\n" : "\n";
	lost_tell(newline);
	length = (size_t)snprintf(line, sizeof(line), "ringvm: ");
	vsnprintf(line + length, sizeof(line) - length - 3, format, args);
	length = strlen(line);
	if (suffix)
		snprintf(line + length, sizeof(line) - length - 3, ": %s", suffix);
	length = strlen(line);
	for (size_t i = 0; i < length; i++)
		if (line[i] == '\n' || line[i] == '\r')
			line[i] = ' ';
	strcpy(line + length, newline);
	stderr_write(line, strlen(line));
	errno = saved;
}

#define LOG_ARGS(level, wait_s, suffix)                                                            \
	do {                                                                                       \
		va_list args;                                                                      \
		va_start(args, format);                                                            \
		log_line(level, wait_s, suffix, format, args);                                     \
		va_end(args);                                                                      \
	} while (0)

void log_warning(const char *format, ...)
{
	LOG_ARGS(LOG_LEVEL_WARNING, LOG_WAIT_S, NULL);
}

void log_info(const char *format, ...)
{
	LOG_ARGS(LOG_LEVEL_INFO, LOG_WAIT_S, NULL);
}

void log_debug(const char *format, ...)
{
	LOG_ARGS(LOG_LEVEL_DEBUG, LOG_WAIT_S, NULL);
}

void log_say(const char *format, ...)
{
	LOG_ARGS(LOG_LEVEL_ERROR, LOG_WAIT_S, NULL);
}

int fail(int error, const char *format, ...)
{
	LOG_ARGS(LOG_LEVEL_ERROR, LOG_WAIT_S, NULL);
	return -error;
}

int fail_host(int error, const char *format, ...)
{
	LOG_ARGS(LOG_LEVEL_ERROR, LOG_WAIT_S, NULL);
	return -(error | FAIL_HOST);
}

int fail_errno(const char *format, ...)
{
	int error = errno;

	LOG_ARGS(LOG_LEVEL_ERROR, LOG_WAIT_S, strerror(error));
	return -error;
}

int fail_host_errno(const char *format, ...)
{
	int error = errno;

	LOG_ARGS(LOG_LEVEL_ERROR, LOG_WAIT_S, strerror(error));
	return -(error | FAIL_HOST);
}

__attribute__((format(printf, 1, 2)))
static void log_at_once(const char *format, ...)
{
	LOG_ARGS(LOG_LEVEL_WARNING, 0, NULL);
}

/* The counters may be a little off when threads race: it is a bound, not a ledger. */
void log_limited(struct log_limit *limit, const char *format, ...)
{
	struct timespec now;
	uint64_t second;

	clock_gettime(CLOCK_MONOTONIC, &now);
	second = (uint64_t)now.tv_sec + 1; /* never 0, which is "no line yet" */
	if (limit->second != second) {
		uint32_t suppressed = limit->suppressed;

		limit->second = second;
		limit->lines = 0;
		limit->suppressed = 0;
		if (suppressed)
			log_at_once("suppressed %u messages like the next", suppressed);
	}
	if (limit->lines >= LOG_LIMIT_PER_SECOND) {
		limit->suppressed++;
		return;
	}
	limit->lines++;
	LOG_ARGS(LOG_LEVEL_WARNING, 0, NULL);
}
