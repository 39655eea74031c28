// SPDX-License-Identifier: MIT
/* Save and load of a vCPU's state: a table of KVM's pieces in the order they depend on. */
#include "x86/cpu_state.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/bytes.h"
#include "base/log.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "x86/msr.h"

#define MSR_LIST_MAX     1024
#define MEMORY_TYPE_MSRS 32 /* at least as many as memory_type_msrs[] names */

static const struct {
	uint32_t first;
	unsigned count;
} memory_type_msrs[] = {
	{ MSR_MTRR_VARIABLE, 16 }, { MSR_MTRR_FIXED_64K, 1 }, { MSR_MTRR_FIXED_16K, 2 },
	{ MSR_MTRR_FIXED_4K, 8 },  { MSR_MTRR_DEFAULT, 1 },
};

/*
 * Pieces of fixed size, in the order they are put back: what the APIC is (in
 * sregs) comes before its registers, and whether the vCPU runs comes last.
 */
static const struct state_piece {
	const char *name;
	unsigned long get, set;
	size_t offset;
	unsigned capability; /* that KVM may lack on this processor; 0: never */
} pieces[] = {
	{ "registers", KVM_GET_REGS, KVM_SET_REGS, offsetof(struct cpu_state, regs) },
	{ "XCRs", KVM_GET_XCRS, KVM_SET_XCRS, offsetof(struct cpu_state, xcrs), KVM_CAP_XCRS },
	{ "FPU", KVM_GET_XSAVE, KVM_SET_XSAVE, offsetof(struct cpu_state, xsave) },
	{ "system registers", KVM_GET_SREGS, KVM_SET_SREGS, offsetof(struct cpu_state, sregs) },
	{ "debug registers", KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS,
	  offsetof(struct cpu_state, debugregs) },
	{ "local APIC", KVM_GET_LAPIC, KVM_SET_LAPIC, offsetof(struct cpu_state, lapic) },
	{ "events", KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS,
	  offsetof(struct cpu_state, events) },
	{ "run state", KVM_GET_MP_STATE, KVM_SET_MP_STATE, offsetof(struct cpu_state, mp_state) },
};

static_assert(sizeof(((struct cpu_state *)NULL)->xsave) == sizeof(struct kvm_xsave), "xsave");

int msr_list_create(struct msr_list *list, int kvm_fd)
{
	struct kvm_msr_list *all = calloc(1, sizeof(*all) + MSR_LIST_MAX * sizeof(all->indices[0]));

	list->indices = calloc(MSR_LIST_MAX + MEMORY_TYPE_MSRS, sizeof(list->indices[0]));
	list->count = 0;
	if (!all || !list->indices) {
		free(all);
		msr_list_destroy(list);
		return fail_host(ENOMEM, "MSR list: out of memory");
	}
	all->nmsrs = MSR_LIST_MAX;
	if (ioctl(kvm_fd, KVM_GET_MSR_INDEX_LIST, all)) {
		int error = fail_host_errno("KVM_GET_MSR_INDEX_LIST");

		free(all);
		msr_list_destroy(list);
		return error;
	}
	for (unsigned i = 0; i < all->nmsrs && i < MSR_LIST_MAX; i++)
		list->indices[list->count++] = all->indices[i];
	free(all);
	/* KVM keeps memory types for the guest, but not on its list. */
	for (unsigned i = 0; i < ARRAY_SIZE(memory_type_msrs); i++)
		for (unsigned j = 0; j < memory_type_msrs[i].count; j++)
			list->indices[list->count++] = memory_type_msrs[i].first + j;
	return 0;
}

void msr_list_destroy(struct msr_list *list)
{
	free(list->indices);
	list->indices = NULL;
	list->count = 0;
}

static void msr_list_remove(struct msr_list *list, unsigned place)
{
	list->count--;
	memmove(&list->indices[place], &list->indices[place + 1],
		(list->count - place) * sizeof(list->indices[0]));
}

static bool piece_is_there(const struct state_piece *piece, const struct vcpu *vcpu)
{
	return !piece->capability || vm_capability(vcpu->vm, piece->capability) > 0;
}

/*
 * KVM stops at the first MSR it does not like and says how many it did. Drops
 * that one and tries again.
 */
