// SPDX-License-Identifier: MIT
/*
 * failcall CALL N ERRNO COMMAND...: runs ringvm on a host that fails the N-th CALL of its set-up, which
 * all its threads make together: from main()'s first look at the standard files to the first
 * KVM_RUN. The call is not made. On file 9 then: a line that says which it was, as "ioctl 0xae01 0x0".
 * With CALL "list" nothing fails: a line for each call of set-up, as it comes. Exit status: the
 * command's, 128 + N for signal N.
 *
 * Made instead is gettid(), which every list of the sandbox has: it need not be off.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME(call) { #call, SYS_##call }
#define NEWS_FD 9

static const struct {
	const char *name;
	uint64_t number;
} names[] = {
#ifdef __x86_64__
	NAME(access), NAME(arch_prctl), NAME(mkdir), NAME(unlink), NAME(rmdir), NAME(readlink),
	NAME(open), NAME(stat), NAME(poll), NAME(pipe), NAME(chmod), NAME(newfstatat),
	NAME(clone),
#else
	{ "newfstatat", 79 },
#endif
	NAME(accept4), NAME(bind), NAME(brk), NAME(capget), NAME(capset), NAME(clock_getres),
	NAME(clock_gettime), NAME(clone3), NAME(close), NAME(connect), NAME(dup), NAME(dup3),
	NAME(epoll_create1), NAME(epoll_ctl), NAME(eventfd2), NAME(execve), NAME(exit),
	NAME(exit_group), NAME(faccessat), { "faccessat2", 439 }, NAME(fallocate),
	NAME(fchmod), NAME(fchmodat), NAME(fcntl), NAME(fdatasync), NAME(flock), NAME(fstat),
	NAME(fstatfs), NAME(ftruncate),
	NAME(futex), NAME(getcwd), NAME(getdents64), NAME(getegid), NAME(geteuid), NAME(getgid),
	NAME(getpgid), NAME(getpid), NAME(getppid), NAME(getrandom), NAME(getsockname),
	NAME(getsockopt), NAME(gettid), NAME(getuid), NAME(io_uring_enter),
	NAME(io_uring_register), NAME(io_uring_setup), NAME(ioctl), NAME(kill),
	{ "landlock_create_ruleset", 444 }, { "landlock_add_rule", 445 },
	{ "landlock_restrict_self", 446 }, NAME(listen), NAME(lseek), NAME(madvise), NAME(mbind),
	NAME(memfd_create), NAME(mkdirat), NAME(mmap), NAME(mprotect), NAME(mremap),
	NAME(munmap), NAME(openat), NAME(pipe2), NAME(ppoll), NAME(prctl), NAME(pread64),
	NAME(preadv2), NAME(prlimit64), NAME(pwrite64), NAME(pwritev2), NAME(read),
	NAME(readlinkat), NAME(readv), NAME(recvfrom), NAME(recvmsg), NAME(renameat2),
	NAME(rseq), NAME(rt_sigaction), NAME(rt_sigprocmask), NAME(rt_sigreturn),
	NAME(sched_getaffinity), NAME(sched_setaffinity), NAME(sched_setscheduler),
	NAME(sched_yield), NAME(seccomp), NAME(sendmsg), NAME(sendto), NAME(set_robust_list),
	NAME(set_tid_address), NAME(setgroups), NAME(setpriority), NAME(setresgid),
	NAME(setresuid), NAME(setsockopt), NAME(sigaltstack), NAME(signalfd4), NAME(socket),
	NAME(socketpair), NAME(statfs), NAME(statx), NAME(sysinfo), NAME(tgkill),
	NAME(timerfd_create), NAME(timerfd_settime), NAME(umask), NAME(uname), NAME(unlinkat),
	NAME(wait4), NAME(write), NAME(writev),
};

#define ERROR(error) { #error, error }

static const struct {
	const char *name;
	int error;
} errors[] = {
	ERROR(EACCES), ERROR(EADDRINUSE), ERROR(EAGAIN), ERROR(EINTR), ERROR(EIO), ERROR(EMFILE),
	ERROR(ENOMEM), ERROR(ENOSPC), ERROR(EOPNOTSUPP), ERROR(EPERM),
};

static int error_of(const char *name)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (!strcmp(name, errors[i].name))
			return errors[i].error;
	return 0;
}

/* ---- What differs between processors ---- */

#ifdef __x86_64__
static void registers(pid_t tid, enum __ptrace_request request, struct user_regs_struct *values)
{
	struct iovec area = { values, sizeof(*values) };

	ptrace(request, tid, (void *)NT_PRSTATUS, &area);
}

static void set_call(pid_t tid, long number)
{
	struct user_regs_struct values;

	registers(tid, PTRACE_GETREGSET, &values);
	values.orig_rax = (unsigned long long)number;
	registers(tid, PTRACE_SETREGSET, &values);
}

/* The first. */
static void set_argument(pid_t tid, unsigned long value)
{
	struct user_regs_struct values;

	registers(tid, PTRACE_GETREGSET, &values);
	values.rdi = value;
	registers(tid, PTRACE_SETREGSET, &values);
}

static void restore_argument(pid_t tid, unsigned long value)
{
	set_argument(tid, value);
}

static void set_result(pid_t tid, long result)
{
	struct user_regs_struct values;

	registers(tid, PTRACE_GETREGSET, &values);
	values.rax = (unsigned long long)result;
	registers(tid, PTRACE_SETREGSET, &values);
}
#else
static void set_call(pid_t tid, long number)
{
	int value = (int)number;
	struct iovec area = { &value, sizeof(value) };

	ptrace(PTRACE_SETREGSET, tid, (void *)NT_ARM_SYSTEM_CALL, &area);
}

