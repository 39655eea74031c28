// SPDX-License-Identifier: MIT
/*
 * I/O on an image's file through the worker's ring, or past it where the file is
 * in memory. A request is a sequence of steps, one in flight at a time, and goes
 * on after a short transfer until all is moved or something fails. Direct I/O on
 * buffers that the host's disk can't reach goes through the lane's bounce buffers:
 * a fixed number, for which requests wait in line, so that no guest makes us
 * allocate. Worker thread.
 */
#include "block/raw.h"

#include <errno.h>
#include <linux/falloc.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bytes.h"

#define RAW_BUFFERS 16
#define RAW_BUFFER_BYTES (64 * KIB)
#define RAW_ZEROES_BYTES MIB /* of the host's zero page, mapped over and over */
#define RAW_TRANSFER_MAX GIB /* the kernel moves less than 2 GiB at once, and then no whole block */
#define RAW_NOW_MAX (4 * MIB) /* copied at once, by a worker or for it: a millisecond or so */
#define RAW_RETRIES 8	     /* of the same step, without progress */

enum raw_step {
	RAW_TRANSFER,	/* between the file and the request's own buffers */
	RAW_BOUNCE,	/* the same through a bounce buffer */
	RAW_PUNCH,	/* ways to zero a range, best first: each falls back to the next */
	RAW_ZERO_RANGE,
	RAW_ZERO_WRITE,
	RAW_ZERO_EDGE,	/* writes zeroes before and behind whole blocks */
	RAW_SYNC,
};

static const char *const verb_names[] = {
	[IMAGE_READ] = "read",
	[IMAGE_WRITE] = "write",
	[IMAGE_FLUSH] = "flush",
	[IMAGE_DISCARD] = "discard",
	[IMAGE_WRITE_ZEROES] = "write zeroes",
};

static bool raw_write_syncs(const struct image_io *io);
static void raw_issue(struct image_io *io);
static void raw_done(struct ring_op *op, int result, uint32_t cqe_flags);

/* ---- Parts of memory ---- */

/* Copies `length` bytes between the front of the parts and a buffer. */
static void iovec_copy(const struct iovec *iov, uint8_t *buffer, size_t length, bool to_iovec)
{
	for (; length; iov++) {
		size_t part = min_u64(iov->iov_len, length);

		if (to_iovec)
			memcpy(iov->iov_base, buffer, part);
		else
			memcpy(buffer, iov->iov_base, part);
		buffer += part;
		length -= part;
	}
}

/* Passes over `length` bytes. */
static void iovec_advance(struct image_io *io, size_t length)
{
	while (io->iov_count && length >= io->iov->iov_len) {
		length -= io->iov->iov_len;
		io->iov++;
		io->iov_count--;
	}
	if (length) {
		io->iov->iov_base = (uint8_t *)io->iov->iov_base + length;
		io->iov->iov_len -= length;
	}
}

/* How many of the parts that are left are no more than `bytes_max` together. */
static unsigned iovec_within(const struct image_io *io, uint64_t bytes_max)
{
	uint64_t bytes = 0;
	unsigned count = 0;

	if (io->length - io->moved <= bytes_max)
		return io->iov_count;
	while (count < io->iov_count && bytes + io->iov[count].iov_len <= bytes_max)
		bytes += io->iov[count++].iov_len;
	return count;
}

/* Kernels differ in what they ask of a part's length: whole blocks please all of them. */
static bool iovec_direct(const struct image *image, const struct image_io *io)
{
	uint64_t address_bits = 0, length_bits = 0;

	for (unsigned i = 0; i < io->iov_count; i++) {
		address_bits |= (uintptr_t)io->iov[i].iov_base;
		length_bits |= io->iov[i].iov_len;
	}
	return is_aligned(address_bits, image->memory_align) &&
	       is_aligned(length_bits, image->logical_block);
}

/* ---- Bounce buffers ---- */

