// SPDX-License-Identifier: MIT
/* The ELF reader and the file reader below it: good files, then hostile ones. */
#include "tests/unit/unit.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "boot/elf.h"
#include "tests/unit/boot_files.h"

/* Two segments, the higher one first, and a run of notes. */
struct sample {
	Elf64_Ehdr header;
	Elf64_Phdr programs[4];
	struct {
		Elf64_Nhdr other;
		char other_name[8], other_content[4];
		Elf64_Nhdr wanted;
		char wanted_name[4], wanted_content[8];
	} notes;
	char code[64], data[32];
};

static const struct elf_note_id wanted = { "Xen", 18 };

static struct sample sample_make(void)
{
	struct sample s = {
		.header = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_entry = 0x200010,
			.e_phoff = offsetof(struct sample, programs),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 4,
		},
		.programs = {
			{ .p_type = PT_LOAD, .p_offset = offsetof(struct sample, data),
			  .p_paddr = 0x300000, .p_filesz = 32, .p_memsz = 4096 },
			{ .p_type = PT_LOAD, .p_offset = offsetof(struct sample, code),
			  .p_paddr = 0x200000, .p_filesz = 64, .p_memsz = 64 },
			{ .p_type = PT_NOTE, .p_offset = offsetof(struct sample, notes),
			  .p_filesz = sizeof(s.notes), .p_align = 4 },
			{ .p_type = PT_LOAD, .p_paddr = 0x900000 },
		},
		.notes = {
			.other = { .n_namesz = 6, .n_descsz = 3, .n_type = 18 }, .other_name = "Linux",
			.wanted = { .n_namesz = 4, .n_descsz = 8, .n_type = 18 },
			.wanted_name = "Xen", .wanted_content = { 0x34, 0x12, 0x20 },
		},
	};

	memset(s.code, 'c', sizeof(s.code));
	memset(s.data, 'd', sizeof(s.data));
	return s;
}

static struct boot_file file_of(const void *bytes, size_t length)
{
	struct boot_file file;

	assert_int_equal(boot_file_open(&file, "kernel", boot_file_make(bytes, length)), 0);
	return file;
}

static void test_good(void **state)
{
	struct sample s = sample_make();
	struct boot_file file = file_of(&s, sizeof(s));
	struct guest_memory *memory = boot_memory_make(8 * MIB);
	struct elf_image image;
	uint8_t content[8], *ram;

	(void)state;
	assert_true(elf_recognise(&file));
	assert_int_equal(elf_open(&image, &file, EM_X86_64), 0);
	assert_int_equal(image.segment_count, 2);
	assert_int_equal(image.segments[0].gpa, 0x200000);
	assert_int_equal(elf_end_gpa(&image), 0x301000);
	assert_true(elf_contains(&image, image.entry_gpa));
	assert_true(elf_contains(&image, 0x300fff));
	assert_false(elf_contains(&image, 0x301000));
	assert_int_equal(elf_load(&image, &file, memory), 0);
	ram = guest_memory_at(memory, 0x200000, 2 * MIB);
	assert_int_equal(ram[63], 'c');
	assert_int_equal(ram[64], 0);
	assert_int_equal(ram[0x100000], 'd');
	assert_int_equal(ram[0x100020], 0);
	assert_int_equal(elf_find_note(&image, &file, &wanted, content, 8), 8);
	assert_int_equal(load_le32(content), 0x201234);
	assert_int_equal(elf_find_note(&image, &file, &(struct elf_note_id){ "Xen", 19 }, content,
				       8), 0);
	boot_file_close(&file);
}

/* Notes whose contents are aligned to 8 bytes, as newer linkers may do. */
static void test_note_alignment(void **state)
{
	struct sample s = sample_make();
	struct elf_image image;
	struct boot_file file;
	uint8_t content[4];

	(void)state;
	/* 12 + 4 bytes: the content is aligned either way. */
	s.programs[2].p_align = 8;
	s.programs[2].p_offset = offsetof(struct sample, notes.wanted);
	s.programs[2].p_filesz = 24;
	file = file_of(&s, sizeof(s));
	assert_int_equal(elf_open(&image, &file, EM_X86_64), 0);
	assert_int_equal(elf_find_note(&image, &file, &wanted, content, sizeof(content)), 4);
	boot_file_close(&file);
}

/* What elf_open() says about the sample after `change`. */
static bool refused(void (*change)(struct sample *), const char *text)
{
	struct sample s = sample_make();
	struct elf_image image;
	struct boot_file file;
	int error;

	change(&s);
	file = file_of(&s, sizeof(s));
	message_begin();
	error = elf_open(&image, &file, EM_X86_64);
	boot_file_close(&file);
	return message_end(text) && error == -EINVAL;
}

static void make_32bit(struct sample *s) { s->header.e_ident[EI_CLASS] = ELFCLASS32; }
static void make_big_endian(struct sample *s) { s->header.e_ident[EI_DATA] = ELFDATA2MSB; }
static void make_arm(struct sample *s) { s->header.e_machine = EM_AARCH64; }
static void make_object(struct sample *s) { s->header.e_type = ET_REL; }
static void make_odd_headers(struct sample *s) { s->header.e_phentsize = 32; }
static void make_no_headers(struct sample *s) { s->header.e_phnum = 0; }
static void make_many_headers(struct sample *s) { s->header.e_phnum = 0xffff; }
static void move_headers(struct sample *s) { s->header.e_phoff = UINT64_MAX - 8; }
static void make_more_headers(struct sample *s) { s->header.e_phnum = 60; }
static void grow_file_part(struct sample *s) { s->programs[0].p_filesz = 5000; }
static void wrap_memory(struct sample *s) { s->programs[0].p_memsz = UINT64_MAX - 0x1000; }
static void move_segment(struct sample *s) { s->programs[1].p_offset = sizeof(*s) - 10; }
static void wrap_offset(struct sample *s) { s->programs[1].p_offset = UINT64_MAX - 10; }
static void overlap(struct sample *s) { s->programs[1].p_memsz = 0x100001; }

