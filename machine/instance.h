/* SPDX-License-Identifier: MIT */
/*
 * The names of running machines: one locked file each, in the user's runtime
 * directory ($XDG_RUNTIME_DIR/ringvm, or /run/ringvm for root, or
 * /tmp/ringvm-UID). The lock, not the file, is the name: it goes with the
 * process, whatever ends it. Any thread, no state.
 */
#ifndef MACHINE_INSTANCE_H
#define MACHINE_INSTANCE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

/* A name that is taken: its files, which are found once, by the user who takes it. */
struct instance {
	int lock_fd;
	char lock_path[PATH_MAX];
	struct sockaddr_un address; /* of its control socket; without a path if that is too long */
};

/*
 * Takes the name. 0; or a failure, logged, when it is in use (-EBUSY) or the
 * directory can't be had (any other, as a warning).
 */
int instance_acquire(struct instance *instance, const char *name);
/* Its control socket is gone. */
void instance_release(struct instance *instance);

/* Who has the name: a pid, 0 for nobody, or -errno where that can't be found out; silent. */
pid_t instance_pid(const char *name);

/* Says why names can't be looked at, and what to do; returns a failure of the host's. */
int instance_fail(int error);

/* Where its lock is, beside which is its control socket. 0, or -ENAMETOOLONG; silent. */
int instance_lock_path(const char *name, char *path, size_t size);

/* Where its control socket is. 0, or -ENAMETOOLONG; silent. */
int instance_socket(const char *name, struct sockaddr_un *address);

/*
 * Calls visit() for each name in use. 0, also where there are none; or -errno, when
 * some may have been left out; silent.
 */
int instance_list(void (*visit)(const char *name, pid_t pid, void *argument), void *argument);

#endif
