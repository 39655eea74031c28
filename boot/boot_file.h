/* SPDX-License-Identifier: MIT */
/*
 * Files to boot from (kernel, initrd): opened once, read with bounds checks
 * straight into guest memory, at each boot of the machine anew. Control thread.
 * Failures are logged with the file's role and path.
 */
#ifndef BOOT_BOOT_FILE_H
#define BOOT_BOOT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/memory.h"

struct boot_file {
	const char *role; /* "kernel", "initrd" */
	const char *path;
	int fd;
	uint64_t size_bytes; /* never 0 */
};

/* A regular file that is not empty. 0 or a failure. */
int boot_file_open(struct boot_file *file, const char *role, const char *path);
void boot_file_close(struct boot_file *file);

/* What a machine boots from; stays open for its life, as nothing may be opened later. */
struct boot_files {
	struct boot_file kernel, initrd; /* initrd.fd < 0: none */
};

/* `initrd_path` may be NULL. 0 or a failure, with nothing left open. */
int boot_files_open(struct boot_files *files, const char *kernel_path, const char *initrd_path);
void boot_files_close(struct boot_files *files);

/* Whether the file has these few bytes there; silent. */
bool boot_file_has(const struct boot_file *file, uint64_t offset, const void *bytes,
		   size_t length);

/* All of [offset, offset + length), or a failure that calls the file truncated. */
int boot_file_read(const struct boot_file *file, uint64_t offset, void *buffer,
		   uint64_t length);

/* The same, to a guest address; a failure too if there is no RAM there. */
int boot_file_load(const struct boot_file *file, uint64_t offset,
		   const struct guest_memory *memory, uint64_t gpa, uint64_t length);

#endif