static bool buffer_take(struct image_lane *lane, struct image_io *io)
{
	unsigned index;

	if (!lane->buffers_free) {
		image_line_add(&lane->buffer_line, io);
		return false;
	}
	index = (unsigned)__builtin_ctz(lane->buffers_free);
	lane->buffers_free &= ~(1u << index);
	io->bounce = lane->buffers + index * RAW_BUFFER_BYTES;
	return true;
}

static bool raw_wanted(const struct image_io *io)
{
	return !io->wanted || io->wanted(io);
}

/* Whoever has waited longest goes on with it. */
static void buffer_give(struct image_lane *lane, uint8_t *buffer)
{
	struct image_io *next;

	while ((next = image_line_take(&lane->buffer_line)) && !raw_wanted(next))
		next->done(next, -ECANCELED);
	if (!next) {
		lane->buffers_free |= 1u << (size_t)(buffer - lane->buffers) / RAW_BUFFER_BYTES;
		return;
	}
	next->bounce = buffer;
	raw_issue(next);
}

/* ---- Zeroes ---- */

/*
 * Whether what is left to zero begins with whole blocks, and how far it is of that
 * kind. To zero a part of one, a file system takes the block into the page cache,
 * where a direct image shall have nothing that could be lost: it is written.
 */
static bool raw_zero_whole(const struct image_io *io, uint64_t *bytes)
{
	const struct image *image = io->lane->image;
	const bool any = !image->direct || io->verb == IMAGE_DISCARD;
	const uint64_t block = any ? image->logical_block : image->zero_block;
	const uint64_t from = io->offset + io->moved, end = io->offset + io->length;
	const uint64_t first = align_up(from, block), last = align_down(end, block);
	const bool whole = from == first && from < last;

	*bytes = (whole ? last : first < last ? first : end) - from;
	return whole;
}

/* The way to zero a range, from `step` on, that this file is not known to lack. */
static enum raw_step raw_zero_step(const struct image_lane *lane, enum raw_step step)
{
	if (step == RAW_PUNCH && lane->no_punch)
		step = RAW_ZERO_RANGE;
	if (step == RAW_ZERO_RANGE && lane->no_zero_range)
		step = RAW_ZERO_WRITE;
	return step;
}

/* How to zero what is left. Without leave to deallocate, the range shall stay allocated. */
static enum raw_step raw_zero_begin(const struct image_io *io)
{
	uint64_t bytes;

	return raw_zero_whole(io, &bytes) ?
		       raw_zero_step(io->lane, io->unmap ? RAW_PUNCH : RAW_ZERO_RANGE) :
		       RAW_ZERO_EDGE;
}

/* ---- Steps ---- */

static void raw_end(struct image_io *io, int result)
{
	struct image_lane *lane = io->lane;
	uint8_t *bounce = io->bounce;

	io->done(io, result);
	if (bounce)
		buffer_give(lane, bounce);
}

static void raw_fail(struct image_io *io, int error)
{
	struct image *image = io->lane->image;

	if (io->verb == IMAGE_FLUSH)
		log_limited(&image->log_limit, "%s: flush: %s", image->config.name,
			    strerror(error));
	else
		log_limited(&image->log_limit, "%s: %s at sector %llu: %s", image->config.name,
			    verb_names[io->verb],
			    (unsigned long long)((io->offset + io->moved) / IMAGE_SECTOR_BYTES),
			    error == ENODATA ? "the image ends here, but was longer when opened" :
					       strerror(error));
	raw_end(io, -error);
}

/*
 * A sync failed: whatever had not reached the medium may be what is missing. Direct
 * I/O passes this host's page cache, but not what lies below the file: the cache of
 * a loop device, a server, a disk. Of writethrough nothing there was told to be safe.
 */
static void raw_lost(struct image *image)
{
	if (image->config.cache == IMAGE_CACHE_WRITETHROUGH || atomic_exchange(&image->lost, true))
		return;
	log_limited(&image->log_limit, "%s: earlier writes may be lost, so every flush fails from "
		    "now on: check the disk, then start again", image->config.name);
}

