/* SPDX-License-Identifier: MIT */
/* Strings and memory without a C library. The four mem* are also what the compiler calls. */
#ifndef GUEST_KIT_TEXT_H
#define GUEST_KIT_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define static_assert(condition) _Static_assert(condition, #condition)
#define BIT64(bit) (UINT64_C(1) << (bit))

void *memcpy(void *to, const void *from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);
int memcmp(const void *a, const void *b, size_t count);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t count);

/* %s %c %d %u %x with l, ll, z and a width (0-padded for %0Nx); always ends in 0. Returns the
 * length. */
__attribute__((format(printf, 3, 4))) size_t text_format(char *to, size_t size, const char *format,
							 ...);
size_t text_vformat(char *to, size_t size, const char *format, va_list args);

/* The value of NAME in a command line "NAME=value ..."; `otherwise` if it is not there. Decimal or
 * 0x. */
uint64_t param_number(const char *name, uint64_t otherwise);
bool param_is_set(const char *name);

#endif
