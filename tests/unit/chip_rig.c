// SPDX-License-Identifier: MIT
#include "tests/unit/unit.h"

#include <poll.h>

#include "base/fd.h"
#include "tests/unit/chip_rig.h"

void chip_rig_create(struct chip_rig *rig)
{
	rig->irq_fd = event_fd_create();
	assert_true(rig->irq_fd >= 0);
	assert_int_equal(bus_init(&rig->bus), 0);
	assert_int_equal(worker_create(&rig->worker, &(struct worker_config){ "io-test", 32, 8 }),
			 0);
}

void chip_rig_destroy(struct chip_rig *rig, void (*destroy)(struct worker_task *task))
{
	chip_rig_call(rig, destroy);
	worker_stop(&rig->worker);
	assert_int_equal(rig->bus.count, 0);
	worker_destroy(&rig->worker);
	bus_destroy(&rig->bus);
	fd_close(&rig->irq_fd);
}

void chip_rig_call(struct chip_rig *rig, void (*run)(struct worker_task *task))
{
	struct worker_task task = { run };

	worker_call(&rig->worker, &task);
}

bool chip_rig_edge(struct chip_rig *rig, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = rig->irq_fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1 && event_fd_drain(rig->irq_fd) == 1;
}
