// SPDX-License-Identifier: MIT
/*
 * The sandbox's policy: the lists of system calls, and the order in which
 * privileges go. Threads share memory, so what one list allows an intruder has
 * in all: the union of the lists is the wall, each list is depth.
 */
#include "machine/sandbox.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/vhost.h>
#include <malloc.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/build.h"
#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "core/arch.h"
#include "core/landlock.h"
#include "core/stream.h"
#include "machine/instance.h"
#include "virtio/console.h"
#include "virtio/net.h"

/* Files that may be opened after all the others: the control socket's clients, with room. */
#define SPARE_FILES 16
/* Of each console's socket: a client, and one that is sent away. */
#define CLIENT_FILES 2

/* What a newer C library sets a tty's modes by; the header clashes with <termios.h>. */
#define TERMIOS2_GET 0x802c542a
#define TERMIOS2_SET 0x402c542b

/*
 * liburing from 2.4 on, on Linux from 6.3 on, names a ring by its registered number
 * once that is known, which this bit says; the headers may be older. The kernel
 * takes it off before it looks at what the ring's restrictions allow.
 */
#define RING_BY_NUMBER (UINT32_C(1) << 31)
#define RING_REGISTER(operation) \
	SYSCALL_IF_EQUAL_BUT(io_uring_register, 1, RING_BY_NUMBER, operation)

#define LIST(rules) { rules, ARRAY_SIZE(rules) }

/* ---- The lists ---- */

/* Runs the guest, and does what its drivers ask for by registers. */
static const struct syscall_rule vcpu_calls[] = {
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_RUN),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_IRQFD),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_IOEVENTFD),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_SET_GSI_ROUTING),
	SYSCALL_IF_EQUAL(ioctl, 1, TUNSETOFFLOAD),
	SYSCALL_IF_EQUAL(ioctl, 1, TUNSETQUEUE),
	SYSCALL_ALWAYS(read), /* event counters */
	SYSCALL_ALWAYS(exit),
};

static const struct syscall_rule worker_calls[] = {
	SYSCALL_ALWAYS(io_uring_enter),
	RING_REGISTER(IORING_REGISTER_FILES_UPDATE),
	RING_REGISTER(IORING_REGISTER_ENABLE_RINGS),
	RING_REGISTER(IORING_REGISTER_RING_FDS),
	RING_REGISTER(IORING_UNREGISTER_RING_FDS),
	RING_REGISTER(IORING_REGISTER_IOWQ_AFF),
	/* Disks in memory; frames where the ring can't; random numbers; clients of consoles. */
	SYSCALL_ALWAYS(preadv2),
	SYSCALL_ALWAYS(pwritev2),
	SYSCALL_ALWAYS(fdatasync),
	SYSCALL_ALWAYS(readv),
	SYSCALL_ALWAYS(getrandom),
	SYSCALL_ALWAYS(accept4),
	SYSCALL_ALWAYS(shutdown),
	SYSCALL_ALWAYS(close),
	SYSCALL_IF_EQUAL(ioctl, 1, TUNSETQUEUE),
	SYSCALL_IF_EQUAL(ioctl, 1, TIOCGWINSZ),
	SYSCALL_ALWAYS(munmap),
	SYSCALL_ALWAYS(exit),
};

/* Of workers, if the kernel serves any queue: it is handed over and taken back. */
static const struct syscall_rule vhost_calls[] = {
	SYSCALL_IF_EQUAL(ioctl, 1, VHOST_SET_FEATURES),
	SYSCALL_IF_EQUAL(ioctl, 1, VHOST_SET_VRING_NUM),
	SYSCALL_IF_EQUAL(ioctl, 1, VHOST_SET_VRING_BASE),
	SYSCALL_IF_EQUAL(ioctl, 1, VHOST_GET_VRING_BASE),
	SYSCALL_IF_EQUAL(ioctl, 1, VHOST_SET_VRING_ADDR),
	SYSCALL_IF_EQUAL(ioctl, 1, VHOST_SET_VRING_ERR),
	SYSCALL_IF_EQUAL(ioctl, 1, VHOST_SET_VRING_CALL),
	SYSCALL_IF_EQUAL(ioctl, 1, VHOST_SET_VRING_KICK),
	SYSCALL_IF_EQUAL(ioctl, 1, VHOST_NET_SET_BACKEND),
	SYSCALL_ALWAYS(read), /* the counter of its errors */
};

