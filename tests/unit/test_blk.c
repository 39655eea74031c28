// SPDX-License-Identifier: MIT
/*
 * The block device, driven through its queues on real files. What is stable
 * when is told by the operations that reach the ring: __wrap_worker_arm()
 * counts them.
 */
#include "tests/unit/unit.h"
#include "tests/unit/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "virtio/blk.h"

#define SECTOR 512u
#define DISK_SECTORS 8192u
#define DISK_BYTES (DISK_SECTORS * SECTOR)
#define NO_STATUS 0xee

#define OK VIRTIO_BLK_S_OK
#define IOERR VIRTIO_BLK_S_IOERR
#define UNSUPP VIRTIO_BLK_S_UNSUPP

static char disk_path[64], memory_path[64];

/* ---- Between the image and the ring ---- */

void __real_worker_arm(struct io_uring_sqe *sqe, struct ring_op *op);
void __wrap_worker_arm(struct io_uring_sqe *sqe, struct ring_op *op);

ssize_t __real_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

static atomic_uint dsyncs, syncs, disk_writes;

/* A file in memory is written and synced without the ring. */
ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	disk_writes++;
	dsyncs += flags == RWF_DSYNC;
	return __real_pwritev2(fd, iov, count, offset, flags);
}

int __wrap_fdatasync(int fd)
{
	syncs++;
	return __real_fdatasync(fd);
}

void __wrap_worker_arm(struct io_uring_sqe *sqe, struct ring_op *op)
{
	/* A write of 8 bytes is a signal to an eventfd. */
	if (sqe->opcode == IORING_OP_WRITEV ||
	    (sqe->opcode == IORING_OP_WRITE && sqe->len >= SECTOR)) {
		disk_writes++;
		dsyncs += sqe->rw_flags == RWF_DSYNC;
	}
	syncs += sqe->opcode == IORING_OP_FSYNC;
	__real_worker_arm(sqe, op);
}

/* ---- The disk ---- */

static uint8_t pattern(uint64_t offset)
{
	return (uint8_t)(offset * 11 + offset / 509 + 3) | 1;
}

static void fill_pattern(uint8_t *bytes, uint64_t offset, size_t length)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = pattern(offset + i);
}

static void make_disk(const char *path)
{
	uint8_t *bytes = malloc(DISK_BYTES);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	fill_pattern(bytes, 0, DISK_BYTES);
	assert_int_equal(write(fd, bytes, DISK_BYTES), DISK_BYTES);
	close(fd);
	free(bytes);
}

static void read_disk(const char *path, void *bytes, uint64_t sector, size_t length)
{
	int fd = open(path, O_RDONLY);

	assert_int_equal(pread(fd, bytes, length, (off_t)(sector * SECTOR)), length);
	close(fd);
}

static void check_disk_unchanged(const char *path)
{
	uint8_t *found = malloc(DISK_BYTES), *expected = malloc(DISK_BYTES);
	struct stat status;

	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_size, DISK_BYTES);
	read_disk(path, found, 0, DISK_BYTES);
	fill_pattern(expected, 0, DISK_BYTES);
	assert_memory_equal(found, expected, DISK_BYTES);
	free(found);
	free(expected);
}

static struct driver *start(const char *path, const char *options, uint64_t refused)
{
	char text[128];
	struct driver_config config = { .type = &virtio_blk, .options = text, .refused = refused };
	struct driver *driver;

	make_disk(path);
	snprintf(text, sizeof(text), "%s%s", path, options);
	driver = driver_create(&config);
	driver_begin(driver);
	dsyncs = 0;
	syncs = 0;
	disk_writes = 0;
	return driver;
}

static int group_setup(void **state)
{
	int fd;

	(void)state;
	snprintf(disk_path, sizeof(disk_path), "/var/tmp/ringvm-test-XXXXXX");
	snprintf(memory_path, sizeof(memory_path), "/dev/shm/ringvm-test-XXXXXX");
	fd = mkstemp(disk_path);
	assert_true(fd >= 0);
	close(fd);
	fd = mkstemp(memory_path);
	assert_true(fd >= 0);
	close(fd);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	unlink(disk_path);
	unlink(memory_path);
	return 0;
}

/* ---- Requests ---- */

struct answer {
	uint8_t status;
	uint32_t written;
};

static struct driver_part header_of(struct driver *driver, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr header = {
		.type = htole32(type),
		.sector = htole64(sector),
	};

	return driver_out(driver, &header, sizeof(header));
}

static struct driver_part status_of(struct driver *driver)
{
	struct driver_part part = driver_in(driver, 1);

	*(uint8_t *)driver_at(driver, part.gpa) = NO_STATUS;
	return part;
}

