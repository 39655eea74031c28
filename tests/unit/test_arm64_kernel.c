// SPDX-License-Identifier: MIT
/* Kernels into an arm64 guest's memory: Image, flat binary, initrd, hostile headers, other files. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arm64/kernel.h"
#include "arm64/kernel_image.h"
#include "arm64/layout.h"
#include "base/bytes.h"
#include "base/log.h"
#include "tests/unit/boot_files.h"

#define RAM LAYOUT_RAM_GPA
#define IMAGE_BYTES 9000
#define TREE_BYTES (20 * KIB)
#define ALL_GRANULES (GRANULE_4K | GRANULE_16K | GRANULE_64K)

struct image {
	uint8_t bytes[IMAGE_BYTES];
	size_t length;
};

static struct guest_memory memory;
static struct boot_files files;

static void image_make(struct image *image)
{
	memset(image->bytes, 'k', sizeof(image->bytes));
	memset(image->bytes, 0, 64);
	store_le64(image->bytes + 16, 3 * MIB + 5); /* image_size */
	store_le64(image->bytes + 24, 0xa);         /* 4 KiB pages, anywhere */
	memcpy(image->bytes + 56, "ARM\x64", 4);
	image->length = sizeof(image->bytes);
}

static struct kernel_config config_of(const char *kernel, const char *initrd,
				      uint64_t memory_bytes)
{
	boot_files_close(&files);
	guest_memory_destroy(&memory);
	assert_int_equal(guest_memory_add(&memory, RAM, memory_bytes), 0);
	assert_int_equal(boot_files_open(&files, kernel, initrd), 0);
	return (struct kernel_config){
		.memory = &memory,
		.memory_bytes = memory_bytes,
		.files = &files,
		.granules = ALL_GRANULES,
		.tree_bytes = TREE_BYTES,
	};
}

static int setup(void **state)
{
	(void)state;
	files = (struct boot_files){ .kernel.fd = -1, .initrd.fd = -1 };
	log_set_level(LOG_LEVEL_ERROR);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	boot_files_close(&files);
	boot_files_remove();
	guest_memory_destroy(&memory);
	return 0;
}

static void assert_loaded(uint64_t gpa, const void *bytes, size_t length)
{
	const void *host = guest_memory_at(&memory, gpa, length);

	assert_non_null(host);
	assert_memory_equal(host, bytes, length);
}

static void assert_tree_place(uint64_t gpa)
{
	assert_non_null(guest_memory_at(&memory, gpa, TREE_BYTES));
	assert_true(is_aligned(gpa, 8));
	assert_int_equal(align_down(gpa, 2 * MIB), align_down(gpa + TREE_BYTES - 1, 2 * MIB));
}

static void test_image(void **state)
{
	struct kernel_config config;
	struct kernel_places places;
	struct image image;

	(void)state;
	image_make(&image);
	config = config_of(boot_file_make(image.bytes, image.length),
			   boot_file_make("initrd", 6), 512 * MIB);
	assert_int_equal(kernel_load(&config, &places), 0);
	assert_int_equal(places.kernel_gpa, RAM);
	assert_loaded(RAM, image.bytes, image.length);
	assert_int_equal(places.tree_gpa, RAM + 512 * MIB - 64 * KIB);
	assert_tree_place(places.tree_gpa);
	assert_int_equal(places.initrd_gpa, RAM + 512 * MIB - 128 * KIB);
	assert_int_equal(places.initrd_bytes, 6);
	assert_loaded(places.initrd_gpa, "initrd", 6);
	/* Without one; and an offset as older kernels have it. */
	store_le64(image.bytes + 8, 0x80000);
	config = config_of(boot_file_make(image.bytes, image.length), NULL, 512 * MIB);
	assert_int_equal(kernel_load(&config, &places), 0);
	assert_int_equal(places.kernel_gpa, RAM + 0x80000);
	assert_int_equal(places.initrd_bytes, 0);
	assert_int_equal(places.initrd_gpa, 0);
}

