// SPDX-License-Identifier: MIT
/*
 * The filters that a machine's threads get: what their programs say, run here and
 * by the kernel. Both ways on purpose spelled anew, not taken from the lists: a
 * list can't grow without a word here.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/if_tun.h>
#include <linux/vhost.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "core/arch.h"
#include "machine/options.h"
#include "machine/sandbox.h"
#include "tests/unit/filter_verdict.h"

#define ARGUMENTS_MAX 8
#define X32_CALLS 0x40000000 /* the bit that makes a number one of x86's second table */

/* Kinds of threads, as a set. */
enum { VCPU = 1, WORKER = 2, CONTROL = 4, ALL = VCPU | WORKER | CONTROL };

static const char *const kind_names[] = { "vcpu", "worker", "control" };

/* A machine's filters, of `ringvm run --nodefaults WORD...`. */
struct setup {
	struct machine_config config;
	struct sandbox sandbox;
};

static void setup_begin(struct setup *setup, char *const *words)
{
	char *argv[ARGUMENTS_MAX + 1] = { "run", "--nodefaults" };
	int argc = 2;

	while (*words && argc < ARGUMENTS_MAX)
		argv[argc++] = *words++;
	assert_int_equal(machine_config_init(&setup->config), 0);
	assert_int_equal(machine_options_parse(&setup->config, argc, argv), 0);
	assert_int_equal(sandbox_create(&setup->sandbox, &setup->config), 0);
}

static void setup_end(struct setup *setup)
{
	sandbox_destroy(&setup->sandbox);
	machine_config_destroy(&setup->config);
}

static const struct syscall_filter *filter_of(const struct setup *setup, unsigned kind)
{
	switch (1U << kind) {
	case VCPU:
		return &setup->sandbox.vcpu_filter;
	case WORKER:
		return &setup->sandbox.worker_filter;
	default:
		return &setup->sandbox.control_filter;
	}
}

/* ---- What the programs say ---- */

/* Every call that is let through with any arguments at all, and for whom. */
static const struct {
	unsigned number, kinds;
} reachable[] = {
	{ SYS_futex, ALL },
	{ SYS_write, ALL },
	{ SYS_writev, ALL },
	{ SYS_clock_gettime, ALL },
	{ SYS_madvise, ALL },
	{ SYS_rt_sigreturn, ALL },
	{ SYS_rt_sigprocmask, ALL },
	{ SYS_tgkill, ALL },
	{ SYS_getpid, ALL },
	{ SYS_gettid, ALL },
	{ SYS_getpgid, ALL },
	{ SYS_ioctl, ALL },
	{ SYS_prctl, ALL },
	{ SYS_read, ALL }, /* of a worker with vhost */
	{ SYS_ppoll, ALL },
	{ SYS_exit, VCPU | WORKER },
	{ SYS_io_uring_enter, WORKER | CONTROL },
	{ SYS_io_uring_register, WORKER | CONTROL },
	{ SYS_accept4, WORKER | CONTROL },
	{ SYS_shutdown, WORKER | CONTROL },
	{ SYS_close, WORKER | CONTROL },
	{ SYS_brk, ALL },
	{ SYS_mmap, ALL },
	{ SYS_munmap, WORKER | CONTROL },
	{ SYS_preadv2, WORKER },
	{ SYS_pwritev2, WORKER },
	{ SYS_fdatasync, WORKER },
	{ SYS_readv, WORKER },
	{ SYS_getrandom, WORKER },
	{ SYS_recvfrom, CONTROL },
	{ SYS_sendto, CONTROL },
	{ SYS_pread64, CONTROL },
	{ SYS_unlinkat, CONTROL },
	{ SYS_fcntl, CONTROL },
	{ SYS_restart_syscall, CONTROL },
	{ SYS_exit_group, CONTROL },
};

static bool list_has(const struct syscall_list *list, unsigned number)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->rules[i].number == number)
			return true;
	return false;
}

static unsigned kinds_that_reach(unsigned number)
{
	unsigned kinds = 0;

	for (size_t i = 0; i < ARRAY_SIZE(reachable); i++)
		if (reachable[i].number == number)
			kinds |= reachable[i].kinds;
	/* Which these are is told by their own architecture's tests: an alarm, or none. */
	if (list_has(&arch_vcpu_calls, number))
		kinds |= VCPU;
	if (list_has(&arch_reset_calls, number))
		kinds |= CONTROL;
	return kinds;
}

