// SPDX-License-Identifier: MIT
/*
 * How a ring is made: flags, limits, restrictions, and what to tell the user
 * when the host will not have it. On the creating thread.
 */
#include "core/ring.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"

/* Threads that the kernel may add for what it can't do without blocking. */
#define IOWQ_THREADS 4

/* What a ring may do once it is enabled: an exploited worker gains nothing by it. */
static const uint8_t allowed_operations[] = {
	IORING_OP_READ,	     IORING_OP_WRITE,	   IORING_OP_READV,    IORING_OP_WRITEV,
	IORING_OP_FSYNC,     IORING_OP_FALLOCATE,  IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL,
	IORING_OP_TIMEOUT,
};

static const uint8_t allowed_registrations[] = {
	IORING_REGISTER_ENABLE_RINGS,
	IORING_REGISTER_FILES_UPDATE,
	IORING_REGISTER_RING_FDS,
	IORING_UNREGISTER_RING_FDS,
	IORING_REGISTER_IOWQ_AFF,
};

static int ring_restrict(struct io_uring *ring)
{
	struct io_uring_restriction list[ARRAY_SIZE(allowed_operations) +
					 ARRAY_SIZE(allowed_registrations) + 2] = { 0 };
	unsigned count = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(allowed_operations); i++, count++) {
		list[count].opcode = IORING_RESTRICTION_SQE_OP;
		list[count].sqe_op = allowed_operations[i];
	}
	for (unsigned i = 0; i < ARRAY_SIZE(allowed_registrations); i++, count++) {
		list[count].opcode = IORING_RESTRICTION_REGISTER_OP;
		list[count].register_op = allowed_registrations[i];
	}
	list[count].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
	list[count++].sqe_flags = IOSQE_FIXED_FILE;
	list[count].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	list[count++].sqe_flags = IOSQE_FIXED_FILE | IOSQE_ASYNC | IOSQE_CQE_SKIP_SUCCESS;
	return io_uring_register((unsigned)ring->ring_fd, IORING_REGISTER_RESTRICTIONS,
				 list, count);
}

static int ring_refused(const char *name, int error)
{
	static const char off[] = "io_uring is turned off on this host; allow it with 'sysctl "
				  "kernel.io_uring_disabled=0', or in the container's seccomp "
				  "profile (--security-opt seccomp=unconfined)";

	switch (error) {
	case -EPERM:
	case -ENOSYS:
		return fail_host(-error, "%s: io_uring: %s; %s", name, strerror(-error),
				 off);
	case -EINVAL:
		return fail_host(-error, "%s: io_uring: this kernel is too old; ringvm needs "
				 "Linux 6.1 or later", name);
	case -ENOMEM:
		return fail_host(-error, "%s: io_uring: %s; raise the limit of locked memory "
				 "(ulimit -l)", name, strerror(-error));
	case -EMFILE:
	case -ENFILE:
		return fail_host(-error, "%s: io_uring: %s; raise the limit of open files "
				 "(ulimit -n)", name, strerror(-error));
	default:
		return fail_host(-error, "%s: io_uring: %s", name, strerror(-error));
	}
}

/* What must be registered before the restrictions hold. */
static int ring_register(struct io_uring *ring, unsigned files)
{
	unsigned threads[2] = { IOWQ_THREADS, IOWQ_THREADS };
	int error = io_uring_register_iowq_max_workers(ring, threads);

	if (!error)
		error = io_uring_register_files_sparse(ring, files);
	if (!error)
		error = ring_restrict(ring);
	return error;
}

int ring_create(struct io_uring *ring, const char *name, unsigned entries, unsigned files)
{
	struct io_uring_params parameters = {
		.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
			 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		.cq_entries = entries * RING_COMPLETIONS_PER_ENTRY,
	};
	int error = io_uring_queue_init_params(entries, ring, &parameters);

	if (error < 0)
		return ring_refused(name, error);
	error = ring_register(ring, files);
	if (error < 0) {
		io_uring_queue_exit(ring);
		return ring_refused(name, error);
	}
	return 0;
}

int ring_enable(struct io_uring *ring)
{
	int error = io_uring_register((unsigned)ring->ring_fd, IORING_REGISTER_ENABLE_RINGS,
				      NULL, 0);

	if (error < 0)
		return error;
	/* Saves a file look-up per call; the ring works without. */
	io_uring_register_ring_fd(ring);
	return 0;
}

void ring_set_processor(struct io_uring *ring, unsigned processor)
{
	cpu_set_t set;
	int error;

	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	error = io_uring_register_iowq_aff(ring, sizeof(set), &set);
	if (error < 0)
		log_debug("io_uring: threads on processor %u: %s", processor, strerror(-error));
}
