// SPDX-License-Identifier: MIT
/*
 * The link of mode=none: a socket without a cable. It takes every frame, gives
 * none, and ends each wait only when it is cancelled. Any worker.
 */
#include "net/link_none.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/log.h"

struct link_none {
	struct link link;
	struct link_queue queues[LINK_QUEUES_MAX];
};

static void none_destroy(struct link *link)
{
	free(container_of(link, struct link_none, link));
}

static int none_set_offloads(struct link *link, unsigned offloads)
{
	(void)link;
	(void)offloads;
	return 0;
}

static int none_set_active(struct link_queue *queue, bool active)
{
	(void)queue;
	(void)active;
	return 0;
}

static int none_start(struct link_queue *queue, struct worker *worker)
{
	(void)queue;
	(void)worker;
	return 0;
}

static void none_stop(struct link_queue *queue)
{
	(void)queue;
}

static void none_send(struct link_queue *queue, struct link_io *io)
{
	int bytes = 0;

	(void)queue;
	for (unsigned i = 0; i < io->iov_count; i++)
		bytes += (int)io->iov[i].iov_len;
	io->done(io, bytes);
}

static void none_receive(struct link_queue *queue, struct link_io *io)
{
	(void)queue;
	io->done(io, -EAGAIN);
}

static void none_wait(struct link_queue *queue, struct link_wait *wait, enum link_event event)
{
	(void)queue;
	(void)wait;
	(void)event;
}

static void none_cancel_io(struct link_queue *queue, struct link_io *io)
{
	(void)queue;
	(void)io;
}

static void none_cancel_wait(struct link_queue *queue, struct link_wait *wait)
{
	(void)queue;
	wait->ready(wait, -ECANCELED);
}

static const struct link_ops none_ops = {
	.destroy = none_destroy,
	.set_offloads = none_set_offloads,
	.set_active = none_set_active,
	.start = none_start,
	.stop = none_stop,
	.send = none_send,
	.receive = none_receive,
	.wait = none_wait,
	.cancel_io = none_cancel_io,
	.cancel_wait = none_cancel_wait,
};

int link_none_create(struct link **link, const char *name, unsigned queue_count)
{
	struct link_none *none = calloc(1, sizeof(*none));

	if (!none)
		return fail_host(ENOMEM, "%s: out of memory", name);
	none->link.ops = &none_ops;
	none->link.queue_count = queue_count;
	snprintf(none->link.name, sizeof(none->link.name), "none");
	for (unsigned i = 0; i < queue_count; i++) {
		none->queues[i] = (struct link_queue){ &none->link, i };
		none->link.queues[i] = &none->queues[i];
	}
	*link = &none->link;
	return 0;
}
