// SPDX-License-Identifier: MIT
/* The guest's RAM map, from its size alone. Any thread, no state. */
#include "x86/memory_map.h"

#include "base/bytes.h"
#include "x86/layout.h"

struct ram_split ram_split(uint64_t memory_bytes)
{
	uint64_t below = min_u64(memory_bytes, LAYOUT_RAM_BELOW_4G_MAX);

	return (struct ram_split){
		.below_4g_bytes = below,
		.above_4g_bytes = memory_bytes - below,
	};
}

uint64_t ram_end_gpa(uint64_t memory_bytes)
{
	uint64_t end;

	if (__builtin_add_overflow(LAYOUT_RAM_ABOVE_4G_GPA,
				   ram_split(memory_bytes).above_4g_bytes, &end))
		return UINT64_MAX;
	return end;
}

unsigned memory_map_build(uint64_t memory_bytes, struct memory_map_entry *entries)
{
	struct ram_split split = ram_split(memory_bytes);
	unsigned count = 0;

	entries[count++] = (struct memory_map_entry){
		.gpa = 0, .size_bytes = LAYOUT_LOW_RAM_END, .kind = MEMORY_KIND_RAM,
	};
	entries[count++] = (struct memory_map_entry){
		.gpa = LAYOUT_LOW_RAM_END,
		.size_bytes = LAYOUT_HIGH_RAM_GPA - LAYOUT_LOW_RAM_END,
		.kind = MEMORY_KIND_RESERVED,
	};
	if (split.below_4g_bytes > LAYOUT_HIGH_RAM_GPA)
		entries[count++] = (struct memory_map_entry){
			.gpa = LAYOUT_HIGH_RAM_GPA,
			.size_bytes = split.below_4g_bytes - LAYOUT_HIGH_RAM_GPA,
			.kind = MEMORY_KIND_RAM,
		};
	entries[count++] = (struct memory_map_entry){
		.gpa = LAYOUT_ECAM_GPA,
		.size_bytes = LAYOUT_ECAM_BYTES,
		.kind = MEMORY_KIND_RESERVED,
	};
	if (split.above_4g_bytes)
		entries[count++] = (struct memory_map_entry){
			.gpa = LAYOUT_RAM_ABOVE_4G_GPA,
			.size_bytes = split.above_4g_bytes,
			.kind = MEMORY_KIND_RAM,
		};
	return count;
}
