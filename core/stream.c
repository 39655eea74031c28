// SPDX-License-Identifier: MIT
/*
 * How a stream moves: at most one read and one write in flight, between the
 * host and two rings. All of it on the stream's worker, but for the ends of the
 * rings that a device holds. Who is at the other end is core/stream_peer.c's, the
 * end core/stream_close.c's.
 *
 * A side that has nothing to do falls asleep: it sets `asleep`, then looks at
 * its ring once more. A device changes the ring, then looks at `asleep`. All
 * four accesses are sequentially consistent, so one of the two sees the other.
 */
#include "core/stream.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/major.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "core/stream_close.h"
#include "core/stream_peer.h"

/* Small enough for a slow reader's progress to be seen, and for a pipe to take whole. */
#define WRITE_BYTES 4096
/* To a file, where a write may cost a thread of the kernel's; half of what is buffered. */
#define FILE_WRITE_BYTES (STREAM_OUTPUT_BYTES / 2)
/* A terminal may answer EIO by mistake while we change between fore- and background. */
#define READ_FAILURES_MAX 3

static bool is_tty(const struct stream *stream)
{
	return stream->config.terminal && stream->config.terminal->escapes;
}

static bool is_socket(const struct stream *stream)
{
	return stream->listener.fd >= 0;
}

static void side_wake(struct stream_side *side)
{
	/* It may have woken by itself and fallen asleep again with the task still on its way. */
	if (side->asleep && atomic_exchange(&side->asleep, false) &&
	    !atomic_exchange(&side->wake_posted, true))
		worker_post(side->stream->config.worker, &side->wake);
}

/* Nothing is in flight any more: go on with what was waiting for that. */
void stream_settle(struct stream *stream)
{
	if (stream->in.busy || stream->out.busy)
		return;
	if (stream->closing) {
		stream_close_settled(stream); /* the last touch */
	} else if (stream->leaving) {
		stream_detach(stream);
		stream->leaving = false;
		stream->connected = false;
		if (stream->config.ops->connected)
			stream->config.ops->connected(stream);
		stream_peer_accept(stream);
	}
}

void stream_cancel(struct stream_side *side)
{
	if (side->busy)
		worker_cancel(side->stream->config.worker, &side->op);
}

/* A socket's client has gone. What it has not read stays for the next one. */
void stream_leave(struct stream *stream)
{
	assert(!stream->closing); /* it would settle twice: here, and by the caller */
	stream->leaving = true;
	stream_cancel(&stream->in);
	stream_cancel(&stream->out);
	stream_settle(stream);
}

static bool side_idle(const struct stream_side *side)
{
	return side->fd >= 0 && !side->busy && !side->ended && !side->stream->leaving;
}

/* ---- Input ---- */

static void input_start(struct stream *stream)
{
	struct stream_side *side = &stream->in;
	struct io_uring_sqe *sqe;
	uint8_t *span;
	size_t length;

	if (!side_idle(side) || stream->input_watch.wait || stream->closing)
		return;
	if (!byte_ring_room(&side->ring)) {
		side->asleep = true;
		if (byte_ring_room(&side->ring) < STREAM_INPUT_BYTES / 2)
			return;
		side->asleep = false;
	}
	length = byte_ring_free_span(&side->ring, &span);
	sqe = worker_sqe(stream->config.worker);
	io_uring_prep_read(sqe, side->slot, span, (unsigned)length, (uint64_t)-1);
	side->busy = true;
	worker_arm(sqe, &side->op);
}

/* A socket's client that leaves with output unread resets the connection: an end like any. */
static void input_end(struct stream *stream, int result)
{
	bool failed = result && !(is_socket(stream) && result == -ECONNRESET);

	if (failed)
		log_limited(&stream->log_limit, "%s: read: %s; %s", stream->config.name,
			    strerror(-result),
			    is_socket(stream) ? "its client is let go" : "input has ended");
	if (is_socket(stream))
		stream_leave(stream);
	else
		stream->in.ended = true;
}

/* Readable, or brought to the foreground: anyone's typing wakes us, so look who may read. */
static void input_ready(struct fd_watch *watch)
{
	struct stream *stream = container_of(watch, struct stream, input_watch);

	if (stream->config.terminal && !terminal_reclaim(stream->config.terminal))
		return;
	worker_unwatch(stream->config.worker, watch);
	input_start(stream);
}

