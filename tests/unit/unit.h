/* SPDX-License-Identifier: MIT */
/*
 * What every unit test includes first. cmocka.h has a macro fail(): the function
 * of that name must be declared before it, and no test calls it.
 */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/*
 * How often a test does what it repeats: `usual`, or a part of it where a
 * processor is emulated, which TEST_SHARE=N in the environment says (one Nth).
 */
static inline unsigned unit_rounds(unsigned usual)
{
	const char *text = getenv("TEST_SHARE");
	int share = text ? atoi(text) : 1;

	return share > 1 ? (usual + (unsigned)share - 1) / (unsigned)share : usual;
}

/*
 * What a pipe holds once it is told so (F_SETPIPE_SZ): of itself that is 16 pages
 * of the host. Two pages of the largest: one that has a single page is never said
 * to have room until it is empty.
 */
#define UNIT_PIPE_BYTES 131072

#endif