/*
 * A worker too, of the board's devices, the socket's clients and signals; a reset;
 * and the end of the machine. What the other workers did for their devices is not
 * done here, not even then: they quiesce them, and this thread puts taps back as
 * they were and closes files.
 */
static const struct syscall_rule control_calls[] = {
	SYSCALL_ALWAYS(io_uring_enter),
	RING_REGISTER(IORING_REGISTER_FILES_UPDATE),
	RING_REGISTER(IORING_UNREGISTER_RING_FDS),
	SYSCALL_ALWAYS(read), /* signals, event counters */
	SYSCALL_ALWAYS(accept4),
	SYSCALL_ALWAYS(recvfrom),
	SYSCALL_ALWAYS(sendto),
	SYSCALL_ALWAYS(shutdown),
	SYSCALL_ALWAYS(close),
	SYSCALL_ALWAYS(pread64), /* of the kernel, for a reset */
	SYSCALL_ALWAYS(unlinkat),
	SYSCALL_IF_EQUAL(fcntl, 1, F_OFD_SETLK), /* a disk is given back */
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_IRQFD),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_IOEVENTFD),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_SET_GSI_ROUTING),
	SYSCALL_IF_EQUAL(ioctl, 1, TUNSETOFFLOAD),
	SYSCALL_IF_EQUAL(ioctl, 1, TUNSETQUEUE),
	SYSCALL_IF_EQUAL(ioctl, 1, TIOCGWINSZ),
	SYSCALL_ALWAYS(munmap),
	SYSCALL_ALWAYS(restart_syscall), /* of the waits that have a limit */
	SYSCALL_ALWAYS(exit_group),
};

/* What the C library does on any thread, and what our handlers of faults do. */
static const struct syscall_rule common_calls[] = {
	SYSCALL_ALWAYS(futex),
	SYSCALL_ALWAYS(write),
	SYSCALL_ALWAYS(writev), /* the C library's last words */
	SYSCALL_ALWAYS(clock_gettime),
	SYSCALL_ALWAYS(madvise),
	SYSCALL_ALWAYS(brk), /* where no memory is allocated, an assertion's message is */
	SYSCALL_IF_CLEAR(mmap, 2, PROT_EXEC),
	SYSCALL_ALWAYS(rt_sigreturn),
	SYSCALL_ALWAYS(rt_sigprocmask),
	SYSCALL_ALWAYS(getpid),
	SYSCALL_ALWAYS(gettid),
	SYSCALL_ALWAYS(getpgid),
	SYSCALL_ALWAYS(ppoll), /* a message is written where somebody reads */
	SYSCALL_IF_EQUAL(ioctl, 1, TCGETS),
	SYSCALL_IF_EQUAL(ioctl, 1, TERMIOS2_GET),
	SYSCALL_IF_EQUAL(ioctl, 1, TIOCGPGRP),
	SYSCALL_IF_EQUAL(ioctl, 1, TCSETS),
	SYSCALL_IF_EQUAL(ioctl, 1, TERMIOS2_SET),
	SYSCALL_IF_EQUAL(prctl, 0, PR_GET_NAME),
};

/* ---- Filters ---- */

static bool filters_wanted(const struct sandbox *sandbox)
{
	return sandbox->mode != MACHINE_SANDBOX_OFF;
}

static int filter_build(struct syscall_filter *filter, const struct sandbox *sandbox,
			const struct syscall_list *own, size_t own_count)
{
	const struct syscall_rule signals = SYSCALL_IF_EQUAL(tgkill, 0, getpid());
	struct syscall_list lists[8];
	size_t count = 0;

	assert(own_count + 2 <= ARRAY_SIZE(lists));
	while (count < own_count) {
		lists[count] = own[count];
		count++;
	}
	lists[count++] = (struct syscall_list)LIST(common_calls);
	lists[count++] = (struct syscall_list){ &signals, 1 };
	return syscall_filter_build(filter, lists, count,
				    sandbox->mode == MACHINE_SANDBOX_LOG);
}

static bool vhost_wanted(const struct machine_config *config)
{
	for (unsigned i = 0; i < config->device_count; i++)
		if (config->devices[i].type == &virtio_net &&
		    net_options_vhost(config->devices[i].options))
			return true;
	return false;
}

