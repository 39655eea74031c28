# SPDX-License-Identifier: MIT
# Each interrupt controller that this host's KVM has: its devices' interrupts come as they should.
. "${RIG:?}/lib.sh"

truncate -s 16M disk.img
for chip in gicv3-its:ITS gicv3:line gicv2m:GICv2m gicv2:line; do
	name=${chip%:*} interrupt=${chip#*:}
	[ "$interrupt" != line ] || interrupt=$line_interrupt
	guest "$name" rig=devices -c 2 -d disk.img --irqchip "$name"
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
	says "$name" "interrupt .*$interrupt.*virtio.*" "$name: interrupts of the disk"
	# 200 reads one after the other.
	total=$(awk '/^rig: interrupt .*virtio/ { total += $4 + $5 } END { print total + 0 }' "$name.out")
	[ "$total" -ge 100 ]
	ok $? "$name: as many as there are reads ($total)"
done
done_testing
