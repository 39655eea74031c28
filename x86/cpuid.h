/* SPDX-License-Identifier: MIT */
/*
 * What CPUID tells the guest: what KVM supports, with the topology and identity
 * of each vCPU put in. One package of single-threaded cores that share the last
 * cache; the APIC id of a vCPU is its index. Works on a table in memory, no KVM.
 */
#ifndef X86_CPUID_H
#define X86_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#define CPUID_ENTRIES_MAX 256 /* KVM's own limit */

/* Zeroed room for CPUID_ENTRIES_MAX entries, or NULL. free() it. */
struct kvm_cpuid2 *cpuid_table_create(void);

/* The entry, or NULL. `index` is compared only where it has a meaning. */
struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *table, uint32_t function, uint32_t index);

/* Physical address bits, from leaf 0x80000008; 36 if there is no such leaf. */
unsigned cpuid_physical_bits(struct kvm_cpuid2 *table);

/*
 * Makes KVM's supported leaves fit for a guest of `vcpu_count` vCPUs: all but
 * the identity. `tsc_deadline`: KVM has the LAPIC timer's deadline mode.
 */
void cpuid_set_machine(struct kvm_cpuid2 *table, unsigned vcpu_count, bool tsc_deadline);

/* Makes the table that of one vCPU. Can be called again for another. */
void cpuid_set_vcpu(struct kvm_cpuid2 *table, unsigned index);

#endif
