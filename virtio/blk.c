// SPDX-License-Identifier: MIT
/*
 * The block device (virtio 1.2, 5.2): requests of the guest become requests to
 * an image. Each head of each queue has its request from the start, so that
 * nothing is allocated while the guest runs. Requests live on the worker of
 * their queue; what goes on in the file is block/'s.
 */
#include "virtio/blk.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "block/image.h"
#include "core/worker.h"

#define BLK_USUAL_BYTES 4096 /* of a request */
#define BLK_CACHED_BYTES (64 * KIB) /* of one through the page cache */
#define BLK_QUEUE_SIZE 256
#define BLK_SEGMENTS_MAX (BLK_QUEUE_SIZE - 2) /* a descriptor each for header and status */
#define BLK_QUEUES_MAX 16
#define BLK_WORKERS_MAX 4
#define BLK_RANGES_MAX 16		   /* in one discard or write zeroes */
#define BLK_RANGE_SECTORS (GIB / IMAGE_SECTOR_BYTES) /* in one of these */
#define BLK_DISCARD_ALIGN 4096		   /* bytes: what file systems can deallocate */
#define BLK_PCI_CLASS 0x0180		   /* mass storage, of no particular kind */

/* The guest sees what stands before the fields of SECURE_ERASE, which is not offered. */
#define BLK_CONFIG_BYTES (offsetof(struct virtio_blk_config, unused1) + 3)

static_assert(BLK_CONFIG_BYTES == 60, "virtio 1.2, 5.2.4");
static_assert(sizeof(struct virtio_blk_outhdr) == 16, "virtio 1.2, 5.2.6");
static_assert(sizeof(struct virtio_blk_discard_write_zeroes) == 16, "virtio 1.2, 5.2.6");

struct blk_options {
	char *path, *serial;
	bool readonly, direct;
	unsigned cache, format, queues;
};

struct blk_request {
	struct image_io io;
	struct virtqueue *queue;
	uint16_t head;
	bool first_is_status;	/* no writable byte stands before the status */
	uint8_t *status;
	/* DISCARD, WRITE_ZEROES: copies, all checked before the first begins. */
	uint8_t range, range_count;
	struct virtio_blk_discard_write_zeroes ranges[BLK_RANGES_MAX];
};

struct blk {
	struct virtio_device device;
	struct image image;
	struct image_lane lanes[BLK_WORKERS_MAX]; /* one a worker */
	unsigned lane_count;
	struct virtqueue queues[BLK_QUEUES_MAX];
	struct blk_request *requests[BLK_QUEUES_MAX]; /* by queue, then by head */
	struct virtio_blk_config config;
	struct virtio_blk_config config_writable;
	bool starts_writeback;	     /* what config.wce is after a reset */
	_Atomic bool writes_durable; /* vCPU threads set it, workers read it */
	char serial[VIRTIO_BLK_ID_BYTES]; /* padded with zeros, maybe without an end */
};

static struct blk *blk_of(struct virtio_device *device)
{
	return container_of(device, struct blk, device);
}

/* ---- Requests: the queue's worker ---- */

/*
 * The only way a request ends: once, with a status. The length counts bytes
 * from the first writable one without a gap (2.7.8.2), so a read that failed
 * has none, although its status was written behind them.
 */
static void blk_end(struct blk_request *request, uint8_t status)
{
	const struct image_io *io = &request->io;
	uint32_t written = request->first_is_status ? 1 : 0;

	if (status == VIRTIO_BLK_S_OK && io->verb == IMAGE_READ)
		written = (uint32_t)io->length + 1;
	*request->status = status;
	virtqueue_push(request->queue, request->head, written);
}

