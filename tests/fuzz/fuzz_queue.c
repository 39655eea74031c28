// SPDX-License-Identifier: MIT
/* The queue layer with rings of both formats: see queue_model.h. */
#include "tests/fuzz/queue_model.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	queue_model_init();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct queue_model_rules rules = { .ring = QUEUE_MODEL_ANY };
	struct fuzz_input input = fuzz_input(data, size);

	queue_model_play(&input, &rules);
	return 0;
}
