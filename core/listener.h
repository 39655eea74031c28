/* SPDX-License-Identifier: MIT */
/*
 * A socket that listens, watched by a worker: tells its owner when clients may
 * wait, and asks again for one that the host had no room for.
 */
#ifndef CORE_LISTENER_H
#define CORE_LISTENER_H

#include <stdbool.h>

#include "base/log.h"
#include "core/worker.h"

/* Embedded. The owner sets the first three, and `fd`: -1, or what it has opened non-blocking. */
struct listener {
	const char *name; /* for messages; outlives the listener */
	struct worker *worker;
	/* Worker thread: take them by listener_accept(), until there is none. */
	void (*ready)(struct listener *listener);
	int fd; /* the owner's, to close */

	struct fd_watch watch;
	struct worker_timer again;
	bool lacks; /* open files or memory, at the last try: `again` runs */
	struct log_limit log_limit;
};

/* Worker thread, once: ready() is called from now on. 0 or -errno, silent. */
int listener_start(struct listener *listener);

/* Worker thread: ready() is not called again. Nothing happens if it never began. */
void listener_stop(struct listener *listener);

/* Worker thread: the next client, its flags those of accept4(); or -1, logged unless none waits. */
int listener_accept(struct listener *listener, int flags);

#endif
