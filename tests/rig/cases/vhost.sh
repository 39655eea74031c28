# SPDX-License-Identifier: MIT
# The host's kernel moves a card's frames: ping and TCP both ways.
. "${RIG:?}/lib.sh"

if [ ! -e /dev/vhost-net ]; then
	skip "vhost=on" "this host has no vhost-net"
	done_testing
	exit
fi

start vhost "rig=ping addresses=10.9.0.2" -n vhost=on,tapif=rigtap0,guest_mac=52:54:00:12:34:56 </dev/null
await ip link show rigtap0
ip addr add 10.9.0.1/24 dev rigtap0
ip link set rigtap0 up

await said vhost "your turn"
# A thread of the kernel, or since Linux 6.4 one of the process.
grep -q "^vhost-" /proc/[0-9]*/comm /proc/[0-9]*/task/[0-9]*/comm
ok $? "the kernel has a thread for it"
ping -c 10 -i 0.2 -W 5 10.9.0.2 >host.ping
ok $? "host to guest: pings"
show_file host.ping >&2
grep -q ' 0% packet loss' host.ping
ok $? "host to guest: 0% packet loss"
await reflects 10.9.0.2 stop
ok $? "TCP both ways"
finish
says vhost "eth0 mac 52:54:00:12:34:56" "guest_mac is what the guest sees"
says vhost "ping 10.9.0.1 .* 0% packet loss" "guest to host: 0% packet loss"
ends vhost 0
done_testing
