# SPDX-License-Identifier: MIT
# 64 MiB read from and written to each kind of disk, checksums taken on both sides.
. "${RIG:?}/lib.sh"

dd if=/dev/urandom of=random bs=1M count=64 2>/dev/null
sum=$(sum <random)
for disk in buffered direct unsafe readonly; do
	cp random "$disk.img"
	truncate -s 128M "$disk.img"
done

guest disks rig=disks -d buffered.img,serial=disk-0 -d direct.img,direct \
	-d unsafe.img,cache=unsafe -d readonly.img,ro
ends disks 0
says disks "vda size 262144 ro 0 serial disk-0" "serial number and size"
letters='a:buffered b:direct c:unsafe'
for pair in $letters; do
	disk=vd${pair%:*} kind=${pair#*:}
	is "$(word disks "$disk sum")" "$sum" "$kind: guest reads 64 MiB"
	says disks "$disk copied" "$kind: guest writes 64 MiB and flushes"
	is "$(part_sum "$kind.img" 64 64)" "$sum" "$kind: the image has what the guest wrote"
	is "$(stat -c %s "$kind.img")" 134217728 "$kind: the image keeps its size"
done
says disks "vdd size 262144 ro 1 serial.*" "read-only: the guest knows"
is "$(word disks "vdd sum")" "$sum" "read-only: guest reads 64 MiB"
lacks disks "vdd took a write" "read-only: no write goes through"
is "$(part_sum readonly.img 0 64)" "$sum" "read-only: the image is as it was"
done_testing
