/* SPDX-License-Identifier: MIT */
/*
 * The GICv2M frame of Arm's Server Base System Architecture (appendix E): the
 * address that MSIs are written to where there is no ITS. KVM knows nothing of
 * it, so a message becomes a route to the pin that its data names.
 */
#ifndef ARM64_GICV2M_H
#define ARM64_GICV2M_H

#include "core/bus.h"
#include "core/irq.h"
#include "core/kvm_call.h"

struct gicv2m {
	struct region region;
	const struct kvm_call *kvm;
};

/* On the bus at LAYOUT_GICV2M_GPA. 0 or a failure, logged. */
int gicv2m_init(struct gicv2m *frame, struct bus *mmio, const struct kvm_call *kvm);
void gicv2m_destroy(struct gicv2m *frame, struct bus *mmio);

/* irq_router.route: -EINVAL for a message that is none of the frame's. */
int gicv2m_route(struct kvm_irq_routing_entry *entry, const struct msi_message *message);

#endif
