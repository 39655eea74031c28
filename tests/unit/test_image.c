// SPDX-License-Identifier: MIT
/*
 * Images: what can be opened, and every verb on real files, in memory and on
 * disk. Between the image and the ring stands __wrap_worker_arm(), which counts
 * what is asked of the kernel and makes it fail, stop short or try again.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "block/image.h"
#include "core/worker.h"
#include "tests/unit/message.h"

#define DISK_BYTES (4 * MIB)
#define BUSY_WAITS 2000 /* of 10 ms */
#define BATCH 64

static struct worker worker;
static char disk_path[64], memory_path[64];

/* ---- Between the image and the ring ---- */

void __real_worker_arm(struct io_uring_sqe *sqe, struct ring_op *op);
void __wrap_worker_arm(struct io_uring_sqe *sqe, struct ring_op *op);

/* Worker thread; the test looks when nothing is in flight. */
static struct {
	struct ring_op op;
	struct ring_op *behind;	/* of the operation that is tampered with */
	int result;		/* what it shall end with, or 0 */
	unsigned times;
	unsigned opcode;
	unsigned shorten_to;	/* bytes; 0: not */
	unsigned dsyncs, syncs, writes, fallocates, reads;
	unsigned parts;		/* of the last operation that has several */
} tamper;

static void tampered(struct ring_op *op, int result, uint32_t flags)
{
	(void)op;
	(void)result;
	tamper.behind->done(tamper.behind, tamper.result, flags);
}

static void count(const struct io_uring_sqe *sqe)
{
	if (sqe->opcode == IORING_OP_READV || sqe->opcode == IORING_OP_WRITEV)
		tamper.parts = sqe->len;
	switch (sqe->opcode) {
	case IORING_OP_WRITE:
	case IORING_OP_WRITEV:
		tamper.writes++;
		tamper.dsyncs += sqe->rw_flags == RWF_DSYNC;
		break;
	case IORING_OP_READ:
	case IORING_OP_READV:
		tamper.reads++;
		break;
	case IORING_OP_FSYNC:
		assert_int_equal(sqe->fsync_flags, IORING_FSYNC_DATASYNC);
		tamper.syncs++;
		break;
	case IORING_OP_FALLOCATE:
		tamper.fallocates++;
		break;
	}
}

void __wrap_worker_arm(struct io_uring_sqe *sqe, struct ring_op *op)
{
	count(sqe);
	if (tamper.shorten_to && sqe->len > tamper.shorten_to &&
	    (sqe->opcode == IORING_OP_READ || sqe->opcode == IORING_OP_WRITE))
		sqe->len = tamper.shorten_to;
	if (tamper.times && sqe->opcode == tamper.opcode) {
		tamper.times--;
		tamper.behind = op;
		tamper.op.done = tampered;
		op = &tamper.op;
		/* What is said to have failed must not have been done. */
		sqe->fd = INT16_MAX;
	}
	__real_worker_arm(sqe, op);
}

/* ---- Files, images, requests ---- */

static void start_worker(void)
{
	assert_int_equal(worker_create(&worker, &(struct worker_config){ "io-test", 32, 8 }), 0);
	assert_int_equal(worker_start(&worker), 0);
}

static int setup(void **state)
{
	int fd;

	(void)state;
	/* What a test that fails has mounted goes with the process. Only root can, or needs to. */
	if (!unshare(CLONE_NEWNS))
		assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	snprintf(disk_path, sizeof(disk_path), "%s/ringvm-test-XXXXXX", "/var/tmp");
	snprintf(memory_path, sizeof(memory_path), "%s/ringvm-test-XXXXXX", "/dev/shm");
	fd = mkstemp(disk_path);
	assert_true(fd >= 0);
	close(fd);
	fd = mkstemp(memory_path);
	assert_true(fd >= 0);
	close(fd);
	start_worker();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	worker_stop(&worker);
	worker_destroy(&worker);
	unlink(disk_path);
	unlink(memory_path);
	return 0;
}

/* Bytes that differ from place to place. */
static uint8_t pattern(uint64_t offset)
{
	return (uint8_t)(offset * 7 + offset / 251 + 1) | 1;
}

static void make_file(const char *path, uint64_t size)
{
	uint8_t *bytes = malloc(size ? size : 1);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	for (uint64_t i = 0; i < size; i++)
		bytes[i] = pattern(i);
	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
	free(bytes);
}

static void read_file(const char *path, void *bytes, size_t length, uint64_t offset)
{
	int fd = open(path, O_RDONLY);

	assert_int_equal(pread(fd, bytes, length, (off_t)offset), length);
	close(fd);
}

static int open_image(struct image *image, const char *path, enum image_cache cache, bool readonly)
{
	return image_open(image, &(struct image_config){ .name = "disk0", .path = path,
							 .cache = cache, .readonly = readonly });
}

struct disk {
	struct image image;
	struct image_lane lane;
};

static void disk_open(struct disk *disk, const char *path, enum image_cache cache, bool readonly)
{
	assert_int_equal(open_image(&disk->image, path, cache, readonly), 0);
	assert_int_equal(image_lane_init(&disk->lane, &disk->image, &worker), 0);
	memset(&tamper, 0, sizeof(tamper));
}

static void disk_close(struct disk *disk)
{
	image_lane_destroy(&disk->lane);
	image_close(&disk->image);
}

/*
 * A ring of Linux 6.1 lets go of a file that was taken out of it when all that was begun before has
 * ended, which a worker's waits never do. So the ring has to go; and some time after it goes the file.
 */
static void new_worker(void)
{
	worker_stop(&worker);
	worker_destroy(&worker);
	start_worker();
}

static bool wait_while_busy(int error)
{
	static unsigned waits;

	waits = error == EBUSY && waits < BUSY_WAITS ? waits + 1 : 0;
	if (waits)
		usleep(10000);
	return waits;
}

static void unmount(const char *directory)
{
	int error;

	new_worker();
	do
		error = umount(directory) ? errno : 0;
	while (wait_while_busy(error));
	assert_int_equal(error, 0);
}

/* Of a block device, after which it can be opened again. */
static void disk_close_for_good(struct disk *disk, const char *path)
{
	int fd;

	disk_close(disk);
	new_worker();
	do
		fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);
	while (wait_while_busy(fd < 0 ? errno : 0));
	assert_true(fd >= 0);
	close(fd);
}

struct request {
	struct image_io io;
	struct iovec iov[8];
	struct worker_task task;
	struct image_lane *lane;
	sem_t ended;
	int result;
	unsigned count;
};

static void request_done(struct image_io *io, int result)
{
	struct request *request = container_of(io, struct request, io);

	request->result = result;
	request->count++;
	sem_post(&request->ended);
}

static void request_submit(struct worker_task *task)
{
	struct request *request = container_of(task, struct request, task);

	image_submit(request->lane, &request->io);
}

static void begin(struct disk *disk, struct request *request)
{
	request->io.done = request_done;
	request->io.iov = request->iov;
	request->lane = &disk->lane;
	request->task.run = request_submit;
	request->count = 0;
	sem_init(&request->ended, 0, 0);
	worker_post(&worker, &request->task);
}

static void nothing(struct worker_task *task)
{
	(void)task;
}

static int end(struct request *request)
{
	struct worker_task task = { nothing };
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 60;
	assert_int_equal(sem_timedwait(&request->ended, &until), 0);
	worker_call(&worker, &task); /* whatever done() was called from has returned */
	assert_int_equal(request->count, 1);
	sem_destroy(&request->ended);
	return request->result;
}

static int transfer(struct disk *disk, enum image_verb verb, uint64_t offset, void *buffer,
		    size_t length)
{
	struct request request = {
		.io = { .verb = verb, .offset = offset, .length = length, .iov_count = 1 },
		.iov = { { buffer, length } },
	};

	begin(disk, &request);
	return end(&request);
}

