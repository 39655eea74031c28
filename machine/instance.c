// SPDX-License-Identifier: MIT
/*
 * Names as locked files. A file left behind by a killed process is simply
 * locked again by the next; one that is being removed is told by its link count.
 * The locks belong to the open file, as flock()'s do, but who only wants to know
 * whether there is one need not take it: a name that is looked at stays free.
 */
#include "machine/instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

#define LOCK_SUFFIX ".lock"

/* Refuses one in which another user could lay traps. 0 or -errno. */
static int directory_check(const char *path)
{
	struct stat status;

	if (lstat(path, &status))
		return -errno;
	if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 022))
		return -EPERM;
	return 0;
}

static void directory_path(char *path, size_t size)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	unsigned user = geteuid();

	if (runtime && runtime[0] == '/')
		snprintf(path, size, "%s/ringvm", runtime);
	else if (!user)
		snprintf(path, size, "/run/ringvm");
	else
		snprintf(path, size, "/tmp/ringvm-%u", user);
}

static int directory_find(char *path, size_t size)
{
	directory_path(path, size);
	return directory_check(path);
}

static int directory_create(char *path, size_t size)
{
	directory_path(path, size);
	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	return directory_find(path, size);
}

static int file_path(const char *name, const char *suffix, char *path, size_t size)
{
	char directory[PATH_MAX];

	directory_path(directory, sizeof(directory));
	return (size_t)snprintf(path, size, "%s/%s%s", directory, name, suffix) < size ?
		       0 : -ENAMETOOLONG;
}

/* As instance_pid(). Whatever is there, it is not waited for. */
static pid_t lock_pid(const char *path)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	char text[16] = "";
	struct stat status;
	pid_t pid = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	/* Links and sockets are no locks. */
	if (fd < 0)
		return errno == ENOENT || errno == ELOOP || errno == ENXIO ? 0 : -errno;
	/* Only a file that somebody holds is a name in use. */
	if (fstat(fd, &status) || (S_ISREG(status.st_mode) && fcntl(fd, F_OFD_GETLK, &lock)))
		pid = -errno;
	else if (S_ISREG(status.st_mode) && lock.l_type != F_UNLCK &&
		 pread(fd, text, sizeof(text) - 1, 0) > 0)
		pid = (pid_t)strtol(text, NULL, 10);
	close(fd);
	return pid;
}

/* The locked file, or -errno; -EAGAIN when it was removed while we waited for it. */
static int lock_open(const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct stat status;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &lock))
		error = errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
	else if (fstat(fd, &status) || !status.st_nlink)
		error = -EAGAIN;
	if (!error)
		return fd;
	/* Where nothing can be locked it is nobody's. */
	if (error != -EBUSY && error != -EAGAIN)
		unlinkat(AT_FDCWD, path, 0);
	close(fd);
	return error;
}

int instance_acquire(struct instance *instance, const char *name)
{
	char directory[PATH_MAX], *path = instance->lock_path;
	int fd, error = directory_create(directory, sizeof(directory));
	pid_t pid;

	if (!error)
		error = instance_lock_path(name, path, sizeof(instance->lock_path));
	if (error) {
		log_warning("name '%s': %s: %s; 'ringvm stop' will not find this machine", name,
			    directory, strerror(-error));
		return error;
	}
	do {
		fd = lock_open(path);
	} while (fd == -EAGAIN);
	if (fd == -EBUSY) {
		pid = lock_pid(path);
		if (pid <= 0) /* not written yet, or there was no room for it */
			return fail(EBUSY, "name '%s' is in use; choose another with --name", name);
		return fail(EBUSY, "name '%s' is in use (pid %d); choose another with --name, or "
			    "end it with 'ringvm stop --name %s'", name, (int)pid, name);
	}
	if (fd < 0) {
		log_warning("name '%s': %s: %s; 'ringvm stop' will not find this machine", name,
			    path, strerror(-fd));
		return fd;
	}
	if (ftruncate(fd, 0) || dprintf(fd, "%d\n", (int)getpid()) < 0)
		log_warning("name '%s': %s: %s; 'ringvm list' will not show this machine", name,
			    path, strerror(errno));
	instance->lock_fd = fd;
	if (instance_socket(name, &instance->address))
		instance->address.sun_path[0] = '\0';
	return 0;
}

void instance_release(struct instance *instance)
{
	unlinkat(AT_FDCWD, instance->lock_path, 0);
	fd_close(&instance->lock_fd);
}

pid_t instance_pid(const char *name)
{
	char directory[PATH_MAX], path[PATH_MAX];
	int error = directory_find(directory, sizeof(directory));

	if (!error)
		error = instance_lock_path(name, path, sizeof(path));
	if (error)
		return error == -ENOENT ? 0 : error;
	return lock_pid(path);
}

int instance_fail(int error)
{
	char directory[PATH_MAX];

	directory_path(directory, sizeof(directory));
	if (error == -EPERM)
		return fail_host(EPERM, "names: %s: it is not this user's alone; remove it, or "
				 "set XDG_RUNTIME_DIR", directory);
	return fail_host(-error, "names: %s: %s; %s", directory, strerror(-error),
			 fd_open_advice(-error));
}

int instance_lock_path(const char *name, char *path, size_t size)
{
	return file_path(name, LOCK_SUFFIX, path, size);
}

int instance_socket(const char *name, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return file_path(name, ".sock", address->sun_path, sizeof(address->sun_path));
}

int instance_list(void (*visit)(const char *name, pid_t pid, void *argument), void *argument)
{
	char directory[PATH_MAX];
	struct dirent *entry;
	DIR *stream;
	int error = directory_find(directory, sizeof(directory));

	if (error)
		return error == -ENOENT ? 0 : error;
	stream = opendir(directory);
	if (!stream)
		return -errno;
	while (errno = 0, (entry = readdir(stream))) {
		size_t length = strlen(entry->d_name), suffix = strlen(LOCK_SUFFIX);
		pid_t pid;

		if (length <= suffix || strcmp(entry->d_name + length - suffix, LOCK_SUFFIX))
			continue;
		entry->d_name[length - suffix] = '\0';
		pid = instance_pid(entry->d_name);
		if (pid > 0)
			visit(entry->d_name, pid, argument);
		else if (pid)
			error = pid;
	}
	if (errno)
		error = -errno;
	closedir(stream);
	return error;
}
