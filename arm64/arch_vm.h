/* SPDX-License-Identifier: MIT */
/* What the files of arm64/ share about a VM. Control thread, fixed after arch_vm_init_irqs(). */
#ifndef ARM64_ARCH_VM_H
#define ARM64_ARCH_VM_H

#include <stdbool.h>
#include <stdint.h>

enum irqchip {
	IRQCHIP_AUTO, /* only as what the user asked for */
	IRQCHIP_GICV3_ITS,
	IRQCHIP_GICV3, /* no MSIs: PCI functions use their pin */
	IRQCHIP_GICV2M,
	IRQCHIP_GICV2, /* no MSIs */
};

/* What vm_config.arch_options points to. */
struct arm64_options {
	unsigned irqchip; /* enum irqchip */
	char *dump_dtb_path; /* where to leave a copy of the device tree, or NULL */
	bool pmu, sve, pauth, mte, steal_time; /* where KVM offers them */
};

struct arch_vm {
	enum irqchip irqchip;   /* what was chosen; never IRQCHIP_AUTO */
	unsigned physical_bits; /* of a guest physical address */
	bool pmu, steal_time;   /* what the device tree shall tell of */
};

#endif
