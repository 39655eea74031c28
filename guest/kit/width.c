// SPDX-License-Identifier: MIT
/* Accesses of any width, each by one load or store. */
#include "kit/width.h"
#include "kit/arch.h"
#include "kit/text.h"

const unsigned widths[WIDTHS] = { 1, 2, 4, 8 };

uint64_t width_read(uint64_t gpa, unsigned bytes)
{
	switch (bytes) {
	case 1:
		return mmio_read8(gpa);
	case 2:
		return mmio_read16(gpa);
	case 4:
		return mmio_read32(gpa);
	default:
		return mmio_read64(gpa);
	}
}

void width_write(uint64_t gpa, unsigned bytes, uint64_t value)
{
	switch (bytes) {
	case 1:
		mmio_write8(gpa, (uint8_t)value);
		break;
	case 2:
		mmio_write16(gpa, (uint16_t)value);
		break;
	case 4:
		mmio_write32(gpa, (uint32_t)value);
		break;
	default:
		mmio_write64(gpa, value);
		break;
	}
}

unsigned width_step(unsigned bytes)
{
	return arch_mmio_unaligned() ? 1 : bytes;
}

uint64_t width_ones(unsigned bytes)
{
	return bytes == 8 ? UINT64_MAX : BIT64(bytes * 8) - 1;
}
