// SPDX-License-Identifier: MIT
/*
 * Frames through a file descriptor and a worker's ring. Reads and writes are made
 * with RWF_NOWAIT: each completes inside the io_uring_enter that submits it, one
 * after the other, so frames keep their order. Without RWF_NOWAIT the ring parks
 * a read that finds nothing, which is asked of one read at a time, as several
 * parked reads end in any order. Where the file does not know RWF_NOWAIT receiving
 * is a plain readv(2) a frame. Sending stays as it is: a tap's
 * send buffer has no bound for which a write could be parked. The queue's worker.
 */
#include "net/link_file.h"

#include <errno.h>
#include <poll.h>

#include "base/bytes.h"

static struct link_file *file_of(struct link_queue *queue)
{
	return container_of(queue, struct link_file, queue);
}

void link_file_init(struct link_file *file, struct link *link, unsigned index, int fd)
{
	uint8_t byte;
	struct iovec iov = { &byte, sizeof(byte) };
	ssize_t result = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

	*file = (struct link_file){
		.queue = { link, index },
		.fd = fd,
		.nowait = result >= 0 || errno != EOPNOTSUPP,
		.slot = -1,
	};
}

/* The slot is given up with the last request, so that none goes to who has it next. */
static void file_release(struct link_file *file)
{
	if (file->users || file->pending || file->slot < 0)
		return;
	worker_remove_file(file->worker, file->slot);
	file->slot = -1;
}

int link_file_start(struct link_queue *queue, struct worker *worker)
{
	struct link_file *file = file_of(queue);

	file->users++;
	file->worker = worker;
	if (file->slot < 0)
		file->slot = worker_add_file(worker, file->fd);
	return file->slot < 0 ? file->slot : 0;
}

void link_file_stop(struct link_queue *queue)
{
	struct link_file *file = file_of(queue);

	file->users--;
	file_release(file);
}

static void file_ended(struct link_file *file)
{
	file->pending--;
	file_release(file);
}

static void send_done(struct ring_op *op, int result, uint32_t cqe_flags)
{
	struct link_io *io = container_of(op, struct link_io, op);

	(void)cqe_flags;
	file_ended(file_of(io->queue));
	if (result == -EINTR)
		result = -EAGAIN;
	else if (result == -EBADFD) /* what a tap says whose interface was deleted */
		result = -ENODEV;
	io->done(io, result);
}

static int receive_result(int result)
{
	switch (result) {
	case 0: /* a socket whose other end has closed */
	case -EBADFD:
		return -ENODEV;
	case -EINTR:
	case -ENOMEM:
	case -ENOBUFS:
		return -EAGAIN;
	default:
		return result;
	}
}

static void receive_done(struct ring_op *op, int result, uint32_t cqe_flags)
{
	struct link_io *io = container_of(op, struct link_io, op);

	(void)cqe_flags;
	file_ended(file_of(io->queue));
	io->done(io, receive_result(result));
}

static void file_arm(struct link_file *file, struct io_uring_sqe *sqe, struct ring_op *op)
{
	worker_arm(sqe, op);
	file->pending++;
}

void link_file_send(struct link_queue *queue, struct link_io *io)
{
	struct link_file *file = file_of(queue);
	struct io_uring_sqe *sqe;

	if (file->slot < 0) {
		io->done(io, -ENODEV);
		return;
	}
	sqe = worker_sqe(file->worker);
	io_uring_prep_writev2(sqe, file->slot, io->iov, io->iov_count, 0,
			      file->nowait ? RWF_NOWAIT : 0);
	io->queue = queue;
	io->op.done = send_done;
	file_arm(file, sqe, &io->op);
}

void link_file_receive(struct link_queue *queue, struct link_io *io)
{
	struct link_file *file = file_of(queue);
	struct io_uring_sqe *sqe;

	if (file->slot < 0) {
		io->done(io, -ENODEV);
		return;
	}
	if (!file->nowait) {
		ssize_t result = readv(file->fd, io->iov, (int)io->iov_count);

		io->done(io, receive_result(result < 0 ? -errno : (int)result));
		return;
	}
	sqe = worker_sqe(file->worker);
	io_uring_prep_readv2(sqe, file->slot, io->iov, io->iov_count, 0,
			     io->may_wait ? 0 : RWF_NOWAIT);
	io->queue = queue;
	io->op.done = receive_done;
	file_arm(file, sqe, &io->op);
}

static void wait_done(struct ring_op *op, int result, uint32_t cqe_flags)
{
	struct link_wait *wait = container_of(op, struct link_wait, op);

	(void)cqe_flags;
	file_ended(file_of(wait->queue));
	wait->ready(wait, result < 0 ? result : 0);
}

/* One shot: it is armed only when a read or write has found that it must wait. */
void link_file_wait(struct link_queue *queue, struct link_wait *wait, enum link_event event)
{
	struct link_file *file = file_of(queue);
	struct io_uring_sqe *sqe;

	if (file->slot < 0) {
		wait->ready(wait, -ENODEV);
		return;
	}
	sqe = worker_sqe(file->worker);
	io_uring_prep_poll_add(sqe, file->slot, event == LINK_READABLE ? POLLIN : POLLOUT);
	wait->queue = queue;
	wait->op.done = wait_done;
	file_arm(file, sqe, &wait->op);
}

void link_file_cancel_io(struct link_queue *queue, struct link_io *io)
{
	worker_cancel(file_of(queue)->worker, &io->op);
}

void link_file_cancel_wait(struct link_queue *queue, struct link_wait *wait)
{
	worker_cancel(file_of(queue)->worker, &wait->op);
}
