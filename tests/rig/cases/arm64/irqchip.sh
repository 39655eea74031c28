# SPDX-License-Identifier: MIT
# Each interrupt controller that this host's KVM has: its devices' interrupts come as they should,
# and the device tree that describes it is one that dtc has nothing to say against.
. "${RIG:?}/lib.sh"

# What tells it from the others in a device tree.
tree_word() {
	case $1 in
	gicv3-its) echo arm,gic-v3-its ;;
	gicv3) echo '"arm,gic-v3"' ;;
	gicv2m) echo arm,gic-v2m-frame ;;
	gicv2) echo '"arm,cortex-a15-gic"' ;;
	esac
}

truncate -s 16M disk.img
for chip in gicv3-its:ITS gicv3:line gicv2m:MSI gicv2:line; do
	name=${chip%:*} interrupt=${chip#*:}
	[ "$interrupt" != line ] || interrupt=$line_interrupt
	: >"$name.dtb"
	chmod 644 "$name.dtb"
	guest "$name" rig=devices -c 2 -d disk.img --irqchip "$name" --dump-dtb "$name.dtb"
	# Which emulated host has what, arch.sh knows; of a real one only ringvm can say.
	case $RIG_KIND:" $host_irqchips " in
	nested:*" $name "*) ;;
	nested:* | host:*)
		if [ "$RIG_KIND" = nested ] || [ "$status" = 3 ]; then
			is "$status" 3 "$name: this host lacks it and ringvm says so"
			continue
		fi
		;;
	esac
	ends "$name" 0
	is "$(stat -c %a "$name.dtb")" 600 "$name: what was a file for all is its owner's alone"
	dtc -I dtb -O dts -o "$name.dts" "$name.dtb" 2>"$name.dtc"
	is "$?:$(cat "$name.dtc")" 0: "$name: dtc reads the tree without a warning"
	grep -q "$(tree_word "$name")" "$name.dts"
	ok $? "$name: the tree has it"
	lacks "$name" "(warning|suspicious) .*$machine_warnings.*" \
		"$name: no warning about the machine"
	says "$name" "interrupt .*$interrupt.*virtio.*" "$name: interrupts of the disk"
	# 200 reads one after the other.
	total=$(awk '/^rig: interrupt .*virtio/ { total += $4 + $5 } END { print total + 0 }' "$name.out")
	[ "$total" -ge 100 ]
	ok $? "$name: as many as there are reads ($total)"
done
done_testing
