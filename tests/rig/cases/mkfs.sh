# SPDX-License-Identifier: MIT
# A file system made, filled, checked and read again on a virtio disk; the host checks it too.
. "${RIG:?}/lib.sh"

for options in queues=1 direct,queues=2; do
	rm -f fs.img
	truncate -s 256M fs.img
	guest "$options" rig=mkfs -c 2 -d "fs.img,$options"
	ends "$options" 0
	for word in "made and filled" "fsck ok" "files ok"; do
		says "$options" "$word" "$options: $word"
	done
	e2fsck -f -n fs.img >fsck.out 2>&1
	ok $? "$options: the host's fsck finds nothing wrong"
	show_file fsck.out >&2
done
done_testing
