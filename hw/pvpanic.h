/* SPDX-License-Identifier: MIT */
/*
 * The one-byte device by which a guest's kernel says that it panicked
 * (docs/specs/pvpanic of QEMU). vCPU threads; no state, no lock.
 */
#ifndef HW_PVPANIC_H
#define HW_PVPANIC_H

#include <stdint.h>

#include "core/bus.h"
#include "core/request.h"

#define PVPANIC_REGISTERS 1

struct pvpanic {
	struct region events;
	struct bus *bus;
	struct request_line *requests;
};

/* On the bus, PVPANIC_REGISTERS bytes at `base`. 0 or a failure, logged. Control thread. */
int pvpanic_init(struct pvpanic *pvpanic, struct bus *bus, uint64_t base,
		 struct request_line *requests);
/* Off the bus. No vCPU runs. */
void pvpanic_destroy(struct pvpanic *pvpanic);

#endif
