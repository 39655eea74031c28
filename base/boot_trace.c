// SPDX-License-Identifier: MIT
/* Takes the times of a boot and shows them; knows nothing of who marks what. */
#include "base/boot_trace.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)

/* "Run /init as init process", and what else Linux tries: unless it is told to be quiet. */
static const char init_text[] = "as init process";

static const char *const names[BOOT_MARKS] = {
	[BOOT_EXEC] = "execve",
	[BOOT_MAIN] = "main",
	[BOOT_OPTIONS] = "options read",
	[BOOT_VM] = "VM made",
	[BOOT_RAM] = "memory mapped",
	[BOOT_VCPUS] = "processors made",
	[BOOT_DEVICES] = "devices made, files opened",
	[BOOT_KERNEL] = "kernel in memory",
	[BOOT_CONFINED] = "threads started, sandbox closed",
	[BOOT_GUEST] = "first instruction of the guest",
	[BOOT_SERIAL] = "first byte on the serial port",
	[BOOT_DRIVER] = "first virtio driver ready",
	[BOOT_CONSOLE] = "first byte on a virtio console",
	[BOOT_DISK] = "first request to a disk",
	[BOOT_INIT] = "init started",
	[BOOT_END] = "end of the run",
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

uint64_t boot_trace_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

void boot_trace_begin(struct boot_trace *trace)
{
	*trace = (struct boot_trace){ 0 };
	trace->at_ns[BOOT_MAIN] = boot_trace_now_ns();
	trace->at_ns[BOOT_EXEC] = trace->at_ns[BOOT_MAIN] - clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void boot_trace_set(struct boot_trace *trace, enum boot_mark mark)
{
	uint64_t unset = 0;

	if (!atomic_load_explicit(&trace->at_ns[mark], memory_order_relaxed))
		atomic_compare_exchange_strong(&trace->at_ns[mark], &unset, boot_trace_now_ns());
}

/* Its first byte comes once in it, so that what breaks a match can only begin another. */
static size_t text_step(size_t matched, char byte)
{
	if (byte == init_text[matched])
		return matched + 1;
	return byte == init_text[0];
}

void boot_trace_read(struct boot_trace *trace, enum boot_mark mark, struct boot_text *text,
		     const void *bytes, size_t count)
{
	const char *at = bytes;

	if (!count)
		return;
	boot_trace_set(trace, mark);
	if (atomic_load_explicit(&trace->at_ns[BOOT_INIT], memory_order_relaxed))
		return;
	for (size_t i = 0; i < count; i++) {
		text->matched = text_step(text->matched, at[i]);
		if (text->matched == strlen(init_text)) {
			boot_trace_set(trace, BOOT_INIT);
			return;
		}
	}
}

/* The earliest mark after `last`, or BOOT_MARKS. Marks of one time come in their own order. */
static enum boot_mark next_mark(const struct boot_trace *trace, enum boot_mark last)
{
	uint64_t last_ns = last == BOOT_MARKS ? 0 : trace->at_ns[last];
	enum boot_mark next = BOOT_MARKS;

	for (enum boot_mark mark = 0; mark < BOOT_MARKS; mark++) {
		uint64_t at_ns = trace->at_ns[mark];

		if (!at_ns || at_ns < last_ns || (at_ns == last_ns && mark <= last))
			continue;
		if (next == BOOT_MARKS || at_ns < trace->at_ns[next])
			next = mark;
	}
	return next;
}

void boot_trace_print(const struct boot_trace *trace, void (*say)(const char *format, ...))
{
	uint64_t start_ns, before_ns;

	if (!trace)
		return;
	start_ns = before_ns = trace->at_ns[BOOT_EXEC];
	say("ms from execve, and from the line before:");
	for (enum boot_mark mark = next_mark(trace, BOOT_MARKS); mark != BOOT_MARKS;
	     mark = next_mark(trace, mark)) {
		uint64_t at_ns = trace->at_ns[mark];

		say("%11.3f %11.3f  %s", (double)(at_ns - start_ns) / 1e6,
		    (double)(at_ns - before_ns) / 1e6, names[mark]);
		before_ns = at_ns;
	}
}
