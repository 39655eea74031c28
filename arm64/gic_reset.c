// SPDX-License-Identifier: MIT
/*
 * The GIC back to power-on state. KVM has one command for the ITS and none for
 * the rest, so the registers are written one by one, as firmware would find
 * them: nothing enabled, pending, active or routed. Offsets are those of Arm's
 * GIC architecture specification (IHI 0069 and IHI 0048). vCPUs parked.
 */
#include "arm64/gic.h"

#include <linux/kvm.h>
#include <string.h>

#include "arm64/gic_attribute.h"
#include "arm64/layout.h"
#include "arm64/vcpu_regs.h"
#include "base/bytes.h"
#include "base/log.h"
#include "core/vcpu.h"
#include "core/vm.h"

/* Of the distributor; from GROUP on also of a redistributor's second frame. */
#define GICD_CTLR       0x0000
#define GICD_IGROUPR    0x0080
#define GICD_ICENABLER  0x0180
#define GICD_ISPENDR    0x0200 /* userspace sets the latch to what it writes */
#define GICD_ICPENDR    0x0280
#define GICD_ICACTIVER  0x0380
#define GICD_IPRIORITYR 0x0400
#define GICD_ITARGETSR  0x0800
#define GICD_ICFGR      0x0c00
#define GICD_IROUTER    0x6000

#define GICR_CTLR       0x00000
#define GICR_PROPBASER  0x00070
#define GICR_PENDBASER  0x00078
#define GICR_SGI_FRAME  0x10000

#define GICC_CTLR       0x00
#define GICC_PMR        0x04
#define GICC_BPR        0x08
#define GICC_APR        0xd0

/* ICC_*_EL1, as KVM's attributes encode them. */
#define ICC(op1, crn, crm, op2) ((3u << 14) | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))
#define ICC_PMR     ICC(0, 4, 6, 0)
#define ICC_BPR0    ICC(0, 12, 8, 3)
#define ICC_AP0R0   ICC(0, 12, 8, 4) /* of up to four, one after the other */
#define ICC_AP1R0   ICC(0, 12, 9, 0)
#define ICC_BPR1    ICC(0, 12, 12, 3)
#define ICC_CTLR    ICC(0, 12, 12, 4)
#define ICC_IGRPEN0 ICC(0, 12, 12, 6)
#define ICC_IGRPEN1 ICC(0, 12, 12, 7)
#define ICC_CTLR_MODE 0x3u /* CBPR and EOImode: the rest says what the interface has */
#define ICC_CTLR_PRIORITY_BITS(control) (((control) >> 8 & 7) + 1)

/* Registers that repeat: one for so many interrupts, from the first to the last. */
struct bank {
	int fd;
	uint32_t group;
	uint64_t base; /* of the attribute: which vCPU, which frame */
	uint32_t first, end; /* interrupt numbers */
};

static int set_all(const struct bank *bank, uint32_t offset, uint32_t bits_each, uint32_t value)
{
	uint32_t step = 32 / bits_each;
	int error = 0;

	for (uint32_t i = bank->first; !error && i < bank->end; i += step)
		error = gic_attribute_set(bank->fd, bank->group,
					  bank->base + offset + i / step * sizeof(value), &value);
	return error;
}

/* What distributor and redistributors have for every interrupt. */
static int reset_bank(const struct bank *bank)
{
	int error = set_all(bank, GICD_ICENABLER, 1, UINT32_MAX);

	if (!error)
		error = set_all(bank, GICD_ISPENDR, 1, 0);
	if (!error)
		error = set_all(bank, GICD_ICPENDR, 1, UINT32_MAX);
	if (!error)
		error = set_all(bank, GICD_ICACTIVER, 1, UINT32_MAX);
	if (!error)
		error = set_all(bank, GICD_IGROUPR, 1, 0);
	if (!error)
		error = set_all(bank, GICD_IPRIORITYR, 8, 0);
	return error;
}

/* Level-triggered pins that our side still asserts: their devices are being reset as well. */
static int lower_pins(struct vm *vm)
{
	int error = 0;

	for (uint32_t spi = 0; error >= 0 && spi < LAYOUT_GICV2M_SPI; spi++) {
		struct kvm_irq_level pin = {
			.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT |
			       (GIC_SPI_FIRST + spi),
		};

		error = kvm_call(&vm->kvm, KVM_IRQ_LINE, &pin);
	}
	return error < 0 ? fail_host(-error, "GIC: lower its pins: %s", strerror(-error)) : 0;
}

static int reset_distributor(const struct gic *gic)
{
	const struct bank shared = {
		.fd = gic->fd,
		.group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
		.first = GIC_SPI_FIRST,
		.end = GIC_SPI_FIRST + (gic->irqchip == IRQCHIP_GICV2M ?
					LAYOUT_GIC_SPIS : LAYOUT_GICV2M_SPI),
	};
	uint32_t off = 0;
	int error = gic_attribute_set(shared.fd, shared.group, GICD_CTLR, &off);

	if (!error)
		error = reset_bank(&shared);
	if (!error)
		error = set_all(&shared, GICD_ICFGR, 2, 0);
	if (!error && gic_is_v3(gic))
		/* 64 bits each, in two halves. */
		for (uint32_t i = shared.first; !error && i < shared.end; i++) {
			uint64_t router = GICD_IROUTER + i * sizeof(uint64_t);

			error = gic_attribute_set(shared.fd, shared.group, router, &off);
			if (!error)
				error = gic_attribute_set(shared.fd, shared.group, router + 4,
							  &off);
		}
	else if (!error)
		error = set_all(&shared, GICD_ITARGETSR, 8, 0);
	return error;
}

