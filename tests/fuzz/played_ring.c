// SPDX-License-Identifier: MIT
#include "tests/fuzz/played_ring.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "tests/fuzz/fuzz.h"

#define SQES 256
#define CQES 4096
#define FLIGHTS 2048
#define FILES 256
#define FDS 1024

/* A request that has not ended. */
struct flight {
	struct io_uring_sqe sqe;
	int fd;
	bool woken; /* a poll that has something to say */
	bool ready; /* a poll of what is no eventfd: has said so */
};

static struct {
	unsigned sq_head, sq_flags, cq_head, cq_tail;
	struct io_uring_sqe sqes[SQES];
	struct io_uring_cqe cqes[CQES];
	int files[FILES];
	struct flight flights[FLIGHTS];
	unsigned flight_count;
	bool is_event[FDS];
	bool hold, cancel, time_passes;
} played = { .cancel = true };

/* ---- Completions ---- */

static void complete(const struct io_uring_sqe *sqe, int result, uint32_t flags)
{
	if ((sqe->flags & IOSQE_CQE_SKIP_SUCCESS) && result >= 0)
		return;
	fuzz_check(played.cq_tail - played.cq_head < CQES);
	played.cqes[played.cq_tail++ % CQES] = (struct io_uring_cqe){
		.user_data = sqe->user_data,
		.res = result,
		.flags = flags,
	};
}

static void land(unsigned index, int result)
{
	struct flight flight = played.flights[index];

	memmove(&played.flights[index], &played.flights[index + 1],
		(--played.flight_count - index) * sizeof(flight));
	complete(&flight.sqe, result, 0);
}

static struct flight *take_off(const struct io_uring_sqe *sqe, int fd)
{
	struct flight *flight = &played.flights[played.flight_count++];

	fuzz_check(played.flight_count < FLIGHTS);
	*flight = (struct flight){ .sqe = *sqe, .fd = fd };
	return flight;
}

/* ---- What requests do ---- */

static bool is_event(int fd)
{
	return fd >= 0 && fd < FDS && played.is_event[fd];
}

static void wake(int fd)
{
	for (unsigned i = 0; i < played.flight_count; i++)
		if (played.flights[i].sqe.opcode == IORING_OP_POLL_ADD && played.flights[i].fd == fd)
			played.flights[i].woken = true;
}

/* At most 64 iovecs of a request in one go: a short transfer, which is allowed. */
static ssize_t transfer(const struct io_uring_sqe *sqe, int fd, uint64_t limit)
{
	const bool vectored = sqe->opcode == IORING_OP_READV || sqe->opcode == IORING_OP_WRITEV;
	const bool writes = sqe->opcode == IORING_OP_WRITE || sqe->opcode == IORING_OP_WRITEV;
	const struct iovec whole = { (void *)(uintptr_t)sqe->addr, sqe->len };
	const struct iovec *source = vectored ? (const void *)(uintptr_t)sqe->addr : &whole;
	unsigned count = vectored ? (unsigned)min_u64(sqe->len, 64) : 1, used = 0;
	struct iovec iov[64];
	ssize_t result;

	for (; used < count && limit; used++) {
		iov[used] = source[used];
		iov[used].iov_len = (size_t)min_u64(iov[used].iov_len, limit);
		limit -= iov[used].iov_len;
		if (writes)
			fuzz_check_stored(iov[used].iov_base, iov[used].iov_len);
	}
	if (writes)
		return pwritev2(fd, iov, (int)used, (off_t)sqe->off, sqe->rw_flags);
	result = preadv2(fd, iov, (int)used, (off_t)sqe->off, sqe->rw_flags);
	/* No sanitizer knows this call. */
	for (size_t left = result > 0 ? (size_t)result : 0, i = 0; left; i++) {
		size_t part = (size_t)min_u64(iov[i].iov_len, left);

		fuzz_stored(iov[i].iov_base, part);
		left -= part;
	}
	return result;
}

