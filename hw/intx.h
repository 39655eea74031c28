/* SPDX-License-Identifier: MIT */
/*
 * The INTx pin of a function, for guests without MSI-X. The causes are eventfds
 * that the device signals; a worker watches them, notes each in the interrupt
 * status, and asserts the pin by a level-triggered irqfd. The guest's end of
 * interrupt de-asserts it inside KVM and tells the worker, which asserts it
 * again while status is left. (So a guest that reads the status away without an
 * end of interrupt, polling, finds the pin asserted until its next one.)
 *
 * The causes are watched only while the device is live and does not use MSI-X:
 * otherwise the pin costs nothing. vCPU threads change that and never wait for
 * the worker.
 */
#ifndef HW_INTX_H
#define HW_INTX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "core/irq.h"
#include "core/worker.h"

struct intx;

struct intx_cause {
	struct fd_watch watch; /* this and slot: worker thread */
	struct intx *intx;
	int event_fd;
	int slot;     /* among the worker's files, from the first watch on; else -1 */
	uint8_t bits; /* of the status */
};

struct intx {
	const char *name;
	struct irq_router *irqs;
	struct worker *worker;
	uint32_t gsi;
	int event_fd, resample_fd;
	struct intx_cause *causes; /* the last is the end of interrupt */
	unsigned cause_count;
	bool watching; /* worker thread */
	struct log_limit log_limit;
	pthread_mutex_t lock; /* the following; above the worker's mailbox lock only */
	bool live, msix, disabled;
	bool requested; /* what the worker was last told: to watch or not */
	bool posted;	/* task is on its way */
	uint8_t status;
	struct worker_task task;
};

struct intx_config {
	const char *name; /* of the device, for messages */
	struct irq_router *irqs;
	struct worker *worker;
	uint32_t gsi;
	unsigned cause_count;
};

/* Control thread. 0 or a failure, logged. */
int intx_init(struct intx *intx, const struct intx_config *config);

/* Control thread; the worker runs, or has stopped for good, or never ran. */
void intx_destroy(struct intx *intx);

/* Control thread, once for each cause. The fd stays the caller's. */
void intx_set_cause(struct intx *intx, unsigned cause, int event_fd, uint8_t bits);

/* ---- vCPU threads ---- */

/* Before the device goes live: what was signalled so far is not for this driver. */
void intx_forget(struct intx *intx);

/* The device may interrupt; false: reset, the status is cleared. */
void intx_set_live(struct intx *intx, bool live);
/* MSI-X is enabled, so the pin is silent. */
void intx_set_msix(struct intx *intx, bool enabled);
/* Command.INTx Disable. */
void intx_set_disabled(struct intx *intx, bool disabled);

uint8_t intx_status(struct intx *intx);
/* Returns it and clears it. */
uint8_t intx_take_status(struct intx *intx);

#endif
