// SPDX-License-Identifier: MIT
/*
 * Opens an image: what the path is, who may use it, how large it is, in which
 * blocks, and whether past the page cache. Control thread. Then the checks that
 * every request passes before its format sees it, on the worker's thread.
 */
#include "block/image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "block/raw.h"

#define DIRECT_MEMORY_ALIGN_MAX 4096	 /* of bounce buffers: a page */
#define DIRECT_BLOCK_MAX (64 * KIB)	 /* a bounce buffer holds whole blocks */
#define FILE_SYSTEM_BLOCK_MAX (64 * KIB)
#define FILE_PHYSICAL_BLOCK 4096	 /* more would only be the file system's read-ahead */

static int open_failed(const struct image_config *config, int error)
{
	switch (error) {
	case ENOENT:
		return fail(error, "%s: %s: no such file; make an empty disk with: truncate -s 8G "
			    "%s", config->name, config->path, config->path);
	case EBUSY:
		return fail(error, "%s: %s: in use by another process, or mounted; unmount it "
			    "first", config->name, config->path);
	case EACCES:
	case EPERM:
	case EROFS:
	case ETXTBSY:
		if (!config->readonly && !access(config->path, R_OK))
			return fail(error, "%s: %s: may not be written (%s); add ',ro' to use it "
				    "read-only", config->name, config->path, strerror(error));
		break;
	}
	return fail(error, "%s: %s: can't be opened: %s; %s", config->name, config->path,
		    strerror(error), fd_open_advice(error));
}

/* Opened only if it is what it has to be: opening a FIFO or a tape does things. */
static int image_open_file(struct image *image)
{
	const struct image_config *config = &image->config;
	int flags = O_CLOEXEC | (config->readonly ? O_RDONLY : O_RDWR);
	struct stat status;
	unsigned tries = 0;

	if (stat(config->path, &status))
		return open_failed(config, errno);
	if (S_ISDIR(status.st_mode))
		return fail(EISDIR, "%s: %s: is a directory; give an image file or a block device",
			    config->name, config->path);
	image->block_device = S_ISBLK(status.st_mode);
	if (!S_ISREG(status.st_mode) && !image->block_device)
		return fail(EINVAL, "%s: %s: is neither a file nor a block device; "
			    "name one that is", config->name,
			    config->path);
	/* On a block device O_EXCL refuses what is mounted; elsewhere it would mean nothing. */
	if (image->block_device && !config->readonly)
		flags |= O_EXCL;
	do {
		image->fd = open(config->path, flags);
	} while (image->fd < 0 && errno == EBUSY && fd_may_be_free_soon(&tries));
	return image->fd < 0 ? open_failed(config, errno) : 0;
}

/*
 * The lock belongs to the open file: it ends with the process, however that
 * comes to pass, and keeps out a second disk of this one.
 */
static int image_lock(const struct image *image)
{
	const struct image_config *config = &image->config;
	struct flock lock = {
		.l_type = config->readonly ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};
	unsigned tries = 0;

	do {
		if (!fcntl(image->fd, F_OFD_SETLK, &lock))
			return 0;
	} while ((errno == EAGAIN || errno == EACCES) && fd_may_be_free_soon(&tries));
	if (errno == EAGAIN || errno == EACCES)
		return fail(EBUSY, "%s: %s: in use by another process or disk; end that one%s",
			    config->name, config->path,
			    config->readonly ? "" : ", or have all of them use it with ',ro'");
	log_warning("%s: %s: can't be locked (%s): make sure that nothing else uses it",
		    config->name, config->path, strerror(errno));
	return 0;
}

/*
 * To zero part of a block a file system of the host takes all of it into the page
 * cache, which a direct image shall have nothing in. Where st_blksize is no size of
 * such blocks but what a server or a stripe likes best, the largest there is will do.
 */
static uint32_t file_zero_block(uint64_t preferred_bytes)
{
	return is_power_of_two(preferred_bytes) && preferred_bytes <= FILE_SYSTEM_BLOCK_MAX ?
		       (uint32_t)preferred_bytes : FILE_SYSTEM_BLOCK_MAX;
}

static int image_measure_file(struct image *image, uint64_t *size_bytes)
{
	struct stat status;

	if (fstat(image->fd, &status))
		return fail_errno("%s: %s: stat", image->config.name, image->config.path);
	*size_bytes = (uint64_t)status.st_size;
	image->logical_block = IMAGE_SECTOR_BYTES;
	image->physical_block = (uint32_t)min_u64((uint64_t)status.st_blksize,
						  FILE_PHYSICAL_BLOCK);
	image->zero_block = file_zero_block((uint64_t)status.st_blksize);
	return 0;
}