/* ---- Version 3 ---- */

static int clear_64bit(const struct bank *bank, uint64_t offset)
{
	uint32_t zero = 0;
	int error = gic_attribute_set(bank->fd, bank->group, bank->base + offset, &zero);

	return error ? error :
		       gic_attribute_set(bank->fd, bank->group, bank->base + offset + 4, &zero);
}

static int reset_redistributor(const struct gic *gic, uint64_t cpu)
{
	struct bank bank = {
		.fd = gic->fd,
		.group = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
		.base = cpu,
		.end = GIC_SPI_FIRST,
	};
	uint32_t off = 0;
	/* LPIs off first: the tables may be forgotten only then. */
	int error = gic_attribute_set(bank.fd, bank.group, cpu + GICR_CTLR, &off);

	if (!error)
		error = clear_64bit(&bank, GICR_PROPBASER);
	if (!error)
		error = clear_64bit(&bank, GICR_PENDBASER);
	bank.base += GICR_SGI_FRAME;
	return error ? error : reset_bank(&bank);
}

/* One bit for each level of preemption; KVM refuses the registers that would hold none. */
static int clear_active_priorities(const struct gic *gic, uint64_t cpu, unsigned priority_bits)
{
	const uint32_t group = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS;
	unsigned count = priority_bits > 6 ? 4 : priority_bits == 6 ? 2 : 1;
	uint64_t zero = 0;
	int error = 0;

	for (unsigned i = 0; !error && i < count; i++) {
		error = gic_attribute_set(gic->fd, group, cpu | (ICC_AP0R0 + i), &zero);
		if (!error)
			error = gic_attribute_set(gic->fd, group, cpu | (ICC_AP1R0 + i), &zero);
	}
	return error;
}

static int reset_cpu_interface(const struct gic *gic, uint64_t cpu)
{
	static const uint32_t zeroed[] = {
		ICC_IGRPEN0, ICC_IGRPEN1, ICC_PMR, ICC_BPR0, ICC_BPR1,
	};
	const uint32_t group = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS;
	uint64_t control, zero = 0;
	int error = gic_attribute_get(gic->fd, group, cpu | ICC_CTLR, &control);

	if (error)
		return error;
	/* First: with CBPR set, KVM drops what is written to BPR1. */
	control &= ~(uint64_t)ICC_CTLR_MODE;
	error = gic_attribute_set(gic->fd, group, cpu | ICC_CTLR, &control);
	for (unsigned i = 0; !error && i < ARRAY_SIZE(zeroed); i++)
		error = gic_attribute_set(gic->fd, group, cpu | zeroed[i], &zero);
	return error ? error :
	       clear_active_priorities(gic, cpu, ICC_CTLR_PRIORITY_BITS(control));
}

/* The affinity of a vCPU, as KVM's attributes carry it. */
static int attribute_of_cpu(const struct vcpu *vcpu, uint64_t *attribute)
{
	uint64_t mpidr;
	int error = vcpu_regs_mpidr(vcpu, &mpidr);

	if (!error)
		*attribute = ((mpidr >> 32 & 0xff) << 24 | (mpidr & 0xffffff))
			     << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT;
	return error;
}

static int reset_v3(const struct gic *gic, struct vm *vm)
{
	int error = 0;

	if (gic->its_fd >= 0)
		error = gic_attribute_set(gic->its_fd, KVM_DEV_ARM_VGIC_GRP_CTRL,
					  KVM_DEV_ARM_ITS_CTRL_RESET, NULL);
	for (unsigned i = 0; !error && i < vm->vcpu_count; i++) {
		uint64_t cpu;

		error = attribute_of_cpu(&vm->vcpus[i], &cpu);
		if (!error)
			error = reset_redistributor(gic, cpu);
		if (!error)
			error = reset_cpu_interface(gic, cpu);
	}
	return error;
}

/* ---- Version 2 ---- */

static int reset_v2(const struct gic *gic, struct vm *vm)
{
	static const uint32_t zeroed[] = { GICC_CTLR, GICC_PMR, GICC_BPR, GICC_APR };
	uint32_t zero = 0;
	int error = 0;

	for (unsigned i = 0; !error && i < vm->vcpu_count; i++) {
		const struct bank own = {
			.fd = gic->fd,
			.group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
			.base = (uint64_t)i << KVM_DEV_ARM_VGIC_CPUID_SHIFT,
			.end = GIC_SPI_FIRST,
		};

		error = reset_bank(&own);
		for (unsigned j = 0; !error && j < ARRAY_SIZE(zeroed); j++)
			error = gic_attribute_set(gic->fd, KVM_DEV_ARM_VGIC_GRP_CPU_REGS,
						  own.base + zeroed[j], &zero);
	}
	return error;
}

int gic_reset(struct gic *gic, struct vm *vm)
{
	int error = lower_pins(vm);

	if (!error)
		error = gic_is_v3(gic) ? reset_v3(gic, vm) : reset_v2(gic, vm);
	return error ? error : reset_distributor(gic);
}
