/* SPDX-License-Identifier: MIT */
/* How this binary was built, for the few who must know. */
#ifndef BASE_BUILD_H
#define BASE_BUILD_H

#include <stdbool.h>
#include <stddef.h>

/* Sanitizers and coverage open files, start processes and map memory of their own. */
bool build_is_instrumented(void);

/*
 * Tells ThreadSanitizer, where it is built in, that threads may meet in
 * [start, start + bytes) without a lock, and that this is no error.
 */
void build_expect_races(const volatile void *start, size_t bytes);

#endif
