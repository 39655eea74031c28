// SPDX-License-Identifier: MIT
/*
 * The kernel goes to the start of RAM. The device tree goes to the end of RAM
 * or of its first 512 MiB, where kernels before 4.2 want it, and the initrd below
 * it, or above it if it is too large for that, but in either case within the
 * kernel's reach: what follows the kernel is left to it, since an old one or a
 * flat binary does not say how much it needs. Control thread.
 */
#include "arm64/kernel.h"

#include <errno.h>
#include <inttypes.h>

#include "arm64/kernel_image.h"
#include "arm64/layout.h"
#include "base/bytes.h"
#include "base/log.h"

#define TREE_REACH   (512 * MIB)
#define TREE_BLOCK   (2 * MIB)  /* it must not cross the boundary of one */
#define INITRD_REACH (32 * GIB) /* from the GiB boundary at or below the kernel */
#define ALIGNMENT    (64 * KIB) /* the largest page of any guest */

/* A stretch of RAM that is still free. */
struct gap {
	uint64_t start, end; /* end < start: nothing */
};

static uint64_t gap_bytes(const struct gap *gap)
{
	return gap->end > gap->start ? gap->end - gap->start : 0;
}

static int load_kernel(const struct kernel_config *config, struct kernel_places *places,
		       struct gap *gap)
{
	const struct boot_file *file = &config->files->kernel;
	struct kernel_image image;
	int error = kernel_image_open(&image, file, config->granules);

	if (error)
		return error;
	if (!range_within(image.text_offset, image.memory_bytes, config->memory_bytes))
		return fail(EINVAL,
			    "%s: %s: needs %" PRIu64 " KiB of RAM at offset 0x%" PRIx64
			    ", the guest has %" PRIu64 " KiB in all; give more with --mem",
			    file->role, file->path, image.memory_bytes / KIB, image.text_offset,
			    config->memory_bytes / KIB);
	places->kernel_gpa = LAYOUT_RAM_GPA + image.text_offset;
	places->flat = image.flat;
	gap->start = align_up(places->kernel_gpa + image.memory_bytes, ALIGNMENT);
	gap->end = LAYOUT_RAM_GPA + align_down(config->memory_bytes, ALIGNMENT);
	return boot_file_load(file, 0, config->memory, places->kernel_gpa, file->size_bytes);
}

/* Takes the tree out of the gap; what is below it and above it remain. */
static int place_tree(const struct kernel_config *config, struct kernel_places *places,
		      struct gap *below, struct gap *above)
{
	uint64_t bytes = align_up(config->tree_bytes, ALIGNMENT);
	uint64_t reach = LAYOUT_RAM_GPA + TREE_REACH, end = below->end;

	if (end > reach && below->start + 2 * TREE_BLOCK <= reach)
		end = reach;
	if (end % TREE_BLOCK && end % TREE_BLOCK < bytes)
		end = align_down(end, TREE_BLOCK);
	if (end < below->start || bytes > end - below->start)
		return fail(EINVAL, "kernel: %s: no room for a device tree of %" PRIu64 " KiB "
			    "behind it; give more with --mem", config->files->kernel.path,
			    bytes / KIB);
	places->tree_gpa = end - bytes;
	above->start = end;
	above->end = below->end;
	below->end = places->tree_gpa;
	return 0;
}

static bool cut_gap(struct gap *gap, uint64_t end)
{
	bool cut = gap->end > end;

	gap->end = min_u64(gap->end, end);
	return cut;
}

static int load_initrd(const struct kernel_config *config, struct kernel_places *places,
		       struct gap *below, struct gap *above)
{
	const struct boot_file *file = &config->files->initrd;
	uint64_t reach = align_down(places->kernel_gpa, GIB) + INITRD_REACH;
	bool below_cut = cut_gap(below, reach), above_cut = cut_gap(above, reach);
	const struct gap *gap = file->size_bytes <= gap_bytes(below) ? below : above;

	if (file->fd < 0)
		return 0;
	if (file->size_bytes > gap_bytes(gap))
		return fail(EINVAL,
			    "initrd: %s: %" PRIu64 " KiB do not fit into the %" PRIu64
			    " KiB of RAM that the kernel leaves%s", file->path,
			    file->size_bytes / KIB,
			    max_u64(gap_bytes(below), gap_bytes(above)) / KIB,
			    below_cut || above_cut ? " within 32 GiB of it" :
						     "; give more with --mem");
	places->initrd_bytes = file->size_bytes;
	places->initrd_gpa = align_down(gap->end - file->size_bytes, ALIGNMENT);
	return boot_file_load(file, 0, config->memory, places->initrd_gpa, file->size_bytes);
}

int kernel_load(const struct kernel_config *config, struct kernel_places *places)
{
	struct gap below, above = { 0 };
	int error;

	*places = (struct kernel_places){ 0 };
	error = load_kernel(config, places, &below);
	if (!error)
		error = place_tree(config, places, &below, &above);
	return error ? error : load_initrd(config, places, &below, &above);
}
