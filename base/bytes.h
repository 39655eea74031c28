/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic on bits, sizes and addresses, and little-endian access to bytes
 * at any alignment. No state, any thread.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)

#define BIT64(n) (UINT64_C(1) << (n))

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define container_of(pointer, type, member) \
	((type *)((char *)(pointer) - offsetof(type, member)))

static inline bool is_power_of_two(uint64_t value)
{
	return value && !(value & (value - 1));
}

/* `alignment` is a power of two. */
static inline uint64_t align_up(uint64_t value, uint64_t alignment)
{
	return (value + alignment - 1) & ~(alignment - 1);
}

static inline uint64_t align_down(uint64_t value, uint64_t alignment)
{
	return value & ~(alignment - 1);
}

static inline bool is_aligned(uint64_t value, uint64_t alignment)
{
	return !(value & (alignment - 1));
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Whether [offset, offset + length) lies within [0, size), without wrapping. */
static inline bool range_within(uint64_t offset, uint64_t length, uint64_t size)
{
	return offset <= size && length <= size - offset;
}

/* Whether [a, a + a_size) and [b, b + b_size) share a byte; neither may wrap. */
static inline bool ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static inline uint16_t load_le16(const void *bytes)
{
	uint16_t value;

	memcpy(&value, bytes, sizeof(value));
	return le16toh(value);
}

static inline uint32_t load_le32(const void *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return le32toh(value);
}

static inline uint64_t load_le64(const void *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return le64toh(value);
}

static inline void store_le16(void *bytes, uint16_t value)
{
	value = htole16(value);
	memcpy(bytes, &value, sizeof(value));
}

static inline void store_le32(void *bytes, uint32_t value)
{
	value = htole32(value);
	memcpy(bytes, &value, sizeof(value));
}

static inline void store_le64(void *bytes, uint64_t value)
{
	value = htole64(value);
	memcpy(bytes, &value, sizeof(value));
}

/* The first `length` (at most 8) little-endian bytes as a number, and back. */
static inline uint64_t load_le(const void *bytes, unsigned length)
{
	uint64_t value = 0;

	memcpy(&value, bytes, length);
	return le64toh(value);
}

static inline void store_le(void *bytes, uint64_t value, unsigned length)
{
	value = htole64(value);
	memcpy(bytes, &value, length);
}

/* All ones in the low `length` bytes: what an unclaimed address reads as. */
static inline uint64_t all_ones(unsigned length)
{
	return length >= 8 ? UINT64_MAX : BIT64(length * 8) - 1;
}

#endif