/* One request with one part of data, or none (bytes 0). */
static struct answer ask(struct driver_queue *queue, uint32_t type, uint64_t sector,
			 struct driver_part data)
{
	struct driver *driver = queue->driver;
	struct driver_part parts[3] = { header_of(driver, type, sector) };
	unsigned count = 1;
	struct answer answer;

	if (data.bytes)
		parts[count++] = data;
	parts[count++] = status_of(driver);
	answer.written = driver_request(queue, parts, count);
	answer.status = *(uint8_t *)driver_at(driver, parts[count - 1].gpa);
	return answer;
}

static const struct driver_part nothing;

/* With nothing in flight: memory back to the mark, the queue's tables among it. */
static void rewind_queue(struct driver_queue *queue, uint64_t mark)
{
	driver_rewind(queue->driver, mark);
	for (unsigned head = 0; head < queue->size; head++)
		queue->tables[head].capacity = 0;
}

static void check(struct answer answer, uint8_t status, uint32_t written)
{
	assert_int_equal(answer.status, status);
	assert_int_equal(answer.written, written);
}

static void check_read(struct driver_queue *queue, uint64_t sector, uint32_t bytes)
{
	struct driver *driver = queue->driver;
	uint64_t mark = driver_mark(driver);
	struct driver_part data = driver_in(driver, bytes);
	uint8_t *expected = malloc(bytes);

	check(ask(queue, VIRTIO_BLK_T_IN, sector, data), OK, bytes + 1);
	fill_pattern(expected, sector * SECTOR, bytes);
	assert_memory_equal(driver_at(driver, data.gpa), expected, bytes);
	free(expected);
	rewind_queue(queue, mark);
}

/* ---- Tests ---- */

static uint64_t config_of(struct driver *driver, size_t offset, unsigned length)
{
	return virtio_config_read(driver->device, offset, length);
}

#define CONFIG(driver, field)                                                                      \
	config_of(driver, offsetof(struct virtio_blk_config, field),                               \
		  sizeof(((struct virtio_blk_config *)0)->field))

static void test_configuration(void **state)
{
	struct driver *driver = start(disk_path, "", 0);
	uint64_t offered = driver->device->offered;

	(void)state;
	assert_int_equal(CONFIG(driver, capacity), DISK_SECTORS);
	assert_int_equal(CONFIG(driver, seg_max), 254);
	assert_int_equal(CONFIG(driver, blk_size), 512);
	assert_int_equal(CONFIG(driver, wce), 1);
	assert_int_equal(CONFIG(driver, num_queues), 1);
	assert_int_equal(CONFIG(driver, unused), 0);
	assert_int_equal(CONFIG(driver, unused1[0]), 0);
	assert_int_equal(CONFIG(driver, max_discard_seg), 16);
	assert_int_equal(CONFIG(driver, max_write_zeroes_seg), 16);
	assert_int_equal(CONFIG(driver, write_zeroes_may_unmap), 1);
	assert_true(CONFIG(driver, max_discard_sectors) && CONFIG(driver, discard_sector_alignment));
	assert_int_equal(CONFIG(driver, min_io_size), 1u << CONFIG(driver, physical_block_exp));
	assert_int_equal(config_of(driver, 60, 4), 0);
	assert_true(offered & BIT64(VIRTIO_BLK_F_FLUSH));
	assert_true(offered & BIT64(VIRTIO_BLK_F_CONFIG_WCE));
	assert_false(offered & BIT64(VIRTIO_BLK_F_RO));
	assert_false(offered & BIT64(VIRTIO_BLK_F_MQ));
	/* All but the write cache is read-only. */
	virtio_config_write(driver->device, 0, 8, 1);
	virtio_config_write(driver->device, 20, 4, 4096);
	assert_int_equal(CONFIG(driver, capacity), DISK_SECTORS);
	assert_int_equal(CONFIG(driver, blk_size), 512);
	driver_destroy(driver);
}

static void test_read_and_write(void **state)
{
	const char *const options[] = { "", ",direct", ",cache=writeback", ",cache=writethrough",
					",cache=unsafe" };
	const char *const paths[] = { disk_path, memory_path };
	const uint32_t lengths[] = { SECTOR, 4096, 1 << 20 };
	uint8_t *bytes = malloc(1 << 20);

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(options) * ARRAY_SIZE(paths); i++) {
		const char *path = paths[i % 2];
		struct driver *driver = start(path, options[i / 2], 0);
		struct driver_queue *queue = &driver->queues[0];

		for (unsigned l = 0; l < ARRAY_SIZE(lengths); l++) {
			uint32_t length = lengths[l];
			uint64_t last = DISK_SECTORS - length / SECTOR;

			check_read(queue, 0, length);
			check_read(queue, last, length);
			memset(bytes, 0xa0 + (int)l, length);
			check(ask(queue, VIRTIO_BLK_T_OUT, last, driver_out(driver, bytes, length)),
			      OK, 1);
			check(ask(queue, VIRTIO_BLK_T_FLUSH, 0, nothing), OK, 1);
			memset(bytes, 0, length);
			read_disk(path, bytes, last, length);
			assert_int_equal(bytes[0], 0xa0 + l);
			assert_int_equal(bytes[length - 1], 0xa0 + l);
			/* And as it was. */
			fill_pattern(bytes, last * SECTOR, length);
			check(ask(queue, VIRTIO_BLK_T_OUT, last, driver_out(driver, bytes, length)),
			      OK, 1);
		}
		driver_destroy(driver);
		check_disk_unchanged(path);
	}
	free(bytes);
}

