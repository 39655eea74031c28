// SPDX-License-Identifier: MIT
/* ringvm list: the running machines of this user, one a line. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cmd/client.h"
#include "cmd/cmd.h"
#include "machine/control.h"
#include "machine/instance.h"
#include "machine/machine.h"

static void list_visit(const char *name, pid_t pid, void *argument)
{
	char reply[CONTROL_LINE_BYTES] = "";
	const char *state = "not answering";
	int error;

	(void)argument;
	error = control_call(name, pid, "status", reply, sizeof(reply));
	if (error == -ESRCH)
		return;
	if (!error && !strncmp(reply, "ok ", 3))
		state = reply + 3;
	printf("%7d  %-8s  %s\n", (int)pid, state, name);
}

int cmd_list(int argc, char **argv)
{
	struct client_options options;
	int error;

	if (client_options_parse(&options, argc, argv))
		return MACHINE_EXIT_USAGE;
	if (options.help) {
		puts("usage: ringvm list\n\nShows pid, state and name of this user's machines.");
		return 0;
	}
	if (options.name[0]) {
		fail(0, "list: takes no name; leave out '%s'", options.name);
		return MACHINE_EXIT_USAGE;
	}
	if (options.all || options.force) {
		fail(0, "list: takes no options but --help");
		return MACHINE_EXIT_USAGE;
	}
	printf("%7s  %-8s  %s\n", "PID", "STATE", "NAME");
	error = instance_list(list_visit, NULL);
	return error ? machine_exit_of(instance_fail(error)) : 0;
}
