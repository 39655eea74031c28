/* SPDX-License-Identifier: MIT */
/*
 * The console device as its files share it: console.c is the device and its
 * registers, console_port.c moves bytes, console_control.c says which ports
 * there are. All but what says otherwise belongs to the one worker.
 */
#ifndef VIRTIO_CONSOLE_DEVICE_H
#define VIRTIO_CONSOLE_DEVICE_H

#include <linux/virtio_console.h>

#include "core/stream.h"
#include "virtio/console.h"

#define CONSOLE_PORTS_MAX (1 + CONSOLE_PORT_OPTIONS_MAX)
#define CONSOLE_URGENT_BYTES 256

/* 5.3.2: the queues of port 0, then the control queues, then those of port 1... */
enum {
	CONSOLE_QUEUE_CONTROL_RECEIVE = 2,
	CONSOLE_QUEUE_CONTROL_TRANSMIT = 3,
	CONSOLE_QUEUES_MAX = 2 * CONSOLE_PORTS_MAX + 2,
};

struct console;

struct console_port {
	struct console *console;
	unsigned id;
	const struct console_port_options *options; /* NULL: the user's terminal */
	char label[160]; /* for messages */
	struct stream stream;
	struct boot_text boot_text; /* of what is transmitted */
	struct virtqueue *receive, *transmit;

	/* The chain being transmitted, how long it was, and whether there is one. */
	struct chain chain;
	uint64_t chain_bytes;
	bool holding;
	bool dropping; /* the host has stalled: a console must not stop its guest */
	struct worker_timer stall;
	uint64_t stalled_at_bytes;

	/* What driver and device know of each other; see console_control.c. */
	bool added, ready, guest_open;
	uint32_t untold; /* bits of enum console_event */
};

struct console {
	struct virtio_device device;
	struct virtio_console_config config; /* device.config_lock */
	struct console_port ports[CONSOLE_PORTS_MAX];
	unsigned port_count;
	struct virtqueue queues[CONSOLE_QUEUES_MAX];

	/* Resets so far, and the last that the worker knows of. */
	_Atomic unsigned resets;
	unsigned resets_seen;

	/* Emergency writes: device->lock puts, the worker takes. */
	struct byte_ring urgent;
	_Atomic bool urgent_posted;
	struct worker_task urgent_task;

	_Atomic bool resize_posted;
	struct worker_task resize_task;
};

static inline struct console *console_of(struct virtio_device *device)
{
	return container_of(device, struct console, device);
}

static inline struct worker *console_worker(const struct console *console)
{
	return console->device.deps.workers[0];
}

static inline bool console_is_multiport(const struct console *console)
{
	return virtio_has(&console->device, VIRTIO_CONSOLE_F_MULTIPORT);
}

/* Whether the guest makes a terminal of it. */
static inline bool console_port_is_console(const struct console_port *port)
{
	return !port->options || port->options->type == CONSOLE_PORT_CONSOLE;
}

/* ---- console_port.c ---- */

/* Control thread. 0 or a failure, logged. */
int console_port_open(struct console_port *port);
/* Control thread; lets the host take what is buffered. 0 or -ETIMEDOUT, as stream_close(). */
void console_port_close_begin(struct console_port *port);
int console_port_close(struct console_port *port);

/* The worker: buffers have come, a queue of the port stops. */
void console_port_kick(struct console_port *port, struct virtqueue *queue);
void console_port_stop(struct console_port *port, struct virtqueue *queue);

/* ---- console_control.c: worker thread ---- */

/* The driver begins anew: forgets what it was told. */
void console_control_reset(struct console *console);
void console_control_kick(struct console *console, struct virtqueue *queue);

/* A port's peer has come or gone; the window has another size. */
void console_control_connected(struct console_port *port);
void console_control_resized(struct console_port *port);

#endif
