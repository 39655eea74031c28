# SPDX-License-Identifier: MIT
# Without MSI-X (pci=nomsi) the devices work by INTx.
. "${RIG:?}/lib.sh"

dd if=/dev/urandom of=random bs=1M count=16 2>/dev/null
sum=$(sum <random)
for kernel in $line_kernels; do
	cp random disk.img
	truncate -s 32M disk.img
	cp disk.img second.img
	guest "nomsi-$kernel" "pci=nomsi rig=disks" -c 2 -d disk.img -d second.img,direct \
		-n mode=tap,tapif=rigtap0
	ends "nomsi-$kernel" 0
	for disk in a b; do
		is "$(word "nomsi-$kernel" "vd$disk sum")" "$sum" "$kernel: vd$disk reads"
		says "nomsi-$kernel" "vd$disk copied" "$kernel: vd$disk writes"
	done
	says "nomsi-$kernel" "interrupt .*$line_interrupt.*virtio.*" "$kernel: the interrupt is a line"
	lacks "nomsi-$kernel" "interrupt .*MSI.*" "$kernel: no MSI is used"
done
done_testing
