// SPDX-License-Identifier: MIT
/* What configure knows. */
#include "base/build.h"

#include "config.h"

bool build_is_instrumented(void)
{
	return BUILD_INSTRUMENTED;
}
