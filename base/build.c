// SPDX-License-Identifier: MIT
/* What configure knows. */
#include "base/build.h"

#include "config.h"

#if BUILD_WATCHES_RACES
/* ThreadSanitizer's library has it, and no header. */
void AnnotateBenignRaceSized(const char *file, int line, const volatile void *start, size_t bytes,
			     const char *what);
#endif

bool build_is_instrumented(void)
{
	return BUILD_INSTRUMENTED;
}

void build_expect_races(const volatile void *start, size_t bytes)
{
#if BUILD_WATCHES_RACES
	AnnotateBenignRaceSized(__FILE__, __LINE__, start, bytes, "expected");
#else
	(void)start;
	(void)bytes;
#endif
}