/* In much RAM the tree stays where old kernels find it. */
static void test_much_memory(void **state)
{
	struct kernel_config config;
	struct kernel_places places;
	struct image image;

	(void)state;
	image_make(&image);
	config = config_of(boot_file_make(image.bytes, image.length),
			   boot_file_make("initrd", 6), 40 * GIB + 64 * KIB);
	assert_int_equal(kernel_load(&config, &places), 0);
	assert_int_equal(places.tree_gpa, RAM + 512 * MIB - 64 * KIB);
	assert_int_equal(places.initrd_gpa, places.tree_gpa - 64 * KIB);
	/* A kernel that fills all that pushes it up, and the initrd with it. */
	store_le64(image.bytes + 16, 600 * MIB);
	config = config_of(boot_file_make(image.bytes, image.length),
			   boot_file_make("initrd", 6), 40 * GIB + 64 * KIB);
	assert_int_equal(kernel_load(&config, &places), 0);
	assert_int_equal(places.tree_gpa, RAM + 40 * GIB);
	assert_tree_place(places.tree_gpa);
	assert_int_equal(places.initrd_gpa, RAM + 32 * GIB - 64 * KIB);
}

/* Kernel and initrd are in one window of 32 GiB, which begins at a multiple of one. */
static void test_initrd_window(void **state)
{
	struct kernel_config config;
	struct kernel_places places;
	struct image image;

	(void)state;
	image_make(&image);
	store_le64(image.bytes + 8, 3 * GIB + 5 * MIB);
	config = config_of(boot_file_make(image.bytes, image.length),
			   boot_file_make("initrd", 6), 40 * GIB);
	assert_int_equal(kernel_load(&config, &places), 0);
	assert_int_equal(places.kernel_gpa, RAM + 3 * GIB + 5 * MIB);
	assert_int_equal(places.initrd_gpa, RAM + 35 * GIB - 64 * KIB);
	/* To its last 64 KiB, and one that has no room in it although there is much RAM. */
	store_le64(image.bytes + 8, 0);
	store_le64(image.bytes + 16, 32 * GIB - 64 * KIB);
	config = config_of(boot_file_make(image.bytes, image.length),
			   boot_file_make("initrd", 6), 40 * GIB);
	assert_int_equal(kernel_load(&config, &places), 0);
	assert_int_equal(places.initrd_gpa, RAM + 32 * GIB - 64 * KIB);
	store_le64(image.bytes + 16, 33 * GIB);
	config = config_of(boot_file_make(image.bytes, image.length),
			   boot_file_make("initrd", 6), 40 * GIB);
	message_begin();
	assert_int_equal(kernel_load(&config, &places), -EINVAL);
	assert_true(message_end("do not fit into the 0 KiB of RAM that the kernel leaves within "
				"32 GiB of it"));
	/* Without one that is nobody's trouble. */
	config = config_of(files.kernel.path, NULL, 40 * GIB);
	assert_int_equal(kernel_load(&config, &places), 0);
}

/* One too large for what is below the tree goes above it, within its reach. */
static void test_initrd_above(void **state)
{
	uint8_t *initrd = malloc(8 * MIB + 1);
	struct kernel_config config;
	struct kernel_places places;
	struct image image;

	(void)state;
	assert_non_null(initrd);
	memset(initrd, 'i', 8 * MIB + 1);
	image_make(&image);
	store_le64(image.bytes + 16, 500 * MIB);
	config = config_of(boot_file_make(image.bytes, image.length),
			   boot_file_make(initrd, 8 * MIB + 1), 600 * MIB);
	assert_int_equal(kernel_load(&config, &places), 0);
	assert_int_equal(places.initrd_gpa, RAM + 512 * MIB - 64 * KIB - 9 * MIB + MIB - 64 * KIB);
	store_le64(image.bytes + 16, 506 * MIB);
	config = config_of(boot_file_make(image.bytes, image.length),
			   boot_file_make(initrd, 8 * MIB + 1), 600 * MIB);
	assert_int_equal(kernel_load(&config, &places), 0);
	assert_int_equal(places.tree_gpa, RAM + 512 * MIB - 64 * KIB);
	assert_int_equal(places.initrd_gpa, RAM + 592 * MIB - 64 * KIB);
	assert_loaded(places.initrd_gpa, initrd, 8 * MIB + 1);
	config = config_of(boot_file_make(image.bytes, image.length),
			   boot_file_make(initrd, 8 * MIB + 1), 40 * GIB);
	assert_int_equal(kernel_load(&config, &places), 0);
	assert_int_equal(places.initrd_gpa, RAM + 32 * GIB - 8 * MIB - 64 * KIB);
	free(initrd);
}

