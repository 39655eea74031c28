/* SPDX-License-Identifier: MIT */
/*
 * A part of a guest run with the rights of a user program. On hosts whose KVM emulates the
 * instructions of ring 0, this is where a loop runs at the processor's own speed.
 */
#ifndef GUEST_BENCH_USER_H
#define GUEST_BENCH_USER_H

#include <stdint.h>

/* Calls `function` at ring 3, interrupts on, all that is mapped by now within its reach. */
void user_run(void (*function)(void));
/* Within it: halts till the next interrupt, which may have come just before. */
void user_halt(void);
/* The counter that programs of the host read too, and how long a difference of it is. */
uint64_t user_clock(void);
uint64_t user_clock_ns(uint64_t difference);

#endif