static int write_durably(struct disk *disk, void *buffer, size_t length)
{
	struct request request = {
		.io = { .verb = IMAGE_WRITE, .durable = true, .length = length, .iov_count = 1 },
		.iov = { { buffer, length } },
	};

	begin(disk, &request);
	return end(&request);
}

static int no_data(struct disk *disk, struct image_io io)
{
	struct request request = { .io = io };

	begin(disk, &request);
	return end(&request);
}

/* ---- Opening ---- */

static int opens(const char *path, bool readonly)
{
	struct image image;
	int error = open_image(&image, path, IMAGE_CACHE_AUTO, readonly);

	if (!error)
		image_close(&image);
	else
		assert_int_equal(image.fd, -1);
	/* The user's mistakes are none of the host's. */
	assert_false(fail_is_host(error));
	return error;
}

static void test_what_can_not_be_opened(void **state)
{
	uid_t user = geteuid();

	(void)state;
	assert_int_equal(opens("/nonexistent/disk.img", false), -ENOENT);
	assert_int_equal(opens("/tmp", false), -EISDIR);
	assert_int_equal(opens("/tmp", true), -EISDIR);
	assert_int_equal(opens("/dev/null", false), -EINVAL);
	make_file(disk_path, 0);
	assert_int_equal(opens(disk_path, false), -EINVAL);
	make_file(disk_path, 511);
	assert_int_equal(opens(disk_path, false), -EINVAL);

	make_file(disk_path, 4096);
	assert_int_equal(opens(disk_path, false), 0);
	chmod(disk_path, 0444);
	if (!user)
		assert_int_equal(seteuid(65534), 0);
	assert_int_equal(opens(disk_path, false), -EACCES);
	assert_int_equal(opens(disk_path, true), 0);
	if (!user)
		assert_int_equal(seteuid(0), 0);
	chmod(disk_path, 0600);
}

static void test_other_formats_are_refused(void **state)
{
	static const struct {
		const char *magic;
		size_t length;
		off_t at;
	} others[] = {
		{ "QFI\xfb", 4, 0 }, { "QED\0", 4, 0 }, { "KDMV", 4, 0 }, { "COWD", 4, 0 },
		{ "# Disk DescriptorFile\nversion=1\n", 32, 0 }, { "conectix", 8, 0 },
		{ "vhdxfile", 8, 0 }, { "\x7f\x10\xda\xbe", 4, 64 },
		{ "WithoutFreeSpace", 16, 0 }, { "WithouFreSpacExt", 16, 0 },
	};
	struct image image;
	int fd;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		struct image_config config = { .name = "disk0", .path = disk_path };
		char last = others[i].magic[others[i].length - 1];

		make_file(disk_path, 4096);
		fd = open(disk_path, O_WRONLY);
		assert_int_equal(pwrite(fd, others[i].magic, others[i].length, others[i].at),
				 others[i].length);
		assert_int_equal(image_open(&image, &config), -EINVAL);
		config.format_raw = true;
		assert_int_equal(image_open(&image, &config), 0);
		image_close(&image);
		/* It is the whole of it that counts. */
		config.format_raw = false;
		assert_int_equal(pwrite(fd, (char[]){ last ^ 0x40 }, 1,
					others[i].at + (off_t)others[i].length - 1), 1);
		assert_int_equal(image_open(&image, &config), i == 4 ? -EINVAL : 0);
		if (i != 4) /* of which the newline is no part */
			image_close(&image);
		close(fd);
	}
}

