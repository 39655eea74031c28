# SPDX-License-Identifier: MIT
# Brings up each network card as ADDRESS of $addresses ("10.0.0.2,10.0.1.2"), pings the .1 of each, then answers the
# host's pings until the host sends a word to port 7.
number=0
for address in $(echo "${addresses:?}" | tr , ' '); do
	ip link set "eth$number" up
	ip addr add "$address/24" dev "eth$number"
	say "eth$number mac $(cat "/sys/class/net/eth$number/address")"
	number=$((number + 1))
done
for address in $(echo "${addresses:?}" | tr , ' '); do
	say "ping ${address%.*}.1 $(ping -c 10 -i 0.2 -W 5 "${address%.*}.1" | grep 'packet loss')"
done
say "your turn"
timeout 60 nc -l -p 7 | grep -q . && say "told to stop"
