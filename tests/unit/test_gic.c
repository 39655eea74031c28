// SPDX-License-Identifier: MIT
/*
 * Which GIC, which features and how many address bits a machine gets of what a
 * host offers, and in which order a GIC is reset, on a KVM that is played.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arm64/arch_vm.h"
#include "arm64/features.h"
#include "arm64/gic_attribute.h"
#include "arm64/layout.h"
#include "base/bytes.h"
#include "core/arch.h"
#include "core/vcpu.h"

#define GIC_FD 1000
#define ITS_FD 1001
#define WRITES_MAX 4096

#define GICD_CTLR      0x0000
#define GICD_ICENABLER 0x0180
#define GICD_IROUTER   0x6000
#define GICR_CTLR      0x0000
#define GICR_PROPBASER 0x0070

/* As KVM's attributes encode ICC_*_EL1: op0, op1, CRn, CRm, op2. */
#define ICC_AP0R 0xc644 /* and the three after it */
#define ICC_AP1R 0xc648
#define ICC_BPR1 0xc663
#define ICC_CTLR 0xc664

static struct {
	bool v3, its, v2;
	uint64_t capabilities[8]; /* that the host has */
	int address_bits; /* that it can give a guest at most; 0: they are no choice */
	struct kvm_device_attr writes[WRITES_MAX];
	unsigned write_count;
	int refused; /* group whose attributes KVM takes none of, or -1 */
	uint64_t interface_control; /* ICC_CTLR_EL1 of whichever vCPU */
	uint64_t enabled_capability;
	unsigned pins_lowered;
} host;

static struct arm64_options options;
static struct arch_vm arch;
static struct vcpu vcpus[16];
static struct vm vm;

static int create_device(struct kvm_create_device *device)
{
	bool has = device->type == KVM_DEV_TYPE_ARM_VGIC_V3 ? host.v3 :
		   device->type == KVM_DEV_TYPE_ARM_VGIC_ITS ? host.its :
		   device->type == KVM_DEV_TYPE_ARM_VGIC_V2 && host.v2;

	device->fd = device->type == KVM_DEV_TYPE_ARM_VGIC_ITS ? ITS_FD : GIC_FD;
	return has ? 0 : -ENODEV;
}

static int control(int vm_fd, unsigned long request, void *argument)
{
	(void)vm_fd;
	switch (request) {
	case KVM_CREATE_DEVICE:
		return create_device(argument);
	case KVM_ENABLE_CAP:
		host.enabled_capability = ((struct kvm_enable_cap *)argument)->cap;
		return 0;
	case KVM_IRQ_LINE:
		assert_int_equal(((struct kvm_irq_level *)argument)->level, 0);
		host.pins_lowered++;
		return 0;
	case KVM_SET_GSI_ROUTING:
		return 0;
	case KVM_ARM_PREFERRED_TARGET:
		*(struct kvm_vcpu_init *)argument = (struct kvm_vcpu_init){ .target = 5 };
		return 0;
	default:
		return -ENOTTY;
	}
}

int __wrap_ioctl(int fd, unsigned long request, ...);

static bool is_interface_control(const struct kvm_device_attr *attribute)
{
	return attribute->group == KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS &&
	       (attribute->attr & KVM_DEV_ARM_VGIC_SYSREG_INSTR_MASK) == ICC_CTLR;
}

static int get_attribute(const struct kvm_device_attr *attribute)
{
	*(uint64_t *)(uintptr_t)attribute->addr =
		is_interface_control(attribute) ? host.interface_control : 0;
	return 0;
}

static int set_attribute(int fd, struct kvm_device_attr attribute)
{
	if ((int)attribute.group == host.refused) {
		errno = EBUSY;
		return -1;
	}
	if (is_interface_control(&attribute))
		host.interface_control = *(const uint64_t *)(uintptr_t)attribute.addr;
	assert_true(host.write_count < WRITES_MAX);
	attribute.flags = (uint32_t)fd; /* KVM has none: kept here */
	host.writes[host.write_count++] = attribute;
	return 0;
}

