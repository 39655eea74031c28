# SPDX-License-Identifier: MIT
# Brings up each network card as ADDRESS of $addresses ("10.0.0.2,10.0.1.2"), pings the .1 of each,
# then answers the host's pings until it has sent back a line that comes to port 7.
number=0
for address in $(echo "${addresses:?}" | tr , ' '); do
	ip link set "eth$number" up
	ip addr add "$address/24" dev "eth$number"
	say "eth$number mac $(cat "/sys/class/net/eth$number/address")"
	number=$((number + 1))
done
for address in $(echo "${addresses:?}" | tr , ' '); do
	wait_for 30 ping -c 1 -W 1 "${address%.*}.1" >/dev/null # the host sets up its side meanwhile
	say "ping ${address%.*}.1 $(ping -c 10 -i 0.2 -W 5 "${address%.*}.1" | grep 'packet loss')"
done
say "your turn"
timeout 60 nc -l -p 7 -e head -n 1
for address in $(echo "$addresses" | tr , ' '); do
	number=$((number - 1))
	ip link set "eth$number" down
done
