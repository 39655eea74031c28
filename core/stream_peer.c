// SPDX-License-Identifier: MIT
/*
 * Who is at the other end of a stream: opens terminals, files, ptys and sockets
 * on the control thread, and takes a socket's clients on the worker.
 */
#include "core/stream_peer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"

#define SOCKET_PREFIX "unix:"
#define CLIENTS_WAITING 1

const char *stream_socket_path(const char *path)
{
	size_t length = strlen(SOCKET_PREFIX);

	return path && !strncmp(path, SOCKET_PREFIX, length) ? path + length : NULL;
}

/* A console itself locks nothing: several may be logged to one file. */
static bool is_locked(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return !fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK;
}

static int open_file(struct stream *stream, int *in_fd, int *out_fd)
{
	const char *name = stream->config.name, *path = stream->config.path;
	int flags = O_WRONLY | O_CREAT | O_APPEND;
	struct stat status;
	bool both = false;

	if (!stat(path, &status)) {
		if (S_ISSOCK(status.st_mode))
			return fail(EINVAL, "%s: %s is a socket; write unix:PATH to listen on one",
				    name, path);
		if (S_ISBLK(status.st_mode))
			return fail(EINVAL, "%s: %s is a block device, and output would replace "
				    "what is on it; name a file", name, path);
		/* With both ends held, opening a FIFO waits for no reader, and none ends it. */
		both = S_ISCHR(status.st_mode);
		if (both || S_ISFIFO(status.st_mode))
			flags = O_RDWR | O_NOCTTY;
	}
	*out_fd = -1;
	if (flags & O_CREAT)
		*out_fd = open(path, flags | O_EXCL | O_CLOEXEC, 0644);
	stream->made_file = *out_fd >= 0;
	if (*out_fd < 0)
		*out_fd = open(path, flags | O_CLOEXEC, 0644);
	if (*out_fd < 0)
		return fail(errno, "%s: open %s: %s; %s", name, path, strerror(errno),
			    fd_open_advice(errno));
	if (is_locked(*out_fd)) {
		fd_close(out_fd);
		return fail(EBUSY, "%s: %s is locked, as the image of a disk is that is in use; "
			    "name another file", name, path);
	}
	if (both)
		*in_fd = *out_fd;
	return 0;
}

static int pty_failed(const struct stream *stream, const char *what)
{
	return fail_host(errno, "%s: %s: %s; %s", stream->config.name, what, strerror(errno),
			 fd_limit_advice(errno, "see that /dev/pts is mounted, or name a file "
					 "or unix:PATH"));
}

static int open_pty(struct stream *stream, int *in_fd, int *out_fd)
{
	/* It is ours alone, so it may be non-blocking. */
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	struct termios modes;
	char slave[64];
	int error;

	if (master < 0)
		return pty_failed(stream, "open a pty");
	if (grantpt(master) || unlockpt(master) || ptsname_r(master, slave, sizeof(slave)))
		goto failed;
	stream->slave_fd = open(slave, O_RDWR | O_NOCTTY | O_CLOEXEC);
	/* Raw before anyone opens it: an echo of our output would come back as input. */
	if (stream->slave_fd < 0 || tcgetattr(stream->slave_fd, &modes))
		goto failed;
	cfmakeraw(&modes);
	if (tcsetattr(stream->slave_fd, TCSANOW, &modes))
		goto failed;
	log_info("%s: is on %s", stream->config.name, slave);
	*in_fd = master;
	*out_fd = master;
	return 0;
failed:
	error = pty_failed(stream, "set up a pty");
	close(master);
	return error;
}

/*
 * A socket file that nobody listens on is left from a process that died. (Any
 * other file refuses a connection just so.)
 */