/* To the last 64 KiB: kernel, initrd, tree. */
static void test_little_memory(void **state)
{
	struct kernel_config config;
	struct kernel_places places;
	uint8_t initrd[65537] = "i";
	struct image image;

	(void)state;
	image_make(&image);
	config = config_of(boot_file_make(image.bytes, image.length),
			   boot_file_make(initrd, 65536), 3 * MIB + 192 * KIB);
	assert_int_equal(kernel_load(&config, &places), 0);
	assert_int_equal(places.initrd_gpa, RAM + 3 * MIB + 64 * KIB);
	assert_int_equal(places.tree_gpa, RAM + 3 * MIB + 128 * KIB);
	config = config_of(files.kernel.path, boot_file_make(initrd, 65537), 3 * MIB + 192 * KIB);
	message_begin();
	assert_int_equal(kernel_load(&config, &places), -EINVAL);
	assert_true(message_end("64 KiB do not fit into the 64 KiB of RAM that the kernel leaves"));
	config = config_of(files.kernel.path, NULL, 3 * MIB + 64 * KIB);
	message_begin();
	assert_int_equal(kernel_load(&config, &places), -EINVAL);
	assert_true(message_end("no room for a device tree of 64 KiB"));
	config = config_of(files.kernel.path, NULL, 3 * MIB);
	message_begin();
	assert_int_equal(kernel_load(&config, &places), -EINVAL);
	assert_true(message_end("needs 3072 KiB of RAM at offset 0x0, the guest has 3072 KiB"));
}

/* RAM that ends just behind a 2 MiB boundary: the tree does not cross it. */
static void test_tree_boundary(void **state)
{
	struct kernel_config config;
	struct kernel_places places;
	struct image image;

	(void)state;
	image_make(&image);
	config = config_of(boot_file_make(image.bytes, image.length), NULL, 16 * MIB + 64 * KIB);
	config.tree_bytes = 100 * KIB;
	assert_int_equal(kernel_load(&config, &places), 0);
	assert_int_equal(places.tree_gpa, RAM + 16 * MIB - 128 * KIB);
	config.tree_bytes = 2 * MIB;
	config.memory_bytes = 16 * MIB;
	assert_int_equal(kernel_load(&config, &places), 0);
	assert_int_equal(places.tree_gpa, RAM + 14 * MIB);
}

static void test_flat(void **state)
{
	struct kernel_config config = config_of(boot_file_make("\x00\x00\x00\x14", 4), NULL, 2 * MIB);
	struct kernel_places places;
	struct image image;

	(void)state;
	assert_int_equal(kernel_load(&config, &places), 0);
	assert_int_equal(places.kernel_gpa, RAM + 0x80000);
	assert_loaded(RAM + 0x80000, "\x00\x00\x00\x14", 4);
	/* A header that does not say how much it needs is as old. */
	image_make(&image);
	store_le64(image.bytes + 8, UINT64_C(0x8000000000000)); /* of whichever byte order */
	store_le64(image.bytes + 16, 0);
	config = config_of(boot_file_make(image.bytes, image.length), NULL, 2 * MIB);
	assert_int_equal(kernel_load(&config, &places), 0);
	assert_int_equal(places.kernel_gpa, RAM + 0x80000);
}

/* What kernel_load() says about the Image after `change`, with 32 MiB of RAM and 4 KiB pages. */
static bool refused(void (*change)(struct image *), const char *text)
{
	struct kernel_config config;
	struct kernel_places places;
	struct image image;
	int error;

	image_make(&image);
	change(&image);
	config = config_of(boot_file_make(image.bytes, image.length), NULL, 32 * MIB);
	config.granules = GRANULE_4K;
	message_begin();
	error = kernel_load(&config, &places);
	return message_end(text) && error == -EINVAL;
}

