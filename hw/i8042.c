// SPDX-License-Identifier: MIT
/* The keyboard controller's reset command. vCPU threads; no state, no lock. */
#include "hw/i8042.h"

#include "base/bytes.h"
#include "base/log.h"

#define COMMAND_RESET 0xfe

/* Status 0: a command can be sent. All ones would make a rebooting guest wait first. */
static uint64_t status_read(struct region *region, uint64_t offset, unsigned length)
{
	(void)region;
	(void)offset;
	(void)length;
	return 0;
}

static void command_write(struct region *region, uint64_t offset, unsigned length, uint64_t value)
{
	struct i8042 *i8042 = container_of(region, struct i8042, command);

	(void)offset;
	(void)length;
	if (value == COMMAND_RESET)
		request_raise(i8042->requests, REQUEST_RESET);
}

static const struct region_ops command_ops = {
	.read = status_read,
	.write = command_write,
};

int i8042_init(struct i8042 *i8042, struct bus *bus, uint64_t port, struct request_line *requests)
{
	int error;

	*i8042 = (struct i8042){
		.bus = bus,
		.requests = requests,
		.command = { .ops = &command_ops, .name = "i8042", .base = port, .size = 1 },
	};
	error = bus_add(bus, &i8042->command);
	return error ? fail(-error, "i8042: port 0x%x is taken", (unsigned)port) : 0;
}

void i8042_destroy(struct i8042 *i8042)
{
	bus_remove(i8042->bus, &i8042->command);
}