static bool socket_is_stale(const struct sockaddr_un *address)
{
	struct stat status;
	bool stale;
	int fd;

	if (lstat(address->sun_path, &status) || !S_ISSOCK(status.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	stale = fd >= 0 &&
		connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
		errno == ECONNREFUSED;
	fd_close(&fd);
	return stale;
}

static int socket_bind(int fd, const struct sockaddr_un *address)
{
	if (!bind(fd, (const struct sockaddr *)address, sizeof(*address)))
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	if (!socket_is_stale(address))
		return -EADDRINUSE;
	unlink(address->sun_path);
	return bind(fd, (const struct sockaddr *)address, sizeof(*address)) ? -errno : 0;
}

static int open_socket(struct stream *stream, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, error;

	if (!*path || strlen(path) >= sizeof(address.sun_path))
		return fail(EINVAL, "%s: a socket's path has 1 to %zu bytes: '%s'",
			    stream->config.name, sizeof(address.sun_path) - 1, path);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail_host(errno, "%s: socket: %s; raise the limit of open files (ulimit -n)",
				 stream->config.name, strerror(errno));
	stream->listener.fd = fd;
	/* Whoever connects is at the guest's console: the mode is set before there is a name. */
	if (fchmod(fd, 0600))
		return fail_host_errno("%s: keep others from its socket", stream->config.name);
	error = socket_bind(fd, &address);
	if (error)
		return fail(-error, "%s: bind %s: %s; %s", stream->config.name, path,
			    strerror(-error), error == -EADDRINUSE ?
			    "end who listens there, or name another path" : fd_open_advice(-error));
	stream->socket_path = path;
	if (listen(fd, CLIENTS_WAITING) < 0)
		return fail_errno("%s: listen on %s", stream->config.name, path);
	return 0;
}

int stream_peer_open(struct stream *stream, int *in_fd, int *out_fd)
{
	const struct stream_config *config = &stream->config;
	const char *socket_path;

	if (config->terminal) {
		*in_fd = config->terminal->input_fd;
		*out_fd = config->terminal->output_fd;
		return 0;
	}
	assert(config->path); /* one of the two */
	socket_path = stream_socket_path(config->path);
	if (!strcmp(config->path, "pty"))
		return open_pty(stream, in_fd, out_fd);
	if (socket_path)
		return open_socket(stream, socket_path);
	return open_file(stream, in_fd, out_fd);
}

/* Gone although nothing was read from it or written to it since. */
static bool has_hung_up(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLRDHUP };

	return ppoll(&poll_fd, 1, &(struct timespec){ 0 }, NULL) > 0 && poll_fd.revents;
}

void stream_peer_accept(struct stream *stream)
{
	int fd, error;

	while (!stream->closing && !stream->leaving) {
		if (stream->connected && has_hung_up(stream->out.fd)) {
			stream_leave(stream); /* accepts when it is done */
			return;
		}
		fd = listener_accept(&stream->listener, 0);
		if (fd < 0)
			return;
		if (stream->connected) { /* one client at a time */
			close(fd);
			continue;
		}
		error = stream_attach(stream, fd, fd);
		if (error) {
			log_limited(&stream->log_limit, "%s: register a client: %s",
				    stream->config.name, strerror(-error));
			close(fd);
		} else if (stream->config.ops->connected) {
			stream->config.ops->connected(stream);
		}
	}
}

static void listener_ready(struct listener *listener)
{
	stream_peer_accept(container_of(listener, struct stream, listener));
}

int stream_peer_listen(struct stream *stream)
{
	stream->listener.name = stream->config.name;
	stream->listener.worker = stream->config.worker;
	stream->listener.ready = listener_ready;
	return listener_start(&stream->listener);
}

void stream_peer_close(struct stream *stream)
{
	/* See worker_remove_file(): closed is not yet gone. */
	if (stream->listener.fd >= 0 && stream->in.fd >= 0)
		shutdown(stream->in.fd, SHUT_RDWR);
	if (!stream->config.terminal) {
		if (stream->out.fd != stream->in.fd)
			fd_close(&stream->out.fd);
		fd_close(&stream->in.fd);
	}
	stream->in.fd = -1;
	stream->out.fd = -1;
}

void stream_peer_unlink(struct stream *stream)
{
	if (stream->socket_path)
		unlinkat(AT_FDCWD, stream->socket_path, 0);
	stream->socket_path = NULL;
}

void stream_peer_unmake(struct stream *stream)
{
	if (stream->made_file)
		unlink(stream->config.path);
	stream_peer_close(stream);
}

void stream_peer_destroy(struct stream *stream)
{
	fd_close(&stream->slave_fd);
	if (stream->listener.fd >= 0)
		shutdown(stream->listener.fd, SHUT_RDWR);
	fd_close(&stream->listener.fd);
	stream_peer_unlink(stream);
}
