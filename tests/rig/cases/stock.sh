# SPDX-License-Identifier: MIT
# A stock guest with fio and iperf3 under ringvm and under QEMU, in turns, for tests/bench/stock, which
# has put what is needed into $STOCK. Each figure is a line for tests/bench/table.awk; a point for each
# guest that came to its end.
. "${RIG:?}/lib.sh"

stock=/tests/stock
[ "$RIG_KIND" = nested ] || stock=${STOCK:?}
PATH=$PATH:$stock
# shellcheck source=../bench/vmms.sh
. "$stock/vmms.sh"
# set_up VMM,VMM TEST:TEST [ROUNDS] [AMOUNT]: unless told otherwise, what an emulated host does in some
# minutes and another in a minute.
set_up() {
	vmms=$(echo "$1" | tr , ' ') workload=$2 rounds=${3#-} amount=${4#-}
	if [ "$RIG_KIND" = nested ]; then
		rounds=${rounds:-1} amount=${amount:-1000}
	else
		rounds=${rounds:-3} amount=${amount:-50000}
	fi
}
read -r settings <"$stock/settings"
# shellcheck disable=SC2086 # words
set_up $settings
image=$WORK/disk.raw
[ "$RIG_KIND" = host ] || image=/dev/shm/disk.raw
# Tracepoints are for the root of the whole machine, which a case on the host is not.
counters=-s
[ "$RIG_KIND" = nested ] || counters=

# The guest's kernel boots with $words, the VMM is measured.
run_ringvm() {
	measured "$RINGVM" run -k "$GUESTS/$kernel/vmlinuz" -i "$GUESTS/$kernel/initrd" -m 256 -p "$words" \
		-d "$image,cache=writeback" -d "$stock/tools.ext4,ro" -n mode=tap,tapif=tap0
}

# run_qemu MACHINE
run_qemu() {
	measured qemu-system-x86_64 -L /usr/share/seabios -L /usr/share/qemu -name bench,debug-threads=on \
		-M "$1" -accel kvm -cpu host -m 256 -display none -nodefaults -serial stdio -no-reboot \
		-kernel "$GUESTS/$kernel/vmlinuz" -initrd "$GUESTS/$kernel/initrd" -append "$words" \
		-object iothread,id=io0 \
		-drive "if=none,id=d0,format=raw,file=$image,aio=$aio" \
		-device virtio-blk-pci,drive=d0,iothread=io0,disable-legacy=on \
		-drive "if=none,id=d1,format=raw,readonly=on,file=$stock/tools.ext4" \
		-device virtio-blk-pci,drive=d1,disable-legacy=on \
		-netdev tap,id=n0,ifname=tap0,script=no,downscript=no \
		-device virtio-net-pci,netdev=n0,disable-legacy=on,romfile=
}

measured() {
	busybox timeout -s KILL 900 measure $counters "$@" </dev/null 2>"$name.err" |
		tr -d '\r' | tee /dev/fd/2 >"$name.out"
}

run_vmm() {
	aio=io_uring
	case $vmm in
	ringvm) run_ringvm ;;
	q35) run_qemu q35 ;;
	microvm) run_qemu microvm,pcie=on,rtc=on ;;
	threads) aio=threads && run_qemu q35 ;;
	*) echo "no VMM '$vmm': ringvm, q35, microvm or threads" >"$name.err" ;;
	esac
}

# One tap for all, in turns.
make_tap() {
	/bin/ip tuntap add dev tap0 mode tap # busybox's own ip cannot
	ip addr add 10.9.0.1/24 dev tap0
	ip link set tap0 up
}

make_tap
# shellcheck disable=SC2016 # expanded by the inner shell
unshare -m busybox sh -c 'mount -o rbind /dev "$0/dev" && mount -t tmpfs tmp "$0/tmp" &&
	exec chroot "$0" /bin/iperf3 -s' "$stock/tools" >iperf.log 2>&1 &
server=$!
dd if=/dev/zero of="$image" bs=1M count=128 2>/dev/null
# Whoever comes first shall not pay for all: files, programs, and a kernel that has no random numbers
# yet and makes some for a second.
head -c 1 /dev/random >/dev/null
cat "$GUESTS/$kernel/vmlinuz" "$GUESTS/$kernel/initrd" "$stock/tools.ext4" >/dev/null
"$RINGVM" --version >&2
qemu-system-x86_64 --version >&2
words="console=ttyS0 panic=-1 loglevel=4 nokaslr rdinit=/actions/mark.sh rig=bench amount=$amount tests=$workload"
for round in $(seq "$rounds"); do
	# shellcheck disable=SC2086 # words
	for vmm in $(rotate "$round" $vmms); do
		name=$vmm-$round
		begin=$(date +%s)
		run_vmm
		sed -n "s/^# result /# figure $vmm /p" "$name.out"
		grep -q '^rig: done' "$name.out"
		ok $? "$name: $(($(date +%s) - begin)) s"
		grep -q '^rig: done' "$name.out" || show_file "$name.out" "$name.err"
	done
done
kill "$server"
rm -f "$image"
done_testing
