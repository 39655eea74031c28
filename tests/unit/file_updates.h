/* SPDX-License-Identifier: MIT */
/*
 * Counts the changes of the file tables of all rings, for the tests that nothing a
 * guest can repeat makes one (core/worker.c says what each costs the host). The
 * program's line in Makefile.inc has UNIT_FILE_UPDATES among its linker's flags.
 */
#ifndef TESTS_UNIT_FILE_UPDATES_H
#define TESTS_UNIT_FILE_UPDATES_H

/* So far, of any thread. */
unsigned file_updates(void);

/* How often a test repeats what must not make any. */
unsigned file_updates_rounds(void);

#endif
