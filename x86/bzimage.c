// SPDX-License-Identifier: MIT
/* bzImage and boot_params. Nothing of the file's header is believed. Control thread. */
#include "x86/bzimage.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "x86/layout.h"
#include "x86/memory_map.h"

#define SECTOR_BYTES      512
#define SETUP_SECTS_OLD   4      /* what 0 means */
#define BOOT_FLAG         0xaa55
#define HEADER_MAGIC      0x53726448 /* "HdrS" */
#define VERSION_MIN       0x020c /* the first with a 64-bit entry */
#define ENTRY64_OFFSET    0x200
#define LOADER_UNKNOWN    0xff
#define INITRD_MAX_DEFAULT UINT32_C(0x7fffffff)

#define HEADER_OFFSET offsetof(struct boot_params, hdr)
#define HEADER_JUMP_BASE (HEADER_OFFSET + offsetof(struct setup_header, header))

static_assert(offsetof(struct boot_params, hdr) == 0x1f1, "boot_params");
static_assert(offsetof(struct boot_params, e820_table) == 0x2d0, "boot_params");
static_assert(sizeof(struct boot_params) == 4096, "boot_params");
static_assert(MEMORY_MAP_ENTRIES_MAX <= E820_MAX_ENTRIES_ZEROPAGE, "e820");

static int refuse(const struct boot_file *file, const char *what)
{
	return fail(EINVAL, "%s: %s: %s", file->role, file->path, what);
}

static int check_header(const struct boot_file *file, const struct setup_header *header)
{
	if (header->boot_flag != BOOT_FLAG || header->header != HEADER_MAGIC)
		return refuse(file, "neither an ELF nor a bzImage (no HdrS at 0x202); give a "
				    "kernel for x86-64");
	if (header->version < VERSION_MIN)
		return fail(EINVAL,
			    "%s: %s: boot protocol %u.%02u; 2.12 or later (Linux 3.8) is needed",
			    file->role, file->path, header->version >> 8, header->version & 0xff);
	if (!(header->loadflags & LOADED_HIGH))
		return refuse(file, "a zImage that loads below 1 MiB; give a bzImage");
	if (!(header->xloadflags & XLF_KERNEL_64))
		return refuse(file, "a 32-bit kernel (no 64-bit entry); give one for x86-64");
	return 0;
}

int bzimage_open(struct bzimage *image, const struct boot_file *file)
{
	struct setup_header *header = &image->header;
	uint64_t code_bytes, end;
	int error;

	if (file->size_bytes < HEADER_OFFSET + sizeof(*header))
		return fail(EINVAL,
			    "%s: %s: %" PRIu64 " bytes are too few for a kernel: neither an ELF "
			    "nor a bzImage", file->role, file->path, file->size_bytes);
	error = boot_file_read(file, HEADER_OFFSET, header, sizeof(*header));
	if (error)
		return error;
	/* The header ends where its jump goes; behind an older kernel's are no fields. */
	end = HEADER_JUMP_BASE + (header->jump >> 8) - HEADER_OFFSET;
	if (end < sizeof(*header))
		memset((char *)header + end, 0, sizeof(*header) - end);
	error = check_header(file, header);
	if (error)
		return error;
	image->payload_offset = ((header->setup_sects ? header->setup_sects : SETUP_SECTS_OLD) +
				 UINT64_C(1)) * SECTOR_BYTES;
	code_bytes = header->syssize * UINT64_C(16);
	if (image->payload_offset >= file->size_bytes || !code_bytes ||
	    align_up(file->size_bytes - image->payload_offset, 16) < code_bytes)
		return fail(EINVAL,
			    "%s: %s: truncated: its header tells of %" PRIu64 " bytes, it has "
			    "%" PRIu64, file->role, file->path, image->payload_offset + code_bytes,
			    file->size_bytes);
	/* What follows, such as a signature, is not for the guest. */
	image->payload_bytes = min_u64(file->size_bytes - image->payload_offset, code_bytes);
	return 0;
}

/*
 * The kernel goes where it prefers to be, relocatable or not: a relocatable one
 * that is put lower moves itself up to there, so it needs that memory anyway.
 */
int bzimage_load(const struct bzimage *image, struct kernel_load *load)
{
	const struct kernel_config *config = load->config;
	const struct setup_header *header = &image->header;
	uint64_t start = header->pref_address;
	uint64_t needed = max_u64(header->init_size, image->payload_bytes);
	uint64_t ram_end = ram_split(config->memory_bytes).below_4g_bytes;

	if (start < LAYOUT_HIGH_RAM_GPA || start >= LAYOUT_RAM_BELOW_4G_MAX)
		return fail(EINVAL, "%s: %s: wants to be loaded at 0x%" PRIx64
			    ", where there is never RAM", load->file->role, load->file->path,
			    start);
	if (!range_within(start, needed, ram_end))
		return fail(EINVAL,
			    "%s: %s: needs RAM up to %" PRIu64 " MiB, the guest has %" PRIu64
			    " MiB below 4 GiB; give more with --mem",
			    load->file->role, load->file->path,
			    (start + needed + MIB - 1) / MIB, ram_end / MIB);
	load->end_gpa = start + needed;
	load->initrd_limit_gpa = UINT64_C(1) +
		(header->initrd_addr_max ? header->initrd_addr_max : INITRD_MAX_DEFAULT);
	load->command_line_limit = header->cmdline_size ? header->cmdline_size : 255;
	load->entry = (struct kernel_entry){
		.mode = ENTRY_64BIT,
		.gpa = start + ENTRY64_OFFSET,
		.argument_gpa = LAYOUT_BOOT_PARAMS_GPA,
	};
	return boot_file_load(load->file, image->payload_offset, config->memory, start,
			      image->payload_bytes);
}

static void write_e820(struct boot_params *params, uint64_t memory_bytes)
{
	struct memory_map_entry map[MEMORY_MAP_ENTRIES_MAX];
	unsigned count = memory_map_build(memory_bytes, map);

	for (unsigned i = 0; i < count; i++)
		params->e820_table[i] = (struct boot_e820_entry){
			.addr = map[i].gpa, .size = map[i].size_bytes, .type = map[i].kind,
		};
	params->e820_entries = (uint8_t)count;
}

int boot_params_write(const struct kernel_load *load, const struct setup_header *header)
{
	struct boot_params params = { 0 };

	if (header) {
		params.hdr = *header;
	} else {
		params.hdr.boot_flag = BOOT_FLAG;
		params.hdr.header = HEADER_MAGIC;
		params.hdr.version = VERSION_MIN;
		params.hdr.loadflags = LOADED_HIGH;
	}
	params.hdr.type_of_loader = LOADER_UNKNOWN;
	params.hdr.cmd_line_ptr = LAYOUT_COMMAND_LINE_GPA;
	params.hdr.ramdisk_image = (uint32_t)load->initrd_gpa;
	params.hdr.ramdisk_size = (uint32_t)load->initrd_bytes;
	params.hdr.setup_data = 0;
	params.acpi_rsdp_addr = load->config->rsdp_gpa;
	write_e820(&params, load->config->memory_bytes);
	if (!guest_memory_write(load->config->memory, LAYOUT_BOOT_PARAMS_GPA, &params,
				sizeof(params)))
		return fail(EINVAL, "%s: %s: no guest memory for boot_params; give more with --mem",
			    load->file->role, load->file->path);
	return 0;
}
