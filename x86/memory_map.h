/* SPDX-License-Identifier: MIT */
/*
 * How the guest's RAM lies around the holes, and the map of it that the guest
 * is told (e820, PVH memory map): one source for both. Any thread, no state.
 */
#ifndef X86_MEMORY_MAP_H
#define X86_MEMORY_MAP_H

#include <stdint.h>

#define MEMORY_MAP_ENTRIES_MAX 8

/* The numbers that e820 and PVH agree on. */
enum memory_kind { MEMORY_KIND_RAM = 1, MEMORY_KIND_RESERVED = 2 };

struct memory_map_entry {
	uint64_t gpa, size_bytes;
	enum memory_kind kind;
};

/* How RAM of a size is split. */
struct ram_split {
	uint64_t below_4g_bytes; /* from 0 */
	uint64_t above_4g_bytes; /* from 4 GiB; 0: none */
};

struct ram_split ram_split(uint64_t memory_bytes);

/* The first address after all RAM and 32-bit devices, or UINT64_MAX. */
uint64_t ram_end_gpa(uint64_t memory_bytes);

/* Fills at most MEMORY_MAP_ENTRIES_MAX entries, by rising address; returns how many. */
unsigned memory_map_build(uint64_t memory_bytes, struct memory_map_entry *entries);

#endif
