// SPDX-License-Identifier: MIT
/* A socket that listens, watched by a worker. */
#include "core/listener.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/fd.h"

#define AGAIN_NS UINT64_C(100000000)

static void watch_ready(struct fd_watch *watch)
{
	struct listener *listener = container_of(watch, struct listener, watch);

	listener->ready(listener);
}

static void again_expired(struct worker_timer *timer)
{
	struct listener *listener = container_of(timer, struct listener, again);

	listener->ready(listener);
}

int listener_start(struct listener *listener)
{
	int slot = worker_add_file(listener->worker, listener->fd), error;

	if (slot < 0)
		return slot;
	listener->watch.ready = watch_ready;
	listener->again.expired = again_expired;
	error = worker_watch(listener->worker, &listener->watch, slot);
	if (error)
		worker_remove_file(listener->worker, slot);
	return error;
}

void listener_stop(struct listener *listener)
{
	worker_unwatch(listener->worker, &listener->watch);
	worker_timer_stop(listener->worker, &listener->again);
}

/*
 * The watch tells of a client once, when it comes: one that the host lacked open
 * files or memory for is asked for again in a while. That is said once, however
 * long it lasts.
 */
static void accept_failed(struct listener *listener, int error)
{
	bool lacks = error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;

	if (!listener->lacks)
		log_limited(&listener->log_limit, "%s: accept: %s; %s", listener->name,
			    strerror(error),
			    fd_limit_advice(error, lacks ? "trying again" : "no client for now"));
	listener->lacks = lacks &&
			  !worker_timer_start(listener->worker, &listener->again, AGAIN_NS);
}

int listener_accept(struct listener *listener, int flags)
{
	int fd;

	do
		fd = accept4(listener->fd, NULL, NULL, flags | SOCK_CLOEXEC);
	while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0 && errno != EAGAIN)
		accept_failed(listener, errno);
	else
		listener->lacks = false;
	return fd;
}
