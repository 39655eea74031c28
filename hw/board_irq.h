/* SPDX-License-Identifier: MIT */
/*
 * The interrupt of a fixed device: an eventfd and the pin of the board's
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

/* 0 or a failure, logged. */
int board_irq_open(struct board_irq *irq, struct irq_router *router, uint32_t gsi);
/* Nobody writes event_fd any more. */
void board_irq_close(struct board_irq *irq, struct irq_router *router);

#endif
