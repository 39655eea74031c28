// SPDX-License-Identifier: MIT
/*
 * Guest RAM as mappings between guard pages. Regions are added on the control
 * thread before any vCPU exists; look-ups are plain reads on any thread.
 */
#include "core/memory.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/build.h"
#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"

/* A huge page of guest RAM needs gpa and host address to agree in these bits. */
#define REGION_ALIGNMENT (2 * MIB)
#define GUARD_BYTES (64 * KIB) /* the largest page size of any host */

/* An empty file without a name, or -errno. */
static int memory_file_create(const struct memory_backing *backing)
{
	unsigned flags = 0;

	if (backing->source == MEMORY_HUGETLB) {
		flags |= MFD_HUGETLB;
		if (backing->page_bytes)
			flags |= (unsigned)__builtin_ctzll(backing->page_bytes) << MFD_HUGE_SHIFT;
	}
	return fd_memory_file("guest RAM", flags);
}

/*
 * The least that can be mapped. Of huge pages that is what stat calls a block;
 * of a memfd stat may say the same, but its huge pages are no more than a wish.
 */
static uint64_t file_page_bytes(const struct memory_backing *backing, int fd)
{
	struct stat status;

	if (backing->source != MEMORY_HUGETLB)
		return (uint64_t)sysconf(_SC_PAGESIZE);
	return fstat(fd, &status) ? 0 : (uint64_t)status.st_blksize;
}

static int file_refused(const struct guest_memory_region *region,
			const struct memory_backing *backing, int error)
{
	if (backing->source == MEMORY_MEMFD)
		return fail_host(error, "memory: a memfd of %" PRIu64 " MiB: %s; ask for less with "
				 "--mem", region->size_bytes / MIB, strerror(error));
	if (error == ENOMEM)
		return fail_host(error, "memory: too few huge pages are free; set some aside in "
				 "/sys/kernel/mm/hugepages, or run without --memory-backing");
	if (backing->page_bytes)
		return fail_host(error, "memory: huge pages of %" PRIu64 " KiB: %s; name a size "
				 "of /sys/kernel/mm/hugepages", backing->page_bytes / KIB,
				 strerror(error));
	return fail_host(error, "memory: huge pages: %s; run without --memory-backing",
			 strerror(error));
}