static bool has_capability(unsigned long capability)
{
	for (unsigned i = 0; i < ARRAY_SIZE(host.capabilities); i++)
		if (capability && host.capabilities[i] == capability)
			return true;
	return false;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	unsigned long argument;
	va_list list;

	va_start(list, request);
	argument = va_arg(list, unsigned long);
	va_end(list);
	switch (request) {
	case KVM_CHECK_EXTENSION:
		return argument == KVM_CAP_ARM_VM_IPA_SIZE ? host.address_bits :
							     has_capability(argument);
	case KVM_SET_DEVICE_ATTR:
		return set_attribute(fd, *(const struct kvm_device_attr *)argument);
	case KVM_GET_DEVICE_ATTR:
		return get_attribute((const struct kvm_device_attr *)argument);
	case KVM_GET_ONE_REG: /* MPIDR_EL1: the vCPU's number, and bits that are no affinity */
		*(uint64_t *)(uintptr_t)((const struct kvm_one_reg *)argument)->addr =
			UINT64_C(0x80000000) | (unsigned)fd;
		return 0;
	default:
		errno = ENOTTY;
		return -1;
	}
}

static int setup(void **state)
{
	(void)state;
	memset(&host, 0, sizeof(host));
	host.refused = -1;
	host.v3 = host.its = true;
	options = (struct arm64_options){ .mte = WISH_OFF };
	arch = (struct arch_vm){ 0 };
	vm = (struct vm){
		.config = { .dev_path = "/dev/kvm", .vcpu_count = 2, .arch_options = &options },
		.kvm_fd = -1, .kvm = { 0, control },
		.vcpus = vcpus, .vcpu_count = 2, .arch = &arch,
	};
	for (unsigned i = 0; i < ARRAY_SIZE(vcpus); i++)
		vcpus[i] = (struct vcpu){ .vm = &vm, .index = i, .fd = (int)i };
	return 0;
}

/* ---- What the host has ---- */

static void make(enum irqchip wanted, enum irqchip got)
{
	assert_int_equal(gic_create(&arch.gic, &vm, wanted), 0);
	assert_int_equal(arch.gic.irqchip, got);
	assert_int_equal(arch.gic.its_fd, got == IRQCHIP_GICV3_ITS ? ITS_FD : -1);
}

static void test_auto_takes_the_best(void **state)
{
	(void)state;
	make(IRQCHIP_AUTO, IRQCHIP_GICV3_ITS);
	host.its = false;
	make(IRQCHIP_AUTO, IRQCHIP_GICV3);
	host.v3 = false;
	host.v2 = true;
	make(IRQCHIP_AUTO, IRQCHIP_GICV2M);
	host.v2 = false;
	assert_true(fail_is_host(gic_create(&arch.gic, &vm, IRQCHIP_AUTO)));
}

static void test_what_is_not_there_is_refused(void **state)
{
	(void)state;
	assert_true(fail_is_host(gic_create(&arch.gic, &vm, IRQCHIP_GICV2)));
	assert_true(fail_is_host(gic_create(&arch.gic, &vm, IRQCHIP_GICV2M)));
	host.its = false;
	assert_true(fail_is_host(gic_create(&arch.gic, &vm, IRQCHIP_GICV3_ITS)));
	make(IRQCHIP_GICV3, IRQCHIP_GICV3);
}

/* KVM takes any message, and loses what has no receiver. */
static void test_no_messages_without_a_receiver(void **state)
{
	const struct msi_message message = { LAYOUT_ITS_GPA + 0x10040, 8192, 8 };
	struct irq_router router;
	int gsi;

	(void)state;
	assert_int_equal(irq_router_init(&router, &vm.kvm, NULL, 0, 32), 0);
	gsi = irq_router_allocate_msi(&router);
	assert_int_equal(irq_router_route_msi(&router, (uint32_t)gsi, &message), 0);
	router.route = gic_route_nowhere;
	assert_int_equal(irq_router_route_msi(&router, (uint32_t)gsi, &message), -ENOTSUP);
	irq_router_destroy(&router);
}

static void test_messages_of_the_its(void **state)
{
	struct kvm_irq_routing_entry entry = { .type = KVM_IRQ_ROUTING_MSI };
	struct msi_message message = { LAYOUT_ITS_GPA + 0x10040, 8192, 8 };

	(void)state;
	assert_int_equal(gic_route_its(&entry, &message), 0);
	assert_int_equal(entry.type, KVM_IRQ_ROUTING_MSI);
	message.address += BIT64(32);
	assert_int_equal(gic_route_its(&entry, &message), -EINVAL);
	message.address = LAYOUT_RAM_GPA;
	assert_int_equal(gic_route_its(&entry, &message), -EINVAL);
	message.address = 0xfee00000;
	assert_int_equal(gic_route_its(&entry, &message), -EINVAL);
}

