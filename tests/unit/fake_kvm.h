/* SPDX-License-Identifier: MIT */
/*
 * A VM's file descriptor as far as interrupts, doorbells and memory slots go: keeps
 * what was attached and routed, and does with a signalled eventfd what KVM would. One
 * per test program; any thread.
 */
#ifndef TESTS_UNIT_FAKE_KVM_H
#define TESTS_UNIT_FAKE_KVM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/kvm_call.h"

#define FAKE_KVM_MAX 256

struct fake_kvm {
	struct kvm_irqfd irqfds[FAKE_KVM_MAX];
	unsigned irqfd_count;
	struct kvm_ioeventfd doorbells[FAKE_KVM_MAX];
	unsigned doorbell_count;
	struct kvm_irq_routing_entry routes[FAKE_KVM_MAX];
	unsigned route_count;
	unsigned routings; /* calls of KVM_SET_GSI_ROUTING */
	unsigned injected[FAKE_KVM_MAX]; /* interrupts raised, by GSI */
	struct kvm_userspace_memory_region slots[8];
	unsigned slot_count;
	/* The next calls of this request fail so. */
	unsigned long fail_request;
	int fail_error;
};

extern struct fake_kvm fake_kvm;
extern const struct kvm_call fake_kvm_call;

void fake_kvm_reset(void);

/* What a device does: KVM consumes the write if the fd is attached. */
void fake_kvm_signal(int event_fd);

/* The GSI that an eventfd is attached to, or -1; and that GSI's MSI route, or NULL. */
int fake_kvm_gsi(int event_fd);
const struct kvm_irq_routing_entry *fake_kvm_route(int gsi);

/* The guest writes: the eventfd of the doorbell that catches it is signalled. */
bool fake_kvm_ring(uint64_t address, unsigned length);

#endif