static void test_one_writer_or_many_readers(void **state)
{
	struct image writer, reader, another;
	int status;
	pid_t child;

	(void)state;
	make_file(disk_path, 4096);
	assert_int_equal(open_image(&writer, disk_path, IMAGE_CACHE_AUTO, false), 0);
	assert_int_equal(open_image(&another, disk_path, IMAGE_CACHE_AUTO, false), -EBUSY);
	assert_int_equal(open_image(&reader, disk_path, IMAGE_CACHE_AUTO, true), -EBUSY);
	child = fork();
	if (!child)
		_exit(open_image(&another, disk_path, IMAGE_CACHE_AUTO, false) == -EBUSY ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	image_close(&writer);

	assert_int_equal(open_image(&reader, disk_path, IMAGE_CACHE_AUTO, true), 0);
	assert_int_equal(open_image(&another, disk_path, IMAGE_CACHE_AUTO, true), 0);
	assert_int_equal(open_image(&writer, disk_path, IMAGE_CACHE_AUTO, false), -EBUSY);
	image_close(&reader);
	image_close(&another);
	assert_int_equal(open_image(&writer, disk_path, IMAGE_CACHE_AUTO, false), 0);
	image_close(&writer);
}

/* The ring of a worker that has ended may outlive the image, but not its lock. */
static void test_lock_ends_with_the_image(void **state)
{
	struct worker ended;
	struct image_lane lane;
	struct image image;

	(void)state;
	make_file(disk_path, 4096);
	assert_int_equal(worker_create(&ended, &(struct worker_config){ "io-ended", 32, 8 }), 0);
	assert_int_equal(open_image(&image, disk_path, IMAGE_CACHE_AUTO, false), 0);
	assert_int_equal(image_lane_init(&lane, &image, &ended), 0);
	assert_int_equal(worker_start(&ended), 0);
	worker_stop(&ended);
	image_lane_destroy(&lane);
	image_close(&image);
	assert_int_equal(opens(disk_path, false), 0);
	worker_destroy(&ended);
}

static void test_geometry(void **state)
{
	struct image image;

	(void)state;
	make_file(disk_path, 10 * 512 + 100);
	assert_int_equal(open_image(&image, disk_path, IMAGE_CACHE_WRITEBACK, false), 0);
	assert_int_equal(image.capacity_bytes, 10 * 512);
	assert_int_equal(image.logical_block, 512);
	assert_true(image.physical_block >= 512);
	assert_false(image.direct);
	image_close(&image);

	/* Whatever the disk below likes: the default leaves the guest 512 bytes a block. */
	assert_int_equal(open_image(&image, disk_path, IMAGE_CACHE_AUTO, false), 0);
	assert_int_equal(image.logical_block, 512);
	assert_int_equal(!!(fcntl(image.fd, F_GETFL) & O_DIRECT), image.direct);
	image_close(&image);
}

/* ---- Verbs ---- */

static const enum image_cache caches[] = {
	IMAGE_CACHE_AUTO, IMAGE_CACHE_DIRECT, IMAGE_CACHE_WRITEBACK, IMAGE_CACHE_WRITETHROUGH,
	IMAGE_CACHE_UNSAFE,
};

static void check_pattern(const uint8_t *bytes, uint64_t offset, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (bytes[i] != pattern(offset + i))
			fail_msg("byte %llu is %#x", (unsigned long long)(offset + i), bytes[i]);
}

/* Reads and writes of several lengths through buffers shifted by `shift` bytes. */
static void read_and_write(struct disk *disk, const char *path, size_t shift)
{
	const size_t lengths[] = { 4096, 8192, 65536, 69632, 1048576 };
	uint8_t *memory = NULL, *check = malloc(MIB);

	assert_int_equal(posix_memalign((void **)&memory, 4096, MIB + 4096), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		size_t length = lengths[i];
		uint64_t offset = DISK_BYTES - length;

		memset(memory, 0, MIB + 4096);
		assert_int_equal(transfer(disk, IMAGE_READ, offset, memory + shift, length), 0);
		check_pattern(memory + shift, offset, length);
		assert_int_equal(memory[shift + length], 0);

		for (size_t k = 0; k < length; k++)
			memory[shift + k] ^= 0xff;
		assert_int_equal(transfer(disk, IMAGE_WRITE, offset, memory + shift, length), 0);
		read_file(path, check, length, offset);
		assert_memory_equal(check, memory + shift, length);
		for (size_t k = 0; k < length; k++)
			memory[shift + k] ^= 0xff;
		assert_int_equal(transfer(disk, IMAGE_WRITE, offset, memory + shift, length), 0);
	}
	free(memory);
	free(check);
}

static void test_read_and_write(void **state)
{
	const char *const paths[] = { disk_path, memory_path };
	const size_t shifts[] = { 0, 512, 16, 1 };
	struct disk disk;

	(void)state;
	for (unsigned p = 0; p < ARRAY_SIZE(paths); p++) {
		make_file(paths[p], DISK_BYTES);
		for (unsigned c = 0; c < ARRAY_SIZE(caches); c++) {
			disk_open(&disk, paths[p], caches[c], false);
			for (unsigned s = 0; s < ARRAY_SIZE(shifts); s++)
				read_and_write(&disk, paths[p], shifts[s]);
			disk_close(&disk);
		}
	}
}

/* A block in pieces of odd lengths, empty ones among them. */
static void test_scattered(void **state)
{
	struct disk disk;
	uint8_t memory[3 * 4096], check[4096];

	(void)state;
	make_file(disk_path, DISK_BYTES);
	for (unsigned c = 0; c < ARRAY_SIZE(caches); c++) {
		struct request request = {
			.io = { .verb = IMAGE_READ, .offset = 8192, .length = 4096,
				.iov_count = 6 },
			.iov = { { memory, 0 }, { memory + 1, 1 }, { memory + 100, 600 },
				 { memory, 0 }, { memory + 1024, 3000 }, { memory + 8192, 495 } },
		};

		disk_open(&disk, disk_path, caches[c], false);
		memset(memory, 0, sizeof(memory));
		begin(&disk, &request);
		assert_int_equal(end(&request), 0);
		check_pattern(memory + 1, 8192, 1);
		check_pattern(memory + 100, 8192 + 1, 600);
		check_pattern(memory + 1024, 8192 + 601, 3000);
		check_pattern(memory + 8192, 8192 + 3601, 495);
		assert_int_equal(memory[0], 0);
		assert_int_equal(memory[700], 0);
		assert_int_equal(memory[8192 + 495], 0);

		request = (struct request){
			.io = { .verb = IMAGE_WRITE, .offset = 4096, .length = 4096,
				.iov_count = 4 },
			.iov = { { memory + 1, 1 }, { memory + 100, 600 }, { memory + 1024, 3000 },
				 { memory + 8192, 495 } },
		};
		begin(&disk, &request);
		assert_int_equal(end(&request), 0);
		read_file(disk_path, check, 4096, 4096);
		check_pattern(check, 8192, 4096);
		disk_close(&disk);
	}
}

/* More requests than bounce buffers, each of more than one buffer. */
static void test_waiting_for_buffers(void **state)
{
	static struct request requests[BATCH];
	const size_t length = 96 * KIB;
	uint8_t *memory = malloc(BATCH * length + 1);
	struct disk disk;

	(void)state;
	make_file(disk_path, DISK_BYTES);
	disk_open(&disk, disk_path, IMAGE_CACHE_DIRECT, false);
	for (unsigned i = 0; i < BATCH; i++) {
		requests[i] = (struct request){
			.io = { .verb = IMAGE_READ, .offset = i % 32 * length, .length = length,
				.iov_count = 1 },
			.iov = { { memory + 1 + i * length, length } },
		};
		begin(&disk, &requests[i]);
	}
	for (unsigned i = 0; i < BATCH; i++) {
		assert_int_equal(end(&requests[i]), 0);
		check_pattern(memory + 1 + i * length, i % 32 * length, length);
	}
	assert_null(disk.lane.buffer_line.first);
	assert_int_equal(disk.lane.buffers_free, 0xffff);
	disk_close(&disk);
	free(memory);
}

static void test_bounds(void **state)
{
	const struct {
		uint64_t offset, length;
	} bad[] = {
		{ DISK_BYTES, 512 }, { DISK_BYTES - 512, 1024 }, { UINT64_MAX - 511, 512 },
		{ UINT64_MAX - 511, 1024 }, { 0, UINT64_MAX - 511 }, { 1, 512 }, { 512, 511 },
		{ UINT64_C(1) << 63, 512 },
	};
	static const enum image_verb verbs[] = {
		IMAGE_READ, IMAGE_WRITE, IMAGE_DISCARD, IMAGE_WRITE_ZEROES,
	};
	struct disk disk;
	struct stat status;
	uint8_t *bytes = malloc(DISK_BYTES);

	(void)state;
	make_file(disk_path, DISK_BYTES);
	disk_open(&disk, disk_path, IMAGE_CACHE_AUTO, false);
	for (unsigned v = 0; v < ARRAY_SIZE(verbs); v++)
		for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
			assert_int_equal(no_data(&disk, (struct image_io){ .verb = verbs[v],
						 .offset = bad[i].offset,
						 .length = bad[i].length }), -EINVAL);
	assert_int_equal(no_data(&disk, (struct image_io){ .verb = IMAGE_READ,
							   .offset = DISK_BYTES }), 0);
	disk_close(&disk);
	assert_int_equal(stat(disk_path, &status), 0);
	assert_int_equal(status.st_size, DISK_BYTES);
	read_file(disk_path, bytes, DISK_BYTES, 0);
	check_pattern(bytes, 0, DISK_BYTES);
	free(bytes);
}

static void test_readonly(void **state)
{
	uint8_t bytes[4096];
	struct disk disk;

	(void)state;
	make_file(disk_path, DISK_BYTES);
	disk_open(&disk, disk_path, IMAGE_CACHE_AUTO, true);
	assert_false(disk.image.can_discard);
	assert_int_equal(transfer(&disk, IMAGE_READ, 0, bytes, 4096), 0);
	check_pattern(bytes, 0, 4096);
	assert_int_equal(transfer(&disk, IMAGE_WRITE, 0, bytes, 4096), -EROFS);
	assert_int_equal(no_data(&disk, (struct image_io){ .verb = IMAGE_DISCARD,
							   .length = 4096 }), -EROFS);
	assert_int_equal(no_data(&disk, (struct image_io){ .verb = IMAGE_WRITE_ZEROES,
							   .length = 4096 }), -EROFS);
	assert_int_equal(no_data(&disk, (struct image_io){ .verb = IMAGE_FLUSH }), 0);
	disk_close(&disk);
	assert_int_equal(tamper.writes + tamper.fallocates + tamper.syncs, 0);
}

/* ---- What is stable when ---- */

static void test_durable(void **state)
{
	static const struct {
		enum image_cache cache;
		unsigned syncs;	/* of a flush */
		struct {
			unsigned dsyncs, syncs;
		} plain, durable;
	} rules[] = {
		{ IMAGE_CACHE_AUTO, 1, { 0, 0 }, { 1, 0 } },
		{ IMAGE_CACHE_WRITEBACK, 1, { 0, 0 }, { 0, 1 } },
		{ IMAGE_CACHE_WRITETHROUGH, 1, { 0, 1 }, { 0, 1 } },
		{ IMAGE_CACHE_UNSAFE, 0, { 0, 0 }, { 0, 0 } },
	};
	uint8_t *bytes = NULL;
	struct disk disk;

	(void)state;
	assert_int_equal(posix_memalign((void **)&bytes, 4096, 8192), 0);
	memset(bytes, 7, 8192);
	make_file(disk_path, DISK_BYTES);
	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
		struct image_io write = { .verb = IMAGE_WRITE, .length = 4096, .iov_count = 1 };
		struct request request = { .io = write, .iov = { { bytes, 4096 } } };

		disk_open(&disk, disk_path, rules[i].cache, false);
		begin(&disk, &request);
		assert_int_equal(end(&request), 0);
		assert_int_equal(tamper.dsyncs, rules[i].plain.dsyncs);
		assert_int_equal(tamper.syncs, rules[i].plain.syncs);

		/* As one part, as two, and through a bounce buffer. */
		for (unsigned kind = 0; kind < 3; kind++) {
			tamper.dsyncs = tamper.syncs = 0;
			request = (struct request){ .io = write };
			request.io.durable = true;
			request.iov[0] = (struct iovec){ bytes + (kind == 2), 4096 };
			if (kind == 1) {
				request.io.iov_count = 2;
				request.iov[0].iov_len = 512;
				request.iov[1] = (struct iovec){ bytes + 512, 4096 - 512 };
			}
			begin(&disk, &request);
			assert_int_equal(end(&request), 0);
			assert_int_equal(tamper.dsyncs, rules[i].durable.dsyncs);
			assert_int_equal(tamper.syncs, rules[i].durable.syncs);
		}
		tamper.syncs = 0;
		assert_int_equal(transfer(&disk, IMAGE_READ, 0, bytes, 4096), 0);
		assert_int_equal(tamper.syncs, 0);
		assert_int_equal(no_data(&disk, (struct image_io){ .verb = IMAGE_FLUSH }), 0);
		assert_int_equal(tamper.syncs, rules[i].syncs);
		tamper.syncs = 0;
		assert_int_equal(no_data(&disk, (struct image_io){ .verb = IMAGE_WRITE_ZEROES,
					 .durable = true, .length = 4096 }), 0);
		assert_int_equal(tamper.syncs, rules[i].syncs);
		disk_close(&disk);
	}
	free(bytes);
}

