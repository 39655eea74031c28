/* SPDX-License-Identifier: MIT */
/* What a filter says to a call: its program, run as the kernel would run it. */
#ifndef TESTS_UNIT_FILTER_VERDICT_H
#define TESTS_UNIT_FILTER_VERDICT_H

#include <linux/seccomp.h>
#include <stdint.h>

#include "core/syscall_filter.h"

/* More than any kernel's numbers of calls. */
#define FILTER_CALLS 1024

/* SECCOMP_RET_*; an instruction that none of our filters has fails the test. */
uint32_t filter_verdict(const struct syscall_filter *filter, const struct seccomp_data *data);

#endif