static void raw_prepare_transfer(struct io_uring_sqe *sqe, const struct image_io *io)
{
	const int slot = io->lane->slot;
	const uint64_t offset = io->offset + io->moved;
	/* What the page cache has is copied while it is submitted. */
	const uint64_t bytes_max = io->lane->image->direct ? RAW_TRANSFER_MAX : RAW_NOW_MAX;
	const unsigned length = (unsigned)min_u64(io->iov->iov_len, bytes_max);
	const unsigned count = iovec_within(io, bytes_max);

	if (io->verb == IMAGE_WRITE && count <= 1)
		io_uring_prep_write(sqe, slot, io->iov->iov_base, length, offset);
	else if (io->verb == IMAGE_WRITE)
		io_uring_prep_writev(sqe, slot, io->iov, count, offset);
	else if (count <= 1)
		io_uring_prep_read(sqe, slot, io->iov->iov_base, length, offset);
	else
		io_uring_prep_readv(sqe, slot, io->iov, count, offset);
}

static void raw_prepare_bounce(struct io_uring_sqe *sqe, const struct image_io *io)
{
	const int slot = io->lane->slot;
	const uint64_t offset = io->offset + io->moved;
	const unsigned length = (unsigned)min_u64(io->length - io->moved, RAW_BUFFER_BYTES);

	if (io->verb == IMAGE_WRITE) {
		iovec_copy(io->iov, io->bounce, length, false);
		io_uring_prep_write(sqe, slot, io->bounce, length, offset);
	} else {
		io_uring_prep_read(sqe, slot, io->bounce, length, offset);
	}
}

/* What a file in memory has done before the ring could pass it on. */
static int raw_move_now(const struct image_io *io)
{
	const int fd = io->lane->image->fd;
	const off_t offset = (off_t)(io->offset + io->moved);
	const int flags = io->durable ? RWF_DSYNC : 0;
	struct iovec front = { io->iov->iov_base, RAW_NOW_MAX };
	const struct iovec *iov = io->iov;
	unsigned count = iovec_within(io, RAW_NOW_MAX);
	ssize_t result;

	if (!count) {
		iov = &front;
		count = 1;
	}
	result = io->verb == IMAGE_WRITE ? pwritev2(fd, iov, (int)count, offset, flags) :
					   preadv2(fd, iov, (int)count, offset, 0);
	return result < 0 ? -errno : (int)result;
}

static bool raw_issue_now(struct image_io *io)
{
	int result;

	if (!io->lane->image->in_memory)
		return false;
	if (io->step == RAW_TRANSFER)
		result = raw_move_now(io);
	else if (io->step == RAW_SYNC)
		result = fdatasync(io->lane->image->fd) ? -errno : 0;
	else
		return false;
	raw_done(&io->op, result, 0);
	return true;
}

static void raw_prepare_zeroes(struct io_uring_sqe *sqe, const struct image_io *io)
{
	const int slot = io->lane->slot;
	const uint64_t offset = io->offset + io->moved;
	int mode = FALLOC_FL_KEEP_SIZE;
	uint64_t bytes;

	raw_zero_whole(io, &bytes);
	if (io->step == RAW_ZERO_WRITE)
		bytes = io->length - io->moved;
	if (io->step == RAW_ZERO_WRITE || io->step == RAW_ZERO_EDGE) {
		io_uring_prep_write(sqe, slot, io->lane->zeroes,
				    (unsigned)min_u64(bytes, RAW_ZEROES_BYTES), offset);
	} else {
		mode |= io->step == RAW_PUNCH ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
		io_uring_prep_fallocate(sqe, slot, mode, (off_t)offset, (off_t)bytes);
	}
}

static void raw_issue(struct image_io *io)
{
	struct image_lane *lane = io->lane;
	struct io_uring_sqe *sqe;

	if (raw_issue_now(io))
		return;
	sqe = worker_sqe(lane->worker);

	switch ((enum raw_step)io->step) {
	case RAW_TRANSFER:
		raw_prepare_transfer(sqe, io);
		break;
	case RAW_BOUNCE:
		raw_prepare_bounce(sqe, io);
		break;
	case RAW_PUNCH:
	case RAW_ZERO_RANGE:
	case RAW_ZERO_WRITE:
	case RAW_ZERO_EDGE:
		raw_prepare_zeroes(sqe, io);
		break;
	case RAW_SYNC:
		io_uring_prep_fsync(sqe, lane->slot, IORING_FSYNC_DATASYNC);
		break;
	}
	if (raw_write_syncs(io))
		sqe->rw_flags = RWF_DSYNC;
	worker_arm(sqe, &io->op);
}

