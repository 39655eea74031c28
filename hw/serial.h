/* SPDX-License-Identifier: MIT */
/*
 * A 16550A UART with FIFOs. Registers run on vCPU threads under serial.lock;
 * the host side (reading input, writing output) on one worker. A vCPU never
 * waits for the host: output goes through a buffer, and a full one shows as a
 * transmitter that is not empty.
 */
#ifndef HW_SERIAL_H
#define HW_SERIAL_H

#include <stdint.h>

#include "base/boot_trace.h"
#include "core/bus.h"
#include "core/terminal.h"
#include "core/worker.h"

#define SERIAL_REGISTERS 8

struct serial_config {
	struct bus *bus;
	uint64_t base;             /* of 8 byte-wide registers */
	int irq_event_fd;          /* an edge for each time the interrupt condition rises */
	struct terminal *terminal; /* or NULL: nothing is connected */
	struct worker *worker;     /* with STREAM_SLOTS free file slots */
	struct boot_trace *trace;  /* or NULL */
};

struct serial;

/* 0 or a failure, logged. Control thread. Input is read as soon as the worker runs. */
int serial_create(struct serial **serial, const struct serial_config *config);

/*
 * vCPUs have stopped; the worker is as stream_close() wants it. Waits up to a
 * second for the host to take what the guest wrote last. 0, or -ETIMEDOUT as
 * stream_close(): then it can't be destroyed. Control thread.
 */
int serial_close(struct serial *serial);
void serial_destroy(struct serial *serial);

/* Back to power-on state; vCPUs parked. Buffered output stays, and input not yet received. */
void serial_reset(struct serial *serial);

#endif