static void blk_done(struct image_io *io, int result)
{
	struct blk_request *request = container_of(io, struct blk_request, io);

	blk_end(request, result ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
}

/* A guest that resets does not wait for all that it has asked for. */
static bool blk_wanted(const struct image_io *io)
{
	return virtqueue_wanted(container_of(io, const struct blk_request, io)->queue);
}

static struct image_lane *blk_lane(struct blk *blk, const struct virtqueue *queue)
{
	return &blk->lanes[queue->index % blk->lane_count];
}

static void blk_read_write(struct blk *blk, struct blk_request *request, struct chain *chain,
			   uint32_t type, uint64_t sector)
{
	struct image_io *io = &request->io;
	uint64_t usual_bytes;

	if (type == VIRTIO_BLK_T_IN) {
		io->verb = IMAGE_READ;
		io->iov = chain->writable;
		io->iov_count = chain->writable_count;
		io->length = chain->writable_bytes;
	} else {
		io->verb = IMAGE_WRITE;
		io->iov = chain->readable;
		io->iov_count = chain->readable_count;
		io->length = chain->readable_bytes;
		io->durable = blk->writes_durable;
	}
	/* The image checks the rest. A chain's length fits the used ring: the queue saw to that. */
	if (__builtin_mul_overflow(sector, (uint64_t)IMAGE_SECTOR_BYTES, &io->offset)) {
		blk_end(request, VIRTIO_BLK_S_IOERR);
		return;
	}
	image_submit(blk_lane(blk, request->queue), io);
	/*
	 * It has ended already, or will while it is submitted if the page cache has it,
	 * or most of it waits: others shall not wait till many such have.
	 */
	usual_bytes = blk->image.in_memory ? BLK_USUAL_BYTES : BLK_CACHED_BYTES;
	if (!blk->image.direct && io->length)
		virtqueue_spend(request->queue, (unsigned)((io->length - 1) / usual_bytes));
}

static void blk_flush(struct blk *blk, struct blk_request *request)
{
	/* All queues' writes that have ended are in the file, and it is synced as a whole. */
	request->io.verb = IMAGE_FLUSH;
	image_submit(blk_lane(blk, request->queue), &request->io);
}

static void blk_get_id(struct blk *blk, struct blk_request *request, struct chain *chain)
{
	if (chain->writable_bytes != VIRTIO_BLK_ID_BYTES ||
	    !chain_put(chain, blk->serial, VIRTIO_BLK_ID_BYTES)) {
		blk_end(request, VIRTIO_BLK_S_IOERR);
		return;
	}
	/* As a read of that many bytes. */
	request->io.verb = IMAGE_READ;
	request->io.length = VIRTIO_BLK_ID_BYTES;
	blk_end(request, VIRTIO_BLK_S_OK);
}

/* ---- Discard and write zeroes ---- */

static void blk_next_range(struct blk *blk, struct blk_request *request)
{
	const struct virtio_blk_discard_write_zeroes *range = &request->ranges[request->range];
	struct image_io *io = &request->io;

	io->offset = le64toh(range->sector) * IMAGE_SECTOR_BYTES;
	io->length = (uint64_t)le32toh(range->num_sectors) * IMAGE_SECTOR_BYTES;
	io->unmap = le32toh(range->flags) & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	image_submit(blk_lane(blk, request->queue), io);
}

static void blk_range_done(struct image_io *io, int result)
{
	struct blk_request *request = container_of(io, struct blk_request, io);

	request->range++;
	if (!result && request->range < request->range_count)
		blk_next_range(blk_of(request->queue->device), request);
	else
		blk_done(io, result);
}

/* One range by itself: a status. */
static uint8_t blk_check_range(const struct blk *blk, enum image_verb verb,
			       const struct virtio_blk_discard_write_zeroes *range)
{
	const uint32_t known = verb == IMAGE_DISCARD ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	const uint64_t capacity = blk->image.capacity_bytes / IMAGE_SECTOR_BYTES;
	const uint32_t block = blk->image.logical_block / IMAGE_SECTOR_BYTES;
	const uint64_t sector = le64toh(range->sector);
	const uint32_t count = le32toh(range->num_sectors);

	if (le32toh(range->flags) & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	if (count > BLK_RANGE_SECTORS || !range_within(sector, count, capacity) ||
	    !is_aligned(sector | count, block))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

static uint8_t blk_pull_ranges(struct blk *blk, struct blk_request *request, struct chain *chain)
{
	const size_t range_bytes = sizeof(request->ranges[0]);
	const uint64_t bytes = chain->readable_bytes;
	uint8_t status = VIRTIO_BLK_S_OK;

	if (!bytes || bytes % range_bytes || bytes / range_bytes > BLK_RANGES_MAX ||
	    !chain_pull(chain, request->ranges, bytes))
		return VIRTIO_BLK_S_IOERR;
	request->range_count = (uint8_t)(bytes / range_bytes);
	for (unsigned i = 0; i < request->range_count && status == VIRTIO_BLK_S_OK; i++)
		status = blk_check_range(blk, request->io.verb, &request->ranges[i]);
	return status;
}

static void blk_ranges(struct blk *blk, struct blk_request *request, struct chain *chain,
		       uint32_t type)
{
	struct image_io *io = &request->io;
	const bool discard = type == VIRTIO_BLK_T_DISCARD;
	uint8_t status;

	io->verb = discard ? IMAGE_DISCARD : IMAGE_WRITE_ZEROES;
	io->done = blk_range_done;
	io->durable = blk->writes_durable;
	if (blk->image.config.readonly)
		status = VIRTIO_BLK_S_IOERR;
	else if (!virtio_has(&blk->device, discard ? VIRTIO_BLK_F_DISCARD :
						     VIRTIO_BLK_F_WRITE_ZEROES))
		status = VIRTIO_BLK_S_UNSUPP;
	else
		status = blk_pull_ranges(blk, request, chain);
	if (status == VIRTIO_BLK_S_OK)
		blk_next_range(blk, request);
	else
		blk_end(request, status);
}

static void blk_begin(struct blk *blk, struct blk_request *request, struct chain *chain)
{
	struct virtio_blk_outhdr header;
	uint32_t type;

	request->io = (struct image_io){
		.verb = IMAGE_FLUSH, .done = blk_done, .wanted = blk_wanted
	};
	request->range = 0;
	request->range_count = 0;
	if (!chain_pull(chain, &header, sizeof(header))) {
		blk_end(request, VIRTIO_BLK_S_IOERR);
		return;
	}
	type = le32toh(header.type);
	switch (type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		blk_read_write(blk, request, chain, type, le64toh(header.sector));
		break;
	case VIRTIO_BLK_T_FLUSH:
		blk_flush(blk, request);
		break;
	case VIRTIO_BLK_T_GET_ID:
		blk_get_id(blk, request, chain);
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		blk_ranges(blk, request, chain, type);
		break;
	default:
		blk_end(request, VIRTIO_BLK_S_UNSUPP);
		break;
	}
}

static void blk_kick(struct virtqueue *queue)
{
	struct blk *blk = blk_of(queue->device);
	struct chain chain;

	while (virtqueue_pop(queue, &chain)) {
		struct blk_request *request = &blk->requests[queue->index][chain.head];

		boot_trace_mark(blk->device.deps.trace, BOOT_DISK);
		request->queue = queue;
		request->head = chain.head;
		request->status = chain_take_last(&chain);
		request->first_is_status = !chain.writable_bytes;
		if (request->status)
			blk_begin(blk, request, &chain);
		else
			virtqueue_push(queue, chain.head, 0); /* nowhere to say what is wrong */
	}
}

/* ---- Configuration: vCPU threads, device->lock held ---- */

/*
 * 5.2.6.2: a write is stable when it ends if the driver can't flush, or if it
 * has turned the write cache off.
 */
static void blk_set_durable(struct blk *blk)
{
	const struct virtio_device *device = &blk->device;

	blk->writes_durable = !virtio_has(device, VIRTIO_BLK_F_FLUSH) ||
			      (virtio_has(device, VIRTIO_BLK_F_CONFIG_WCE) && !blk->config.wce);
}

static void blk_set_writeback(struct blk *blk, bool writeback)
{
	const uint8_t wce = writeback;

	if (blk->config.wce != wce)
		virtio_config_update(&blk->device, offsetof(struct virtio_blk_config, wce), &wce,
				     sizeof(wce));
}

/* 5.2.5.2: no cache for a driver that can't flush it. */
static void blk_features_ok(struct virtio_device *device)
{
	if (!virtio_has(device, VIRTIO_BLK_F_FLUSH))
		blk_set_writeback(blk_of(device), false);
}

/* 5.2.2 */
static bool blk_has_queue(const struct virtio_device *device, unsigned index)
{
	return index == 0 || virtio_has(device, VIRTIO_BLK_F_MQ);
}

static int blk_ready(struct virtio_device *device)
{
	blk_set_durable(blk_of(device));
	return 0;
}

static void blk_config_written(struct virtio_device *device, size_t offset, size_t length)
{
	(void)offset; /* wce is the only byte that can be */
	(void)length;
	blk_set_durable(blk_of(device));
}

static void blk_reset(struct virtio_device *device)
{
	struct blk *blk = blk_of(device);

	blk_set_writeback(blk, blk->starts_writeback);
}

/* ---- Creation: control thread ---- */

static const char *const cache_names[] = {
	[IMAGE_CACHE_AUTO] = "auto",
	[IMAGE_CACHE_DIRECT] = "direct",
	[IMAGE_CACHE_WRITEBACK] = "writeback",
	[IMAGE_CACHE_WRITETHROUGH] = "writethrough",
	[IMAGE_CACHE_UNSAFE] = "unsafe",
	NULL,
};

enum blk_format { BLK_FORMAT_AUTO, BLK_FORMAT_RAW };

static const char *const format_names[] = {
	[BLK_FORMAT_AUTO] = "auto",
	[BLK_FORMAT_RAW] = "raw",
	NULL,
};

static const struct option_key blk_keys[] = {
	{ "path", OPTION_STRING, offsetof(struct blk_options, path), "image file or block device",
	  .positional = true, .required = true },
	{ "ro", OPTION_FLAG, offsetof(struct blk_options, readonly), "refuse writes" },
	{ "direct", OPTION_FLAG, offsetof(struct blk_options, direct), "the same as cache=direct" },
	{ "cache", OPTION_CHOICE, offsetof(struct blk_options, cache),
	  "auto (default), direct, writeback, writethrough, unsafe; see ringvm-run(1)",
	  .choices = cache_names },
	{ "queues", OPTION_UINT, offsetof(struct blk_options, queues), "1 (default) to 16",
	  .minimum = 1, .maximum = BLK_QUEUES_MAX },
	{ "serial", OPTION_STRING, offsetof(struct blk_options, serial),
	  "at most 20 bytes; default: the disk's name, such as disk0" },
	{ "format", OPTION_CHOICE, offsetof(struct blk_options, format),
	  "auto (default): refuse what looks like another format than raw; or raw",
	  .choices = format_names },
	{ 0 },
};

static unsigned blk_queue_count(const struct blk_options *options)
{
	return options->queues ? options->queues : 1;
}

static unsigned blk_worker_count(const void *options, unsigned vcpu_count)
{
	return (unsigned)min_u64(min_u64(blk_queue_count(options), vcpu_count), BLK_WORKERS_MAX);
}

static int blk_set_serial(struct blk *blk, const char *name, const char *serial)
{
	size_t length = strlen(serial ? serial : name);

	if (serial && length > sizeof(blk->serial))
		return fail(EINVAL, "%s: serial=%s: has %zu bytes; give 20 at most", name, serial,
			    length);
	memcpy(blk->serial, serial ? serial : name, min_u64(length, sizeof(blk->serial)));
	return 0;
}

static int blk_open_image(struct blk *blk, const struct blk_options *options, const char *name)
{
	struct image_config config = {
		.name = name,
		.path = options->path,
		.readonly = options->readonly,
		.format_raw = options->format == BLK_FORMAT_RAW,
		.cache = options->direct ? IMAGE_CACHE_DIRECT : (enum image_cache)options->cache,
	};

	if (options->direct && options->cache != IMAGE_CACHE_AUTO &&
	    options->cache != IMAGE_CACHE_DIRECT)
		return fail(EINVAL, "%s: direct contradicts cache=%s; give one of them", name,
			    cache_names[options->cache]);
	return image_open(&blk->image, &config);
}

static uint64_t blk_features(const struct blk *blk, unsigned queue_count)
{
	uint64_t features = BIT64(VIRTIO_BLK_F_SEG_MAX) | BIT64(VIRTIO_BLK_F_BLK_SIZE) |
			    BIT64(VIRTIO_BLK_F_TOPOLOGY) | BIT64(VIRTIO_BLK_F_FLUSH) |
			    BIT64(VIRTIO_BLK_F_CONFIG_WCE);

	if (queue_count > 1)
		features |= BIT64(VIRTIO_BLK_F_MQ);
	if (blk->image.config.readonly)
		features |= BIT64(VIRTIO_BLK_F_RO);
	else
		features |= BIT64(VIRTIO_BLK_F_WRITE_ZEROES);
	if (blk->image.can_discard)
		features |= BIT64(VIRTIO_BLK_F_DISCARD);
	return features;
}

static void blk_fill_config(struct blk *blk, unsigned queue_count)
{
	const struct image *image = &blk->image;
	const uint32_t block = image->logical_block;
	const uint32_t align = (uint32_t)max_u64(BLK_DISCARD_ALIGN, image->physical_block);
	uint32_t physical;

	assert(block >= IMAGE_SECTOR_BYTES && image->physical_block >= block);
	physical = image->physical_block / block;
	blk->starts_writeback = image->config.cache != IMAGE_CACHE_WRITETHROUGH;
	blk->config = (struct virtio_blk_config){
		.capacity = htole64(image->capacity_bytes / IMAGE_SECTOR_BYTES),
		.seg_max = htole32(BLK_SEGMENTS_MAX),
		.blk_size = htole32(block),
		.physical_block_exp = (uint8_t)__builtin_ctz(physical),
		.min_io_size = htole16((uint16_t)physical),
		.opt_io_size = htole32(image->optimal_io / block),
		.wce = blk->starts_writeback,
		.num_queues = htole16((uint16_t)queue_count),
	};
	if (image->can_discard) {
		blk->config.max_discard_sectors = htole32(BLK_RANGE_SECTORS);
		blk->config.max_discard_seg = htole32(BLK_RANGES_MAX);
		blk->config.discard_sector_alignment = htole32(align / IMAGE_SECTOR_BYTES);
	}
	if (!image->config.readonly) {
		blk->config.max_write_zeroes_sectors = htole32(BLK_RANGE_SECTORS);
		blk->config.max_write_zeroes_seg = htole32(BLK_RANGES_MAX);
		blk->config.write_zeroes_may_unmap = image->can_discard;
	}
	blk->config_writable.wce = 1;
}

/* A lane for each worker that serves a queue, and the requests of each queue. */
static int blk_init_lanes(struct blk *blk, const struct virtio_deps *deps)
{
	unsigned wanted = (unsigned)min_u64(deps->worker_count, BLK_WORKERS_MAX);
	int error;

	for (; blk->lane_count < wanted; blk->lane_count++) {
		error = image_lane_init(&blk->lanes[blk->lane_count], &blk->image,
					deps->workers[blk->lane_count]);
		if (error)
			return error;
	}
	return 0;
}

static int blk_init_queues(struct blk *blk, const struct virtio_deps *deps, unsigned queue_count)
{
	int error;

	for (unsigned i = 0; i < queue_count; i++) {
		blk->requests[i] = calloc(BLK_QUEUE_SIZE, sizeof(*blk->requests[i]));
		if (!blk->requests[i])
			return fail_host(ENOMEM, "%s: out of memory", deps->name);
		error = virtqueue_init(&blk->queues[i], &blk->device, (uint16_t)i, BLK_QUEUE_SIZE,
				       blk->lanes[i % blk->lane_count].worker);
		if (error)
			return error;
	}
	return 0;
}

/* Quiesced; also for what blk_create() has begun. */
static void blk_destroy(struct virtio_device *device)
{
	struct blk *blk = blk_of(device);

	virtio_device_destroy(device);
	while (blk->lane_count)
		image_lane_destroy(&blk->lanes[--blk->lane_count]);
	for (unsigned i = 0; i < BLK_QUEUES_MAX; i++)
		free(blk->requests[i]);
	image_close(&blk->image);
	free(blk);
}

static int blk_init_device(struct blk *blk, const struct virtio_deps *deps, unsigned queue_count)
{
	const struct virtio_device_config config = {
		.type = &virtio_blk,
		.deps = deps,
		.features = blk_features(blk, queue_count),
		.config = &blk->config,
		.config_size = BLK_CONFIG_BYTES,
		.config_writable = &blk->config_writable,
		.queues = blk->queues,
		.queue_count = queue_count,
	};

	blk_fill_config(blk, queue_count);
	return virtio_device_init(&blk->device, &config);
}

static int blk_create(const void *options, const struct virtio_deps *deps,
		      struct virtio_device **device)
{
	const struct blk_options *blk_options = options;
	const unsigned queue_count = blk_queue_count(blk_options);
	struct blk *blk = calloc(1, sizeof(*blk));
	int error;

	if (!blk)
		return fail_host(ENOMEM, "%s: out of memory", deps->name);
	error = blk_set_serial(blk, deps->name, blk_options->serial);
	if (!error)
		error = blk_open_image(blk, blk_options, deps->name);
	if (error) {
		free(blk);
		return error;
	}
	error = blk_init_device(blk, deps, queue_count);
	if (error) {
		image_close(&blk->image);
		free(blk);
		return error;
	}
	error = blk_init_lanes(blk, deps);
	if (!error)
		error = blk_init_queues(blk, deps, queue_count);
	if (error) {
		blk_destroy(&blk->device);
		return error;
	}
	*device = &blk->device;
	return 0;
}

const struct virtio_type virtio_blk = {
	.name = "blk",
	.label = "disk",
	.option = "disk",
	.option_letter = 'd',
	.option_help = "a disk from a raw image file or a block device",
	.keys = blk_keys,
	.options_size = sizeof(struct blk_options),

	.id = VIRTIO_ID_BLOCK,
	.pci_class = BLK_PCI_CLASS,

	.worker_count = blk_worker_count,
	.create = blk_create,
	.destroy = blk_destroy,
	.features_ok = blk_features_ok,
	.has_queue = blk_has_queue,
	.ready = blk_ready,
	.config_written = blk_config_written,
	.reset = blk_reset,
	.kick = blk_kick,
};