static uint32_t verdict(const struct syscall_filter *filter, const struct seccomp_data *data)
{
	struct seccomp_data other = *data;

	/* Whatever is said to the call: to another table's of the same number it is no. */
	other.nr |= X32_CALLS;
	assert_int_equal(filter_verdict(filter, &other), SECCOMP_RET_TRAP);
	other = *data;
	other.arch ^= 1;
	assert_int_equal(filter_verdict(filter, &other), SECCOMP_RET_KILL_PROCESS);
	return filter_verdict(filter, data);
}

/* Whatever its arguments: not even with what others may ask for. */
static void test_no_other_call_gets_through(void **state)
{
	static const uint64_t values[] = {
		0, 1, PROT_EXEC, KVM_RUN, KVM_IRQFD, TUNSETOFFLOAD, TIOCGWINSZ, PR_GET_NAME,
		IORING_REGISTER_FILES_UPDATE, UINT32_MAX, UINT64_MAX,
	};
	struct setup setup;

	(void)state;
	setup_begin(&setup, (char *[]){ "-n", "tap,vhost=on", NULL });
	for (unsigned kind = 0; kind < ARRAY_SIZE(kind_names); kind++) {
		for (int number = -1; number < FILTER_CALLS; number++) {
			if (kinds_that_reach((unsigned)number) & 1U << kind)
				continue;
			for (size_t i = 0; i < ARRAY_SIZE(values) * 6; i++) {
				struct seccomp_data data = { .nr = number, .arch = arch_audit };

				data.args[i % 6] = values[i / 6];
				if (verdict(filter_of(&setup, kind), &data) != SECCOMP_RET_TRAP)
					fail_msg("%s: call %d", kind_names[kind], number);
			}
		}
	}
	setup_end(&setup);
}

/* Said by name as well, for whoever adds one to the table above. */
static const unsigned never[] = {
	SYS_openat, SYS_openat2, SYS_open_by_handle_at, SYS_execve, SYS_execveat, SYS_socket,
	SYS_socketpair, SYS_connect, SYS_bind, SYS_listen, SYS_sendmsg, SYS_recvmsg, SYS_clone,
	SYS_clone3, SYS_mprotect, SYS_pkey_mprotect, SYS_mremap, SYS_remap_file_pages,
	SYS_memfd_create, SYS_shmat, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev,
	SYS_kill, SYS_tkill, SYS_pidfd_open, SYS_pidfd_getfd, SYS_pidfd_send_signal,
	SYS_rt_sigaction, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_bpf, SYS_seccomp, SYS_io_uring_setup,
	SYS_io_setup, SYS_userfaultfd, SYS_perf_event_open, SYS_keyctl, SYS_add_key,
	SYS_request_key, SYS_unshare, SYS_setns, SYS_chroot, SYS_pivot_root, SYS_mount, SYS_umount2,
	SYS_fsopen, SYS_move_mount, SYS_renameat2, SYS_linkat, SYS_symlinkat, SYS_mkdirat,
	SYS_mknodat, SYS_fchmod, SYS_fchmodat, SYS_fchown, SYS_fchownat, SYS_ftruncate, SYS_truncate,
	SYS_setuid, SYS_setresuid, SYS_setgroups, SYS_capset, SYS_setrlimit, SYS_prlimit64,
	SYS_personality, SYS_init_module, SYS_finit_module, SYS_kexec_load, SYS_reboot, SYS_dup,
	SYS_dup3, SYS_splice, SYS_tee, SYS_vmsplice, SYS_getdents64, SYS_quotactl, SYS_settimeofday,
#ifdef SYS_open
	SYS_open, SYS_fork, SYS_vfork, SYS_creat, SYS_unlink, SYS_rename, SYS_link, SYS_symlink,
	SYS_mknod, SYS_chmod, SYS_chown, SYS_dup2, SYS_arch_prctl, SYS_modify_ldt, SYS_iopl,
	SYS_ioperm,
#endif
};