static void want_much(struct image *image) { store_le64(image->bytes + 16, UINT64_MAX); }
static void want_more(struct image *image) { store_le64(image->bytes + 16, 32 * MIB + 1); }
static void want_all(struct image *image) { store_le64(image->bytes + 16, 32 * MIB); }
static void load_high(struct image *image) { store_le64(image->bytes + 8, 30 * MIB); }
static void load_wrapping(struct image *image) { store_le64(image->bytes + 8, UINT64_MAX - 8); }
static void be_big_endian(struct image *image) { image->bytes[24] |= 1; }
static void have_16k(struct image *image) { image->bytes[24] = 0xc; }
static void have_64k(struct image *image) { image->bytes[24] = 0xe; }
static void end_header(struct image *image) { image->length = 60; }

static void test_hostile_images(void **state)
{
	(void)state;
	assert_true(refused(want_much, "give more with --mem"));
	assert_true(refused(want_more, "give more with --mem"));
	assert_true(refused(want_all, "no room for a device tree"));
	assert_true(refused(load_high, "at offset 0x1e00000"));
	assert_true(refused(load_wrapping, "at offset 0xfffffffffffffff7"));
	assert_true(refused(be_big_endian, "a big-endian kernel"));
	assert_true(refused(have_16k, "pages of 16 KiB"));
	assert_true(refused(have_64k, "pages of 64 KiB"));
	assert_true(refused(end_header, "truncated"));
}

static void zboot(struct image *image)
{
	memset(image->bytes, 0, 64);
	memcpy(image->bytes, "MZ\0\0zimg", 8);
	store_le32(image->bytes + 8, 0x1234);
	store_le32(image->bytes + 12, UINT32_MAX);
	strcpy((char *)image->bytes + 24, "zstd22");
}

static void strange_zboot(struct image *image)
{
	zboot(image);
	memset(image->bytes + 24, 'q', 32);
}

static void cut_zboot(struct image *image)
{
	zboot(image);
	image->length = 8;
}

static void elf(struct image *image)
{
	memcpy(image->bytes, "\177ELF\2\1\1", 8);
	image->bytes[56] = 0;
}

static void efi(struct image *image)
{
	memcpy(image->bytes, "MZ", 2);
	image->bytes[56] = 0;
}

static void bzimage(struct image *image)
{
	efi(image);
	memcpy(image->bytes + 0x202, "HdrS", 4);
}

static void cpio(struct image *image)
{
	memcpy(image->bytes, "07070100", 8);
	image->bytes[56] = 0;
}

static void xz(struct image *image)
{
	memcpy(image->bytes, "\xfd" "7zXZ\0", 6);
	image->length = 6;
}

static void test_other_files(void **state)
{
	(void)state;
	assert_true(refused(zboot, "an EFI zboot image"));
	assert_true(refused(zboot, "tail -c +4661 '/tmp/"));
	assert_true(refused(zboot, "| head -c 4294967295 | unzstd > Image"));
	assert_true(refused(strange_zboot, "| its unpacker > Image"));
	assert_true(refused(cut_zboot, "truncated"));
	assert_true(refused(elf, "an ELF; give the arm64 Image"));
	assert_true(refused(bzimage, "a bzImage, a kernel for x86"));
	assert_true(refused(efi, "an EFI program without"));
	assert_true(refused(cpio, "may be the --initrd"));
	assert_true(refused(xz, "unxz"));
}

static void test_granules(void **state)
{
	(void)state;
	/* Neoverse N1: 4 and 64 KiB, not 16; then with 16; then none but 16. */
	assert_int_equal(kernel_image_granules(0x0000), GRANULE_4K | GRANULE_64K);
	assert_int_equal(kernel_image_granules(0x00101122), ALL_GRANULES);
	assert_int_equal(kernel_image_granules(0x10201122), ALL_GRANULES);
	assert_int_equal(kernel_image_granules(0xff100000), GRANULE_16K);
	assert_int_equal(kernel_image_granules(0xf0000000), GRANULE_64K);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_image, setup, teardown),
		cmocka_unit_test_setup_teardown(test_much_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_initrd_window, setup, teardown),
		cmocka_unit_test_setup_teardown(test_initrd_above, setup, teardown),
		cmocka_unit_test_setup_teardown(test_little_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tree_boundary, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flat, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_images, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_granules, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
