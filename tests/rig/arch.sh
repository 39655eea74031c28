# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# shellcheck disable=SC2034 # read by who sources this
#
# What the rig knows of an architecture, all in one place: RINGVM_RIG_ARCH, x86 or arm64, by default
# that of this machine. Scripts of the build machine and the cases, in L1 or on a host, source it.

native_arch() {
	case $(uname -m) in
	x86_64) echo x86 ;;
	aarch64) echo arm64 ;;
	*) echo "arch.sh: ringvm knows no $(uname -m)" >&2; exit 1 ;;
	esac
}

export RINGVM_RIG_ARCH="${RINGVM_RIG_ARCH:-$(native_arch)}"

# debian_arch       Debian's word for it
# l1_console        the console of the emulated machine
# l1_modules        what L1 inserts beside virtio, ext4, tun and loop
# l1_programs       what its cases call beside what those of every architecture do
# guest_modules     what a guest inserts beside virtio and ext4: power key, clock, pvpanic (?: where
#                   the kernel has it: of Debian's arm64 kernels only the generic one has gpio_keys)
# clock             the clock source that a guest ought to choose
# line_interrupt    /proc/interrupts of a line, which is no message
# line_kernels      the kernels to try them with
# panic_status      how ringvm ends when a stock kernel panics; Debian has no pvpanic for arm64, so
#                   there it is the reset
# crash_words       kernel parameters with which a reset is a crash (a triple fault): none of arm64
# emulated_paste_bytes  what is pasted where all is emulated: each byte is a few exits, which take a
#                   millisecond each there on arm64
# button_kernel     one that listens to the power button
# host_irqchips     arm64: what KVM has in the emulated host
# machine_warnings  what a kernel's warning about the machine names
case $RINGVM_RIG_ARCH in
x86)
	debian_arch=amd64
	l1_console=ttyS0
	l1_modules='kvm-amd'
	l1_programs=
	guest_modules='button pvpanic-mmio'
	clock=kvm-clock
	line_interrupt='(IO-APIC|fasteoi)'
	line_kernels='cloud-6.1 newest'
	panic_status=6
	crash_words='reboot=t'
	emulated_paste_bytes=131072
	button_kernel=cloud-6.1
	machine_warnings='(ACPI|PCI|pci|i8042|PIT|CMOS|RTC|rtc|timer|TSC|APIC)'
	;;
arm64)
	debian_arch=arm64
	l1_console=ttyAMA0
	l1_modules=
	l1_programs='dtc mkfs.ext4'
	guest_modules='gpio_pl061 gpio_keys? rtc_pl031'
	clock=arch_sys_counter
	line_interrupt='(GICv[23]|GIC-0) .*Level'
	line_kernels=cloud-6.1
	panic_status=5
	crash_words=
	emulated_paste_bytes=16384
	button_kernel=generic-6.1
	host_irqchips='gicv3-its gicv3'
	[ "${RINGVM_RIG_HOST:-new}" = new ] || host_irqchips='gicv2m gicv2'
	machine_warnings='(OF:|PCI|pci|GIC|ITS|its|PSCI|psci|RTC|rtc|timer|gpio|device tree)'
	;;
*)
	echo "arch.sh: RINGVM_RIG_ARCH is x86 or arm64, not '$RINGVM_RIG_ARCH'" >&2
	exit 1
	;;
esac

# arm64_processor CASE: the newest there is for what looks at the processor, and threads of their own
# for what races. What stock guests do with their devices is seen as well on one with VHE and no more,
# at less than half the price: a thread that waits for a lock takes no time from the one that has it.
arm64_processor() {
	newest='-cpu max,pauth-impdef=on' # the architected algorithm alone makes it three times slower
	case $1 in
	boot | arm64/features) echo "$newest -accel tcg,thread=single" ;;
	unit | sanitized | host | figures | command | probe | arm64/hostile | arm64/stress)
		echo "$newest -accel tcg,thread=multi"
		;;
	guest) echo "-cpu neoverse-n1 -accel tcg,thread=multi" ;;
	*) echo "-cpu neoverse-n1 -accel tcg,thread=single" ;;
	esac
}

# With RINGVM_RIG_ICOUNT, x86 only, L1 has one processor and its clock is the count of instructions, one
# a nanosecond, so that times repeat and do not depend on who else uses this host. Twice as slow.
icount='-icount shift=0,sleep=off -rtc base=2026-01-01,clock=vm -seed 1'

# arm64_machine CASE: tags of memory make all of it slower, so only who looks at them has them.
arm64_machine() {
	machine=virt,virtualization=on,gic-version=3,its=on
	[ "$1" != arm64/features ] || machine=$machine,mte=on
	echo "$machine"
}

# emulator BUILD CASE: QEMU and the machine that has a stock kernel's KVM in it, as words.
emulator() {
	case $RINGVM_RIG_ARCH:${RINGVM_RIG_HOST:-new} in
	# A copy of QEMU looks for its files beside itself. Its SVM does not intercept XSETBV, so that
	# a guest finds CPUID at odds with XCR0 (Linux 7 crashes of it): L1 goes without XSAVE and AVX.
	# VMRUN and each exit change the processor's pending interrupts without the lock that other
	# processors' threads take for it: with a thread for each, L1 loses interrupts and hangs, or its
	# guest ends in a triple fault, once in some tens of boots. One thread for both is no slower.
	x86:new)
		echo "env QEMU_MODULE_DIR=/usr/lib/x86_64-linux-gnu/qemu $1/qemu" \
			"-L /usr/share/seabios -L /usr/share/qemu" \
			"-cpu max,+svm,-la57,-xsave,-avx,-avx2,-f16c,-fma${RINGVM_RIG_ICOUNT:+,-rdrand,-rdseed}" \
			"-accel tcg,thread=single ${RINGVM_RIG_ICOUNT:+$icount}"
		;;
	arm64:new)
		echo "qemu-system-aarch64 -M $(arm64_machine "$2") $(arm64_processor "$2")"
		;;
	# No VHE, and an interrupt controller without messages of its own.
	arm64:old)
		echo "qemu-system-aarch64 -M virt,virtualization=on,gic-version=2 -cpu cortex-a57" \
			"-accel tcg,thread=multi"
		;;
	*)
		echo "arch.sh: no emulated host '$RINGVM_RIG_HOST' for $RINGVM_RIG_ARCH" >&2
		return 1
		;;
	esac
}