/* But for direct I/O: one piece of one request, then everybody else on this worker. */
static void raw_go_on(struct worker_job *job)
{
	struct image_lane *lane = container_of(job, struct image_lane, rest_job);
	struct image_io *io = image_line_take(&lane->rest_line);

	if (raw_wanted(io))
		raw_issue(io);
	else
		raw_end(io, -ECANCELED);
	if (lane->rest_line.first)
		worker_ready(lane->worker, job);
}

static void raw_rest(struct image_io *io)
{
	image_line_add(&io->lane->rest_line, io);
	worker_ready(io->lane->worker, &io->lane->rest_job);
}

/* ---- Syncs ---- */

/*
 * The kernel reports what the page cache lost once to each open file, to whoever
 * of several syncs asks first, which need not be the one whose data it was. So a
 * lane has an open file of its own and one sync in flight on it, and whoever
 * waited for it when it began shares what became of it. A write that began before
 * a sync failed may be what that one has lost, though its own finds nothing to do.
 */
static void raw_sync(struct image_io *io)
{
	struct image_lane *lane = io->lane;

	io->step = RAW_SYNC;
	io->retries = 0;
	if (lane->syncing.first) {
		image_line_add(&lane->sync_line, io);
		return;
	}
	image_line_add(&lane->syncing, io);
	raw_issue(io);
}

static void raw_synced(struct image_lane *lane, int result)
{
	struct image *image = lane->image;
	struct image_io *io = lane->syncing.first, *next;

	/* Final: a second try would succeed. */
	if (result < 0) {
		raw_lost(image);
		lane->losses++;
	}
	image_line_init(&lane->syncing);
	while ((next = image_line_take(&lane->sync_line)))
		image_line_add(&lane->syncing, next);
	if (lane->syncing.first)
		raw_issue(lane->syncing.first);
	for (; io; io = next) {
		next = io->next_waiting;
		if (result < 0)
			raw_fail(io, -result);
		else if (io->verb == IMAGE_FLUSH ? image->lost : io->losses != lane->losses)
			raw_fail(io, EIO);
		else
			raw_end(io, 0);
	}
}

/* Direct I/O and a file in memory make a write stable by the write itself (RWF_DSYNC). */
static bool raw_write_syncs(const struct image_io *io)
{
	const struct image *image = io->lane->image;

	return io->verb == IMAGE_WRITE && io->durable && (image->direct || image->in_memory);
}

/* ---- Steps that have ended ---- */

/* The rest of it, what comes then, or the end. */
static void raw_advance(struct image_io *io, uint64_t bytes)
{
	io->moved += bytes;
	io->retries = 0;
	if (io->moved < io->length) {
		if (io->verb == IMAGE_WRITE_ZEROES && io->step != RAW_ZERO_WRITE)
			io->step = raw_zero_begin(io);
		if (!io->lane->image->direct)
			raw_rest(io);
		else
			raw_issue(io);
	} else if (io->durable && !raw_write_syncs(io)) {
		raw_sync(io);
	} else {
		raw_end(io, 0);
	}
}

static void raw_moved(struct image_io *io, int result)
{
	const struct image *image = io->lane->image;

	/*
	 * Nothing moved and no error, or direct I/O that stops within a block: a
	 * read at the end of a file that was cut.
	 */
	if (result == 0 || (result > 0 && image->direct &&
			    !is_aligned((uint64_t)result, image->logical_block)))
		result = io->verb == IMAGE_READ ? -ENODATA : -EIO;
	if (result < 0) {
		raw_fail(io, -result);
		return;
	}
	if (io->step == RAW_BOUNCE && io->verb == IMAGE_READ)
		iovec_copy(io->iov, io->bounce, (size_t)result, true);
	if (io->verb != IMAGE_WRITE_ZEROES)
		iovec_advance(io, (size_t)result);
	raw_advance(io, (uint64_t)result);
}

