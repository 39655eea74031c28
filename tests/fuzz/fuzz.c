// SPDX-License-Identifier: MIT
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define WATCHES_STORES
#endif
#endif

uint64_t fuzz_number(struct fuzz_input *input, unsigned bytes)
{
	uint64_t number = 0;

	for (unsigned i = 0; i < bytes && fuzz_more(input); i++)
		number |= (uint64_t)*input->next++ << (8 * i);
	return number;
}

unsigned fuzz_below(struct fuzz_input *input, unsigned limit)
{
	return (unsigned)fuzz_number(input, limit > 256 ? 4 : 1) % limit;
}

void fuzz_bytes(struct fuzz_input *input, void *bytes, size_t length)
{
	uint8_t *cursor = bytes;

	while (length--)
		*cursor++ = fuzz_u8(input);
}

void fuzz_stored(const void *data, size_t bytes)
{
#ifdef WATCHES_STORES
	__msan_unpoison(data, bytes);
#else
	(void)data;
	(void)bytes;
#endif
}

void fuzz_check_stored(const void *data, size_t bytes)
{
#ifdef WATCHES_STORES
	__msan_check_mem_is_initialized(data, bytes);
#else
	(void)data;
	(void)bytes;
#endif
}

void (*fuzz_at_failure)(void);

void fuzz_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	if (fuzz_at_failure)
		fuzz_at_failure();
	abort();
}
