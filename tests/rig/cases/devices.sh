# SPDX-License-Identifier: MIT
# Disks, more than there are slots, two networks, two console ports and an rng at once; the interrupts
# that MSI-X brings.
. "${RIG:?}/lib.sh"

truncate -s 16M one.img two.img
many=
for _ in $(seq 29); do many="$many -d two.img,ro"; done
# shellcheck disable=SC2086 # options without spaces
guest devices "rig=devices" -c 2 -d one.img,queues=2 $many \
	-n mode=tap,tapif=rigtap0 -n mode=tap,tapif=rigtap1 \
	--console-port name=first,path=first.port --console-port name=second,path=second.port \
	--console-port name=data,path=data.port,type=data
ends devices 0
for driver in blk:30 net:2 rng:1; do
	found=$(tr -d '\r' <devices.out | grep -c "^rig: device .* virtio_${driver%:*}\$")
	is "$found" "${driver#*:}" "${driver#*:} x virtio_${driver%:*}"
done
says devices "device .* virtio_console" "virtio_console is there"
for port in first:hvc0 second:hvc1 data:data; do
	says devices "port ${port%:*}" "the guest sees the port ${port%:*}"
	grep -q "^hello from ${port#*:}" "${port%:*}.port"
	ok $? "what it writes to ${port#*:} comes out there"
done

# vda's two queues have a vector each, and 200 reads make about 200 interrupts on them.
says devices "interrupt .*MSI.*virtio[0-9]+-req\.1" "a vector for each queue"
total=$(awk '/^rig: interrupt .*MSI.*-req\./ { total += $4 + $5 } END { print total + 0 }' devices.out)
[ "$total" -ge 100 ] && [ "$total" -le 1000 ]
ok $? "200 reads one after the other make about as many interrupts ($total)"
lacks devices "interrupt .*$line_interrupt.*virtio.*" "no device fell back to INTx"
done_testing