static void test_gicv2_interrupts_eight(void **state)
{
	int error;

	(void)state;
	host.v2 = true;
	vm.config.vcpu_count = 8;
	make(IRQCHIP_GICV2, IRQCHIP_GICV2);
	vm.config.vcpu_count = 9;
	error = gic_create(&arch.gic, &vm, IRQCHIP_GICV2M);
	assert_int_equal(fail_error(error), EINVAL);
	assert_false(fail_is_host(error));
	make(IRQCHIP_AUTO, IRQCHIP_GICV3_ITS);
}

static void test_features_are_wishes(void **state)
{
	(void)state;
	assert_int_equal(features_choose(&vm), 0);
	assert_false(arch.pmu || arch.sve || arch.pauth || arch.mte || arch.steal_time);
	options.sve = WISH_ON;
	assert_true(fail_is_host(features_choose(&vm)));

	host.capabilities[0] = KVM_CAP_ARM_SVE;
	host.capabilities[1] = KVM_CAP_ARM_PMU_V3;
	host.capabilities[2] = KVM_CAP_ARM_MTE;
	host.capabilities[3] = KVM_CAP_ARM_PTRAUTH_ADDRESS; /* one half is none */
	options.pmu = WISH_OFF;
	assert_int_equal(features_choose(&vm), 0);
	assert_true(arch.sve);
	assert_false(arch.pmu || arch.pauth || arch.mte);
	assert_int_equal(arch.vcpu_init.features[0],
			 1u << KVM_ARM_VCPU_PSCI_0_2 | 1u << KVM_ARM_VCPU_SVE);
	assert_int_equal(host.enabled_capability, 0);
	options.mte = WISH_ON;
	assert_int_equal(features_choose(&vm), 0);
	assert_true(arch.mte);
	assert_int_equal(host.enabled_capability, KVM_CAP_ARM_MTE);
}

/*
 * RAM begins at 2 GiB, and there is as much again above it for 64-bit BARs. 40
 * bits, what KVM makes unasked, unless the host has fewer or the machine needs more.
 */
