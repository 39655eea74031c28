// SPDX-License-Identifier: MIT
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

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

void (*fuzz_at_failure)(void);

void fuzz_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	if (fuzz_at_failure)
		fuzz_at_failure();
	abort();
}
