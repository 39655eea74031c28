# SPDX-License-Identifier: MIT
# Ping both ways over a tap, and the power button as the way to end.
. "${RIG:?}/lib.sh"

start ping "rig=ping addresses=10.9.0.2" -n mode=tap,tapif=rigtap0,guest_mac=52:54:00:12:34:56 </dev/null
await ip link show rigtap0
ip addr add 10.9.0.1/24 dev rigtap0
ip link set rigtap0 up

await said ping "your turn"
ping -c 10 -i 0.2 -W 5 10.9.0.2 >host.ping
ok $? "host to guest: pings"
show_file host.ping >&2
grep -q ' 0% packet loss' host.ping
ok $? "host to guest: 0% packet loss"
await reflects 10.9.0.2 stop
ok $? "TCP both ways"
finish
says ping "eth0 mac 52:54:00:12:34:56" "guest_mac is what the guest sees"
says ping "ping 10.9.0.1 .* 0% packet loss" "guest to host: 0% packet loss"
ends ping 0
done_testing
