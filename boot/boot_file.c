// SPDX-License-Identifier: MIT
/*
 * Files to boot from. They are read, not mapped: a file that shrinks meanwhile
 * then gives a message and no SIGBUS. Control thread.
 */
#include "boot/boot_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"

#define RECOGNISED_MAX 16

static int check_type(const struct boot_file *file, const struct stat *status)
{
	if (S_ISDIR(status->st_mode))
		return fail(EISDIR, "%s: %s: is a directory; name the file in it", file->role,
			    file->path);
	if (!S_ISREG(status->st_mode))
		return fail(EINVAL, "%s: %s: not a regular file; copy it to one", file->role,
			    file->path);
	if (status->st_size <= 0)
		return fail(EINVAL, "%s: %s: the file is empty; name another, or make it anew",
			    file->role, file->path);
	return 0;
}

int boot_file_open(struct boot_file *file, const char *role, const char *path)
{
	struct stat status;
	int error;

	*file = (struct boot_file){ .role = role, .path = path };
	/* Not to hang on a FIFO; of no consequence to a regular file. */
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file->fd < 0)
		return fail(errno, "%s: %s: open: %s; %s", role, path, strerror(errno),
			    fd_open_advice(errno));
	if (fstat(file->fd, &status)) {
		error = fail_errno("%s: %s: fstat", role, path);
		goto close;
	}
	error = check_type(file, &status);
	if (error)
		goto close;
	file->size_bytes = (uint64_t)status.st_size;
	return 0;
close:
	fd_close(&file->fd);
	return error;
}

void boot_file_close(struct boot_file *file)
{
	fd_close(&file->fd);
}

int boot_files_open(struct boot_files *files, const char *kernel_path, const char *initrd_path)
{
	int error;

	*files = (struct boot_files){ .kernel.fd = -1, .initrd.fd = -1 };
	error = boot_file_open(&files->kernel, "kernel", kernel_path);
	if (!error && initrd_path)
		error = boot_file_open(&files->initrd, "initrd", initrd_path);
	if (error)
		boot_files_close(files);
	return error;
}

void boot_files_close(struct boot_files *files)
{
	boot_file_close(&files->initrd);
	boot_file_close(&files->kernel);
}

bool boot_file_has(const struct boot_file *file, uint64_t offset, const void *bytes,
		   size_t length)
{
	char found[RECOGNISED_MAX];

	assert(length <= sizeof(found));
	return range_within(offset, length, file->size_bytes) &&
	       fd_pread_full(file->fd, found, length, offset) == (ssize_t)length &&
	       !memcmp(found, bytes, length);
}

int boot_file_read(const struct boot_file *file, uint64_t offset, void *buffer, uint64_t length)
{
	ssize_t moved;

	if (!range_within(offset, length, file->size_bytes))
		return fail(EINVAL,
			    "%s: %s: truncated: %" PRIu64 " bytes at %" PRIu64
			    " are wanted, the file has %" PRIu64,
			    file->role, file->path, length, offset, file->size_bytes);
	moved = fd_pread_full(file->fd, buffer, length, offset);
	if (moved < 0)
		return fail((int)-moved, "%s: %s: read: %s", file->role, file->path,
			    strerror((int)-moved));
	if ((uint64_t)moved < length)
		return fail(EINVAL, "%s: %s: the file became shorter while it was read; try "
			    "again when it is whole", file->role, file->path);
	return 0;
}

int boot_file_load(const struct boot_file *file, uint64_t offset,
		   const struct guest_memory *memory, uint64_t gpa, uint64_t length)
{
	void *host = guest_memory_at(memory, gpa, length);

	if (!host)
		return fail(EINVAL,
			    "%s: %s: %" PRIu64 " bytes do not fit into guest memory at 0x%" PRIx64
			    "; give more with --mem",
			    file->role, file->path, length, gpa);
	return boot_file_read(file, offset, host, length);
}
