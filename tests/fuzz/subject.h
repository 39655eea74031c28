/* SPDX-License-Identifier: MIT */
/*
 * The device that a target is about, on a worker of the played ring: how it
 * comes to be. One a program, on its one thread.
 */
#ifndef TESTS_FUZZ_SUBJECT_H
#define TESTS_FUZZ_SUBJECT_H

#include "virtio/registers.h"
#include "virtio/virtio.h"

/* What any device is given: one worker for all it does, and packed rings. Valid from here on. */
const struct virtio_deps *subject_deps(struct worker *worker, const struct guest_memory *memory);

/* A device of the target's own, with `config`'s queues, each of up to `size` descriptors. */
void subject_init(struct virtio_device *device, const struct virtio_device_config *config,
		  uint16_t size);

#endif
