// SPDX-License-Identifier: MIT
/* Helpers on file descriptors; no state, any thread. */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

/* Newer than some headers and kernels. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

#define IN_USE_TRIES 50
#define IN_USE_DELAY_NS 10000000

int event_fd_create(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void event_fd_signal(int fd)
{
	uint64_t one = 1;

	/* EAGAIN: the count is at its maximum, so the reader has been told. */
	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

uint64_t event_fd_drain(int fd)
{
	uint64_t count = 0;

	while (read(fd, &count, sizeof(count)) < 0)
		if (errno != EINTR)
			return 0;
	return count;
}

bool event_fd_pending(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return ppoll(&poll_fd, 1, &(struct timespec){ 0 }, NULL) > 0 && (poll_fd.revents & POLLIN);
}

int fd_open_standard(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		/* The lowest number that is free, and those below are not. */
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) != fd)
			return -errno;
	}
	return 0;
}

int fd_memory_file(const char *name, unsigned flags)
{
	int fd;

	flags |= MFD_CLOEXEC;
	fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, flags);
	return fd < 0 ? -errno : fd;
}

bool fd_in_memory(int fd)
{
	struct statfs status;

	return !fstatfs(fd, &status) &&
	       (status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC);
}

bool fd_may_be_free_soon(unsigned *tries)
{
	const struct timespec delay = { .tv_nsec = IN_USE_DELAY_NS };
	int error = errno;

	if (++*tries > IN_USE_TRIES)
		return false;
	nanosleep(&delay, NULL);
	errno = error;
	return true;
}

bool fd_no_such_directory(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENAMETOOLONG;
}

const char *fd_open_advice(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case ENAMETOOLONG:
	case ELOOP:
		return "check the path";
	case EACCES:
	case EPERM:
		return "let this user open it";
	case EISDIR:
		return "name a file in it";
	case EMFILE:
	case ENFILE:
		return "raise the limit of open files (ulimit -n)";
	default:
		return "see what it is, or name another";
	}
}

const char *fd_limit_advice(int error, const char *otherwise)
{
	return error == EMFILE || error == ENFILE ? fd_open_advice(error) : otherwise;
}

void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

ssize_t fd_read_full(int fd, void *buffer, size_t length)
{
	size_t moved = 0;

	while (moved < length) {
		ssize_t n = read(fd, (char *)buffer + moved, length - moved);

		if (n == 0)
			break;
		if (n > 0)
			moved += (size_t)n;
		else if (errno != EINTR)
			return -errno;
	}
	return (ssize_t)moved;
}

ssize_t fd_pread_full(int fd, void *buffer, size_t length, uint64_t offset)
{
	size_t moved = 0;

	while (moved < length) {
		ssize_t n = pread(fd, (char *)buffer + moved, length - moved,
				  (off_t)(offset + moved));

		if (n == 0)
			break;
		if (n > 0)
			moved += (size_t)n;
		else if (errno != EINTR)
			return -errno;
	}
	return (ssize_t)moved;
}

ssize_t fd_write_full(int fd, const void *buffer, size_t length)
{
	size_t moved = 0;

	while (moved < length) {
		ssize_t n = write(fd, (const char *)buffer + moved, length - moved);

		if (n >= 0)
			moved += (size_t)n;
		else if (errno != EINTR)
			return -errno;
	}
	return (ssize_t)moved;
}
