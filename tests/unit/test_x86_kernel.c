// SPDX-License-Identifier: MIT
/* Kernels into memory: bzImage, ELF by PVH and by its entry point, initrd, hostile headers. */
#include "tests/unit/unit.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/unit/boot_files.h"
#include "tests/unit/bzimage.h"
#include "x86/kernel.h"
#include "x86/layout.h"
#include "x86/reset_vector.h"

#define PAYLOAD_BYTES 8000
#define RSDP          0xe0000

struct bz {
	uint8_t bytes[BZIMAGE_SETUP_BYTES + PAYLOAD_BYTES];
	size_t length;
	struct setup_header *header;
};

static void bz_make(struct bz *bz)
{
	memset(bz->bytes, 0xee, sizeof(bz->bytes));
	bz->length = sizeof(bz->bytes);
	bz->header = (struct setup_header *)(bz->bytes + BZIMAGE_HEADER_OFFSET);
	memset(bz->bytes + BZIMAGE_SETUP_BYTES, 'k', PAYLOAD_BYTES);
	*bz->header = bzimage_header(PAYLOAD_BYTES);
	bz->header->setup_data = 0x1234;
}

/* What load() opens. */
static const char *kernel_path, *initrd_path;

static struct kernel_config config_of(const char *path, uint64_t memory_bytes)
{
	kernel_path = path;
	initrd_path = NULL;
	return (struct kernel_config){
		.memory = boot_memory_make(memory_bytes),
		.memory_bytes = memory_bytes,
		.command_line = "console=ttyS0",
		.rsdp_gpa = RSDP,
	};
}

static int load(struct kernel_config *config, struct kernel_entry *entry)
{
	struct boot_files files;
	int error = boot_files_open(&files, kernel_path, initrd_path);

	if (error)
		return error;
	config->files = &files;
	error = kernel_load(config, entry);
	boot_files_close(&files);
	return error;
}

static void *ram(const struct kernel_config *config, uint64_t gpa, uint64_t length)
{
	void *host = guest_memory_at(config->memory, gpa, length);

	assert_non_null(host);
	return host;
}

/* Walks the page tables that the boot vCPU starts with. */
static uint64_t translate(const struct kernel_config *config, uint64_t address)
{
	uint64_t entry = LAYOUT_PAGE_TABLES_GPA;

	for (unsigned shift = 39; shift >= 21; shift -= 9) {
		uint64_t *table = ram(config, entry & ~UINT64_C(0xfff), 4096);

		entry = table[address >> shift & 511];
		assert_int_equal(entry & 3, 3);
		assert_int_equal(!!(entry & 0x80), shift == 21);
	}
	return (entry & ~UINT64_C(0x1fffff)) | (address & 0x1fffff);
}

static void test_bzimage(void **state)
{
	struct kernel_config config;
	struct boot_params *params;
	struct kernel_entry entry;
	struct bz bz;

	(void)state;
	bz_make(&bz);
	config = config_of(boot_file_make(bz.bytes, bz.length), 5 * GIB + 4096);
	initrd_path = boot_file_make("initrd", 6);
	assert_int_equal(load(&config, &entry), 0);
	assert_int_equal(entry.mode, ENTRY_64BIT);
	assert_int_equal(entry.gpa, 0x1000200);
	assert_int_equal(entry.argument_gpa, LAYOUT_BOOT_PARAMS_GPA);
	assert_memory_equal(ram(&config, 0x1000000, PAYLOAD_BYTES), bz.bytes + BZIMAGE_SETUP_BYTES,
			    PAYLOAD_BYTES);

	params = ram(&config, entry.argument_gpa, sizeof(*params));
	assert_int_equal(params->sentinel, 0);
	assert_int_equal(params->hdr.type_of_loader, 0xff);
	assert_int_equal(params->hdr.version, 0x20f);
	assert_int_equal(params->hdr.setup_data, 0);
	assert_int_equal(params->acpi_rsdp_addr, RSDP);
	assert_string_equal(ram(&config, params->hdr.cmd_line_ptr, 14), "console=ttyS0");
	/* The initrd ends below 2 GiB, as the header says. */
	assert_int_equal(params->hdr.ramdisk_image, 0x7ffff000);
	assert_int_equal(params->hdr.ramdisk_size, 6);
	assert_memory_equal(ram(&config, 0x7ffff000, 6), "initrd", 6);
	assert_int_equal(params->e820_entries, 5);
	assert_int_equal(params->e820_table[2].addr, MIB);
	assert_int_equal(params->e820_table[2].size, 3 * GIB - MIB);
	assert_int_equal(params->e820_table[4].addr, 4 * GIB);
	assert_int_equal(params->e820_table[4].size, 2 * GIB + 4096);
	assert_int_equal(translate(&config, 0xfee00123), 0xfee00123);
	assert_int_equal(translate(&config, 0x1000200), 0x1000200);
	assert_int_equal(*(uint64_t *)ram(&config, LAYOUT_GDT_GPA + 0x10, 8), 0xaf9b000000ffff);
	assert_int_equal(*(uint64_t *)ram(&config, LAYOUT_GDT_GPA + 0x18, 8), 0xcf93000000ffff);
}