static void load_nothing(struct sample *s)
{
	s->programs[0].p_type = s->programs[1].p_type = PT_NULL;
}

static void test_hostile_headers(void **state)
{
	(void)state;
	assert_true(refused(make_32bit, "not a 64-bit"));
	assert_true(refused(make_big_endian, "little-endian"));
	assert_true(refused(make_arm, "ELF for machine 183"));
	assert_true(refused(make_object, "type 1 is not an executable"));
	assert_true(refused(make_odd_headers, "headers of 32 bytes"));
	assert_true(refused(make_no_headers, "0 ELF program headers"));
	assert_true(refused(make_many_headers, "65535 ELF program headers"));
	assert_true(refused(move_headers, "truncated"));
	assert_true(refused(make_more_headers, "truncated"));
	assert_true(refused(grow_file_part, "impossible sizes"));
	assert_true(refused(wrap_memory, "impossible sizes"));
	assert_true(refused(move_segment, "truncated"));
	assert_true(refused(wrap_offset, "truncated"));
	assert_true(refused(overlap, "overlap at 0x300000"));
	assert_true(refused(load_nothing, "without anything to load"));
}

static int note_result(struct sample *s)
{
	struct elf_image image;
	struct boot_file file = file_of(s, sizeof(*s));
	uint8_t content[8];
	int result;

	assert_int_equal(elf_open(&image, &file, EM_X86_64), 0);
	result = elf_find_note(&image, &file, &wanted, content, sizeof(content));
	boot_file_close(&file);
	return result;
}

static void test_hostile_notes(void **state)
{
	struct sample s = sample_make();

	(void)state;
	s.programs[2].p_filesz = UINT64_MAX;
	assert_int_equal(note_result(&s), -EINVAL);
	s = sample_make();
	s.notes.other.n_descsz = UINT32_MAX;
	assert_int_equal(note_result(&s), -EINVAL);
	s = sample_make();
	s.notes.wanted.n_namesz = UINT32_MAX;
	assert_int_equal(note_result(&s), -EINVAL);
	/* A name that matches only as far as it goes. */
	s = sample_make();
	s.notes.wanted_name[3] = 'X';
	assert_int_equal(note_result(&s), 0);
	/* Too short for another note: the end. */
	s = sample_make();
	s.programs[2].p_filesz = 24 + 8;
	assert_int_equal(note_result(&s), 0);
}

static void test_load_needs_memory(void **state)
{
	struct sample s = sample_make();
	struct boot_file file = file_of(&s, sizeof(s));
	struct guest_memory *memory = boot_memory_make(3 * MIB);
	struct elf_image image;

	(void)state;
	assert_int_equal(elf_open(&image, &file, EM_X86_64), 0);
	message_begin();
	assert_int_equal(elf_load(&image, &file, memory), -EINVAL);
	assert_true(message_end("--mem"));
	boot_file_close(&file);
}

static void test_files(void **state)
{
	struct guest_memory *memory = boot_memory_make(2 * MIB);
	char fifo[] = "/tmp/ringvm-fifo-XXXXXX", byte;
	struct boot_file file;

	(void)state;
	message_begin();
	assert_int_equal(boot_file_open(&file, "kernel", "/nowhere/vmlinuz"), -ENOENT);
	assert_true(message_end("ringvm: kernel: /nowhere/vmlinuz: open: No such file or directory; "
				"check the path\n"));
	message_begin();
	assert_int_equal(boot_file_open(&file, "kernel", "/tmp"), -EISDIR);
	assert_true(message_end("is a directory"));
	message_begin();
	assert_int_equal(boot_file_open(&file, "initrd", boot_file_make("", 0)), -EINVAL);
	assert_true(message_end(": the file is empty; name another, or make it anew\n"));
	assert_int_equal(mkstemp(fifo) >= 0 && !unlink(fifo) && !mkfifo(fifo, 0600), 1);
	message_begin();
	assert_int_equal(boot_file_open(&file, "kernel", fifo), -EINVAL);
	assert_true(message_end(": not a regular file; copy it to one\n"));
	unlink(fifo);

	file = file_of("abcdef", 6);
	assert_false(elf_recognise(&file));
	assert_int_equal(boot_file_load(&file, 2, memory, 0x1000, 4), 0);
	assert_memory_equal(guest_memory_at(memory, 0x1000, 4), "cdef", 4);
	message_begin();
	assert_int_equal(boot_file_load(&file, 0, memory, 2 * MIB - 2, 4), -EINVAL);
	assert_true(message_end("do not fit into guest memory at 0x1ffffe"));
	/* It shrinks behind our back. */
	assert_int_equal(truncate(file.path, 3), 0);
	message_begin();
	assert_int_equal(boot_file_read(&file, 5, &byte, 1), -EINVAL);
	assert_true(message_end("became shorter while it was read; try again when it is whole\n"));
	boot_file_close(&file);
	message_begin();
	assert_int_equal(boot_file_read(&file, 0, &byte, 1), -EBADF);
	assert_true(message_end("read: "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_note_alignment),
		cmocka_unit_test(test_hostile_headers),
		cmocka_unit_test(test_hostile_notes),
		cmocka_unit_test(test_load_needs_memory),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, boot_teardown);
}
