// SPDX-License-Identifier: MIT
/* Which system calls a machine's threads get follows from what it is made of. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <linux/vhost.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/build.h"
#include "machine/options.h"
#include "machine/sandbox.h"

#define ARGUMENTS_MAX 8

/* Whether a worker of `ringvm run --nodefaults WORD...` may hand a ring to the kernel. */
static bool worker_may_use_vhost(char *const *words)
{
	char *argv[ARGUMENTS_MAX + 1] = { "run", "--nodefaults" };
	struct machine_config config;
	struct sandbox sandbox;
	int argc = 2, status;
	pid_t child;

	while (*words && argc < ARGUMENTS_MAX)
		argv[argc++] = *words++;
	assert_int_equal(machine_config_init(&config), 0);
	assert_int_equal(machine_options_parse(&config, argc, argv), 0);
	assert_int_equal(sandbox_create(&sandbox, &config), 0);
	child = fork();
	if (!child) {
		signal(SIGSYS, SIG_DFL);
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		    syscall_filter_install(sandbox_worker_filter(&sandbox)))
			_exit(2);
		_exit(ioctl(-1, VHOST_SET_VRING_NUM, NULL) < 0 && errno == EBADF ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	sandbox_destroy(&sandbox);
	machine_config_destroy(&config);
	if (WIFSIGNALED(status))
		assert_int_equal(WTERMSIG(status), SIGSYS);
	else
		assert_int_equal(WEXITSTATUS(status), 0);
	return WIFEXITED(status);
}

static void test_vhost_only_where_a_card_has_it(void **state)
{
	(void)state;
	if (build_is_instrumented() || !syscall_filter_is_supported())
		skip();
	assert_false(worker_may_use_vhost((char *[]){ NULL }));
	assert_false(worker_may_use_vhost((char *[]){ "-n", "tap", "--console-port",
						      "name=a,path=b", NULL }));
	assert_true(worker_may_use_vhost((char *[]){ "-n", "tap", "-n", "tap,vhost=on", NULL }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vhost_only_where_a_card_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