/* In little memory the initrd ends where RAM does. */
static void test_small_memory(void **state)
{
	const struct boot_params *params;
	struct kernel_config config;
	struct kernel_entry entry;
	struct bz bz;

	(void)state;
	bz_make(&bz);
	bz.header->initrd_addr_max = 0;
	bz.header->setup_sects = 0; /* means 4 */
	bz.header->syssize = (sizeof(bz.bytes) - 5 * 512) / 16;
	config = config_of(boot_file_make(bz.bytes, bz.length), 20 * MIB + 4096);
	initrd_path = boot_file_make(bz.bytes, 5000);
	assert_int_equal(load(&config, &entry), 0);
	params = ram(&config, LAYOUT_BOOT_PARAMS_GPA, sizeof(*params));
	assert_int_equal(params->hdr.ramdisk_image, 20 * MIB - 4096);
	assert_int_equal(params->e820_entries, 4);
}

/* What kernel_load() says about the bzImage after `change`, with 32 MiB of RAM. */
static bool refused(void (*change)(struct bz *), const char *text)
{
	struct kernel_config config;
	struct kernel_entry entry;
	struct bz bz;
	int error;

	bz_make(&bz);
	change(&bz);
	config = config_of(boot_file_make(bz.bytes, bz.length), 32 * MIB);
	message_begin();
	error = load(&config, &entry);
	return message_end(text) && error == -EINVAL;
}

static void lose_magic(struct bz *bz) { bz->header->header = 0; }
static void lose_flag(struct bz *bz) { bz->header->boot_flag = 0; }
static void make_short(struct bz *bz) { bz->length = 600; }
static void make_old(struct bz *bz) { bz->header->version = 0x20b; }
static void make_zimage(struct bz *bz) { bz->header->loadflags = 0; }
static void make_32bit(struct bz *bz) { bz->header->xloadflags = 0; }
static void cut(struct bz *bz) { bz->length -= 17; }
static void cut_setup(struct bz *bz) { bz->header->setup_sects = 255; }
static void claim_more(struct bz *bz) { bz->header->syssize = UINT32_MAX; }
static void claim_nothing(struct bz *bz) { bz->header->syssize = 0; }
static void load_low(struct bz *bz) { bz->header->pref_address = 0x1000; }
static void load_wrapping(struct bz *bz) { bz->header->pref_address = UINT64_MAX - 0x1000; }
static void load_in_hole(struct bz *bz) { bz->header->pref_address = 0xc0000000; }
static void load_above(struct bz *bz) { bz->header->pref_address = 32 * MIB - 4096; }
static void want_much(struct bz *bz) { bz->header->init_size = UINT32_MAX; }
/* The header ends before it says anything of 64 bits. */
static void end_header(struct bz *bz) { bz->header->jump = 0x10eb; }

static void test_hostile_bzimages(void **state)
{
	(void)state;
	assert_true(refused(lose_magic, "no HdrS at 0x202"));
	assert_true(refused(lose_flag, "no HdrS at 0x202"));
	assert_true(refused(make_short, "600 bytes are too few"));
	assert_true(refused(make_old, "boot protocol 2.11"));
	assert_true(refused(make_zimage, "zImage"));
	assert_true(refused(make_32bit, "32-bit kernel"));
	assert_true(refused(cut, "truncated: its header tells of 9536 bytes, it has 9519"));
	assert_true(refused(cut_setup, "truncated"));
	assert_true(refused(claim_more, "truncated"));
	assert_true(refused(claim_nothing, "truncated"));
	assert_true(refused(load_low, "where there is never RAM"));
	assert_true(refused(load_wrapping, "where there is never RAM"));
	assert_true(refused(load_in_hole, "where there is never RAM"));
	assert_true(refused(load_above, "needs RAM up to 35 MiB, the guest has 32 MiB"));
	assert_true(refused(want_much, "--mem"));
	assert_true(refused(end_header, "32-bit kernel"));
}

