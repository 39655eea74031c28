// SPDX-License-Identifier: MIT
/* Interrupts of fixed devices. Control thread. */
#include "hw/board_irq.h"

#include <string.h>

#include "base/fd.h"
#include "base/log.h"

static int irq_open(struct board_irq *irq, struct irq_router *router, uint32_t gsi)
{
	int error;

	irq->gsi = gsi;
	irq->event_fd = event_fd_create();
	if (irq->event_fd < 0)
		return fail_host(-irq->event_fd, "interrupt %u: eventfd: %s; raise the limit "
				 "of open files (ulimit -n)", gsi, strerror(-irq->event_fd));
	error = irq_router_attach(router, gsi, irq->event_fd);
	if (error) {
		fd_close(&irq->event_fd);
		return fail_host(-error, "interrupt %u: KVM_IRQFD: %s", gsi, strerror(-error));
	}
	return 0;
}

int board_irqs_open(struct board_irq *irqs, struct irq_router *router, const uint32_t *gsis,
		    unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		int error = irq_open(&irqs[i], router, gsis[i]);

		if (!error)
			continue;
		board_irqs_close(irqs, router, i);
		return error;
	}
	return 0;
}

void board_irqs_close(struct board_irq *irqs, struct irq_router *router, unsigned count)
{
	while (count--) {
		irq_router_detach(router, irqs[count].gsi, irqs[count].event_fd);
		fd_close(&irqs[count].event_fd);
	}
}