/* ---- Zeroes ---- */

static void zero_range(struct disk *disk, const char *path, enum image_verb verb, bool unmap)
{
	const uint64_t offset = 64 * KIB + 512, length = 2 * MIB + 1024;
	uint8_t *bytes = malloc(DISK_BYTES);

	make_file(path, DISK_BYTES);
	assert_int_equal(no_data(disk, (struct image_io){ .verb = verb, .unmap = unmap,
				 .offset = offset, .length = length }), 0);
	read_file(path, bytes, DISK_BYTES, 0);
	check_pattern(bytes, 0, offset);
	check_pattern(bytes + offset + length, offset + length, DISK_BYTES - offset - length);
	for (uint64_t i = offset; i < offset + length; i++)
		assert_int_equal(bytes[i], 0);
	free(bytes);
}

static blkcnt_t blocks_of(const char *path)
{
	struct stat status;
	int fd = open(path, O_RDONLY);

	assert_int_equal(fsync(fd), 0);
	assert_int_equal(fstat(fd, &status), 0);
	close(fd);
	return status.st_blocks;
}

static void test_zeroes(void **state)
{
	const char *const paths[] = { disk_path, memory_path };
	/* Whole pages are taken out, a part of one at each end stays; and what a file needs itself. */
	const blkcnt_t halved = (DISK_BYTES / 2 + 2 * sysconf(_SC_PAGESIZE)) / 512 + 64;
	struct disk disk;

	(void)state;
	for (unsigned p = 0; p < ARRAY_SIZE(paths); p++) {
		make_file(paths[p], DISK_BYTES);
		disk_open(&disk, paths[p], IMAGE_CACHE_AUTO, false);
		assert_true(disk.image.can_discard);
		zero_range(&disk, paths[p], IMAGE_WRITE_ZEROES, false);
		assert_true(blocks_of(paths[p]) >= (blkcnt_t)(DISK_BYTES / 512));
		zero_range(&disk, paths[p], IMAGE_WRITE_ZEROES, true);
		assert_true(blocks_of(paths[p]) <= halved);
		zero_range(&disk, paths[p], IMAGE_DISCARD, false);
		assert_true(blocks_of(paths[p]) <= halved);
		assert_int_equal(stat(paths[p], &(struct stat){ 0 }), 0);
		disk_close(&disk);
	}
}

/*
 * The file system would take parts of its blocks into the page cache: what is lost
 * from there is told once, while a direct image's flushes go on.
 */
static void test_direct_zeroes_keep_out_of_the_page_cache(void **state)
{
	static const struct {
		uint64_t offset, length;
		unsigned writes, fallocates;
	} ranges[] = {
		{ 0, 4096, 0, 1 },
		{ 512, 512, 1, 0 },
		{ 4096, 512, 1, 0 },
		{ 4096 + 512, 4096 - 512, 1, 0 },
		{ 2 * 4096 - 512, 1024, 1, 0 }, /* of two blocks */
		{ 4096 - 512, 512 + 4096, 1, 1 },
		{ 4096, 4096 + 512, 1, 1 },
		{ 512, 4 * 4096, 2, 1 },
		{ 0, 64 * KIB, 0, 1 },
	};
	uint8_t bytes[64 * KIB];
	struct stat status;
	struct disk disk;

	(void)state;
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(ranges); i++) {
		const uint64_t offset = ranges[i / 2].offset, length = ranges[i / 2].length;

		make_file(disk_path, sizeof(bytes));
		disk_open(&disk, disk_path, IMAGE_CACHE_AUTO, false);
		assert_true(disk.image.direct);
		assert_int_equal(fstat(disk.image.fd, &status), 0);
		if (is_power_of_two((uint64_t)status.st_blksize) && status.st_blksize <= 65536)
			assert_int_equal(disk.image.zero_block, status.st_blksize);
		disk.image.zero_block = 4096; /* this file system's may be others */
		tamper.writes = tamper.fallocates = 0;
		assert_int_equal(no_data(&disk, (struct image_io){
			.verb = IMAGE_WRITE_ZEROES, .unmap = i & 1, .durable = i & 1,
			.offset = offset, .length = length }), 0);
		assert_int_equal(tamper.writes, ranges[i / 2].writes);
		assert_int_equal(tamper.fallocates, ranges[i / 2].fallocates);
		disk_close(&disk);
		read_file(disk_path, bytes, sizeof(bytes), 0);
		check_pattern(bytes, 0, offset);
		check_pattern(bytes + offset + length, offset + length,
			      sizeof(bytes) - offset - length);
		for (uint64_t at = offset; at < offset + length; at++)
			assert_int_equal(bytes[at], 0);
	}
}

/* A file system that can't: each way falls back to the next, and is not tried again. */
static void test_zeroes_written(void **state)
{
	struct disk disk;

	(void)state;
	make_file(disk_path, DISK_BYTES);
	disk_open(&disk, disk_path, IMAGE_CACHE_AUTO, false);
	tamper.opcode = IORING_OP_FALLOCATE;
	tamper.result = -EOPNOTSUPP;
	tamper.times = 2;
	zero_range(&disk, disk_path, IMAGE_WRITE_ZEROES, true);
	assert_int_equal(tamper.fallocates, 2);
	assert_true(tamper.writes >= 3); /* 1 MiB each */
	zero_range(&disk, disk_path, IMAGE_WRITE_ZEROES, true);
	zero_range(&disk, disk_path, IMAGE_WRITE_ZEROES, false);
	assert_int_equal(tamper.fallocates, 2);
	disk_close(&disk);

	/* A discard is a hint, whatever comes of it. */
	disk_open(&disk, disk_path, IMAGE_CACHE_AUTO, false);
	tamper.opcode = IORING_OP_FALLOCATE;
	tamper.result = -EIO;
	tamper.times = 1;
	assert_int_equal(no_data(&disk, (struct image_io){ .verb = IMAGE_DISCARD,
							   .length = 4096 }), 0);
	/* A failure that says nothing of the file system is not remembered. */
	assert_false(disk.lane.no_punch);
	disk_close(&disk);
}

/* ---- Failure ---- */

static void test_short_transfers(void **state)
{
	struct disk disk;

	(void)state;
	make_file(disk_path, DISK_BYTES);
	for (unsigned c = 0; c < 3; c++) {
		disk_open(&disk, disk_path, caches[c], false);
		tamper.shorten_to = 4096;
		read_and_write(&disk, disk_path, 0);
		read_and_write(&disk, disk_path, 16);
		assert_true(tamper.reads > 256 && tamper.writes > 256);
		disk_close(&disk);
	}
}

