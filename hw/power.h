/* SPDX-License-Identifier: MIT */
/*
 * The power registers of an ACPI hardware-reduced machine (ACPI 6.5, 4.8.3.7 and
 * 4.8.3.6) and an event register for its generic event device. The registers are
 * a layout of ours; ACPI tables describe it.
 */
#ifndef HW_POWER_H
#define HW_POWER_H

#include <stdint.h>

#include "core/bus.h"
#include "core/request.h"

/* Offsets from `base`. */
#define POWER_SLEEP_CONTROL 0 /* 1 byte */
#define POWER_SLEEP_STATUS  1 /* 1 byte */
#define POWER_RESET         2 /* 1 byte */
#define POWER_EVENTS        4 /* 4 bytes: POWER_EVENT_*; a read clears all */
#define POWER_REGISTERS     8

#define POWER_SLEEP_TYPE_OFF 5 /* SLP_TYP of \_S5 */
#define POWER_RESET_VALUE    0x5a
#define POWER_EVENT_BUTTON   1u

struct power_config {
	struct bus *bus;
	uint64_t base;
	struct request_line *requests;
	int event_fd; /* its irqfd: written when an event register bit is set */
};

struct power {
	struct power_config config;
	struct region registers;
	_Atomic uint32_t events; /* set by the control thread, taken by vCPUs */
};

/* 0 or a failure, logged. Control thread. */
int power_init(struct power *power, const struct power_config *config);
/* Off the bus. No vCPU runs. */
void power_destroy(struct power *power);
/* No event waits. vCPUs parked. */
void power_reset(struct power *power);

/* Any thread. */
void power_press_button(struct power *power);

#endif
