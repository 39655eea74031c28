/* SPDX-License-Identifier: MIT */
/*
 * When a machine reached what, on its way from execve to init (--trace-boot):
 * a time for each mark, that of its first occurrence. Marks are set on any
 * thread; off, which is a NULL trace, each costs one test of a pointer.
 */
#ifndef BASE_BOOT_TRACE_H
#define BASE_BOOT_TRACE_H

#include <stddef.h>
#include <stdint.h>

enum boot_mark {
	BOOT_EXEC,
	BOOT_MAIN,
	BOOT_OPTIONS,
	BOOT_VM,
	BOOT_RAM,
	BOOT_VCPUS,
	BOOT_DEVICES,
	BOOT_KERNEL,
	BOOT_CONFINED,
	BOOT_GUEST,
	BOOT_SERIAL,
	BOOT_DRIVER,
	BOOT_CONSOLE,
	BOOT_DISK,
	BOOT_INIT,
	BOOT_END,
	BOOT_MARKS
};

struct boot_trace {
	_Atomic uint64_t at_ns[BOOT_MARKS]; /* CLOCK_MONOTONIC; 0: not reached */
};

/* How much of what a kernel says when it starts init has been seen; one an output. */
struct boot_text {
	size_t matched;
};

/* CLOCK_MONOTONIC, in nanoseconds. */
uint64_t boot_trace_now_ns(void);

/*
 * First thing in the command, and cheap. execve was as long ago as the process has
 * used a processor: what it waited for until now, such as a read of the program
 * from disk, is not seen, and what it did before execve, in place of a shell, is.
 */
void boot_trace_begin(struct boot_trace *trace);

/* Any thread; the first of each mark counts. */
void boot_trace_set(struct boot_trace *trace, enum boot_mark mark);

/* What the guest wrote to a console: `mark`, and BOOT_INIT once it tells of init. */
void boot_trace_read(struct boot_trace *trace, enum boot_mark mark, struct boot_text *text,
		     const void *bytes, size_t count);

/* The marks that were reached, in order of time, a line each. Of NULL there are none. */
void boot_trace_print(const struct boot_trace *trace, void (*say)(const char *format, ...));

static inline void boot_trace_mark(struct boot_trace *trace, enum boot_mark mark)
{
	if (__builtin_expect(trace != NULL, 0))
		boot_trace_set(trace, mark);
}

static inline void boot_trace_output(struct boot_trace *trace, enum boot_mark mark,
				     struct boot_text *text, const void *bytes, size_t count)
{
	if (__builtin_expect(trace != NULL, 0))
		boot_trace_read(trace, mark, text, bytes, count);
}

#endif
