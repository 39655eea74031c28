/* SPDX-License-Identifier: MIT */
/*
 * A disk image: what a disk device reads and writes, whatever the format.
 *
 * An image is fixed once it is open and may be read by any thread. What serves one
 * worker (file slot, bounce buffers, waiting requests) is an image_lane, of which
 * every worker has its own: so the data path of several queues has no lock.
 *
 * A format turns an offset of the disk into offsets of the file and hands the
 * parts to raw_submit() (block/raw.h), which does all of the file's I/O.
 */
#ifndef BLOCK_IMAGE_H
#define BLOCK_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/log.h"
#include "block/image_line.h"
#include "core/worker.h"

#define IMAGE_SECTOR_BYTES 512
#define IMAGE_IOVECS_MAX 1024 /* the most that the kernel takes at once */

enum image_cache {
	IMAGE_CACHE_AUTO,	  /* direct where that leaves the disk's blocks at 512 bytes */
	IMAGE_CACHE_DIRECT,	  /* past the host's page cache, if the file system can */
	IMAGE_CACHE_WRITEBACK,	  /* through the page cache; stable after a flush */
	IMAGE_CACHE_WRITETHROUGH, /* through the page cache; every write is stable */
	IMAGE_CACHE_UNSAFE,	  /* as writeback, and a flush does nothing */
};

struct image_config {
	const char *name; /* "disk0": for messages */
	const char *path;
	bool readonly;
	bool format_raw; /* said by the user: don't look for other formats */
	enum image_cache cache;
};

struct image;
struct image_io;
struct image_lane;

/* NULL means: nothing to do. */
struct image_format {
	const char *name;
	void (*submit)(struct image_lane *lane, struct image_io *io);
};

/* All is fixed when the last lane is there, but for `lost` and the counters of the log's limit. */
struct image {
	struct image_config config; /* strings are the caller's, and outlive the image */
	const struct image_format *format;
	int fd;

	/* What the guest may know. Bytes. */
	uint64_t capacity_bytes; /* a multiple of logical_block */
	uint32_t logical_block;	 /* of which every offset and length is a multiple */
	uint32_t physical_block; /* the least that is written without reading first */
	uint32_t optimal_io;	 /* 0: not known */
	bool can_discard;

	/* How the file wants its I/O. */
	bool block_device, direct;
	bool in_memory; /* on a tmpfs: all but huge transfers end within image_submit() */
	unsigned lane_count;
	uint32_t memory_align; /* direct: of every buffer's address */
	uint32_t zero_block;   /* direct: parts of one are zeroed by writing */

	/*
	 * The host could not store what the page cache had. It says so once and forgets
	 * the data, so a flush would succeed the next time: none does. Any worker sets it.
	 */
	_Atomic bool lost;
	struct log_limit log_limit;
};

enum image_verb { IMAGE_READ, IMAGE_WRITE, IMAGE_FLUSH, IMAGE_DISCARD, IMAGE_WRITE_ZEROES };

/*
 * One request, embedded in the device's. It belongs to block/ from
 * image_submit() to done(), which is called exactly once, with 0 or -errno,
 * maybe before image_submit() returns.
 */
struct image_io {
	enum image_verb verb;
	bool durable; /* WRITE, WRITE_ZEROES: on stable storage before done() */
	bool unmap;   /* WRITE_ZEROES: the range may be deallocated */
	uint64_t offset, length; /* bytes; not for FLUSH */
	struct iovec *iov; /* READ, WRITE: `length` bytes in all; used up on the way */
	unsigned iov_count;
	void (*done)(struct image_io *io, int result);
	/* NULL: always. Asked between the steps of a long one, which else ends by -ECANCELED. */
	bool (*wanted)(const struct image_io *io);

	/* block/ only */
	struct ring_op op;
	struct image_lane *lane;
	struct image_io *next_waiting; /* in one of the lane's lines: block/image_line.h */
	uint8_t *bounce;
	uint64_t moved; /* bytes, counting from offset */
	unsigned losses; /* of the lane, when it began */
	uint8_t step, retries; /* enum raw_step */
};

/* An image as one worker sees it. That worker's thread only. */
struct image_lane {
	struct image *image;
	struct worker *worker;
	int slot; /* the file among the worker's fixed files */
	int fd;	  /* the image's, or one of its own; see raw_sync() */
	uint8_t *buffers, *zeroes;
	uint32_t buffers_free; /* bitmap */
	struct image_line buffer_line;	/* for a bounce buffer */
	struct image_line rest_line;	/* for their turn to go on, but for direct I/O */
	struct worker_job rest_job;
	struct image_line syncing;	/* share the sync that is in flight, the first one's */
	struct image_line sync_line;	/* for the next one */
	unsigned losses;		/* syncs that failed */
	bool no_punch, no_zero_range; /* learnt: this file can't */
};

/*
 * Opens and locks the image: for itself if it may be written, else with other
 * readers. Control thread. 0 or a failure, logged with what to do.
 */
int image_open(struct image *image, const struct image_config *config);

/* No lane is left. The lock ends with it. */
void image_close(struct image *image);

/* Control thread, whether the worker runs or not. 0 or a failure, logged. */
int image_lane_init(struct image_lane *lane, struct image *image, struct worker *worker);

/* Control thread. Nothing is in flight. */
void image_lane_destroy(struct image_lane *lane);

/*
 * Begins a request. Refuses with done(-EINVAL) what does not lie inside the
 * capacity or is not made of whole blocks, with -EROFS what would change a
 * read-only image, with -EIO a flush of one that is lost. What the host fails at
 * is logged here, rate-limited.
 */
void image_submit(struct image_lane *lane, struct image_io *io);

#endif
