/* SPDX-License-Identifier: MIT */
/*
 * The KVM side of a machine: the VM, its memory, buses, interrupts and vCPUs.
 * Boards and the machine see it; devices never do.
 */
#ifndef CORE_VM_H
#define CORE_VM_H

#include <stdint.h>

#include "core/bus.h"
#include "core/irq.h"
#include "core/kvm_call.h"
#include "core/memory.h"
#include "core/request.h"

struct arch_vm;
struct boot_trace;
struct cpu_list;
struct syscall_filter;
struct vcpu;

struct vm_config {
	const char *dev_path; /* the KVM device, "/dev/kvm" */
	uint64_t memory_bytes;
	struct memory_backing memory_backing;
	unsigned vcpu_count;
	const struct cpu_list *vcpu_processors; /* outlives the VM; NULL or empty: any */
	const struct syscall_filter *vcpu_filter; /* of vCPU threads, or NULL; outlives the VM */
	struct boot_trace *trace; /* or NULL; outlives the VM */
	const void *arch_options; /* what the user chose of core/arch.h's; outlives the VM */
};

struct vm {
	struct vm_config config;
	int kvm_fd;
	struct kvm_call kvm; /* vm_fd and the way to call it */
	struct guest_memory memory; /* fixed before the first vCPU runs: read without lock */
	struct bus mmio, ports; /* ports stays empty where processors have none */
	struct irq_router irqs;
	struct vcpu *vcpus;
	unsigned vcpu_count;
	struct request_line *requests; /* the machine's */
	struct arch_vm *arch; /* private to who defines core/arch.h */
};

/*
 * Opens KVM, checks what it offers, makes the VM, its memory, its interrupt
 * controller and its vCPUs (not running). 0 or a failure, logged with what to
 * do. vm_destroy() after vm_create() failed is not needed.
 */
int vm_create(struct vm *vm, const struct vm_config *config, struct request_line *requests);

/* vCPU threads have ended (vm_stop_vcpus()). */
void vm_destroy(struct vm *vm);

/* The value of a capability (0: not there). */
int vm_capability(const struct vm *vm, unsigned capability);

/* Control thread. Threads are made by the first start; park returns when none runs. */
int vm_start_vcpus(struct vm *vm);
void vm_park_vcpus(struct vm *vm);
void vm_unpark_vcpus(struct vm *vm);
void vm_stop_vcpus(struct vm *vm);

/* vCPUs parked: interrupt controllers and vCPUs back to power-on state. 0 or a failure, logged. */
int vm_reset(struct vm *vm);

#endif
