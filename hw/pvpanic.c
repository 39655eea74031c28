// SPDX-License-Identifier: MIT
/* News of a panic, to the control thread. vCPU threads; no state, no lock. */
#include "hw/pvpanic.h"

#include <misc/pvpanic.h>

#include "base/bytes.h"
#include "base/log.h"

/* Which events we take: a crash kernel's news (PVPANIC_CRASH_LOADED) is not among them. */
static uint64_t events_read(struct region *region, uint64_t offset, unsigned length)
{
	(void)region;
	(void)offset;
	(void)length;
	return PVPANIC_PANICKED;
}

static void events_write(struct region *region, uint64_t offset, unsigned length, uint64_t value)
{
	struct pvpanic *pvpanic = container_of(region, struct pvpanic, events);

	(void)offset;
	(void)length;
	if (value & PVPANIC_PANICKED)
		request_raise(pvpanic->requests, REQUEST_PANIC);
}

static const struct region_ops events_ops = {
	.read = events_read,
	.write = events_write,
};

int pvpanic_init(struct pvpanic *pvpanic, struct bus *bus, uint64_t base,
		 struct request_line *requests)
{
	int error;

	*pvpanic = (struct pvpanic){
		.bus = bus,
		.requests = requests,
		.events = {
			.ops = &events_ops, .name = "pvpanic",
			.base = base, .size = PVPANIC_REGISTERS,
		},
	};
	error = bus_add(bus, &pvpanic->events);
	return error ? fail(-error, "pvpanic: address 0x%llx is taken", (unsigned long long)base)
		     : 0;
}

void pvpanic_destroy(struct pvpanic *pvpanic)
{
	bus_remove(pvpanic->bus, &pvpanic->events);
}
