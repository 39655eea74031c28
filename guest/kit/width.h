/* SPDX-License-Identifier: MIT */
/* Accesses to device memory whose width is a value, for tests that try them all. */
#ifndef GUEST_KIT_WIDTH_H
#define GUEST_KIT_WIDTH_H

#include <stdint.h>

#define WIDTHS 4

/* 1, 2, 4, 8: bytes. */
extern const unsigned widths[WIDTHS];

uint64_t width_read(uint64_t gpa, unsigned bytes);
void width_write(uint64_t gpa, unsigned bytes, uint64_t value);
/* How far apart such accesses may be made here. */
unsigned width_step(unsigned bytes);
/* What nobody answers to such a read. */
uint64_t width_ones(unsigned bytes);

#endif
