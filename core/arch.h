/* SPDX-License-Identifier: MIT */
/*
 * What an architecture supplies for VM and vCPU. core/ declares, exactly one of
 * x86/ and arm64/ defines; the linker picks. All on the control thread but
 * arch_vcpu_exit(). Failures are logged by the callee.
 */
#ifndef CORE_ARCH_H
#define CORE_ARCH_H

#include "core/vcpu.h"
#include "core/vm.h"

enum vcpu_next {
	VCPU_AGAIN,   /* run on */
	VCPU_RESET,   /* the guest asked for a reset */
	VCPU_OFF,     /* the guest turned the machine off */
	VCPU_CRASHED, /* the guest can't go on; say so first */
};

/* After KVM_CREATE_VM: what must be there before memory and vCPUs, the irqchip among it. */
int arch_vm_init(struct vm *vm);
void arch_vm_destroy(struct vm *vm);

/* Lays out memory_bytes of RAM around the holes of the address map. */
int arch_vm_add_memory(struct vm *vm);

/* The interrupt controller's own routes: calls irq_router_init(). */
int arch_vm_init_irqs(struct vm *vm);

/* After KVM_CREATE_VCPU: features, identity, the state a reset returns to. */
int arch_vcpu_init(struct vcpu *vcpu);
void arch_vcpu_destroy(struct vcpu *vcpu);

/* Parked: interrupt controllers, then each vCPU, back to power-on state. */
int arch_vm_reset(struct vm *vm);
int arch_vcpu_reset(struct vcpu *vcpu);

/* vCPU thread, no locks: an exit that core/vcpu.c does not handle itself. */
enum vcpu_next arch_vcpu_exit(struct vcpu *vcpu);

/* vCPU thread: its registers on one log line each, before it is given up. */
void arch_vcpu_dump(struct vcpu *vcpu);

#endif
