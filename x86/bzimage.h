/* SPDX-License-Identifier: MIT */
/*
 * Linux's bzImage and boot_params, by the x86 boot protocol
 * (Documentation/arch/x86/boot.rst). Control thread. Failures are logged.
 */
#ifndef X86_BZIMAGE_H
#define X86_BZIMAGE_H

#include <asm/bootparam.h>
#include <stdint.h>

#include "x86/kernel.h"

struct bzimage {
	struct setup_header header; /* as in the file, checked */
	uint64_t payload_offset, payload_bytes; /* of the 64-bit kernel in the file */
};

/* Checks that the file is a bzImage with a 64-bit entry. 0 or a failure. */
int bzimage_open(struct bzimage *image, const struct boot_file *file);

/* Loads the kernel; sets end_gpa, the limits and the entry. 0 or a failure. */
int bzimage_load(const struct bzimage *image, struct kernel_load *load);

/*
 * Writes boot_params for a kernel that is loaded. `header` is the bzImage's, or
 * NULL for an ELF.
 */
int boot_params_write(const struct kernel_load *load, const struct setup_header *header);

#endif
