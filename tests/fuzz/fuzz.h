/* SPDX-License-Identifier: MIT */
/*
 * What every fuzz target shares: the input as a stream of choices, and the check
 * that ends the run. A target is one LLVMFuzzerTestOneInput(), linked to
 * libFuzzer, or to replay.c, which plays files. All of it on one thread.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* By libFuzzer or replay.c, once before the first input; and for each input. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Read from the front; past its end it is zeros without an end. */
struct fuzz_input {
	const uint8_t *next, *end;
};

static inline struct fuzz_input fuzz_input(const uint8_t *data, size_t size)
{
	return (struct fuzz_input){ data, data + size };
}

static inline bool fuzz_more(const struct fuzz_input *input)
{
	return input->next < input->end;
}

/* Little endian, of 0 to 8 bytes. */
uint64_t fuzz_number(struct fuzz_input *input, unsigned bytes);
/* Below `limit`, which is not 0; one byte of input if that is enough. */
unsigned fuzz_below(struct fuzz_input *input, unsigned limit);
void fuzz_bytes(struct fuzz_input *input, void *bytes, size_t length);

static inline uint8_t fuzz_u8(struct fuzz_input *input)
{
	return (uint8_t)fuzz_number(input, 1);
}

/*
 * MemorySanitizer, where it is built in, knows of each byte whether the program
 * ever stored something there. What the kernel stored it is told of...
 */
void fuzz_stored(const void *data, size_t bytes);
/* ...and here no byte may be left over from what the host had in its memory before. */
void fuzz_check_stored(const void *data, size_t bytes);

/* Says where and what, and aborts: libFuzzer keeps the input. Before that: if not NULL. */
extern void (*fuzz_at_failure)(void);
void fuzz_failed(const char *file, int line, const char *what) __attribute__((noreturn));

#define fuzz_check(condition)                                                                      \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fuzz_failed(__FILE__, __LINE__, #condition);                               \
	} while (0)

#endif
