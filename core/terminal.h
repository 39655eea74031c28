/* SPDX-License-Identifier: MIT */
/*
 * The user's terminal: stdin and stdout, whatever they are (tty, pipe, file,
 * nothing). A tty is set raw and put back on every way out of the process. The
 * escape key is found here: Ctrl-A x ends the machine, Ctrl-A Ctrl-A sends one
 * Ctrl-A. At most one per process.
 */
#ifndef CORE_TERMINAL_H
#define CORE_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/request.h"

struct terminal {
	int input_fd, output_fd; /* stdin, stdout, or -1; non-blocking is never set on them */
	bool escape_pending;     /* Ctrl-A was the last byte; the reading worker's thread */
	bool escapes;            /* stdin is a tty: the escape key counts */
	struct request_line *requests;
	/* Called on the control thread when the window changed; may be NULL. */
	void (*resized)(struct terminal *terminal, void *argument);
	void *resized_argument;
};

/* Does not touch the tty yet. */
void terminal_init(struct terminal *terminal, struct request_line *requests);

/*
 * Sets a tty raw and sees to it that exit(), fatal signals and SIGTSTP put it
 * back, and SIGCONT sets it raw again; at least one thread leaves those signals
 * unblocked, but for the ones that the machine takes itself. SIGTTIN and SIGTTOU
 * are ignored from here on. A process in the background leaves the tty alone
 * until it is brought to the foreground. Last thing before the first vCPU runs,
 * so that errors found before leave no trace. 0 or a failure, logged.
 */
int terminal_set_raw(struct terminal *terminal);

/* Puts the tty back; any thread, async-signal-safe, any number of times. */
void terminal_restore(void);

/*
 * Whether we are in the foreground and may read; if so, the tty is raw again.
 * For a reader that got EIO. The reading worker's thread.
 */
bool terminal_reclaim(const struct terminal *terminal);

/*
 * Takes escapes out of what was typed, in place: returns how many bytes are for
 * the guest and raises REQUEST_QUIT on Ctrl-A x. The reading worker's thread.
 */
size_t terminal_filter(struct terminal *terminal, char *bytes, size_t length);

/* Control thread, upon SIGWINCH. */
void terminal_window_changed(struct terminal *terminal);

/* The window's size; false if stdout is no tty or has none. Any thread. */
bool terminal_size(const struct terminal *terminal, uint16_t *columns, uint16_t *rows);

#endif
