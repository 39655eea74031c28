/* SPDX-License-Identifier: MIT */
/*
 * One line a message on stderr, "ringvm: <object>: <what>", and the ways to
 * say why something failed. Any thread; a message is one write(2). While nobody
 * reads stderr a message waits for a second, a limited one not at all, and is
 * lost then; the next one says how many were.
 *
 * Two classes of failure reach the user's exit status: a wrong configuration or
 * file (exit code 2) and a host that lacks something (exit code 3). Both travel
 * as negative numbers; a host failure carries FAIL_HOST beside the errno. Log
 * once, where the object's name is known; callers only unwind:
 *
 *	return fail_errno("disk0: %s: open", path);
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* What a host failure carries beside its errno. */
#define FAIL_HOST 0x10000

#define LOG_PRINTF(text, first) __attribute__((format(printf, text, first), cold))

/* Before any other thread exists. Default: LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

void log_warning(const char *format, ...) LOG_PRINTF(1, 2);
void log_info(const char *format, ...) LOG_PRINTF(1, 2);
/* What the user has asked for: at every level. */
void log_say(const char *format, ...) LOG_PRINTF(1, 2);
void log_debug(const char *format, ...) LOG_PRINTF(1, 2);

/* Logs the message as it stands, at error level; returns -error. */
int fail(int error, const char *format, ...) LOG_PRINTF(2, 3);
int fail_host(int error, const char *format, ...) LOG_PRINTF(2, 3);

/* Logs the message and ": <strerror(errno)>"; returns -errno. */
int fail_errno(const char *format, ...) LOG_PRINTF(1, 2);
int fail_host_errno(const char *format, ...) LOG_PRINTF(1, 2);

/* The errno inside a failure, and whether the host was to blame. */
static inline int fail_error(int failure)
{
	return -failure & ~FAIL_HOST;
}

/* Memory and open files are the host's to give, whatever they were wanted for. */
static inline bool fail_is_host(int failure)
{
	int error = fail_error(failure);

	return failure < 0 && ((-failure & FAIL_HOST) || error == ENOMEM || error == EMFILE ||
			       error == ENFILE);
}

/*
 * For what a guest can cause as often as it likes: at most LOG_LIMIT_PER_SECOND
 * lines a second and object, then one line "suppressed N". One `log_limit` an
 * object, zeroed; any thread.
 */
#define LOG_LIMIT_PER_SECOND 10

struct log_limit {
	_Atomic uint64_t second;
	_Atomic uint32_t lines;
	_Atomic uint32_t suppressed;
};

void log_limited(struct log_limit *limit, const char *format, ...) LOG_PRINTF(2, 3);

#endif
