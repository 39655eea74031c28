// SPDX-License-Identifier: MIT
/*
 * core/arch.h for x86, the vCPU's exits: ports, and the ways a guest can end.
 * vCPU thread, no locks.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/bytes.h"
#include "base/log.h"
#include "core/arch.h"
#include "x86/layout.h"

#define CF9_RESET_CPU    0x04
#define INSTRUCTION_MAX  15

/* The chipset's reset register, a byte in the middle of the PCI address port. */
static bool writes_cf9_reset(const struct kvm_run *run, const uint8_t *data)
{
	return run->io.port == LAYOUT_CF9_PORT && run->io.size == 1 &&
	       run->io.direction == KVM_EXIT_IO_OUT && (*data & CF9_RESET_CPU);
}

static enum vcpu_next exit_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	bool write = run->io.direction == KVM_EXIT_IO_OUT;

	if (writes_cf9_reset(run, data))
		return VCPU_RESET;
	/* A string instruction repeats on the same port. */
	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size)
		bus_access(&vcpu->vm->ports, run->io.port, data, run->io.size, write);
	return VCPU_AGAIN;
}

enum vcpu_next arch_vcpu_exit(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		return exit_io(vcpu);
	case KVM_EXIT_SHUTDOWN:
		fail(0, "vcpu%u: triple fault", vcpu->index);
		break;
	default:
		fail(0, "vcpu%u: KVM exit %u is not known here", vcpu->index,
		     vcpu->run->exit_reason);
		break;
	}
	arch_vcpu_dump(vcpu);
	return VCPU_CRASHED;
}

/* What KVM could not emulate, if that is why it gave up. */
static void dump_instruction(const struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	char bytes[3 * INSTRUCTION_MAX + 1] = "";
	unsigned count;

	if (run->exit_reason != KVM_EXIT_INTERNAL_ERROR ||
	    run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION ||
	    run->emulation_failure.ndata < 3 ||
	    !(run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		return;
	count = (unsigned)min_u64(run->emulation_failure.insn_size, INSTRUCTION_MAX);
	for (unsigned i = 0; i < count; i++)
		snprintf(bytes + 3 * i, sizeof(bytes) - 3 * i, " %02x",
			 run->emulation_failure.insn_bytes[i]);
	fail(0, "vcpu%u: KVM can't emulate the instruction%s", vcpu->index, bytes);
}

static void dump_segment(const struct vcpu *vcpu, const char *name,
			 const struct kvm_segment *segment)
{
	fail(0, "vcpu%u: %s %04x base %016llx limit %08x type %x dpl %u%s%s", vcpu->index, name,
	     segment->selector, (unsigned long long)segment->base, segment->limit, segment->type,
	     segment->dpl, segment->l ? " long" : "", segment->present ? "" : " absent");
}

void arch_vcpu_dump(struct vcpu *vcpu)
{
	struct kvm_sregs s;
	struct kvm_regs r;
	unsigned n = vcpu->index;

	dump_instruction(vcpu);
	if (ioctl(vcpu->fd, KVM_GET_REGS, &r) || ioctl(vcpu->fd, KVM_GET_SREGS, &s))
		return;
	fail(0, "vcpu%u: rip %016llx rflags %08llx rsp %016llx rbp %016llx", n, r.rip, r.rflags,
	     r.rsp, r.rbp);
	fail(0, "vcpu%u: rax %016llx rbx %016llx rcx %016llx rdx %016llx", n, r.rax, r.rbx, r.rcx,
	     r.rdx);
	fail(0, "vcpu%u: rsi %016llx rdi %016llx r8  %016llx r9  %016llx", n, r.rsi, r.rdi, r.r8,
	     r.r9);
	fail(0, "vcpu%u: r10 %016llx r11 %016llx r12 %016llx r13 %016llx", n, r.r10, r.r11, r.r12,
	     r.r13);
	fail(0, "vcpu%u: r14 %016llx r15 %016llx cr0 %08llx cr2 %016llx", n, r.r14, r.r15, s.cr0,
	     s.cr2);
	fail(0, "vcpu%u: cr3 %016llx cr4 %08llx efer %08llx apic %08llx", n, s.cr3, s.cr4, s.efer,
	     s.apic_base);
	dump_segment(vcpu, "cs", &s.cs);
	dump_segment(vcpu, "ss", &s.ss);
	fail(0, "vcpu%u: gdt %016llx/%04x idt %016llx/%04x", n, s.gdt.base, s.gdt.limit,
	     s.idt.base, s.idt.limit);
}