static void test_try_again(void **state)
{
	static const int errors[] = { -EAGAIN, -EINTR };
	uint8_t bytes[4096];
	struct disk disk;

	(void)state;
	make_file(disk_path, DISK_BYTES);
	disk_open(&disk, disk_path, IMAGE_CACHE_WRITEBACK, false);
	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		tamper.opcode = IORING_OP_READ;
		tamper.result = errors[i];
		tamper.times = 8;
		assert_int_equal(transfer(&disk, IMAGE_READ, 512, bytes, 4096), 0);
		check_pattern(bytes, 512, 4096);
		/* But not for ever. */
		tamper.times = 9;
		assert_int_equal(transfer(&disk, IMAGE_READ, 512, bytes, 4096), errors[i]);
		assert_int_equal(tamper.times, 0);
	}
	disk_close(&disk);
}

static void test_errors_are_of_one_request(void **state)
{
	uint8_t *bytes = NULL;
	struct disk disk;

	(void)state;
	assert_int_equal(posix_memalign((void **)&bytes, 4096, 8192), 0);
	memset(bytes, 3, 8192);
	make_file(disk_path, DISK_BYTES);
	disk_open(&disk, disk_path, IMAGE_CACHE_AUTO, false);
	tamper.opcode = IORING_OP_WRITE;
	tamper.result = -EIO;
	tamper.times = 1;
	assert_int_equal(transfer(&disk, IMAGE_WRITE, 0, bytes, 4096), -EIO);
	assert_int_equal(transfer(&disk, IMAGE_WRITE, 0, bytes, 4096), 0);
	/* Nothing written, nothing said. */
	tamper.result = 0;
	tamper.times = 1;
	assert_int_equal(transfer(&disk, IMAGE_WRITE, 0, bytes, 4096), -EIO);
	/* The buffer of a bounced request that failed is free again. */
	tamper.result = -ENOSPC;
	tamper.times = 1;
	assert_int_equal(transfer(&disk, IMAGE_WRITE, 0, bytes + 1, 4096), -ENOSPC);
	assert_int_equal(disk.lane.buffers_free, 0xffff);
	/* Never a second try: it would succeed, and the data is lost. */
	tamper.opcode = IORING_OP_FSYNC;
	tamper.result = -EIO;
	tamper.times = 1;
	tamper.syncs = 0;
	assert_int_equal(no_data(&disk, (struct image_io){ .verb = IMAGE_FLUSH }), -EIO);
	assert_int_equal(tamper.syncs, 1);
	/* Not of what was written before it either: below the file there are caches as well. */
	assert_int_equal(no_data(&disk, (struct image_io){ .verb = IMAGE_FLUSH }), -EIO);
	assert_int_equal(tamper.syncs, 1);
	assert_int_equal(transfer(&disk, IMAGE_WRITE, 0, bytes, 4096), 0);
	disk_close(&disk);
	free(bytes);
}

struct huge {
	struct request request;
	struct worker_job neighbour;
	unsigned turns; /* of the neighbour, while the request went on */
};

static void neighbour_runs(struct worker_job *job)
{
	struct huge *huge = container_of(job, struct huge, neighbour);

	if (huge->request.count)
		return;
	huge->turns++;
	worker_ready(&worker, job);
}

static void huge_submit(struct worker_task *task)
{
	struct huge *huge = container_of(task, struct huge, request.task);

	image_submit(huge->request.lane, &huge->request.io);
	worker_ready(&worker, &huge->neighbour);
}

/* A file in memory is read by plain calls: none takes so long that a neighbour waits for it. */
static void test_huge_transfers_let_others_in(void **state)
{
	const size_t bytes = 24 * MIB + 512, parts[] = { 512, 3 * MIB, 12 * MIB };
	uint8_t *expected = malloc(bytes), *got = calloc(1, bytes);
	struct huge huge = { .neighbour.run = neighbour_runs };
	struct request *request = &huge.request;
	struct disk disk;
	size_t at = 0;

	(void)state;
	make_file(memory_path, bytes);
	read_file(memory_path, expected, bytes, 0);
	disk_open(&disk, memory_path, IMAGE_CACHE_AUTO, false);
	assert_true(disk.image.in_memory);
	request->io = (struct image_io){ .verb = IMAGE_READ, .length = bytes, .iov_count = 4,
					 .done = request_done, .iov = request->iov };
	for (unsigned i = 0; i < 4; i++) {
		size_t length = i < ARRAY_SIZE(parts) ? parts[i] : bytes - at;

		request->iov[i] = (struct iovec){ got + at, length };
		at += length;
	}
	request->lane = &disk.lane;
	request->task.run = huge_submit;
	sem_init(&request->ended, 0, 0);
	worker_post(&worker, &request->task);
	assert_int_equal(end(request), 0);
	/* 512 bytes and 3 MiB; 4 MiB three times; 4, 4 and 1: in between is five times. */
	assert_int_equal(huge.turns, 5);
	assert_memory_equal(got, expected, bytes);
	assert_int_equal(transfer(&disk, IMAGE_WRITE, 0, got, bytes), 0);
	disk_close(&disk);
	make_file(memory_path, 512);
	free(expected);
	free(got);
}

/* What the page cache has is copied while it is submitted: no more at once than in memory. */
static void test_cached_transfers_let_others_in(void **state)
{
	const size_t bytes = 24 * MIB;
	uint8_t *got = calloc(1, bytes);
	struct huge huge = { .neighbour.run = neighbour_runs };
	struct request *request = &huge.request;
	struct disk disk;

	(void)state;
	make_file(disk_path, bytes);
	disk_open(&disk, disk_path, IMAGE_CACHE_WRITEBACK, false);
	disk.image.in_memory = false;
	request->io = (struct image_io){ .verb = IMAGE_READ, .length = bytes, .iov_count = 2,
					 .done = request_done, .iov = request->iov };
	request->iov[0] = (struct iovec){ got, 6 * MIB };
	request->iov[1] = (struct iovec){ got + 6 * MIB, 18 * MIB };
	request->lane = &disk.lane;
	request->task.run = huge_submit;
	sem_init(&request->ended, 0, 0);
	worker_post(&worker, &request->task);
	assert_int_equal(end(request), 0);
	assert_in_range(tamper.reads, 6, 8);
	assert_true(huge.turns >= 5);
	check_pattern(got, 0, bytes);
	disk_close(&disk);
	free(got);
}

static bool unwanted(const struct image_io *io)
{
	(void)io;
	return false;
}

#define UNWANTED 40

struct unwanted {
	struct worker_task task;
	struct request requests[UNWANTED];
};

static void unwanted_submit(struct worker_task *task)
{
	struct unwanted *all = container_of(task, struct unwanted, task);

	for (unsigned i = 0; i < UNWANTED; i++)
		image_submit(all->requests[i].lane, &all->requests[i].io);
}

/* A guest that resets does not wait for more than what is in flight. */
static void test_unwanted_requests_end_soon(void **state)
{
	struct unwanted *all = calloc(1, sizeof(*all));
	uint8_t *bytes = NULL;
	struct disk disk;

	(void)state;
	assert_int_equal(posix_memalign((void **)&bytes, 4096, MIB), 0);
	make_file(disk_path, DISK_BYTES);
	for (unsigned c = 0; c < 2; c++) {
		struct request request = {
			.io = { .verb = IMAGE_READ, .length = 65536, .iov_count = 1,
				.wanted = unwanted },
			.iov = { { bytes, 65536 } },
		};

		disk_open(&disk, disk_path, c ? IMAGE_CACHE_WRITEBACK : IMAGE_CACHE_AUTO, false);
		disk.image.in_memory = false;
		tamper.shorten_to = 4096;
		begin(&disk, &request);
		assert_int_equal(end(&request), -ECANCELED);
		assert_int_equal(tamper.reads, 1);
		/* Nor is it tried again, nor in another way, nor said to have failed. */
		for (unsigned i = 0; i < 2; i++) {
			request.io = (struct image_io){ .verb = IMAGE_WRITE_ZEROES, .length = MIB,
							.unmap = true, .wanted = unwanted };
			tamper.opcode = IORING_OP_FALLOCATE;
			tamper.result = i ? -EOPNOTSUPP : -EINTR;
			tamper.times = 1;
			message_begin();
			begin(&disk, &request);
			assert_int_equal(end(&request), -ECANCELED);
			assert_false(message_end(""));
			assert_int_equal(tamper.fallocates, i + 1);
			assert_int_equal(tamper.writes, 0);
		}
		disk_close(&disk);
	}
	/* Sixteen have a bounce buffer, the others wait for one in vain. */
	disk_open(&disk, disk_path, IMAGE_CACHE_AUTO, false);
	all->task.run = unwanted_submit;
	for (unsigned i = 0; i < UNWANTED; i++) {
		struct request *request = &all->requests[i];

		request->iov[0] = (struct iovec){ bytes + 4096 * i + 1, 512 };
		request->io = (struct image_io){ .verb = IMAGE_READ, .length = 512, .iov_count = 1,
						 .iov = request->iov, .wanted = unwanted,
						 .done = request_done };
		request->lane = &disk.lane;
		sem_init(&request->ended, 0, 0);
	}
	worker_post(&worker, &all->task);
	for (unsigned i = 0; i < UNWANTED; i++)
		assert_int_equal(end(&all->requests[i]), -ECANCELED);
	assert_int_equal(tamper.reads, 16);
	assert_int_equal(disk.lane.buffers_free, 0xffff);
	disk_close(&disk);
	free(bytes);
	free(all);
}

