# SPDX-License-Identifier: MIT
# For each disk: its checksum, then its first half is copied to the second half with a flush, unless
# it is read-only. At last, the interrupts that came.
for dir in /sys/block/vd*; do
	disk=${dir##*/}
	half=$(($(cat "$dir/size") / 4096)) # MiB in half of the disk
	say "$disk size $(cat "$dir/size") ro $(cat "$dir/ro") serial $(cat "$dir/serial")"
	say "$disk sum $(sum_of "/dev/$disk" "$half")"
	if [ "$(cat "$dir/ro")" = 1 ]; then
		dd if=/dev/zero of="/dev/$disk" bs=512 count=1 conv=fsync 2>/dev/null && say "$disk took a write"
	else
		dd if="/dev/$disk" of="/dev/$disk" bs=1M count="$half" seek="$half" conv=fsync 2>/dev/null &&
			say "$disk copied"
	fi
done
grep virtio /proc/interrupts | while read -r line; do
	say "interrupt $line"
done
