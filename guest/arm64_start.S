// SPDX-License-Identifier: MIT
/*
 * Where a guest begins on arm64: as a Linux Image (Documentation/arch/arm64/booting), in EL1 with
 * the MMU off and x0 the device tree. Makes itself at home where it was loaded, then goes on in C.
 * Here too are the exception vectors and the start of the other processors.
 */
#include "arm64.h"

#define IMAGE_FLAGS 0xa		/* little endian, 4 KiB pages, anywhere in RAM */
#define R_AARCH64_RELATIVE 1027
#define FRAME_BYTES (22 * 8)
#define DAIF_IRQ 2

	.section .head, "ax"
	.globl	image_start
image_start:
	b	start
	nop
	.quad	0			/* text offset */
	.quad	image_end - image_start
	.quad	IMAGE_FLAGS
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0

	.text
start:
	msr	daifset, #15
	mov	x20, x0
	adrp	x0, boot_stack_end
	add	x0, x0, :lo12:boot_stack_end
	mov	sp, x0
	adrp	x0, image_file_end
	add	x0, x0, :lo12:image_file_end
	adrp	x1, image_end
	add	x1, x1, :lo12:image_end
1:	stp	xzr, xzr, [x0], #16
	cmp	x0, x1
	b.lo	1b
	/* Entries are offset, type, addend; all addresses are relative to the image. */
	adrp	x2, image_start
	add	x2, x2, :lo12:image_start
	adrp	x0, rela_start
	add	x0, x0, :lo12:rela_start
	adrp	x1, rela_end
	add	x1, x1, :lo12:rela_end
2:	cmp	x0, x1
	b.hs	4f
	ldp	x3, x4, [x0], #16
	ldr	x5, [x0], #8
	cmp	w4, #R_AARCH64_RELATIVE
	b.ne	2b
	add	x5, x5, x2
	str	x5, [x3, x2]
	b	2b
	/* What was written past the caches must not be hidden by old lines in them. */
4:	dsb	sy
	mov	x0, x2
	adrp	x1, image_end
	add	x1, x1, :lo12:image_end
5:	dc	ivac, x0
	add	x0, x0, #16
	cmp	x0, x1
	b.lo	5b
	dsb	sy
	bl	set_vectors
	mov	x0, x20
	mov	x29, xzr
	bl	arm64_boot
6:	wfi
	b	6b

set_vectors:
	adrp	x0, vectors
	add	x0, x0, :lo12:vectors
	msr	vbar_el1, x0
	isb
	ret

/* x0 is the number that CPU_ON was given. */
	.globl	arm64_ap_entry
arm64_ap_entry:
	msr	daifset, #15
	mov	x20, x0
	adrp	x1, ap_stacks
	add	x1, x1, :lo12:ap_stacks
	add	x2, x0, #1
	mov	x3, #ARM64_CPU_STACK
	madd	x1, x2, x3, x1
	mov	sp, x1
	bl	set_vectors
	mov	x29, xzr
	mov	x0, x20
	bl	arm64_ap_main
1:	wfi
	b	1b

	.macro	vector kind
	.balign	128
	sub	sp, sp, #FRAME_BYTES
	stp	x0, x1, [sp]
	mov	x1, #\kind
	b	exception_common
	.endm

	.balign	2048
vectors:
	.set	number, 0
	.rept	16
	vector	number
	.set	number, number + 1
	.endr

exception_common:
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x30, [sp, #144]
	mrs	x2, elr_el1
	mrs	x3, spsr_el1
	stp	x2, x3, [sp, #160]
	mov	x0, sp
	bl	arm64_exception
	ldp	x2, x3, [sp, #160]
	msr	elr_el1, x2
	msr	spsr_el1, x3
	ldp	x18, x30, [sp, #144]
	ldp	x16, x17, [sp, #128]
	ldp	x14, x15, [sp, #112]
	ldp	x12, x13, [sp, #96]
	ldp	x10, x11, [sp, #80]
	ldp	x8, x9, [sp, #64]
	ldp	x6, x7, [sp, #48]
	ldp	x4, x5, [sp, #32]
	ldp	x2, x3, [sp, #16]
	ldp	x0, x1, [sp]
	add	sp, sp, #FRAME_BYTES
	eret

	.bss
	.balign	4096
	.skip	65536
boot_stack_end:
ap_stacks:
	.skip	ARM64_CPU_STACK * ARM64_CPU_MAX

	.section .note.GNU-stack, "", @progbits
