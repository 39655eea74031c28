// SPDX-License-Identifier: MIT
/* Starts threads; keeps nothing of them. */
#include "core/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>

#include "base/bytes.h"
#include "core/syscall_filter.h"

#define THREAD_STACK_BYTES (256 * KIB)

static void *thread_main(void *argument)
{
	struct thread *thread = argument;
	const struct thread_config config = thread->config;
	int error;

	pthread_setname_np(pthread_self(), thread->name);
	error = config.filter ? -syscall_filter_install(config.filter) : 0;
	if (!error && config.prepare)
		error = config.prepare(config.argument);
	thread->error = error;
	sem_post(&thread->started); /* the last touch, as it may be gone then */
	return error ? NULL : config.run(config.argument);
}

/* The new thread inherits the mask: it is never without it. */
static int create_deaf(struct thread *thread, const pthread_attr_t *attributes)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT };
	sigset_t deaf, old;
	int error;

	sigfillset(&deaf);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		sigdelset(&deaf, faults[i]);
	if (thread->config.heard_signal)
		sigdelset(&deaf, thread->config.heard_signal);
	pthread_sigmask(SIG_SETMASK, &deaf, &old);
	error = pthread_create(&thread->id, attributes, thread_main, thread);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return error;
}

/* In the attributes, so that the thread never runs elsewhere and needs no call of its own. */
static int processor_set(pthread_attr_t *attributes, const unsigned *processor)
{
	cpu_set_t set;

	if (!processor)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(*processor, &set);
	return pthread_attr_setaffinity_np(attributes, sizeof(set), &set);
}

int thread_begin(struct thread *thread, const struct thread_config *config)
{
	pthread_attr_t attributes;
	int error = pthread_attr_init(&attributes);

	if (error)
		return error;
	thread->config = *config;
	snprintf(thread->name, sizeof(thread->name), "%s", config->name);
	thread->config.name = thread->name;
	sem_init(&thread->started, 0, 0);
	pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
	error = processor_set(&attributes, config->processor);
	if (!error)
		error = create_deaf(thread, &attributes);
	pthread_attr_destroy(&attributes);
	if (error)
		sem_destroy(&thread->started);
	return error;
}

int thread_await(struct thread *thread)
{
	while (sem_wait(&thread->started) < 0 && errno == EINTR)
		;
	sem_destroy(&thread->started);
	if (thread->error)
		pthread_join(thread->id, NULL);
	return thread->error;
}
