// SPDX-License-Identifier: MIT
/*
 * The block device on an image in memory, against a model of that image. The
 * driver keeps many requests under way, also such that overlap; the input ends
 * them in any order, short or with errors. What the device says is done, is; a
 * read that no write got in the way of has the model's bytes; no byte of the
 * image changes that no request was for, and the file never grows.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/option.h"
#include "block/image.h"
#include "tests/fuzz/device.h"
#include "virtio/blk.h"

#define SECTORS 96
#define IMAGE_BYTES (SECTORS * IMAGE_SECTOR_BYTES)
#define REQUEST_SECTORS_MAX 6
#define QUEUES 2
#define RANGES_MAX 3

struct request {
	uint32_t type;
	bool sound; /* the device has no reason to refuse it */
	unsigned sector, count;
	uint32_t room_bytes; /* writable, with the status */
	uint8_t fill;
	unsigned faults; /* that were seen when it was added */
	uint64_t changes[REQUEST_SECTORS_MAX]; /* of its sectors, when it was added */
	bool alone[REQUEST_SECTORS_MAX]; /* and nobody was writing them */
};

static struct {
	struct fuzz_device device;
	int file_fd;
	uint8_t *file; /* the image, mapped */
	struct image *image;
	struct image_lane *lane;

	uint8_t begin[IMAGE_BYTES]; /* what the image has when an input begins */
	uint8_t model[IMAGE_BYTES];
	unsigned writers[SECTORS]; /* requests under way */
	uint64_t changes[SECTORS]; /* requests that were added */
	struct request requests[QUEUES][GUEST_HEADS_MAX];
	unsigned queue_count; /* that the driver was given */
	unsigned faults, faults_before; /* the image was as it is now */
	bool held;
} disk;

/* ---- The image, and how it does its I/O: the input's choice ---- */

int __real_image_open(struct image *image, const struct image_config *config);
int __wrap_image_open(struct image *image, const struct image_config *config);
int __real_image_lane_init(struct image_lane *lane, struct image *image, struct worker *worker);
int __wrap_image_lane_init(struct image_lane *lane, struct image *image, struct worker *worker);

int __wrap_image_open(struct image *image, const struct image_config *config)
{
	disk.image = image;
	return __real_image_open(image, config);
}

int __wrap_image_lane_init(struct image_lane *lane, struct image *image, struct worker *worker)
{
	disk.lane = lane;
	return __real_image_lane_init(lane, image, worker);
}

static void choose_io(uint8_t choice)
{
	static const enum image_cache caches[] = {
		IMAGE_CACHE_WRITEBACK, IMAGE_CACHE_WRITEBACK, IMAGE_CACHE_WRITETHROUGH,
		IMAGE_CACHE_UNSAFE,
	};

	disk.image->config.cache = caches[choice & 0x80 ? 0 : choice / 32];
	disk.image->config.readonly = (choice & 0x98) == 0x18;
	disk.image->in_memory = choice & 1;
	disk.image->direct = (choice & 3) == 2;
	disk.image->memory_align = choice & 8 ? 4 : 512;
	disk.image->lost = false;
	disk.faults_before = disk.faults;
	disk.lane->no_punch = disk.lane->no_zero_range = false;
}

/* ---- The model ---- */

static uint8_t *sector_of(uint8_t *image, unsigned sector)
{
	return image + sector * IMAGE_SECTOR_BYTES;
}

static bool is_range(const struct request *request)
{
	return request->type == VIRTIO_BLK_T_DISCARD || request->type == VIRTIO_BLK_T_WRITE_ZEROES;
}

static bool changes_image(const struct request *request)
{
	return request->sound && (request->type == VIRTIO_BLK_T_OUT || is_range(request));
}

static bool has_sectors(const struct request *request)
{
	return request->sound && (changes_image(request) || request->type == VIRTIO_BLK_T_IN);
}

