# SPDX-License-Identifier: MIT
# Makes a file system on the first disk, fills it, checks it, reads it again.
mke2fs -q -F -t ext4 /dev/vda && say "mkfs ok"
mount -t ext4 /dev/vda /mnt && say "mounted"
dd if=/dev/urandom of=/mnt/random bs=1M count=16 2>/dev/null
cp -r /bin /lib /modules /mnt/
sum=$(md5sum </mnt/random)
umount /mnt && say "unmounted"
if e2fsck -f -n /dev/vda >/tmp/fsck; then say "fsck ok"; else cat /tmp/fsck; fi
echo 3 >/proc/sys/vm/drop_caches
mount -t ext4 -o ro /dev/vda /mnt
[ "$(md5sum </mnt/random)" = "$sum" ] && say "file ok"
cmp /mnt/bin/busybox /bin/busybox && say "copy ok"
umount /mnt
