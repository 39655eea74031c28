# SPDX-License-Identifier: MIT
# Makes a file system on the first disk, fills it, checks it, reads it again. The programs are those
# of e2fsprogs: by its bare name busybox would take its own mke2fs.
fill() {
	dd if=/dev/urandom of=/mnt/random bs=1M count=16 2>/dev/null
	cp -r /bin /lib /modules /mnt/
	sum=$(md5sum </mnt/random)
}

if /bin/mke2fs -q -F -t ext4 /dev/vda && mount -t ext4 /dev/vda /mnt; then
	fill
	umount /mnt && say "made and filled"
fi
if /bin/e2fsck -f -n /dev/vda >/tmp/fsck 2>&1; then say "fsck ok"; else cat /tmp/fsck; fi
echo 3 >/proc/sys/vm/drop_caches
if mount -t ext4 -o ro /dev/vda /mnt; then
	[ "$(md5sum </mnt/random)" = "$sum" ] && cmp /mnt/bin/busybox /bin/busybox && say "files ok"
	umount /mnt
fi
