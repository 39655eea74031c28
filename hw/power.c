// SPDX-License-Identifier: MIT
/*
 * Power registers. vCPU threads read and write them without a lock: the only
 * state is one atomic word. What the guest asks for goes to the control thread.
 */
#include "hw/power.h"

#include <stdatomic.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"

#define SLEEP_TYPE_SHIFT  2
#define SLEEP_TYPE_MASK   7
#define SLEEP_ENABLE      0x20

static struct power *power_of_registers(struct region *region)
{
	return container_of(region, struct power, registers);
}

/* The sleep registers have nothing to tell: there is no state but on and off. */
static uint64_t registers_read(struct region *region, uint64_t offset, unsigned length)
{
	struct power *power = power_of_registers(region);

	if (offset == POWER_EVENTS)
		return atomic_exchange(&power->events, 0) & all_ones(length);
	return 0;
}

static void registers_write(struct region *region, uint64_t offset, unsigned length,
			    uint64_t value)
{
	struct power *power = power_of_registers(region);

	if (length != 1)
		return;
	if (offset == POWER_SLEEP_CONTROL && (value & SLEEP_ENABLE) &&
	    (value >> SLEEP_TYPE_SHIFT & SLEEP_TYPE_MASK) == POWER_SLEEP_TYPE_OFF)
		request_raise(power->config.requests, REQUEST_POWER_OFF);
	if (offset == POWER_RESET && value == POWER_RESET_VALUE)
		request_raise(power->config.requests, REQUEST_RESET);
}

static const struct region_ops register_ops = {
	.read = registers_read,
	.write = registers_write,
};

int power_init(struct power *power, const struct power_config *config)
{
	int error;

	*power = (struct power){
		.config = *config,
		.registers = {
			.ops = &register_ops, .name = "power",
			.base = config->base, .size = POWER_REGISTERS,
		},
	};
	error = bus_add(config->bus, &power->registers);
	return error ? fail(-error, "power: registers: address is taken") : 0;
}

void power_destroy(struct power *power)
{
	bus_remove(power->config.bus, &power->registers);
}

void power_reset(struct power *power)
{
	atomic_store(&power->events, 0);
}

void power_press_button(struct power *power)
{
	atomic_fetch_or(&power->events, POWER_EVENT_BUTTON);
	event_fd_signal(power->config.event_fd);
}
