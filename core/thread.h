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
#include <semaphore.h>

struct syscall_filter;

struct thread_config {
	const char *name; /* at most 15 bytes count */
	int (*prepare)(void *argument); /* before it counts as started; 0 or less; or NULL */
	void *(*run)(void *argument);   /* then, if that was 0 */
	void *argument;
	int heard_signal; /* one more that the thread takes, or 0 */
	const struct syscall_filter *filter; /* for both, or NULL; outlives the thread */
	const unsigned *processor; /* of the host, the only one it runs on; NULL: any */
};

/* Embedded; nobody else's from thread_begin() until thread_await() has returned. */
struct thread {
	pthread_t id; /* once it has started */
	struct thread_config config;
	char name[16];
	int error;
	sem_t started;
};

/*
 * In two steps, so that many threads can start beside each other. Any thread.
 * begin: 0, or a positive errno as pthread_create(), silent; EINVAL: there is
 * no such processor, or the process may not run on it. await, after a begin
 * that was 0: the same or what prepare() returned; if not 0 the thread is gone.
 */
int thread_begin(struct thread *thread, const struct thread_config *config);
int thread_await(struct thread *thread);

#endif
