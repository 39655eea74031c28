// SPDX-License-Identifier: MIT
/*
 * Kernels for x86: bzImage and ELF whose headers were bent, any other bytes,
 * files that are shorter than they were, initrds and command lines of any
 * length, much and little RAM. Refused, or loaded: then file, initrd and command
 * line are where the kernel is told, in RAM that it is told of, share nothing,
 * and nothing else of the low memory has been written. What lies outside of RAM
 * is not there (guard pages).
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/bytes.h"
#include "base/log.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/made_file.h"
#include "tests/unit/bzimage.h"
#include "x86/kernel.h"
#include "x86/layout.h"

#define MEMORIES 4
#define PAYLOAD_BYTES 4096
#define SEGMENTS 4
#define RSDP 0xe0000
#define COMMAND_LINE_MAX (700 * KIB)
#define BOOT_TABLES_END 0x9000 /* GDT, boot_params, page tables */

static const uint64_t memory_sizes[MEMORIES] = { 2 * MIB, 17 * MIB + 64 * KIB, 64 * MIB,
						 3 * GIB + 16 * MIB };
static struct guest_memory memories[MEMORIES];
static struct boot_files files;
static struct made_file made;
static char command_line[COMMAND_LINE_MAX + 1];

/* What the structure that a loaded kernel is given says. */
struct told {
	uint64_t initrd_gpa, initrd_bytes, command_line_gpa;
};

/* ---- What is given ---- */

static void make_bzimage(struct fuzz_input *input)
{
	struct setup_header header = bzimage_header(PAYLOAD_BYTES);

	header.pref_address = fuzz_u8(input) % 2 ? 0x1000000 : 0x100000;
	header.init_size = (uint32_t)fuzz_u8(input) << 13;
	memset(made.bytes + BZIMAGE_SETUP_BYTES, 'k', PAYLOAD_BYTES);
	made.length = BZIMAGE_SETUP_BYTES + PAYLOAD_BYTES;
	memcpy(made.bytes + BZIMAGE_HEADER_OFFSET, &header, sizeof(header));
	made_file_bend(&made, input, BZIMAGE_HEADER_OFFSET + sizeof(header));
}

static void make_note(uint64_t offset, uint64_t entry)
{
	Elf64_Nhdr note = { .n_namesz = 4, .n_descsz = 8, .n_type = 18 };

	memcpy(made.bytes + offset, &note, sizeof(note));
	memcpy(made.bytes + offset + sizeof(note), "Xen", 4);
	store_le64(made.bytes + offset + sizeof(note) + 4, entry);
}

static void make_elf(struct fuzz_input *input)
{
	Elf64_Ehdr header = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_entry = 0x100000 + fuzz_u8(input),
		.e_phoff = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (Elf64_Half)(1 + fuzz_below(input, SEGMENTS)),
	};

	memcpy(made.bytes, &header, sizeof(header));
	for (unsigned i = 0; i < header.e_phnum; i++) {
		uint8_t choice = fuzz_u8(input);
		Elf64_Phdr segment = {
			.p_type = choice % 8 == 7 ? PT_NOTE : PT_LOAD,
			.p_offset = 1024 + 512 * i,
			.p_paddr = MIB + (uint64_t)i * 64 * KIB + (choice & 0x40 ? i : 0),
			.p_filesz = fuzz_u8(input),
			.p_memsz = choice & 0x80 ? 64 * KIB : 256,
			.p_align = choice & 0x20 ? 8 : 4,
		};

		if (segment.p_type == PT_NOTE)
			make_note(segment.p_offset, header.e_entry);
		else
			memset(made.bytes + segment.p_offset, 'a' + (int)i, 512);
		memcpy(made.bytes + sizeof(header) + i * sizeof(segment), &segment,
		       sizeof(segment));
	}
	made.length = 1024 + 512 * SEGMENTS;
	made_file_bend(&made, input, made.length);
}

static void make_command_line(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input);
	size_t length = fuzz_number(input, 1 + choice % 3) % COMMAND_LINE_MAX;

	if (choice < 0x80)
		length %= 256;
	memset(command_line, 'c', length);
	command_line[length] = '\0';
}

static void make_kernel(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input);

	made_file_clear(&made);
	if (choice % 4 < 2)
		make_bzimage(input);
	else if (choice % 4 == 2)
		make_elf(input);
	made_file_end(&made, input, choice & 0x10);
	made_file_store(&files.kernel, &made, input, choice & 0x20);
}

