/* SPDX-License-Identifier: MIT */
/*
 * Guest RAM: regions of host memory and the way from a guest physical
 * address (gpa) to a host pointer. The set of regions is fixed before the first
 * vCPU runs and read without a lock afterwards, on any thread. The bytes are
 * the guest's: they change at any time, so read a value once and check the copy.
 */
#ifndef CORE_MEMORY_H
#define CORE_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/kvm_call.h"

#define GUEST_MEMORY_REGIONS_MAX 4

enum memory_source { MEMORY_ANONYMOUS, MEMORY_MEMFD, MEMORY_HUGETLB };

/* What the host has under guest RAM. */
struct memory_backing {
	enum memory_source source;
	uint64_t page_bytes; /* of MEMORY_HUGETLB; 0: the host's usual huge page */
};

struct guest_memory_region {
	uint64_t gpa, size_bytes;
	enum memory_source source;
	uint8_t *host;
	void *mapping; /* with its guard pages, for munmap */
	uint64_t mapping_bytes;
};

struct guest_memory {
	struct guest_memory_region regions[GUEST_MEMORY_REGIONS_MAX];
	unsigned count;
	struct memory_backing backing; /* of what is added; set before */
};

/*
 * Maps `size_bytes` (a multiple of 4 KiB) of zero-filled RAM at `gpa`, backed as
 * the guest touches it: host side aligned to 2 MiB, huge pages asked for, a
 * PROT_NONE guard page on either side, left out of core dumps, never merged with
 * equal pages. With MEMORY_HUGETLB whole huge pages, set aside at once. 0 or a
 * failure, logged.
 */
int guest_memory_add(struct guest_memory *memory, uint64_t gpa, uint64_t size_bytes);
/* The same of anonymous memory, whatever backs the rest: for a few pages. */
int guest_memory_add_anonymous(struct guest_memory *memory, uint64_t gpa, uint64_t size_bytes);

/* Tells KVM of every region, one slot each. 0 or a failure, logged. */
int guest_memory_register(const struct guest_memory *memory, const struct kvm_call *kvm);

/* The guest reads zeros; all pages but huge ones of its own go back to the host. vCPUs parked,
 * no I/O. */
void guest_memory_clear(struct guest_memory *memory);

/* Unmaps all. No vCPU, worker or I/O may touch it any more. */
void guest_memory_destroy(struct guest_memory *memory);

/*
 * The host address of [gpa, gpa + length), or NULL unless all of it lies inside
 * one region. A `length` of 0 is inside if `gpa` is.
 */
void *guest_memory_at(const struct guest_memory *memory, uint64_t gpa, uint64_t length);

/* Copies; false, and nothing moved, unless all of the range lies inside one region. */
bool guest_memory_read(const struct guest_memory *memory, uint64_t gpa, void *data,
		       uint64_t length);
bool guest_memory_write(const struct guest_memory *memory, uint64_t gpa, const void *data,
			uint64_t length);

uint64_t guest_memory_total_bytes(const struct guest_memory *memory);

#endif
