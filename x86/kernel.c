// SPDX-License-Identifier: MIT
/*
 * Which kind of kernel a file is, and the order in which its parts go into
 * memory: kernel, initrd high above it, command line, then the structure that
 * tells the kernel of them. Control thread.
 */
#include "x86/kernel.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"
#include "base/log.h"
#include "boot/cmdline.h"
#include "boot/elf.h"
#include "x86/bzimage.h"
#include "x86/layout.h"
#include "x86/memory_map.h"
#include "x86/pvh.h"

/* Linux's COMMAND_LINE_SIZE on x86, for kernels that don't say. */
#define COMMAND_LINE_LIMIT 2047
#define COMMAND_LINE_ROOM  (LAYOUT_LOW_RAM_END - LAYOUT_COMMAND_LINE_GPA)

static int load_initrd(struct kernel_load *load)
{
	const struct kernel_config *config = load->config;
	uint64_t limit = min_u64(load->initrd_limit_gpa,
				 ram_split(config->memory_bytes).below_4g_bytes);
	const struct boot_file *initrd = &config->files->initrd;

	if (initrd->fd < 0)
		return 0;
	limit = align_down(limit, 4 * KIB);
	load->end_gpa = align_up(load->end_gpa, 4 * KIB);
	if (limit < load->end_gpa || initrd->size_bytes > limit - load->end_gpa)
		return fail(EINVAL,
			     "initrd: %s: %" PRIu64 " KiB do not fit into the %" PRIu64
			     " KiB of RAM from the kernel's end to 0x%" PRIx64
			     "; give more with --mem", initrd->path, initrd->size_bytes / KIB,
			     limit < load->end_gpa ? 0 : (limit - load->end_gpa) / KIB, limit);
	load->initrd_bytes = initrd->size_bytes;
	load->initrd_gpa = align_down(limit - initrd->size_bytes, 4 * KIB);
	return boot_file_load(initrd, 0, config->memory, load->initrd_gpa, initrd->size_bytes);
}

/* What comes after the kernel itself, whatever its format. */
static int load_rest(struct kernel_load *load)
{
	const struct kernel_config *config = load->config;
	int error = load_initrd(load);

	if (error)
		return error;
	return command_line_load(config->command_line,
				 min_u64(load->command_line_limit, COMMAND_LINE_ROOM - 1),
				 config->memory, LAYOUT_COMMAND_LINE_GPA);
}

static int load_bzimage(struct kernel_load *load)
{
	struct bzimage image;
	int error = bzimage_open(&image, load->file);

	if (!error)
		error = bzimage_load(&image, load);
	if (!error)
		error = load_rest(load);
	return error ? error : boot_params_write(load, &image.header);
}

static int choose_elf_entry(struct kernel_load *load, const struct elf_image *image)
{
	int found = 0;

	load->entry = (struct kernel_entry){
		.mode = ENTRY_64BIT,
		.gpa = image->entry_gpa,
		.argument_gpa = LAYOUT_BOOT_PARAMS_GPA,
	};
	if (!load->config->ignore_pvh)
		found = pvh_find_entry(image, load->file, &load->entry.gpa);
	if (found < 0)
		return found;
	if (found) {
		load->entry.mode = ENTRY_PVH;
		load->entry.argument_gpa = LAYOUT_PVH_GPA;
	} else if (!elf_contains(image, image->entry_gpa) || image->entry_gpa > UINT32_MAX) {
		return fail(EINVAL, "%s: %s: ELF entry point 0x%" PRIx64 " is not in what is "
			    "loaded", load->file->role, load->file->path, image->entry_gpa);
	}
	return 0;
}

static int load_elf(struct kernel_load *load)
{
	struct elf_image image;
	int error = elf_open(&image, load->file, EM_X86_64);

	if (!error)
		error = choose_elf_entry(load, &image);
	if (error)
		return error;
	if (image.segments[0].gpa < LAYOUT_HIGH_RAM_GPA)
		return fail(EINVAL,
			    "%s: %s: no kernel: its ELF segment at 0x%" PRIx64 " lies below 1 MiB",
			    load->file->role, load->file->path, image.segments[0].gpa);
	load->end_gpa = elf_end_gpa(&image);
	load->initrd_limit_gpa = BIT64(31);
	load->command_line_limit = COMMAND_LINE_LIMIT;
	error = elf_load(&image, load->file, load->config->memory);
	if (!error)
		error = load_rest(load);
	if (error)
		return error;
	return load->entry.mode == ENTRY_PVH ? pvh_write_start_info(load)
					     : boot_params_write(load, NULL);
}

int kernel_load(const struct kernel_config *config, struct kernel_entry *entry)
{
	struct kernel_load load = { .config = config, .file = &config->files->kernel };
	int error = elf_recognise(load.file) ? load_elf(&load) : load_bzimage(&load);

	if (error)
		return error;
	if (!vcpu_regs_write_tables(config->memory))
		return fail(EINVAL, "kernel: no guest memory for its page tables; use --mem");
	*entry = load.entry;
	return 0;
}
