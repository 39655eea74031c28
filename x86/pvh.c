// SPDX-License-Identifier: MIT
/* PVH start info, after Xen's public header arch-x86/hvm/start_info.h. Control thread. */
#include "x86/pvh.h"

#include <assert.h>
#include <errno.h>

#include "base/bytes.h"
#include "base/log.h"
#include "x86/layout.h"
#include "x86/memory_map.h"

#define START_INFO_MAGIC   0x336ec578
#define START_INFO_VERSION 1 /* the first with a memory map */

struct start_info {
	uint32_t magic, version, flags;
	uint32_t module_count;
	uint64_t modules_gpa;
	uint64_t command_line_gpa;
	uint64_t rsdp_gpa;
	uint64_t memory_map_gpa;
	uint32_t memory_map_count;
	uint32_t reserved;
};

struct start_info_module {
	uint64_t gpa, size_bytes;
	uint64_t command_line_gpa;
	uint64_t reserved;
};

struct start_info_memory {
	uint64_t gpa, size_bytes;
	uint32_t kind;
	uint32_t reserved;
};

static_assert(sizeof(struct start_info) == 56, "hvm_start_info");
static_assert(sizeof(struct start_info_module) == 32, "hvm_modlist_entry");
static_assert(sizeof(struct start_info_memory) == 24, "hvm_memmap_table_entry");

/* All of it in one piece, so that one address finds the rest. */
struct start_info_block {
	struct start_info info;
	struct start_info_module initrd;
	struct start_info_memory memory[MEMORY_MAP_ENTRIES_MAX];
};

static const struct elf_note_id entry_note = { "Xen", 18 /* XEN_ELFNOTE_PHYS32_ENTRY */ };

int pvh_find_entry(const struct elf_image *image, const struct boot_file *file,
		   uint64_t *entry_gpa)
{
	uint8_t content[8] = { 0 };
	int size = elf_find_note(image, file, &entry_note, content, sizeof(content));

	if (size <= 0)
		return size;
	if (size < 4)
		return fail(EINVAL, "%s: %s: PVH note of %d bytes; it has 4 or 8", file->role,
			    file->path, size);
	*entry_gpa = load_le64(content);
	if (*entry_gpa > UINT32_MAX || !elf_contains(image, *entry_gpa))
		return fail(EINVAL, "%s: %s: PVH entry point 0x%llx is not in what is loaded",
			    file->role, file->path, (unsigned long long)*entry_gpa);
	return 1;
}

int pvh_write_start_info(const struct kernel_load *load)
{
	struct memory_map_entry map[MEMORY_MAP_ENTRIES_MAX];
	struct start_info_block block = {
		.info = {
			.magic = START_INFO_MAGIC,
			.version = START_INFO_VERSION,
			.command_line_gpa = LAYOUT_COMMAND_LINE_GPA,
			.rsdp_gpa = load->config->rsdp_gpa,
			.memory_map_gpa = LAYOUT_PVH_GPA +
					  offsetof(struct start_info_block, memory),
			.memory_map_count = memory_map_build(load->config->memory_bytes, map),
		},
	};

	if (load->initrd_bytes) {
		block.info.module_count = 1;
		block.info.modules_gpa = LAYOUT_PVH_GPA + offsetof(struct start_info_block, initrd);
		block.initrd.gpa = load->initrd_gpa;
		block.initrd.size_bytes = load->initrd_bytes;
	}
	for (unsigned i = 0; i < block.info.memory_map_count; i++)
		block.memory[i] = (struct start_info_memory){
			.gpa = map[i].gpa, .size_bytes = map[i].size_bytes, .kind = map[i].kind,
		};
	if (!guest_memory_write(load->config->memory, LAYOUT_PVH_GPA, &block, sizeof(block)))
		return fail(EINVAL, "%s: %s: no guest memory for PVH start info; give more with "
			    "--mem", load->file->role, load->file->path);
	return 0;
}
