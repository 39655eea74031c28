// SPDX-License-Identifier: MIT
/*
 * Linked into a ringvm of its own, ringvm_failing: the FAIL_ALLOCATION-th allocation of the program
 * fails, counting from 1, and one byte on file descriptor 9 says that it did. Any thread.
 * With CLOCK_JUMPS the wall clock is a year off each time that it is read, forth and back.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NEWS_FD 9

#define YEAR_S 31556952

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
char *__real_strdup(const char *text);
int __real_clock_gettime(clockid_t clock, struct timespec *now);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
int __wrap_asprintf(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));

int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

static bool fails(void)
{
	static atomic_ulong count;
	const char *which = getenv("FAIL_ALLOCATION");

	if (!which || ++count != strtoul(which, NULL, 10))
		return false;
	if (write(NEWS_FD, "!", 1) < 0)
		abort();
	errno = ENOMEM;
	return true;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	static atomic_ulong count;
	int error = __real_clock_gettime(clock, now);

	if (clock == CLOCK_REALTIME && getenv("CLOCK_JUMPS"))
		now->tv_sec += ++count % 2 ? YEAR_S : -YEAR_S;
	return error;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t size)
{
	return fails() ? ENOMEM : __real_posix_memalign(memory, alignment, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

int __wrap_asprintf(char **text, const char *format, ...)
{
	va_list arguments;
	int length;

	if (fails())
		return -1;
	va_start(arguments, format);
	length = vasprintf(text, format, arguments);
	va_end(arguments);
	return length;
}
