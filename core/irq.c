// SPDX-License-Identifier: MIT
/*
 * The GSI table. KVM wants it whole at each change; the copy here is the truth,
 * and is put back when KVM refuses what the guest made of it.
 */
#include "core/irq.h"

#include <assert.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"

#define WORD_BITS 64

int irq_router_init(struct irq_router *router, const struct kvm_call *kvm,
		    const struct kvm_irq_routing_entry *pins, unsigned pin_count,
		    uint32_t gsi_limit)
{
	uint32_t first = 0;
	int error;

	for (unsigned i = 0; i < pin_count; i++)
		if (pins[i].gsi >= first)
			first = pins[i].gsi + 1;
	assert(first < gsi_limit);
	*router = (struct irq_router){
		.kvm = kvm,
		.capacity = pin_count + gsi_limit - first,
		.first_msi_gsi = first,
		.gsi_limit = gsi_limit,
	};
	router->routing = calloc(1, sizeof(*router->routing) +
				 router->capacity * sizeof(router->routing->entries[0]));
	router->gsi_used = calloc(gsi_limit / WORD_BITS + 1, sizeof(uint64_t));
	error = pthread_mutex_init(&router->lock, NULL);
	if (!router->routing || !router->gsi_used || error) {
		free(router->routing);
		free(router->gsi_used);
		router->routing = NULL; /* there is nothing to destroy */
		return fail_host(ENOMEM, "interrupt routes: out of memory");
	}
	if (pin_count)
		memcpy(router->routing->entries, pins, pin_count * sizeof(*pins));
	router->routing->nr = pin_count;
	error = kvm_call(kvm, KVM_SET_GSI_ROUTING, router->routing);
	if (error < 0) {
		irq_router_destroy(router);
		return fail_host(-error, "interrupt routes: KVM refuses the pins: %s",
				 strerror(-error));
	}
	return 0;
}

void irq_router_destroy(struct irq_router *router)
{
	if (!router->routing)
		return;
	free(router->routing);
	free(router->gsi_used);
	router->routing = NULL;
	pthread_mutex_destroy(&router->lock);
}

int irq_router_allocate_msi(struct irq_router *router)
{
	int gsi = -ENOSPC;

	pthread_mutex_lock(&router->lock);
	for (uint32_t i = router->first_msi_gsi; i < router->gsi_limit; i++) {
		if (router->gsi_used[i / WORD_BITS] & BIT64(i % WORD_BITS))
			continue;
		router->gsi_used[i / WORD_BITS] |= BIT64(i % WORD_BITS);
		gsi = (int)i;
		break;
	}
	pthread_mutex_unlock(&router->lock);
	return gsi;
}

/* The GSI's entry, or NULL when it has no route yet; lock. */
static struct kvm_irq_routing_entry *entry_find(struct irq_router *router, uint32_t gsi)
{
	for (uint32_t i = 0; i < router->routing->nr; i++)
		if (router->routing->entries[i].gsi == gsi)
			return &router->routing->entries[i];
	return NULL;
}

void irq_router_free_msi(struct irq_router *router, uint32_t gsi)
{
	struct kvm_irq_routing_entry *entry;

	assert(gsi >= router->first_msi_gsi && gsi < router->gsi_limit);
	pthread_mutex_lock(&router->lock);
	router->gsi_used[gsi / WORD_BITS] &= ~BIT64(gsi % WORD_BITS);
	entry = entry_find(router, gsi);
	if (entry) {
		*entry = router->routing->entries[--router->routing->nr];
		/* Nothing is attached to it: a stale route in KVM would do no harm. */
		kvm_call(router->kvm, KVM_SET_GSI_ROUTING, router->routing);
	}
	pthread_mutex_unlock(&router->lock);
}

int irq_router_route_msi(struct irq_router *router, uint32_t gsi,
			 const struct msi_message *message)
{
	struct kvm_irq_routing_entry *entry, old;
	uint32_t old_count;
	int error;

	assert(gsi >= router->first_msi_gsi && gsi < router->gsi_limit);
	pthread_mutex_lock(&router->lock);
	old_count = router->routing->nr;
	entry = entry_find(router, gsi);
	if (!entry) {
		assert(old_count < router->capacity);
		entry = &router->routing->entries[router->routing->nr++];
	}
	old = *entry;
	*entry = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi.address_lo = (uint32_t)message->address,
		.u.msi.address_hi = (uint32_t)(message->address >> 32),
		.u.msi.data = message->data,
	};
	if (router->msi_has_device_id) {
		entry->flags = KVM_MSI_VALID_DEVID;
		entry->u.msi.devid = message->device_id;
	}
	error = router->route ? router->route(entry, message) : 0;
	if (!error)
		error = kvm_call(router->kvm, KVM_SET_GSI_ROUTING, router->routing);
	if (error < 0) {
		*entry = old;
		router->routing->nr = old_count;
	}
	pthread_mutex_unlock(&router->lock);
	return error < 0 ? error : 0;
}

static int irqfd_set(struct irq_router *router, struct kvm_irqfd *irqfd)
{
	int error = kvm_call(router->kvm, KVM_IRQFD, irqfd);

	return error < 0 ? error : 0;
}

int irq_router_attach(struct irq_router *router, uint32_t gsi, int event_fd)
{
	return irqfd_set(router, &(struct kvm_irqfd){ .fd = (uint32_t)event_fd, .gsi = gsi });
}

int irq_router_attach_level(struct irq_router *router, uint32_t gsi, int event_fd,
			    int resample_fd)
{
	return irqfd_set(router, &(struct kvm_irqfd){
		.fd = (uint32_t)event_fd,
		.gsi = gsi,
		.flags = KVM_IRQFD_FLAG_RESAMPLE,
		.resamplefd = (uint32_t)resample_fd,
	});
}

int irq_router_detach(struct irq_router *router, uint32_t gsi, int event_fd)
{
	return irqfd_set(router, &(struct kvm_irqfd){
		.fd = (uint32_t)event_fd,
		.gsi = gsi,
		.flags = KVM_IRQFD_FLAG_DEASSIGN,
	});
}
