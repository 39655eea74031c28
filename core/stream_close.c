// SPDX-License-Identifier: MIT
/*
 * How a stream ends: the control thread asks and waits; the worker lets out what
 * is buffered, and has the clock. So nobody waits for a host that hangs, on
 * whichever thread the worker runs.
 */
#include "core/stream_close.h"

#include <assert.h>
#include <errno.h>

#include "base/bytes.h"
#include "core/stream_peer.h"

/* What is cancelled ends at once, but for a transfer that the host's storage keeps. */
#define GRACE_NS UINT64_C(500000000)

/* ---- The worker ---- */

void stream_close_settled(struct stream *stream)
{
	worker_timer_stop(stream->config.worker, &stream->flush_timer);
	worker_timer_stop(stream->config.worker, &stream->grace_timer);
	stream_detach(stream);
	if (stream->quit_when_closed)
		worker_quit(stream->config.worker);
	sem_post(&stream->closed); /* the last touch */
}

/* Cancelled long ago and still in flight: whoever waits for the end is told that there is none. */
static void grace_expired(struct worker_timer *timer)
{
	struct stream *stream = container_of(timer, struct stream, grace_timer);

	stream->stuck = true;
	if (stream->quit_when_closed)
		worker_quit(stream->config.worker);
	sem_post(&stream->closed);
}

/* Each of the two once: they were reserved when the stream was opened. */
static void clock_begin(struct stream *stream, struct worker_timer *clock, uint64_t delay_ns)
{
	int error = worker_timer_start(stream->config.worker, clock, delay_ns);

	assert(!error);
	(void)error;
}

static void flush_expired(struct worker_timer *timer)
{
	struct stream *stream = container_of(timer, struct stream, flush_timer);

	stream_end_output(stream);
	stream_cancel(&stream->out);
	clock_begin(stream, &stream->grace_timer, GRACE_NS);
}

static void close_run(struct worker_task *task)
{
	struct stream *stream = container_of(task, struct stream, close_task);

	stream->closing = true;
	worker_unwatch(stream->config.worker, &stream->input_watch);
	listener_stop(&stream->listener);
	stream_cancel(&stream->in);
	stream_output(stream);
	if (stream->out.busy && stream->flush_ns)
		clock_begin(stream, &stream->flush_timer, stream->flush_ns);
	else if (stream->out.busy)
		flush_expired(&stream->flush_timer);
	else if (stream->in.busy)
		clock_begin(stream, &stream->grace_timer, GRACE_NS);
	stream_settle(stream);
}

/* ---- The control thread ---- */

void stream_close_begin(struct stream *stream, uint64_t flush_ns)
{
	struct worker *worker = stream->config.worker;

	if (stream->life != STREAM_OPEN)
		return;
	assert(!worker->running || !worker_is_current(worker));
	stream->life = STREAM_CLOSING;
	stream->flush_ns = flush_ns;
	stream->close_task.run = close_run;
	stream->flush_timer.expired = flush_expired;
	stream->grace_timer.expired = grace_expired;
	stream->quit_when_closed = !worker->running;
	if (worker->running || worker_can_run_again(worker)) {
		worker_post(worker, &stream->close_task);
		return;
	}
	stream_peer_unmake(stream);
	stream->dropped_bytes += byte_ring_used(&stream->out.ring);
	sem_post(&stream->closed);
}

/* The worker sees to it that this is no longer than it takes to flush, and the grace. */
static void closed_wait(struct stream *stream)
{
	struct worker *worker = stream->config.worker;

	if (worker_can_run_again(worker)) {
		do
			worker_run(worker);
		while (sem_trywait(&stream->closed) < 0);
		return;
	}
	while (sem_wait(&stream->closed) < 0 && errno == EINTR)
		;
}

static bool is_let_go(struct stream *stream)
{
	if (stream->life == STREAM_STUCK)
		return !sem_trywait(&stream->closed); /* it was late */
	closed_wait(stream);
	if (!stream->stuck)
		return true;
	stream->life = STREAM_STUCK;
	stream_peer_unlink(stream);
	log_limited(&stream->log_limit, "%s: a transfer does not end; the host's storage may hang",
		    stream->config.name);
	return false;
}

int stream_close(struct stream *stream, uint64_t flush_ns)
{
	stream_close_begin(stream, flush_ns);
	if (stream->life == STREAM_CLOSED)
		return 0;
	if (!is_let_go(stream))
		return -ETIMEDOUT;
	/* A guest decides in how many of them: nobody waits for stderr. */
	if (stream->dropped_bytes)
		log_limited(&stream->log_limit, "%s: the host did not take %llu bytes of output",
			    stream->config.name, (unsigned long long)stream->dropped_bytes);
	stream_free(stream);
	stream->life = STREAM_CLOSED;
	return 0;
}
