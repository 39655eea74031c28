// SPDX-License-Identifier: MIT
/*
 * Boot registers, after the Linux x86 boot protocol ("64-bit boot protocol")
 * and Xen's PVH document. Control thread.
 */
#include "x86/vcpu_regs.h"

#include <asm/processor-flags.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "base/bytes.h"
#include "base/log.h"
#include "core/vcpu.h"
#include "x86/layout.h"

#define EFER_LME BIT64(8)
#define EFER_LMA BIT64(10)

#define PAGE_PRESENT  BIT64(0)
#define PAGE_WRITABLE BIT64(1)
#define PAGE_LARGE    BIT64(7)

#define TABLE_ENTRIES 512
#define TABLE_BYTES   (TABLE_ENTRIES * 8)
#define MAPPED_GIB    4

/* Selectors that Linux asks for: code at 0x10, data at 0x18. */
enum gdt_slot { GDT_CODE = 2, GDT_DATA = 3, GDT_TSS = 4, GDT_SLOTS = 6 };

#define SEGMENT_CODE 0xb /* execute, read, accessed */
#define SEGMENT_DATA 0x3 /* read, write, accessed */
#define SEGMENT_TSS  0xb /* busy */

static struct kvm_segment code_segment(bool long_mode)
{
	return (struct kvm_segment){
		.selector = GDT_CODE * 8, .limit = UINT32_MAX, .type = SEGMENT_CODE,
		.present = 1, .s = 1, .g = 1, .l = long_mode, .db = !long_mode,
	};
}

static struct kvm_segment data_segment(void)
{
	return (struct kvm_segment){
		.selector = GDT_DATA * 8, .limit = UINT32_MAX, .type = SEGMENT_DATA,
		.present = 1, .s = 1, .g = 1, .db = 1,
	};
}

static struct kvm_segment task_segment(void)
{
	return (struct kvm_segment){
		.selector = GDT_TSS * 8, .limit = 0x67, .type = SEGMENT_TSS, .present = 1,
	};
}

/* A segment with base 0 as its descriptor. */
static uint64_t descriptor(const struct kvm_segment *segment)
{
	uint64_t limit = segment->g ? segment->limit >> 12 : segment->limit;
	uint64_t access = segment->type | (uint64_t)segment->s << 4 |
			  (uint64_t)segment->dpl << 5 | (uint64_t)segment->present << 7;
	uint64_t flags = (uint64_t)segment->l << 1 | (uint64_t)segment->db << 2 |
			 (uint64_t)segment->g << 3;

	return (limit & 0xffff) | access << 40 | (limit >> 16) << 48 | flags << 52;
}

bool vcpu_regs_write_tables(const struct guest_memory *memory)
{
	uint64_t tables_gpa = LAYOUT_PAGE_TABLES_GPA;
	uint8_t *gdt = guest_memory_at(memory, LAYOUT_GDT_GPA, GDT_SLOTS * 8);
	uint8_t *pml4 = guest_memory_at(memory, tables_gpa, (2 + MAPPED_GIB) * TABLE_BYTES);
	struct kvm_segment code = code_segment(true), data = data_segment();
	struct kvm_segment task = task_segment();
	uint8_t *pdpt, *directories;

	if (!gdt || !pml4)
		return false;
	store_le64(gdt + GDT_CODE * 8, descriptor(&code));
	store_le64(gdt + GDT_DATA * 8, descriptor(&data));
	store_le64(gdt + GDT_TSS * 8, descriptor(&task));

	pdpt = pml4 + TABLE_BYTES;
	directories = pdpt + TABLE_BYTES;
	store_le64(pml4, (tables_gpa + TABLE_BYTES) | PAGE_PRESENT | PAGE_WRITABLE);
	for (uint64_t i = 0; i < MAPPED_GIB; i++)
		store_le64(pdpt + i * 8, (tables_gpa + (2 + i) * TABLE_BYTES) | PAGE_PRESENT |
						 PAGE_WRITABLE);
	for (uint64_t i = 0; i < MAPPED_GIB * TABLE_ENTRIES; i++)
		store_le64(directories + i * 8,
			   i * 2 * MIB | PAGE_PRESENT | PAGE_WRITABLE | PAGE_LARGE);
	return true;
}

static void set_segments(struct kvm_sregs *sregs, bool long_mode)
{
	sregs->cs = code_segment(long_mode);
	sregs->ds = data_segment();
	sregs->es = sregs->fs = sregs->gs = sregs->ss = sregs->ds;
	sregs->tr = task_segment();
	sregs->gdt.base = LAYOUT_GDT_GPA;
	sregs->gdt.limit = GDT_SLOTS * 8 - 1;
	sregs->idt.base = 0;
	sregs->idt.limit = 0;
}

int vcpu_regs_enter(struct vcpu *vcpu, const struct kernel_entry *entry)
{
	struct kvm_regs regs = { .rip = entry->gpa, .rflags = X86_EFLAGS_FIXED };
	struct kvm_sregs sregs;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs))
		return fail_host_errno("vcpu%u: KVM_GET_SREGS", vcpu->index);
	set_segments(&sregs, entry->mode == ENTRY_64BIT);
	sregs.cr0 = X86_CR0_PE | X86_CR0_ET;
	if (entry->mode == ENTRY_64BIT) {
		sregs.cr0 |= X86_CR0_PG;
		sregs.cr3 = LAYOUT_PAGE_TABLES_GPA;
		sregs.cr4 = X86_CR4_PAE;
		sregs.efer = EFER_LME | EFER_LMA;
		regs.rsi = entry->argument_gpa;
	} else {
		regs.rbx = entry->argument_gpa;
	}
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs))
		return fail_host_errno("vcpu%u: KVM_SET_SREGS", vcpu->index);
	if (ioctl(vcpu->fd, KVM_SET_REGS, &regs))
		return fail_host_errno("vcpu%u: KVM_SET_REGS", vcpu->index);
	return 0;
}
