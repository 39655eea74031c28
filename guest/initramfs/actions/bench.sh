# SPDX-License-Identifier: MIT
# For the bench of stock guests: what fio does to the disk /dev/vda and iperf3 to the host, as $tests
# asks: blk/PATTERN/BYTES/DEPTH, net/out or net/in, with a colon between them. $amount requests at
# depth 1, eight times as many at others, an eighth as many MiB over the net. fio and iperf3 are on
# /dev/vdb, made by tests/bench/stock. Prints the lines that tests/bench/measure.c reads.
export LC_ALL=C

device_interrupts() {
	awk '/virtio/ { for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) sum += $i } END { print sum + 0 }' \
		/proc/interrupts
}

# run_fio NAME PATTERN BYTES DEPTH REQUESTS: "requests N ns N p50 N p99 N", from its terse output: for
# reads from field 6 on, for writes from 47 on, KiB, KiB/s, requests/s, ms, and 9 fields later
# percentiles. It says itself when it begins and ends, so that its start does not count.
run_fio() {
	chroot /mnt /bin/fio --name=/tmp/bench --filename=/dev/vda --direct=1 --ioengine=libaio --thread \
		--invalidate=0 --rw="$2" --bs="$3" --iodepth="$4" --number_ios="$5" \
		--exec_prerun="/bin/mark begin $1" --exec_postrun="/bin/mark end $1" \
		--output-format=terse --terse-version=3 | awk -F ';' -v bytes="$3" '
		$1 == 3 {
			first = $9 > 0 ? 6 : 47
			for (i = first + 12; i < first + 32; i++) {
				split($i, percentile, "%=")
				clat[percentile[1] + 0] = percentile[2]
			}
			printf "requests %.0f ns %.0f p50 %.0f p99 %.0f", $first * 1024 / bytes,
				$(first + 3) * 1000000, clat[50] * 1000, clat[99] * 1000
		}'
}

# run_iperf ARGUMENT...: a request is a MiB.
run_iperf() {
	chroot /mnt /bin/iperf3 -c 10.9.0.1 -J "$@" | awk '
		/"sum_received":/ { inside = 1 }
		inside && /"seconds":/ { seconds = $2 + 0 }
		inside && /"bytes":/ { bytes = $2 + 0 }
		/}/ { inside = 0 }
		END { printf "requests %.3f ns %.0f", bytes / 1048576, seconds * 1000000000 }'
}

# run NAME KIND WHAT [BYTES DEPTH]
run() {
	case $2,${5:-} in
	blk,1) run_fio "$1" "$3" "$4" 1 "${amount:?}" ;;
	blk,*) run_fio "$1" "$3" "$4" "$5" $((amount * 8)) ;;
	net,*)
		reverse=
		[ "$3" = out ] || reverse=-R
		chroot /mnt /bin/mark begin "$1"
		run_iperf -n $((amount / 8 + 1))M $reverse
		chroot /mnt /bin/mark end "$1"
		;;
	esac
}

mount -t ext4 -o ro /dev/vdb /mnt
for directory in dev proc sys tmp; do
	mount --bind /$directory /mnt/$directory
done
ip link set lo up
ip link set eth0 up
ip addr add 10.9.0.2/24 dev eth0
wait_for 60 ping -c 1 -W 1 10.9.0.1 >/dev/null
# What they are loaded from is the other disk, whose interrupts are not to be counted.
chroot /mnt /bin/fio --version
chroot /mnt /bin/iperf3 --version
for test in $(echo "${tests:?}" | tr : ' '); do
	name=$(echo "$test" | tr / ,)
	before=$(device_interrupts)
	# shellcheck disable=SC2046 # words
	figures=$(run "$name" $(echo "$test" | tr / ' '))
	echo "# result $name $figures interrupts $(($(device_interrupts) - before))"
done
