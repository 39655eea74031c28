/* SPDX-License-Identifier: MIT */
/*
 * The console device (virtio 1.2, 5.3): one port, or several with names. Port 0
 * is the user's terminal if the device is given it; the ports of the options
 * follow. With a terminal alone the device is the plain console that any driver
 * knows; a port by option makes it a multiport device.
 */
#ifndef VIRTIO_CONSOLE_H
#define VIRTIO_CONSOLE_H

#include "virtio/virtio.h"

#define CONSOLE_PORT_OPTIONS_MAX 16

enum console_port_type {
	CONSOLE_PORT_CONSOLE, /* the guest makes it a terminal: hvcN, fit for a getty */
	CONSOLE_PORT_DATA,    /* a file of bytes: /dev/virtio-ports/NAME in Linux */
};

/* One --console-port. */
struct console_port_options {
	char *name; /* as the guest shall know it, or NULL */
	char *path; /* "pty", "unix:PATH", or a path; see core/stream.h */
	unsigned type; /* enum console_port_type */
};

extern const struct option_key console_port_keys[];

/*
 * virtio_console.keys read `terminal` only; ports are added by the machine,
 * which reads each with console_port_keys.
 */
struct console_options {
	bool terminal; /* port 0 is deps.terminal */
	struct console_port_options ports[CONSOLE_PORT_OPTIONS_MAX];
	unsigned port_count;
};

/*
 * Its worker, the first of deps.workers, needs STREAM_SLOTS fixed files for
 * each port, beside those of the queues. To be destroyed while that worker
 * still runs: output of the guest's last second is then waited for.
 */
extern const struct virtio_type virtio_console;

#endif
