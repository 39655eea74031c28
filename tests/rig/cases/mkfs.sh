# SPDX-License-Identifier: MIT
# A file system made, filled, checked and read again on each of two virtio disks; the host checks
# them too.
. "${RIG:?}/lib.sh"

truncate -s 256M vda.img vdb.img
guest mkfs rig=mkfs -c 2 -d vda.img,queues=1 -d vdb.img,direct,queues=2
ends mkfs 0
for disk in vda vdb; do
	for word in "made and filled" "fsck ok" "files ok"; do
		says mkfs "$disk $word" "$disk: $word"
	done
	e2fsck -f -n "$disk.img" >fsck.out 2>&1
	ok $? "$disk: the host's fsck finds nothing wrong"
	show_file fsck.out >&2
done
done_testing