static void test_initrd_refused(void **state)
{
	uint8_t *big = calloc(1, 13 * MIB + 1);
	struct kernel_config config;
	struct kernel_entry entry;
	struct bz bz;

	(void)state;
	assert_non_null(big);
	bz_make(&bz);
	/* The kernel ends at 19 MiB: 13 are left, not one byte more. */
	config = config_of(boot_file_make(bz.bytes, bz.length), 32 * MIB);
	initrd_path = boot_file_make(big, 13 * MIB + 1);
	message_begin();
	assert_int_equal(load(&config, &entry), -EINVAL);
	assert_true(message_end("13312 KiB do not fit into the 13312 KiB"));
	initrd_path = boot_file_make(big, 13 * MIB);
	assert_int_equal(load(&config, &entry), 0);
	free(big);
	bz.header->initrd_addr_max = 0x100000;
	kernel_path = boot_file_make(bz.bytes, bz.length);
	message_begin();
	assert_int_equal(load(&config, &entry), -EINVAL);
	assert_true(message_end("into the 0 KiB"));
	initrd_path = "/nowhere/initrd";
	message_begin();
	assert_int_equal(load(&config, &entry), -ENOENT);
	assert_true(message_end("initrd: /nowhere/initrd: open"));
}

static void test_command_line_refused(void **state)
{
	struct kernel_config config;
	struct kernel_entry entry;
	struct bz bz;

	(void)state;
	bz_make(&bz);
	bz.header->cmdline_size = 12;
	config = config_of(boot_file_make(bz.bytes, bz.length), 32 * MIB);
	message_begin();
	assert_int_equal(load(&config, &entry), -E2BIG);
	assert_true(message_end("13 characters; this kernel takes 12"));
}

struct elf_sample {
	Elf64_Ehdr header;
	Elf64_Phdr programs[2];
	Elf64_Nhdr note;
	char note_name[4];
	uint64_t note_entry;
	char code[256];
};

static struct elf_sample elf_make(void)
{
	return (struct elf_sample){
		.header = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB },
			.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_entry = 0x200010,
			.e_phoff = offsetof(struct elf_sample, programs),
			.e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2,
		},
		.programs = {
			{ .p_type = PT_LOAD, .p_offset = offsetof(struct elf_sample, code),
			  .p_paddr = 0x200000, .p_filesz = 256, .p_memsz = 0x10001 },
			{ .p_type = PT_NOTE, .p_offset = offsetof(struct elf_sample, note),
			  .p_filesz = 24 },
		},
		.note = { .n_namesz = 4, .n_descsz = 8, .n_type = 18 },
		.note_name = "Xen",
		.note_entry = 0x200080,
		.code = "code",
	};
}

static void test_pvh(void **state)
{
	struct elf_sample elf = elf_make();
	struct kernel_config config = config_of(boot_file_make(&elf, sizeof(elf)), 64 * MIB);
	struct kernel_entry entry;
	const uint64_t *module;
	const uint8_t *info;

	(void)state;
	initrd_path = boot_file_make("initrd", 6);
	assert_int_equal(load(&config, &entry), 0);
	assert_int_equal(entry.mode, ENTRY_PVH);
	assert_int_equal(entry.gpa, 0x200080);
	assert_string_equal(ram(&config, 0x200000, 5), "code");
	info = ram(&config, entry.argument_gpa, 56);
	assert_int_equal(load_le32(info), 0x336ec578);
	assert_int_equal(load_le32(info + 4), 1);
	assert_int_equal(load_le32(info + 12), 1);
	module = ram(&config, load_le64(info + 16), 32);
	assert_int_equal(module[0], 64 * MIB - 4096);
	assert_int_equal(module[1], 6);
	assert_string_equal(ram(&config, load_le64(info + 24), 14), "console=ttyS0");
	assert_int_equal(load_le64(info + 32), RSDP);
	assert_int_equal(load_le32(info + 48), 4);
	assert_int_equal(load_le64(ram(&config, load_le64(info + 40) + 2 * 24, 8)), MIB);
}

