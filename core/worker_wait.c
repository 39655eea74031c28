// SPDX-License-Identifier: MIT
/*
 * What a worker waits for besides requests: descriptors becoming readable, and
 * time. The ring's side of a wait is an allocation of its own, so that a watch
 * or timer may be dropped or started anew while the kernel still has the old
 * one. Worker thread.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "core/worker.h"

struct wait_op {
	struct ring_op op;
	struct worker *worker;
	struct wait_op *next, **link; /* on worker->waits */
	struct fd_watch *watch;	      /* or NULL: dropped, only the completion is awaited */
	struct worker_timer *timer;   /* likewise */
	int slot;
	struct __kernel_timespec delay;
};

/* Puts what was allocated for it to use; NULL stays that. */
static struct wait_op *wait_begin(struct worker *worker, struct wait_op *wait,
				  void (*done)(struct ring_op *op, int result, uint32_t flags))
{
	if (!wait)
		return NULL;
	wait->op.done = done;
	wait->worker = worker;
	wait->next = worker->waits;
	wait->link = &worker->waits;
	if (wait->next)
		wait->next->link = &wait->next;
	worker->waits = wait;
	return wait;
}

static void wait_free(struct wait_op *wait)
{
	*wait->link = wait->next;
	if (wait->next)
		wait->next->link = wait->link;
	free(wait);
}

void worker_forget_waits(struct worker *worker)
{
	while (worker->waits)
		wait_free(worker->waits);
}

static void poll_arm(struct wait_op *wait)
{
	struct io_uring_sqe *sqe = worker_sqe(wait->worker);

	io_uring_prep_poll_multishot(sqe, wait->slot, POLLIN);
	worker_arm(sqe, &wait->op);
}

/*
 * A multishot poll: one completion a wake-up, until one comes without F_MORE. A
 * kernel that finds no room for a completion ends it, up to 6.1 as if cancelled.
 */
static void poll_done(struct ring_op *op, int result, uint32_t cqe_flags)
{
	struct wait_op *wait = container_of(op, struct wait_op, op);

	if (wait->watch && result < 0 && result != -ECANCELED) {
		log_warning("%s: poll: %s", wait->worker->name, strerror(-result));
		wait->watch->wait = NULL;
		wait->watch = NULL;
	}
	if (wait->watch)
		wait->watch->ready(wait->watch); /* may unwatch */
	if (cqe_flags & IORING_CQE_F_MORE)
		return;
	if (wait->watch)
		poll_arm(wait);
	else
		wait_free(wait);
}

int worker_watch(struct worker *worker, struct fd_watch *watch, int slot)
{
	assert(!watch->wait);
	watch->wait = wait_begin(worker, calloc(1, sizeof(*watch->wait)), poll_done);
	if (!watch->wait)
		return -ENOMEM;
	watch->wait->watch = watch;
	watch->wait->slot = slot;
	poll_arm(watch->wait);
	return 0;
}

void worker_unwatch(struct worker *worker, struct fd_watch *watch)
{
	struct wait_op *wait = watch->wait;

	if (!wait)
		return;
	watch->wait = NULL;
	wait->watch = NULL;
	worker_cancel(worker, &wait->op);
}

static void timer_done(struct ring_op *op, int result, uint32_t cqe_flags)
{
	struct wait_op *wait = container_of(op, struct wait_op, op);
	struct worker_timer *timer = wait->timer;

	(void)result;
	(void)cqe_flags;
	wait_free(wait);
	if (!timer)
		return;
	timer->wait = NULL;
	timer->expired(timer);
}

int worker_timer_reserve(struct worker_timer *timer)
{
	assert(!timer->reserve);
	timer->reserve = calloc(1, sizeof(*timer->reserve));
	return timer->reserve ? 0 : -ENOMEM;
}

void worker_timer_release(struct worker_timer *timer)
{
	free(timer->reserve);
	timer->reserve = NULL;
}

int worker_timer_start(struct worker *worker, struct worker_timer *timer, uint64_t delay_ns)
{
	struct io_uring_sqe *sqe;
	struct wait_op *wait;

	worker_timer_stop(worker, timer);
	wait = timer->reserve ? timer->reserve : calloc(1, sizeof(*wait));
	timer->reserve = NULL;
	if (!wait_begin(worker, wait, timer_done))
		return -ENOMEM;
	timer->wait = wait;
	wait->timer = timer;
	wait->delay.tv_sec = (long long)(delay_ns / 1000000000);
	wait->delay.tv_nsec = (long long)(delay_ns % 1000000000);
	sqe = worker_sqe(worker);
	io_uring_prep_timeout(sqe, &wait->delay, 0, 0);
	worker_arm(sqe, &wait->op);
	return 0;
}

void worker_timer_stop(struct worker *worker, struct worker_timer *timer)
{
	struct wait_op *wait = timer->wait;

	if (!wait)
		return;
	timer->wait = NULL;
	wait->timer = NULL;
	worker_cancel(worker, &wait->op);
}
