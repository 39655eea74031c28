// SPDX-License-Identifier: MIT
/*
 * Where a guest begins on x86-64. One image, three ways in: 32-bit by the PVH note (%ebx: start
 * info), and as a Linux kernel (%rsi: boot_params) 64-bit by e_entry or 32-bit. All go on in
 * guest_main() with interrupts off, page tables of our own (4 GiB, identity) and a stack. Here too
 * are the interrupt stubs and the start of the application processors. No memory is assumed but the
 * image itself.
 */
#include "x86.h"

#define EFER     0xc0000080
#define EFER_LME 0x100
#define CR0_PE   0x1
#define CR0_PG   0x80000000
#define CR4_PAE  0x20

	.section .note.pvh, "a", @note
	.balign	4
	.long	4, 8, 18			/* name and value sizes, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.quad	pvh_entry

	.text
	.code32
	.globl	pvh_entry
pvh_entry:
	cli
	cld
	movl	%ebx, %edi
	movl	$BOOT_PVH, %esi
	movl	$boot_stack_end, %esp
	call	enter_long_mode
	ljmpl	$SELECTOR_CODE, $bsp_start

	.globl	linux32_entry
linux32_entry:
	cli
	cld
	movl	%esi, %edi
	movl	$BOOT_LINUX32, %esi
	movl	$boot_stack_end, %esp
	call	enter_long_mode
	ljmpl	$SELECTOR_CODE, $bsp_start

/* Uses %eax, %ecx, %edx; the caller's far jump loads the 64-bit code segment. */
enter_long_mode:
	lgdtl	gdt_pointer
	movl	$page_table_4, %eax
	movl	%eax, %cr3
	movl	%cr4, %eax
	orl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$EFER, %ecx
	rdmsr
	orl	$EFER_LME, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$(CR0_PG | CR0_PE), %eax
	movl	%eax, %cr0
	ret

	.code64
	.globl	linux_entry
linux_entry:
	cli
	cld
	movq	%rsi, %rdi
	movl	$BOOT_LINUX, %esi
	movq	$page_table_4, %rax
	movq	%rax, %cr3
	lgdt	gdt_pointer
	movq	$boot_stack_end, %rsp
	pushq	$SELECTOR_CODE
	pushq	$bsp_start
	lretq

bsp_start:
	movq	$boot_stack_end, %rsp
	movl	$SELECTOR_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%ebp, %ebp
	call	x86_boot
1:	hlt
	jmp	1b

/*
 * Copied to X86_AP_START below 1 MiB: INIT/SIPI starts here in real mode with %cs:%ip =
 * X86_AP_START >> 4 : 0, so data is reached by its offset from the copy.
 */
	.code16
	.globl	ap_trampoline, ap_trampoline_end
ap_trampoline:
	cli
	lgdtl	%cs:(ap_gdt_pointer - ap_trampoline)
	movl	%cr0, %eax
	orl	$CR0_PE, %eax
	movl	%eax, %cr0
	ljmpl	$SELECTOR_CODE32, $ap_protected
	.balign	8
ap_gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	gdt
ap_trampoline_end:

	.code32
ap_protected:
	movl	$SELECTOR_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	/* Take a number, and with it a stack. */
	movl	$1, %ebx
	lock xaddl %ebx, x86_ap_started
	movl	%ebx, %ecx
	incl	%ecx
	imull	$X86_AP_STACK, %ecx
	leal	ap_stacks(%ecx), %esp
	call	enter_long_mode
	ljmpl	$SELECTOR_CODE, $ap_long_mode

	.code64
ap_long_mode:
	movl	%esp, %esp			/* bits 32 to 63 are undefined after the switch */
	movl	%ebx, %edi
	incl	%edi
	xorl	%ebp, %ebp
	call	x86_ap_main
1:	cli
	hlt
	jmp	1b

/* Every stub leaves the same frame: an error code (0 where the CPU gives none), then the vector. */
	.globl	interrupt_stubs
	.balign	16
interrupt_stubs:
	.set	vector, 0
	.rept	256
	.balign	16
	.if	!(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
	pushq	$0
	.endif
	pushq	$vector
	jmp	interrupt_common
	.set	vector, vector + 1
	.endr

interrupt_common:
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	movq	%rsp, %rdi
	pushq	%rbp
	movq	%rsp, %rbp
	andq	$-16, %rsp
	call	x86_interrupt
	movq	%rbp, %rsp
	popq	%rbp
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$16, %rsp
	iretq

	.section .rodata
	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff		/* SELECTOR_CODE32 */
	.quad	0x00af9b000000ffff		/* SELECTOR_CODE */
	.quad	0x00cf93000000ffff		/* SELECTOR_DATA */
gdt_end:
	.globl	gdt_pointer
gdt_pointer:
	.word	gdt_end - gdt - 1
	.quad	gdt

/* 4 GiB in 2 MiB pages; x86_map() adds what lies above. */
	.data
	.balign	4096
	.globl	page_table_4
page_table_4:
	.quad	page_table_3 + 3
	.fill	511, 8, 0
page_table_3:
	.quad	page_table_2 + 3, page_table_2 + 0x1003, page_table_2 + 0x2003, page_table_2 + 0x3003
	.fill	508, 8, 0
page_table_2:
	.set	page, 0
	.rept	2048
	.quad	(page << 21) + 0x83
	.set	page, page + 1
	.endr

	.bss
	.balign	4096
	.skip	65536
boot_stack_end:
	.balign	16
	.globl	ap_stacks
ap_stacks:
	.skip	X86_AP_STACK * X86_CPU_MAX

	.section .note.GNU-stack, "", @progbits
