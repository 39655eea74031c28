/* SPDX-License-Identifier: MIT */
/* What a message interrupt of x86 looks like (Intel SDM volume 3, 11.11). Any thread, no state. */
#ifndef X86_MSI_H
#define X86_MSI_H

struct kvm_irq_routing_entry;
struct msi_message;

/*
 * irq_router.route: -EINVAL for a message that is no interrupt, as its address
 * is not the local APICs' or its delivery mode is reserved. KVM looks at
 * neither: to it every write by a device is an interrupt.
 */
int msi_route(struct kvm_irq_routing_entry *entry, const struct msi_message *message);

#endif
