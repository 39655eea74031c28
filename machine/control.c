// SPDX-License-Identifier: MIT
/*
 * The server and the client of the control socket. The server never waits for a
 * client: connections are non-blocking and few. Whose line is there already is
 * answered at once; the others have a place each, and the oldest makes room.
 */
#include "machine/control.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "core/listener.h"
#include "machine/instance.h"

#define CLIENTS 4
#define CALL_TIMEOUT_S 5

struct client {
	struct control *control;
	int fd, slot;
	struct fd_watch watch;
	char line[CONTROL_LINE_BYTES];
	size_t length;
};

struct control {
	struct instance instance;
	struct worker *worker;
	struct control_handler *handler;
	struct listener listener;
	struct client clients[CLIENTS];
	unsigned next_client;
};

static void client_close(struct client *client)
{
	struct worker *worker;

	if (client->fd < 0)
		return;
	worker = client->control->worker;
	worker_unwatch(worker, &client->watch);
	if (client->slot >= 0)
		worker_remove_file(worker, client->slot);
	/* The ring may hold the socket for long: the end of the reply must show at once. */
	shutdown(client->fd, SHUT_RDWR);
	fd_close(&client->fd);
}

static void client_answer(struct client *client)
{
	char reply[CONTROL_LINE_BYTES] = "";
	struct control_handler *handler = client->control->handler;

	handler->handle(handler, client->line, reply, sizeof(reply) - 1);
	strcat(reply, "\n");
	/* A new connection's buffer takes a line; a client that has left does not matter. */
	if (send(client->fd, reply, strlen(reply), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("control socket: reply: %s", strerror(errno));
	client_close(client);
}

static void client_ready(struct fd_watch *watch)
{
	struct client *client = container_of(watch, struct client, watch);
	ssize_t n = recv(client->fd, client->line + client->length,
			 sizeof(client->line) - 1 - client->length, MSG_DONTWAIT);
	char *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_close(client);
		return;
	}
	client->length += (size_t)n;
	client->line[client->length] = '\0';
	end = strchr(client->line, '\n');
	if (end) {
		*end = '\0';
		client_answer(client);
	} else if (client->length == sizeof(client->line) - 1) {
		client_close(client);
	}
}

static void client_accept(struct control *control, int fd)
{
	struct client *client, arrival = {
		.control = control, .fd = fd, .slot = -1, .watch.ready = client_ready
	};

	client_ready(&arrival.watch);
	if (arrival.fd < 0)
		return;
	client = &control->clients[control->next_client++ % CLIENTS];
	client_close(client);
	*client = arrival;
	client->slot = worker_add_file(control->worker, fd);
	if (client->slot >= 0 && !worker_watch(control->worker, &client->watch, client->slot))
		return;
	if (client->slot >= 0)
		worker_remove_file(control->worker, client->slot);
	fd_close(&client->fd);
}

static void listener_ready(struct listener *listener)
{
	struct control *control = container_of(listener, struct control, listener);
	int fd;

	while ((fd = listener_accept(listener, SOCK_NONBLOCK)) >= 0)
		client_accept(control, fd);
}

static int control_listen(struct control *control)
{
	const struct sockaddr_un *address = &control->instance.address;
	int fd;

	if (!address->sun_path[0])
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	control->listener.fd = fd;
	unlink(address->sun_path); /* a dead machine's: we hold its name */
	/* As its directory is the user's alone, before there is a name. */
	if (fchmod(fd, 0600) || bind(fd, (const struct sockaddr *)address, sizeof(*address)) ||
	    listen(fd, CLIENTS))
		return -errno;
	return listener_start(&control->listener);
}

int control_create(struct control **result, const char *name, struct worker *worker,
		   struct control_handler *handler)
{
	struct control *control = calloc(1, sizeof(*control));
	int error;

	*result = NULL;
	if (!control)
		return fail_host(ENOMEM, "control socket: out of memory");
	control->worker = worker;
	control->handler = handler;
	control->listener = (struct listener){
		.name = "control socket", .worker = worker, .ready = listener_ready, .fd = -1
	};
	for (unsigned i = 0; i < CLIENTS; i++)
		control->clients[i].fd = -1;
	error = instance_acquire(&control->instance, name);
	if (error) {
		free(control);
		return error == -EBUSY ? -EBUSY : 0;
	}
	error = control_listen(control);
	if (error)
		log_warning("control socket of '%s': %s; 'ringvm stop' will not reach this machine",
			    name, strerror(-error));
	*result = control;
	return 0;
}

void control_close(struct control *control)
{
	if (!control)
		return;
	for (unsigned i = 0; i < CLIENTS; i++) {
		worker_unwatch(control->worker, &control->clients[i].watch);
		if (control->clients[i].fd >= 0)
			shutdown(control->clients[i].fd, SHUT_RDWR);
		fd_close(&control->clients[i].fd);
	}
	listener_stop(&control->listener);
	control->worker = NULL;
}

/*
 * The socket goes before the name, which may be somebody's at once. The ring may
 * still hold the socket: who waits is let in, to see the end, and by then finds
 * no such name.
 */
void control_destroy(struct control *control)
{
	int fd;

	if (!control)
		return;
	assert(!control->worker);
	if (control->listener.fd >= 0) {
		shutdown(control->listener.fd, SHUT_RDWR);
		unlinkat(AT_FDCWD, control->instance.address.sun_path, 0);
	}
	instance_release(&control->instance);
	while (control->listener.fd >= 0 &&
	       (fd = accept4(control->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		close(fd);
	fd_close(&control->listener.fd);
	free(control);
}

/*
 * A wait that has a limit is not begun again after a signal, SIGCONT or what
 * io_uring sends its threads: nothing was done, and it is ours to begin.
 */
static int connect_whatever_comes(int fd, const struct sockaddr_un *address)
{
	int result;

	do
		result = connect(fd, (const struct sockaddr *)address, sizeof(*address));
	while (result < 0 && errno == EINTR);
	return result;
}

static ssize_t send_whatever_comes(int fd, const void *data, size_t length)
{
	ssize_t sent;

	/* A machine that ends just now must not end us by SIGPIPE. */
	do
		sent = send(fd, data, length, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent;
}

/*
 * Its socket goes a moment before its name does: whom we do not reach we ask for
 * again, before we say that it hangs.
 */
static bool has_ended(const char *name, pid_t pid)
{
	unsigned tries = 0;
	pid_t holder;

	do
		holder = instance_pid(name);
	while (holder == pid && fd_may_be_free_soon(&tries));
	return holder >= 0 && holder != pid;
}

static int call_fail(int error, const char *name, pid_t pid, const char *what)
{
	if (has_ended(name, pid))
		return -ESRCH;
	if (error == ENOENT || error == ECONNREFUSED)
		return fail_host(error, "name '%s': it has no control socket; press its power "
				 "button with 'kill %d'", name, (int)pid);
	if (error == EAGAIN) /* as sockets tell it */
		error = ETIMEDOUT;
	return fail_host(error, "name '%s': %s: %s; its process (pid %d) may hang or be stopped: "
			 "let it go on with 'kill -CONT %d', or end it with 'kill -KILL %d'", name,
			 what, strerror(error), (int)pid, (int)pid, (int)pid);
}

static int call_connect(const char *name, pid_t pid)
{
	struct timeval timeout = { .tv_sec = CALL_TIMEOUT_S };
	struct sockaddr_un address;
	int fd, error;

	if (instance_socket(name, &address))
		return call_fail(ENOENT, name, pid, "");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail_host(errno, "name '%s': socket: %s; raise the limit of open files "
				 "(ulimit -n)", name, strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (!connect_whatever_comes(fd, &address))
		return fd;
	error = errno;
	fd_close(&fd);
	return call_fail(error, name, pid, "connect");
}

int control_call(const char *name, pid_t pid, const char *request, char *reply, size_t size)
{
	char line[CONTROL_LINE_BYTES];
	ssize_t length = snprintf(line, sizeof(line), "%s\n", request);
	char *end;
	int fd = call_connect(name, pid);

	if (fd < 0)
		return fd;
	if (send_whatever_comes(fd, line, (size_t)length) == length)
		length = fd_read_full(fd, reply, size - 1);
	else
		length = -EPIPE;
	fd_close(&fd);
	if (length <= 0)
		return call_fail(length < 0 ? (int)-length : ECONNRESET, name, pid,
				 "it does not answer");
	reply[length] = '\0';
	end = strchr(reply, '\n');
	if (end)
		*end = '\0';
	return 0;
}
