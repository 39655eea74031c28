/* SPDX-License-Identifier: MIT */
/*
 * The kernel's side of an io_uring, played in the process: liburing's functions
 * as far as core/ uses them, so that the worker's own loop runs, on the calling
 * thread, without a system call of the ring and the same way every time. One
 * worker a program.
 *
 * A poll of an eventfd completes when event_fd_signal() is called (the linker
 * wraps it). What moves bytes is done when it is submitted; or, while held, when
 * the target says so: in any order, short, or not at all.
 *
 * Link with: -Wl,--wrap=event_fd_signal,--wrap=event_fd_create,--wrap=fd_close
 */
#ifndef TESTS_FUZZ_PLAYED_RING_H
#define TESTS_FUZZ_PLAYED_RING_H

#include "core/worker.h"

/* A worker on it; once a program. */
void played_ring_worker(struct worker *worker);

/* Runs the worker's loop until it has nothing to do but wait. */
void played_ring_run(struct worker *worker);

/* From now on requests wait for played_ring_finish(). */
void played_ring_hold(bool hold);
/* Whether a request that is held can be cancelled; else it ends as if it could not. */
void played_ring_let_cancel(bool cancel);

unsigned played_ring_held(void);

/* Ends one of those that are held: for good, or with at most `limit` bytes moved, or -errno. */
void played_ring_finish(unsigned which, uint64_t limit);
void played_ring_refuse(unsigned which, int error);

/* Time passes until the next timer is due: at once, when the worker runs idle. */
void played_ring_let_time_pass(bool pass);

/* Forgets what is in flight: the worker has been destroyed. */
void played_ring_clear(void);

#endif