/* What the page cache could not write is gone, and the kernel says so once. */
static void test_lost_data_stays_lost(void **state)
{
	static const struct {
		enum image_cache cache;
		bool durable_write;
		unsigned opcode; /* of what fails */
		int flush, flush_again;
	} rules[] = {
		{ IMAGE_CACHE_WRITEBACK, false, IORING_OP_FSYNC, -EIO, -EIO },
		{ IMAGE_CACHE_WRITEBACK, true, IORING_OP_FSYNC, -EIO, -EIO },
		{ IMAGE_CACHE_WRITEBACK, true, IORING_OP_WRITE, 0, 0 }, /* no room, say */
		/* Nothing that the guest took for safe was in the cache. */
		{ IMAGE_CACHE_WRITETHROUGH, true, IORING_OP_FSYNC, 0, 0 },
		{ IMAGE_CACHE_WRITETHROUGH, true, IORING_OP_WRITE, 0, 0 },
	};
	uint8_t *bytes = calloc(1, 4096);
	struct disk disk;

	(void)state;
	make_file(disk_path, DISK_BYTES);
	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
		disk_open(&disk, disk_path, rules[i].cache, false);
		disk.image.in_memory = false; /* what is tampered with is the ring's */
		assert_int_equal(transfer(&disk, IMAGE_WRITE, 0, bytes, 4096), 0);
		tamper.opcode = rules[i].opcode;
		tamper.result = -EIO;
		tamper.times = 1;
		if (rules[i].durable_write)
			assert_int_equal(write_durably(&disk, bytes, 4096), -EIO);
		assert_int_equal(no_data(&disk, (struct image_io){ .verb = IMAGE_FLUSH }),
				 rules[i].flush);
		assert_int_equal(tamper.times, 0);
		assert_int_equal(no_data(&disk, (struct image_io){ .verb = IMAGE_FLUSH }),
				 rules[i].flush_again);
		assert_int_equal(transfer(&disk, IMAGE_WRITE, 0, bytes, 4096), 0);
		disk_close(&disk);
	}
	free(bytes);
}

/* The kernel would stop at 2 GiB less a page, within a block of 8 KiB. */
static void test_huge_transfers_are_whole_blocks(void **state)
{
	const size_t part_bytes = 384 * MIB;
	struct request request = { .io = { .verb = IMAGE_READ, .iov_count = 8 } };
	uint8_t *bytes = mmap(NULL, part_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct disk disk;

	(void)state;
	assert_ptr_not_equal(bytes, MAP_FAILED);
	make_file(disk_path, 0);
	assert_int_equal(truncate(disk_path, 4 * GIB), 0);
	disk_open(&disk, disk_path, IMAGE_CACHE_AUTO, false);
	for (unsigned i = 0; i < 8; i++)
		request.iov[i] = (struct iovec){ bytes, part_bytes };
	request.io.length = 8 * part_bytes;
	tamper.opcode = IORING_OP_READV;
	tamper.result = -EIO; /* its memory is none */
	tamper.times = 1;
	begin(&disk, &request);
	assert_int_equal(end(&request), -EIO);
	assert_int_equal(tamper.parts, 2);
	disk_close(&disk);
	munmap(bytes, part_bytes);
}

#define SYNCING 5

struct together {
	struct worker_task task;
	struct request requests[SYNCING];
	enum image_verb verb;
	uint8_t *bytes;
};

static void together_submit(struct worker_task *task)
{
	struct together *together = container_of(task, struct together, task);

	for (unsigned i = 0; i < SYNCING; i++) {
		struct request *request = &together->requests[i];

		request->iov[0] = (struct iovec){ together->bytes, 4096 };
		request->io.verb = together->verb;
		request->io.durable = together->verb == IMAGE_WRITE;
		request->io.length = together->verb == IMAGE_WRITE ? 4096 : 0;
		request->io.iov = request->iov;
		request->io.iov_count = 1;
		request->io.done = request_done;
		image_submit(request->lane, &request->io);
	}
}

/* One at a time, and who came while it went on shares the next: who of several is told is chance. */
static void test_syncs_are_shared(void **state)
{
	static const struct {
		enum image_cache cache;
		enum image_verb verb;
		int first, others; /* when the first sync fails */
	} rules[] = {
		{ IMAGE_CACHE_WRITEBACK, IMAGE_FLUSH, -EIO, -EIO }, /* lost stays lost */
		{ IMAGE_CACHE_WRITETHROUGH, IMAGE_FLUSH, -EIO, 0 },
		{ IMAGE_CACHE_WRITETHROUGH, IMAGE_WRITE, -EIO, -EIO },
	};
	struct together together = { { together_submit }, .bytes = calloc(1, 4096) };
	struct disk disk;

	(void)state;
	make_file(disk_path, DISK_BYTES);
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(rules); i++) {
		const bool fails = i & 1;
		unsigned failed = 0;

		together.verb = rules[i / 2].verb;
		disk_open(&disk, disk_path, rules[i / 2].cache, false);
		disk.image.in_memory = false;
		tamper.opcode = IORING_OP_FSYNC;
		tamper.result = -EIO;
		tamper.times = fails;
		for (unsigned j = 0; j < SYNCING; j++) {
			together.requests[j] = (struct request){ .lane = &disk.lane };
			sem_init(&together.requests[j].ended, 0, 0);
		}
		worker_post(&worker, &together.task);
		for (unsigned j = 0; j < SYNCING; j++)
			failed += end(&together.requests[j]) == -EIO;
		assert_int_equal(tamper.times, 0);
		if (rules[i / 2].verb == IMAGE_FLUSH) {
			assert_int_equal(tamper.syncs, 2);
			assert_int_equal(together.requests[0].result, fails ? rules[i / 2].first : 0);
			assert_int_equal(together.requests[1].result, fails ? rules[i / 2].others : 0);
			assert_int_equal(failed, !fails ? 0 : rules[i / 2].others ? SYNCING : 1);
		} else { /* how many were written when the first sync began is chance */
			assert_in_range(tamper.syncs, 1, SYNCING);
			/* It may be the data of any of them, as all had begun. */
			assert_int_equal(failed, fails ? SYNCING : 0);
			assert_int_equal(tamper.dsyncs, 0);
		}
		disk_close(&disk);
	}
	free(together.bytes);
}

