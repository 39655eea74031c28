/* SPDX-License-Identifier: MIT */
/*
 * A bus finds the region that answers at an address: one bus for MMIO, one for
 * ports. A region is embedded in the device that answers and outlives every
 * vCPU run. bus_access() copies the region and offset under the bus's leaf
 * lock, drops it, and calls the handler with no lock held: devices lock
 * themselves, and a handler may move its own region.
 */
#ifndef CORE_BUS_H
#define CORE_BUS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define BUS_REGIONS_MAX 512

struct region;

/*
 * vCPU thread. offset + length <= region->size; length is 1, 2, 4 or 8; value
 * holds the guest's little-endian bytes as a number. A NULL read gives all
 * ones, a NULL write is ignored.
 */
struct region_ops {
	uint64_t (*read)(struct region *region, uint64_t offset, unsigned length);
	void (*write)(struct region *region, uint64_t offset, unsigned length, uint64_t value);
};

struct region {
	const struct region_ops *ops;
	const char *name;
	uint64_t base, size; /* bus->lock, once added */
};

struct bus {
	pthread_mutex_t lock; /* leaf */
	struct region *regions[BUS_REGIONS_MAX]; /* sorted by base */
	unsigned count;
};

int bus_init(struct bus *bus);
void bus_destroy(struct bus *bus);

/*
 * Add, remove, move. -EEXIST if another region overlaps (the region is then not
 * on the bus: "who was there first wins"), -ENOSPC if the table is full. Any
 * thread; silent.
 */
int bus_add(struct bus *bus, struct region *region);
void bus_remove(struct bus *bus, struct region *region);

/*
 * One access of 1, 2, 4 or 8 bytes by the guest. `data` is written with all
 * ones, or read and dropped, where no region answers or the access runs past
 * the end of one. Returns whether a region answered. vCPU thread, no locks.
 */
bool bus_access(struct bus *bus, uint64_t address, void *data, unsigned length, bool write);

#endif
