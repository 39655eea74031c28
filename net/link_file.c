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
#include "base/fd.h"

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

struct close_call {
	struct worker_task task;
	struct link_file *file;
};

static void close_run(struct worker_task *task)
{
	struct link_file *file = container_of(task, struct close_call, task)->file;

	worker_remove_file(file->worker, file->slot);
}

/* From Linux 6.13 on the interface is free then, not only when the kernel has ended the ring. */
void link_file_close(struct link_file *file)
{
	struct close_call call = { { close_run }, file };

	if (file->slot >= 0 && file->worker->running)
		worker_call(file->worker, &call.task);
	fd_close(&file->fd);
}

int link_file_start(struct link_queue *queue, struct worker *worker)
{
	struct link_file *file = file_of(queue);

	file->worker = worker;
	return worker_keep_file(worker, &file->slot, file->fd);
}

/* The slot stays for the next start: a guest makes them at any pace. */
void link_file_stop(struct link_queue *queue)
{
	(void)queue;
}

static void send_done(struct ring_op *op, int result, uint32_t cqe_flags)
{
	struct link_io *io = container_of(op, struct link_io, op);

	(void)cqe_flags;
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
	io->done(io, receive_result(result));
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
	io->op.done = send_done;
	worker_arm(sqe, &io->op);
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
	io->op.done = receive_done;
	worker_arm(sqe, &io->op);
}

static void wait_done(struct ring_op *op, int result, uint32_t cqe_flags)
{
	struct link_wait *wait = container_of(op, struct link_wait, op);

	(void)cqe_flags;
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
	wait->op.done = wait_done;
	worker_arm(sqe, &wait->op);
}

void link_file_cancel_io(struct link_queue *queue, struct link_io *io)
{
	worker_cancel(file_of(queue)->worker, &io->op);
}

void link_file_cancel_wait(struct link_queue *queue, struct link_wait *wait)
{
	worker_cancel(file_of(queue)->worker, &wait->op);
}
