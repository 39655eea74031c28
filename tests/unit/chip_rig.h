/* SPDX-License-Identifier: MIT */
/*
 * What a chip on the board lives on: a bus, a worker on a thread of its own, and
 * an interrupt that counts edges. All functions run on the test's thread.
 */
#ifndef TESTS_UNIT_CHIP_RIG_H
#define TESTS_UNIT_CHIP_RIG_H

#include <stdbool.h>

#include "core/bus.h"
#include "core/worker.h"

struct chip_rig {
	struct bus bus;
	struct worker worker; /* not started yet */
	int irq_fd;
};

void chip_rig_create(struct chip_rig *rig);
/* `destroy` is the chip's, on the worker; then nothing may be left on the bus. */
void chip_rig_destroy(struct chip_rig *rig, void (*destroy)(struct worker_task *task));

/* On the worker, until it has been done. */
void chip_rig_call(struct chip_rig *rig, void (*run)(struct worker_task *task));
/* Whether one edge comes, and no more. */
bool chip_rig_edge(struct chip_rig *rig, int timeout_ms);

#endif
