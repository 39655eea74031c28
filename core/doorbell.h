/* SPDX-License-Identifier: MIT */
/*
 * Doorbells: an address at which a guest's write signals an eventfd inside the
 * kernel (ioeventfd), so that the vCPU does not leave to user space. Any
 * thread, no state of its own.
 */
#ifndef CORE_DOORBELL_H
#define CORE_DOORBELL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/kvm_call.h"

struct doorbell {
	uint64_t address;      /* gpa, or a port number */
	unsigned length_bytes; /* 1, 2, 4, 8; 0 matches a write of any length */
	bool port;
	int event_fd;
};

/* 0 or -errno; silent. Detach with the same values. */
int doorbell_attach(const struct kvm_call *kvm, const struct doorbell *doorbell);
int doorbell_detach(const struct kvm_call *kvm, const struct doorbell *doorbell);

#endif
