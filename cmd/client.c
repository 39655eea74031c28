// SPDX-License-Identifier: MIT
/* The words of the commands that talk to running machines. */
#include "cmd/client.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/option.h"

static int name_take(struct client_options *options, const char *command, const char *name)
{
	if (options->name[0])
		return fail(EINVAL, "%s: two names given, %s and %s; name one", command,
			    options->name, name);
	if (!name[0] || strlen(name) > MACHINE_NAME_MAX || strchr(name, '/'))
		return fail(EINVAL, "%s: '%s' is no machine's name; see 'ringvm list'", command,
			    name);
	strcpy(options->name, name);
	return 0;
}

int client_options_parse(struct client_options *options, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "name", required_argument, NULL, 'n' }, { "all", no_argument, NULL, 'a' },
		{ "force", no_argument, NULL, 'f' },	  { "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int value, error = 0, word = 1;

	*options = (struct client_options){ 0 };
	opterr = 0;
	optind = 0; /* begins anew, in the middle of a word as well */
	while (!error && (value = getopt_long(argc, argv, "-:n:afh", longs, NULL)) != -1) {
		if (value == 'n' || value == 1)
			error = name_take(options, argv[0], optarg);
		else if (value == 'a')
			options->all = true;
		else if (value == 'f')
			options->force = true;
		else if (value == 'h')
			options->help = true;
		else
			error = option_refuse(argv[0], argv[word], value, longs);
		word = optind;
	}
	while (!error && optind < argc) /* behind "--" */
		error = name_take(options, argv[0], argv[optind++]);
	return error;
}