static int image_measure_device(struct image *image, uint64_t *size_bytes)
{
	const struct image_config *config = &image->config;
	int logical = 0, readonly = 0;
	unsigned physical = 0, optimal = 0;

	if (ioctl(image->fd, BLKGETSIZE64, size_bytes) || ioctl(image->fd, BLKSSZGET, &logical))
		return fail_errno("%s: %s: size of the block device", config->name, config->path);
	if (!config->readonly && !ioctl(image->fd, BLKROGET, &readonly) && readonly)
		return open_failed(config, EROFS);
	/* Advice only: what isn't known stays 0. */
	if (ioctl(image->fd, BLKPBSZGET, &physical))
		physical = 0;
	if (ioctl(image->fd, BLKIOOPT, &optimal))
		optimal = 0;
	image->logical_block = (uint32_t)logical;
	image->zero_block = (uint32_t)logical;
	image->physical_block = physical;
	image->optimal_io = optimal;
	return 0;
}

/*
 * btrfs makes a block's checksum before it writes the block out, and a guest may
 * change its memory meanwhile: what was stored by direct I/O could not be read any
 * more. (Linux from 6.15 on uses the page cache there, whoever asks.)
 */
static bool file_has_checksums(int fd)
{
	struct statfs status;
	int flags = 0;

	return !fstatfs(fd, &status) && status.f_type == BTRFS_SUPER_MAGIC &&
	       (ioctl(fd, FS_IOC_GETFLAGS, &flags) || !(flags & FS_NOCOW_FL));
}

/* With O_DIRECT set: the smallest block that a read accepts, for kernels that can't say. */
static uint32_t direct_block_by_trial(int fd)
{
	uint32_t block = 0;
	void *buffer;

	if (posix_memalign(&buffer, DIRECT_MEMORY_ALIGN_MAX, DIRECT_MEMORY_ALIGN_MAX))
		return 0;
	for (uint32_t size = IMAGE_SECTOR_BYTES; size <= DIRECT_MEMORY_ALIGN_MAX && !block;
	     size *= 2)
		if (pread(fd, buffer, size, 0) >= 0)
			block = size;
	free(buffer);
	return block;
}

/* With O_DIRECT set: what offsets and buffers must be multiples of; false if it can't work. */
static bool direct_alignment(const struct image *image, uint32_t *block, uint32_t *memory)
{
	struct statx status;

	if (!statx(image->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) &&
	    (status.stx_mask & STATX_DIOALIGN)) {
		*block = status.stx_dio_offset_align; /* 0: this file can't */
		*memory = status.stx_dio_mem_align;
	} else {
		*block = image->block_device ? image->logical_block :
					       direct_block_by_trial(image->fd);
		*memory = image->block_device ? *block : DIRECT_MEMORY_ALIGN_MAX;
	}
	return is_power_of_two(*block) && *block <= DIRECT_BLOCK_MAX &&
	       is_power_of_two(*memory) && *memory <= DIRECT_MEMORY_ALIGN_MAX;
}

/*
 * A file in larger blocks than 512 bytes would show the guest another disk than
 * the same file did on another host, with partition tables at other places: only
 * who asks for it gets that. A block device has its own block size anyway.
 */
static bool direct_wanted(const struct image *image, uint32_t block)
{
	return image->config.cache == IMAGE_CACHE_DIRECT || block <= image->logical_block;
}

static int image_set_direct(struct image *image)
{
	const struct image_config *config = &image->config;
	int flags = fcntl(image->fd, F_GETFL);
	uint32_t block = 0, memory = 0;
	bool checksums;

	if (config->cache != IMAGE_CACHE_AUTO && config->cache != IMAGE_CACHE_DIRECT)
		return 0;
	checksums = file_has_checksums(image->fd);
	/* From Linux 6.6 on a tmpfs takes the flag, and only demands alignment for it. */
	if (!image->in_memory && !checksums && !fcntl(image->fd, F_SETFL, flags | O_DIRECT)) {
		if (direct_alignment(image, &block, &memory) && direct_wanted(image, block)) {
			image->direct = true;
			image->memory_align = memory;
			image->logical_block = (uint32_t)max_u64(image->logical_block, block);
			return 0;
		}
		if (fcntl(image->fd, F_SETFL, flags & ~O_DIRECT))
			return fail_errno("%s: %s: clear O_DIRECT", config->name, config->path);
	}
	if (config->cache == IMAGE_CACHE_DIRECT)
		log_warning("%s: %s: its file system has no direct I/O%s: using the page cache",
			    config->name, config->path, checksums ?
			    " that keeps checksums right; make the file in a directory with "
			    "'chattr +C', which has none" : "");
	else
		log_debug("%s: no direct I/O in blocks of 512 bytes: using the page cache",
			  config->name);
	return 0;
}

