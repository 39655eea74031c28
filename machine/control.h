/* SPDX-License-Identifier: MIT */
/*
 * A running machine's control socket: one request line in, one reply line out,
 * then the connection ends. It holds the machine's name for as long as it
 * lives, which is until everything else of the machine is gone. Server side on
 * the control thread.
 */
#ifndef MACHINE_CONTROL_H
#define MACHINE_CONTROL_H

#include <stddef.h>

#include "core/worker.h"

#define CONTROL_LINE_BYTES 256

struct control;

/* Answers one request line (without its newline) in `reply`. Control thread. */
struct control_handler {
	void (*handle)(struct control_handler *handler, const char *request, char *reply,
		       size_t size);
};

/*
 * Takes the name and listens. Fails, logged, when the name is in use; where the
 * runtime directory can't be had, warns and sets *control to NULL: the machine
 * runs without. The worker does not run yet.
 */
int control_create(struct control **control, const char *name, struct worker *worker,
		   struct control_handler *handler);
/*
 * Before the worker is destroyed; it does not run, it may run again, and hears no
 * client then. Who connects from now on waits, and is told the end by
 * control_destroy(). NULL is fine.
 */
void control_close(struct control *control);
/* After control_close() and when the rest has gone: socket and name go. NULL is fine. */
void control_destroy(struct control *control);

/*
 * For client commands: sends one line to the machine that has, or had, this name and
 * pid, and reads one. 0; -ESRCH, silent, when it has ended meanwhile; or a failure,
 * logged, of one that has the name still.
 */
int control_call(const char *name, pid_t pid, const char *request, char *reply, size_t size);

#endif
