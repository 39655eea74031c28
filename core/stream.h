/* SPDX-License-Identifier: MIT */
/*
 * A stream of bytes to and from the host: the user's terminal, a file, a pipe,
 * a pty, a unix socket. One worker reads and writes it; a guest device takes
 * from and puts into two rings and never waits for the host. Input is read only
 * as far as the ring has room, so a flood stays with its sender.
 */
#ifndef CORE_STREAM_H
#define CORE_STREAM_H

#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/log.h"
#include "core/byte_ring.h"
#include "core/listener.h"
#include "core/terminal.h"
#include "core/worker.h"

#define STREAM_INPUT_BYTES 4096
#define STREAM_OUTPUT_BYTES 65536
#define STREAM_SLOTS 3 /* fixed file slots that a stream takes at most */

struct stream;

/* Worker thread; NULL means: nothing to do. */
struct stream_ops {
	void (*input)(struct stream *stream); /* there is more to stream_read() */
	void (*room)(struct stream *stream);  /* there is the room that stream_has_room() missed */
	void (*connected)(struct stream *stream); /* stream->connected has changed */
};

struct stream_config {
	const char *name; /* for messages; outlives the stream */
	const struct stream_ops *ops;
	struct worker *worker;
	struct terminal *terminal; /* the user's; or NULL, then: */
	/*
	 * "pty", "unix:PATH" (listens; one client at a time, any number in
	 * turn), or a path: a character device goes both ways, a FIFO and a
	 * file take output only; a file is made if missing, and appended to.
	 */
	const char *path;
};

/* One direction. Worker thread but for what says so. */
struct stream_side {
	struct ring_op op;
	struct stream *stream;
	struct byte_ring ring;
	int fd;   /* -1: this stream does not go this way, or nobody is there now */
	int slot;
	bool busy;    /* op is in flight */
	bool polling; /* and it waits for readiness */
	bool blocks;  /* a transfer may block whoever issues it */
	bool in_memory;	  /* a file that is: a plain write never waits for a disk */
	bool refuses_now; /* it does not know RWF_NOWAIT */
	unsigned write_bytes; /* the ring's largest write */
	bool ended;   /* will never transfer again; of output also read by the device */
	unsigned failures; /* in a row */
	_Atomic bool asleep; /* the device's next take or put must wake the worker */
	_Atomic bool wake_posted;
	struct worker_task wake;
};

enum stream_life { STREAM_OPEN, STREAM_CLOSING, STREAM_STUCK, STREAM_CLOSED };

struct stream {
	struct stream_config config;
	struct stream_side in, out;
	struct fd_watch input_watch; /* a reader in the background waits for its turn */
	_Atomic uint32_t room_wanted; /* bytes that ops->room() waits for; 0: nobody waits */
	bool connected; /* somebody is at the other end, as far as can be known; worker thread */
	bool leaving;	/* a peer has gone; its transfers are being cancelled */
	uint64_t written_bytes;         /* output that the host took; worker thread */
	_Atomic uint64_t dropped_bytes; /* output that it did not take */
	struct log_limit log_limit;

	/* stream_peer.c's: a listening socket; a pty's slave, so that its master never hangs up */
	struct listener listener;
	int slave_fd;
	const char *socket_path; /* ours to unlink, or NULL */
	bool made_file;		 /* the file at config.path was not there */

	enum stream_life life; /* control thread */
	bool closing;
	bool stuck;	       /* a transfer was cancelled and goes on; read after `closed` */
	bool quit_when_closed; /* the worker runs for this alone */
	uint64_t flush_ns;
	struct worker_task close_task;
	struct worker_timer flush_timer, grace_timer;
	sem_t closed; /* the worker is through, or stuck; then once more, if it was late */
};

/* The path of the socket that such a stream_config.path makes, or NULL: it makes none. */
const char *stream_socket_path(const char *path);

/*
 * Control thread; the worker may run or not. Reading begins at once. 0 or a
 * failure, logged. stream->config.ops may be called before it returns.
 */
int stream_open(struct stream *stream, const struct stream_config *config);

/*
 * Control thread; the device uses the stream no more. Waits until what is
 * buffered is out, at most `flush_ns` long, and cancels the rest. The worker
 * runs on a thread of its own, or ran on this one and does so again meanwhile;
 * with one that never ran there is nothing to wait for, and a file made for it
 * goes again. 0, also when it was closed before; or -ETIMEDOUT, logged: storage
 * that hangs keeps a transfer half a second after it was cancelled. Then no name
 * of its is left, but stream and worker must stay until another call returns 0.
 */
int stream_close(struct stream *stream, uint64_t flush_ns);
/* The part of it that waits for nothing: many, begun one after the other, take the time of one. */
void stream_close_begin(struct stream *stream, uint64_t flush_ns);

/* The consumer of input: one thread at a time. */
size_t stream_read(struct stream *stream, void *data, size_t length);
size_t stream_input_bytes(const struct stream *stream);

/*
 * The producer of output: one thread at a time; of a socket's, the worker.
 * Returns how much was taken: all, unless the ring is full. Without anybody to
 * take it output is dropped, but a socket keeps the last STREAM_OUTPUT_BYTES
 * for its next client.
 */
size_t stream_write(struct stream *stream, const void *data, size_t length);

/*
 * The same from several parts, on the worker: what the host takes at once, if
 * nothing is buffered, is written from where it is.
 */
size_t stream_write_parts(struct stream *stream, const struct iovec *iov, unsigned count);

/* Nobody reads: of what is written at most the last STREAM_OUTPUT_BYTES are kept. */
bool stream_is_unread(const struct stream *stream);
/* How much stream_write() takes now, at most STREAM_OUTPUT_BYTES. */
size_t stream_room(const struct stream *stream);

/*
 * Whether stream_write() will take this much, at most STREAM_OUTPUT_BYTES; if
 * not, ops->room() comes when it will.
 */
bool stream_has_room(struct stream *stream, size_t length);

#endif