static uint8_t byte_of(const struct request *request, unsigned position)
{
	return (uint8_t)(request->fill + position * 7 + position / 256);
}

static void model_add(struct request *request)
{
	request->faults = disk.faults;
	for (unsigned i = 0; has_sectors(request) && i < request->count; i++) {
		unsigned sector = request->sector + i;

		request->alone[i] = !disk.writers[sector];
		disk.changes[sector] += changes_image(request);
		disk.writers[sector] += changes_image(request);
		request->changes[i] = disk.changes[sector];
	}
}

/* Nobody else has written the sector between the beginning and the end of the request. */
static bool had_alone(const struct request *request, unsigned i)
{
	return request->alone[i] && request->changes[i] == disk.changes[request->sector + i];
}

static void check_sector(const struct request *request, unsigned i)
{
	const uint8_t *data = sector_of(disk.file, request->sector + i);

	if (request->type == VIRTIO_BLK_T_DISCARD)
		return; /* a hint */
	for (unsigned j = 0; j < IMAGE_SECTOR_BYTES; j++)
		fuzz_check(data[j] == (request->type == VIRTIO_BLK_T_WRITE_ZEROES ?
				       0 : byte_of(request, i * IMAGE_SECTOR_BYTES + j)));
}

/* The end of a request that changes the image: what is there now counts. */
static void model_end(const struct request *request, bool ok)
{
	for (unsigned i = 0; changes_image(request) && i < request->count; i++) {
		unsigned sector = request->sector + i;

		if (ok && had_alone(request, i))
			check_sector(request, i);
		if (!--disk.writers[sector])
			memcpy(sector_of(disk.model, sector), sector_of(disk.file, sector),
			       IMAGE_SECTOR_BYTES);
	}
}

static void check_image(void)
{
	struct stat status;

	fuzz_check(!fstat(disk.file_fd, &status) && status.st_size == IMAGE_BYTES);
	for (unsigned i = 0; i < SECTORS; i++)
		fuzz_check(disk.writers[i] || !memcmp(sector_of(disk.model, i),
						      sector_of(disk.file, i),
						      IMAGE_SECTOR_BYTES));
}

/* ---- Requests ---- */

struct bytes {
	uint8_t data[REQUEST_SECTORS_MAX * IMAGE_SECTOR_BYTES + 256];
	uint32_t count;
};

static void append(struct bytes *bytes, const void *data, uint32_t count)
{
	memcpy(bytes->data + bytes->count, data, count);
	bytes->count += count;
}

