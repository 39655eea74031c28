// SPDX-License-Identifier: MIT
/* 64 bytes a vCPU, in whole pages of the host. Control thread. */
#include "arm64/steal_time.h"

#include <linux/kvm.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "arm64/layout.h"
#include "base/bytes.h"
#include "base/log.h"
#include "core/vcpu.h"
#include "core/vm.h"

#define STEAL_TIME_BYTES 64

int steal_time_add_memory(struct vm *vm)
{
	uint64_t bytes = (uint64_t)vm->config.vcpu_count * STEAL_TIME_BYTES;

	return guest_memory_add_anonymous(&vm->memory, LAYOUT_STEAL_TIME_GPA,
					  align_up(bytes, (uint64_t)sysconf(_SC_PAGESIZE)));
}

int steal_time_set(const struct vcpu *vcpu)
{
	uint64_t gpa = LAYOUT_STEAL_TIME_GPA + (uint64_t)vcpu->index * STEAL_TIME_BYTES;
	struct kvm_device_attr attribute = {
		.group = KVM_ARM_VCPU_PVTIME_CTRL,
		.attr = KVM_ARM_VCPU_PVTIME_IPA,
		.addr = (uintptr_t)&gpa,
	};

	if (ioctl(vcpu->fd, KVM_SET_DEVICE_ATTR, &attribute))
		return fail_host_errno("vcpu%u: steal time; run with --steal-time off",
				       vcpu->index);
	return 0;
}
