// SPDX-License-Identifier: MIT
/* Landlock by its system calls; the C library has none. On the thread that is confined. */
#include "core/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"

/* What each version of the interface added; headers of Linux 6.1 know the first two. */
#define ACCESS_FS_VERSION1  (BIT64(13) - 1)
#define ACCESS_FS_REFER     BIT64(13)
#define ACCESS_FS_TRUNCATE  BIT64(14)
#define ACCESS_FS_IOCTL_DEV BIT64(15)
#define ACCESS_NET_TCP      (BIT64(0) | BIT64(1)) /* bind, connect */
#define SCOPES              (BIT64(0) | BIT64(1)) /* abstract sockets, signals */

struct ruleset {
	uint64_t access_fs, access_net, scopes;
};

static struct ruleset ruleset_of(int version)
{
	struct ruleset ruleset = { .access_fs = ACCESS_FS_VERSION1 };

	if (version >= 2)
		ruleset.access_fs |= ACCESS_FS_REFER;
	if (version >= 3)
		ruleset.access_fs |= ACCESS_FS_TRUNCATE;
	if (version >= 4)
		ruleset.access_net = ACCESS_NET_TCP;
	if (version >= 5)
		ruleset.access_fs |= ACCESS_FS_IOCTL_DEV;
	if (version >= 6)
		ruleset.scopes = SCOPES;
	return ruleset;
}

/* The kernel refuses a structure that is longer than it knows, unless the rest is zero. */
static int ruleset_create(void)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
			       LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset ruleset;
	long fd;

	if (version < 0)
		return -errno;
	ruleset = ruleset_of((int)version);
	fd = syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
	return fd < 0 ? -errno : (int)fd;
}

static int allow_removal(int ruleset_fd, const char *directory)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = LANDLOCK_ACCESS_FS_REMOVE_FILE,
		.parent_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC),
	};
	int error = 0;

	/* Where nothing can be made nothing need be removed; but not if it was we who ran short. */
	if (rule.parent_fd < 0)
		return fd_no_such_directory(errno) || errno == EACCES ? 0 : -errno;
	if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
		error = -errno;
	close(rule.parent_fd);
	return error;
}

int landlock_confine(const char *const *directories)
{
	int fd = ruleset_create();
	int error = 0;

	if (fd < 0)
		return fd;
	for (; !error && *directories; directories++)
		error = allow_removal(fd, *directories);
	if (!error && syscall(SYS_landlock_restrict_self, fd, 0))
		error = -errno;
	fd_close(&fd);
	return error;
}
