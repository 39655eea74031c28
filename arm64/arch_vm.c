// SPDX-License-Identifier: MIT
/*
 * core/arch.h for arm64, the VM's part: the size of its address space, its GIC,
 * memory, and what the sandbox has to let through. Control thread.
 */
#include "arm64/arch_vm.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/audit.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "arm64/features.h"
#include "arm64/layout.h"
#include "arm64/steal_time.h"
#include "base/bytes.h"
#include "base/log.h"
#include "core/arch.h"
#include "hw/pci_host.h"

#define PHYSICAL_BITS_LEAST 32 /* that KVM makes */
#define PHYSICAL_BITS_USUAL 40 /* and what it makes unasked */

const uint32_t arch_audit = AUDIT_ARCH_AARCH64;

static const struct syscall_rule vcpu_calls[] = {
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_SET_VCPU_EVENTS),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_IRQ_LINE),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_GET_ONE_REG),
	SYSCALL_ALWAYS(timerfd_settime), /* the clock's alarm */
};

static const struct syscall_rule reset_calls[] = {
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_ARM_VCPU_INIT),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_GET_ONE_REG),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_SET_ONE_REG),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_GET_DEVICE_ATTR),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_SET_DEVICE_ATTR),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_IRQ_LINE),
	SYSCALL_ALWAYS(timerfd_settime),
	SYSCALL_ALWAYS(getrandom), /* seeds in the device tree */
};

const struct syscall_list arch_vcpu_calls = { vcpu_calls, ARRAY_SIZE(vcpu_calls) };
const struct syscall_list arch_reset_calls = { reset_calls, ARRAY_SIZE(reset_calls) };

/*
 * As small as the machine allows, from 40 on: fewer bits are fewer levels of KVM's tables
 * to walk. The window of 64-bit BARs shall be as large as everything below it.
 */
static unsigned physical_bits(uint64_t memory_bytes, unsigned most)
{
	uint64_t needed_bytes = 2 * (LAYOUT_RAM_GPA + memory_bytes);
	unsigned bits = 64 - (unsigned)__builtin_clzll(needed_bytes - 1);

	if (bits < PHYSICAL_BITS_USUAL)
		bits = PHYSICAL_BITS_USUAL;
	return bits < most ? bits : most;
}

int arch_vm_type(struct vm *vm, unsigned long *type)
{
	int most = vm_capability(vm, KVM_CAP_ARM_VM_IPA_SIZE);
	unsigned bits;

	*type = 0; /* a KVM that does not offer to choose makes the usual */
	if (most < PHYSICAL_BITS_LEAST)
		return 0;
	bits = physical_bits(vm->config.memory_bytes, (unsigned)most);
	*type = KVM_VM_TYPE_ARM_IPA_SIZE(bits);
	return 0;
}

static unsigned bits_of_type(unsigned long type)
{
	return type ? (unsigned)type : PHYSICAL_BITS_USUAL;
}

int arch_vm_init(struct vm *vm)
{
	const struct arm64_options *options = vm->config.arch_options;
	unsigned long type;
	int error = arch_vm_type(vm, &type);

	if (error)
		return error;
	vm->arch = calloc(1, sizeof(*vm->arch));
	if (!vm->arch)
		return fail_host(ENOMEM, "machine: out of memory");
	vm->arch->physical_bits = bits_of_type(type);
	vm->arch->gic = (struct gic){ .fd = -1, .its_fd = -1 };
	error = features_choose(vm);
	if (!error)
		error = gic_create(&vm->arch->gic, vm, options->irqchip);
	if (error)
		arch_vm_destroy(vm);
	return error;
}

void arch_vm_destroy(struct vm *vm)
{
	if (!vm->arch)
		return;
	if (vm->arch->gicv2m_added)
		gicv2m_destroy(&vm->arch->gicv2m, &vm->mmio);
	gic_destroy(&vm->arch->gic);
	free(vm->arch);
	vm->arch = NULL;
}

int arch_vm_add_memory(struct vm *vm)
{
	uint64_t bytes = vm->config.memory_bytes, page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	struct pci_window window;
	int error;

	if (!is_aligned(bytes, page_bytes))
		return fail(EINVAL, "--mem: %" PRIu64 " bytes: give whole pages of this host, %"
			    PRIu64 " KiB each", bytes, page_bytes / KIB);
	if (!pci_window64(LAYOUT_RAM_GPA + bytes, vm->arch->physical_bits, &window))
		return fail_host(EINVAL,
				 "--mem: %" PRIu64 " MiB: more than this host's guests can address"
				 " with %u bits; give less", bytes / MIB, vm->arch->physical_bits);
	error = guest_memory_add(&vm->memory, LAYOUT_RAM_GPA, bytes);
	return !error && vm->arch->steal_time ? steal_time_add_memory(vm) : error;
}

static int router_init(struct vm *vm)
{
	struct kvm_irq_routing_entry pins[LAYOUT_GICV2M_SPI];
	int limit = vm_capability(vm, KVM_CAP_IRQ_ROUTING);

	for (uint32_t i = 0; i < LAYOUT_GICV2M_SPI; i++)
		pins[i] = (struct kvm_irq_routing_entry){
			.gsi = i,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = { .pin = i },
		};
	if (limit <= LAYOUT_GICV2M_SPI)
		return fail_host(ENOSYS, "%s: KVM has no interrupt routing", vm->config.dev_path);
	return irq_router_init(&vm->irqs, &vm->kvm, pins, LAYOUT_GICV2M_SPI, (uint32_t)limit);
}

int arch_vm_init_irqs(struct vm *vm)
{
	struct arch_vm *arch = vm->arch;
	int error = gic_complete(&arch->gic);

	if (!error)
		error = router_init(vm);
	for (unsigned i = 0; !error && i < vm->vcpu_count; i++)
		error = arch_vcpu_complete(&vm->vcpus[i]);
	if (error)
		return error;
	switch (arch->gic.irqchip) {
	case IRQCHIP_GICV3_ITS:
		vm->irqs.msi_has_device_id = true;
		vm->irqs.route = gic_route_its;
		return 0;
	case IRQCHIP_GICV2M:
		vm->irqs.route = gicv2m_route;
		error = gicv2m_init(&arch->gicv2m, &vm->mmio, &vm->kvm);
		arch->gicv2m_added = !error;
		return error;
	default:
		vm->irqs.route = gic_route_nowhere;
		return 0;
	}
}

int arch_vm_reset(struct vm *vm)
{
	return gic_reset(&vm->arch->gic, vm);
}
