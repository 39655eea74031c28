/* SPDX-License-Identifier: MIT */
/*
 * Loads a kernel, its initrd and its command line into guest memory and says
 * how to enter it. A bzImage is entered by the 64-bit entry of the Linux boot
 * protocol; an ELF by its PVH note if it has one, else at its entry point as
 * Linux's startup_64 is. Control thread; memory is zero before. Failures are
 * logged.
 */
#ifndef X86_KERNEL_H
#define X86_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/boot_file.h"
#include "core/memory.h"
#include "x86/vcpu_regs.h"

struct kernel_config {
	const struct guest_memory *memory;
	uint64_t memory_bytes;
	const struct boot_files *files;
	const char *command_line;
	uint64_t rsdp_gpa;
	bool ignore_pvh; /* enter an ELF at its entry point even if it has the note */
};

/* What the formats need to know of each other; filled in the order of the fields. */
struct kernel_load {
	const struct kernel_config *config;
	const struct boot_file *file; /* the kernel */
	uint64_t end_gpa;               /* first address the kernel leaves alone */
	uint64_t initrd_limit_gpa;      /* the initrd must end here or before */
	uint64_t command_line_limit;    /* characters, without the NUL */
	uint64_t initrd_gpa, initrd_bytes; /* 0: none */
	struct kernel_entry entry;
};

/* 0 or a failure. */
int kernel_load(const struct kernel_config *config, struct kernel_entry *entry);

#endif
