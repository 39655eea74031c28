/* SPDX-License-Identifier: MIT */
/* What the files of arm64/ share about a VM. Control thread, fixed after arch_vm_init_irqs(). */
#ifndef ARM64_ARCH_VM_H
#define ARM64_ARCH_VM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "arm64/gic.h"
#include "arm64/gicv2m.h"

struct vcpu;

/* A feature of the processor, as the user wants it. */
enum wish {
	WISH_AUTO, /* where KVM offers it */
	WISH_ON,
	WISH_OFF,
};

/* What vm_config.arch_options points to. */
struct arm64_options {
	unsigned irqchip;    /* enum irqchip */
	char *dump_dtb_path; /* where to leave a copy of the device tree, or NULL */
	unsigned pmu, sve, pauth, mte, steal_time; /* enum wish */
};

struct arch_vm {
	unsigned physical_bits; /* of a guest physical address */
	struct gic gic;
	struct gicv2m gicv2m; /* if gic.irqchip is IRQCHIP_GICV2M */
	bool gicv2m_added;
	bool pmu, sve, pauth, mte, steal_time; /* what the vCPUs have */
	struct kvm_vcpu_init vcpu_init;        /* of the first vCPU; the others begin powered off */
};

/* arch_vcpu.c: what a vCPU can have only when there is a whole GIC. 0 or a failure, logged. */
int arch_vcpu_complete(struct vcpu *vcpu);

#endif
