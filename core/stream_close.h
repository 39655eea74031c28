/* SPDX-License-Identifier: MIT */
/*
 * What core/stream.c and core/stream_close.c have between them: the one moves
 * bytes, the other ends that. Worker thread but for what says so.
 */
#ifndef CORE_STREAM_CLOSE_H
#define CORE_STREAM_CLOSE_H

#include "core/stream.h"

/* It is closing and nothing is in flight any more. The last touch of the stream. */
void stream_close_settled(struct stream *stream);

/* In stream.c: asks the kernel to cancel what is in flight; writes what is buffered. */
void stream_cancel(struct stream_side *side);
void stream_output(struct stream *stream);
/* In stream.c: what is still buffered counts as dropped, and no more is written. */
void stream_end_output(struct stream *stream);
/* In stream.c: something has ended or was cancelled; go on if it was the last. */
void stream_settle(struct stream *stream);
/* In stream.c. Control thread: all that stream_open() made. */
void stream_free(struct stream *stream);

#endif
