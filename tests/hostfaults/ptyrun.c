// SPDX-License-Identifier: MIT
/*
 * ptyrun PIDFILE COMMAND...: runs a command on a terminal of its own, its output on ours, and then
 * says in a line whether the terminal is as it was: "terminal same" or "terminal changed". Exit
 * status: the command's, 128 + N for signal N. Meanwhile, on SIGUSR1: the line "terminal raw" or
 * "terminal cooked"; on SIGUSR2: sets it as it was, as a shell does that has taken it.
 */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

static volatile sig_atomic_t asked, taken;

static void heard(int number)
{
	if (number == SIGUSR1)
		asked = 1;
	else
		taken = 1;
}

static bool same(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_lflag == b->c_lflag &&
	       a->c_cflag == b->c_cflag && !memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc));
}

/* The slave is kept open: a terminal without one loses its modes. */
static void relay(int master, int slave, const struct termios *before)
{
	struct pollfd wait = { .fd = master, .events = POLLIN };
	struct termios now;
	char bytes[4096];
	ssize_t length;

	if (asked) {
		asked = 0;
		tcgetattr(slave, &now);
		printf("terminal %s\n", now.c_lflag & ICANON ? "cooked" : "raw");
		fflush(stdout);
	}
	if (taken) {
		taken = 0;
		tcsetattr(slave, TCSANOW, before);
	}
	if (poll(&wait, 1, 20) <= 0)
		return;
	length = read(master, bytes, sizeof(bytes));
	if (length > 0 && write(STDOUT_FILENO, bytes, (size_t)length) < 0)
		exit(1);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = heard };
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	struct termios before, after;
	int master, slave, status;
	FILE *file;
	pid_t pid;

	if (argc < 3 || openpty(&master, &slave, NULL, NULL, &size) || tcgetattr(slave, &before)) {
		perror("ptyrun");
		return 77;
	}
	pid = fork();
	if (!pid) {
		close(master);
		login_tty(slave);
		/* A script's background ignores SIGINT and SIGQUIT, nohup SIGHUP. */
		for (int i = 1; i <= SIGRTMAX; i++)
			signal(i, SIG_DFL);
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	file = fopen(argv[1], "w");
	if (!file || fprintf(file, "%d\n", pid) < 0 || fclose(file))
		return 77;
	while (!waitpid(pid, &status, WNOHANG))
		relay(master, slave, &before);
	relay(master, slave, &before);
	if (tcgetattr(slave, &after))
		return 77;
	printf("terminal %s\n", same(&before, &after) ? "same" : "changed");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