static unsigned seed = 1;

static unsigned random_below(unsigned limit)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % limit;
}

/* Cuts a stretch of guest memory into parts at random, each at a place of its own. */
static unsigned cut(struct driver *driver, struct driver_part *parts, const uint8_t *bytes,
		    uint32_t length, bool writable)
{
	unsigned count = 0;

	while (length && count < 40) {
		uint32_t piece = count == 39 ? length :
				 random_below(3) ? 1 + random_below(40) : 1 + random_below(2000);

		piece = (uint32_t)min_u64(piece, length);
		driver_alloc(driver, random_below(5) * 64);
		parts[count] = writable ? driver_in(driver, piece) :
					  driver_out(driver, bytes, piece);
		if (random_below(8) == 0 && piece > 1 && count < 39)
			parts[count].bytes = piece = 0;
		bytes += piece;
		length -= piece;
		count++;
	}
	return count;
}

/* C66: header, data and status may be cut anywhere. */
static void test_any_framing(void **state)
{
	const char *const options[] = { ",cache=writeback", ",direct" };
	uint8_t out[16 + 4 * SECTOR], expected[4 * SECTOR + 1], found[4 * SECTOR];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(options); i++) {
		struct driver *driver = start(disk_path, options[i], 0);
		uint64_t mark = driver_mark(driver);

		for (unsigned round = 0; round < 400; round++) {
			struct virtio_blk_outhdr header = { .sector = htole64(round) };
			bool write = random_below(2);
			uint32_t length = SECTOR * (1 + random_below(4)), at = 0;
			struct driver_part parts[96];
			unsigned readable, count;

			header.type = htole32(write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN);
			memcpy(out, &header, sizeof(header));
			memset(out + 16, (int)round, length);
			readable = cut(driver, parts, out, 16 + (write ? length : 0), false);
			count = readable + cut(driver, parts + readable, expected,
					       (write ? 0 : length) + 1, true);
			assert_int_equal(driver_request(&driver->queues[0], parts, count),
					 (write ? 0 : length) + 1);
			for (unsigned p = readable; p < count; p++) {
				memcpy(expected + at, driver_at(driver, parts[p].gpa),
				       parts[p].bytes);
				at += parts[p].bytes;
			}
			assert_int_equal(expected[at - 1], OK);
			read_disk(disk_path, found, round, length);
			assert_memory_equal(found, write ? out + 16 : expected, length);
			rewind_queue(&driver->queues[0], mark);
		}
		driver_destroy(driver);
	}
}