/* Whether a read that failed is worth another after the next wake-up. */
static bool input_recovers(struct stream *stream, int result)
{
	if (result == -EAGAIN)
		return true;
	if (result != -EIO || !is_tty(stream))
		return false;
	return !terminal_reclaim(stream->config.terminal) ||
	       ++stream->in.failures <= READ_FAILURES_MAX;
}

static void input_take(struct stream *stream, size_t length)
{
	struct byte_ring *ring = &stream->in.ring;
	uint8_t *span;

	byte_ring_free_span(ring, &span);
	if (stream->config.terminal)
		length = terminal_filter(stream->config.terminal, (char *)span, length);
	byte_ring_filled(ring, length);
	stream->in.failures = 0;
	if (length && !stream->closing)
		stream->config.ops->input(stream);
}

static void input_done(struct ring_op *op, int result, uint32_t cqe_flags)
{
	struct stream *stream = container_of(op, struct stream, in.op);

	(void)cqe_flags;
	stream->in.busy = false;
	if (result > 0)
		input_take(stream, (size_t)result);
	else if (stream->closing || stream->leaving || result == -EINTR || result == -ECANCELED)
		; /* as asked; or again, below */
	else if (!input_recovers(stream, result))
		input_end(stream, result);
	else if (worker_watch(stream->config.worker, &stream->input_watch, stream->in.slot))
		input_end(stream, -ENOMEM);
	input_start(stream);
	stream_settle(stream);
}

static void input_wake(struct worker_task *task)
{
	struct stream *stream = container_of(task, struct stream, in.wake);

	stream->in.wake_posted = false;
	input_start(stream);
}

size_t stream_input_bytes(const struct stream *stream)
{
	return byte_ring_used(&stream->in.ring);
}

size_t stream_read(struct stream *stream, void *data, size_t length)
{
	size_t taken = byte_ring_take(&stream->in.ring, data, length);

	if (byte_ring_room(&stream->in.ring) >= STREAM_INPUT_BYTES / 2)
		side_wake(&stream->in);
	return taken;
}

/* ---- Output ---- */

static void output_poll(struct stream *stream)
{
	struct io_uring_sqe *sqe = worker_sqe(stream->config.worker);

	io_uring_prep_poll_add(sqe, stream->out.slot, POLLOUT);
	stream->out.busy = true;
	stream->out.polling = true;
	worker_arm(sqe, &stream->out.op);
}

void stream_output(struct stream *stream)
{
	struct stream_side *side = &stream->out;
	struct io_uring_sqe *sqe;
	const uint8_t *span;
	size_t length;

	if (!side_idle(side))
		return;
	while (!(length = byte_ring_used_span(&side->ring, &span))) {
		side->asleep = true;
		if (!byte_ring_used(&side->ring))
			return;
		side->asleep = false;
	}
	sqe = worker_sqe(stream->config.worker);
	io_uring_prep_write(sqe, side->slot, span, (unsigned)min_u64(length, side->write_bytes),
			    (uint64_t)-1);
	/*
	 * A terminal takes a write that doesn't fit as a reason to sleep, whatever
	 * io_uring asked for: then on a thread of the kernel's, not on ours.
	 */
	if (side->blocks)
		sqe->flags |= IOSQE_ASYNC;
	side->busy = true;
	worker_arm(sqe, &side->op);
}

void stream_end_output(struct stream *stream)
{
	if (!stream->out.ended)
		stream->dropped_bytes += byte_ring_used(&stream->out.ring);
	stream->out.ended = true;
}

static void output_drop(struct stream *stream, const char *why)
{
	const uint8_t *span;
	size_t length = min_u64(byte_ring_used_span(&stream->out.ring, &span),
				stream->out.write_bytes);

	byte_ring_drop(&stream->out.ring, length);
	stream->dropped_bytes += length;
	if (!stream->out.failures++)
		log_limited(&stream->log_limit, "%s: write: %s; output is dropped",
			    stream->config.name, why);
}

static void output_failed(struct stream *stream, int result)
{
	if (result == -EINTR || result == -ECANCELED || stream->leaving)
		return;
	if (result == -EAGAIN)
		output_poll(stream);
	else if (is_socket(stream) && stream->closing)
		stream_end_output(stream); /* there will be no next client */
	else if (is_socket(stream))
		stream_leave(stream);
	else
		output_drop(stream, strerror(result ? -result : EIO));
}