/* What the page cache lost is told once to each open file: so lanes share none. */
static void test_lanes_have_files_of_their_own(void **state)
{
	struct image_lane second;
	struct disk disk;
	char moved[sizeof(disk_path) + 8];

	(void)state;
	make_file(disk_path, DISK_BYTES);
	snprintf(moved, sizeof(moved), "%s.moved", disk_path);
	disk_open(&disk, disk_path, IMAGE_CACHE_WRITEBACK, false);
	assert_int_equal(image_lane_init(&second, &disk.image, &worker), 0);
	assert_int_equal(disk.lane.fd, disk.image.fd);
	assert_int_not_equal(second.fd, disk.image.fd);
	image_lane_destroy(&second);
	assert_int_equal(second.fd, -1);

	assert_int_equal(rename(disk_path, moved), 0);
	message_begin();
	assert_true(image_lane_init(&second, &disk.image, &worker) < 0);
	assert_true(message_end("no such file"));
	message_begin();
	make_file(disk_path, DISK_BYTES);
	assert_true(image_lane_init(&second, &disk.image, &worker) < 0);
	assert_true(message_end("was replaced while it was opened; start again"));
	disk_close(&disk);
	unlink(moved);

	disk_open(&disk, disk_path, IMAGE_CACHE_AUTO, false);
	assert_true(disk.image.direct);
	assert_int_equal(image_lane_init(&second, &disk.image, &worker), 0);
	assert_int_equal(second.fd, disk.image.fd);
	image_lane_destroy(&second);
	disk_close(&disk);
}

static void test_image_cut_under_us(void **state)
{
	uint8_t *bytes = NULL;
	struct disk disk;

	(void)state;
	assert_int_equal(posix_memalign((void **)&bytes, 4096, 16384), 0);
	for (unsigned c = 0; c < 3; c++) {
		make_file(disk_path, DISK_BYTES);
		disk_open(&disk, disk_path, caches[c], false);
		assert_int_equal(truncate(disk_path, MIB + 100), 0);
		assert_int_equal(transfer(&disk, IMAGE_READ, MIB - 4096, bytes, 4096), 0);
		check_pattern(bytes, MIB - 4096, 4096);
		/* Never zeros in place of what was there: across the end, within it, behind it. */
		assert_int_equal(transfer(&disk, IMAGE_READ, MIB - 4096, bytes, 8192), -ENODATA);
		assert_int_equal(transfer(&disk, IMAGE_READ, MIB, bytes, 512), -ENODATA);
		assert_int_equal(transfer(&disk, IMAGE_READ, 2 * MIB, bytes, 4096), -ENODATA);
		assert_int_equal(transfer(&disk, IMAGE_READ, 2 * MIB, bytes + 1, 4096), -ENODATA);
		/* Inside the capacity a write may bring it back. */
		memset(bytes, 9, 4096);
		assert_int_equal(transfer(&disk, IMAGE_WRITE, 2 * MIB, bytes, 4096), 0);
		memset(bytes, 0, 4096);
		assert_int_equal(transfer(&disk, IMAGE_READ, 2 * MIB, bytes, 4096), 0);
		assert_int_equal(bytes[4095], 9);
		disk_close(&disk);
	}
	free(bytes);
}

