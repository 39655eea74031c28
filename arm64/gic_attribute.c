// SPDX-License-Identifier: MIT
/* KVM_SET_DEVICE_ATTR and its opposite, with a message. */
#include "arm64/gic_attribute.h"

#include <inttypes.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "base/log.h"

static int attribute_call(int fd, unsigned long request, struct kvm_device_attr *attribute)
{
	if (!ioctl(fd, request, attribute))
		return 0;
	return fail_host_errno("GIC: %s attribute 0x%" PRIx64 " of group %u",
			       request == KVM_SET_DEVICE_ATTR ? "set" : "get",
			       (uint64_t)attribute->attr, attribute->group);
}

int gic_attribute_set(int fd, uint32_t group, uint64_t attribute, const void *value)
{
	return attribute_call(fd, KVM_SET_DEVICE_ATTR, &(struct kvm_device_attr){
		.group = group, .attr = attribute, .addr = (uintptr_t)value,
	});
}

int gic_attribute_get(int fd, uint32_t group, uint64_t attribute, void *value)
{
	return attribute_call(fd, KVM_GET_DEVICE_ATTR, &(struct kvm_device_attr){
		.group = group, .attr = attribute, .addr = (uintptr_t)value,
	});
}
