/* SPDX-License-Identifier: MIT */
/*
 * What core/stream.c and core/stream_peer.c have between them: the one moves
 * bytes, the other knows where descriptors come from.
 */
#ifndef CORE_STREAM_PEER_H
#define CORE_STREAM_PEER_H

#include "core/stream.h"

/*
 * Control thread: opens what the configuration names. The descriptors, -1 for a
 * direction that it doesn't go; both -1 for a socket, which is listening now.
 * 0 or a failure, logged.
 */
int stream_peer_open(struct stream *stream, int *in_fd, int *out_fd);

/* Control thread, in place of a close: nothing has run, so a file that was made goes again. */
void stream_peer_unmake(struct stream *stream);

/* Control thread, last of all: stops listening, unlinks. */
void stream_peer_destroy(struct stream *stream);
/* Of that only what outlives the process. */
void stream_peer_unlink(struct stream *stream);

/* Worker thread: waits for clients. 0 or -errno, silent. */
int stream_peer_listen(struct stream *stream);

/* Worker thread: takes the next client, if one waits. */
void stream_peer_accept(struct stream *stream);

/* Either, nothing in flight: closes the descriptors of both sides. */
void stream_peer_close(struct stream *stream);

/* In stream.c. Worker thread: begins, ends moving bytes. 0 or -errno, silent. */
int stream_attach(struct stream *stream, int in_fd, int out_fd);
void stream_detach(struct stream *stream);
/* In stream.c. Worker thread: the client has hung up. */
void stream_leave(struct stream *stream);

#endif
