/* SPDX-License-Identifier: MIT */
/*
 * 64-bit little-endian ELF executables: their loadable segments, by physical
 * address, and their notes. Formats only: which machine, which note and where
 * in RAM is the caller's. Control thread. Failures are logged.
 */
#ifndef BOOT_ELF_H
#define BOOT_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/boot_file.h"

#define ELF_HEADERS_MAX 64

struct elf_segment {
	uint64_t gpa;
	uint64_t file_offset, file_bytes;
	uint64_t memory_bytes; /* >= file_bytes; the rest is zero */
};

struct elf_notes {
	uint64_t file_offset, bytes, alignment;
};

struct elf_image {
	uint64_t entry_gpa;
	struct elf_segment segments[ELF_HEADERS_MAX]; /* sorted by gpa; no two overlap */
	unsigned segment_count;
	struct elf_notes notes[ELF_HEADERS_MAX];
	unsigned notes_count;
};

struct elf_note_id {
	const char *name;
	uint32_t type;
};

/* Whether the file begins as any ELF does. */
bool elf_recognise(const struct boot_file *file);

/*
 * Reads and checks the headers: an executable for `machine` (EM_*), at least one
 * segment, all within the file and the address space. 0 or a failure.
 */
int elf_open(struct elf_image *image, const struct boot_file *file, uint16_t machine);

/* The first address after all segments. */
uint64_t elf_end_gpa(const struct elf_image *image);

/* Whether the address lies in a segment. */
bool elf_contains(const struct elf_image *image, uint64_t gpa);

/* Copies the segments into memory, which is zero so far. 0 or a failure. */
int elf_load(const struct elf_image *image, const struct boot_file *file,
	     const struct guest_memory *memory);

/*
 * Looks for a note and copies at most `size` bytes of its content. Returns the
 * bytes copied, 0 if there is no such note, or a failure.
 */
int elf_find_note(const struct elf_image *image, const struct boot_file *file,
		  const struct elf_note_id *id, void *content, size_t size);

#endif