static void test_never(void **state)
{
	struct setup setup;

	(void)state;
	setup_begin(&setup, (char *[]){ "-n", "tap,vhost=on", NULL });
	for (unsigned kind = 0; kind < ARRAY_SIZE(kind_names); kind++) {
		for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
			struct seccomp_data data = { .nr = (int)never[i], .arch = arch_audit };

			assert_int_equal(kinds_that_reach(never[i]), 0);
			assert_int_equal(verdict(filter_of(&setup, kind), &data), SECCOMP_RET_TRAP);
		}
	}
	setup_end(&setup);
}

/* How a newer liburing names a ring by its registered number. */
#define RING_BY_NUMBER (UINT64_C(1) << 31)

/* Of calls that some arguments get through: for whom, and with which value of which. */
static const struct argument_rule {
	unsigned number, kinds;
	unsigned argument;
	uint64_t value;
} argument_rules[] = {
	{ SYS_mmap, ALL, 2, PROT_NONE },
	{ SYS_mmap, ALL, 2, PROT_READ | PROT_WRITE },
	{ SYS_mmap, 0, 2, PROT_EXEC },
	{ SYS_mmap, 0, 2, PROT_READ | PROT_EXEC },
	{ SYS_mmap, 0, 2, PROT_READ | PROT_WRITE | PROT_EXEC },
	{ SYS_ioctl, VCPU, 1, KVM_RUN },
	{ SYS_ioctl, VCPU | CONTROL, 1, KVM_IRQFD },
	{ SYS_ioctl, VCPU | CONTROL, 1, KVM_IOEVENTFD },
	{ SYS_ioctl, VCPU | CONTROL, 1, KVM_SET_GSI_ROUTING },
	{ SYS_ioctl, VCPU | CONTROL, 1, TUNSETOFFLOAD },
	{ SYS_ioctl, VCPU | WORKER | CONTROL, 1, TUNSETQUEUE },
	{ SYS_ioctl, WORKER | CONTROL, 1, TIOCGWINSZ },
	{ SYS_ioctl, WORKER, 1, VHOST_NET_SET_BACKEND },
	{ SYS_ioctl, WORKER, 1, VHOST_SET_VRING_ADDR },
	{ SYS_ioctl, 0, 1, VHOST_SET_OWNER },
	{ SYS_ioctl, 0, 1, VHOST_SET_MEM_TABLE },
	{ SYS_ioctl, 0, 1, VHOST_SET_LOG_BASE },
	{ SYS_ioctl, 0, 1, KVM_CREATE_VM },
	{ SYS_ioctl, 0, 1, KVM_CREATE_VCPU },
	{ SYS_ioctl, 0, 1, KVM_CREATE_DEVICE },
	{ SYS_ioctl, 0, 1, KVM_SET_USER_MEMORY_REGION },
	{ SYS_ioctl, 0, 1, KVM_ENABLE_CAP },
	{ SYS_ioctl, 0, 1, TUNSETIFF },
	{ SYS_ioctl, 0, 1, TUNSETPERSIST },
	{ SYS_ioctl, 0, 1, TUNSETOWNER },
	{ SYS_ioctl, 0, 1, TIOCSTI },
	{ SYS_ioctl, 0, 1, TIOCLINUX },
	{ SYS_ioctl, 0, 1, TIOCSCTTY },
	{ SYS_prctl, ALL, 0, PR_GET_NAME },
	{ SYS_prctl, 0, 0, PR_SET_DUMPABLE },
	{ SYS_prctl, 0, 0, PR_SET_PTRACER },
	{ SYS_prctl, 0, 0, PR_SET_MM },
	{ SYS_prctl, 0, 0, PR_SET_SECCOMP },
	{ SYS_io_uring_register, WORKER | CONTROL, 1, IORING_REGISTER_FILES_UPDATE },
	{ SYS_io_uring_register, WORKER | CONTROL, 1,
	  RING_BY_NUMBER | IORING_REGISTER_FILES_UPDATE },
	{ SYS_io_uring_register, WORKER, 1, IORING_REGISTER_ENABLE_RINGS },
	{ SYS_io_uring_register, WORKER | CONTROL, 1,
	  RING_BY_NUMBER | IORING_UNREGISTER_RING_FDS },
	{ SYS_io_uring_register, WORKER, 1, RING_BY_NUMBER | IORING_REGISTER_IOWQ_AFF },
	{ SYS_io_uring_register, 0, 1, RING_BY_NUMBER | IORING_REGISTER_BUFFERS },
	{ SYS_io_uring_register, 0, 1, RING_BY_NUMBER | IORING_REGISTER_RESTRICTIONS },
	{ SYS_fcntl, CONTROL, 1, F_OFD_SETLK },
	{ SYS_fcntl, 0, 1, F_SETFL },
	{ SYS_fcntl, 0, 1, F_DUPFD },
	{ SYS_fcntl, 0, 1, F_SETOWN },
	{ SYS_io_uring_register, 0, 1, IORING_REGISTER_BUFFERS },
	{ SYS_io_uring_register, 0, 1, IORING_REGISTER_FILES },
	{ SYS_io_uring_register, 0, 1, IORING_REGISTER_RESTRICTIONS },
	{ SYS_io_uring_register, 0, 1, IORING_REGISTER_PERSONALITY },
};