/* Address space for a region between guards, with the start that its pages want. */
static int region_reserve(struct guest_memory_region *region, uint64_t alignment)
{
	uint64_t start;

	if (__builtin_add_overflow(region->size_bytes, alignment + 2 * GUARD_BYTES,
				   &region->mapping_bytes))
		return fail(EINVAL, "memory: %" PRIu64 " bytes is more than can be addressed",
			    region->size_bytes);
	region->mapping = mmap(NULL, region->mapping_bytes, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (region->mapping == MAP_FAILED)
		return fail_host_errno("memory: reserve %" PRIu64 " MiB; ask for less with --mem",
				       region->size_bytes / MIB);
	start = align_up((uintptr_t)region->mapping + GUARD_BYTES, alignment);
	start += region->gpa % alignment;
	if (start + region->size_bytes + GUARD_BYTES >
	    (uintptr_t)region->mapping + region->mapping_bytes)
		start -= alignment;
	region->host = (uint8_t *)start;
	return 0;
}

static int region_map_anonymous(struct guest_memory_region *region)
{
	int error = region_reserve(region, REGION_ALIGNMENT);

	if (error || !mprotect(region->host, region->size_bytes, PROT_READ | PROT_WRITE))
		return error;
	error = fail_host_errno("memory: map %" PRIu64 " MiB; ask for less with --mem",
				region->size_bytes / MIB);
	munmap(region->mapping, region->mapping_bytes);
	return error;
}

static int region_map_file(struct guest_memory_region *region,
			   const struct memory_backing *backing, int fd)
{
	uint64_t page_bytes = file_page_bytes(backing, fd);
	int error;

	if (!is_aligned(region->size_bytes | region->gpa, page_bytes))
		return fail(EINVAL, "--mem: in pages of %" PRIu64 " KiB there is no memory of %"
			    PRIu64 " KiB; give a multiple", page_bytes / KIB,
			    region->size_bytes / KIB);
	error = region_reserve(region, page_bytes > REGION_ALIGNMENT ? page_bytes :
								       REGION_ALIGNMENT);
	if (error)
		return error;
	if (!ftruncate(fd, (off_t)region->size_bytes) &&
	    mmap(region->host, region->size_bytes, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED)
		return 0;
	error = file_refused(region, backing, errno);
	munmap(region->mapping, region->mapping_bytes);
	return error;
}

static int region_map(struct guest_memory_region *region, const struct memory_backing *backing)
{
	int fd, error;

	if (backing->source == MEMORY_ANONYMOUS)
		return region_map_anonymous(region);
	fd = memory_file_create(backing);
	if (fd < 0)
		return file_refused(region, backing, -fd);
	error = region_map_file(region, backing, fd);
	close(fd);
	return error;
}

static int region_add(struct guest_memory *memory, const struct memory_backing *backing,
		      uint64_t gpa, uint64_t size_bytes)
{
	struct guest_memory_region region = {
		.gpa = gpa, .size_bytes = size_bytes, .source = backing->source
	};
	int error;

	assert(memory->count < GUEST_MEMORY_REGIONS_MAX);
	assert(size_bytes && is_aligned(size_bytes | gpa, 4096));
	error = region_map(&region, backing);
	if (error)
		return error;
	/* All are advice: an old or small host runs without. Merging may be what a parent wants. */
	madvise(region.host, size_bytes, MADV_HUGEPAGE);
	madvise(region.host, size_bytes, MADV_DONTDUMP);
	madvise(region.host, size_bytes, MADV_UNMERGEABLE);
	memory->regions[memory->count++] = region;
	return 0;
}

int guest_memory_add(struct guest_memory *memory, uint64_t gpa, uint64_t size_bytes)
{
	return region_add(memory, &memory->backing, gpa, size_bytes);
}

int guest_memory_add_anonymous(struct guest_memory *memory, uint64_t gpa, uint64_t size_bytes)
{
	return region_add(memory, &(const struct memory_backing){ MEMORY_ANONYMOUS }, gpa,
			  size_bytes);
}

/* KVM may not take every mapping, such as a shared one for tagged memory before Linux 6.2. */
static int kvm_refused(const struct guest_memory_region *region, int error)
{
	bool by_kind = error == EINVAL && region->source != MEMORY_ANONYMOUS;

	return fail_host(error, "memory: KVM refuses %" PRIu64 " MiB at 0x%" PRIx64 ": %s; %s",
			 region->size_bytes / MIB, region->gpa, strerror(error),
			 by_kind ? "run without --memory-backing" : "ask for less with --mem");
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
			return kvm_refused(region, -error);
		/*
		 * A guest may give one buffer to two devices: what their threads make of it
		 * is its own loss. What rings need of order is looked for in unit tests,
		 * whose memory no KVM is told of.
		 */
		build_expect_races(region->host, region->size_bytes);
	}
	return 0;
}

/*
 * A huge page given back is one that somebody else may take, and the guest's
 * next touch of it would end us: those are kept.
 */
static bool region_give_back(const struct guest_memory_region *region)
{
	switch (region->source) {
	case MEMORY_ANONYMOUS:
		return !madvise(region->host, region->size_bytes, MADV_DONTNEED);
	case MEMORY_MEMFD:
		return !madvise(region->host, region->size_bytes, MADV_REMOVE);
	default:
		return false;
	}
}

void guest_memory_clear(struct guest_memory *memory)
{
	for (unsigned i = 0; i < memory->count; i++)
		if (!region_give_back(&memory->regions[i]))
			memset(memory->regions[i].host, 0, memory->regions[i].size_bytes);
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