/* ---- What has been loaded ---- */

static void *ram(const struct kernel_config *config, uint64_t gpa, uint64_t length)
{
	void *host = guest_memory_at(config->memory, gpa, length);

	fuzz_check(host);
	return host;
}

static bool is_zero(const uint8_t *bytes, size_t length)
{
	return !length || (!bytes[0] && !memcmp(bytes, bytes + 1, length - 1));
}

/* All of it in one entry of the map that says "RAM". */
static void check_in_map(const struct boot_params *params, uint64_t gpa, uint64_t length)
{
	bool found = false;

	for (unsigned i = 0; i < params->e820_entries; i++) {
		const struct boot_e820_entry *entry = &params->e820_table[i];

		found |= entry->type == 1 && gpa >= entry->addr &&
			 range_within(gpa - entry->addr, length, entry->size);
	}
	fuzz_check(found);
}

static void check_map(const struct kernel_config *config, const struct boot_params *params)
{
	uint64_t end = 0;

	fuzz_check(params->e820_entries && params->e820_entries <= E820_MAX_ENTRIES_ZEROPAGE);
	for (unsigned i = 0; i < params->e820_entries; i++) {
		const struct boot_e820_entry *entry = &params->e820_table[i];

		fuzz_check(entry->addr >= end && entry->size);
		end = entry->addr + entry->size;
		if (entry->type == 1)
			ram(config, entry->addr, entry->size);
	}
}

/* What the header of the file says has been read by now, here it is read anew. */
static void check_bzimage(const struct kernel_config *config, struct told *told)
{
	const struct boot_params *params = ram(config, LAYOUT_BOOT_PARAMS_GPA, sizeof(*params));
	const struct setup_header *header = (const void *)(made.bytes + BZIMAGE_HEADER_OFFSET);
	uint64_t sectors = header->setup_sects ? header->setup_sects : 4;
	uint64_t offset = (sectors + 1) * 512, start = params->hdr.pref_address;
	uint64_t bytes = min_u64(params->hdr.syssize * UINT64_C(16), made.length - offset);
	uint64_t needed = max_u64(bytes, params->hdr.init_size);

	told->initrd_gpa = params->hdr.ramdisk_image;
	told->initrd_bytes = params->hdr.ramdisk_size;
	told->command_line_gpa = params->hdr.cmd_line_ptr;
	check_map(config, params);
	check_in_map(params, start, needed);
	fuzz_check(offset < made.length);
	fuzz_check(!memcmp(ram(config, start, bytes), made.bytes + offset, bytes));
	fuzz_check(params->hdr.setup_data == 0);
	if (!told->initrd_bytes)
		return;
	check_in_map(params, told->initrd_gpa, told->initrd_bytes);
	fuzz_check(!ranges_overlap(told->initrd_gpa, told->initrd_bytes, start, needed));
	if (params->hdr.initrd_addr_max)
		fuzz_check(told->initrd_gpa + told->initrd_bytes - 1 <=
			   params->hdr.initrd_addr_max);
}

static void check_segment(const struct kernel_config *config, const Elf64_Phdr *segment,
			  const struct told *told)
{
	uint8_t *host;

	if (segment->p_type != PT_LOAD || !segment->p_memsz)
		return;
	fuzz_check(segment->p_paddr >= LAYOUT_HIGH_RAM_GPA);
	fuzz_check(range_within(segment->p_offset, segment->p_filesz, made.length));
	fuzz_check(segment->p_filesz <= segment->p_memsz);
	host = ram(config, segment->p_paddr, segment->p_memsz);
	fuzz_check(!memcmp(host, made.bytes + segment->p_offset, segment->p_filesz));
	fuzz_check(is_zero(host + segment->p_filesz, segment->p_memsz - segment->p_filesz));
	if (told->initrd_bytes)
		fuzz_check(!ranges_overlap(told->initrd_gpa, told->initrd_bytes,
					   segment->p_paddr, segment->p_memsz));
}

