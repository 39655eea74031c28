/* SPDX-License-Identifier: MIT */
/*
 * MSI-X: capability, table, pending bits (PCI 3.0, 6.8.2).
 *
 * A *source* is an eventfd that a device signals, the same for the device's
 * life. The driver maps sources to *vectors*, any number to one. While a vector
 * is open (MSI-X enabled, neither it nor the function masked, Bus Master on),
 * every source mapped to it is attached as an irqfd to the vector's GSI: the
 * interrupt is KVM's business and the device knows nothing of it. Otherwise the
 * sources are detached, and one whose eventfd is readable is what the pending
 * bit shows. So no mask and no mapping ever reaches into a worker.
 *
 * A vector gets its GSI when it is first open with a source, and keeps it until
 * msix_unmap_all(). What KVM refuses of what the guest wrote makes the vector
 * dead, that is, as if masked, until the guest writes something better.
 *
 * vCPU threads; msix.lock is below device locks and above irq_router.lock.
 */
#ifndef HW_MSIX_H
#define HW_MSIX_H

#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "core/irq.h"
#include "hw/pci.h"

#define MSIX_NO_VECTOR 0xffff
#define MSIX_VECTORS_MAX (PCI_MSIX_FLAGS_QSIZE + 1)

struct msix_source {
	int event_fd;
	uint16_t vector; /* or MSIX_NO_VECTOR */
	bool attached;	 /* to its vector's GSI */
};

struct msix_vector {
	struct msi_message message; /* as the guest wrote it */
	bool masked;
	bool refused; /* complained about */
	int gsi;      /* -1: none yet */
	bool routed;  /* the GSI raises `route` */
	struct msi_message route;
};

struct msix {
	const char *name;
	struct irq_router *irqs;
	struct pci_function *function;
	unsigned capability; /* offset in config space */
	pthread_mutex_t lock; /* the following, but counts and event_fds, which are fixed */
	bool enabled, open;   /* open: also neither masked nor without Bus Master */
	struct msix_vector *vectors;
	unsigned vector_count;
	struct msix_source *sources;
	unsigned source_count;
	struct log_limit log_limit;
};

struct msix_config {
	const char *name; /* of the device, for messages */
	struct irq_router *irqs;
	struct pci_function *function;
	unsigned vector_count, source_count;
	unsigned bar;
	uint32_t table_offset, pba_offset; /* in the BAR, multiples of 8 */
};

/* Control thread. Adds the capability. 0 or a failure, logged. */
int msix_init(struct msix *msix, const struct msix_config *config);
void msix_destroy(struct msix *msix);

/* Control thread, once for each source. The fd stays the caller's. */
void msix_set_source(struct msix *msix, unsigned source, int event_fd);

/* From pci_ops.config_written; looks at Message Control and Command. pci_host.lock. */
void msix_config_written(struct msix *msix);

bool msix_enabled(struct msix *msix);

/*
 * The driver's choice for a source; a vector that does not exist becomes
 * MSIX_NO_VECTOR. What a source signalled while it had none is forgotten.
 */
void msix_map(struct msix *msix, unsigned source, uint16_t vector);
uint16_t msix_mapping(struct msix *msix, unsigned source);

/* Device reset: every source to MSIX_NO_VECTOR, GSIs given back. The table stays. */
void msix_unmap_all(struct msix *msix);

/* Function reset: power-on state. pci_host.lock. */
void msix_reset(struct msix *msix);

/*
 * The table: reads of any length; writes of 4 or 8 bytes, aligned, others are
 * ignored, as is what lies past the last vector. The pending bits: read only.
 */
uint64_t msix_table_read(struct msix *msix, uint64_t offset, unsigned length);
void msix_table_write(struct msix *msix, uint64_t offset, unsigned length, uint64_t value);
uint64_t msix_pending_read(struct msix *msix, uint64_t offset, unsigned length);

#endif
