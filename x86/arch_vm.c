// SPDX-License-Identifier: MIT
/*
 * core/arch.h for x86, the VM's part: KVM's interrupt controllers, memory
 * around the holes, CPUID. Control thread.
 */
#include "x86/arch_vm.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/audit.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/bytes.h"
#include "base/log.h"
#include "core/arch.h"
#include "hw/pci_host.h"
#include "x86/cpuid.h"
#include "x86/layout.h"
#include "x86/memory_map.h"
#include "x86/msi.h"

/*
 * APIC id 255 is broadcast. Beyond it MSIs would do, by x2APIC and the extended
 * destination id, but KVM's IOAPIC holds 8 bits of id.
 */
#define VCPUS_MAX 255

/* Below it there is no room for a kernel beside the boot structures. */
#define MEMORY_BYTES_MIN (2 * MIB)

#define X2APIC_FORMAT (KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)

static const struct option_key keys[] = {
	{ "pvh", OPTION_FLAG, offsetof(struct x86_options, pvh),
	  "enter an ELF kernel by its PVH note; on (default)" },
	{ 0 },
};

const struct arch_options arch_options = {
	.keys = keys,
	.defaults = &(const struct x86_options){ .pvh = true },
	.size = sizeof(struct x86_options),
};

const uint32_t arch_audit = AUDIT_ARCH_X86_64;

/* For the registers of a guest that is given up. */
static const struct syscall_rule vcpu_calls[] = {
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_GET_REGS),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_GET_SREGS),
};

static const struct syscall_rule reset_calls[] = {
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_SET_IRQCHIP),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_SET_REGS),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_SET_XCRS),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_SET_XSAVE),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_GET_SREGS),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_SET_SREGS),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_SET_DEBUGREGS),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_SET_LAPIC),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_SET_VCPU_EVENTS),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_SET_MP_STATE),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_SET_MSRS),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_SET_NESTED_STATE),
	SYSCALL_IF_EQUAL(ioctl, 1, KVM_CHECK_EXTENSION),
};

const struct syscall_list arch_vcpu_calls = { vcpu_calls, ARRAY_SIZE(vcpu_calls) };
const struct syscall_list arch_reset_calls = { reset_calls, ARRAY_SIZE(reset_calls) };

const char arch_kvm_advice[] = "load KVM ('modprobe kvm_intel' or 'modprobe kvm_amd') and see "
			       "that the firmware allows virtualization";

static int control(const struct vm *vm, unsigned long request, void *argument, const char *name)
{
	int error = kvm_call(&vm->kvm, request, argument);

	return error < 0 ? fail_host(-error, "%s: %s: %s", vm->config.dev_path, name,
				     strerror(-error)) : 0;
}

static int make_irqchip(struct vm *vm)
{
	/* The format of APIC ids in KVM_GET_LAPIC and in MSI routes. */
	struct kvm_enable_cap x2apic = { .cap = KVM_CAP_X2APIC_API, .args = { X2APIC_FORMAT } };
	uint64_t identity_map_gpa = LAYOUT_IDENTITY_MAP_GPA;
	int error;

	error = control(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map_gpa,
			"KVM_SET_IDENTITY_MAP_ADDR");
	if (!error)
		error = control(vm, KVM_SET_TSS_ADDR, (void *)LAYOUT_TSS_GPA, "KVM_SET_TSS_ADDR");
	if (!error)
		error = control(vm, KVM_CREATE_IRQCHIP, NULL, "KVM_CREATE_IRQCHIP");
	if (!error && vm_capability(vm, KVM_CAP_X2APIC_API))
		error = control(vm, KVM_ENABLE_CAP, &x2apic, "KVM_CAP_X2APIC_API");
	for (unsigned i = 0; !error && i < ARCH_IRQCHIPS; i++) {
		vm->arch->irqchips[i].chip_id = i;
		error = control(vm, KVM_GET_IRQCHIP, &vm->arch->irqchips[i], "KVM_GET_IRQCHIP");
	}
	return error;
}

