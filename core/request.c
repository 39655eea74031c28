// SPDX-License-Identifier: MIT
/* One slot for what the control thread shall do next, and an eventfd to wake it. */
#include "core/request.h"

#include <string.h>

#include "base/fd.h"
#include "base/log.h"

int request_line_init(struct request_line *line)
{
	line->request = REQUEST_NONE;
	line->event_fd = event_fd_create();
	if (line->event_fd < 0)
		return fail_host(-line->event_fd, "machine: eventfd: %s",
				 strerror(-line->event_fd));
	return 0;
}

void request_line_destroy(struct request_line *line)
{
	fd_close(&line->event_fd);
}

void request_raise(struct request_line *line, enum request request)
{
	int none = REQUEST_NONE;

	__atomic_compare_exchange_n(&line->request, &none, (int)request, false,
				    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	event_fd_signal(line->event_fd);
}

enum request request_take(struct request_line *line)
{
	/* First the eventfd: a request raised after the exchange signals it anew. */
	event_fd_drain(line->event_fd);
	return (enum request)__atomic_exchange_n(&line->request, REQUEST_NONE, __ATOMIC_ACQ_REL);
}
