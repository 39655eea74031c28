/* SPDX-License-Identifier: MIT */
/*
 * The interrupts of fixed devices: for each an eventfd and the pin of the board's
 * interrupt controller that each write to it raises, as an edge. Control thread.
 */
#ifndef HW_BOARD_IRQ_H
#define HW_BOARD_IRQ_H

#include <stdint.h>

#include "core/irq.h"

struct board_irq {
	uint32_t gsi;
	int event_fd;
};

/* All `count` of them, or none: 0 or a failure, logged. */
int board_irqs_open(struct board_irq *irqs, struct irq_router *router, const uint32_t *gsis,
		    unsigned count);
/* Nobody writes an event_fd any more. */
void board_irqs_close(struct board_irq *irqs, struct irq_router *router, unsigned count);

#endif
