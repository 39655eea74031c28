# SPDX-License-Identifier: MIT
# A kernel as `make Image.gz` leaves it boots; --dump-dtb leaves the device tree of the run; a console
# of the kernel's first moments is where users of kvmtool expect it.
. "${RIG:?}/lib.sh"

gzip -1 <"$GUESTS/$kernel/vmlinuz" >Image.gz
guest_kernel=Image.gz
guest gzip rig=boot --dump-dtb dump.dtb
ends gzip 0
says gzip "kernel .*" "Image.gz boots"
is "$(head -c 4 dump.dtb | od -An -tx1 | tr -d ' ')" d00dfeed "--dump-dtb writes a device tree"

# Without a driver for ttyS0, all that can be seen is the early console's.
start early "loglevel=7 8250.nr_uarts=0 earlycon=uart,mmio,0x1000000" --stop-timeout 0
await grep -q 'bootconsole \[uart.*\] enabled' early.out
ok $? "earlycon=uart,mmio,0x1000000: the kernel speaks before it has drivers"
kill "$guest_pid"
finish
ends early 143
done_testing
