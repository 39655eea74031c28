/* SPDX-License-Identifier: MIT */
/*
 * The queue layer: a driver, honest until the input makes it hostile, against a
 * device that holds chains, ends them in any order, gives them back, is paused
 * and reset. Honest: chains come in order, whole and unchanged, each ends once
 * with what it was ended with, no kick and no interrupt is lost and none comes
 * unasked. Hostile: a device that has failed or was reset touches nothing, and
 * a reset brings it back. All on the target's one thread.
 */
#ifndef TESTS_FUZZ_QUEUE_MODEL_H
#define TESTS_FUZZ_QUEUE_MODEL_H

#include "tests/fuzz/fuzz.h"

/* By the input, which may change it at each reset and choose any size; or one format. */
enum queue_model_ring { QUEUE_MODEL_ANY, QUEUE_MODEL_SPLIT, QUEUE_MODEL_PACKED };

struct queue_model_rules {
	enum queue_model_ring ring;
	bool honest; /* to the end */
};

/* Once a program. */
void queue_model_init(void);

/*
 * One input, from a reset to a reset. What the device was given and the driver got
 * back, as a number: an honest script has the same with rings of either format.
 */
uint64_t queue_model_play(struct fuzz_input *input, const struct queue_model_rules *rules);

#endif