static int perform(const struct io_uring_sqe *sqe, int fd, uint64_t limit)
{
	ssize_t result;

	if (is_event(fd))
		return (int)write(fd, (void *)(uintptr_t)sqe->addr, sqe->len);
	switch (sqe->opcode) {
	case IORING_OP_READ:
	case IORING_OP_WRITE:
	case IORING_OP_READV:
	case IORING_OP_WRITEV:
		result = transfer(sqe, fd, limit);
		if (result < 0 && errno == ESPIPE)
			result = sqe->opcode == IORING_OP_READ ?
					 read(fd, (void *)(uintptr_t)sqe->addr, sqe->len) :
					 write(fd, (void *)(uintptr_t)sqe->addr, sqe->len);
		break;
	case IORING_OP_FSYNC:
		result = 0; /* the page cache is all there is */
		break;
	case IORING_OP_FALLOCATE:
		result = fallocate(fd, (int)sqe->len, (off_t)sqe->off, (off_t)sqe->addr);
		break;
	default:
		fuzz_failed(__FILE__, __LINE__, "an operation that this ring plays");
	}
	return result < 0 ? -errno : (int)result;
}

static bool moves_bytes(const struct io_uring_sqe *sqe)
{
	return sqe->opcode != IORING_OP_POLL_ADD && sqe->opcode != IORING_OP_TIMEOUT;
}

static void cancel(const struct io_uring_sqe *sqe)
{
	for (unsigned i = 0; i < played.flight_count; i++) {
		const struct flight *flight = &played.flights[i];

		if (flight->sqe.user_data != sqe->addr)
			continue;
		if (moves_bytes(&flight->sqe) && !played.cancel) {
			complete(sqe, -EALREADY, 0);
			return;
		}
		land(i, -ECANCELED);
		complete(sqe, 0, 0);
		return;
	}
	complete(sqe, -ENOENT, 0);
}

static bool readable(const struct flight *flight)
{
	struct pollfd poll_fd = { .fd = flight->fd, .events = (short)flight->sqe.poll32_events };

	return poll(&poll_fd, 1, 0) == 1;
}

static void accept_request(const struct io_uring_sqe *sqe)
{
	int fd = sqe->fd >= 0 && sqe->fd < FILES ? played.files[sqe->fd] : -1;
	struct flight *flight;

	switch (sqe->opcode) {
	case IORING_OP_ASYNC_CANCEL:
		cancel(sqe);
		break;
	case IORING_OP_TIMEOUT:
		take_off(sqe, -1);
		break;
	case IORING_OP_POLL_ADD:
		flight = take_off(sqe, fd);
		flight->woken = is_event(fd) && readable(flight);
		break;
	default:
		fuzz_check(sqe->flags & IOSQE_FIXED_FILE);
		if (played.hold && sqe->user_data)
			take_off(sqe, fd);
		else
			complete(sqe, fd < 0 ? -EBADF : perform(sqe, fd, UINT64_MAX), 0);
		if (is_event(fd))
			wake(fd);
		break;
	}
}

static void submit(struct io_uring *ring)
{
	while (played.sq_head != ring->sq.sqe_tail) {
		struct io_uring_sqe sqe = played.sqes[played.sq_head++ % SQES];

		accept_request(&sqe);
	}
}

/* Polls that have something to say say it; those of sockets and pipes once a change. */
static void deliver_polls(void)
{
	for (unsigned i = 0; i < played.flight_count; i++) {
		struct flight *flight = &played.flights[i];

		if (flight->sqe.opcode != IORING_OP_POLL_ADD)
			continue;
		if (!is_event(flight->fd)) {
			bool ready = readable(flight);

			flight->woken = ready && !flight->ready;
			flight->ready = ready;
		}
		if (!flight->woken)
			continue;
		flight->woken = false;
		if (flight->sqe.len & IORING_POLL_ADD_MULTI)
			complete(&flight->sqe, POLLIN, IORING_CQE_F_MORE);
		else
			land(i--, (int)flight->sqe.poll32_events);
	}
}

static bool expire_timer(void)
{
	for (unsigned i = 0; i < played.flight_count; i++) {
		if (played.flights[i].sqe.opcode != IORING_OP_TIMEOUT)
			continue;
		land(i, -ETIME);
		return true;
	}
	return false;
}

/* ---- liburing's functions ---- */

int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *p)
{
	(void)p;
	fuzz_check(entries <= SQES);
	played_ring_clear();
	*ring = (struct io_uring){
		.sq = {
			.khead = &played.sq_head,
			.kflags = &played.sq_flags,
			.sqes = played.sqes,
			.ring_mask = SQES - 1,
			.ring_entries = SQES,
		},
		.cq = { .khead = &played.cq_head },
		.ring_fd = -1,
	};
	return 0;
}

void io_uring_queue_exit(struct io_uring *ring)
{
	(void)ring;
	played_ring_clear();
}