/* H54: each of these is the end of one request, and of nothing else. */
static void test_hostile_requests(void **state)
{
	static const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t bytes;
		bool out;
		uint8_t status;
		uint32_t written;
	} bad[] = {
		{ 2, 0, 0, false, UNSUPP, 1 },
		{ VIRTIO_BLK_T_SECURE_ERASE, 0, 16, true, UNSUPP, 1 },
		{ UINT32_MAX, UINT64_MAX, 512, false, UNSUPP, 0 },
		{ 0x80000001, 0, 512, true, UNSUPP, 1 },
		{ VIRTIO_BLK_T_IN, 0, 1, false, IOERR, 0 },
		{ VIRTIO_BLK_T_IN, 0, 511, false, IOERR, 0 },
		{ VIRTIO_BLK_T_IN, 0, 513, false, IOERR, 0 },
		{ VIRTIO_BLK_T_OUT, 0, 1, true, IOERR, 1 },
		{ VIRTIO_BLK_T_OUT, 0, 511, true, IOERR, 1 },
		{ VIRTIO_BLK_T_IN, DISK_SECTORS, 512, false, IOERR, 0 },
		{ VIRTIO_BLK_T_OUT, DISK_SECTORS, 512, true, IOERR, 1 },
		{ VIRTIO_BLK_T_IN, DISK_SECTORS - 1, 1024, false, IOERR, 0 },
		{ VIRTIO_BLK_T_OUT, DISK_SECTORS - 1, 1024, true, IOERR, 1 },
		{ VIRTIO_BLK_T_IN, UINT64_C(1) << 55, 512, false, IOERR, 0 },
		{ VIRTIO_BLK_T_OUT, UINT64_C(1) << 55, 512, true, IOERR, 1 },
		{ VIRTIO_BLK_T_IN, UINT64_MAX / 512, 512, false, IOERR, 0 },
		{ VIRTIO_BLK_T_OUT, UINT64_MAX, 512, true, IOERR, 1 },
		{ VIRTIO_BLK_T_GET_ID, 0, 0, false, IOERR, 1 },
		{ VIRTIO_BLK_T_GET_ID, 0, 1, false, IOERR, 0 },
		{ VIRTIO_BLK_T_GET_ID, 0, 19, false, IOERR, 0 },
		{ VIRTIO_BLK_T_GET_ID, 0, 1 << 20, false, IOERR, 0 },
		{ VIRTIO_BLK_T_DISCARD, 0, 0, true, IOERR, 1 },
		{ VIRTIO_BLK_T_DISCARD, 0, 1, true, IOERR, 1 },
		{ VIRTIO_BLK_T_DISCARD, 0, 17, true, IOERR, 1 },
		{ VIRTIO_BLK_T_DISCARD, 0, 33 * 16, true, IOERR, 1 },
		{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 0, true, IOERR, 1 },
		{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 15, true, IOERR, 1 },
		{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 17 * 16, true, IOERR, 1 },
		{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, false, IOERR, 0 },
	};
	static uint8_t zeros[1024];
	struct driver *driver = start(disk_path, "", 0);
	struct driver_queue *queue = &driver->queues[0];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct driver_part data = { 0 };

		if (bad[i].bytes && bad[i].out)
			data = driver_out(driver, zeros, bad[i].bytes);
		else if (bad[i].bytes)
			data = driver_in(driver, bad[i].bytes);
		check(ask(queue, bad[i].type, bad[i].sector, data), bad[i].status,
		      bad[i].written);
		if (data.bytes && !bad[i].out)
			assert_memory_equal(driver_at(driver, data.gpa), zeros,
					    min_u64(data.bytes, sizeof(zeros)));
		check_read(queue, i, 4096);
	}
	/* Nothing at all to read is no error. */
	check(ask(queue, VIRTIO_BLK_T_IN, DISK_SECTORS, nothing), OK, 1);
	driver_destroy(driver);
	check_disk_unchanged(disk_path);
}

static void test_header_and_status_missing(void **state)
{
	struct driver *driver = start(disk_path, "", 0);
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part parts[3] = { header_of(driver, VIRTIO_BLK_T_OUT, 0) };

	(void)state;
	/* No status byte. */
	assert_int_equal(driver_request(queue, parts, 1), 0);
	parts[1] = driver_out(driver, "12345678", 8);
	assert_int_equal(driver_request(queue, parts, 2), 0);
	check_read(queue, 0, 4096);
	/* 15 bytes of a header; none; a header that the device would have to write. */
	parts[0].bytes = 15;
	parts[1] = status_of(driver);
	assert_int_equal(driver_request(queue, parts, 2), 1);
	assert_int_equal(*(uint8_t *)driver_at(driver, parts[1].gpa), IOERR);
	parts[1] = status_of(driver);
	assert_int_equal(driver_request(queue, parts + 1, 1), 1);
	assert_int_equal(*(uint8_t *)driver_at(driver, parts[1].gpa), IOERR);
	parts[1] = driver_in(driver, 16);
	parts[2] = status_of(driver);
	assert_int_equal(driver_request(queue, parts + 1, 2), 0);
	assert_int_equal(*(uint8_t *)driver_at(driver, parts[2].gpa), IOERR);
	check_read(queue, 0, 4096);
	driver_destroy(driver);
	check_disk_unchanged(disk_path);
}

/* What a guest asks for costs us no memory, however much it is. */
static void test_huge_requests(void **state)
{
	struct driver *driver = start(disk_path, "", 0);
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part parts[202] = { header_of(driver, VIRTIO_BLK_T_IN, 0) };
	struct driver_part data = driver_in(driver, 32 << 20);
	uint16_t head;
	uint32_t written;

	(void)state;
	for (unsigned count = 20; count <= 200; count += 180) {
		for (unsigned i = 0; i < count; i++)
			parts[1 + i] = data;
		for (unsigned i = 0; i < 200; i++) {
			parts[count + 1] = status_of(driver);
			assert_true(driver_add(queue, parts, count + 2) >= 0);
		}
		driver_publish(queue);
		driver_kick(queue);
		for (unsigned i = 0; i < 200; i++) {
			assert_true(driver_wait(queue, &head, &written, DRIVER_TIMEOUT_MS));
			assert_int_equal(written, 0);
		}
	}
	check_read(queue, 0, 4096);
	driver_destroy(driver);
}

