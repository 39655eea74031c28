/* SPDX-License-Identifier: MIT */
/*
 * The words of `ringvm run`: plain options from a table here, one option for
 * each device type from the type itself. Control thread.
 */
#ifndef MACHINE_OPTIONS_H
#define MACHINE_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include "machine/config.h"

/* argv[0] is the command's name. 0 or a failure, logged once. */
int machine_options_parse(struct machine_config *config, int argc, char **argv);

/* Which architecture alone has an option of this name, as its name is written; or NULL. */
const char *machine_options_architecture(const char *name, size_t length);

/* A screen of help; `topic` NULL: all options in short. False: no such topic. */
bool machine_options_help(FILE *out, const char *topic);

#endif
