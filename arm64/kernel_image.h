/* SPDX-License-Identifier: MIT */
/*
 * Which kind of kernel a file is, and the header of an arm64 Image
 * (Documentation/arch/arm64/booting.rst, 4). A file without a header is a flat
 * binary; what is known to be something else is refused by its name. Control
 * thread. Failures are logged.
 */
#ifndef ARM64_KERNEL_IMAGE_H
#define ARM64_KERNEL_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/boot_file.h"

/* Page sizes ("translation granules") that a processor has, as the header counts them. */
#define GRANULE_4K  (1u << 1)
#define GRANULE_16K (1u << 2)
#define GRANULE_64K (1u << 3)

struct kernel_image {
	uint64_t text_offset;  /* from a base aligned to 2 MiB */
	uint64_t memory_bytes; /* from there on, for the file and what follows it; never less */
	bool flat;	       /* a file without the header of an Image */
};

/* GRANULE_* out of ID_AA64MMFR0_EL1. */
unsigned kernel_image_granules(uint64_t id_aa64mmfr0);

/* `granules`: GRANULE_* that the guest's processors have. 0 or a failure. */
int kernel_image_open(struct kernel_image *image, const struct boot_file *file,
		      unsigned granules);

#endif
