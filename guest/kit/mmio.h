/* SPDX-License-Identifier: MIT */
/* Loads and stores of device memory. */
#ifndef GUEST_KIT_MMIO_H
#define GUEST_KIT_MMIO_H

#include <stdint.h>

/*
 * One access of exactly this width to device memory, by a plain load or store: the compiler must
 * not fold stepping through addresses into it, as a hypervisor is not told what such a one does.
 */
static inline uint64_t mmio_plain(uint64_t address)
{
	__asm__ volatile("" : "+r"(address));
	return address;
}

static inline uint8_t mmio_read8(uint64_t address)
{
	return *(volatile uint8_t *)mmio_plain(address);
}

static inline uint16_t mmio_read16(uint64_t address)
{
	return *(volatile uint16_t *)mmio_plain(address);
}

static inline uint32_t mmio_read32(uint64_t address)
{
	return *(volatile uint32_t *)mmio_plain(address);
}

static inline uint64_t mmio_read64(uint64_t address)
{
	return *(volatile uint64_t *)mmio_plain(address);
}

static inline void mmio_write8(uint64_t address, uint8_t value)
{
	*(volatile uint8_t *)mmio_plain(address) = value;
}

static inline void mmio_write16(uint64_t address, uint16_t value)
{
	*(volatile uint16_t *)mmio_plain(address) = value;
}

static inline void mmio_write32(uint64_t address, uint32_t value)
{
	*(volatile uint32_t *)mmio_plain(address) = value;
}

static inline void mmio_write64(uint64_t address, uint64_t value)
{
	*(volatile uint64_t *)mmio_plain(address) = value;
}

#endif
