// SPDX-License-Identifier: MIT
/*
 * Power registers. vCPU threads read and write them without a lock: the only
 * state is one atomic word. What the guest asks for goes to the control thread.
 */
#include "hw/power.h"

#include <misc/pvpanic.h>
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

/* Which events we take: a crash kernel's news (PVPANIC_CRASH_LOADED) is not among them. */
static uint64_t panic_read(struct region *region, uint64_t offset, unsigned length)
{
	(void)region;
	(void)offset;
	(void)length;
	return PVPANIC_PANICKED;
}

static void panic_write(struct region *region, uint64_t offset, unsigned length, uint64_t value)
{
	struct power *power = container_of(region, struct power, panic);

	(void)offset;
	(void)length;
	if (value & PVPANIC_PANICKED)
		request_raise(power->config.requests, REQUEST_PANIC);
}

static const struct region_ops panic_ops = {
	.read = panic_read,
	.write = panic_write,
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
		.panic = {
			.ops = &panic_ops, .name = "pvpanic",
			.base = config->panic_base, .size = 1,
		},
	};
	error = bus_add(config->bus, &power->registers);
	if (error)
		return fail(-error, "power: registers: address is taken");
	error = bus_add(config->bus, &power->panic);
	if (error) {
		bus_remove(config->bus, &power->registers);
		return fail(-error, "pvpanic: address is taken");
	}
	return 0;
}

void power_destroy(struct power *power)
{
	bus_remove(power->config.bus, &power->panic);
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