static void test_readonly(void **state)
{
	struct driver *driver = start(disk_path, ",ro", 0);
	struct driver_queue *queue = &driver->queues[0];
	struct virtio_blk_discard_write_zeroes range = { .num_sectors = htole32(8) };
	uint64_t offered = driver->device->offered;
	uint8_t bytes[SECTOR] = { 0 };

	(void)state;
	assert_true(offered & BIT64(VIRTIO_BLK_F_RO));
	assert_false(offered & BIT64(VIRTIO_BLK_F_DISCARD));
	assert_false(offered & BIT64(VIRTIO_BLK_F_WRITE_ZEROES));
	assert_int_equal(CONFIG(driver, max_discard_seg), 0);
	check(ask(queue, VIRTIO_BLK_T_OUT, 0, driver_out(driver, bytes, SECTOR)), IOERR, 1);
	check(ask(queue, VIRTIO_BLK_T_DISCARD, 0, driver_out(driver, &range, 16)), IOERR, 1);
	check(ask(queue, VIRTIO_BLK_T_WRITE_ZEROES, 0, driver_out(driver, &range, 16)), IOERR, 1);
	check(ask(queue, VIRTIO_BLK_T_FLUSH, 0, nothing), OK, 1);
	check_read(queue, 0, 65536);
	driver_destroy(driver);
	check_disk_unchanged(disk_path);
}

static void write_some(struct driver *driver)
{
	static const uint8_t bytes[4096];

	dsyncs = 0;
	syncs = 0;
	disk_writes = 0;
	check(ask(&driver->queues[0], VIRTIO_BLK_T_OUT, 0, driver_out(driver, bytes, 4096)), OK, 1);
	assert_int_equal(disk_writes, 1);
}

static void set_wce(struct driver *driver, uint8_t wce)
{
	virtio_config_write(driver->device, offsetof(struct virtio_blk_config, wce), 1, wce);
}

/* 5.2.6.2, C91, C92: when a write that has ended is stable. */
static void test_write_cache(void **state)
{
	const uint64_t flush = BIT64(VIRTIO_BLK_F_FLUSH), wce = BIT64(VIRTIO_BLK_F_CONFIG_WCE);
	struct driver *driver = start(disk_path, "", 0);

	(void)state;
	write_some(driver);
	assert_int_equal(dsyncs, 0);
	check(ask(&driver->queues[0], VIRTIO_BLK_T_FLUSH, 0, nothing), OK, 1);
	assert_int_equal(syncs, 1);
	set_wce(driver, 0);
	write_some(driver);
	assert_int_equal(dsyncs, 1);
	set_wce(driver, 0xff);
	assert_int_equal(CONFIG(driver, wce), 1);
	write_some(driver);
	assert_int_equal(dsyncs, 0);
	/* A reset brings the cache back. */
	set_wce(driver, 0);
	driver_reset(driver);
	assert_int_equal(CONFIG(driver, wce), 1);
	driver_begin(driver);
	write_some(driver);
	assert_int_equal(dsyncs, 0);
	driver_destroy(driver);

	/* A driver that can't flush: every write, whatever else it says. */
	driver = start(disk_path, "", flush | wce);
	write_some(driver);
	assert_int_equal(dsyncs, 1);
	driver_destroy(driver);
	driver = start(disk_path, "", flush);
	assert_int_equal(CONFIG(driver, wce), 0);
	write_some(driver);
	assert_int_equal(dsyncs, 1);
	driver_destroy(driver);
	/* One that can flush and has not asked for the switch: it has no effect. */
	driver = start(disk_path, "", wce);
	set_wce(driver, 0);
	write_some(driver);
	assert_int_equal(dsyncs, 0);
	driver_destroy(driver);

	driver = start(disk_path, ",cache=writethrough", 0);
	assert_int_equal(CONFIG(driver, wce), 0);
	set_wce(driver, 1);
	write_some(driver);
	assert_int_equal(syncs, 1);
	driver_destroy(driver);
	driver = start(disk_path, ",cache=unsafe", flush | wce);
	write_some(driver);
	assert_int_equal(dsyncs, 0);
	check(ask(&driver->queues[0], VIRTIO_BLK_T_FLUSH, 0, nothing), OK, 1);
	assert_int_equal(syncs, 0);
	driver_destroy(driver);
}

