/* SPDX-License-Identifier: MIT */
/*
 * The interrupt controller, which is KVM's: version 3 with or without an ITS,
 * version 2 with or without a GICv2M frame (gicv2m.h) for MSIs. Made before
 * the vCPUs, complete only after them. Control thread.
 */
#ifndef ARM64_GIC_H
#define ARM64_GIC_H

#include <stdbool.h>

struct kvm_irq_routing_entry;
struct msi_message;
struct vm;

enum irqchip {
	IRQCHIP_AUTO, /* only as what the user asked for */
	IRQCHIP_GICV3_ITS,
	IRQCHIP_GICV3, /* no MSIs: PCI functions use their pins */
	IRQCHIP_GICV2M,
	IRQCHIP_GICV2, /* no MSIs */
};

struct gic {
	enum irqchip irqchip; /* never IRQCHIP_AUTO */
	int fd, its_fd;
};

/* The best that the host has, or what is wanted. 0 or a failure, logged. */
int gic_create(struct gic *gic, struct vm *vm, enum irqchip wanted);
void gic_destroy(struct gic *gic);

static inline bool gic_is_v3(const struct gic *gic)
{
	return gic->irqchip == IRQCHIP_GICV3_ITS || gic->irqchip == IRQCHIP_GICV3;
}

/* All vCPUs are there: from here on it can interrupt them. 0 or a failure, logged. */
int gic_complete(const struct gic *gic);

/*
 * irq_router.route with an ITS: -EINVAL for a message that is not written to its
 * doorbell. KVM would take that too, and lose what comes by it.
 */
int gic_route_its(struct kvm_irq_routing_entry *entry, const struct msi_message *message);

/*
 * irq_router.route where there are no MSIs: -ENOTSUP. KVM would take the route,
 * and lose each message that comes by it.
 */
int gic_route_nowhere(struct kvm_irq_routing_entry *entry, const struct msi_message *message);

/* vCPUs parked: back to power-on state. 0 or a failure, logged. */
int gic_reset(struct gic *gic, struct vm *vm);

#endif
