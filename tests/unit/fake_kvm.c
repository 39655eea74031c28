// SPDX-License-Identifier: MIT
/* A VM that has no guest: a table each of irqfds, ioeventfds and routes. */
#include "tests/unit/fake_kvm.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/fd.h"

struct fake_kvm fake_kvm;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int irqfd_index(int event_fd)
{
	for (unsigned i = 0; i < fake_kvm.irqfd_count; i++)
		if (fake_kvm.irqfds[i].fd == (uint32_t)event_fd)
			return (int)i;
	return -1;
}

/* As Linux does: an eventfd that is readable injects when attached, and stays readable. */
static int set_irqfd(const struct kvm_irqfd *irqfd)
{
	int index = irqfd_index((int)irqfd->fd);

	if (irqfd->flags & KVM_IRQFD_FLAG_DEASSIGN) {
		if (index < 0 || fake_kvm.irqfds[index].gsi != irqfd->gsi)
			return -ENOENT;
		fake_kvm.irqfds[index] = fake_kvm.irqfds[--fake_kvm.irqfd_count];
		return 0;
	}
	if (index >= 0)
		return -EBUSY;
	if (fake_kvm.irqfd_count == FAKE_KVM_MAX || irqfd->gsi >= FAKE_KVM_MAX)
		return -ENOSPC;
	fake_kvm.irqfds[fake_kvm.irqfd_count++] = *irqfd;
	if (event_fd_pending((int)irqfd->fd))
		fake_kvm.injected[irqfd->gsi]++;
	return 0;
}

static int set_doorbell(const struct kvm_ioeventfd *doorbell)
{
	for (unsigned i = 0; i < fake_kvm.doorbell_count; i++) {
		const struct kvm_ioeventfd *other = &fake_kvm.doorbells[i];

		if (other->addr != doorbell->addr)
			continue;
		if (!(doorbell->flags & KVM_IOEVENTFD_FLAG_DEASSIGN))
			return -EEXIST;
		if (other->fd != doorbell->fd || other->len != doorbell->len)
			return -ENOENT;
		fake_kvm.doorbells[i] = fake_kvm.doorbells[--fake_kvm.doorbell_count];
		return 0;
	}
	if (doorbell->flags & KVM_IOEVENTFD_FLAG_DEASSIGN)
		return -ENOENT;
	if (fake_kvm.doorbell_count == FAKE_KVM_MAX)
		return -ENOSPC;
	fake_kvm.doorbells[fake_kvm.doorbell_count++] = *doorbell;
	return 0;
}

static int set_routing(const struct kvm_irq_routing *routing)
{
	if (routing->nr > FAKE_KVM_MAX)
		return -EINVAL;
	fake_kvm.routings++;
	fake_kvm.route_count = routing->nr;
	memcpy(fake_kvm.routes, routing->entries, routing->nr * sizeof(routing->entries[0]));
	return 0;
}

static int set_memory(const struct kvm_userspace_memory_region *slot)
{
	if (fake_kvm.slot_count == 8)
		return -ENOSPC;
	fake_kvm.slots[fake_kvm.slot_count++] = *slot;
	return 0;
}

static int control(int vm_fd, unsigned long request, void *argument)
{
	int error = -ENOTTY;

	(void)vm_fd;
	pthread_mutex_lock(&lock);
	if (fake_kvm.fail_error && fake_kvm.fail_request == request)
		error = -fake_kvm.fail_error;
	else if (request == KVM_IRQFD)
		error = set_irqfd(argument);
	else if (request == KVM_IOEVENTFD)
		error = set_doorbell(argument);
	else if (request == KVM_SET_GSI_ROUTING)
		error = set_routing(argument);
	else if (request == KVM_SET_USER_MEMORY_REGION)
		error = set_memory(argument);
	pthread_mutex_unlock(&lock);
	return error;
}

const struct kvm_call fake_kvm_call = { .vm_fd = -1, .control = control };

void fake_kvm_reset(void)
{
	fake_kvm = (struct fake_kvm){ 0 };
}

void fake_kvm_signal(int event_fd)
{
	int index;

	pthread_mutex_lock(&lock);
	event_fd_signal(event_fd);
	index = irqfd_index(event_fd);
	if (index >= 0) {
		event_fd_drain(event_fd);
		fake_kvm.injected[fake_kvm.irqfds[index].gsi]++;
	}
	pthread_mutex_unlock(&lock);
}

int fake_kvm_gsi(int event_fd)
{
	int index, gsi;

	pthread_mutex_lock(&lock);
	index = irqfd_index(event_fd);
	gsi = index < 0 ? -1 : (int)fake_kvm.irqfds[index].gsi;
	pthread_mutex_unlock(&lock);
	return gsi;
}

const struct kvm_irq_routing_entry *fake_kvm_route(int gsi)
{
	for (unsigned i = 0; i < fake_kvm.route_count; i++)
		if (fake_kvm.routes[i].gsi == (uint32_t)gsi)
			return &fake_kvm.routes[i];
	return NULL;
}

bool fake_kvm_ring(uint64_t address, unsigned length)
{
	for (unsigned i = 0; i < fake_kvm.doorbell_count; i++) {
		const struct kvm_ioeventfd *doorbell = &fake_kvm.doorbells[i];

		if (doorbell->addr != address || (doorbell->len && doorbell->len != length))
			continue;
		event_fd_signal(doorbell->fd);
		return true;
	}
	return false;
}
