/* SPDX-License-Identifier: MIT */
/*
 * The x86/HVM direct boot ABI that Xen calls PVH: the ELF note that names the
 * entry point, and the start info that tells the kernel of its memory, command
 * line, initrd and RSDP. Control thread. Failures are logged.
 */
#ifndef X86_PVH_H
#define X86_PVH_H

#include "boot/elf.h"
#include "x86/kernel.h"

/* Returns 1 and the entry point if the ELF has the note, 0 if not, or a failure. */
int pvh_find_entry(const struct elf_image *image, const struct boot_file *file,
		   uint64_t *entry_gpa);

/* Writes start info for a kernel that is loaded. 0 or a failure. */
int pvh_write_start_info(const struct kernel_load *load);

#endif
