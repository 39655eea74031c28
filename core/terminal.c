// SPDX-License-Identifier: MIT
/*
 * The tty's modes and the escape key. Modes belong to the process, and signal
 * handlers must reach them: hence the one variable of this file. Reading and
 * writing the terminal is core/stream.c's.
 */
#include "core/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"

#define ESCAPE_KEY ('a' & 0x1f)
#define QUIT_KEY 'x'

/*
 * What ends us at once: other signals are the machine's to read. A fault is raised
 * again by the instruction itself once its handler returns; it keeps its cause for
 * whoever handled it before us, such as a sanitizer. SIGSYS is syscall_filter.c's,
 * which puts the terminal back too.
 */
static const struct fatal_signal {
	int number;
	bool fault;
} fatal_signals[] = {
	{ SIGSEGV, true },  { SIGBUS, true },	{ SIGILL, true },  { SIGFPE, true },
	{ SIGABRT, false }, { SIGTRAP, false }, { SIGQUIT, false },
};

enum tty_modes { TTY_UNKNOWN, TTY_ASKING, TTY_KNOWN };

static struct {
	_Atomic int fd; /* -1: no tty, or not yet; a reader may be running when it is set */
	bool installed;
	_Atomic bool is_raw; /* we have set it so, and have not been in the background since */
	_Atomic bool given_back; /* we are leaving, or stopped: a reader must not take it again */
	_Atomic int modes; /* enum tty_modes: whether these two can be used */
	struct termios cooked, raw; /* as found when first in the foreground, and ours */
	struct sigaction before[ARRAY_SIZE(fatal_signals)];
} tty = { .fd = -1 };

/* 0 or -errno; errno itself is whoever's a signal has interrupted. */
static int tty_set(const struct termios *modes)
{
	int saved = errno, error;

	/* At once: waiting for output to drain would hang on a stopped terminal. */
	do
		error = tcsetattr(tty.fd, TCSANOW, modes) < 0 ? -errno : 0;
	while (error == -EINTR);
	errno = saved;
	return error;
}

/*
 * The shell, or whatever is in front of us, has modes of its own. Where the tty
 * controls another session, or the group in front can't be named (another pid
 * namespace), there is no job control to respect.
 */
static bool tty_is_ours(void)
{
	int saved = errno;
	pid_t group = tcgetpgrp(tty.fd);

	errno = saved;
	return group <= 0 || group == getpgid(0);
}

void terminal_restore(void)
{
	if (tty.modes != TTY_KNOWN || !tty_is_ours())
		return;
	tty.given_back = true;
	tty_set(&tty.cooked);
	tty.is_raw = false;
}

/* Modes seen from the background would be the shell's line editor's. */
static int tty_learn_modes(void)
{
	int expected = TTY_UNKNOWN, error;

	if (!atomic_compare_exchange_strong(&tty.modes, &expected, TTY_ASKING))
		return 0;
	if (tcgetattr(tty.fd, &tty.cooked) < 0) {
		error = -errno;
		tty.modes = TTY_UNKNOWN;
		return error;
	}
	tty.raw = tty.cooked;
	cfmakeraw(&tty.raw);
	tty.raw.c_cc[VMIN] = 1;
	tty.raw.c_cc[VTIME] = 0;
	tty.modes = TTY_KNOWN;
	return 0;
}

/* -EAGAIN: not ours now. 0 also if somebody else is learning its modes. */
static int tty_reclaim(void)
{
	int error;

	if (tty.fd < 0)
		return 0;
	tty.is_raw = false;
	if (!tty_is_ours())
		return -EAGAIN;
	error = tty_learn_modes();
	if (!error && tty.modes == TTY_KNOWN && !tty.given_back) {
		error = tty_set(&tty.raw);
		tty.is_raw = !error;
	}
	return error;
}

bool terminal_reclaim(const struct terminal *terminal)
{
	return !terminal->escapes || tty_reclaim() != -EAGAIN;
}

/* What an ignored fault does is what one of the default action does. */
static bool is_handler(const struct sigaction *action)
{
	return action->sa_flags & SA_SIGINFO ||
	       (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN);
}

