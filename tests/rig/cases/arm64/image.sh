# SPDX-License-Identifier: MIT
# A kernel as `make Image.gz` leaves it boots; the device tree of the run is one that dtc can read.
. "${RIG:?}/lib.sh"

gzip -1 <"$GUESTS/$kernel/vmlinuz" >Image.gz
guest gzip rig=boot -k Image.gz --dump-dtb dump.dtb
ends gzip 0
says gzip "kernel .*" "Image.gz boots"
is "$(head -c 4 dump.dtb | od -An -tx1 | tr -d ' ')" d00dfeed "--dump-dtb writes a device tree"
done_testing
