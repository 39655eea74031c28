/* SPDX-License-Identifier: MIT */
/*
 * A part of a guest run with the rights of a user program. On hosts whose KVM emulates the
 * instructions of ring 0, this is where a loop runs at the processor's own speed.
 */
#ifndef GUEST_BENCH_USER_H
#define GUEST_BENCH_USER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Calls `function` at ring 3, all that is mapped by now within its reach. Interrupts are on; or off
 * but while it halts, so that one that comes just before ends that at once.
 */
void user_run(void (*function)(void), bool interrupts);
/* Within it: halts till the next interrupt. */
void user_halt(void);
/* The counter that programs of the host read too, and how long a difference of it is. */
uint64_t user_clock(void);
uint64_t user_clock_ns(uint64_t difference);

#endif
