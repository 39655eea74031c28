/* SPDX-License-Identifier: MIT */
/*
 * The one door to a VM's KVM_* ioctls for what needs only a few of them:
 * memory slots, routes, irqfds, ioeventfds. A unit test opens it on a fake by
 * replacing `control`; only core/vm.c opens it on /dev/kvm. Any thread.
 */
#ifndef CORE_KVM_CALL_H
#define CORE_KVM_CALL_H

struct kvm_call {
	int vm_fd;
	/* As ioctl(2), but returns -errno. */
	int (*control)(int vm_fd, unsigned long request, void *argument);
};

static inline int kvm_call(const struct kvm_call *call, unsigned long request, void *argument)
{
	return call->control(call->vm_fd, request, argument);
}

#endif
