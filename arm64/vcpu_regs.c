// SPDX-License-Identifier: MIT
/* Core and system registers by their numbers in KVM's interface. */
#include "arm64/vcpu_regs.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/bytes.h"
#include "base/log.h"
#include "core/vcpu.h"

#define CORE(field) \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))
#define GENERAL(number) (CORE(regs.regs[0]) + 2 * (uint64_t)(number))

#define MPIDR_EL1  ARM64_SYS_REG(3, 0, 0, 0, 5)
#define SCTLR_EL1  ARM64_SYS_REG(3, 0, 1, 0, 0)
#define TTBR0_EL1  ARM64_SYS_REG(3, 0, 2, 0, 0)
#define TTBR1_EL1  ARM64_SYS_REG(3, 0, 2, 0, 1)
#define TCR_EL1    ARM64_SYS_REG(3, 0, 2, 0, 2)
#define ESR_EL1    ARM64_SYS_REG(3, 0, 5, 2, 0)
#define FAR_EL1    ARM64_SYS_REG(3, 0, 6, 0, 0)
#define VBAR_EL1   ARM64_SYS_REG(3, 0, 12, 0, 0)

#define MPIDR_AFFINITY UINT64_C(0xff00ffffff)
#define PSTATE_EL1H_MASKED 0x3c5 /* D, A, I, F */

static int get(const struct vcpu *vcpu, uint64_t id, uint64_t *value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)value };

	return ioctl(vcpu->fd, KVM_GET_ONE_REG, &reg) ? -errno : 0;
}

static int set(const struct vcpu *vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)&value };

	if (ioctl(vcpu->fd, KVM_SET_ONE_REG, &reg))
		return fail_host_errno("vcpu%u: set register 0x%" PRIx64, vcpu->index, id);
	return 0;
}

int vcpu_regs_enter(struct vcpu *vcpu, const struct kernel_entry *entry)
{
	int error = set(vcpu, GENERAL(0), entry->device_tree_gpa);

	for (unsigned i = 1; !error && i <= 3; i++)
		error = set(vcpu, GENERAL(i), 0);
	if (!error)
		error = set(vcpu, CORE(regs.pc), entry->pc_gpa);
	return error ? error : set(vcpu, CORE(regs.pstate), PSTATE_EL1H_MASKED);
}

int vcpu_regs_mpidr(const struct vcpu *vcpu, uint64_t *mpidr)
{
	int error = get(vcpu, MPIDR_EL1, mpidr);

	if (error)
		return fail_host(-error, "vcpu%u: read its MPIDR: %s", vcpu->index,
				 strerror(-error));
	*mpidr &= MPIDR_AFFINITY;
	return 0;
}

#define SPECIAL_PER_LINE 3
#define GENERAL_PER_LINE 4
#define GENERAL_COUNT    31

/* A word for a line of the dump: one that KVM does not have here is a row of dashes. */
static size_t append(const struct vcpu *vcpu, char *line, size_t room, const char *name,
		     uint64_t id)
{
	uint64_t value;
	int length = get(vcpu, id, &value) ? snprintf(line, room, " %6s ----------------", name) :
		     snprintf(line, room, " %6s %016" PRIx64, name, value);

	return length < 0 ? 0 : min_u64((uint64_t)length, room - 1);
}

static void dump_special(const struct vcpu *vcpu)
{
	static const struct {
		const char *name;
		uint64_t id;
	} special[] = {
		{ "pc", CORE(regs.pc) },   { "sp", CORE(regs.sp) },
		{ "pstate", CORE(regs.pstate) },
		{ "esr", ESR_EL1 },        { "far", FAR_EL1 },      { "elr", CORE(elr_el1) },
		{ "spsr", CORE(spsr[0]) }, { "sp_el1", CORE(sp_el1) }, { "vbar", VBAR_EL1 },
		{ "ttbr0", TTBR0_EL1 },    { "ttbr1", TTBR1_EL1 },  { "tcr", TCR_EL1 },
		{ "sctlr", SCTLR_EL1 },    { "mpidr", MPIDR_EL1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(special); i += SPECIAL_PER_LINE) {
		char line[SPECIAL_PER_LINE * 32] = "";
		size_t used = 0;

		for (size_t j = i; j < i + SPECIAL_PER_LINE && j < ARRAY_SIZE(special); j++)
			used += append(vcpu, line + used, sizeof(line) - used, special[j].name,
				       special[j].id);
		fail(0, "vcpu%u:%s", vcpu->index, line);
	}
}

void vcpu_regs_dump(const struct vcpu *vcpu)
{
	dump_special(vcpu);
	for (unsigned i = 0; i < GENERAL_COUNT; i += GENERAL_PER_LINE) {
		char line[GENERAL_PER_LINE * 32] = "";
		size_t used = 0;

		for (unsigned j = i; j < i + GENERAL_PER_LINE && j < GENERAL_COUNT; j++) {
			char name[8];

			snprintf(name, sizeof(name), "x%u", j);
			used += append(vcpu, line + used, sizeof(line) - used, name, GENERAL(j));
		}
		fail(0, "vcpu%u:%s", vcpu->index, line);
	}
}
