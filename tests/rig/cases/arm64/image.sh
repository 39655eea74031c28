# SPDX-License-Identifier: MIT
# A kernel as `make Image.gz` leaves it boots; --dump-dtb leaves the device tree of the run.
. "${RIG:?}/lib.sh"

gzip -1 <"$GUESTS/$kernel/vmlinuz" >Image.gz
guest_kernel=Image.gz
guest gzip rig=boot --dump-dtb dump.dtb
ends gzip 0
says gzip "kernel .*" "Image.gz boots"
is "$(head -c 4 dump.dtb | od -An -tx1 | tr -d ' ')" d00dfeed "--dump-dtb writes a device tree"
done_testing
