# SPDX-License-Identifier: MIT
# What quickstart shows: one guest with a disk and a network, its whole console in sight.
. "${RIG:?}/lib.sh"

dd if=/dev/urandom of=disk.img bs=1M count=64 2>/dev/null
sum=$(sum <disk.img)
truncate -s 128M disk.img

shown_live=yes
start demo "loglevel=6 rig=demo addresses=10.9.0.2" \
	-c 2 -d disk.img -n mode=tap,tapif=rigtap0 </dev/null
tail -q -f -n +1 demo.out demo.err >&2 &
tail_pid=$!
tap_up
await said demo "your turn"
await reflects 10.9.0.2 stop
ok $? "the host talks to the guest by TCP"
finish
sleep 1
kill "$tail_pid"

is "$(word demo kernel)" "$(cat "$GUESTS/$kernel/version")" "the guest printed its kernel version"
is "$(word demo "vda sum")" "$sum" "the guest read 64 MiB of its disk rightly"
is "$(part_sum disk.img 64 64)" "$sum" "the guest wrote 64 MiB rightly"
says demo "ping 10.9.0.1 .* 0% packet loss" "the guest pinged the host with 0% loss"
ends demo 0
done_testing