static int image_set_geometry(struct image *image)
{
	const struct image_config *config = &image->config;
	uint64_t size_bytes = 0;
	int error;

	/*
	 * A tmpfs refuses I/O that must not block, so the ring would hand each request
	 * to a thread of its own, which takes longer than the copy that the request is.
	 */
	image->in_memory = !image->block_device && fd_in_memory(image->fd);
	error = image->block_device ? image_measure_device(image, &size_bytes) :
				      image_measure_file(image, &size_bytes);
	if (!error)
		error = image_set_direct(image);
	if (error)
		return error;
	if (!is_power_of_two(image->physical_block) || image->physical_block < image->logical_block)
		image->physical_block = image->logical_block;
	image->capacity_bytes = align_down(size_bytes, image->logical_block);
	if (!image->capacity_bytes)
		return fail(EINVAL, "%s: %s: has %llu bytes and a disk needs %u at least; make it "
			    "larger with: truncate -s 8G %s", config->name, config->path,
			    (unsigned long long)size_bytes, image->logical_block, config->path);
	if (image->capacity_bytes != size_bytes)
		log_warning("%s: %s: the last %llu bytes are no whole block of %u: left out",
			    config->name, config->path,
			    (unsigned long long)(size_bytes - image->capacity_bytes),
			    image->logical_block);
	return 0;
}

/* Punching behind the end of a file changes nothing, but says whether it could. */
static bool image_can_punch(const struct image *image)
{
	if (image->config.readonly)
		return false;
	return image->block_device ||
	       !fallocate(image->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (off_t)align_up(image->capacity_bytes, MIB), MIB);
}

/*
 * Only raw images can be used. One of another format, taken for raw, would look
 * empty to the guest and be lost when that writes to it.
 */
static int image_set_format(struct image *image)
{
	static const struct {
		const char *name;
		size_t at, length;
		const char *magic;
	} others[] = {
		{ "qcow2", 0, 4, "QFI\xfb" },
		{ "QED", 0, 4, "QED" }, /* and a zero */
		{ "VMDK", 0, 4, "KDMV" },
		{ "VMDK", 0, 4, "COWD" },
		{ "VMDK", 0, 21, "# Disk DescriptorFile" },
		{ "VHD", 0, 8, "conectix" },
		{ "VHDX", 0, 8, "vhdxfile" },
		{ "VDI", 64, 4, "\x7f\x10\xda\xbe" },
		{ "Parallels", 0, 16, "WithoutFreeSpace" },
		{ "Parallels", 0, 16, "WithouFreSpacExt" },
	};
	const struct image_config *config = &image->config;
	char start[68] = "";
	ssize_t length;

	image->format = &raw_format;
	if (config->format_raw)
		return 0;
	length = fd_pread_full(image->fd, start, sizeof(start), 0);
	if (length < 0)
		return fail((int)-length, "%s: %s: can't be read: %s", config->name, config->path,
			    strerror((int)-length));
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
		if (!memcmp(start + others[i].at, others[i].magic, others[i].length))
			return fail(EINVAL, "%s: %s: is a %s image, and only raw ones can be used; "
				    "convert it (qemu-img convert -O raw), or add 'format=raw' if "
				    "these are the disk's own bytes", config->name, config->path,
				    others[i].name);
	return 0;
}

int image_open(struct image *image, const struct image_config *config)
{
	int error;

	*image = (struct image){ .config = *config, .fd = -1 };
	error = image_open_file(image);
	if (!error)
		error = image_lock(image);
	if (!error)
		error = image_set_format(image); /* before O_DIRECT: it reads a few bytes */
	if (!error)
		error = image_set_geometry(image);
	if (error) {
		fd_close(&image->fd);
		return error;
	}
	image->can_discard = image_can_punch(image);
	log_debug("%s: %s: %s, %llu bytes in blocks of %u, %s%s", config->name, config->path,
		  image->format->name, (unsigned long long)image->capacity_bytes,
		  image->logical_block, image->direct ? "direct" : "page cache",
		  config->readonly ? ", read-only" : "");
	return 0;
}

