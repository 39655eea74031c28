/* SPDX-License-Identifier: MIT */
/* Numbers by a bus, as a guest reads and writes them; all ones where nothing answers. */
#ifndef TESTS_UNIT_BUS_GUEST_H
#define TESTS_UNIT_BUS_GUEST_H

#include <endian.h>

#include "core/bus.h"

static inline uint64_t bus_read(struct bus *bus, uint64_t address, unsigned length)
{
	uint64_t value = 0;

	bus_access(bus, address, &value, length, false);
	return le64toh(value);
}

static inline void bus_write(struct bus *bus, uint64_t address, unsigned length, uint64_t value)
{
	value = htole64(value);
	bus_access(bus, address, &value, length, true);
}

#endif