/* C92: what the driver reads between FEATURES_OK and DRIVER_OK. */
static void test_write_cache_is_known_early(void **state)
{
	struct driver *driver = start(disk_path, "", 0);

	(void)state;
	driver_reset(driver);
	assert_int_equal(CONFIG(driver, wce), 1);
	assert_true(driver_negotiate(driver, driver->device->offered &
					     ~BIT64(VIRTIO_BLK_F_FLUSH)));
	assert_int_equal(CONFIG(driver, wce), 0);
	driver_destroy(driver);
}

struct range {
	uint64_t sector;
	uint32_t count, flags;
};

static struct answer ask_ranges(struct driver_queue *queue, uint32_t type,
				const struct range *ranges, unsigned count)
{
	struct virtio_blk_discard_write_zeroes wire[40];

	for (unsigned i = 0; i < count; i++)
		wire[i] = (struct virtio_blk_discard_write_zeroes){
			.sector = htole64(ranges[i].sector),
			.num_sectors = htole32(ranges[i].count),
			.flags = htole32(ranges[i].flags),
		};
	return ask(queue, type, 0, driver_out(queue->driver, wire, count * sizeof(wire[0])));
}

/* C93: whatever is wrong with one range, none is touched. */
static void test_bad_ranges(void **state)
{
	const struct {
		struct range range;
		uint8_t discard, write_zeroes;
	} bad[] = {
		{ { 0, 8, 2 }, UNSUPP, UNSUPP },
		{ { 0, 8, UINT32_MAX }, UNSUPP, UNSUPP },
		{ { 0, DISK_SECTORS + 1, 0 }, IOERR, IOERR },
		{ { DISK_SECTORS, 1, 0 }, IOERR, IOERR },
		{ { UINT64_MAX, 1, 0 }, IOERR, IOERR },
		{ { UINT64_MAX - 7, 8, 0 }, IOERR, IOERR },
		{ { UINT64_C(1) << 55, 8, 0 }, IOERR, IOERR },
		{ { 0, UINT32_MAX, 0 }, IOERR, IOERR },
	};
	struct driver *driver = start(disk_path, "", 0);
	struct driver_queue *queue = &driver->queues[0];
	struct range ranges[2] = { { 64, 64, 0 } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		ranges[1] = bad[i].range;
		check(ask_ranges(queue, VIRTIO_BLK_T_DISCARD, ranges, 2), bad[i].discard, 1);
		check(ask_ranges(queue, VIRTIO_BLK_T_WRITE_ZEROES, ranges, 2),
		      bad[i].write_zeroes, 1);
	}
	ranges[1] = (struct range){ 0, 8, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP };
	check(ask_ranges(queue, VIRTIO_BLK_T_DISCARD, ranges, 2), UNSUPP, 1);
	driver_destroy(driver);

	driver = start(disk_path, "", BIT64(VIRTIO_BLK_F_DISCARD) |
				      BIT64(VIRTIO_BLK_F_WRITE_ZEROES));
	queue = &driver->queues[0];
	check(ask_ranges(queue, VIRTIO_BLK_T_DISCARD, ranges, 1), UNSUPP, 1);
	check(ask_ranges(queue, VIRTIO_BLK_T_WRITE_ZEROES, ranges, 1), UNSUPP, 1);
	driver_destroy(driver);
	check_disk_unchanged(disk_path);
}

/* C94, on file systems that can and can't zero a range. */
static void test_write_zeroes(void **state)
{
	const char *const paths[] = { disk_path, memory_path };
	uint8_t *found = malloc(DISK_BYTES), *expected = malloc(DISK_BYTES);

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		const char *path = paths[i % 2];
		struct driver *driver = start(path, i < 2 ? "" : ",cache=writethrough", 0);
		struct range ranges[16] = { { 0, 0, 0 } };

		fill_pattern(expected, 0, DISK_BYTES);
		for (unsigned r = 1; r < 16; r++) {
			ranges[r] = (struct range){ r * 500, r * 3, r % 2 };
			memset(expected + ranges[r].sector * SECTOR, 0, ranges[r].count * SECTOR);
		}
		check(ask_ranges(&driver->queues[0], VIRTIO_BLK_T_WRITE_ZEROES, ranges, 16), OK, 1);
		assert_int_equal(syncs, i < 2 ? 0 : 15);
		driver_destroy(driver);
		read_disk(path, found, 0, DISK_BYTES);
		assert_memory_equal(found, expected, DISK_BYTES);
	}
	free(found);
	free(expected);
}

static void test_discard(void **state)
{
	const struct range all = { 0, DISK_SECTORS, 0 };
	struct driver *driver = start(disk_path, "", 0);
	struct stat before, after;

	(void)state;
	check(ask(&driver->queues[0], VIRTIO_BLK_T_FLUSH, 0, nothing), OK, 1);
	assert_int_equal(stat(disk_path, &before), 0);
	check(ask_ranges(&driver->queues[0], VIRTIO_BLK_T_DISCARD, &all, 1), OK, 1);
	assert_int_equal(stat(disk_path, &after), 0);
	assert_true(after.st_blocks < before.st_blocks);
	assert_int_equal(after.st_size, DISK_BYTES);
	driver_destroy(driver);
}

