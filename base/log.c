// SPDX-License-Identifier: MIT
/*
 * Messages on stderr. Any thread: each message is put together on the caller's
 * stack and leaves in one write(2), so lines of two threads never mix.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_BYTES 1024

static enum log_level threshold = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	threshold = level;
}

bool log_enabled(enum log_level level)
{
	return level <= threshold;
}

/*
 * A newline inside a message (from a file name, say) becomes a space, so that a
 * message stays one line. Carriage return first: the terminal may be raw.
 */
__attribute__((format(printf, 3, 0)))
static void log_line(enum log_level level, const char *suffix, const char *format, va_list args)
{
	char line[LOG_LINE_BYTES];
	size_t length;
	int saved = errno;

	if (!log_enabled(level))
		return;
	length = (size_t)snprintf(line, sizeof(line), "ringvm: ");
	vsnprintf(line + length, sizeof(line) - length - 3, format, args);
	length = strlen(line);
	if (suffix)
		snprintf(line + length, sizeof(line) - length - 3, ": %s", suffix);
	length = strlen(line);
	for (size_t i = 0; i < length; i++)
		if (line[i] == '\n' || line[i] == '\r')
			line[i] = ' ';
	if (isatty(STDERR_FILENO))
		line[length++] = '\r';
	line[length++] = '\n';
	/* There is nobody to tell when stderr itself fails. */
	if (write(STDERR_FILENO, line, length) < 0)
		errno = saved;
	errno = saved;
}

#define LOG_ARGS(level, suffix)                                                                    \
	do {                                                                                       \
		va_list args;                                                                      \
		va_start(args, format);                                                            \
		log_line(level, suffix, format, args);                                             \
		va_end(args);                                                                      \
	} while (0)

void log_warning(const char *format, ...)
{
	LOG_ARGS(LOG_LEVEL_WARNING, NULL);
}

void log_info(const char *format, ...)
{
	LOG_ARGS(LOG_LEVEL_INFO, NULL);
}

void log_debug(const char *format, ...)
{
	LOG_ARGS(LOG_LEVEL_DEBUG, NULL);
}

int fail(int error, const char *format, ...)
{
	LOG_ARGS(LOG_LEVEL_ERROR, NULL);
	return -error;
}

int fail_host(int error, const char *format, ...)
{
	LOG_ARGS(LOG_LEVEL_ERROR, NULL);
	return -(error | FAIL_HOST);
}

int fail_errno(const char *format, ...)
{
	int error = errno;

	LOG_ARGS(LOG_LEVEL_ERROR, strerror(error));
	return -error;
}

int fail_host_errno(const char *format, ...)
{
	int error = errno;

	LOG_ARGS(LOG_LEVEL_ERROR, strerror(error));
	return -(error | FAIL_HOST);
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
			log_warning("suppressed %u messages like the next", suppressed);
	}
	if (limit->lines >= LOG_LIMIT_PER_SECOND) {
		limit->suppressed++;
		return;
	}
	limit->lines++;
	LOG_ARGS(LOG_LEVEL_WARNING, NULL);
}
