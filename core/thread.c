// SPDX-License-Identifier: MIT
/* Starts threads; keeps nothing of them. */
#include "core/thread.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>

#include "base/bytes.h"
#include "core/syscall_filter.h"

#define THREAD_STACK_BYTES (256 * KIB)

/* The starter's; the thread lets go of it before it runs what it is for. */
struct start {
	struct thread_config config;
	int error; /* of the filter */
	sem_t filtered;
};

static void *thread_main(void *argument)
{
	struct start *start = argument;
	const struct thread_config config = start->config;
	char name[16];
	int error;

	snprintf(name, sizeof(name), "%s", config.name);
	pthread_setname_np(pthread_self(), name);
	error = config.filter ? syscall_filter_install(config.filter) : 0;
	start->error = -error;
	sem_post(&start->filtered); /* the last touch: the starter's stack goes */
	return error ? NULL : config.run(config.argument);
}

/* The new thread inherits the mask: it is never without it. */
static int create_deaf(pthread_t *thread, const pthread_attr_t *attributes, struct start *start)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT };
	sigset_t deaf, old;
	int error;

	sigfillset(&deaf);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		sigdelset(&deaf, faults[i]);
	if (start->config.heard_signal)
		sigdelset(&deaf, start->config.heard_signal);
	pthread_sigmask(SIG_SETMASK, &deaf, &old);
	error = pthread_create(thread, attributes, thread_main, start);
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

int thread_start(pthread_t *thread, const struct thread_config *config)
{
	struct start start = { .config = *config };
	pthread_attr_t attributes;
	int error = pthread_attr_init(&attributes);

	if (error)
		return error;
	sem_init(&start.filtered, 0, 0);
	pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
	error = processor_set(&attributes, config->processor);
	if (!error)
		error = create_deaf(thread, &attributes, &start);
	pthread_attr_destroy(&attributes);
	if (!error) {
		while (sem_wait(&start.filtered) < 0 && errno == EINTR)
			;
		error = start.error;
		if (error)
			pthread_join(*thread, NULL);
	}
	sem_destroy(&start.filtered);
	return error;
}
