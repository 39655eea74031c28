/* SPDX-License-Identifier: MIT */
/*
 * Loads a kernel and its initrd into guest memory and finds a place for the
 * device tree, as Documentation/arch/arm64/booting.rst wants them. Control
 * thread; memory is zero before. Failures are logged.
 */
#ifndef ARM64_KERNEL_H
#define ARM64_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/boot_file.h"
#include "core/memory.h"

struct kernel_config {
	const struct guest_memory *memory; /* memory_bytes from LAYOUT_RAM_GPA on */
	uint64_t memory_bytes;
	const struct boot_files *files; /* no longer compressed by gzip */
	unsigned granules;   /* GRANULE_* of the processors */
	uint64_t tree_bytes; /* at most DEVICE_TREE_BYTES_MAX */
};

/* What ends up where; none of them shares a byte with another. */
struct kernel_places {
	uint64_t kernel_gpa; /* where it is entered */
	bool flat;	     /* the kernel is no Image */
	uint64_t initrd_gpa, initrd_bytes; /* 0: none */
	uint64_t tree_gpa;   /* room for tree_bytes */
};

/* 0 or a failure. */
int kernel_load(const struct kernel_config *config, struct kernel_places *places);

#endif