/* Why a file can't be zeroed fast is no matter: plain writing says what is really wrong. */
static void raw_zeroed(struct image_io *io, int result)
{
	struct image_lane *lane = io->lane;
	uint64_t bytes;

	if (result == -EOPNOTSUPP && io->step == RAW_PUNCH)
		lane->no_punch = true;
	else if (result == -EOPNOTSUPP)
		lane->no_zero_range = true;
	if (io->verb == IMAGE_DISCARD) {
		raw_end(io, 0); /* it was a hint */
	} else if (result < 0) {
		io->retries = 0;
		io->step = raw_zero_step(lane, io->step + 1);
		raw_issue(io);
	} else {
		raw_zero_whole(io, &bytes);
		raw_advance(io, bytes);
	}
}

static void raw_done(struct ring_op *op, int result, uint32_t cqe_flags)
{
	struct image_io *io = container_of(op, struct image_io, op);

	(void)cqe_flags;
	/* A sync may be others' as well. */
	if (io->step != RAW_SYNC && !raw_wanted(io)) {
		raw_end(io, -ECANCELED);
		return;
	}
	if ((result == -EINTR || result == -EAGAIN) && io->retries < RAW_RETRIES) {
		io->retries++;
		raw_issue(io);
		return;
	}
	switch ((enum raw_step)io->step) {
	case RAW_TRANSFER:
	case RAW_BOUNCE:
	case RAW_ZERO_WRITE:
	case RAW_ZERO_EDGE:
		raw_moved(io, result);
		break;
	case RAW_PUNCH:
	case RAW_ZERO_RANGE:
		raw_zeroed(io, result);
		break;
	case RAW_SYNC:
		raw_synced(io->lane, result);
		break;
	}
}

void raw_submit(struct image_lane *lane, struct image_io *io)
{
	io->lane = lane;
	io->op.done = raw_done;
	io->bounce = NULL;
	io->moved = 0;
	io->losses = lane->losses;
	io->retries = 0;
	switch (io->verb) {
	case IMAGE_READ:
	case IMAGE_WRITE:
		io->step = RAW_TRANSFER;
		if (!lane->image->direct || iovec_direct(lane->image, io))
			break;
		io->step = RAW_BOUNCE;
		if (!buffer_take(lane, io))
			return;
		break;
	case IMAGE_FLUSH:
		raw_sync(io);
		return;
	case IMAGE_DISCARD:
		io->step = RAW_PUNCH;
		if (lane->no_punch) {
			raw_end(io, 0);
			return;
		}
		break;
	case IMAGE_WRITE_ZEROES:
		io->step = raw_zero_begin(io);
		break;
	}
	raw_issue(io);
}

int raw_lane_init(struct image_lane *lane)
{
	uint8_t *mapping;

	/* Pages of both come into being when they are touched; the zeroes' never do. */
	mapping = mmap(NULL, RAW_BUFFERS * RAW_BUFFER_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mapping == MAP_FAILED)
		return -errno;
	lane->buffers = mapping;
	mapping = mmap(NULL, RAW_ZEROES_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mapping == MAP_FAILED) {
		int error = errno;

		munmap(lane->buffers, RAW_BUFFERS * RAW_BUFFER_BYTES);
		return -error;
	}
	lane->zeroes = mapping;
	lane->buffers_free = (uint32_t)(BIT64(RAW_BUFFERS) - 1);
	image_line_init(&lane->buffer_line);
	image_line_init(&lane->rest_line);
	image_line_init(&lane->syncing);
	image_line_init(&lane->sync_line);
	lane->rest_job.run = raw_go_on;
	return 0;
}

void raw_lane_destroy(struct image_lane *lane)
{
	munmap(lane->buffers, RAW_BUFFERS * RAW_BUFFER_BYTES);
	munmap(lane->zeroes, RAW_ZEROES_BYTES);
}

const struct image_format raw_format = {
	.name = "raw",
	.submit = raw_submit,
};
