/* SPDX-License-Identifier: MIT */
/*
 * How an ARM PrimeCell peripheral names itself: eight registers of 8 bits at
 * the end of its 4 KiB. No state, any thread.
 */
#ifndef HW_PRIMECELL_H
#define HW_PRIMECELL_H

#include <stdint.h>

#define PRIMECELL_BYTES 0x1000 /* what any of them takes of the address space */
#define PRIMECELL_ID    0xfe0  /* the first of the eight registers */

/* The low 32 bits that the four first make: part number and ARM as its designer. */
#define PRIMECELL_PERIPHERAL_ID(part) (UINT32_C(0x00041000) | (part))
#define PRIMECELL_CELL_ID             UINT32_C(0xb105f00d)

/* `offset` is a multiple of 4 and at least PRIMECELL_ID. */
static inline uint32_t primecell_id(uint8_t part, uint64_t offset)
{
	uint64_t ids = (uint64_t)PRIMECELL_CELL_ID << 32 | PRIMECELL_PERIPHERAL_ID(part);

	return ids >> (offset - PRIMECELL_ID) / 4 * 8 & 0xff;
}

#endif
