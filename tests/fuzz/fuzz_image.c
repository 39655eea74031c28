// SPDX-License-Identifier: MIT
/*
 * Kernels for arm64, on any host: an Image whose header was bent, flat binaries
 * and other files, gzip where zlib is there, much and little RAM. Refused, or
 * loaded: then kernel, initrd and the room for the device tree are in RAM, share
 * nothing, keep the alignment and the distance that the boot protocol wants, and
 * hold the files' bytes. What lies outside of RAM is not there (guard pages).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "arm64/kernel.h"
#include "arm64/kernel_image.h"
#include "arm64/layout.h"
#include "base/bytes.h"
#include "base/log.h"
#include "boot/gzip.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/made_file.h"

#define MEMORIES 5
#define LARGE (MEMORIES - 1) /* taken one time in eight */
#define IMAGE_BYTES 3000
#define HEADER_BYTES 64
#define TREE_BYTES_MAX (2 * MIB)
#define BLOCK (2 * MIB)
#define WINDOW_BYTES (32 * GIB)

static const uint64_t memory_sizes[MEMORIES] = { 2 * MIB, 5 * MIB + 64 * KIB, 64 * MIB,
						 600 * MIB, 40 * GIB };
static struct guest_memory memories[MEMORIES];
static struct boot_files files;
static struct made_file made;

/* In units that make something of the RAM that there is. */
static void make_image(struct fuzz_input *input, uint64_t memory_bytes)
{
	uint64_t unit = memory_bytes == memory_sizes[LARGE] ? GIB : 64 * KIB;
	uint8_t choice = fuzz_u8(input);

	memset(made.bytes + HEADER_BYTES, 'k', IMAGE_BYTES - HEADER_BYTES);
	store_le64(made.bytes + 8, (choice & 7) * unit); /* text_offset */
	store_le64(made.bytes + 16, (choice >> 3) * 2 * unit); /* image_size */
	store_le64(made.bytes + 24, 0xa); /* pages of 4 KiB, anywhere */
	memcpy(made.bytes + 56, "ARM\x64", 4);
	made.length = IMAGE_BYTES;
	made_file_bend(&made, input, HEADER_BYTES);
}

static void make_gzip(void)
{
	/* "ringvm" three times. */
	static const uint8_t packed[] = {
		0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x2b, 0xca, 0xcc,
		0x4b, 0x2f, 0xcb, 0x55, 0x28, 0x42, 0xa6, 0x00, 0xb0, 0xf9, 0xcb, 0xba, 0x14,
		0x00, 0x00, 0x00,
	};

	memcpy(made.bytes, packed, sizeof(packed));
	made.length = sizeof(packed);
}

static void make_kernel(struct fuzz_input *input, uint64_t memory_bytes)
{
	uint8_t choice = fuzz_u8(input);

	made_file_clear(&made);
	if (choice % 4 < 2)
		make_image(input, memory_bytes);
	else if (choice % 4 == 2)
		make_gzip();
	made_file_end(&made, input, choice & 0x10);
	if (choice % 4 == 2)
		made_file_bend(&made, input, made.length + 1);
	made_file_store(&files.kernel, &made, input, choice & 0x20);
}

static const uint8_t *ram(const struct kernel_config *config, uint64_t gpa, uint64_t length)
{
	const uint8_t *host = guest_memory_at(config->memory, gpa, length);

	fuzz_check(host);
	return host;
}

static void check_apart(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
	fuzz_check(!a_bytes || !b_bytes || !ranges_overlap(a, a_bytes, b, b_bytes));
}

/* One window, from a multiple of 1 GiB on, has all of both in it. */
static void check_window(const struct kernel_places *places, uint64_t kernel_bytes)
{
	uint64_t first = min_u64(places->kernel_gpa, places->initrd_gpa);
	uint64_t end = max_u64(places->kernel_gpa + kernel_bytes,
			       places->initrd_gpa + places->initrd_bytes);

	fuzz_check(end - align_down(first, GIB) <= WINDOW_BYTES);
}

/* Of what the header says, image_size is what the kernel will use. */
static uint64_t kernel_bytes(const struct boot_file *file)
{
	uint8_t header[HEADER_BYTES];

	if (file->size_bytes < HEADER_BYTES || boot_file_read(file, 0, header, sizeof(header)) ||
	    memcmp(header + 56, "ARM\x64", 4))
		return file->size_bytes;
	return max_u64(load_le64(header + 16), file->size_bytes);
}

static void check_loaded(const struct kernel_config *config, const struct kernel_places *places)
{
	const struct boot_file *kernel = &files.kernel;
	uint64_t bytes = kernel_bytes(kernel);
	static uint8_t content[MADE_FILE_BYTES];
	const uint8_t *host = ram(config, places->kernel_gpa, bytes);

	if (kernel->size_bytes <= sizeof(content)) {
		fuzz_check(!boot_file_read(kernel, 0, content, kernel->size_bytes));
		fuzz_check(!memcmp(host, content, kernel->size_bytes));
	}
	ram(config, places->tree_gpa, config->tree_bytes);
	fuzz_check(places->tree_gpa % 8 == 0);
	fuzz_check(places->tree_gpa / BLOCK ==
		   (places->tree_gpa + config->tree_bytes - 1) / BLOCK);
	check_apart(places->kernel_gpa, bytes, places->tree_gpa, config->tree_bytes);
	fuzz_check((files.initrd.fd < 0) == !places->initrd_bytes);
	if (!places->initrd_bytes)
		return;
	fuzz_check(places->initrd_bytes == files.initrd.size_bytes);
	check_apart(places->kernel_gpa, bytes, places->initrd_gpa, places->initrd_bytes);
	check_apart(places->tree_gpa, config->tree_bytes, places->initrd_gpa,
		    places->initrd_bytes);
	check_window(places, bytes);
	host = ram(config, places->initrd_gpa, places->initrd_bytes);
	made_initrd_check(host, places->initrd_bytes);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_set_level(LOG_LEVEL_ERROR);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* few bytes of each page are touched */
	for (unsigned i = 0; i < MEMORIES; i++)
		fuzz_check(!guest_memory_add(&memories[i], LAYOUT_RAM_GPA, memory_sizes[i]));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t initrd_units[] = { 1, 16 * KIB, 1, 16 * KIB };
	struct fuzz_input input = fuzz_input(data, size);
	uint8_t choice = fuzz_u8(&input);
	unsigned chosen = choice / 8 % 8 == 5 ? LARGE : choice % LARGE;
	uint64_t limit = memory_sizes[chosen];
	struct kernel_config config = {
		.memory = &memories[chosen],
		.memory_bytes = limit,
		.files = &files,
		.granules = fuzz_u8(&input) & 0xf,
		.tree_bytes = 1 + fuzz_number(&input, 3) % TREE_BYTES_MAX,
	};
	struct kernel_places places;
	int error;

	made_file_open(&files.kernel, "kernel");
	made_initrd(&files.initrd, &input, initrd_units);
	make_kernel(&input, limit);
	error = gzip_expand(&files.kernel, limit);
	fuzz_check(error || files.kernel.size_bytes <= limit);
	if (!error)
		error = kernel_load(&config, &places);
	fuzz_check(error <= 0);
	if (!error)
		check_loaded(&config, &places);
	guest_memory_clear(&memories[chosen]);
	boot_file_close(&files.kernel);
	return 0;
}
