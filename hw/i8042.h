/* SPDX-License-Identifier: MIT */
/*
 * Of the PC's keyboard controller only the command that resets the machine,
 * which `reboot=k` and small kernels use. There is no keyboard, and ACPI says so.
 */
#ifndef HW_I8042_H
#define HW_I8042_H

#include "core/bus.h"
#include "core/request.h"

struct i8042 {
	struct bus *bus;
	struct request_line *requests;
	struct region command; /* and status: one port */
};

/* `port` is that of the command register. 0 or a failure, logged. */
int i8042_init(struct i8042 *i8042, struct bus *bus, uint64_t port,
	       struct request_line *requests);
void i8042_destroy(struct i8042 *i8042);

#endif