static void test_get_id(void **state)
{
	static const struct {
		const char *options;
		char id[21];
	} serials[] = {
		{ "", "blk" }, /* the name the driver gives it */
		{ ",serial=S-1", "S-1" },
		{ ",serial=12345678901234567890", "12345678901234567890" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(serials); i++) {
		struct driver *driver = start(disk_path, serials[i].options, 0);
		struct driver_part data = driver_in(driver, 20);

		memset(driver_at(driver, data.gpa), 0xff, 20);
		check(ask(&driver->queues[0], VIRTIO_BLK_T_GET_ID, 0, data), OK, 21);
		assert_memory_equal(driver_at(driver, data.gpa), serials[i].id, 20);
		driver_destroy(driver);
	}
}

static void test_refused_options(void **state)
{
	const char *const bad[] = { ",serial=123456789012345678901", ",direct,cache=writeback",
				    ",direct,cache=unsafe" };
	const struct virtio_deps deps = { .name = "disk0" };
	struct virtio_device *device = NULL;
	char text[128];

	(void)state;
	make_disk(disk_path);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		void *options = calloc(1, virtio_blk.options_size);

		snprintf(text, sizeof(text), "%s%s", disk_path, bad[i]);
		assert_int_equal(options_parse("--disk", text, virtio_blk.keys, options), 0);
		assert_int_equal(virtio_blk.create(options, &deps, &device), -EINVAL);
		options_free(virtio_blk.keys, options);
		free(options);
	}
	assert_null(device);
}

