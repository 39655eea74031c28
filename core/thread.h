/* SPDX-License-Identifier: MIT */
/*
 * How every thread of ours is started: with a small stack, and deaf to signals
 * that are sent, which are the control thread's to read. Faults stay unblocked,
 * so that whichever thread meets one, its handler puts the terminal back.
 */
#ifndef CORE_THREAD_H
#define CORE_THREAD_H

#include <pthread.h>

/*
 * `heard_signal` is one more that the thread takes, or 0. Any thread. 0 or a
 * positive errno, as pthread_create(); silent.
 */
int thread_start(pthread_t *thread, void *(*run)(void *argument), void *argument,
		 int heard_signal);

#endif
