// SPDX-License-Identifier: MIT
/*
 * A guest packed as a Linux bzImage (boot protocol 2.12), for VMMs that take no ELF file. Entered in
 * real mode at the second sector, with the memory map asked of the BIOS; or where the payload was
 * loaded, in 32-bit mode, or 512 bytes on in long mode, with a boot_params of the loader's.
 * GUEST_BINARY is the guest's memory from GUEST_GPA on. Linked at 0, each part runs elsewhere: code
 * refers to what is its own only relative to %ip, or to where it is known to be.
 */
#define SECTOR		512
#define SETUP_SECTORS	10		/* behind the first */
#define PAYLOAD		((1 + SETUP_SECTORS) * SECTOR)
#define PAYLOAD_GPA	0x100000
#define GUEST_GPA	0x200000
#define GUEST_ROOM	0x1000000	/* for its zeroed memory too */

/* In boot_params, which is this file's first 4 KiB where it was loaded in real mode. */
#define E820_COUNT	0x1e8
#define E820_TABLE	0x2d0
#define E820_BYTES	20
#define E820_MAX	128
#define SMAP		0x534d4150

#define CR0_PE		0x1
#define CODE32		0x08
#define DATA		0x10

	.text
	.code16
	.org	0x1f1
	.byte	SETUP_SECTORS
	.word	0			/* root_flags */
	.long	(image_end - payload) / 16
	.word	0, 0, 0			/* ram_size, vid_mode, root_dev */
	.word	0xaa55
	.byte	0xeb, header_end - 1f
1:	.ascii	"HdrS"
	.word	0x020c
	.long	0			/* realmode_swtch */
	.word	0, 0			/* start_sys_seg, kernel_version */
	.byte	0, 1			/* type_of_loader, loadflags: LOADED_HIGH */
	.word	0			/* setup_move_size */
	.long	PAYLOAD_GPA
	.long	0, 0			/* ramdisk */
	.long	0			/* bootsect_kludge */
	.word	0			/* heap_end_ptr */
	.byte	0, 0			/* ext_loader */
	.long	0			/* cmd_line_ptr */
	.long	0x7fffffff		/* initrd_addr_max */
	.long	0x200000		/* kernel_alignment */
	.byte	0, 21			/* not relocatable; min_alignment */
	.word	1			/* xloadflags: XLF_KERNEL_64 */
	.long	1023			/* cmdline_size */
	.long	0			/* hardware_subarch */
	.quad	0			/* and its data */
	.long	0, 0			/* payload_offset, payload_length */
	.quad	0			/* setup_data */
	.quad	PAYLOAD_GPA		/* pref_address */
	.long	GUEST_ROOM		/* init_size */
	.long	0			/* handover_offset */
header_end:
	/* %ds is where the file is; %cs may be that or 0x20 more. */
	pushw	%ds
	pushw	$real_mode
	lretw

	.org	E820_TABLE + E820_MAX * E820_BYTES
real_mode:
	cld
	movw	%ds, %ax
	movw	%ax, %es
	movw	$E820_TABLE, %di
	xorl	%ebx, %ebx
	movb	$0, E820_COUNT
next_range:
	movl	$0xe820, %eax
	movl	$SMAP, %edx
	movl	$E820_BYTES, %ecx
	int	$0x15
	jc	ranges_end
	cmpl	$SMAP, %eax
	jne	ranges_end
	incb	E820_COUNT
	addw	$E820_BYTES, %di
	testl	%ebx, %ebx
	jz	ranges_end
	cmpb	$E820_MAX - 1, E820_COUNT
	jb	next_range
ranges_end:
	cli
	xorl	%esi, %esi
	movw	%ds, %si
	shll	$4, %esi		/* boot_params */
	leal	gdt(%esi), %eax
	movl	%eax, gdt_pointer + 2
	lgdtl	gdt_pointer
	movl	%cr0, %eax
	orl	$CR0_PE, %eax
	movl	%eax, %cr0
	ljmpl	$CODE32, $PAYLOAD_GPA

	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff	/* CODE32 */
	.quad	0x00cf93000000ffff	/* DATA */
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.long	0

	.org	PAYLOAD
payload:
	.code32
	movl	%esi, %ebx
	movl	%cs, %eax
	cmpl	$CODE32, %eax		/* else from a loader, which has loaded data segments */
	jne	1f
	movl	$DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
1:	cld
	movl	$(PAYLOAD_GPA + guest - payload), %esi
	movl	$GUEST_GPA, %edi
	movl	$((guest_end - guest) / 4), %ecx
	rep movsl
	movl	%ebx, %esi
	movl	$linux32_entry, %eax
	jmp	*%eax

	.org	PAYLOAD + SECTOR
	.code64
	cld
	movq	%rsi, %rbx
	movl	$(PAYLOAD_GPA + guest - payload), %esi
	movl	$GUEST_GPA, %edi
	movl	$((guest_end - guest) / 4), %ecx
	rep movsl
	movq	%rbx, %rsi
	movl	$linux_entry, %eax
	jmp	*%rax

	.balign	16
guest:
	.incbin	GUEST_BINARY
	.balign	16
guest_end:
image_end:
