# SPDX-License-Identifier: MIT
# What is on the bus, a word to each console and port, the interrupts that came, and warnings.
dd if=/dev/vda of=/dev/null bs=4k count=200 iflag=direct 2>/dev/null
for device in /sys/bus/virtio/devices/*; do
	driver=$(readlink "$device/driver")
	say "device ${device##*/} ${driver##*/}"
done
for port in /sys/class/virtio-ports/*; do
	name=$(cat "$port/name")
	say "port $name"
	# One that is a console cannot be opened by this name.
	(echo "hello from $name" >"/dev/${port##*/}") 2>/dev/null
done
for console in /dev/hvc?; do
	(echo "hello from ${console##*/}" >"$console") 2>/dev/null
done
grep virtio /proc/interrupts | while read -r line; do
	say "interrupt $line"
done
say_warnings
