// SPDX-License-Identifier: MIT
/*
 * The ELF reader. Every number of the file is checked before it is used as an
 * offset, size or address; nothing is allocated by it. Control thread.
 */
#include "boot/elf.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"

#define NOTE_NAME_MAX 32

bool elf_recognise(const struct boot_file *file)
{
	return boot_file_has(file, 0, ELFMAG, SELFMAG);
}

static int check_header(const struct boot_file *file, const Elf64_Ehdr *header, uint16_t machine)
{
	if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB)
		return fail(EINVAL, "%s: %s: not a 64-bit little-endian ELF", file->role,
			    file->path);
	if (header->e_machine != machine)
		return fail(EINVAL, "%s: %s: ELF for machine %u; this host runs machine %u",
			    file->role, file->path, header->e_machine, machine);
	if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
		return fail(EINVAL, "%s: %s: ELF of type %u is not an executable", file->role,
			    file->path, header->e_type);
	if (header->e_phentsize != sizeof(Elf64_Phdr))
		return fail(EINVAL, "%s: %s: ELF program headers of %u bytes; %zu are right",
			    file->role, file->path, header->e_phentsize, sizeof(Elf64_Phdr));
	if (!header->e_phnum || header->e_phnum > ELF_HEADERS_MAX)
		return fail(EINVAL, "%s: %s: %u ELF program headers; 1 to %d are possible",
			    file->role, file->path, header->e_phnum, ELF_HEADERS_MAX);
	return 0;
}

static int add_segment(struct elf_image *image, const struct boot_file *file,
		       const Elf64_Phdr *header)
{
	struct elf_segment segment = {
		.gpa = header->p_paddr,
		.file_offset = header->p_offset,
		.file_bytes = header->p_filesz,
		.memory_bytes = header->p_memsz,
	};
	unsigned place = image->segment_count;

	if (!segment.memory_bytes)
		return 0;
	if (segment.file_bytes > segment.memory_bytes ||
	    segment.memory_bytes > UINT64_MAX - segment.gpa)
		return fail(EINVAL, "%s: %s: ELF segment at 0x%" PRIx64 " has impossible sizes",
			    file->role, file->path, segment.gpa);
	if (!range_within(segment.file_offset, segment.file_bytes, file->size_bytes))
		return fail(EINVAL,
			    "%s: %s: truncated: the ELF segment at 0x%" PRIx64 " ends at byte %"
			    PRIu64 ", the file at %" PRIu64,
			    file->role, file->path, segment.gpa,
			    segment.file_offset + segment.file_bytes, file->size_bytes);
	while (place && image->segments[place - 1].gpa > segment.gpa) {
		image->segments[place] = image->segments[place - 1];
		place--;
	}
	image->segments[place] = segment;
	image->segment_count++;
	return 0;
}

static int check_segments(const struct elf_image *image, const struct boot_file *file)
{
	if (!image->segment_count)
		return fail(EINVAL, "%s: %s: ELF without anything to load", file->role,
			    file->path);
	for (unsigned i = 1; i < image->segment_count; i++) {
		const struct elf_segment *before = &image->segments[i - 1];

		if (before->gpa + before->memory_bytes > image->segments[i].gpa)
			return fail(EINVAL,
				    "%s: %s: ELF segments overlap at 0x%" PRIx64, file->role,
				    file->path, image->segments[i].gpa);
	}
	return 0;
}

int elf_open(struct elf_image *image, const struct boot_file *file, uint16_t machine)
{
	Elf64_Phdr headers[ELF_HEADERS_MAX];
	Elf64_Ehdr header;
	int error;

	*image = (struct elf_image){ 0 };
	error = boot_file_read(file, 0, &header, sizeof(header));
	if (!error)
		error = check_header(file, &header, machine);
	if (!error)
		error = boot_file_read(file, header.e_phoff, headers,
				       header.e_phnum * sizeof(headers[0]));
	for (unsigned i = 0; !error && i < header.e_phnum; i++) {
		if (headers[i].p_type == PT_LOAD)
			error = add_segment(image, file, &headers[i]);
		if (headers[i].p_type == PT_NOTE)
			image->notes[image->notes_count++] = (struct elf_notes){
				.file_offset = headers[i].p_offset,
				.bytes = headers[i].p_filesz,
				.alignment = headers[i].p_align == 8 ? 8 : 4,
			};
	}
	if (error)
		return error;
	image->entry_gpa = header.e_entry;
	return check_segments(image, file);
}