static int filters_build(struct sandbox *sandbox)
{
	const struct syscall_list vcpu[] = { LIST(vcpu_calls), arch_vcpu_calls };
	const struct syscall_list worker[] = { LIST(worker_calls), LIST(vhost_calls) };
	const struct syscall_list control[] = { LIST(control_calls), arch_reset_calls };
	int error = filter_build(&sandbox->vcpu_filter, sandbox, vcpu, ARRAY_SIZE(vcpu));

	if (!error)
		error = filter_build(&sandbox->worker_filter, sandbox, worker,
				     vhost_wanted(sandbox->config) ? 2 : 1);
	if (!error)
		error = filter_build(&sandbox->control_filter, sandbox, control,
				     ARRAY_SIZE(control));
	return error;
}

int sandbox_create(struct sandbox *sandbox, const struct machine_config *config)
{
	int error;

	*sandbox = (struct sandbox){ .config = config, .mode = config->sandbox };
	if (!filters_wanted(sandbox))
		return 0;
	if (build_is_instrumented()) {
		log_debug("sandbox: off: this build is instrumented");
		sandbox->mode = MACHINE_SANDBOX_OFF;
		return filters_build(sandbox); /* which tests alone install */
	}
	/* An arena for each thread would need mprotect() to grow. */
	mallopt(M_ARENA_MAX, 1);
	if (!syscall_filter_is_supported())
		return fail_host(ENOSYS, "sandbox: this host's kernel has no seccomp filters, or "
				 "keeps them from us; run with --sandbox=off");
	error = filters_build(sandbox);
	if (error)
		sandbox_destroy(sandbox);
	return error;
}

void sandbox_destroy(struct sandbox *sandbox)
{
	syscall_filter_destroy(&sandbox->vcpu_filter);
	syscall_filter_destroy(&sandbox->worker_filter);
	syscall_filter_destroy(&sandbox->control_filter);
}

const struct syscall_filter *sandbox_worker_filter(const struct sandbox *sandbox)
{
	return filters_wanted(sandbox) ? &sandbox->worker_filter : NULL;
}

const struct syscall_filter *sandbox_vcpu_filter(const struct sandbox *sandbox)
{
	return filters_wanted(sandbox) ? &sandbox->vcpu_filter : NULL;
}

/* ---- Where sockets and locks are ---- */

/* Where sockets and locks of ours are, which we remove at the end. */
struct directories {
	const char *paths[CONSOLE_PORT_OPTIONS_MAX + 2]; /* NULL-terminated */
	char *owned[CONSOLE_PORT_OPTIONS_MAX + 1];
	unsigned count;
};

static int directory_add(struct directories *directories, const char *file_path)
{
	char *copy = strdup(file_path), *slash = copy ? strrchr(copy, '/') : NULL;

	if (!copy)
		return fail_host(ENOMEM, "sandbox: out of memory");
	if (slash)
		slash[slash == copy] = '\0';
	directories->owned[directories->count] = copy;
	directories->paths[directories->count++] = slash ? copy : ".";
	return 0;
}

/* The path of a console's socket, by its number among them; NULL: they are fewer. */
static const char *console_socket(const struct machine_config *config, unsigned number)
{
	for (unsigned i = 0; i < config->device_count; i++) {
		const struct console_options *console = config->devices[i].options;

		if (config->devices[i].type != &virtio_console)
			continue;
		for (unsigned j = 0; j < console->port_count; j++) {
			const char *path = stream_socket_path(console->ports[j].path);

			if (path && !number--)
				return path;
		}
	}
	return NULL;
}

static int directories_find(struct directories *directories, const struct machine_config *config)
{
	char lock[PATH_MAX];
	const char *path;
	int error = 0;

	if (!instance_lock_path(config->name, lock, sizeof(lock)))
		error = directory_add(directories, lock);
	for (unsigned i = 0; !error && (path = console_socket(config, i)); i++)
		error = directory_add(directories, path);
	return error;
}

static void directories_free(struct directories *directories)
{
	while (directories->count)
		free(directories->owned[--directories->count]);
}

