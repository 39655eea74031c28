/* SPDX-License-Identifier: MIT */
/*
 * A link's queue on a file that gives or takes one frame a call: a tap, a
 * datagram socket. Its functions stand in the link_ops of links made of such.
 */
#ifndef NET_LINK_FILE_H
#define NET_LINK_FILE_H

#include "net/link.h"

struct link_file {
	struct link_queue queue;
	int fd;	     /* the owner's; non-blocking */
	bool nowait; /* the file knows RWF_NOWAIT: requests go through the ring, in batches */
	/* The queue's worker only. */
	struct worker *worker;
	int slot; /* the fd among the worker's files, from the first start on; else -1 */
};

/* Control thread. Finds out by a call on `fd` whether it knows RWF_NOWAIT (a tap: Linux 6.4). */
void link_file_init(struct link_file *file, struct link *link, unsigned index, int fd);

/* Control thread; nothing is in flight, and the worker runs or is no more. Closes the fd. */
void link_file_close(struct link_file *file);

/* See struct link_ops. */
int link_file_start(struct link_queue *queue, struct worker *worker);
void link_file_stop(struct link_queue *queue);
void link_file_send(struct link_queue *queue, struct link_io *io);
void link_file_receive(struct link_queue *queue, struct link_io *io);
void link_file_wait(struct link_queue *queue, struct link_wait *wait, enum link_event event);
void link_file_cancel_io(struct link_queue *queue, struct link_io *io);
void link_file_cancel_wait(struct link_queue *queue, struct link_wait *wait);

#endif