static void test_file_size_limit(void **state)
{
	struct rlimit old, limit;
	uint8_t bytes[4096] = { 1 };
	struct disk disk;

	(void)state;
	make_file(disk_path, DISK_BYTES);
	disk_open(&disk, disk_path, IMAGE_CACHE_WRITEBACK, false);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = old;
	limit.rlim_cur = MIB;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(transfer(&disk, IMAGE_WRITE, 2 * MIB, bytes, 4096), -EFBIG);
	assert_int_equal(transfer(&disk, IMAGE_WRITE, 0, bytes, 4096), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	disk_close(&disk);
}

static void test_file_system_full(void **state)
{
	char directory[] = "/tmp/ringvm-test-XXXXXX", path[64];
	uint8_t *bytes = calloc(1, MIB);
	struct disk disk;
	int result = 0;

	(void)state;
	assert_non_null(mkdtemp(directory));
	if (mount("tmpfs", directory, "tmpfs", 0, "size=1m")) {
		rmdir(directory);
		free(bytes);
		skip(); /* only root may */
	}
	snprintf(path, sizeof(path), "%s/disk", directory);
	make_file(path, 512);
	assert_int_equal(truncate(path, DISK_BYTES), 0);
	/* The file is the memory: nothing is gained by going past it, but alignment demanded. */
	disk_open(&disk, path, IMAGE_CACHE_DIRECT, false);
	assert_true(disk.image.in_memory);
	assert_false(disk.image.direct);
	disk_close(&disk);
	disk_open(&disk, path, IMAGE_CACHE_AUTO, false);
	assert_false(disk.image.direct);
	for (uint64_t offset = 0; !result && offset < DISK_BYTES; offset += 256 * KIB)
		result = transfer(&disk, IMAGE_WRITE, offset, bytes, 256 * KIB);
	assert_int_equal(result, -ENOSPC);
	assert_int_equal(transfer(&disk, IMAGE_READ, 0, bytes, 4096), 0);
	/* Goes on once there is room. */
	assert_int_equal(no_data(&disk, (struct image_io){ .verb = IMAGE_DISCARD,
							   .length = DISK_BYTES }), 0);
	assert_int_equal(transfer(&disk, IMAGE_WRITE, 0, bytes, 4096), 0);
	disk_close(&disk);
	unmount(directory);
	rmdir(directory);
	free(bytes);
}

/* ---- What only root can make: file systems and block devices ---- */

/* A file system without direct I/O: the page cache serves, asked for or not. */
static void test_no_direct_io(void **state)
{
	static const enum image_cache asked[] = { IMAGE_CACHE_AUTO, IMAGE_CACHE_DIRECT };
	char directory[] = "/tmp/ringvm-test-XXXXXX", path[64];
	struct disk disk;

	(void)state;
	assert_non_null(mkdtemp(directory));
	if (mount("ramfs", directory, "ramfs", 0, NULL)) {
		rmdir(directory);
		skip();
	}
	snprintf(path, sizeof(path), "%s/disk", directory);
	make_file(path, DISK_BYTES);
	for (unsigned i = 0; i < ARRAY_SIZE(asked); i++) {
		disk_open(&disk, path, asked[i], false);
		assert_false(disk.image.direct);
		assert_false(fcntl(disk.image.fd, F_GETFL) & O_DIRECT);
		assert_int_equal(disk.image.logical_block, 512);
		read_and_write(&disk, path, 1);
		/* Nor can it punch: nothing is offered, and zeroes are written. */
		assert_false(disk.image.can_discard);
		zero_range(&disk, path, IMAGE_WRITE_ZEROES, true);
		assert_true(disk.lane.no_punch && disk.lane.no_zero_range);
		make_file(path, DISK_BYTES);
		assert_int_equal(no_data(&disk, (struct image_io){ .verb = IMAGE_DISCARD,
								   .length = 4096 }), 0);
		disk_close(&disk);
	}
	unmount(directory);
	rmdir(directory);
}

/* A block device on disk_path that goes when it is closed: its fd, or -1. */
static int loop_open(char *path, size_t size, unsigned block, unsigned flags)
{
	struct loop_config config = {
		.block_size = block,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR | flags,
	};
	int control = open("/dev/loop-control", O_RDWR), number, fd = -1;

	if (control < 0)
		return -1;
	/* Another may take the free one before us. */
	for (unsigned tries = 0; tries < 10 && fd < 0; tries++) {
		number = ioctl(control, LOOP_CTL_GET_FREE);
		snprintf(path, size, "/dev/loop%d", number);
		fd = open(path, O_RDWR);
		if (fd < 0)
			break;
		config.fd = (uint32_t)open(disk_path, flags & LO_FLAGS_READ_ONLY ? O_RDONLY : O_RDWR);
		if (ioctl(fd, LOOP_CONFIGURE, &config)) {
			close(fd);
			fd = -1;
		}
		close((int)config.fd);
	}
	close(control);
	return fd;
}

static void test_block_device(void **state)
{
	struct disk disk;
	char path[64];
	int loop, exclusive;

	(void)state;
	make_file(disk_path, DISK_BYTES);
	loop = loop_open(path, sizeof(path), 512, 0);
	if (loop < 0)
		skip();
	for (unsigned c = 0; c < ARRAY_SIZE(caches); c++) {
		disk_open(&disk, path, caches[c], false);
		assert_int_equal(disk.image.capacity_bytes, DISK_BYTES);
		assert_int_equal(disk.image.logical_block, 512);
		assert_int_equal(disk.image.direct, caches[c] <= IMAGE_CACHE_DIRECT);
		assert_int_equal(opens(path, false), -EBUSY);
		read_and_write(&disk, path, 0);
		read_and_write(&disk, path, 1);
		disk_close_for_good(&disk, path);
	}
	disk_open(&disk, path, IMAGE_CACHE_AUTO, false);
	zero_range(&disk, path, IMAGE_WRITE_ZEROES, false);
	zero_range(&disk, path, IMAGE_WRITE_ZEROES, true);
	assert_int_equal(no_data(&disk, (struct image_io){ .verb = IMAGE_DISCARD,
							   .length = DISK_BYTES }), 0);
	assert_int_equal(no_data(&disk, (struct image_io){ .verb = IMAGE_FLUSH }), 0);
	disk_close_for_good(&disk, path);

	/* As if mounted: not to be written under its user, but readable. */
	exclusive = open(path, O_RDONLY | O_EXCL);
	assert_true(exclusive >= 0);
	assert_int_equal(opens(path, false), -EBUSY);
	assert_int_equal(opens(path, true), 0);
	close(exclusive);
	close(loop);
}

static void test_readonly_block_device(void **state)
{
	char path[64];
	int loop, error;

	(void)state;
	make_file(disk_path, DISK_BYTES);
	loop = loop_open(path, sizeof(path), 512, LO_FLAGS_READ_ONLY);
	if (loop < 0)
		skip();
	error = opens(path, false);
	assert_true(error == -EROFS || error == -EACCES);
	assert_int_equal(opens(path, true), 0);
	close(loop);
}

/* Blocks of 4096 bytes: a block device has them, a file only gets them if asked. */
/* What a guest changes while it is written would not fit its checksum: not past the page cache. */
static void test_checksums(void **state)
{
	char directory[] = "/tmp/ringvm-test-XXXXXX", path[64], command[256];
	int fd, flags = FS_NOCOW_FL;
	struct disk disk;

	(void)state;
	assert_non_null(mkdtemp(directory));
	make_file(disk_path, 0);
	assert_int_equal(truncate(disk_path, 128 * MIB), 0);
	snprintf(command, sizeof(command), "PATH=$PATH:/sbin:/usr/sbin; mkfs.btrfs -q %s && "
		 "mount -o loop %s %s", disk_path, disk_path, directory);
	if (system(command)) {
		rmdir(directory);
		skip(); /* no mkfs.btrfs, a kernel without btrfs, or not root */
	}
	snprintf(path, sizeof(path), "%s/disk", directory);
	make_file(path, DISK_BYTES);
	disk_open(&disk, path, IMAGE_CACHE_AUTO, false);
	assert_false(disk.image.direct);
	disk_close(&disk);
	message_begin();
	disk_open(&disk, path, IMAGE_CACHE_DIRECT, false);
	assert_true(message_end("its file system has no direct I/O that keeps checksums right"));
	assert_false(disk.image.direct);
	read_and_write(&disk, path, 0);
	disk_close(&disk);

	unlink(path);
	make_file(path, 0);
	fd = open(path, O_RDWR);
	assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
	close(fd);
	make_file(path, DISK_BYTES);
	disk_open(&disk, path, IMAGE_CACHE_DIRECT, false);
	assert_true(disk.image.direct);
	read_and_write(&disk, path, 0);
	disk_close(&disk);
	unmount(directory);
	rmdir(directory);
}

static void test_large_blocks(void **state)
{
	char path[64], directory[] = "/tmp/ringvm-test-XXXXXX", command[160];
	uint8_t *bytes = NULL;
	struct disk disk;
	int loop;

	(void)state;
	make_file(disk_path, 16 * MIB + 512);
	loop = loop_open(path, sizeof(path), 4096, 0);
	if (loop < 0)
		skip();
	assert_int_equal(posix_memalign((void **)&bytes, 4096, 8192), 0);
	for (unsigned c = 0; c < ARRAY_SIZE(caches); c++) {
		disk_open(&disk, path, caches[c], false);
		assert_int_equal(disk.image.logical_block, 4096);
		assert_int_equal(disk.image.capacity_bytes, 16 * MIB);
		assert_int_equal(transfer(&disk, IMAGE_READ, 4096, bytes, 4096), 0);
		check_pattern(bytes, 4096, 4096);
		assert_int_equal(transfer(&disk, IMAGE_READ, 4096, bytes + 1, 4096), 0);
		check_pattern(bytes + 1, 4096, 4096);
		assert_int_equal(transfer(&disk, IMAGE_READ, 512, bytes, 4096), -EINVAL);
		assert_int_equal(transfer(&disk, IMAGE_READ, 4096, bytes, 512), -EINVAL);
		disk_close_for_good(&disk, path);
	}

	assert_non_null(mkdtemp(directory));
	snprintf(command, sizeof(command), "PATH=$PATH:/sbin:/usr/sbin mkfs.ext4 -q -F %s", path);
	if (system(command) || mount(path, directory, "ext4", 0, NULL)) {
		rmdir(directory);
		close(loop);
		free(bytes);
		skip(); /* no mkfs.ext4, or a kernel without ext4 */
	}
	snprintf(path, sizeof(path), "%s/disk", directory);
	make_file(path, DISK_BYTES + 512);
	disk_open(&disk, path, IMAGE_CACHE_AUTO, false);
	assert_int_equal(disk.image.logical_block, 512);
	assert_int_equal(disk.image.capacity_bytes, DISK_BYTES + 512);
	assert_false(disk.image.direct);
	assert_int_equal(transfer(&disk, IMAGE_READ, DISK_BYTES, bytes, 512), 0);
	disk_close(&disk);
	disk_open(&disk, path, IMAGE_CACHE_DIRECT, false);
	assert_int_equal(disk.image.logical_block, 4096);
	assert_int_equal(disk.image.capacity_bytes, DISK_BYTES);
	assert_true(disk.image.direct);
	read_and_write(&disk, path, 0);
	read_and_write(&disk, path, 512);
	disk_close(&disk);
	unmount(directory);
	rmdir(directory);
	close(loop);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_can_not_be_opened),
		cmocka_unit_test(test_other_formats_are_refused),
		cmocka_unit_test(test_one_writer_or_many_readers),
		cmocka_unit_test(test_lock_ends_with_the_image),
		cmocka_unit_test(test_geometry),
		cmocka_unit_test(test_read_and_write),
		cmocka_unit_test(test_scattered),
		cmocka_unit_test(test_waiting_for_buffers),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_readonly),
		cmocka_unit_test(test_durable),
		cmocka_unit_test(test_zeroes),
		cmocka_unit_test(test_direct_zeroes_keep_out_of_the_page_cache),
		cmocka_unit_test(test_zeroes_written),
		cmocka_unit_test(test_short_transfers),
		cmocka_unit_test(test_try_again),
		cmocka_unit_test(test_errors_are_of_one_request),
		cmocka_unit_test(test_huge_transfers_let_others_in),
		cmocka_unit_test(test_cached_transfers_let_others_in),
		cmocka_unit_test(test_unwanted_requests_end_soon),
		cmocka_unit_test(test_lost_data_stays_lost),
		cmocka_unit_test(test_huge_transfers_are_whole_blocks),
		cmocka_unit_test(test_syncs_are_shared),
		cmocka_unit_test(test_lanes_have_files_of_their_own),
		cmocka_unit_test(test_image_cut_under_us),
		cmocka_unit_test(test_file_size_limit),
		cmocka_unit_test(test_file_system_full),
		cmocka_unit_test(test_no_direct_io),
		cmocka_unit_test(test_block_device),
		cmocka_unit_test(test_readonly_block_device),
		cmocka_unit_test(test_checksums),
		cmocka_unit_test(test_large_blocks),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