static int make_cpuid(struct vm *vm)
{
	struct arch_vm *arch = vm->arch;

	arch->cpuid = cpuid_table_create();
	if (!arch->cpuid)
		return fail_host(ENOMEM, "CPUID: out of memory");
	if (ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, arch->cpuid))
		return fail_host_errno("%s: KVM_GET_SUPPORTED_CPUID", vm->config.dev_path);
	cpuid_set_machine(arch->cpuid, vm->config.vcpu_count,
			  vm_capability(vm, KVM_CAP_TSC_DEADLINE_TIMER) > 0);
	arch->physical_bits = cpuid_physical_bits(arch->cpuid);
	return 0;
}

int arch_vm_type(struct vm *vm, unsigned long *type)
{
	(void)vm;
	*type = 0;
	return 0;
}

int arch_vm_init(struct vm *vm)
{
	int error;

	if (vm->config.vcpu_count > VCPUS_MAX)
		return fail(EINVAL, "--cpus: %u is more than the %d that an x86 machine of ringvm "
			    "can have; give fewer", vm->config.vcpu_count, VCPUS_MAX);
	vm->arch = calloc(1, sizeof(*vm->arch));
	if (!vm->arch)
		return fail_host(ENOMEM, "machine: out of memory");
	error = make_irqchip(vm);
	if (!error)
		error = make_cpuid(vm);
	if (!error)
		error = msr_list_create(&vm->arch->msrs, vm->kvm_fd);
	if (error)
		arch_vm_destroy(vm);
	return error;
}

void arch_vm_destroy(struct vm *vm)
{
	if (!vm->arch)
		return;
	msr_list_destroy(&vm->arch->msrs);
	free(vm->arch->cpuid);
	free(vm->arch);
	vm->arch = NULL;
}

int arch_vm_add_memory(struct vm *vm)
{
	uint64_t bytes = vm->config.memory_bytes;
	struct ram_split split = ram_split(bytes);
	struct pci_window window;
	int error;

	if (bytes < MEMORY_BYTES_MIN || !is_aligned(bytes, 4 * KIB))
		return fail(EINVAL, "--mem: %" PRIu64 " bytes: give whole pages, 2M or more",
			    bytes);
	if (!pci_window64(ram_end_gpa(bytes), vm->arch->physical_bits, &window))
		return fail_host(EINVAL,
				 "--mem: %" PRIu64 " MiB: more than this host's guests can address"
				 " with %u bits; give less", bytes / MIB, vm->arch->physical_bits);
	error = guest_memory_add(&vm->memory, 0, split.below_4g_bytes);
	if (!error && split.above_4g_bytes)
		error = guest_memory_add(&vm->memory, LAYOUT_RAM_ABOVE_4G_GPA,
					 split.above_4g_bytes);
	return error;
}

int arch_vm_init_irqs(struct vm *vm)
{
	struct kvm_irq_routing_entry pins[LAYOUT_IOAPIC_PINS];
	int limit = vm_capability(vm, KVM_CAP_IRQ_ROUTING);
	int error;

	/* Nothing is connected to the 8259As: ACPI says that there are none. */
	for (uint32_t i = 0; i < LAYOUT_IOAPIC_PINS; i++)
		pins[i] = (struct kvm_irq_routing_entry){
			.gsi = i,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = { .irqchip = KVM_IRQCHIP_IOAPIC, .pin = i },
		};
	if (limit <= LAYOUT_IOAPIC_PINS)
		return fail_host(ENOSYS, "%s: KVM has no interrupt routing", vm->config.dev_path);
	error = irq_router_init(&vm->irqs, &vm->kvm, pins, LAYOUT_IOAPIC_PINS, (uint32_t)limit);
	if (!error)
		vm->irqs.route = msi_route;
	return error;
}

int arch_vm_reset(struct vm *vm)
{
	int error = 0;

	for (unsigned i = 0; !error && i < ARCH_IRQCHIPS; i++)
		error = control(vm, KVM_SET_IRQCHIP, &vm->arch->irqchips[i], "KVM_SET_IRQCHIP");
	return error;
}
