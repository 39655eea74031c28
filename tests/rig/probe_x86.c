// SPDX-License-Identifier: MIT
/*
 * Can this host's KVM run a stock kernel? Tried, not asked: a guest of a few instructions runs at
 * CPL0 in long mode what a kernel runs and what a KVM that only emulates ring 0 cannot: int3,
 * popcnt, cmpxchg16b. CPUID says nothing of it. Exit status: 0 it can, 1 it cannot, 2 there is no
 * usable /dev/kvm; one line on stdout says why.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define MEMORY_BYTES  0x200000
#define CPUID_ENTRIES 256

/* Where things lie in guest memory. */
#define PML4_GPA  0x1000
#define PDPT_GPA  0x2000
#define PD_GPA	  0x3000
#define IDT_GPA	  0x4000
#define CODE_GPA  0x5000
#define INT3_GPA  0x5800
#define DATA_GPA  0x6000
#define COUNT_GPA 0x6040
#define GDT_GPA	  0x7000
#define STACK_GPA 0x9000

#define CODE_SELECTOR	8
#define DATA_SELECTOR	16
#define CODE_DESCRIPTOR 0x00af9b000000ffff
#define DATA_DESCRIPTOR 0x00cf93000000ffff

#define PTE_PRESENT_WRITABLE 3
#define PTE_LARGE	     0x80
#define CR0_PE_PG	     0x80000001
#define CR4_PAE		     0x20
#define EFER_LME_LMA	     0x500
#define INTERRUPT_GATE	     0x8e00
#define BREAKPOINT_VECTOR    3

/* int3; popcnt %rbx,%rax; lock cmpxchg16b (%rsi); out %al,$0x10; hlt */
static const uint8_t code[] = { 0xcc, 0xf3, 0x48, 0x0f, 0xb8, 0xc3, 0xf0,
				0x48, 0x0f, 0xc7, 0x0e, 0xe6, 0x10, 0xf4 };
/* incq (%rdi); iretq */
static const uint8_t int3_handler[] = { 0x48, 0xff, 0x07, 0x48, 0xcf };

static int verdict(int status, const char *what)
{
	printf("%s\n", what);
	return status;
}

static void fill_memory(uint8_t *memory)
{
	uint64_t gate[2] = {
		(INT3_GPA & 0xffff) | CODE_SELECTOR << 16 | (uint64_t)INTERRUPT_GATE << 32, 0
	};

	*(uint64_t *)(memory + PML4_GPA) = PDPT_GPA | PTE_PRESENT_WRITABLE;
	*(uint64_t *)(memory + PDPT_GPA) = PD_GPA | PTE_PRESENT_WRITABLE;
	*(uint64_t *)(memory + PD_GPA) = PTE_LARGE | PTE_PRESENT_WRITABLE;
	memcpy(memory + IDT_GPA + BREAKPOINT_VECTOR * sizeof(gate), gate, sizeof(gate));
	*(uint64_t *)(memory + GDT_GPA + CODE_SELECTOR) = CODE_DESCRIPTOR;
	*(uint64_t *)(memory + GDT_GPA + DATA_SELECTOR) = DATA_DESCRIPTOR;
	memory[DATA_GPA] = 8; /* what cmpxchg16b finds in rax, so that it stores rbx */
	memcpy(memory + CODE_GPA, code, sizeof(code));
	memcpy(memory + INT3_GPA, int3_handler, sizeof(int3_handler));
}

static int set_registers(int vcpu_fd)
{
	struct kvm_regs regs = {
		.rip = CODE_GPA,
		.rsp = STACK_GPA,
		.rflags = 2,
		.rbx = 0xff,
		.rsi = DATA_GPA,
		.rdi = COUNT_GPA,
	};
	struct kvm_segment segment = { .limit = 0xffffffff, .present = 1, .s = 1, .g = 1 };
	struct kvm_sregs sregs;

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs))
		return -1;
	segment.selector = DATA_SELECTOR;
	segment.type = 3;
	segment.db = 1;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = segment;
	segment.selector = CODE_SELECTOR;
	segment.type = 11;
	segment.db = 0;
	segment.l = 1;
	sregs.cs = segment;
	sregs.gdt = (struct kvm_dtable){ .base = GDT_GPA, .limit = DATA_SELECTOR + 7 };
	sregs.idt = (struct kvm_dtable){ .base = IDT_GPA, .limit = 0xfff };
	sregs.cr0 |= CR0_PE_PG;
	sregs.cr3 = PML4_GPA;
	sregs.cr4 |= CR4_PAE;
	sregs.efer |= EFER_LME_LMA;
	return ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) || ioctl(vcpu_fd, KVM_SET_REGS, &regs) ? -1
											    : 0;
}

/* A vCPU without the host's CPUID may refuse long mode. */
static int set_cpuid(int kvm_fd, int vcpu_fd)
{
	struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) + CPUID_ENTRIES * sizeof(cpuid->entries[0]));
	int error = -1;

	if (!cpuid)
		return -1;
	cpuid->nent = CPUID_ENTRIES;
	if (!ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid))
		error = ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid);
	free(cpuid);
	return error;
}

static int run(int vcpu_fd, const struct kvm_run *run, const uint8_t *memory)
{
	struct kvm_regs regs;
	static char why[96];

	while (ioctl(vcpu_fd, KVM_RUN, 0) < 0)
		if (errno != EINTR)
			return verdict(1, "no: KVM_RUN failed");
	ioctl(vcpu_fd, KVM_GET_REGS, &regs);
	if (run->exit_reason == KVM_EXIT_IO && regs.rax == 8 && memory[DATA_GPA] == 0xff &&
	    memory[COUNT_GPA] == 1)
		return verdict(0, "yes: /dev/kvm runs a kernel's instructions");
	snprintf(why, sizeof(why),
		 "no: this KVM cannot run a kernel's instructions (exit reason %u)",
		 run->exit_reason);
	return verdict(1, why);
}

int main(void)
{
	struct kvm_userspace_memory_region slot = { .memory_size = MEMORY_BYTES };
	int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm_fd, vcpu_fd, run_bytes;
	struct kvm_run *shared;
	uint8_t *memory;

	if (kvm_fd < 0)
		return verdict(2, "no: /dev/kvm cannot be opened");
	if (ioctl(kvm_fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return verdict(2, "no: /dev/kvm is not KVM");
	run_bytes = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	if (run_bytes < 0 || vm_fd < 0 || memory == MAP_FAILED)
		return verdict(2, "no: KVM makes no virtual machine");
	fill_memory(memory);
	slot.userspace_addr = (uintptr_t)memory;
	if (ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &slot))
		return verdict(2, "no: KVM takes no memory");
	vcpu_fd = ioctl(vm_fd, KVM_CREATE_VCPU, 0);
	if (vcpu_fd < 0 || set_cpuid(kvm_fd, vcpu_fd) || set_registers(vcpu_fd))
		return verdict(2, "no: KVM makes no vCPU");
	shared = mmap(NULL, (size_t)run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, 0);
	if (shared == MAP_FAILED)
		return verdict(2, "no: KVM shares no vCPU state");
	return run(vcpu_fd, shared, memory);
}
