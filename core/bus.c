// SPDX-License-Identifier: MIT
/*
 * The table of regions of one bus, sorted by base. The lock covers the table
 * and every region's base; it is a leaf and never held while a handler runs.
 */
#include "core/bus.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"

int bus_init(struct bus *bus)
{
	int error = pthread_mutex_init(&bus->lock, NULL);

	bus->count = 0;
	return error ? fail_host(error, "bus: mutex: %s", strerror(error)) : 0;
}

void bus_destroy(struct bus *bus)
{
	pthread_mutex_destroy(&bus->lock);
}

/* The first region whose base is above the address; bus->lock. */
static unsigned index_above(const struct bus *bus, uint64_t address)
{
	unsigned low = 0, high = bus->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (bus->regions[middle]->base <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int bus_add(struct bus *bus, struct region *region)
{
	uint64_t last = region->base + region->size - 1;
	unsigned index;
	int error = 0;

	assert(region->size);
	if (last < region->base)
		return -EEXIST; /* wraps: nothing lies there for it to have */
	pthread_mutex_lock(&bus->lock);
	index = index_above(bus, region->base);
	if (bus->count == BUS_REGIONS_MAX)
		error = -ENOSPC;
	else if (index > 0 && region->base - bus->regions[index - 1]->base <
					bus->regions[index - 1]->size)
		error = -EEXIST;
	else if (index < bus->count && bus->regions[index]->base <= last)
		error = -EEXIST;
	if (!error) {
		memmove(&bus->regions[index + 1], &bus->regions[index],
			(bus->count - index) * sizeof(bus->regions[0]));
		bus->regions[index] = region;
		bus->count++;
	}
	pthread_mutex_unlock(&bus->lock);
	return error;
}

void bus_remove(struct bus *bus, struct region *region)
{
	pthread_mutex_lock(&bus->lock);
	for (unsigned i = 0; i < bus->count; i++) {
		if (bus->regions[i] != region)
			continue;
		bus->count--;
		memmove(&bus->regions[i], &bus->regions[i + 1],
			(bus->count - i) * sizeof(bus->regions[0]));
		break;
	}
	pthread_mutex_unlock(&bus->lock);
}

/* The region that answers all of [address, address + length), and where in it. */
static struct region *bus_find(struct bus *bus, uint64_t address, unsigned length,
			       uint64_t *offset)
{
	struct region *region = NULL;
	unsigned index;

	pthread_mutex_lock(&bus->lock);
	index = index_above(bus, address);
	if (index > 0) {
		region = bus->regions[index - 1];
		*offset = address - region->base;
		if (!range_within(*offset, length, region->size))
			region = NULL;
	}
	pthread_mutex_unlock(&bus->lock);
	return region;
}

static bool access_one(struct bus *bus, uint64_t address, uint8_t *data, unsigned length,
		       bool write)
{
	uint64_t offset;
	struct region *region = bus_find(bus, address, length, &offset);

	if (write) {
		if (region && region->ops->write)
			region->ops->write(region, offset, length, load_le(data, length));
	} else {
		uint64_t value = all_ones(8);

		if (region && region->ops->read)
			value = region->ops->read(region, offset, length);
		store_le(data, value, length);
	}
	return region;
}

bool bus_access(struct bus *bus, uint64_t address, void *data, unsigned length, bool write)
{
	uint8_t *bytes = data;
	bool answered = true;

	/* An instruction that crosses a page can leave a piece of an odd length. */
	while (length) {
		unsigned piece = length >= 8 ? 8 : length >= 4 ? 4 : length >= 2 ? 2 : 1;

		answered &= access_one(bus, address, bytes, piece, write);
		address += piece;
		bytes += piece;
		length -= piece;
	}
	return answered;
}
