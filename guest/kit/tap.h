/* SPDX-License-Identifier: MIT */
/*
 * Test Anything Protocol on the serial port. A guest makes its checks, then returns from
 * guest_main(): the plan is printed then, and the machine powered off.
 */
#ifndef GUEST_KIT_TAP_H
#define GUEST_KIT_TAP_H

#include <stdbool.h>

/* One test; the name is a format, and no test's name occurs twice. Returns `good`. */
__attribute__((format(printf, 2, 3))) bool ok(bool good, const char *name, ...);
/* A test that does not apply here, and why. */
__attribute__((format(printf, 2, 3))) void skip(const char *reason, const char *name, ...);
/* A line of explanation, mostly before a test that will fail. */
__attribute__((format(printf, 1, 2))) void note(const char *text, ...);
/* Nothing can be tested: the run fails, and the machine is powered off. */
__attribute__((noreturn, format(printf, 1, 2))) void bail_out(const char *reason, ...);

/* Prints the plan. By guest start-up code only. */
void tap_end(void);

#endif