static void output_tell_room(struct stream *stream)
{
	uint32_t wanted = stream->room_wanted;

	if (!wanted || stream->closing || byte_ring_room(&stream->out.ring) < wanted)
		return;
	stream->room_wanted = 0;
	if (stream->config.ops->room)
		stream->config.ops->room(stream);
}

static void output_done(struct ring_op *op, int result, uint32_t cqe_flags)
{
	struct stream *stream = container_of(op, struct stream, out.op);
	struct stream_side *side = &stream->out;
	bool polled = side->polling;

	(void)cqe_flags;
	side->busy = false;
	side->polling = false;
	if (!polled && result > 0) {
		side->failures = 0;
		stream->written_bytes += (uint32_t)result;
		byte_ring_drop(&side->ring, (size_t)result);
	} else if (!polled && !side->ended) {
		output_failed(stream, result);
	}
	output_tell_room(stream);
	stream_output(stream);
	stream_settle(stream);
}

static void output_wake(struct worker_task *task)
{
	struct stream *stream = container_of(task, struct stream, out.wake);

	stream->out.wake_posted = false;
	stream_output(stream);
}

/* Nobody is there: the oldest makes room, so that the last screenful awaits the next client. */
static size_t output_keep_last(struct stream *stream, const void *data, size_t length)
{
	struct byte_ring *ring = &stream->out.ring;
	size_t skip = length > ring->size ? length - ring->size : 0;
	size_t room = byte_ring_room(ring), kept = length - skip;

	if (kept > room)
		byte_ring_drop(ring, kept - room);
	byte_ring_put(ring, (const uint8_t *)data + skip, kept);
	return length;
}

size_t stream_write(struct stream *stream, const void *data, size_t length)
{
	size_t taken;

	if (is_socket(stream) && !stream->connected)
		return output_keep_last(stream, data, length);
	if (stream->out.ended)
		return length;
	taken = byte_ring_put(&stream->out.ring, data, length);
	side_wake(&stream->out);
	return taken;
}

/* What the host takes at once, past the buffer, without making this thread wait. */
static size_t output_now(struct stream *stream, const struct iovec *iov, unsigned count)
{
	struct stream_side *side = &stream->out;
	ssize_t done;

	if (!side_idle(side) || side->blocks || side->refuses_now || byte_ring_used(&side->ring))
		return 0;
	done = pwritev2(side->fd, iov, (int)count, -1, side->in_memory ? 0 : RWF_NOWAIT);
	side->refuses_now = done < 0 && errno == EOPNOTSUPP;
	if (done <= 0) /* the ring's write finds out why, and what to do about it */
		return 0;
	side->failures = 0;
	stream->written_bytes += (uint64_t)done;
	return (size_t)done;
}

size_t stream_write_parts(struct stream *stream, const struct iovec *iov, unsigned count)
{
	size_t now = output_now(stream, iov, count), taken = 0;

	for (; count; count--, iov++) {
		size_t skip = min_u64(iov->iov_len, now);

		now -= skip;
		taken += skip;
		if (skip < iov->iov_len)
			taken += stream_write(stream, (const uint8_t *)iov->iov_base + skip,
					      iov->iov_len - skip);
	}
	return taken;
}

bool stream_is_unread(const struct stream *stream)
{
	return stream->out.ended || (is_socket(stream) && !stream->connected);
}

size_t stream_room(const struct stream *stream)
{
	if (stream_is_unread(stream))
		return STREAM_OUTPUT_BYTES;
	return byte_ring_room(&stream->out.ring);
}

bool stream_has_room(struct stream *stream, size_t length)
{
	if (stream_room(stream) >= length)
		return true;
	stream->room_wanted = (uint32_t)length;
	return byte_ring_room(&stream->out.ring) >= length;
}

/* ---- Beginning and end ---- */

/*
 * How the descriptor is written. Pipes take a page if they take anything,
 * sockets, files and /dev/null never wait. A socket needs no question: its
 * clients come when the sandbox allows none.
 */
static void output_set_up(struct stream_side *side, bool is_client)
{
	struct stat status;
	bool known = !is_client && !fstat(side->fd, &status);
	bool is_file = known && S_ISREG(status.st_mode);

	side->write_bytes = is_file ? FILE_WRITE_BYTES : WRITE_BYTES;
	side->in_memory = is_file && fd_in_memory(side->fd);
	side->refuses_now = false;
	side->blocks = known && S_ISCHR(status.st_mode) && major(status.st_rdev) != MEM_MAJOR &&
		       !(fcntl(side->fd, F_GETFL) & O_NONBLOCK);
}

