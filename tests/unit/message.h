/* SPDX-License-Identifier: MIT */
/* For tests of refusals: the one line that a refusal prints. */
#ifndef TESTS_UNIT_MESSAGE_H
#define TESTS_UNIT_MESSAGE_H

#include <stdbool.h>

/* Stderr goes to a file from begin to end; end says whether it is one line with `text` in it. */
void message_begin(void);
bool message_end(const char *text);

#endif
