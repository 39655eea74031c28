/* SPDX-License-Identifier: MIT */
/* What driver.c does by the ring's format, for the packed one. Tests use driver.h. */
#ifndef TESTS_UNIT_DRIVER_PACKED_H
#define TESTS_UNIT_DRIVER_PACKED_H

#include "tests/unit/driver.h"

struct driver_rings {
	uint64_t desc, avail, used;
};

void driver_packed_set_up(struct driver_queue *queue, struct driver_rings *rings);
int driver_packed_add(struct driver_queue *queue, const struct driver_part *parts, unsigned count);
void driver_packed_publish(struct driver_queue *queue);
bool driver_packed_kick_wanted(struct driver_queue *queue);
bool driver_packed_has_used(const struct driver_queue *queue);
bool driver_packed_take(struct driver_queue *queue, uint16_t *id, uint32_t *bytes);
void driver_packed_interrupt_after(struct driver_queue *queue, uint16_t count);
void driver_packed_interrupts(struct driver_queue *queue, bool wanted);

#endif