static int msrs_transfer(int vcpu_fd, unsigned long request, struct kvm_msrs *msrs,
			 struct msr_list *list)
{
	for (;;) {
		int done;

		msrs->nmsrs = list->count;
		for (unsigned i = 0; i < list->count; i++)
			msrs->entries[i].index = list->indices[i];
		done = ioctl(vcpu_fd, request, msrs);
		if (done < 0)
			return -errno;
		if ((unsigned)done >= list->count)
			return 0;
		log_debug("MSR 0x%x is left out of the saved state", list->indices[done]);
		msr_list_remove(list, (unsigned)done);
		memmove(&msrs->entries[done], &msrs->entries[done + 1],
			(list->count - (unsigned)done) * sizeof(msrs->entries[0]));
	}
}

static int save_msrs(struct cpu_state *state, struct vcpu *vcpu, struct msr_list *list)
{
	struct kvm_msrs *msrs = calloc(1, sizeof(*msrs) + list->count * sizeof(msrs->entries[0]));
	int error;

	if (!msrs)
		return fail_host(ENOMEM, "vcpu%u: MSRs: out of memory", vcpu->index);
	state->msrs = msrs;
	error = msrs_transfer(vcpu->fd, KVM_GET_MSRS, msrs, list);
	if (error)
		return fail_host(-error, "vcpu%u: read MSRs: %s", vcpu->index, strerror(-error));
	return 0;
}

static int save_nested(struct cpu_state *state, struct vcpu *vcpu)
{
	int size = vm_capability(vcpu->vm, KVM_CAP_NESTED_STATE);

	if (size < (int)sizeof(*state->nested))
		return 0;
	state->nested = calloc(1, (size_t)size);
	if (!state->nested)
		return fail_host(ENOMEM, "vcpu%u: nested state: out of memory", vcpu->index);
	state->nested->size = (uint32_t)size;
	if (ioctl(vcpu->fd, KVM_GET_NESTED_STATE, state->nested)) {
		/* There, but not for this CPU model. */
		free(state->nested);
		state->nested = NULL;
	}
	return 0;
}

int cpu_state_save(struct cpu_state *state, struct vcpu *vcpu, struct msr_list *list)
{
	int error;

	for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++)
		if (piece_is_there(&pieces[i], vcpu) &&
		    ioctl(vcpu->fd, pieces[i].get, (char *)state + pieces[i].offset) < 0)
			return fail_host_errno("vcpu%u: read %s", vcpu->index, pieces[i].name);
	state->events.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR;
	error = save_nested(state, vcpu);
	return error ? error : save_msrs(state, vcpu, list);
}

__u64 *cpu_state_msr(struct cpu_state *state, uint32_t index)
{
	for (uint32_t i = 0; i < state->msrs->nmsrs; i++)
		if (state->msrs->entries[i].index == index)
			return &state->msrs->entries[i].data;
	return NULL;
}

int cpu_state_try_msrs(struct cpu_state *state, struct vcpu *vcpu, struct msr_list *list)
{
	int error = msrs_transfer(vcpu->fd, KVM_SET_MSRS, state->msrs, list);

	if (error)
		return fail_host(-error, "vcpu%u: write MSRs: %s", vcpu->index, strerror(-error));
	return 0;
}

int cpu_state_load(const struct cpu_state *state, struct vcpu *vcpu)
{
	int done;

	/* First: it takes the vCPU out of a nested guest. */
	if (state->nested && ioctl(vcpu->fd, KVM_SET_NESTED_STATE, state->nested) < 0)
		return fail_host_errno("vcpu%u: put back nested state", vcpu->index);
	for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++)
		if (piece_is_there(&pieces[i], vcpu) &&
		    ioctl(vcpu->fd, pieces[i].set, (const char *)state + pieces[i].offset) < 0)
			return fail_host_errno("vcpu%u: put back %s", vcpu->index,
					       pieces[i].name);
	done = ioctl(vcpu->fd, KVM_SET_MSRS, state->msrs);
	if (done < 0)
		return fail_host_errno("vcpu%u: put back MSRs", vcpu->index);
	if ((unsigned)done < state->msrs->nmsrs)
		return fail_host(EIO, "vcpu%u: KVM refuses to put back MSR 0x%x", vcpu->index,
				 state->msrs->entries[done].index);
	return 0;
}

void cpu_state_destroy(struct cpu_state *state)
{
	free(state->nested);
	free(state->msrs);
	state->nested = NULL;
	state->msrs = NULL;
}
