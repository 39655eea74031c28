// SPDX-License-Identifier: MIT
/* ioeventfds. No state: KVM keeps them. */
#include "core/doorbell.h"

#include <linux/kvm.h>

static int doorbell_set(const struct kvm_call *kvm, const struct doorbell *doorbell,
			uint32_t flags)
{
	struct kvm_ioeventfd ioeventfd = {
		.addr = doorbell->address,
		.len = doorbell->length_bytes,
		.fd = doorbell->event_fd,
		.flags = flags | (doorbell->port ? (uint32_t)KVM_IOEVENTFD_FLAG_PIO : 0),
	};
	int error = kvm_call(kvm, KVM_IOEVENTFD, &ioeventfd);

	return error < 0 ? error : 0;
}

int doorbell_attach(const struct kvm_call *kvm, const struct doorbell *doorbell)
{
	return doorbell_set(kvm, doorbell, 0);
}

int doorbell_detach(const struct kvm_call *kvm, const struct doorbell *doorbell)
{
	return doorbell_set(kvm, doorbell, KVM_IOEVENTFD_FLAG_DEASSIGN);
}
