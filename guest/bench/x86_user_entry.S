// SPDX-License-Identifier: MIT
/*
 * Down to ring 3 by iretq, and up again by an undefined instruction: of all ways up it is the one
 * that no KVM emulates wrongly. Where the instruction stands says what is wanted.
 */
#include "bench/x86_user.h"

	.text
/* user_enter(function, stack end, flags): returns when the function has. */
	.globl	user_enter
user_enter:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, ring0_stack
	pushq	$SELECTOR_USER_DATA
	pushq	%rsi
	pushq	%rdx
	pushq	$SELECTOR_USER_CODE
	pushq	$user_begin
	iretq

user_begin:
	xorl	%ebp, %ebp
	call	*%rdi
user_end:
	ud2

	.globl	user_halt
user_halt:
	ud2
	ret

/* The gate of #UD. %rip, %cs, %rflags, %rsp and %ss are on the stack. */
	.globl	user_undefined
user_undefined:
	cmpq	$user_halt, (%rsp)
	je	halt
	cmpq	$user_end, (%rsp)
	jne	not_ours
	movq	ring0_stack, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret
halt:
	addq	$2, (%rsp)			/* behind the ud2 */
	sti
	hlt
	cli
	iretq
not_ours:
	jmp	interrupt_stubs + 16 * VECTOR_UNDEFINED

	.bss
	.balign	8
ring0_stack:
	.skip	8

	.section .note.GNU-stack, "", @progbits