static void test_elf_entry(void **state)
{
	struct elf_sample elf = elf_make();
	const struct boot_params *params;
	struct kernel_config config = config_of(boot_file_make(&elf, sizeof(elf)), 64 * MIB);
	struct kernel_entry entry;

	(void)state;
	config.ignore_pvh = true;
	assert_int_equal(load(&config, &entry), 0);
	assert_int_equal(entry.mode, ENTRY_64BIT);
	assert_int_equal(entry.gpa, 0x200010);
	params = ram(&config, entry.argument_gpa, sizeof(*params));
	assert_int_equal(params->hdr.header, 0x53726448);
	assert_int_equal(params->hdr.boot_flag, 0xaa55);
	assert_int_equal(params->hdr.cmd_line_ptr, LAYOUT_COMMAND_LINE_GPA);
	assert_int_equal(params->hdr.ramdisk_size, 0);
	assert_int_equal(params->e820_entries, 4);
}

static bool elf_refused(const struct elf_sample *elf, const char *text)
{
	struct kernel_config config = config_of(boot_file_make(elf, sizeof(*elf)), 4 * MIB);
	struct kernel_entry entry;
	int error;

	message_begin();
	error = load(&config, &entry);
	return message_end(text) && error < 0;
}

static void test_hostile_elfs(void **state)
{
	struct elf_sample elf = elf_make();

	(void)state;
	elf.note_entry = 0x1ffff;
	assert_true(elf_refused(&elf, "PVH entry point 0x1ffff"));
	elf.note_entry = UINT64_C(1) << 32 | 0x200080;
	assert_true(elf_refused(&elf, "PVH entry point"));
	elf = elf_make();
	elf.note.n_descsz = 3;
	assert_true(elf_refused(&elf, "PVH note of 3 bytes"));
	elf = elf_make();
	elf.programs[1].p_type = PT_NULL;
	elf.header.e_entry = 0x300000;
	assert_true(elf_refused(&elf, "entry point 0x300000"));
	elf = elf_make();
	elf.programs[0].p_paddr = 0xff000;
	elf.note_entry = 0xff000;
	assert_true(elf_refused(&elf, "below 1 MiB"));
	elf = elf_make();
	elf.programs[0].p_memsz = 8 * MIB;
	assert_true(elf_refused(&elf, "8192 KiB at 0x200000; give more with --mem"));
	elf = elf_make();
	elf.programs[1].p_filesz = UINT64_MAX;
	assert_true(elf_refused(&elf, "notes run past"));
}

/* A 32-bit entry point in a note of 4 bytes. */
static void test_short_note(void **state)
{
	struct elf_sample elf = elf_make();
	struct kernel_config config;
	struct kernel_entry entry;

	(void)state;
	elf.note.n_descsz = 4;
	elf.programs[1].p_filesz = 20;
	config = config_of(boot_file_make(&elf, sizeof(elf)), 4 * MIB);
	assert_int_equal(load(&config, &entry), 0);
	assert_int_equal(entry.mode, ENTRY_PVH);
	assert_int_equal(entry.gpa, 0x200080);
}

static void test_no_kernel(void **state)
{
	struct kernel_config config = config_of("/nowhere/vmlinuz", 4 * MIB);
	struct kernel_entry entry;

	(void)state;
	message_begin();
	assert_int_equal(load(&config, &entry), -ENOENT);
	assert_true(message_end("kernel: /nowhere/vmlinuz: open"));
	kernel_path = boot_file_make("#!/bin/sh\n", 10);
	message_begin();
	assert_int_equal(load(&config, &entry), -EINVAL);
	assert_true(message_end("neither an ELF nor a bzImage"));
}

static void test_reset_vector(void **state)
{
	struct guest_memory *memory = boot_memory_make(2 * MIB);
	const uint8_t *code = guest_memory_at(memory, 0xffff0, 16);

	(void)state;
	assert_int_equal(reset_vector_write(memory), 0);
	assert_memory_equal(code, "\xba\x02\x06\xb0\x5a\xee\xf4\xeb\xfd", 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_bzimage, boot_teardown),
		cmocka_unit_test_teardown(test_small_memory, boot_teardown),
		cmocka_unit_test_teardown(test_hostile_bzimages, boot_teardown),
		cmocka_unit_test_teardown(test_initrd_refused, boot_teardown),
		cmocka_unit_test_teardown(test_command_line_refused, boot_teardown),
		cmocka_unit_test_teardown(test_pvh, boot_teardown),
		cmocka_unit_test_teardown(test_elf_entry, boot_teardown),
		cmocka_unit_test_teardown(test_hostile_elfs, boot_teardown),
		cmocka_unit_test_teardown(test_short_note, boot_teardown),
		cmocka_unit_test_teardown(test_no_kernel, boot_teardown),
		cmocka_unit_test_teardown(test_reset_vector, boot_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