uint64_t elf_end_gpa(const struct elf_image *image)
{
	const struct elf_segment *last = &image->segments[image->segment_count - 1];

	return last->gpa + last->memory_bytes;
}

bool elf_contains(const struct elf_image *image, uint64_t gpa)
{
	for (unsigned i = 0; i < image->segment_count; i++)
		if (gpa >= image->segments[i].gpa &&
		    gpa - image->segments[i].gpa < image->segments[i].memory_bytes)
			return true;
	return false;
}

int elf_load(const struct elf_image *image, const struct boot_file *file,
	     const struct guest_memory *memory)
{
	for (unsigned i = 0; i < image->segment_count; i++) {
		const struct elf_segment *segment = &image->segments[i];
		int error;

		if (!guest_memory_at(memory, segment->gpa, segment->memory_bytes))
			return fail(EINVAL,
				    "%s: %s: no guest memory for the ELF segment of %" PRIu64
				    " KiB at 0x%" PRIx64 "; give more with --mem",
				    file->role, file->path, segment->memory_bytes / KIB,
				    segment->gpa);
		error = boot_file_load(file, segment->file_offset, memory, segment->gpa,
				       segment->file_bytes);
		if (error)
			return error;
	}
	return 0;
}

/* 1, 0, or -errno. */
static int note_matches(const struct boot_file *file, uint64_t offset, const Elf64_Nhdr *note,
			const struct elf_note_id *id)
{
	char name[NOTE_NAME_MAX];
	int error;

	if (note->n_type != id->type || note->n_namesz != strlen(id->name) + 1 ||
	    note->n_namesz > sizeof(name))
		return 0;
	error = boot_file_read(file, offset, name, note->n_namesz);
	return error ? error : !memcmp(name, id->name, note->n_namesz);
}

/* The same as elf_find_note(), in one run of notes. */
static int find_note_in(const struct elf_notes *notes, const struct boot_file *file,
			const struct elf_note_id *id, void *content, size_t size)
{
	uint64_t offset = 0;
	Elf64_Nhdr note;

	while (range_within(offset, sizeof(note), notes->bytes)) {
		uint64_t start = notes->file_offset + offset, content_offset;
		int error = boot_file_read(file, start, &note, sizeof(note)), matches;

		if (error)
			return error;
		content_offset = align_up(sizeof(note) + (uint64_t)note.n_namesz, notes->alignment);
		if (!range_within(offset, content_offset + note.n_descsz, notes->bytes))
			return fail(EINVAL, "%s: %s: ELF note longer than its section", file->role,
				    file->path);
		matches = note_matches(file, start + sizeof(note), &note, id);
		if (matches < 0)
			return matches;
		if (matches) {
			size = min_u64(size, note.n_descsz);
			error = boot_file_read(file, start + content_offset, content, size);
			return error ? error : (int)size;
		}
		offset += align_up(content_offset + note.n_descsz, notes->alignment);
	}
	return 0;
}

int elf_find_note(const struct elf_image *image, const struct boot_file *file,
		  const struct elf_note_id *id, void *content, size_t size)
{
	int found = 0;

	for (unsigned i = 0; !found && i < image->notes_count; i++) {
		const struct elf_notes *notes = &image->notes[i];

		if (!range_within(notes->file_offset, notes->bytes, file->size_bytes))
			return fail(EINVAL, "%s: %s: ELF notes run past the end of the file",
				    file->role, file->path);
		found = find_note_in(notes, file, id, content, size);
	}
	return found;
}