int io_uring_register_iowq_max_workers(struct io_uring *ring, unsigned int *values)
{
	(void)ring;
	(void)values;
	return 0;
}

int io_uring_register_files_sparse(struct io_uring *ring, unsigned count)
{
	(void)ring;
	fuzz_check(count <= FILES);
	memset(played.files, -1, sizeof(played.files));
	return 0;
}

int io_uring_register_files_update(struct io_uring *ring, unsigned slot, const int *files,
				   unsigned count)
{
	(void)ring;
	fuzz_check(count == 1 && slot < FILES);
	played.files[slot] = *files;
	return 1;
}

int io_uring_register(unsigned fd, unsigned opcode, const void *argument, unsigned count)
{
	(void)fd;
	(void)opcode;
	(void)argument;
	(void)count;
	return 0;
}

int io_uring_register_ring_fd(struct io_uring *ring)
{
	(void)ring;
	return 1;
}

int io_uring_unregister_ring_fd(struct io_uring *ring)
{
	(void)ring;
	return 1;
}

int io_uring_submit(struct io_uring *ring)
{
	submit(ring);
	return 0;
}

int io_uring_get_events(struct io_uring *ring)
{
	(void)ring;
	deliver_polls();
	return 0;
}

int io_uring_submit_and_get_events(struct io_uring *ring)
{
	submit(ring);
	deliver_polls();
	return 0;
}

/* Nothing to wait for: the loop ends, and played_ring_run() with it. */
int io_uring_submit_and_wait(struct io_uring *ring, unsigned wait_nr)
{
	(void)wait_nr;
	submit(ring);
	deliver_polls();
	if (played.cq_head == played.cq_tail && !(played.time_passes && expire_timer()))
		worker_quit(container_of(ring, struct worker, ring));
	return 0;
}

unsigned io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes, unsigned count)
{
	unsigned there = (unsigned)min_u64(played.cq_tail - played.cq_head, count);

	(void)ring;
	for (unsigned i = 0; i < there; i++)
		cqes[i] = &played.cqes[(played.cq_head + i) % CQES];
	return there;
}

/* ---- Eventfds: base/fd.c's, and the polls of them ---- */

void __real_event_fd_signal(int fd);
void __wrap_event_fd_signal(int fd);
int __real_event_fd_create(void);
int __wrap_event_fd_create(void);
void __real_fd_close(int *fd);
void __wrap_fd_close(int *fd);

void __wrap_event_fd_signal(int fd)
{
	__real_event_fd_signal(fd);
	wake(fd);
}

int __wrap_event_fd_create(void)
{
	int fd = __real_event_fd_create();

	fuzz_check(fd >= 0 && fd < FDS);
	played.is_event[fd] = true;
	return fd;
}

void __wrap_fd_close(int *fd)
{
	if (is_event(*fd))
		played.is_event[*fd] = false;
	__real_fd_close(fd);
}

/* ---- For targets ---- */

void played_ring_worker(struct worker *worker)
{
	struct worker_config config = { .name = "fuzz", .entries = SQES, .files = 64 };

	fuzz_check(!worker_create(worker, &config));
}

void played_ring_run(struct worker *worker)
{
	worker_run(worker);
}

void played_ring_hold(bool hold)
{
	played.hold = hold;
}

void played_ring_let_cancel(bool cancel)
{
	played.cancel = cancel;
}

unsigned played_ring_held(void)
{
	unsigned held = 0;

	for (unsigned i = 0; i < played.flight_count; i++)
		held += moves_bytes(&played.flights[i].sqe);
	return held;
}

static unsigned held_index(unsigned which)
{
	unsigned i = 0;

	fuzz_check(which < played_ring_held());
	for (;; i++)
		if (moves_bytes(&played.flights[i].sqe) && !which--)
			return i;
}

void played_ring_finish(unsigned which, uint64_t limit)
{
	unsigned index = held_index(which);

	land(index, perform(&played.flights[index].sqe, played.flights[index].fd, limit));
}

void played_ring_refuse(unsigned which, int error)
{
	land(held_index(which), -error);
}

void played_ring_let_time_pass(bool pass)
{
	played.time_passes = pass;
}

void played_ring_clear(void)
{
	played.sq_head = played.sq_flags = played.cq_head = played.cq_tail = 0;
	played.flight_count = 0;
	played.hold = played.time_passes = false;
	played.cancel = true;
}