/* Whether who we are is enough to remove what is ours, or -1, logged. Landlock knows no more. */
static int may_remove(const struct directories *directories)
{
	for (unsigned i = 0; i < directories->count; i++)
		if (faccessat(AT_FDCWD, directories->paths[i], W_OK | X_OK, AT_EACCESS)) {
			if (errno == EACCES)
				return 0;
			if (!fd_no_such_directory(errno) && errno != EROFS)
				return fail_host_errno("sandbox: %s", directories->paths[i]);
		}
	return 1;
}

/* ---- Privileges ---- */

static bool is_users(const char *directory, uid_t user)
{
	struct stat status;

	return !stat(directory, &status) && S_ISDIR(status.st_mode) && status.st_uid == user;
}

/*
 * Root's would be no place for the user's names, nor where the user looks for
 * them: that is where a login has the variable point, if there is one.
 */
static void runtime_directory_leave(uid_t user)
{
	const char *path = getenv("XDG_RUNTIME_DIR");
	char login[32];

	snprintf(login, sizeof(login), "/run/user/%u", (unsigned)user);
	if (path && is_users(path, user))
		return;
	if (is_users(login, user))
		setenv("XDG_RUNTIME_DIR", login, 1);
	else
		unsetenv("XDG_RUNTIME_DIR");
}

/* No directory on the way to `path`, which is absolute, can be put elsewhere but by root. */
static bool is_roots_way(char *path)
{
	struct stat status;

	for (char *slash = path; slash; slash = strchr(slash + 1, '/')) {
		char end = slash[1];
		bool safe;

		slash[1] = '\0'; /* with the slash: a directory */
		safe = !lstat(path, &status) && S_ISDIR(status.st_mode) && !status.st_uid &&
		       (!(status.st_mode & 022) || (status.st_mode & S_ISVTX));
		slash[1] = end;
		if (!safe)
			return false;
	}
	return true;
}

/*
 * What was made as root, for root alone, becomes the user's; but not where anybody
 * else could have put something of root's in its place, such as the user, whose
 * directory it is in. It has one name, as it was just made.
 */
static int socket_give(const char *path, const struct passwd *user)
{
	char real[PATH_MAX];
	struct stat status;

	if (!realpath(path, real))
		return -errno;
	if (!is_roots_way(real) || lstat(real, &status) || !S_ISSOCK(status.st_mode) ||
	    status.st_uid != geteuid() || status.st_nlink != 1)
		return -EPERM;
	return lchown(real, user->pw_uid, user->pw_gid) ? -errno : 0;
}

static void sockets_give(const struct machine_config *config, const struct passwd *user)
{
	const char *path;

	for (unsigned i = 0; (path = console_socket(config, i)); i++) {
		int error = socket_give(path, user);

		if (error)
			log_warning("--user: %s: make this socket the user's: %s; only root can "
				    "connect to it%s", path, strerror(-error), error == -EPERM ?
				    ": name it in /run, /tmp or another of root's" : "");
	}
}

/* Says so where the user who we are by now may not remove one at the end. */
static int sockets_stay(const struct machine_config *config)
{
	const char *path;

	for (unsigned i = 0; (path = console_socket(config, i)); i++) {
		struct directories directories = { 0 };
		int enough = directory_add(&directories, path);

		if (!enough)
			enough = may_remove(&directories);
		directories_free(&directories);
		if (enough < 0)
			return enough;
		if (!enough)
			log_warning("--user: %s: %s may not remove it from its directory: it "
				    "stays when the machine ends", path, config->user);
	}
	return 0;
}

int sandbox_drop_privileges(const struct sandbox *sandbox)
{
	const char *name = sandbox->config->user;
	const struct passwd *user;

	if (!name)
		return 0;
	if (geteuid())
		return fail(EPERM, "--user: only root can become another user; run without it");
	errno = 0;
	user = getpwnam(name);
	if (!user)
		return fail(errno ? errno : ENOENT, "--user: %s: no such user; see 'getent passwd'",
			    name);
	sockets_give(sandbox->config, user);
	if (setgroups(0, NULL) || setresgid(user->pw_gid, user->pw_gid, user->pw_gid) ||
	    setresuid(user->pw_uid, user->pw_uid, user->pw_uid))
		return fail_host(errno, "--user: %s: become this user: %s; allow CAP_SETUID and "
				 "CAP_SETGID, or run without it", name, strerror(errno));
	runtime_directory_leave(user->pw_uid);
	return sockets_stay(sandbox->config);
}

/* ---- The process ---- */

