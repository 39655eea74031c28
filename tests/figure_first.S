// SPDX-License-Identifier: MIT
/*
 * For tests/figures and tests/bench/bench: a guest whose first instructions write a byte to the
 * serial port, and which then halts for ever.
 *
 *	(plain)		an ELF file, for a PVH entry or a 64-bit one: the bytes mean the same in both
 *	FIRST_rom	64 KiB of firmware, whose last 16 bytes a processor runs first
 *	FIRST_bzimage	a bzImage to be entered in real mode
 */
#define SERIAL		0x3f8
#define SECTOR		512

	.globl	_start
	.text
#if defined(FIRST_rom)
	.code16
	.org	0xfff0
_start:
#elif defined(FIRST_bzimage)
	.code16
_start:
	.org	0x1f1
	.byte	1			/* setup_sects: one behind the first */
	.org	0x1fe
	.word	0xaa55
	.byte	0xeb, first - 1f
1:	.ascii	"HdrS"
	.word	0x020c
	.org	0x211
	.byte	1			/* loadflags: LOADED_HIGH */
	.org	0x238
	.long	255			/* cmdline_size */
	.org	0x270
first:
#else
_start:
#endif
	movw	$SERIAL, %dx
	movb	$'!', %al
	outb	%al, %dx
	cli
1:	hlt
	jmp	1b
#if defined(FIRST_rom)
	.org	0x10000, 0
#elif defined(FIRST_bzimage)
	.org	16 * SECTOR		/* kvmtool reads a whole boot_params first */
#else
	.section .note.pvh, "a", @note
	.long	4, 8, 18		/* name and content in bytes, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.quad	_start
#endif
	.section .note.GNU-stack, "", @progbits