int stream_attach(struct stream *stream, int in_fd, int out_fd)
{
	struct worker *worker = stream->config.worker;
	int in_slot = -1, out_slot = -1;

	if (in_fd >= 0)
		in_slot = worker_add_file(worker, in_fd);
	if (in_fd >= 0 && in_slot < 0)
		return in_slot;
	if (out_fd >= 0)
		out_slot = out_fd == in_fd ? in_slot : worker_add_file(worker, out_fd);
	if (out_fd >= 0 && out_slot < 0) {
		if (in_slot >= 0)
			worker_remove_file(worker, in_slot);
		return out_slot;
	}
	stream->in.fd = in_fd;
	stream->in.slot = in_slot;
	stream->out.fd = out_fd;
	stream->out.slot = out_slot;
	if (out_fd >= 0)
		output_set_up(&stream->out, is_socket(stream));
	stream->connected = true;
	input_start(stream);
	stream_output(stream);
	return 0;
}

void stream_detach(struct stream *stream)
{
	struct worker *worker = stream->config.worker;

	worker_unwatch(worker, &stream->input_watch);
	if (stream->in.fd >= 0)
		worker_remove_file(worker, stream->in.slot);
	if (stream->out.fd >= 0 && stream->out.slot != stream->in.slot)
		worker_remove_file(worker, stream->out.slot);
	stream_peer_close(stream);
	stream->in.slot = stream->out.slot = -1;
}

void stream_free(struct stream *stream)
{
	stream_peer_destroy(stream);
	worker_timer_release(&stream->flush_timer);
	worker_timer_release(&stream->grace_timer);
	byte_ring_destroy(&stream->in.ring);
	byte_ring_destroy(&stream->out.ring);
	sem_destroy(&stream->closed);
}

struct open_task {
	struct worker_task task;
	struct stream *stream;
	int in_fd, out_fd, error;
};

static void open_run(struct worker_task *task)
{
	struct open_task *open = container_of(task, struct open_task, task);

	if (is_socket(open->stream))
		open->error = stream_peer_listen(open->stream);
	else
		open->error = stream_attach(open->stream, open->in_fd, open->out_fd);
}

static int side_init(struct stream_side *side, struct stream *stream, uint32_t ring_bytes)
{
	side->stream = stream;
	side->fd = -1;
	side->slot = -1;
	return byte_ring_init(&side->ring, ring_bytes);
}

static int stream_init(struct stream *stream, const struct stream_config *config)
{
	int error;

	*stream = (struct stream){
		.config = *config,
		.in = { .op.done = input_done, .wake.run = input_wake },
		.out = { .op.done = output_done, .wake.run = output_wake },
		.input_watch.ready = input_ready,
		.listener.fd = -1,
		.slave_fd = -1,
	};
	sem_init(&stream->closed, 0, 0);
	error = side_init(&stream->in, stream, STREAM_INPUT_BYTES);
	if (side_init(&stream->out, stream, STREAM_OUTPUT_BYTES))
		error = -ENOMEM;
	/* A shortage shall not be taken for storage that hangs when the stream ends. */
	if (worker_timer_reserve(&stream->flush_timer))
		error = -ENOMEM;
	return worker_timer_reserve(&stream->grace_timer) ? -ENOMEM : error;
}

int stream_open(struct stream *stream, const struct stream_config *config)
{
	struct open_task open = { { open_run }, stream, -1, -1, 0 };
	int error = stream_init(stream, config);

	if (error) {
		error = fail_host(-error, "%s: out of memory", config->name);
		goto failed;
	}
	error = stream_peer_open(stream, &open.in_fd, &open.out_fd);
	if (error)
		goto failed;
	stream->out.ended = open.out_fd < 0 && !is_socket(stream);
	worker_call(config->worker, &open.task);
	if (!open.error)
		return 0;
	error = fail_host(-open.error, "%s: io_uring: register its file: %s", config->name,
			  strerror(-open.error));
	stream->in.fd = open.in_fd;
	stream->out.fd = open.out_fd;
	stream_peer_unmake(stream);
failed:
	stream_free(stream);
	return error;
}
