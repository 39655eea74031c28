// SPDX-License-Identifier: MIT
/* What a ring can still do once it is enabled: the way round the system call filter is closed. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/ring.h"

#define ENTRIES 8
#define FILES	4

static struct io_uring ring;
static int event_fd;

static int setup(void **state)
{
	(void)state;
	event_fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
	if (event_fd < 0 || ring_create(&ring, "ring", ENTRIES, FILES) || ring_enable(&ring))
		return -1;
	return io_uring_register_files_update(&ring, 0, &event_fd, 1) == 1 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	io_uring_queue_exit(&ring);
	return close(event_fd);
}

/* The result of the one request that has been prepared. */
static int result(void)
{
	struct io_uring_cqe *cqe;
	int value;

	assert_true(io_uring_submit_and_wait(&ring, 1) >= 0);
	assert_int_equal(io_uring_peek_cqe(&ring, &cqe), 0);
	value = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return value;
}

static void test_registered_file_is_read(void **state)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	uint64_t value = 0;

	(void)state;
	io_uring_prep_read(sqe, 0, &value, sizeof(value), 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	assert_int_equal(result(), sizeof(value));
	assert_int_equal(value, 1);
}

static void test_other_files_are_refused(void **state)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	uint64_t value;

	(void)state;
	io_uring_prep_read(sqe, event_fd, &value, sizeof(value), 0);
	assert_int_equal(result(), -EACCES);
	for (int slot = 1; slot < FILES + 1; slot++) {
		sqe = io_uring_get_sqe(&ring);
		io_uring_prep_read(sqe, slot, &value, sizeof(value), 0);
		sqe->flags |= IOSQE_FIXED_FILE;
		assert_int_equal(result(), -EBADF);
	}
}

/* With the flag that every request must have, so that the operation itself is what is refused. */
static void assert_refused(struct io_uring_sqe *sqe)
{
	sqe->flags |= IOSQE_FIXED_FILE;
	assert_int_equal(result(), -EACCES);
}

static void test_other_operations_are_refused(void **state)
{
	struct io_uring_sqe *sqe;

	(void)state;
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_openat(sqe, AT_FDCWD, "/dev/null", O_RDONLY, 0);
	assert_refused(sqe);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_openat_direct(sqe, AT_FDCWD, "/dev/null", O_RDONLY, 0, 1);
	assert_refused(sqe);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_connect(sqe, 0, &(struct sockaddr){ .sa_family = AF_INET },
			      sizeof(struct sockaddr));
	assert_refused(sqe);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_accept(sqe, 0, NULL, NULL, 0);
	assert_refused(sqe);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_unlinkat(sqe, AT_FDCWD, "/nowhere", 0);
	assert_refused(sqe);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_close(sqe, 0);
	assert_refused(sqe);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_files_update(sqe, &event_fd, 1, 1);
	assert_refused(sqe);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_msg_ring(sqe, 0, 0, 0, 0);
	assert_refused(sqe);
}

static void test_other_flags_are_refused(void **state)
{
	static const uint8_t flags[] = {
		IOSQE_IO_DRAIN, IOSQE_IO_LINK, IOSQE_IO_HARDLINK, IOSQE_BUFFER_SELECT,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(flags); i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
		uint64_t value;

		io_uring_prep_read(sqe, 0, &value, sizeof(value), 0);
		sqe->flags |= flags[i];
		assert_refused(sqe);
	}
}

static void test_restrictions_stay(void **state)
{
	struct io_uring_restriction all = { .opcode = IORING_RESTRICTION_SQE_OP,
					    .sqe_op = IORING_OP_OPENAT };
	struct iovec buffer = { &all, sizeof(all) };

	(void)state;
	assert_true(io_uring_register((unsigned)ring.ring_fd, IORING_REGISTER_RESTRICTIONS, &all,
				      1) < 0);
	assert_int_equal(io_uring_register_buffers(&ring, &buffer, 1), -EACCES);
	assert_int_equal(io_uring_register_eventfd(&ring, event_fd), -EACCES);
	assert_int_equal(io_uring_unregister_files(&ring), -EACCES);
	assert_int_equal(io_uring_register_personality(&ring), -EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registered_file_is_read),
		cmocka_unit_test(test_other_files_are_refused),
		cmocka_unit_test(test_other_operations_are_refused),
		cmocka_unit_test(test_other_flags_are_refused),
		cmocka_unit_test(test_restrictions_stay),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
