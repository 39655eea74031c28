# SPDX-License-Identifier: MIT
# Makes a file system on each disk, fills it, checks it, reads it again. The programs are those of
# e2fsprogs: by its bare name busybox would take its own mke2fs.
fill() {
	dd if=/dev/urandom of=/mnt/random bs=1M count=16 2>/dev/null
	cp -r /bin /lib /modules /mnt/
	sum=$(md5sum </mnt/random)
}

for dir in /sys/block/vd*; do
	disk=${dir##*/}
	if /bin/mke2fs -q -F -t ext4 "/dev/$disk" && mount -t ext4 "/dev/$disk" /mnt; then
		fill
		umount /mnt && say "$disk made and filled"
	fi
	if /bin/e2fsck -f -n "/dev/$disk" >/tmp/fsck 2>&1; then say "$disk fsck ok"; else cat /tmp/fsck; fi
	echo 3 >/proc/sys/vm/drop_caches
	if mount -t ext4 -o ro "/dev/$disk" /mnt; then
		[ "$(md5sum </mnt/random)" = "$sum" ] && cmp /mnt/bin/busybox /bin/busybox && say "$disk files ok"
		umount /mnt
	fi
done
