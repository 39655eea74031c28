// SPDX-License-Identifier: MIT
/*
 * Guest RAM as anonymous mappings between guard pages. Regions are added on the
 * control thread before any vCPU exists; look-ups are plain reads on any thread.
 */
#include "core/memory.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "base/log.h"

/* A huge page of guest RAM needs gpa and host address to agree in these bits. */
#define REGION_ALIGNMENT (2 * MIB)
#define GUARD_BYTES (64 * KIB) /* the largest page size of any host */

int guest_memory_add(struct guest_memory *memory, uint64_t gpa, uint64_t size_bytes)
{
	struct guest_memory_region *region = &memory->regions[memory->count];
	uint64_t mapping_bytes, start;
	void *mapping;

	assert(memory->count < GUEST_MEMORY_REGIONS_MAX);
	assert(size_bytes && is_aligned(size_bytes | gpa, 4096));
	if (__builtin_add_overflow(size_bytes, REGION_ALIGNMENT + 2 * GUARD_BYTES,
				   &mapping_bytes))
		return fail(EINVAL, "memory: %" PRIu64 " bytes is more than can be addressed",
			    size_bytes);
	mapping = mmap(NULL, mapping_bytes, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mapping == MAP_FAILED)
		return fail_host_errno("memory: reserve %" PRIu64 " MiB; ask for less with --mem",
				       size_bytes / MIB);
	start = align_up((uintptr_t)mapping + GUARD_BYTES, REGION_ALIGNMENT);
	start += gpa % REGION_ALIGNMENT;
	if (start + size_bytes + GUARD_BYTES > (uintptr_t)mapping + mapping_bytes)
		start -= REGION_ALIGNMENT;
	if (mprotect((void *)start, size_bytes, PROT_READ | PROT_WRITE)) {
		int error = fail_host_errno("memory: map %" PRIu64
					    " MiB; ask for less with --mem", size_bytes / MIB);

		munmap(mapping, mapping_bytes);
		return error;
	}
	/* Both are advice: an old or small host runs without. */
	madvise((void *)start, size_bytes, MADV_HUGEPAGE);
	madvise((void *)start, size_bytes, MADV_DONTDUMP);
	*region = (struct guest_memory_region){
		.gpa = gpa,
		.size_bytes = size_bytes,
		.host = (uint8_t *)start,
		.mapping = mapping,
		.mapping_bytes = mapping_bytes,
	};
	memory->count++;
	return 0;
}

int guest_memory_register(const struct guest_memory *memory, const struct kvm_call *kvm)
{
	for (unsigned i = 0; i < memory->count; i++) {
		const struct guest_memory_region *region = &memory->regions[i];
		struct kvm_userspace_memory_region slot = {
			.slot = i,
			.guest_phys_addr = region->gpa,
			.memory_size = region->size_bytes,
			.userspace_addr = (uintptr_t)region->host,
		};
		int error = kvm_call(kvm, KVM_SET_USER_MEMORY_REGION, &slot);

		if (error < 0)
			return fail_host(-error, "memory: KVM refuses %" PRIu64 " MiB at 0x%" PRIx64
					 ": %s; ask for less with --mem",
					 region->size_bytes / MIB, region->gpa, strerror(-error));
	}
	return 0;
}

void guest_memory_clear(struct guest_memory *memory)
{
	for (unsigned i = 0; i < memory->count; i++) {
		struct guest_memory_region *region = &memory->regions[i];

		if (madvise(region->host, region->size_bytes, MADV_DONTNEED))
			memset(region->host, 0, region->size_bytes);
	}
}

void guest_memory_destroy(struct guest_memory *memory)
{
	for (unsigned i = 0; i < memory->count; i++)
		munmap(memory->regions[i].mapping, memory->regions[i].mapping_bytes);
	memory->count = 0;
}

void *guest_memory_at(const struct guest_memory *memory, uint64_t gpa, uint64_t length)
{
	for (unsigned i = 0; i < memory->count; i++) {
		const struct guest_memory_region *region = &memory->regions[i];

		if (gpa >= region->gpa && gpa - region->gpa < region->size_bytes)
			return length <= region->size_bytes - (gpa - region->gpa) ?
				       region->host + (gpa - region->gpa) : NULL;
	}
	return NULL;
}

bool guest_memory_read(const struct guest_memory *memory, uint64_t gpa, void *data,
		       uint64_t length)
{
	const void *host = guest_memory_at(memory, gpa, length);

	if (!host)
		return false;
	memcpy(data, host, length);
	return true;
}

bool guest_memory_write(const struct guest_memory *memory, uint64_t gpa, const void *data,
			uint64_t length)
{
	void *host = guest_memory_at(memory, gpa, length);

	if (!host)
		return false;
	memcpy(host, data, length);
	return true;
}

uint64_t guest_memory_total_bytes(const struct guest_memory *memory)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < memory->count; i++)
		total += memory->regions[i].size_bytes;
	return total;
}
