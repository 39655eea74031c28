// SPDX-License-Identifier: MIT
/*
 * The terminal on a pty: every way out of a process leaves the modes that it
 * found. A child on the slave side is the process; the parent looks at the modes.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "core/syscall_filter.h"
#include "core/terminal.h"

#define TIMEOUT_MS 20000

static struct request_line requests;

static int open_pty(int *slave)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios modes;
	char name[64];

	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
	*slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(*slave >= 0);
	/* Modes of somebody's own, that no default is mistaken for. */
	assert_int_equal(tcgetattr(*slave, &modes), 0);
	modes.c_lflag &= ~(tcflag_t)ECHOKE;
	modes.c_cc[VERASE] = 'h' & 0x1f;
	modes.c_cc[VMIN] = 3;
	assert_int_equal(tcsetattr(*slave, TCSANOW, &modes), 0);
	return master;
}

/*
 * In the child: the slave on 0 and 1. It is not the child's controlling terminal:
 * the kernel resets the modes of one when its session's leader ends, and would
 * do what is to be tested. cmocka's handlers, and a sanitizer's, stay behind.
 */
static void take_terminal(int slave)
{
	for (int number = 1; number < SIGRTMIN; number++)
		signal(number, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* if the test fails and waits no more */
	if (dup2(slave, 0) < 0 || dup2(slave, 1) < 1)
		_exit(90);
}

static void say(const char *word)
{
	if (write(1, word, 1) != 1)
		_exit(91);
}

static char heard(int master)
{
	struct pollfd poll_fd = { .fd = master, .events = POLLIN };
	char byte = 0;

	assert_int_equal(poll(&poll_fd, 1, TIMEOUT_MS), 1);
	assert_int_equal(read(master, &byte, 1), 1);
	return byte;
}

/* What the way out is about: speed and control characters count as well. */
static bool same_modes(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
	       a->c_lflag == b->c_lflag && !memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc));
}

static bool is_raw(int fd)
{
	struct termios modes;

	assert_int_equal(tcgetattr(fd, &modes), 0);
	return !(modes.c_lflag & (ICANON | ECHO | ISIG));
}

static void wait_until(bool (*condition)(int fd), int fd, bool value)
{
	for (int i = 0; i < TIMEOUT_MS && condition(fd) != value; i++)
		usleep(1000);
	assert_int_equal(condition(fd), value);
}

typedef void way_out(struct terminal *terminal);

static void (*prepare)(void); /* in the child, before it sets the terminal raw */

struct outcome {
	struct termios before, after;
	int status;
};

static struct outcome run(way_out *leave, bool wait_raw, int number)
{
	struct outcome outcome;
	int slave, master = open_pty(&slave);
	struct terminal terminal;
	pid_t child;

	assert_int_equal(tcgetattr(slave, &outcome.before), 0);
	child = fork();
	if (!child) {
		take_terminal(slave);
		if (prepare)
			prepare();
		terminal_init(&terminal, &requests);
		if (terminal_set_raw(&terminal))
			_exit(92);
		say("r");
		leave(&terminal);
		_exit(93);
	}
	assert_int_equal(heard(master), 'r');
	if (wait_raw)
		assert_true(is_raw(slave));
	if (number)
		kill(child, number);
	assert_int_equal(waitpid(child, &outcome.status, 0), child);
	assert_int_equal(tcgetattr(slave, &outcome.after), 0);
	close(slave);
	close(master);
	return outcome;
}

static void leave_by_exit(struct terminal *terminal)
{
	(void)terminal;
	exit(7);
}

static void leave_by_abort(struct terminal *terminal)
{
	(void)terminal;
	abort();
}

static void wait_for_signal(struct terminal *terminal)
{
	(void)terminal;
	for (;;)
		pause();
}

static void leave_by_fault(struct terminal *terminal)
{
	volatile uintptr_t nowhere = 8;

	(void)terminal;
	*(volatile int *)nowhere = 1;
}

static void test_exit_puts_the_modes_back(void **state)
{
	struct outcome outcome = run(leave_by_exit, false, 0);

	(void)state;
	assert_true(same_modes(&outcome.before, &outcome.after));
	assert_true(WIFEXITED(outcome.status));
	assert_int_equal(WEXITSTATUS(outcome.status), 7);
}

static void test_abort_puts_the_modes_back(void **state)
{
	struct outcome outcome = run(leave_by_abort, false, 0);

	(void)state;
	assert_true(same_modes(&outcome.before, &outcome.after));
	assert_true(WIFSIGNALED(outcome.status));
	assert_int_equal(WTERMSIG(outcome.status), SIGABRT);
}

/* As a machine does before any of its threads is held to a list. */
static void handle_traps(void)
{
	if (syscall_filter_handle_traps())
		_exit(91);
}

