/* SPDX-License-Identifier: MIT */
/* The header of a bzImage as Linux's build makes it, for tests to bend. */
#ifndef TESTS_UNIT_BZIMAGE_H
#define TESTS_UNIT_BZIMAGE_H

#include <asm/bootparam.h>

#define BZIMAGE_HEADER_OFFSET 0x1f1
#define BZIMAGE_SETUP_SECTS 2
#define BZIMAGE_SETUP_BYTES ((BZIMAGE_SETUP_SECTS + 1) * 512)

/* For a kernel of so many bytes behind the setup sectors, that wants 3 MiB of RAM at 16 MiB. */
static inline struct setup_header bzimage_header(uint32_t payload_bytes)
{
	return (struct setup_header){
		.setup_sects = BZIMAGE_SETUP_SECTS,
		.syssize = payload_bytes / 16,
		.boot_flag = 0xaa55,
		.jump = 0xeb | (sizeof(struct setup_header) + BZIMAGE_HEADER_OFFSET - 0x202) << 8,
		.header = 0x53726448,
		.version = 0x020f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x200000,
		.relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G,
		.cmdline_size = 2047,
		.pref_address = 0x1000000,
		.init_size = 0x300000,
	};
}

#endif
