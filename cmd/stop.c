// SPDX-License-Identifier: MIT
/* ringvm stop: asks running machines to end, and waits until they have. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "cmd/client.h"
#include "cmd/cmd.h"
#include "machine/control.h"
#include "machine/instance.h"
#include "machine/machine.h"

#define POLL_NS 20000000 /* 20 ms */
#define GRACE_S 5	 /* beyond the machine's own time limit */

static const char help[] =
	"usage: ringvm stop [--force] NAME | --all\n\n"
	"Presses the guest's power button and waits until it has turned itself off; the\n"
	"machine cuts its power after the time that 'ringvm run --stop-timeout' gave.\n\n"
	"  -n, --name NAME   the machine; also a bare word\n"
	"  -a, --all         all of this user's machines\n"
	"  -f, --force       cut the power at once\n";

/* The name goes last: when it is free, the machine has ended. An exit status. */
static int wait_gone(const char *name, pid_t pid, unsigned timeout_s)
{
	pid_t holder;

	for (uint64_t waited_ns = 0; (holder = instance_pid(name)) == pid; waited_ns += POLL_NS) {
		if (waited_ns > timeout_s * UINT64_C(1000000000)) {
			fail(0, "stop: %s (pid %d) has not ended; try 'ringvm stop --force --name "
			     "%s'", name, (int)pid, name);
			return MACHINE_EXIT_CONFIG;
		}
		nanosleep(&(struct timespec){ .tv_nsec = POLL_NS }, NULL);
	}
	return holder < 0 ? machine_exit_of(instance_fail(holder)) : 0;
}

static int stop_one(const char *name, pid_t pid, bool force)
{
	char reply[CONTROL_LINE_BYTES];
	unsigned timeout_s = 0;
	int error = control_call(name, pid, force ? "kill" : "stop", reply, sizeof(reply));

	if (error == -ESRCH)
		return 0; /* by itself */
	if (error)
		return machine_exit_of(error);
	if (strncmp(reply, "ok", 2)) {
		fail(0, "stop: %s: it answers '%s'", name, reply);
		return MACHINE_EXIT_CONFIG;
	}
	sscanf(reply, "ok %u", &timeout_s);
	return wait_gone(name, pid, timeout_s + GRACE_S);
}

static int stop_named(const char *name, bool force)
{
	pid_t pid = instance_pid(name);

	if (pid < 0)
		return machine_exit_of(instance_fail(pid));
	if (pid)
		return stop_one(name, pid, force);
	fail(0, "name '%s': no such machine is running; see 'ringvm list'", name);
	return MACHINE_EXIT_CONFIG;
}

struct stop_all {
	bool force;
	int status;
};

static void stop_visit(const char *name, pid_t pid, void *argument)
{
	struct stop_all *all = argument;
	int status = stop_one(name, pid, all->force);

	if (status)
		all->status = status;
}

int cmd_stop(int argc, char **argv)
{
	struct client_options options;
	struct stop_all all = { 0 };
	int error;

	if (client_options_parse(&options, argc, argv))
		return MACHINE_EXIT_USAGE;
	if (options.help) {
		fputs(help, stdout);
		return 0;
	}
	if (options.all == !!options.name[0]) {
		fail(0, "stop: name one machine or say --all; see 'ringvm list'");
		return MACHINE_EXIT_USAGE;
	}
	if (!options.all)
		return stop_named(options.name, options.force);
	all.force = options.force;
	error = instance_list(stop_visit, &all);
	return error ? machine_exit_of(instance_fail(error)) : all.status;
}