static int capabilities_set(const struct __user_cap_data_struct *sets)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capset, &header, sets) ?
		       fail_host_errno("sandbox: give up capabilities") : 0;
}

/*
 * What root would still be without: the files that are its own. Not of root's
 * alone, since a file may bring capabilities with it. One is kept where it takes
 * it to remove our names at the end, as in the directory of the user who became
 * root. Without CAP_SETPCAP the bounding set stays, for programs that we can't run.
 */
static int capabilities_drop(const struct directories *directories)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = { 0 };
	uint32_t kept;
	int enough, error;

	for (unsigned long i = 0; !prctl(PR_CAPBSET_DROP, i, 0, 0, 0); i++)
		;
	if (syscall(SYS_capget, &header, sets))
		return fail_host_errno("sandbox: look at capabilities");
	kept = sets[0].effective & CAP_TO_MASK(CAP_DAC_OVERRIDE);
	for (unsigned i = 0; i < ARRAY_SIZE(sets); i++)
		sets[i].effective = 0;
	error = capabilities_set(sets);
	enough = error ? error : may_remove(directories);
	if (enough < 0)
		return enough;
	memset(sets, 0, sizeof(sets));
	if (!enough)
		sets[0].permitted = sets[0].effective = kept;
	/* Takes the ambient ones along, which are never more than these. */
	return capabilities_set(sets);
}

static int limit(int resource, const char *name, rlim_t most)
{
	struct rlimit value;

	if (getrlimit(resource, &value))
		return fail_host_errno("sandbox: %s", name);
	if (value.rlim_max < most)
		return 0;
	value = (struct rlimit){ most, most };
	return setrlimit(resource, &value) ? fail_host_errno("sandbox: %s", name) : 0;
}

/* The highest file descriptor in use, or -1 when /proc is not there to tell. */
static int highest_file(void)
{
	DIR *stream = opendir("/proc/self/fd");
	struct dirent *entry;
	int highest = -1;

	if (!stream)
		return -1;
	while ((entry = readdir(stream))) {
		int file = atoi(entry->d_name);

		if (file > highest && file != dirfd(stream))
			highest = file;
	}
	closedir(stream);
	return highest;
}

static unsigned console_sockets(const struct machine_config *config)
{
	unsigned count = 0;

	while (console_socket(config, count))
		count++;
	return count;
}

static int limits_set(const struct machine_config *config)
{
	unsigned more = SPARE_FILES + console_sockets(config) * CLIENT_FILES;
	int highest = highest_file();
	int error = limit(RLIMIT_CORE, "RLIMIT_CORE", 0);

	if (!error && highest >= 0)
		error = limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", (rlim_t)highest + 1 + more);
	return error;
}

static int file_system_leave(const struct directories *directories)
{
	int error = landlock_confine(directories->paths);

	if (error == -ENOSYS || error == -EOPNOTSUPP) {
		log_debug("sandbox: this host has no Landlock: files are kept from us by the "
			  "system call filters alone");
		return 0;
	}
	return error ? fail_host(-error, "sandbox: Landlock: %s; %s", strerror(-error),
				 fd_limit_advice(-error, "run with --sandbox=off")) : 0;
}

int sandbox_confine(const struct sandbox *sandbox)
{
	struct directories directories = { 0 };
	int error;

	/* The threads that start next have filters at once. */
	error = syscall_filter_handle_traps();
	if (error || !filters_wanted(sandbox))
		return error;
	error = limits_set(sandbox->config);
	if (!error)
		error = directories_find(&directories, sandbox->config);
	if (!error && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		error = fail_host_errno("sandbox: PR_SET_DUMPABLE");
	if (!error && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		error = fail_host_errno("sandbox: PR_SET_NO_NEW_PRIVS");
	if (!error)
		error = capabilities_drop(&directories);
	if (!error && sandbox->mode == MACHINE_SANDBOX_ON)
		error = file_system_leave(&directories);
	directories_free(&directories);
	return error;
}

int sandbox_confine_control(const struct sandbox *sandbox)
{
	int error;

	if (!filters_wanted(sandbox))
		return 0;
	error = syscall_filter_install(&sandbox->control_filter);
	return error ? fail_host(-error, "sandbox: seccomp: %s; run with --sandbox=off",
				 strerror(-error)) : 0;
}
