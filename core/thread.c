// SPDX-License-Identifier: MIT
/* Starts threads; keeps nothing of them. */
#include "core/thread.h"

#include <signal.h>
#include <stddef.h>

#include "base/bytes.h"

#define THREAD_STACK_BYTES (256 * KIB)

int thread_start(pthread_t *thread, void *(*run)(void *argument), void *argument,
		 int heard_signal)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT };
	pthread_attr_t attributes;
	sigset_t deaf, old;
	int error;

	sigfillset(&deaf);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		sigdelset(&deaf, faults[i]);
	if (heard_signal)
		sigdelset(&deaf, heard_signal);
	error = pthread_attr_init(&attributes);
	if (error)
		return error;
	pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
	/* The new thread inherits the mask: it is never without it. */
	pthread_sigmask(SIG_SETMASK, &deaf, &old);
	error = pthread_create(thread, &attributes, run, argument);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attributes);
	return error;
}
