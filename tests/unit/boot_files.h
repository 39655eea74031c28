/* SPDX-License-Identifier: MIT */
/*
 * For tests of what is loaded at boot: made-up files and guest memory.
 */
#ifndef TESTS_UNIT_BOOT_FILES_H
#define TESTS_UNIT_BOOT_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "core/memory.h"
#include "tests/unit/message.h"

/* A temporary file with these bytes; the path lives until boot_files_remove(). */
const char *boot_file_make(const void *bytes, size_t length);
void boot_files_remove(void);

/* RAM as arch_vm_add_memory() would make it, zero; one at a time. */
struct guest_memory *boot_memory_make(uint64_t bytes);
void boot_memory_free(void);

/* For cmocka: files and memory go. */
int boot_teardown(void **state);

#endif
