# SPDX-License-Identifier: MIT
# The host's kernel moves a card's frames: ping and TCP both ways.
. "${RIG:?}/lib.sh"

if [ ! -e /dev/vhost-net ]; then
	skip "vhost=on" "this host has no vhost-net"
	done_testing
	exit
fi

start vhost "rig=ping addresses=10.9.0.2" -n vhost=on,tapif=rigtap0,guest_mac=52:54:00:12:34:56 </dev/null
tap_up
await said vhost "your turn"
# A thread of the kernel, or since Linux 6.4 one of the process.
grep -q "^vhost-" /proc/[0-9]*/comm /proc/[0-9]*/task/[0-9]*/comm
ok $? "the kernel has a thread for it"
frames_pass vhost
done_testing
