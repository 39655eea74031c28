/* SPDX-License-Identifier: MIT */
/*
 * How every thread of ours is started: with a small stack, held to the system
 * calls of its kind and the processor it is to have, and deaf to signals that
 * are sent, which are the control thread's to read. Faults stay unblocked, so
 * that whichever thread meets one, its handler puts the terminal back.
 */
#ifndef CORE_THREAD_H
#define CORE_THREAD_H

#include <pthread.h>

struct syscall_filter;

struct thread_config {
	const char *name; /* at most 15 bytes count */
	void *(*run)(void *argument);
	void *argument;
	int heard_signal; /* one more that the thread takes, or 0 */
	const struct syscall_filter *filter; /* for run(), or NULL; outlives the thread */
	const unsigned *processor; /* of the host, the only one it runs on; NULL: any */
};

/*
 * Any thread. 0 or a positive errno, as pthread_create(), silent; EINVAL: there
 * is no such processor, or the process may not run on it.
 */
int thread_start(pthread_t *thread, const struct thread_config *config);

#endif
