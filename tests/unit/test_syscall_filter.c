// SPDX-License-Identifier: MIT
/* From rules to a filter, run here by an interpreter and by the kernel; and Landlock. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/build.h"
#include "base/bytes.h"
#include "core/arch.h"
#include "core/landlock.h"
#include "core/syscall_filter.h"
#include "tests/unit/filter_verdict.h"

static const struct syscall_rule rules[] = {
	SYSCALL_ALWAYS(read),
	SYSCALL_IF_EQUAL(ioctl, 1, 0xae80),
	SYSCALL_IF_EQUAL(ioctl, 1, 0x4020ae76),
	SYSCALL_IF_CLEAR(mmap, 2, PROT_EXEC),
	SYSCALL_ALWAYS(exit_group),
};

/* Of calls that the first list has as well: more values, another argument, without condition. */
static const struct syscall_rule more_rules[] = {
	SYSCALL_ALWAYS(write),
	SYSCALL_IF_EQUAL(ioctl, 1, 0x4020ae77),
	SYSCALL_IF_EQUAL(ioctl, 2, 1),
	SYSCALL_IF_EQUAL(prctl, 0, 1),
	SYSCALL_ALWAYS(prctl),
	SYSCALL_ALWAYS(close),
	SYSCALL_ALWAYS(close),
	SYSCALL_ALWAYS(futex),
};

static const struct syscall_list lists[] = {
	{ rules, ARRAY_SIZE(rules) },
	{ more_rules, ARRAY_SIZE(more_rules) },
};

/* What the rules mean, said without a program. */
static bool expected(const struct seccomp_data *data)
{
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		for (size_t j = 0; j < lists[i].count; j++) {
			const struct syscall_rule *rule = &lists[i].rules[j];
			uint32_t argument = (uint32_t)data->args[rule->argument];

			if ((unsigned)data->nr == rule->number &&
			    (!rule->conditional || (argument & rule->mask) == rule->value))
				return true;
		}
	}
	return false;
}

static void test_every_call(void **state)
{
	static const uint64_t values[] = {
		0, 1, PROT_EXEC, PROT_READ | PROT_EXEC, 0xae80, 0x4020ae76, 0x4020ae77,
		UINT32_MAX, UINT64_C(0xae80) << 32, UINT64_C(1) << 32 | 0xae80, UINT64_MAX,
	};
	struct syscall_filter filter;

	(void)state;
	assert_int_equal(syscall_filter_build(&filter, lists, ARRAY_SIZE(lists), false), 0);
	for (int number = -1; number < FILTER_CALLS; number++) {
		for (size_t i = 0; i < ARRAY_SIZE(values) * 6; i++) {
			struct seccomp_data data = { .nr = number, .arch = arch_audit };

			data.args[i % 6] = values[i / 6];
			assert_int_equal(filter_verdict(&filter, &data), expected(&data) ?
					 SECCOMP_RET_ALLOW : SECCOMP_RET_TRAP);
		}
	}
	syscall_filter_destroy(&filter);
}

static void test_other_architecture_is_killed(void **state)
{
	struct seccomp_data data = { .nr = SYS_read, .arch = arch_audit ^ 1 };
	struct syscall_filter filter;

	(void)state;
	assert_int_equal(syscall_filter_build(&filter, lists, ARRAY_SIZE(lists), false), 0);
	assert_int_equal(filter_verdict(&filter, &data), SECCOMP_RET_KILL_PROCESS);
	syscall_filter_destroy(&filter);
}

static void test_log_only(void **state)
{
	struct seccomp_data data = { .nr = SYS_openat, .arch = arch_audit };
	struct syscall_filter filter;

	(void)state;
	assert_int_equal(syscall_filter_build(&filter, lists, ARRAY_SIZE(lists), true), 0);
	assert_int_equal(filter_verdict(&filter, &data), SECCOMP_RET_LOG);
	syscall_filter_destroy(&filter);
}

/* What run() does in a child; its exit status as from wait(), and what it wrote to stderr. */
static int in_child(void (*run)(void), char *text, size_t size)
{
	int pipe_fds[2], status;
	ssize_t length;
	pid_t pid;

	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	if (!pid) {
		dup2(pipe_fds[1], STDERR_FILENO);
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		run();
		_exit(0);
	}
	close(pipe_fds[1]);
	length = read(pipe_fds[0], text, size - 1);
	text[length > 0 ? length : 0] = '\0';
	close(pipe_fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void call_forbidden(void)
{
	static const struct syscall_rule needed[] = {
		SYSCALL_ALWAYS(exit_group),   SYSCALL_ALWAYS(write),
		SYSCALL_ALWAYS(rt_sigreturn), SYSCALL_ALWAYS(rt_sigprocmask),
		SYSCALL_ALWAYS(getpid),	      SYSCALL_ALWAYS(gettid),
		SYSCALL_ALWAYS(tgkill),
		SYSCALL_IF_EQUAL(prctl, 0, PR_GET_NAME),
	};
	const struct syscall_list list = { needed, ARRAY_SIZE(needed) };
	struct syscall_filter filter;

	prctl(PR_SET_NAME, "offender");
	if (syscall_filter_handle_traps() || syscall_filter_build(&filter, &list, 1, false) ||
	    syscall_filter_install(&filter))
		_exit(1);
	if (syscall(SYS_getpid) <= 0)
		_exit(2);
	syscall(SYS_getppid);
	_exit(3);
}

static void test_trap_names_the_call(void **state)
{
	char text[256], wanted[64];
	int status;

	(void)state;
	if (!syscall_filter_is_supported())
		skip();
	status = in_child(call_forbidden, text, sizeof(text));
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
	snprintf(wanted, sizeof(wanted), "sandbox: offender: system call %d is not", SYS_getppid);
	assert_non_null(strstr(text, wanted));
}

static char directory[] = "/tmp/ringvm-landlock-XXXXXX";

static void leave_files(void)
{
	const char *const directories[] = { directory, "/nowhere", NULL };
	int error, fd = open("/dev/null", O_RDWR);
	char path[64];

	snprintf(path, sizeof(path), "%s/removable", directory);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	error = landlock_confine(directories);
	if (error == -ENOSYS || error == -EOPNOTSUPP)
		_exit(77);
	if (error)
		_exit(1);
	if (open("/", O_RDONLY | O_DIRECTORY) >= 0 || errno != EACCES)
		_exit(2);
	if (open(path, O_RDONLY) >= 0 || errno != EACCES)
		_exit(3);
	if (unlink(path))
		_exit(4);
	if (open(path, O_WRONLY | O_CREAT, 0600) >= 0 || errno != EACCES)
		_exit(5);
	if (write(fd, "open", 4) != 4) /* stays open */
		_exit(6);
}

static void test_landlock(void **state)
{
	char text[16], path[64];
	int fd, status;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/removable", directory);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
	status = in_child(leave_files, text, sizeof(text));
	unlink(path);
	rmdir(directory);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_call),
		cmocka_unit_test(test_other_architecture_is_killed),
		cmocka_unit_test(test_log_only),
		cmocka_unit_test(test_trap_names_the_call),
		cmocka_unit_test(test_landlock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