static void test_worker_count(void **state)
{
	static const struct {
		const char *options;
		unsigned vcpus, workers;
	} cases[] = {
		{ "x", 8, 1 }, { "x,queues=2", 8, 2 }, { "x,queues=16", 8, 4 },
		{ "x,queues=16", 3, 3 }, { "x,queues=4", 1, 1 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		void *options = calloc(1, virtio_blk.options_size);

		assert_int_equal(options_parse("--disk", cases[i].options, virtio_blk.keys,
					       options), 0);
		assert_int_equal(virtio_blk.worker_count(options, cases[i].vcpus),
				 cases[i].workers);
		options_free(virtio_blk.keys, options);
		free(options);
	}
}

/* C97: each queue by itself, then all at once, on fewer workers than queues. */
static void test_multiqueue(void **state)
{
	char text[128];
	struct driver_config config = { .type = &virtio_blk, .options = text, .worker_count = 3 };
	struct driver_part data[8][32], header, parts[3];
	struct driver *driver;
	uint8_t *expected = malloc(4096);
	uint16_t head;
	uint32_t written;

	(void)state;
	make_disk(disk_path);
	snprintf(text, sizeof(text), "%s,queues=8", disk_path);
	driver = driver_create(&config);
	driver_begin(driver);
	assert_true(virtio_has(driver->device, VIRTIO_BLK_F_MQ));
	assert_int_equal(CONFIG(driver, num_queues), 8);
	for (unsigned q = 0; q < 8; q++)
		check_read(&driver->queues[q], q * 8, 4096);
	for (unsigned i = 0; i < 8 * 32; i++) {
		header = header_of(driver, VIRTIO_BLK_T_IN, i * 8);
		data[i % 8][i / 8] = driver_in(driver, 4096);
		parts[0] = header;
		parts[1] = data[i % 8][i / 8];
		parts[2] = status_of(driver);
		assert_true(driver_add(&driver->queues[i % 8], parts, 3) >= 0);
		driver_publish(&driver->queues[i % 8]);
		driver_kick(&driver->queues[i % 8]);
	}
	for (unsigned i = 0; i < 8 * 32; i++) {
		assert_true(driver_wait(&driver->queues[i % 8], &head, &written,
					DRIVER_TIMEOUT_MS));
		assert_int_equal(written, 4097);
	}
	for (unsigned i = 0; i < 8 * 32; i++) {
		fill_pattern(expected, i * 8 * SECTOR, 4096);
		assert_memory_equal(driver_at(driver, data[i % 8][i / 8].gpa), expected, 4096);
	}
	driver_destroy(driver);
	free(expected);
}

/* 5.2.2 */
static void test_multiqueue_refused(void **state)
{
	char text[128];
	struct driver_config config = { .type = &virtio_blk, .options = text,
					.refused = BIT64(VIRTIO_BLK_F_MQ) };
	struct driver_part parts[3];
	struct driver *driver;

	(void)state;
	make_disk(disk_path);
	snprintf(text, sizeof(text), "%s,queues=3", disk_path);
	driver = driver_create(&config);
	driver_begin_early(driver);
	for (unsigned i = 1; i < 3; i++) {
		parts[0] = header_of(driver, VIRTIO_BLK_T_IN, 0);
		parts[1] = driver_in(driver, 4096);
		parts[2] = status_of(driver);
		assert_true(driver_add(&driver->queues[i], parts, 3) >= 0);
		driver_publish(&driver->queues[i]);
		driver_expect_absent(driver, i);
		driver_kick_always(&driver->queues[i]);
	}
	check_read(&driver->queues[0], 0, 4096);
	for (unsigned i = 1; i < 3; i++)
		assert_false(driver_has_used(&driver->queues[i]));
	driver_destroy(driver);
}

static void test_thousands_of_flushes(void **state)
{
	struct driver *driver = start(disk_path, "", 0);
	struct driver_queue *queue = &driver->queues[0];
	struct driver_part parts[2] = { header_of(driver, VIRTIO_BLK_T_FLUSH, 0) };
	unsigned ended = 0, begun = 0;
	uint16_t head;
	uint32_t written;

	(void)state;
	parts[1] = status_of(driver);
	while (ended < 4096) {
		while (begun < 4096 && driver_add(queue, parts, 2) >= 0)
			begun++;
		driver_publish(queue);
		driver_kick(queue);
		assert_true(driver_wait(queue, &head, &written, DRIVER_TIMEOUT_MS));
		assert_int_equal(written, 1);
		ended++;
	}
	/* Those that wait for the same sync share it. */
	assert_in_range(syncs, 4096 / 256, 4096);
	driver_destroy(driver);
}

/* Whatever is in flight, misaligned or not, a reset is survived and the disk works after. */
static void test_reset_in_flight(void **state)
{
	struct driver *driver = start(disk_path, ",direct", 0);
	uint64_t mark = driver_mark(driver);

	(void)state;
	for (unsigned round = 0; round < 30; round++) {
		struct driver_queue *queue = &driver->queues[0];

		for (unsigned i = 0; i < 64; i++) {
			struct driver_part parts[3] = {
				header_of(driver, i % 8 == 7 ? VIRTIO_BLK_T_FLUSH :
							       VIRTIO_BLK_T_IN, i * 64),
				driver_in(driver, 32768 + 4),
				status_of(driver),
			};

			parts[1].gpa += i % 3;
			parts[1].bytes = 32768;
			assert_true(driver_add(queue, parts, 3) >= 0);
		}
		driver_publish(queue);
		driver_kick(queue);
		if (round % 3 == 0)
			usleep(200 * round);
		driver_reset(driver);
		driver_rewind(driver, mark);
		/* Nothing is written to guest memory any more. */
		memset(driver_at(driver, DRIVER_MEMORY_GPA), 0x5a, 16 << 20);
		driver_begin(driver);
		check_read(&driver->queues[0], round, 4096);
	}
	driver_destroy(driver);
	check_disk_unchanged(disk_path);
}

/* F04: reads of what is gone fail, and nothing else does. */
static void test_image_cut_under_us(void **state)
{
	struct driver *driver = start(disk_path, "", 0);
	struct driver_queue *queue = &driver->queues[0];

	(void)state;
	assert_int_equal(truncate(disk_path, 1 << 20), 0);
	check(ask(queue, VIRTIO_BLK_T_IN, 4096, driver_in(driver, 4096)), IOERR, 0);
	check(ask(queue, VIRTIO_BLK_T_IN, 2040, driver_in(driver, 8192)), IOERR, 0);
	check_read(queue, 2040, 4096);
	driver_destroy(driver);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_configuration),
		cmocka_unit_test(test_read_and_write),
		cmocka_unit_test(test_any_framing),
		cmocka_unit_test(test_hostile_requests),
		cmocka_unit_test(test_header_and_status_missing),
		cmocka_unit_test(test_huge_requests),
		cmocka_unit_test(test_readonly),
		cmocka_unit_test(test_write_cache),
		cmocka_unit_test(test_write_cache_is_known_early),
		cmocka_unit_test(test_bad_ranges),
		cmocka_unit_test(test_write_zeroes),
		cmocka_unit_test(test_discard),
		cmocka_unit_test(test_get_id),
		cmocka_unit_test(test_refused_options),
		cmocka_unit_test(test_worker_count),
		cmocka_unit_test(test_multiqueue),
		cmocka_unit_test(test_multiqueue_refused),
		cmocka_unit_test(test_thousands_of_flushes),
		cmocka_unit_test(test_reset_in_flight),
		cmocka_unit_test(test_image_cut_under_us),
	};

	return driver_run_on_both_rings(tests, group_setup, group_teardown);
}