static void test_address_bits(void **state)
{
	static const struct {
		int most;
		uint64_t memory_bytes;
		unsigned long type;
	} cases[] = {
		{ 0, 512 * MIB, 0 },   { 0, 1024 * GIB, 0 },
		{ 31, 512 * MIB, 0 },  { 32, 512 * MIB, 32 },
		{ 36, 512 * MIB, 36 }, { 36, 1024 * GIB, 36 },
		{ 40, 512 * MIB, 40 }, { 40, 511 * GIB, 40 },
		{ 48, 512 * MIB, 40 }, { 48, 510 * GIB, 40 },
		{ 48, 511 * GIB, 41 }, { 48, 1024 * GIB, 42 },
		{ 52, 510 * GIB, 40 }, { 52, 511 * GIB, 41 },
		{ 52, 1022 * GIB, 41 }, { 52, 1024 * GIB, 42 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned long type = 1;

		host.address_bits = cases[i].most;
		vm.config.memory_bytes = cases[i].memory_bytes;
		assert_int_equal(arch_vm_type(&vm, &type), 0);
		assert_int_equal(type, cases[i].type);
	}
}

/* ---- Reset ---- */

/* Where the first write of an attribute stands in the order, or -1. */
static int write_at(uint32_t fd, uint32_t group, uint64_t attribute)
{
	for (unsigned i = 0; i < host.write_count; i++)
		if (host.writes[i].flags == fd && host.writes[i].group == group &&
		    host.writes[i].attr == attribute)
			return (int)i;
	return -1;
}

static void reset(enum irqchip irqchip)
{
	make(irqchip, irqchip);
	host.write_count = 0;
	assert_int_equal(gic_reset(&arch.gic, &vm), 0);
	assert_int_equal(host.pins_lowered, LAYOUT_GICV2M_SPI);
}

static void test_gicv3_forgets_tables_when_they_are_off(void **state)
{
	const uint64_t second = UINT64_C(1) << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT;
	const uint32_t group = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS;
	int its, off, tables;

	(void)state;
	reset(IRQCHIP_GICV3_ITS);
	its = write_at(ITS_FD, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_ITS_CTRL_RESET);
	off = write_at(GIC_FD, group, second | GICR_CTLR);
	tables = write_at(GIC_FD, group, second | GICR_PROPBASER);
	assert_true(its >= 0 && its < off && off < tables);
	assert_true(write_at(GIC_FD, group, second | (GICR_PROPBASER + 4)) > off);
}

static void test_gicv3_resets_what_was_made(void **state)
{
	const uint32_t group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS;
	const uint32_t interrupts = GIC_SPI_FIRST + LAYOUT_GICV2M_SPI; /* the board's alone */

	(void)state;
	reset(IRQCHIP_GICV3);
	assert_int_equal(write_at(ITS_FD, KVM_DEV_ARM_VGIC_GRP_CTRL,
				  KVM_DEV_ARM_ITS_CTRL_RESET), -1);
	assert_true(write_at(GIC_FD, group, GICD_CTLR) < write_at(GIC_FD, group,
								 GICD_ICENABLER + 4));
	assert_true(write_at(GIC_FD, group, GICD_IROUTER + 8 * (interrupts - 1)) > 0);
	assert_int_equal(write_at(GIC_FD, group, GICD_IROUTER + 8 * interrupts), -1);
	assert_int_equal(write_at(GIC_FD, group, GICD_ICENABLER + interrupts / 8), -1);
}

/* While the groups share a binary point, KVM drops what is written to that of group 1. */
static void test_gicv3_parts_the_binary_points_first(void **state)
{
	const uint64_t second = UINT64_C(1) << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT;
	const uint32_t group = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS;

	(void)state;
	host.interface_control = 0x8403; /* CBPR, EOImode, and what the interface has */
	reset(IRQCHIP_GICV3);
	assert_int_equal(host.interface_control, 0x8400);
	for (uint64_t cpu = 0; cpu <= second; cpu += second) {
		int parted = write_at(GIC_FD, group, cpu | ICC_CTLR);

		assert_true(parted >= 0);
		assert_true(write_at(GIC_FD, group, cpu | ICC_BPR1) > parted);
	}
}

/* 32 levels of preemption a register; KVM refuses those that the interface does not have. */
static void test_gicv3_clears_all_active_priorities(void **state)
{
	static const unsigned registers[] = { [4] = 1, [5] = 1, [6] = 2, [7] = 4 };
	const uint64_t second = UINT64_C(1) << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT;
	const uint32_t group = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS;

	(void)state;
	for (unsigned bits = 4; bits <= 7; bits++) {
		host.interface_control = (uint64_t)(bits - 1) << 8 | 0x8000;
		host.pins_lowered = 0;
		reset(IRQCHIP_GICV3);
		for (unsigned i = 0; i < 4; i++) {
			bool there = i < registers[bits];

			assert_int_equal(write_at(GIC_FD, group, second | (ICC_AP0R + i)) >= 0,
					 there);
			assert_int_equal(write_at(GIC_FD, group, second | (ICC_AP1R + i)) >= 0,
					 there);
		}
	}
}

static void test_gicv2_resets_every_interface(void **state)
{
	const uint64_t second = UINT64_C(1) << KVM_DEV_ARM_VGIC_CPUID_SHIFT;

	(void)state;
	host.v2 = true;
	reset(IRQCHIP_GICV2M);
	for (uint64_t cpu = 0; cpu <= second; cpu += second) {
		assert_true(write_at(GIC_FD, KVM_DEV_ARM_VGIC_GRP_CPU_REGS, cpu) >= 0);
		assert_true(write_at(GIC_FD, KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
				     cpu | GICD_ICENABLER) >= 0);
	}
	/* The last of those that messages raise. */
	assert_true(write_at(GIC_FD, KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
			     GICD_ICENABLER + (GIC_SPI_FIRST + LAYOUT_GIC_SPIS) / 8 - 4) > 0);
}

static void test_a_refused_register_is_the_hosts_failure(void **state)
{
	(void)state;
	make(IRQCHIP_AUTO, IRQCHIP_GICV3_ITS);
	host.refused = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS;
	assert_true(fail_is_host(gic_reset(&arch.gic, &vm)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_auto_takes_the_best, setup),
		cmocka_unit_test_setup(test_what_is_not_there_is_refused, setup),
		cmocka_unit_test_setup(test_no_messages_without_a_receiver, setup),
		cmocka_unit_test_setup(test_messages_of_the_its, setup),
		cmocka_unit_test_setup(test_gicv2_interrupts_eight, setup),
		cmocka_unit_test_setup(test_features_are_wishes, setup),
		cmocka_unit_test_setup(test_address_bits, setup),
		cmocka_unit_test_setup(test_gicv3_forgets_tables_when_they_are_off, setup),
		cmocka_unit_test_setup(test_gicv3_resets_what_was_made, setup),
		cmocka_unit_test_setup(test_gicv3_parts_the_binary_points_first, setup),
		cmocka_unit_test_setup(test_gicv3_clears_all_active_priorities, setup),
		cmocka_unit_test_setup(test_gicv2_resets_every_interface, setup),
		cmocka_unit_test_setup(test_a_refused_register_is_the_hosts_failure, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