static void test_every_fatal_signal_puts_the_modes_back(void **state)
{
	static const int numbers[] = {
		SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS,
	};

	(void)state;
	prepare = handle_traps;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		struct outcome outcome = run(wait_for_signal, true, numbers[i]);

		assert_true(same_modes(&outcome.before, &outcome.after));
		assert_true(WIFSIGNALED(outcome.status));
		assert_int_equal(WTERMSIG(outcome.status), numbers[i]);
	}
	prepare = NULL;
}

static void test_a_fault_puts_the_modes_back(void **state)
{
	struct outcome outcome = run(leave_by_fault, false, 0);

	(void)state;
	assert_true(same_modes(&outcome.before, &outcome.after));
	assert_true(WIFSIGNALED(outcome.status));
	assert_int_equal(WTERMSIG(outcome.status), SIGSEGV);
}

static void report(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	exit(info->si_addr == (void *)8 ? 8 : 9);
}

static void install_report(void)
{
	struct sigaction action = { .sa_sigaction = report, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &action, NULL);
}

/* A sanitizer's handler was there first: its report still gets the faulting address. */
static void test_an_earlier_handler_sees_the_fault(void **state)
{
	struct outcome outcome;

	(void)state;
	prepare = install_report;
	outcome = run(leave_by_fault, false, 0);
	prepare = NULL;
	assert_true(same_modes(&outcome.before, &outcome.after));
	assert_true(WIFEXITED(outcome.status));
	assert_int_equal(WEXITSTATUS(outcome.status), 8);
}

static volatile sig_atomic_t asked;

static void note_asked(int number)
{
	(void)number;
	asked = 1;
}

static void test_stop_puts_the_modes_back_and_continue_takes_them(void **state)
{
	int slave, master = open_pty(&slave), status;
	struct termios before, after;
	struct terminal terminal;
	pid_t child;

	(void)state;
	assert_int_equal(tcgetattr(slave, &before), 0);
	child = fork();
	if (!child) {
		take_terminal(slave);
		signal(SIGTERM, note_asked); /* the machine's own: it stays in charge */
		terminal_init(&terminal, &requests);
		if (terminal_set_raw(&terminal))
			_exit(92);
		say("r");
		while (!asked)
			usleep(1000);
		exit(0);
	}
	assert_int_equal(heard(master), 'r');
	assert_true(is_raw(slave));
	kill(child, SIGTSTP);
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(tcgetattr(slave, &after), 0);
	assert_true(same_modes(&before, &after));
	kill(child, SIGCONT);
	wait_until(is_raw, slave, true);

	/* Stopped without being asked, and somebody else set the modes meanwhile. */
	kill(child, SIGSTOP);
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	assert_int_equal(tcsetattr(slave, TCSANOW, &before), 0);
	kill(child, SIGCONT);
	wait_until(is_raw, slave, true);

	kill(child, SIGTERM);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(tcgetattr(slave, &after), 0);
	assert_true(same_modes(&before, &after));
	close(slave);
	close(master);
}

/* Somebody types while we leave: the reader's last look must not set it raw again. */
static void filter_after_restore(struct terminal *terminal)
{
	char byte = 'x';

	terminal_restore();
	terminal_filter(terminal, &byte, 1);
	terminal_reclaim(terminal);
	_exit(0);
}

static void test_a_terminal_given_back_is_not_taken_again(void **state)
{
	struct outcome outcome = run(filter_after_restore, false, 0);

	(void)state;
	assert_int_equal(outcome.status, 0);
	assert_true(same_modes(&outcome.before, &outcome.after));
}

/* The leader stays in front; its child, in a group of its own, is in the background. */
static void background_child(int slave, int to_leader, int from_leader)
{
	struct terminal terminal;
	char byte;

	setpgid(0, 0);
	close(slave);
	terminal_init(&terminal, &requests);
	/* Neither stops us nor touches the modes. */
	if (terminal_set_raw(&terminal) || is_raw(0) || terminal_reclaim(&terminal))
		_exit(94);
	terminal_restore();
	if (write(to_leader, "b", 1) != 1 || read(from_leader, &byte, 1) != 1)
		_exit(95);
	/* Now we are in front, and nobody sent SIGCONT: the reader asks. */
	if (!terminal_reclaim(&terminal) || !is_raw(0))
		_exit(96);
	exit(0);
}

static void leader(int slave)
{
	int to_leader[2], from_leader[2], status = 0;
	struct termios before, after;
	pid_t child;
	char byte;

	take_terminal(slave);
	if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) < 0 || tcgetattr(slave, &before))
		_exit(90);
	signal(SIGTTOU, SIG_IGN);
	if (pipe(to_leader) || pipe(from_leader))
		_exit(97);
	child = fork();
	if (!child) {
		signal(SIGTTOU, SIG_DFL);
		background_child(slave, to_leader[1], from_leader[0]);
	}
	setpgid(child, child);
	if (read(to_leader[0], &byte, 1) != 1 || tcsetpgrp(0, child) < 0 ||
	    write(from_leader[1], "f", 1) != 1)
		_exit(98);
	waitpid(child, &status, 0);
	if (tcgetattr(slave, &after) || !same_modes(&before, &after))
		_exit(89);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
}