/* The start info's fields in their order: linux/.../start_info.h. */
static void read_start_info(const struct kernel_config *config, struct told *told)
{
	const uint8_t *info = ram(config, LAYOUT_PVH_GPA, 56);

	fuzz_check(load_le32(info) == 0x336ec578);
	told->command_line_gpa = load_le64(info + 24);
	fuzz_check(load_le64(info + 32) == RSDP);
	if (load_le32(info + 12)) {
		const uint8_t *module = ram(config, load_le64(info + 16), 32);

		told->initrd_gpa = load_le64(module);
		told->initrd_bytes = load_le64(module + 8);
	}
}

static void check_elf(const struct kernel_config *config, const struct kernel_entry *entry,
		      struct told *told)
{
	const Elf64_Ehdr *header = (const void *)made.bytes;
	bool inside = false;

	if (entry->mode == ENTRY_PVH) {
		read_start_info(config, told);
	} else {
		const struct boot_params *params =
			ram(config, LAYOUT_BOOT_PARAMS_GPA, sizeof(*params));

		check_map(config, params);
		told->initrd_gpa = params->hdr.ramdisk_image;
		told->initrd_bytes = params->hdr.ramdisk_size;
		told->command_line_gpa = params->hdr.cmd_line_ptr;
	}
	for (unsigned i = 0; i < header->e_phnum; i++) {
		Elf64_Phdr segment;

		memcpy(&segment, made.bytes + header->e_phoff + i * sizeof(segment),
		       sizeof(segment));
		check_segment(config, &segment, told);
		inside |= segment.p_type == PT_LOAD && entry->gpa >= segment.p_paddr &&
			  entry->gpa - segment.p_paddr < segment.p_memsz;
	}
	fuzz_check(inside);
}

static void check_loaded(const struct kernel_config *config, const struct kernel_entry *entry)
{
	const uint8_t *low = ram(config, 0, LAYOUT_HIGH_RAM_GPA);
	size_t length = strlen(config->command_line);
	uint64_t end = LAYOUT_COMMAND_LINE_GPA + length + 1;
	struct told told = { 0 };

	if (!memcmp(made.bytes, ELFMAG, SELFMAG))
		check_elf(config, entry, &told);
	else
		check_bzimage(config, &told);
	fuzz_check(told.command_line_gpa == LAYOUT_COMMAND_LINE_GPA);
	fuzz_check(end <= LAYOUT_LOW_RAM_END);
	fuzz_check(!memcmp(low + LAYOUT_COMMAND_LINE_GPA, config->command_line, length + 1));
	fuzz_check(is_zero(low, LAYOUT_GDT_GPA));
	fuzz_check(is_zero(low + BOOT_TABLES_END, LAYOUT_COMMAND_LINE_GPA - BOOT_TABLES_END));
	fuzz_check(is_zero(low + end, LAYOUT_HIGH_RAM_GPA - end));
	fuzz_check((files.initrd.fd < 0) == !told.initrd_bytes);
	if (!told.initrd_bytes)
		return;
	fuzz_check(told.initrd_bytes == files.initrd.size_bytes);
	made_initrd_check(ram(config, told.initrd_gpa, told.initrd_bytes), told.initrd_bytes);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_set_level(LOG_LEVEL_ERROR);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* few bytes of each page are touched */
	for (unsigned i = 0; i < MEMORIES; i++) {
		uint64_t below = min_u64(memory_sizes[i], LAYOUT_RAM_BELOW_4G_MAX);

		fuzz_check(!guest_memory_add(&memories[i], 0, below));
		if (memory_sizes[i] > below)
			fuzz_check(!guest_memory_add(&memories[i], LAYOUT_RAM_ABOVE_4G_GPA,
						     memory_sizes[i] - below));
	}
	made_file_open(&files.kernel, "kernel");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t initrd_units[] = { 1, 4 * KIB, 12, 4 * KIB };
	struct fuzz_input input = fuzz_input(data, size);
	uint8_t choice = fuzz_u8(&input);
	struct kernel_config config = {
		.memory = &memories[choice % MEMORIES],
		.memory_bytes = memory_sizes[choice % MEMORIES],
		.files = &files,
		.command_line = command_line,
		.rsdp_gpa = RSDP,
		.ignore_pvh = choice & 0x80,
	};
	struct kernel_entry entry;
	int error;

	made_initrd(&files.initrd, &input, initrd_units);
	make_command_line(&input);
	make_kernel(&input);
	error = kernel_load(&config, &entry);
	fuzz_check(error <= 0);
	if (!error)
		check_loaded(&config, &entry);
	guest_memory_clear(&memories[choice % MEMORIES]);
	return 0;
}
