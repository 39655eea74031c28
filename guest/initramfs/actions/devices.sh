# SPDX-License-Identifier: MIT
# What is on the bus, the interrupts that came, and a word to each console port.
dd if=/dev/vda of=/dev/null bs=4k count=200 iflag=direct 2>/dev/null
for device in /sys/bus/virtio/devices/*; do
	say "device ${device##*/} $(cat "$device/device") $(basename "$(readlink "$device/driver")")"
done
for port in /sys/class/virtio-ports/*; do
	[ -s "$port/name" ] || continue
	name=$(cat "$port/name")
	say "port $name"
	echo "hello from $name" >"/dev/${port##*/}"
done
grep virtio /proc/interrupts | while read -r line; do
	say "interrupt $line"
done
