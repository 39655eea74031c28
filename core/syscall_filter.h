/* SPDX-License-Identifier: MIT */
/*
 * Which system calls a thread may make: a list of rules, made into a seccomp
 * filter. What is not on the list traps: the process says which call of which
 * thread it was, puts the terminal back, and dies by SIGSYS. A built filter may
 * be installed by any number of threads, each for itself and for good.
 */
#ifndef CORE_SYSCALL_FILTER_H
#define CORE_SYSCALL_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

/* A call may have several rules: one that holds is enough. */
struct syscall_rule {
	unsigned number;   /* SYS_* */
	bool conditional;  /* allowed only if (arguments[argument] & mask) == value */
	uint8_t argument;
	uint32_t mask, value; /* of its lower half: all that the kernel takes of these arguments */
};

#define SYSCALL_ALWAYS(name) { .number = SYS_##name }
#define SYSCALL_IF_EQUAL(name, index, wanted) SYSCALL_IF_EQUAL_BUT(name, index, 0, wanted)
/* The ignored bits may be set or clear. */
#define SYSCALL_IF_EQUAL_BUT(name, index, ignored, wanted) \
	{ .number = SYS_##name, .conditional = true, .argument = (index), \
	  .mask = ~(uint32_t)(ignored), .value = (uint32_t)(wanted) }
#define SYSCALL_IF_CLEAR(name, index, bits) \
	{ .number = SYS_##name, .conditional = true, .argument = (index), .mask = (bits) }

struct syscall_filter {
	struct sock_filter *code;
	unsigned short length;
	bool log_only;
};

struct syscall_list {
	const struct syscall_rule *rules;
	size_t count;
};

/*
 * Of all the lists; their order means nothing, that of rules for one call little.
 * log_only: what is not on them is done all the same, and goes to the kernel's
 * audit log. 0 or a failure, logged. Control thread.
 */
int syscall_filter_build(struct syscall_filter *filter, const struct syscall_list *lists,
			 size_t list_count, bool log_only);
void syscall_filter_destroy(struct syscall_filter *filter);

/* Whether this host can filter at all. */
bool syscall_filter_is_supported(void);

/*
 * What says which call it was and puts the terminal back, for SIGSYS of any origin;
 * control thread, before any thread is held to a list. 0 or a failure, logged.
 */
int syscall_filter_handle_traps(void);

/*
 * From here on the calling thread is held to the list; PR_SET_NO_NEW_PRIVS is
 * set. 0 or -errno, silent.
 */
int syscall_filter_install(const struct syscall_filter *filter);

#endif
