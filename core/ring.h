/* SPDX-License-Identifier: MIT */
/*
 * An io_uring restricted to what a data path needs: a few operations, on fixed
 * files only. It is made disabled on one thread; the thread that enables it
 * becomes its only submitter.
 */
#ifndef CORE_RING_H
#define CORE_RING_H

#include <liburing.h>

/* Completions have room for as many in-flight operations as a worker's queues allow. */
#define RING_COMPLETIONS_PER_ENTRY 4

/*
 * `files` is the number of fixed file slots, all empty. `name` is for messages.
 * 0 or a host failure, logged with what to do. End it by io_uring_queue_exit().
 */
int ring_create(struct io_uring *ring, const char *name, unsigned entries, unsigned files);

/* On the submitting thread. 0 or -errno. */
int ring_enable(struct io_uring *ring);

/*
 * On the submitting thread, once: the threads that the kernel adds for what
 * would block run there too. Where it refuses they run anywhere, said at debug.
 */
void ring_set_processor(struct io_uring *ring, unsigned processor);

#endif
