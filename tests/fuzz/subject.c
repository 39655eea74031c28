// SPDX-License-Identifier: MIT
#include "tests/fuzz/subject.h"

#include "tests/fuzz/fuzz.h"

const struct virtio_deps *subject_deps(struct worker *worker, const struct guest_memory *memory)
{
	static struct worker *workers[1];
	static struct virtio_deps deps;

	workers[0] = worker;
	deps = (struct virtio_deps){
		.name = "subject",
		.memory = memory,
		.workers = workers,
		.worker_count = ARRAY_SIZE(workers),
		.packed_ring = true,
	};
	return &deps;
}

void subject_init(struct virtio_device *device, const struct virtio_device_config *config,
		  uint16_t size)
{
	fuzz_check(!virtio_device_init(device, config));
	for (unsigned i = 0; i < config->queue_count; i++)
		fuzz_check(!virtqueue_init(&config->queues[i], device, (uint16_t)i, size,
					   config->deps->workers[0]));
}