static void test_background_leaves_the_terminal_alone(void **state)
{
	int slave, master = open_pty(&slave), status;
	pid_t child;

	(void)state;
	child = fork();
	if (!child)
		leader(slave);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(slave);
	close(master);
}

static void test_input_that_is_no_tty_is_left_alone(void **state)
{
	pid_t child = fork();
	int status, pipes[2];

	(void)state;
	if (!child) {
		struct terminal terminal;
		char bytes[] = { 1, 'x', 1, 1 };

		if (pipe(pipes) || dup2(pipes[0], 0) < 0)
			_exit(1);
		terminal_init(&terminal, &requests);
		if (terminal.escapes || terminal_set_raw(&terminal) ||
		    !terminal_reclaim(&terminal))
			_exit(2);
		if (terminal_filter(&terminal, bytes, sizeof(bytes)) != sizeof(bytes))
			_exit(3);
		close(0);
		close(1);
		terminal_init(&terminal, &requests);
		if (terminal.input_fd != -1 || terminal.output_fd != -1 || terminal.escapes)
			_exit(4);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static struct terminal typing(void)
{
	return (struct terminal){ .escapes = true, .requests = &requests };
}

static void assert_filtered(struct terminal *terminal, const char *typed, const char *expected)
{
	char bytes[64];
	size_t length = strlen(typed);

	memcpy(bytes, typed, length);
	length = terminal_filter(terminal, bytes, length);
	assert_int_equal(length, strlen(expected));
	assert_memory_equal(bytes, expected, length);
}

static void test_escapes(void **state)
{
	struct terminal terminal = typing();

	(void)state;
	assert_int_equal(request_line_init(&requests), 0);
	assert_filtered(&terminal, "plain x", "plain x");
	assert_filtered(&terminal, "a\1\1b", "a\1b");
	assert_filtered(&terminal, "\1\1x", "\1x");
	assert_filtered(&terminal, "\1y", "y");
	assert_filtered(&terminal, "\1\1\1\1", "\1\1");
	assert_int_equal(request_take(&requests), REQUEST_NONE);
	assert_filtered(&terminal, "\1xab", "ab");
	assert_int_equal(request_take(&requests), REQUEST_QUIT);
	/* Typed slowly, the two keys come in two reads. */
	assert_filtered(&terminal, "ab\1", "ab");
	assert_filtered(&terminal, "xcd", "cd");
	assert_int_equal(request_take(&requests), REQUEST_QUIT);
	request_line_destroy(&requests);
}

static void note_resize(struct terminal *terminal, void *argument)
{
	assert_true(terminal_size(terminal, (uint16_t *)argument, (uint16_t *)argument + 1));
}

static void test_window(void **state)
{
	int slave, master = open_pty(&slave);
	struct winsize window = { .ws_col = 132, .ws_row = 43 };
	uint16_t size[2] = { 0, 0 };
	struct terminal terminal = { .output_fd = slave };

	(void)state;
	assert_false(terminal_size(&terminal, &size[0], &size[1])); /* a new pty has none */
	assert_int_equal(ioctl(master, TIOCSWINSZ, &window), 0);
	terminal_window_changed(&terminal); /* nobody listens */
	terminal.resized = note_resize;
	terminal.resized_argument = size;
	terminal_window_changed(&terminal);
	assert_int_equal(size[0], 132);
	assert_int_equal(size[1], 43);
	terminal.output_fd = -1;
	assert_false(terminal_size(&terminal, &size[0], &size[1]));
	terminal.output_fd = event_fd_create();
	assert_false(terminal_size(&terminal, &size[0], &size[1]));
	fd_close(&terminal.output_fd);
	close(slave);
	close(master);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exit_puts_the_modes_back),
		cmocka_unit_test(test_abort_puts_the_modes_back),
		cmocka_unit_test(test_every_fatal_signal_puts_the_modes_back),
		cmocka_unit_test(test_a_fault_puts_the_modes_back),
		cmocka_unit_test(test_an_earlier_handler_sees_the_fault),
		cmocka_unit_test(test_stop_puts_the_modes_back_and_continue_takes_them),
		cmocka_unit_test(test_a_terminal_given_back_is_not_taken_again),
		cmocka_unit_test(test_background_leaves_the_terminal_alone),
		cmocka_unit_test(test_input_that_is_no_tty_is_left_alone),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
