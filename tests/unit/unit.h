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

#include <cmocka.h>

#endif
