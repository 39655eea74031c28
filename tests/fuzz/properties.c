// SPDX-License-Identifier: MIT
/*
 * properties [SCRIPTS [SEED]]: the driver model. Seeded scripts of an honest
 * driver, with resets of device and queue at any step, are played on a split and
 * on a packed ring; beside what queue_model.h promises, both must bring about
 * the same. One that fails is printed by its seed, and `properties 1 SEED` plays it
 * again. One thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/queue_model.h"

#define SCRIPT_BYTES_MAX 384
#define SCRIPTS 500

static uint64_t playing; /* a seed */

/* splitmix64 */
static uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static size_t script_make(uint64_t seed, uint8_t *script)
{
	uint64_t state = seed;
	size_t length = 8 + random_next(&state) % (SCRIPT_BYTES_MAX - 8);

	for (size_t i = 0; i < length; i++)
		script[i] = (uint8_t)(random_next(&state) >> 32);
	return length;
}

static uint64_t play(const uint8_t *script, size_t length, enum queue_model_ring ring)
{
	const struct queue_model_rules rules = { .ring = ring, .honest = true };
	struct fuzz_input input = fuzz_input(script, length);

	return queue_model_play(&input, &rules);
}

/* fuzz_check() has said what and aborts. */
static void say_seed(void)
{
	fprintf(stderr, "in the script of seed %" PRIu64 "\n", playing);
}

int main(int argc, char **argv)
{
	uint64_t scripts = argc > 1 ? strtoull(argv[1], NULL, 0) : SCRIPTS;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	uint8_t script[SCRIPT_BYTES_MAX];

	fuzz_at_failure = say_seed;
	queue_model_init();
	for (playing = seed; playing < seed + scripts; playing++) {
		size_t length = script_make(playing, script);

		fuzz_check(play(script, length, QUEUE_MODEL_SPLIT) ==
			   play(script, length, QUEUE_MODEL_PACKED));
	}
	printf("%" PRIu64 " scripts from seed %" PRIu64 " on, on both rings: 1 passed, 0 failed, "
	       "0 skipped\n", scripts, seed);
	return scripts ? 0 : 1;
}
