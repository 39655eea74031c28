/* SPDX-License-Identifier: MIT */
/* What the files of x86/ share about a VM. Control thread, fixed after arch_vm_init(). */
#ifndef X86_ARCH_VM_H
#define X86_ARCH_VM_H

#include <linux/kvm.h>
#include <stdbool.h>

#include "x86/cpu_state.h"

/* The two 8259A and the IOAPIC, as KVM numbers them. */
#define ARCH_IRQCHIPS 3

/* What vm_config.arch_options points to. */
struct x86_options {
	bool pvh; /* enter an ELF kernel by its PVH note if it has one */
};

struct arch_vm {
	struct kvm_cpuid2 *cpuid; /* made a vCPU's own by cpuid_set_vcpu() */
	unsigned physical_bits;
	struct msr_list msrs;
	struct kvm_irqchip irqchips[ARCH_IRQCHIPS]; /* as they were made */
};

#endif