static void check_argument(const struct setup *setup, const struct argument_rule *rule, pid_t self)
{
	for (unsigned kind = 0; kind < ARRAY_SIZE(kind_names); kind++) {
		struct seccomp_data data = {
			.nr = (int)rule->number, .arch = arch_audit,
			.args = { (uint64_t)self, (uint64_t)self, UINT64_MAX, (uint64_t)self },
		};
		uint32_t wanted = rule->kinds & 1U << kind ? SECCOMP_RET_ALLOW : SECCOMP_RET_TRAP;

		data.args[rule->argument] = rule->value;
		if (verdict(filter_of(setup, kind), &data) != wanted)
			fail_msg("%s: call %u, %#llx", kind_names[kind], rule->number,
				 (unsigned long long)rule->value);
	}
}

static void test_arguments(void **state)
{
	const struct argument_rule signals[] = {
		{ SYS_tgkill, ALL, 0, (uint64_t)getpid() },
		{ SYS_tgkill, 0, 0, (uint64_t)getppid() },
		{ SYS_tgkill, 0, 0, UINT64_MAX },
	};
	struct setup setup;

	(void)state;
	setup_begin(&setup, (char *[]){ "-n", "tap,vhost=on", NULL });
	for (size_t i = 0; i < ARRAY_SIZE(argument_rules); i++)
		check_argument(&setup, &argument_rules[i], 0);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		check_argument(&setup, &signals[i], getpid());
	setup_end(&setup);
}

/* ---- What the kernel says ---- */

#define THROUGH "through" /* says who made a call and lived */

/* What a thread of this kind lives through, or ends by. */
struct attempt {
	const char *name;
	unsigned number;
	unsigned long arguments[6];
};

static const struct attempt attempts[] = {
	{ "openat", SYS_openat, { 0 } },
	{ "execve", SYS_execve, { 0 } },
	{ "socket", SYS_socket, { 0 } },
	{ "clone", SYS_clone, { SIGCHLD } },
	{ "a handler", SYS_rt_sigaction, { SIGSYS } },
	{ "mprotect", SYS_mprotect, { 0, 0, PROT_EXEC } },
	{ "mmap for instructions", SYS_mmap, { 0, 4096, PROT_EXEC, MAP_PRIVATE, ~0UL } },
	{ "io_uring_setup", SYS_io_uring_setup, { 1 } },
	{ "a new machine", SYS_ioctl, { ~0UL, KVM_CREATE_VM } },
	{ "a signal to others", SYS_tgkill, { 1, 1 } },
};

/*
 * In the child: as its threads begin, others not yet being confined, then the attempt; its status
 * and words say how far it came.
 */
static void attempt_in_child(const struct setup *setup, unsigned kind,
			     const struct attempt *attempt, int error_fd)
{
	const unsigned long *a = attempt->arguments;

	dup2(error_fd, STDERR_FILENO);
	prctl(PR_SET_NAME, "offender");
	if (sandbox_confine(&setup->sandbox) || syscall_filter_install(filter_of(setup, kind)))
		_exit(2);
	/* All three allow it: a filter that refuses whatever comes does not pass for one of them. */
	if (syscall(SYS_getpid) <= 0)
		_exit(3);
	syscall(attempt->number, a[0], a[1], a[2], a[3], a[4], a[5]);
	syscall(SYS_write, STDERR_FILENO, THROUGH, strlen(THROUGH));
	/* exit_group() is not for all kinds, and a sanitizer may have a thread of its own: see below. */
	syscall(SYS_exit, 0);
}