static void die_restored(int number, siginfo_t *info, void *context)
{
	size_t i = 0;

	(void)context;
	while (fatal_signals[i].number != number)
		i++;
	terminal_restore();
	if (is_handler(&tty.before[i]))
		sigaction(number, &tty.before[i], NULL);
	if (!fatal_signals[i].fault || info->si_code <= 0) /* sent by somebody */
		raise(number);
}

static void stop_restored(int number)
{
	(void)number;
	terminal_restore();
	raise(SIGSTOP);
}

static void continue_raw(int number)
{
	(void)number;
	tty.given_back = false;
	tty_reclaim();
}

/*
 * The default comes back by itself, since the sandbox lets no thread set a handler;
 * one that was there before is a sanitizer's or a debugger's, which have no sandbox.
 */
static void fatal_install(const struct fatal_signal *signal, struct sigaction *before)
{
	struct sigaction fatal = { .sa_sigaction = die_restored,
				   .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigaction(signal->number, NULL, before);
	if (!signal->fault && before->sa_handler == SIG_IGN)
		return;
	if (!is_handler(before))
		fatal.sa_flags |= (int)SA_RESETHAND;
	sigaction(signal->number, &fatal, NULL);
}

static void handlers_install(void)
{
	struct sigaction stop = { .sa_handler = stop_restored, .sa_flags = SA_RESTART };
	struct sigaction resume = { .sa_handler = continue_raw, .sa_flags = SA_RESTART };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	for (size_t i = 0; i < ARRAY_SIZE(fatal_signals); i++)
		fatal_install(&fatal_signals[i], &tty.before[i]);
	sigaction(SIGTSTP, &stop, NULL);
	sigaction(SIGCONT, &resume, NULL);
	/* Without these a read or a change of modes from the background stops us. */
	sigaction(SIGTTIN, &ignore, NULL);
	sigaction(SIGTTOU, &ignore, NULL);
}

int terminal_set_raw(struct terminal *terminal)
{
	int error;

	if (!terminal->escapes)
		return 0;
	if (!tty.installed) {
		if (atexit(terminal_restore))
			return fail_host(ENOMEM, "terminal: out of memory");
		handlers_install();
		tty.installed = true;
	}
	tty.given_back = false;
	/* Only now: whoever makes it raw from here on, it will be put back. */
	tty.fd = terminal->input_fd;
	error = tty_reclaim();
	if (error && error != -EAGAIN)
		return fail_host(-error, "terminal: its modes: %s; give the run another input "
				 "(</dev/null)", strerror(-error));
	return 0;
}

static int open_or_none(int fd)
{
	return fcntl(fd, F_GETFD) < 0 ? -1 : fd;
}

void terminal_init(struct terminal *terminal, struct request_line *requests)
{
	*terminal = (struct terminal){
		.input_fd = open_or_none(STDIN_FILENO),
		.output_fd = open_or_none(STDOUT_FILENO),
		.escapes = isatty(STDIN_FILENO),
		.requests = requests,
	};
}

size_t terminal_filter(struct terminal *terminal, char *bytes, size_t length)
{
	size_t kept = 0;

	if (!terminal->escapes)
		return length;
	/* Typed to us: a shell may bring us to the foreground without a word. */
	if (!tty.is_raw)
		tty_reclaim();
	for (size_t i = 0; i < length; i++) {
		bool escaped = terminal->escape_pending;

		terminal->escape_pending = !escaped && bytes[i] == ESCAPE_KEY;
		if (terminal->escape_pending)
			continue;
		if (escaped && bytes[i] == QUIT_KEY)
			request_raise(terminal->requests, REQUEST_QUIT);
		else
			bytes[kept++] = bytes[i];
	}
	return kept;
}

void terminal_window_changed(struct terminal *terminal)
{
	if (terminal->resized)
		terminal->resized(terminal, terminal->resized_argument);
}

bool terminal_size(const struct terminal *terminal, uint16_t *columns, uint16_t *rows)
{
	struct winsize size;

	if (terminal->output_fd < 0 || ioctl(terminal->output_fd, TIOCGWINSZ, &size) < 0)
		return false;
	*columns = size.ws_col;
	*rows = size.ws_row;
	return size.ws_col && size.ws_row;
}
