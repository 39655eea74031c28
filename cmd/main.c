// SPDX-License-Identifier: MIT
/*
 * The words after "ringvm": a table of commands. Each command is one file, gets
 * its own argc and argv, and returns the exit status.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "config.h"
#include "machine/machine.h"

static int cmd_help(int argc, char **argv);

static int cmd_version(int argc, char **argv)
{
	if (argc > 1) {
		fail(0, "version: takes no more words; leave out '%s'", argv[1]);
		return MACHINE_EXIT_USAGE;
	}
	puts(PACKAGE_STRING);
	return 0;
}

static const struct {
	const char *name;
	int (*function)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "run", cmd_run, "start a guest" },
	{ "stop", cmd_stop, "press a guest's power button, or cut its power" },
	{ "list", cmd_list, "show the guests that are running" },
	{ "version", cmd_version, "show the version" },
	{ "help", cmd_help, "show this, or more on a command: ringvm help run [TOPIC]" },
};

static void usage(FILE *out)
{
	fprintf(out, "usage: ringvm COMMAND [options]\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-9s%s\n", commands[i].name, commands[i].help);
	fprintf(out, "\nTry: ringvm run -k KERNEL -d disk.img -n tap\n");
}

static int command_run(const char *name, int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			return commands[i].function(argc, argv);
	fail(0, "'%s' is no command; see 'ringvm help'", name);
	return MACHINE_EXIT_USAGE;
}

/* "help run disk" is "run --help=disk". */
static int cmd_help(int argc, char **argv)
{
	char topic[64] = "--help";
	char *words[] = { NULL, topic, NULL };
	bool all = argc < 2 || !strcmp(argv[1], "help") || !strcmp(argv[1], "version");
	int most = !all && !strcmp(argv[1], "run") ? 3 : 2;

	if (argc > most) {
		fail(0, "help: takes a command, and a topic of run; leave out '%s'", argv[most]);
		return MACHINE_EXIT_USAGE;
	}
	if (all) {
		usage(stdout);
		return 0;
	}
	if (argc > 2)
		snprintf(topic, sizeof(topic), "--help=%s", argv[2]);
	words[0] = argv[1];
	return command_run(argv[1], 2, words);
}

/* What was printed may still be in memory; who reads it shall know that it is not all. */
static int output_end(int status)
{
	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	fail_host(errno, "standard output: %s; make room, or send it elsewhere",
		  errno ? strerror(errno) : "not all could be written");
	return status ? status : MACHINE_EXIT_HOST;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;

	if (fd_open_standard())
		return MACHINE_EXIT_HOST; /* and nowhere to say why */
	if (!name) {
		usage(stderr);
		return MACHINE_EXIT_USAGE;
	}
	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	else if (!strcmp(name, "--version"))
		name = "version";
	return output_end(command_run(name, argc - 1, argv + 1));
}
