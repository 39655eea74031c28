// SPDX-License-Identifier: MIT
/*
 * CPUID leaves that KVM can't know: topology, identity, what the in-kernel
 * local APIC adds. Leaves and fields are named in comments after the Intel SDM
 * volume 2 (CPUID) and the AMD APM volume 3, appendix E. No state.
 */
#include "x86/cpuid.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define LEAF_VENDOR        0x0
#define LEAF_FEATURES      0x1
#define LEAF_CACHES        0x4
#define LEAF_TOPOLOGY      0xb
#define LEAF_STATES        0xd
#define LEAF_TSC           0x15
#define LEAF_FREQUENCY     0x16
#define LEAF_TOPOLOGY_V2   0x1f
#define LEAF_EXT_FEATURES  0x80000001
#define LEAF_EXT_SIZES     0x80000008
#define LEAF_EXT_CACHES    0x8000001d
#define LEAF_EXT_TOPOLOGY  0x8000001e
#define LEAF_EXT_TOPOLOGY2 0x80000026

#define VENDOR_EBX_INTEL 0x756e6547 /* "Genu" */

#define FEATURES_ECX_X2APIC       BIT64(21)
#define FEATURES_ECX_TSC_DEADLINE BIT64(24)
#define FEATURES_ECX_HYPERVISOR   BIT64(31)
#define FEATURES_EDX_HTT          BIT64(28)
#define EXT_ECX_CMP_LEGACY        BIT64(1)

#define STATES_EAX_TILES (BIT64(17) | BIT64(18)) /* TILECFG and TILEDATA, of AMX */

#define PHYSICAL_BITS_DEFAULT 36

struct kvm_cpuid2 *cpuid_table_create(void)
{
	struct kvm_cpuid2 *table = calloc(1, sizeof(*table) + CPUID_ENTRIES_MAX *
							      sizeof(table->entries[0]));

	if (table)
		table->nent = CPUID_ENTRIES_MAX;
	return table;
}

struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *table, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < table->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &table->entries[i];

		if (entry->function == function &&
		    (!(entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || entry->index == index))
			return entry;
	}
	return NULL;
}

unsigned cpuid_physical_bits(struct kvm_cpuid2 *table)
{
	const struct kvm_cpuid_entry2 *sizes = cpuid_find(table, LEAF_EXT_SIZES, 0);
	unsigned bits = sizes ? sizes->eax & 0xff : 0;

	return bits ? bits : PHYSICAL_BITS_DEFAULT;
}

static void remove_leaf(struct kvm_cpuid2 *table, uint32_t function)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < table->nent; i++)
		if (table->entries[i].function != function)
			table->entries[kept++] = table->entries[i];
	table->nent = kept;
}

static void add_leaf(struct kvm_cpuid2 *table, const struct kvm_cpuid_entry2 *entry)
{
	if (table->nent < CPUID_ENTRIES_MAX)
		table->entries[table->nent++] = *entry;
}

/* Bits of an APIC id that tell apart the vCPUs of the package. */
static unsigned package_bits(unsigned vcpu_count)
{
	unsigned bits = 0;

	while ((1u << bits) < vcpu_count)
		bits++;
	return bits;
}

static void set_features(struct kvm_cpuid2 *table, unsigned vcpu_count, bool tsc_deadline)
{
	struct kvm_cpuid_entry2 *features = cpuid_find(table, LEAF_FEATURES, 0);
	uint32_t ids = (uint32_t)min_u64(1u << package_bits(vcpu_count), 255);

	if (!features)
		return;
	features->ecx |= FEATURES_ECX_X2APIC | FEATURES_ECX_HYPERVISOR;
	if (tsc_deadline)
		features->ecx |= FEATURES_ECX_TSC_DEADLINE;
	/* EBX[23:16]: APIC ids set aside for the package, if HTT is set. */
	features->ebx = (features->ebx & ~0x00ff0000u) | ids << 16;
	features->edx &= ~(uint32_t)FEATURES_EDX_HTT;
	if (vcpu_count > 1)
		features->edx |= FEATURES_EDX_HTT;
}

/* Leaf 4 and its AMD twin: which vCPUs share each cache; only the last level is shared. */
static void set_caches(struct kvm_cpuid2 *table, unsigned vcpu_count)
{
	uint32_t ids = 1u << package_bits(vcpu_count);

	for (uint32_t i = 0; i < table->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &table->entries[i];
		bool intel = entry->function == LEAF_CACHES;
		uint32_t type = entry->eax & 0x1f, level = entry->eax >> 5 & 0x7;
		uint32_t sharing;

		if ((!intel && entry->function != LEAF_EXT_CACHES) || !type)
			continue;
		/* EAX[25:14]: ids that share it, less one; Intel EAX[31:26]: cores, less one. */
		sharing = level >= 3 ? (uint32_t)min_u64(ids - 1, 0xfff) : 0;
		entry->eax &= intel ? 0x3fff : ~UINT32_C(0x03ffc000);
		entry->eax |= sharing << 14;
		if (intel)
			entry->eax |= (uint32_t)min_u64(ids - 1, 0x3f) << 26;
	}
}

