/* SPDX-License-Identifier: MIT */
/*
 * The GSI table: which interrupt an irqfd raises. Pins of the board's
 * interrupt controller come first, MSI routes are allocated above them. An
 * eventfd is attached to a GSI; whoever writes it raises the interrupt and
 * knows nothing of KVM. Any thread; irq_router.lock is below every device lock.
 */
#ifndef CORE_IRQ_H
#define CORE_IRQ_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/kvm_call.h"

struct kvm_irq_routing;
struct kvm_irq_routing_entry;

struct msi_message {
	uint64_t address;
	uint32_t data;
	uint32_t device_id; /* PCI requester id, for controllers that ask for it */
};

struct irq_router {
	const struct kvm_call *kvm;
	pthread_mutex_t lock; /* leaf but for the ioctl */
	struct kvm_irq_routing *routing; /* lock */
	unsigned capacity; /* entries allocated */
	uint32_t first_msi_gsi, gsi_limit;
	bool msi_has_device_id; /* the interrupt controller wants message.device_id */
	/*
	 * Makes a message the route that the interrupt controller has for it;
	 * -errno: it has none, or the message is no interrupt. NULL: KVM takes
	 * messages as they are. lock.
	 */
	int (*route)(struct kvm_irq_routing_entry *entry, const struct msi_message *message);
	uint64_t *gsi_used; /* bitmap of MSI GSIs; lock */
};

/*
 * `pins` are the board's own routes (its fixed lines), copied, in every
 * table that KVM is given. MSI GSIs are [first_msi_gsi, gsi_limit). 0 or a
 * failure, logged.
 */
int irq_router_init(struct irq_router *router, const struct kvm_call *kvm,
		    const struct kvm_irq_routing_entry *pins, unsigned pin_count,
		    uint32_t gsi_limit);
void irq_router_destroy(struct irq_router *router);

/* A free MSI GSI, without a route yet, or -ENOSPC. Silent. */
int irq_router_allocate_msi(struct irq_router *router);
void irq_router_free_msi(struct irq_router *router, uint32_t gsi);

/*
 * Routes an MSI GSI to a message and tells KVM. -errno if KVM refuses it (the
 * guest may have written nonsense): the old route is then back. Silent.
 */
int irq_router_route_msi(struct irq_router *router, uint32_t gsi,
			 const struct msi_message *message);

/*
 * Attach: each write to event_fd raises the GSI once (an edge). Attaching an
 * eventfd whose count is not zero injects at once. Detach: when it returns, KVM
 * reads event_fd no more. -errno, silent.
 */
int irq_router_attach(struct irq_router *router, uint32_t gsi, int event_fd);
int irq_router_detach(struct irq_router *router, uint32_t gsi, int event_fd);

/*
 * For a level-triggered pin: a write to event_fd asserts it until the guest's
 * end of interrupt, which de-asserts it and writes resample_fd, so that whoever
 * still has cause writes event_fd again. Several may share a pin.
 */
int irq_router_attach_level(struct irq_router *router, uint32_t gsi, int event_fd,
			    int resample_fd);

#endif
