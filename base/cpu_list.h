/* SPDX-License-Identifier: MIT */
/*
 * Processors of the host by number, in the order in which threads get them:
 * what stands behind --cpu-affinity and --io-affinity. No state, any thread.
 */
#ifndef BASE_CPU_LIST_H
#define BASE_CPU_LIST_H

#include <sched.h>
#include <stdbool.h>

#define CPU_LIST_MAX CPU_SETSIZE

struct cpu_list {
	unsigned count; /* 0: none was given, threads run where the host puts them */
	unsigned cpus[CPU_LIST_MAX];
};

/*
 * "0,4-7": numbers and ranges below CPU_SETSIZE, one may stand twice. 0, or
 * -EINVAL and an empty list; silent. Whether the host has them shows when a
 * thread is to run there.
 */
int cpu_list_parse(struct cpu_list *list, const char *text);

/* The index-th, from the start again after the last; NULL: none was given. */
const unsigned *cpu_list_at(const struct cpu_list *list, unsigned index);

bool cpu_list_has(const struct cpu_list *list, unsigned cpu);

#endif