/* Leaves 0xb and 0x1f: level 1 threads, level 2 cores, then the end. EDX: see cpuid_set_vcpu(). */
static void set_topology(struct kvm_cpuid2 *table, uint32_t function, unsigned vcpu_count)
{
	const struct kvm_cpuid_entry2 levels[] = {
		{ .index = 0, .eax = 0, .ebx = 1, .ecx = 1 << 8 },
		{ .index = 1, .eax = package_bits(vcpu_count), .ebx = vcpu_count,
		  .ecx = 2 << 8 | 1 },
		{ .index = 2, .eax = 0, .ebx = 0, .ecx = 2 },
	};

	if (!cpuid_find(table, function, 0))
		return;
	remove_leaf(table, function);
	for (unsigned i = 0; i < ARRAY_SIZE(levels); i++) {
		struct kvm_cpuid_entry2 entry = levels[i];

		entry.function = function;
		entry.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		add_leaf(table, &entry);
	}
}

static bool vendor_is_intel(struct kvm_cpuid2 *table)
{
	const struct kvm_cpuid_entry2 *vendor = cpuid_find(table, LEAF_VENDOR, 0);

	return vendor && vendor->ebx == VENDOR_EBX_INTEL;
}

/* Intel keeps these fields reserved. */
static void set_amd_topology(struct kvm_cpuid2 *table, unsigned vcpu_count)
{
	struct kvm_cpuid_entry2 *features = cpuid_find(table, LEAF_EXT_FEATURES, 0);
	struct kvm_cpuid_entry2 *sizes = cpuid_find(table, LEAF_EXT_SIZES, 0);
	struct kvm_cpuid_entry2 *ids = cpuid_find(table, LEAF_EXT_TOPOLOGY, 0);

	if (vendor_is_intel(table))
		return;
	if (features) {
		features->ecx &= ~(uint32_t)EXT_ECX_CMP_LEGACY;
		if (vcpu_count > 1)
			features->ecx |= EXT_ECX_CMP_LEGACY;
	}
	/* ECX[7:0]: threads less one; ECX[15:12]: bits of the package in an APIC id. */
	if (sizes)
		sizes->ecx = (sizes->ecx & ~0xf0ffu) | (uint32_t)min_u64(vcpu_count - 1, 0xff) |
			     package_bits(vcpu_count) << 12;
	/* EBX[15:8]: threads of a core less one; ECX: one node, number 0. */
	if (ids) {
		ids->ebx = 0;
		ids->ecx = 0;
	}
}

/*
 * XSETBV takes both halves of AMX's state or none. To who has not asked for AMX,
 * KVM before Linux 6.4 leaves out the one and offers the other, which guests enable.
 */
static void set_states(struct kvm_cpuid2 *table)
{
	struct kvm_cpuid_entry2 *states = cpuid_find(table, LEAF_STATES, 0);

	if (states && (states->eax & STATES_EAX_TILES) != STATES_EAX_TILES)
		states->eax &= ~(uint32_t)STATES_EAX_TILES;
}

void cpuid_set_machine(struct kvm_cpuid2 *table, unsigned vcpu_count, bool tsc_deadline)
{
	set_features(table, vcpu_count, tsc_deadline);
	set_caches(table, vcpu_count);
	set_states(table);
	set_topology(table, LEAF_TOPOLOGY, vcpu_count);
	set_topology(table, LEAF_TOPOLOGY_V2, vcpu_count);
	set_amd_topology(table, vcpu_count);
	/* The host's dies and complexes are not the guest's. */
	remove_leaf(table, LEAF_EXT_TOPOLOGY2);
	/*
	 * KVM's LAPIC timer counts at 1 GHz whatever the crystal does, and the
	 * vCPU has no base frequency: kvmclock says how fast the TSC is.
	 */
	remove_leaf(table, LEAF_TSC);
	remove_leaf(table, LEAF_FREQUENCY);
}

void cpuid_set_vcpu(struct kvm_cpuid2 *table, unsigned index)
{
	for (uint32_t i = 0; i < table->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &table->entries[i];

		switch (entry->function) {
		case LEAF_FEATURES: /* EBX[31:24]: initial APIC id */
			entry->ebx = (entry->ebx & 0x00ffffff) | (index & 0xff) << 24;
			break;
		case LEAF_TOPOLOGY:
		case LEAF_TOPOLOGY_V2: /* EDX: x2APIC id, at every level */
			entry->edx = index;
			break;
		case LEAF_EXT_TOPOLOGY: /* EAX: extended APIC id; EBX[7:0]: core */
			entry->eax = index;
			entry->ebx = (entry->ebx & ~0xffu) | (index & 0xff);
			break;
		}
	}
}