/* As the first process of a new namespace, which no signal of its own ends. */
static void attempt_as_first(int error_fd)
{
	struct setup setup;
	int status;
	pid_t child;

	if (unshare(CLONE_NEWPID))
		_exit(77);
	child = fork();
	if (!child) {
		setup_begin(&setup, (char *[]){ NULL }); /* its lists know the process by its number */
		attempt_in_child(&setup, 0, &attempts[0], error_fd);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		_exit(2);
	_exit(!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS);
}

/* Its status as wait() has it; `text` gets what it said. */
static int attempt(const struct setup *setup, unsigned kind, const struct attempt *attempt,
		   char *text, size_t size)
{
	int pipe_fds[2], status;
	ssize_t length;
	pid_t child;

	assert_int_equal(pipe(pipe_fds), 0);
	child = fork();
	if (!child)
		attempt_in_child(setup, kind, attempt, pipe_fds[1]);
	assert_true(child > 0);
	close(pipe_fds[1]);
	length = read(pipe_fds[0], text, size - 1);
	text[length > 0 ? length : 0] = '\0';
	close(pipe_fds[0]);
	if (!strcmp(text, THROUGH))
		kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void test_the_first_process_ends_as_well(void **state)
{
	int pipe_fds[2], status;
	char text[256];
	ssize_t length;
	pid_t child;

	(void)state;
	if (!syscall_filter_is_supported())
		skip();
	assert_int_equal(pipe(pipe_fds), 0);
	child = fork();
	if (!child)
		attempt_as_first(pipe_fds[1]);
	assert_true(child > 0);
	close(pipe_fds[1]);
	length = read(pipe_fds[0], text, sizeof(text) - 1);
	text[length > 0 ? length : 0] = '\0';
	assert_int_equal(waitpid(child, &status, 0), child);
	close(pipe_fds[0]);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip(); /* only root can make such a namespace */
	assert_int_equal(status, 0);
	assert_non_null(strstr(text, "sandbox: offender: system call"));
}

static void test_each_kind_ends_by_its_filter(void **state)
{
	char text[256], wanted[64];
	struct setup setup;

	(void)state;
	if (!syscall_filter_is_supported())
		skip();
	setup_begin(&setup, (char *[]){ NULL });
	for (unsigned kind = 0; kind < ARRAY_SIZE(kind_names); kind++) {
		for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
			int status = attempt(&setup, kind, &attempts[i], text, sizeof(text));

			if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
				fail_msg("%s: %s: status %#x", kind_names[kind], attempts[i].name,
					 (unsigned)status);
			snprintf(wanted, sizeof(wanted), "sandbox: offender: system call %u is not",
				 attempts[i].number);
			assert_non_null(strstr(text, wanted));
		}
	}
	setup_end(&setup);
}

/* Whether a worker of such a machine may hand a ring to the kernel. */
static bool worker_may_use_vhost(char *const *words)
{
	static const struct attempt set_size = {
		"vhost", SYS_ioctl, { ~0UL, VHOST_SET_VRING_NUM },
	};
	struct setup setup;
	char text[256];
	int status;

	setup_begin(&setup, words);
	status = attempt(&setup, 1 /* worker */, &set_size, text, sizeof(text));
	setup_end(&setup);
	if (!strcmp(text, THROUGH))
		return true;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
	return false;
}

static void test_vhost_only_where_a_card_has_it(void **state)
{
	(void)state;
	if (!syscall_filter_is_supported())
		skip();
	assert_false(worker_may_use_vhost((char *[]){ NULL }));
	assert_false(worker_may_use_vhost((char *[]){ "-n", "tap", "--console-port",
						      "name=a,path=b", NULL }));
	assert_true(worker_may_use_vhost((char *[]){ "-n", "tap", "-n", "tap,vhost=on", NULL }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_other_call_gets_through),
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_the_first_process_ends_as_well),
		cmocka_unit_test(test_each_kind_ends_by_its_filter),
		cmocka_unit_test(test_vhost_only_where_a_card_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
