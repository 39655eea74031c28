/* SPDX-License-Identifier: MIT */
/* How this binary was built, for the few who must know. */
#ifndef BASE_BUILD_H
#define BASE_BUILD_H

#include <stdbool.h>

/* Sanitizers and coverage open files, start processes and map memory of their own. */
bool build_is_instrumented(void);

#endif
