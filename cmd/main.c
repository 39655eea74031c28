// SPDX-License-Identifier: MIT
/* The words after "ringvm": one table of commands. Control thread. */
#include <stdio.h>
#include <string.h>

#include "config.h"

int main(int argc, char **argv)
{
	if (argc == 2 && (!strcmp(argv[1], "version") || !strcmp(argv[1], "--version"))) {
		puts(PACKAGE_STRING);
		return 0;
	}
	fprintf(stderr, "usage: ringvm version\n");
	return 1;
}