/* The first; the result goes into the same register. */
static void set_argument(pid_t tid, unsigned long value)
{
	struct user_regs_struct values;
	struct iovec area = { &values, sizeof(values) };

	ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &area);
	values.regs[0] = value;
	ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &area);
}

static void restore_argument(pid_t tid, unsigned long value)
{
	(void)tid;
	(void)value;
}

static void set_result(pid_t tid, long result)
{
	set_argument(tid, (unsigned long)result);
}
#endif

/* ---- Set-up ---- */

static struct {
	const char *call;
	unsigned long wanted, seen;
	int error;
	enum { BEFORE, DURING, AFTER } setup;
	pid_t failing; /* the thread whose call is replaced, till it returns */
	unsigned long argument; /* of brk(), which is made, but for no memory */
} state;

static const char *name_of(uint64_t number)
{
	static char unknown[24];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].number == number)
			return names[i].name;
	snprintf(unknown, sizeof(unknown), "call%llu", (unsigned long long)number);
	return unknown;
}

/* The arguments that tell one such call from another. */
static void tell(const struct __ptrace_syscall_info *info)
{
	static const struct {
		const char *call;
		unsigned first, second;
	} telling[] = {
		{ "ioctl", 1, 2 }, { "fcntl", 1, 1 }, { "prctl", 0, 0 }, { "prlimit64", 1, 2 },
		{ "io_uring_register", 1, 1 }, { "mmap", 2, 3 }, { "getrandom", 2, 2 },
		{ "clock_gettime", 0, 0 },
	};
	const char *name = name_of(info->entry.nr);

	dprintf(NEWS_FD, "%s", name);
	for (size_t i = 0; i < sizeof(telling) / sizeof(telling[0]); i++) {
		unsigned first = telling[i].first, second = telling[i].second;

		if (strcmp(name, telling[i].call))
			continue;
		dprintf(NEWS_FD, " 0x%llx", (unsigned long long)info->entry.args[first]);
		if (first != second)
			dprintf(NEWS_FD, " 0x%llx", (unsigned long long)info->entry.args[second]);
	}
	dprintf(NEWS_FD, "\n");
}

static void called(pid_t tid, const struct __ptrace_syscall_info *info)
{
	uint64_t number = info->entry.nr;

	if (state.setup == BEFORE && number == SYS_fcntl && !info->entry.args[0] &&
	    info->entry.args[1] == F_GETFD)
		state.setup = DURING;
	if (number == SYS_ioctl && info->entry.args[1] == KVM_RUN)
		state.setup = AFTER;
	if (state.setup != DURING)
		return;
	if (!strcmp(state.call, "list"))
		tell(info);
	if (strcmp(state.call, name_of(number)) || ++state.seen != state.wanted)
		return;
	tell(info);
	state.failing = tid;
	state.argument = info->entry.args[0];
	if (number == SYS_brk)
		set_argument(tid, 0);
	else
		set_call(tid, SYS_gettid);
}

static void stopped_at_call(pid_t tid)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, (void *)sizeof(info), &info) <= 0)
		return;
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
		called(tid, &info);
	} else if (info.op == PTRACE_SYSCALL_INFO_EXIT && tid == state.failing) {
		if (!strcmp(state.call, "brk")) /* whose error is the break as it was */
			restore_argument(tid, state.argument);
		else
			set_result(tid, -state.error);
		state.failing = 0;
		state.setup = AFTER;
	}
}

/* Nobody is followed any longer than need be: what is left runs as fast as ever. */
static void go_on(pid_t tid, int status)
{
	int signal_number = WSTOPSIG(status), event = status >> 16;

	if (signal_number == (SIGTRAP | 0x80) || event)
		signal_number = 0;
	if (state.setup == AFTER && tid != state.failing)
		ptrace(PTRACE_DETACH, tid, NULL, (void *)(intptr_t)signal_number);
	else
		ptrace(PTRACE_SYSCALL, tid, NULL, (void *)(intptr_t)signal_number);
}

static int follow(pid_t child)
{
	int status;
	pid_t tid;

	while ((tid = waitpid(-1, &status, __WALL)) > 0) {
		if (WIFSTOPPED(status)) {
			if (WSTOPSIG(status) == (SIGTRAP | 0x80))
				stopped_at_call(tid);
			go_on(tid, status);
		} else if (tid == child) {
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		}
	}
	return 77;
}

int main(int argc, char **argv)
{
	int go[2];
	pid_t child;
	char byte;

	if (argc < 5 || (!error_of(argv[3]) && strcmp(argv[1], "list")) || pipe(go)) {
		fprintf(stderr, "usage: failcall CALL N ERRNO COMMAND...\n");
		return 1;
	}
	state.call = argv[1];
	state.wanted = strtoul(argv[2], NULL, 10);
	state.error = error_of(argv[3]);
	child = fork();
	if (!child) {
		close(go[1]);
		if (read(go[0], &byte, 1) < 0)
			_exit(77);
		close(go[0]);
		close(NEWS_FD);
		execv(argv[4], argv + 4);
		_exit(127);
	}
	if (ptrace(PTRACE_SEIZE, child, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE |
						      PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL)) ||
	    ptrace(PTRACE_INTERRUPT, child, NULL, NULL)) {
		perror("failcall");
		kill(child, SIGKILL);
		return 77;
	}
	close(go[0]);
	close(go[1]);
	return follow(child);
}