void image_close(struct image *image)
{
	struct flock none = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	/* Now, and not when the last ring forgets the file. It may never have been locked. */
	(void)fcntl(image->fd, F_OFD_SETLK, &none);
	fd_close(&image->fd);
}

struct lane_call {
	struct worker_task task;
	struct image_lane *lane;
	int slot;
};

static void lane_add_file(struct worker_task *task)
{
	struct lane_call *call = container_of(task, struct lane_call, task);

	call->slot = worker_add_file(call->lane->worker, call->lane->fd);
}

static void lane_remove_file(struct worker_task *task)
{
	struct lane_call *call = container_of(task, struct lane_call, task);

	worker_remove_file(call->lane->worker, call->lane->slot);
}

static bool is_same_file(int a, int b)
{
	struct stat one, other;

	return !fstat(a, &one) && !fstat(b, &other) && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

/* Through the page cache each lane hears of lost data by an open file of its own: raw_sync(). */
static int lane_open(struct image_lane *lane)
{
	const struct image *image = lane->image;
	const struct image_config *config = &image->config;
	char byte;
	int fd;

	lane->fd = image->fd;
	if (!image->lane_count || image->direct || image->in_memory || config->readonly)
		return 0;
	fd = open(config->path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return open_failed(config, errno);
	if (!is_same_file(fd, image->fd)) {
		close(fd);
		return fail(ESTALE, "%s: %s: was replaced while it was opened; start again",
			    config->name, config->path);
	}
	/* On SMB a lock keeps out all open files but the one that has it. */
	if (pread(fd, &byte, 1, 0) < 0 && errno == EACCES)
		close(fd);
	else
		lane->fd = fd;
	return 0;
}

static void lane_close(struct image_lane *lane)
{
	if (lane->fd != lane->image->fd)
		fd_close(&lane->fd);
}

int image_lane_init(struct image_lane *lane, struct image *image, struct worker *worker)
{
	struct lane_call call = { { lane_add_file }, lane };
	int error;

	*lane = (struct image_lane){ .image = image, .worker = worker };
	error = lane_open(lane);
	if (error)
		return error;
	error = raw_lane_init(lane);
	if (error) {
		lane_close(lane);
		return fail(-error, "%s: memory for its buffers: %s", image->config.name,
			    strerror(-error));
	}
	worker_call(worker, &call.task);
	if (call.slot < 0) {
		raw_lane_destroy(lane);
		lane_close(lane);
		return fail(-call.slot, "%s: no place among the files of its worker: %s",
			    image->config.name, strerror(-call.slot));
	}
	lane->slot = call.slot;
	image->lane_count++;
	return 0;
}

void image_lane_destroy(struct image_lane *lane)
{
	struct lane_call call = { { lane_remove_file }, lane };

	/* The files of a worker that has ended go with its ring. */
	if (lane->worker->running)
		worker_call(lane->worker, &call.task);
	raw_lane_destroy(lane);
	lane_close(lane);
}

/* Sums in 64 bits that can't wrap: the numbers are the guest's. */
static bool io_fits(const struct image *image, const struct image_io *io)
{
	return range_within(io->offset, io->length, image->capacity_bytes) &&
	       is_aligned(io->offset | io->length, image->logical_block) &&
	       io->iov_count <= IMAGE_IOVECS_MAX;
}

void image_submit(struct image_lane *lane, struct image_io *io)
{
	const struct image *image = lane->image;
	const struct image_config *config = &image->config;

	if (io->verb == IMAGE_FLUSH) {
		if (config->readonly || config->cache == IMAGE_CACHE_UNSAFE)
			io->done(io, 0);
		else if (image->lost)
			io->done(io, -EIO);
		else
			image->format->submit(lane, io);
		return;
	}
	if (config->readonly && io->verb != IMAGE_READ) {
		io->done(io, -EROFS);
		return;
	}
	if (!io_fits(image, io)) {
		io->done(io, -EINVAL);
		return;
	}
	if (!io->length) {
		io->done(io, 0);
		return;
	}
	if (config->cache == IMAGE_CACHE_WRITETHROUGH)
		io->durable = io->verb != IMAGE_READ;
	else if (config->cache == IMAGE_CACHE_UNSAFE)
		io->durable = false;
	image->format->submit(lane, io);
}
