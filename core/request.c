// SPDX-License-Identifier: MIT
/* One slot for what the control thread shall do next, and an eventfd to wake it. */
#include "core/request.h"

#include <stdbool.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"

int request_line_init(struct request_line *line)
{
	line->request = REQUEST_NONE;
	line->event_fd = event_fd_create();
	if (line->event_fd < 0)
		return fail_host(-line->event_fd, "machine: eventfd: %s; raise the limit of open "
				 "files (ulimit -n)", strerror(-line->event_fd));
	return 0;
}

void request_line_destroy(struct request_line *line)
{
	fd_close(&line->event_fd);
}

static bool is_guests(int request)
{
	return request != REQUEST_QUIT && request != REQUEST_FAIL;
}

/* Whether `request` takes the place of what is there. */
static bool prevails(enum request request, int over)
{
	return over == REQUEST_NONE || (over == REQUEST_RESET && !is_guests(request));
}

/* Puts `next` in the place of `seen`; false, and `seen` is up to date, if it isn't there. */
static bool replace(struct request_line *line, int *seen, enum request next)
{
	return __atomic_compare_exchange_n(&line->request, seen, (int)next, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

void request_raise(struct request_line *line, enum request request)
{
	int seen = REQUEST_NONE;

	while (prevails(request, seen) && !replace(line, &seen, request))
		;
	event_fd_signal(line->event_fd);
}

void request_forget_guests(struct request_line *line)
{
	int seen = REQUEST_NONE;

	while (is_guests(seen) && !replace(line, &seen, REQUEST_NONE))
		;
}

enum request request_take(struct request_line *line)
{
	/* First the eventfd: a request raised after the exchange signals it anew. */
	event_fd_drain(line->event_fd);
	return (enum request)__atomic_exchange_n(&line->request, REQUEST_NONE, __ATOMIC_ACQ_REL);
}
