/* SPDX-License-Identifier: MIT */
/* What the commands that talk to running machines share. */
#ifndef CMD_CLIENT_H
#define CMD_CLIENT_H

#include <stdbool.h>

#include "machine/config.h"

struct client_options {
	bool all, force, help;
	char name[MACHINE_NAME_MAX + 1]; /* "": none given */
};

/* -n/--name NAME or a bare word, -a/--all, -f/--force, -h/--help. 0 or -EINVAL, logged. */
int client_options_parse(struct client_options *options, int argc, char **argv);

#endif