/* One or more adjacent ranges; `odd` makes the last one unfit. */
static void append_ranges(struct fuzz_input *input, struct bytes *bytes,
			  const struct request *request, unsigned odd)
{
	unsigned sector = request->sector, left = request->count;
	unsigned ranges = 1 + fuzz_below(input, RANGES_MAX);

	while (ranges--) {
		unsigned step = ranges ? fuzz_below(input, left + 1) : left;
		struct virtio_blk_discard_write_zeroes range = {
			.sector = htole64(sector),
			.num_sectors = htole32(step),
		};

		if (request->type == VIRTIO_BLK_T_WRITE_ZEROES && fuzz_u8(input) & 1)
			range.flags = htole32(VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
		if (odd == 1 && !ranges)
			range.num_sectors = htole32(SECTORS + 1 +
						    ((uint32_t)fuzz_number(input, 4) >> 1));
		if (odd == 2 && !ranges)
			range.flags |= htole32(2u << fuzz_below(input, 31));
		if (odd == 3 && !ranges)
			range.sector = htole64(UINT64_MAX - fuzz_u8(input));
		append(bytes, &range, sizeof(range) - (odd == 4 && !ranges));
		sector += step;
		left -= step;
	}
}

static const uint32_t types[] = {
	VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
	VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_T_GET_ID,
};

static bool possible(uint32_t type)
{
	const struct virtio_device *device = disk.device.device;

	if (disk.image->config.readonly && type != VIRTIO_BLK_T_IN &&
	    type != VIRTIO_BLK_T_FLUSH && type != VIRTIO_BLK_T_GET_ID)
		return false;
	if (type == VIRTIO_BLK_T_DISCARD)
		return virtio_has(device, VIRTIO_BLK_F_DISCARD);
	if (type == VIRTIO_BLK_T_WRITE_ZEROES)
		return virtio_has(device, VIRTIO_BLK_F_WRITE_ZEROES);
	return true;
}

static void append_header(struct bytes *bytes, const struct request *request, uint64_t sector)
{
	struct virtio_blk_outhdr header = {
		.type = htole32(request->type),
		.sector = htole64(sector),
	};

	append(bytes, &header, sizeof(header));
}

/* A request as a driver makes it. */
static void make_sound(struct fuzz_input *input, struct request *request, struct bytes *bytes)
{
	request->count = 1 + fuzz_below(input, REQUEST_SECTORS_MAX);
	request->sector = fuzz_below(input, SECTORS - request->count + 1);
	request->sound = possible(request->type);
	request->room_bytes = 1;
	append_header(bytes, request, is_range(request) ? 0 : request->sector);
	if (request->type == VIRTIO_BLK_T_IN)
		request->room_bytes += request->count * IMAGE_SECTOR_BYTES;
	else if (request->type == VIRTIO_BLK_T_GET_ID)
		request->room_bytes += VIRTIO_BLK_ID_BYTES;
	else if (is_range(request))
		append_ranges(input, bytes, request, 0);
	for (unsigned i = 0; request->type == VIRTIO_BLK_T_OUT &&
	     i < request->count * IMAGE_SECTOR_BYTES; i++)
		bytes->data[bytes->count++] = byte_of(request, i);
}

/* One that has to be refused, whatever it says otherwise. */
static void make_odd(struct fuzz_input *input, struct request *request, struct bytes *bytes)
{
	unsigned odd = fuzz_below(input, 4);

	request->count = 1;
	request->room_bytes = 1 + (request->type == VIRTIO_BLK_T_IN ? IMAGE_SECTOR_BYTES : 0);
	if (is_range(request)) {
		append_header(bytes, request, 0);
		append_ranges(input, bytes, request, 1 + odd);
		return;
	}
	if (request->type == VIRTIO_BLK_T_GET_ID && odd) {
		append_header(bytes, request, 0);
		request->room_bytes += VIRTIO_BLK_ID_BYTES;
		request->room_bytes += odd == 1 ? 1 : -odd;
		return;
	}
	if (request->type == VIRTIO_BLK_T_FLUSH && odd == 1) {
		append_header(bytes, request, 0);
		request->room_bytes = 0;
		return;
	}
	if (request->type != VIRTIO_BLK_T_IN && request->type != VIRTIO_BLK_T_OUT) {
		request->type = 0x10000 + fuzz_u8(input);
		append_header(bytes, request, 0);
		return;
	}
	if (odd == 3) {
		bytes->count = fuzz_below(input, sizeof(struct virtio_blk_outhdr));
		return;
	}
	append_header(bytes, request, odd == 0 ? SECTORS :
				      odd == 1 ? UINT64_MAX / IMAGE_SECTOR_BYTES +
						 fuzz_u8(input) : 0);
	if (request->type == VIRTIO_BLK_T_OUT)
		bytes->count += IMAGE_SECTOR_BYTES;
	if (odd == 2 && request->type == VIRTIO_BLK_T_OUT)
		bytes->count -= 1 + fuzz_below(input, 255);
	else if (odd == 2)
		request->room_bytes -= 1 + fuzz_below(input, 255);
}

static void add(struct fuzz_input *input, unsigned index)
{
	struct guest_queue *queue = &disk.device.guest.queues[index];
	uint8_t choice = fuzz_u8(input);
	struct request request = {
		.type = types[choice % 8],
		.fill = fuzz_u8(input),
	};
	struct bytes bytes = { .count = 0 };
	int head;

	if (choice >= 0xe0)
		make_odd(input, &request, &bytes);
	else
		make_sound(input, &request, &bytes);
	head = fuzz_chain_add(queue, input, bytes.data, bytes.count, request.room_bytes);
	if (head < 0)
		return;
	model_add(&request);
	disk.requests[index][head] = request;
}

static void check_read(const struct request *request, const struct guest_chain *chain)
{
	uint8_t data[IMAGE_SECTOR_BYTES];

	for (unsigned i = 0; i < request->count; i++) {
		if (!had_alone(request, i))
			continue;
		fuzz_chain_load(&disk.device.guest, chain, i * IMAGE_SECTOR_BYTES, data,
				sizeof(data));
		fuzz_check(!memcmp(data, sector_of(disk.model, request->sector + i),
				   sizeof(data)));
	}
}

static void check_id(const struct guest_chain *chain)
{
	char id[VIRTIO_BLK_ID_BYTES], expected[VIRTIO_BLK_ID_BYTES] = "subject";

	fuzz_chain_load(&disk.device.guest, chain, 0, id, sizeof(id));
	fuzz_check(!memcmp(id, expected, sizeof(id)));
}

static void check_ended(const struct request *request, const struct guest_chain *chain,
			uint32_t bytes)
{
	uint32_t data_bytes = request->room_bytes - 1;
	uint8_t status;
	bool ok, failed;

	if (!request->room_bytes) { /* nowhere to say what is wrong */
		fuzz_check(!bytes);
		return;
	}
	fuzz_chain_load(&disk.device.guest, chain, data_bytes, &status, 1);
	ok = status == VIRTIO_BLK_S_OK;
	fuzz_check(ok || status == VIRTIO_BLK_S_IOERR || status == VIRTIO_BLK_S_UNSUPP);
	/* Refused for good reason only: it is unsound, or the host has failed; earlier, of a flush. */
	failed = request->faults != disk.faults ||
		 (request->type == VIRTIO_BLK_T_FLUSH && disk.faults_before != disk.faults);
	fuzz_check(ok ? request->sound : !request->sound || failed);
	fuzz_check(bytes == (ok ? request->room_bytes : data_bytes ? 0 : 1));
	if (ok && request->type == VIRTIO_BLK_T_IN)
		check_read(request, chain);
	if (ok && request->type == VIRTIO_BLK_T_GET_ID)
		check_id(chain);
	model_end(request, ok);
}

static void take(struct fuzz_input *input, unsigned index)
{
	struct guest_queue *queue = &disk.device.guest.queues[index];
	struct guest_chain *chain;
	uint8_t choice = fuzz_u8(input);
	uint32_t bytes;

	while ((chain = guest_queue_take(queue, &bytes)))
		check_ended(&disk.requests[index][fuzz_chain_head(queue, chain)], chain, bytes);
	guest_queue_ask(queue, choice % 8, choice & 8);
}

/* ---- Steps ---- */

/* Nothing is held back: every request that the device can know of comes back. */
static void settle(struct fuzz_input *input)
{
	played_ring_hold(false);
	if (disk.device.paused)
		fuzz_device_pause(&disk.device);
	for (unsigned i = 0; i < disk.queue_count; i++)
		fuzz_queue_publish(&disk.device.guest.queues[i]);
	fuzz_device_run(&disk.device);
	fuzz_device_end_all(&disk.device, input);
	for (unsigned i = 0; i < disk.queue_count; i++) {
		take(input, i);
		fuzz_check(disk.device.guest.queues[i].free == disk.device.guest.queues[i].size);
	}
	guest_audit(&disk.device.guest);
	check_image();
	played_ring_hold(disk.held);
}

static void begin(struct fuzz_input *input)
{
	static const struct fuzz_queue queues[QUEUES] = {
		{ 0, 16, GUEST_DATA_BYTES / 2 }, { 1, 4, GUEST_DATA_BYTES / 2 },
	};
	const uint64_t features = BIT64(VIRTIO_BLK_F_MQ) | BIT64(VIRTIO_BLK_F_FLUSH) |
				  BIT64(VIRTIO_BLK_F_DISCARD) | BIT64(VIRTIO_BLK_F_WRITE_ZEROES) |
				  BIT64(VIRTIO_BLK_F_CONFIG_WCE);
	uint8_t choice = fuzz_u8(input);
	uint64_t refused = choice & 0x80 ? BIT64(9 + choice / 8 % 8) : 0; /* FLUSH to MQ */

	choose_io(choice);
	disk.held = choice & 4;
	played_ring_hold(disk.held);
	disk.queue_count = refused == BIT64(VIRTIO_BLK_F_MQ) ? 1 : QUEUES;
	fuzz_device_begin(&disk.device, input, features & ~refused, queues, disk.queue_count);
}

/* What was under way may have happened or not. */
static void reset(struct fuzz_input *input)
{
	fuzz_device_reset(&disk.device, input);
	check_image();
	memset(disk.writers, 0, sizeof(disk.writers));
	memcpy(disk.model, disk.file, IMAGE_BYTES);
}

static void end_some(struct fuzz_input *input)
{
	static const int errors[] = { EIO, ENOSPC, EAGAIN, EINTR, EOPNOTSUPP };
	struct fuzz_ends ends = {
		.most = 8,
		.short_from = 200,
		.block_bytes = disk.image->direct ? 512 : 100,
		.errors = errors,
		.error_count = ARRAY_SIZE(errors),
	};

	disk.faults += fuzz_device_end_some(&disk.device, input, &ends);
}

static void step(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input);
	unsigned index = choice % disk.queue_count;

	switch ((choice >> 1) % 16) {
	case 0 ... 5:
		add(input, index);
		break;
	case 6 ... 8:
		fuzz_queue_publish(&disk.device.guest.queues[index]);
		fuzz_device_run(&disk.device);
		break;
	case 9 ... 10:
		end_some(input);
		break;
	case 11:
		take(input, index);
		break;
	case 12:
		settle(input);
		break;
	case 13:
		fuzz_device_pause(&disk.device);
		break;
	case 14:
		virtio_config_write(disk.device.device, offsetof(struct virtio_blk_config, wce), 1,
				    fuzz_u8(input) & 1);
		break;
	default:
		reset(input);
		begin(input);
		break;
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static void *options; /* reachable for the leak check */
	char text[64];

	(void)argc;
	(void)argv;
	options = calloc(1, virtio_blk.options_size);
	disk.file_fd = memfd_create("image", MFD_CLOEXEC);
	fuzz_check(options && disk.file_fd >= 0 && !ftruncate(disk.file_fd, IMAGE_BYTES));
	disk.file = mmap(NULL, IMAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, disk.file_fd, 0);
	fuzz_check(disk.file != MAP_FAILED);
	for (unsigned i = 0; i < IMAGE_BYTES; i++)
		disk.begin[i] = (uint8_t)(i / IMAGE_SECTOR_BYTES + i * 3);
	snprintf(text, sizeof(text), "/proc/self/fd/%d,format=raw,cache=writeback,queues=%u",
		 disk.file_fd, QUEUES);
	fuzz_check(!options_parse("disk", text, virtio_blk.keys, options));
	fuzz_device_create(&disk.device, &virtio_blk, options);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuzz_driver driver = { begin, step, settle, reset };
	struct fuzz_input input = fuzz_input(data, size);

	memcpy(disk.file, disk.begin, IMAGE_BYTES);
	memcpy(disk.model, disk.begin, IMAGE_BYTES);
	memset(disk.changes, 0, sizeof(disk.changes));
	disk.faults = 0;
	fuzz_device_play(&driver, &input);
	played_ring_hold(false);
	return 0;
}
