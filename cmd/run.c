// SPDX-License-Identifier: MIT
/* ringvm run: words into a configuration, a configuration into a machine. */
#include <stdio.h>
#include <string.h>

#include "base/boot_trace.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "machine/machine.h"
#include "machine/options.h"

/* "--help" anywhere, or "--help=TOPIC". */
static const char *help_wanted(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help") ||
		    !strncmp(argv[i], "--help=", 7))
			return argv[i];
	return NULL;
}

static int help_show(const char *word)
{
	const char *topic = strchr(word, '=');

	if (machine_options_help(stdout, topic ? topic + 1 : NULL))
		return 0;
	fail(0, "help: nothing more on '%s'; see 'ringvm run --help'", topic + 1);
	return MACHINE_EXIT_USAGE;
}

int cmd_run(int argc, char **argv)
{
	const char *help = help_wanted(argc, argv);
	struct boot_trace trace;
	struct machine_config config;
	int error, status;

	boot_trace_begin(&trace);
	if (help)
		return help_show(help);
	error = machine_config_init(&config);
	if (error)
		return machine_exit_of(error);
	error = machine_options_parse(&config, argc, argv);
	if (!error)
		error = machine_config_complete(&config);
	if (config.trace_boot) {
		boot_trace_mark(&trace, BOOT_OPTIONS);
		config.trace = &trace;
	}
	if (error)
		status = fail_is_host(error) ? MACHINE_EXIT_HOST : MACHINE_EXIT_USAGE;
	else
		status = machine_run(&config);
	machine_config_destroy(&config);
	return status;
}
