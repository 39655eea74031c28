// SPDX-License-Identifier: MIT
/* The Image header, and files that are no kernel. Control thread. */
#include "arm64/kernel_image.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"

struct image_header {
	uint32_t code[2];
	uint64_t text_offset;
	uint64_t image_size;
	uint64_t flags;
	uint64_t reserved[3];
	char magic[4];
	uint32_t pe_offset;
};

static_assert(sizeof(struct image_header) == 64, "Image header");

#define IMAGE_MAGIC "ARM\x64"

#define FLAG_BIG_ENDIAN 1u
#define FLAG_PAGE_SHIFT 1
#define FLAG_PAGE_MASK  3u

/*
 * Where a kernel goes whose header is older than that it says so (image_size is
 * 0). A file without a header goes there as well: the flat binaries that there
 * are have been linked to it, as other loaders put them there.
 */
#define TEXT_OFFSET_OLD UINT64_C(0x80000)

/* An EFI program that unpacks the Image in it (drivers/firmware/efi/libstub/zboot-header.S). */
struct zboot_header {
	char magic[4], kind[4];
	uint32_t payload_offset, payload_size;
	uint32_t reserved[2];
	char compression[8]; /* the first of 32 characters */
};

static_assert(sizeof(struct zboot_header) == 32, "zboot header");

#define ZBOOT_MAGIC "MZ\0\0zimg"

struct known_file {
	uint64_t offset;
	const char *bytes;
	uint8_t length;
	const char *what;
};

/* In this order: a bzImage is an EFI program, too. */
static const struct known_file no_images[] = {
	{ 0, "\177ELF", 4, "an ELF; give the arm64 Image instead (objcopy -O binary makes one "
	  "of a vmlinux)" },
	{ 0x202, "HdrS", 4, "a bzImage, a kernel for x86; give an arm64 Image" },
	{ 0, "MZ", 2, "an EFI program without an arm64 Image's header; give an arm64 Image" },
	{ 0, "\375" "7zXZ", 5, "compressed by xz; uncompress it with unxz" },
	{ 0, "\x28\xb5\x2f\xfd", 4, "compressed by zstd; uncompress it with unzstd" },
	{ 0, "BZh", 3, "compressed by bzip2; uncompress it with bunzip2" },
	{ 0, "\x04\x22\x4d\x18", 4, "compressed by lz4; uncompress it with unlz4" },
	{ 0, "\x02\x21\x4c\x18", 4, "compressed by lz4; uncompress it with unlz4" },
	{ 0, "070701", 6, "a cpio archive; it may be the --initrd, but is no kernel" },
	{ 0, "\x27\x05\x19\x56", 4, "a U-Boot image; give the arm64 Image that is in it" },
	{ 0, "\xd0\x0d\xfe\xed", 4, "a device tree or FIT image; give an arm64 Image" },
};

/* Of the stage 1 granules; signed fields where "none" is -1, and one where it is 0. */
#define MMFR0_TGRAN4_SHIFT  28
#define MMFR0_TGRAN64_SHIFT 24
#define MMFR0_TGRAN16_SHIFT 20
#define MMFR0_FIELD_MASK    0xf
#define MMFR0_NEGATIVE      0x8

unsigned kernel_image_granules(uint64_t id_aa64mmfr0)
{
	unsigned granules = 0;

	if (!(id_aa64mmfr0 >> MMFR0_TGRAN4_SHIFT & MMFR0_NEGATIVE))
		granules |= GRANULE_4K;
	if (!(id_aa64mmfr0 >> MMFR0_TGRAN64_SHIFT & MMFR0_NEGATIVE))
		granules |= GRANULE_64K;
	if (id_aa64mmfr0 >> MMFR0_TGRAN16_SHIFT & MMFR0_FIELD_MASK)
		granules |= GRANULE_16K;
	return granules;
}

static int refuse(const struct boot_file *file, const char *what)
{
	return fail(EINVAL, "%s: %s: %s", file->role, file->path, what);
}

static const char *unpacker(const struct zboot_header *header)
{
	static const struct {
		const char *compression, *command;
	} known[] = {
		{ "gzip", "gunzip" }, { "zstd", "unzstd" }, { "xz", "unxz" },
		{ "lzma", "unlzma" }, { "lz4", "unlz4" }, { "lzo", "lzop -d" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strncmp(header->compression, known[i].compression,
			     strlen(known[i].compression)))
			return known[i].command;
	return "its unpacker";
}

static int refuse_zboot(const struct boot_file *file)
{
	struct zboot_header header;
	int error = boot_file_read(file, 0, &header, sizeof(header));

	if (error)
		return error;
	return fail(EINVAL, "%s: %s: an EFI zboot image, which only firmware can start; take the "
		    "Image out of it: tail -c +%" PRIu64 " '%s' | head -c %u | %s > Image",
		    file->role, file->path, le32toh(header.payload_offset) + UINT64_C(1),
		    file->path, le32toh(header.payload_size), unpacker(&header));
}

static int open_flat(struct kernel_image *image, const struct boot_file *file)
{
	if (boot_file_has(file, 0, ZBOOT_MAGIC, 8))
		return refuse_zboot(file);
	for (size_t i = 0; i < ARRAY_SIZE(no_images); i++)
		if (boot_file_has(file, no_images[i].offset, no_images[i].bytes,
				  no_images[i].length))
			return refuse(file, no_images[i].what);
	*image = (struct kernel_image){ TEXT_OFFSET_OLD, file->size_bytes, true };
	return 0;
}

static int check_flags(const struct boot_file *file, uint64_t flags, unsigned granules)
{
	static const char *const names[] = { "", "4", "16", "64" };
	unsigned page = (unsigned)(flags >> FLAG_PAGE_SHIFT) & FLAG_PAGE_MASK;

	if (flags & FLAG_BIG_ENDIAN)
		return refuse(file, "a big-endian kernel; give a little-endian one");
	if (page && !(granules & (1u << page)))
		return fail(EINVAL, "%s: %s: a kernel for pages of %s KiB, which this host's "
			    "processor does not have; give one for another page size",
			    file->role, file->path, names[page]);
	return 0;
}

int kernel_image_open(struct kernel_image *image, const struct boot_file *file,
		      unsigned granules)
{
	struct image_header header;
	int error;

	if (!boot_file_has(file, offsetof(struct image_header, magic), IMAGE_MAGIC, 4))
		return open_flat(image, file);
	error = boot_file_read(file, 0, &header, sizeof(header));
	if (!error)
		error = check_flags(file, le64toh(header.flags), granules);
	if (error)
		return error;
	*image = (struct kernel_image){
		.text_offset = le64toh(header.text_offset),
		.memory_bytes = max_u64(le64toh(header.image_size), file->size_bytes),
	};
	if (!header.image_size)
		image->text_offset = TEXT_OFFSET_OLD;
	return 0;
}
