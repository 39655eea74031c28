/* SPDX-License-Identifier: MIT */
/*
 * A worker is a thread that owns one io_uring; every thread that is not a vCPU
 * is one. One pass of its loop: reap completions, run publish jobs (used rings
 * and interrupts), run ready jobs (new requests), publish once more, then one
 * io_uring_enter that submits all and waits; or looks for more for a while, if
 * that pays (core/worker_poll.h). "Worker thread" below means the thread of that
 * worker, or the creating thread before worker_start()/worker_run().
 */
#ifndef CORE_WORKER_H
#define CORE_WORKER_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/thread.h"
#include "core/worker_poll.h"

/* Embedded in whatever waits for a completion; lives until the last done(). */
struct ring_op {
	/* result and cqe_flags as io_uring gives them. Worker thread. */
	void (*done)(struct ring_op *op, int result, uint32_t cqe_flags);
};

/* Something to run on the worker in this pass. Embedded; queued at most once. */
struct worker_job {
	void (*run)(struct worker_job *job);
	struct worker_job *next;
	bool queued;
};

/* Something another thread wants run on the worker. Lives until run() is called. */
struct worker_task {
	void (*run)(struct worker_task *task);
	struct worker_task *next;
};

/* A file descriptor whose readiness calls ready(). Embedded. */
struct fd_watch {
	void (*ready)(struct fd_watch *watch);
	struct wait_op *wait; /* the ring's side; NULL when not watched */
};

/* A one-shot timer. Embedded. */
struct worker_timer {
	void (*expired)(struct worker_timer *timer);
	struct wait_op *wait, *reserve; /* the ring's side, NULL when stopped; of the next start */
};

struct worker_config {
	const char *name; /* of the thread; at most 15 bytes count */
	unsigned entries; /* of the submission queue; the completion queue has 4 times as many */
	unsigned files;   /* fixed file slots, or as many as the process may open */
	const struct syscall_filter *filter; /* of its thread, or NULL; outlives the worker */
	const unsigned *processor; /* of the host, to run on; NULL: any; outlives the worker */
	uint64_t poll_ns; /* how long to look for work before sleeping, while that pays; or 0 */
};

struct job_list {
	struct worker_job *first, **last;
	unsigned count;
};

struct worker {
	struct io_uring ring;
	char name[16];
	struct thread thread;
	const struct syscall_filter *filter;
	const unsigned *processor;
	_Atomic pid_t thread_id; /* 0: not running */
	bool threaded, running; /* has a thread of its own; control thread */
	pid_t owner;            /* the only thread that the ring serves, once one has run it */
	bool quit;              /* worker thread */
	struct job_list ready, publish; /* worker thread */
	struct wait_op *waits;          /* worker thread: what the ring waits for */
	struct worker_spin spin;        /* worker thread */
	int *files;             /* fd by slot, -1 free; worker thread */
	unsigned file_count;
	pthread_mutex_t mail_lock; /* leaf */
	struct worker_task *mail, **mail_last; /* mail_lock */
	int mail_fd;
	struct fd_watch mail_watch;
};

/* Makes the ring, restricted to what a data path needs. 0 or a host failure, logged. */
int worker_create(struct worker *worker, const struct worker_config *config);

/* Starts the thread (core/thread.h); in two steps to start many. 0 or a host failure, logged. */
int worker_start(struct worker *worker);
int worker_begin(struct worker *worker);
int worker_await(struct worker *worker);

/* From now on only the caller may run it. 0 or a host failure, logged. */
int worker_claim(struct worker *worker);
/* Runs the loop on the calling thread, which claims it, until worker_quit(); later again. */
void worker_run(struct worker *worker);
/* Has the calling thread run it, and may it do so again? */
bool worker_can_run_again(const struct worker *worker);
/* Worker thread: leave the loop after this pass. */
void worker_quit(struct worker *worker);
/* Any other thread: end the thread and wait for it. Everything must be drained. */
void worker_stop(struct worker *worker);
void worker_destroy(struct worker *worker);

/* Any thread. post: in order, never waits. call: returns when task->run() has. */
void worker_post(struct worker *worker, struct worker_task *task);
void worker_call(struct worker *worker, struct worker_task *task);
/* Whether the caller is the worker's thread. */
bool worker_is_current(const struct worker *worker);

/* ---- Worker thread only ---- */

/* Ready jobs run after completions; one queued from its own run() runs in the next pass. */
void worker_ready(struct worker *worker, struct worker_job *job);
/* Publish jobs run before new work is begun and before the ring is entered. */
void worker_publish(struct worker *worker, struct worker_job *job);
/* Takes a job off whichever list it is on. */
void worker_forget(struct worker *worker, struct worker_job *job);

/* Fixed file slots. A slot or -ENFILE, -EBADF...; silent. The fd stays the caller's. Up to Linux
 * 6.12 a removed file stays in the kernel (worker.c): none at a guest's pace, shutdown() what has
 * a peer. keep: only where *slot, -1 at first, has none yet; 0 or -errno. */
int worker_add_file(struct worker *worker, int fd);
int worker_keep_file(struct worker *worker, int *slot, int fd);
void worker_remove_file(struct worker *worker, int slot);
/* An empty SQE; never NULL (submits when the queue is full). Prepare it with io_uring_prep_*()
 * on a slot number instead of an fd, then arm it: `op` gets the completion; NULL, for a signal
 * that nobody waits for, gets only errors, which are logged. */
struct io_uring_sqe *worker_sqe(struct worker *worker);
void worker_arm(struct io_uring_sqe *sqe, struct ring_op *op);
/* Asks the kernel to cancel what `op` waits for; done() still comes, once. */
void worker_cancel(struct worker *worker, struct ring_op *op);
/* Writes 1 to the eventfd in `slot`, as part of this pass's submission. */
void worker_signal(struct worker *worker, int slot);

/* ready() is called after each wake-up of `slot` with input (an eventfd need not be read).
 * After unwatch it is not called again, whatever is in flight. 0 or -errno, silent. */
int worker_watch(struct worker *worker, struct fd_watch *watch, int slot);
void worker_unwatch(struct worker *worker, struct fd_watch *watch);

/* Starting a running timer starts it anew. 0; or -ENOMEM, but of the first after a reserve(). */
int worker_timer_start(struct worker *worker, struct worker_timer *timer, uint64_t delay_ns);
int worker_timer_reserve(struct worker_timer *timer); /* any thread, before; 0 or -ENOMEM */
void worker_timer_release(struct worker_timer *timer); /* any thread: gives up a reserve */
void worker_timer_stop(struct worker *worker, struct worker_timer *timer);
/* After the ring has gone: frees what it waited for. For worker_destroy(). */
void worker_forget_waits(struct worker *worker);

#endif
