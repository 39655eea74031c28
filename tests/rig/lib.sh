# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# What the cases use. Environment: RINGVM the binary, GUESTS a directory with KERNEL/vmlinuz and
# KERNEL/initrd, WORK where files go, RIG this directory, RIG_KIND host or nested. A case ends with
# `done_testing`.

# shellcheck source=arch.sh
. "${RIG:?}/arch.sh"

tests=0
kernel=cloud-6.1
shown_live=
PATH=$PATH:/usr/sbin:/sbin
cd "${WORK:?}" || exit 1

# ok STATUS WHAT: one test point.
ok() {
	tests=$((tests + 1))
	if [ "$1" = 0 ]; then echo "ok $tests - $2"; else echo "not ok $tests - $2"; fi
}

# is GOT WANTED WHAT
is() {
	[ "$1" = "$2" ]
	ok $? "$3"
	[ "$1" = "$2" ] || echo "# got '$1', want '$2'"
}

skip() {
	tests=$((tests + 1))
	echo "ok $tests - $1 # SKIP $2"
}

# skipped_points NAME: those that the program says it left out; each must have a reason that
# why_skipped() knows.
skipped_points() {
	sed -nE 's/^\[  SKIPPED \] ([a-z_0-9]+)$/\1/p' "$1.log" | sort -u >"$1.skipped"
	while read -r point; do
		if reason=$(why_skipped "$1:$point"); then
			skip "$1: $point" "$reason"
		else
			ok 1 "$1: $point is left out for no known reason"
		fi
	done <"$1.skipped"
}

# run_programs DIR: a test point for each program in it; 77 is a skip.
run_programs() {
	for program in "$1"/*; do
		name=${program##*/}
		status=0
		begin=$(date +%s)
		timeout 1200 "$program" >"$name.log" 2>&1 || status=$?
		echo "# $name: $(($(date +%s) - begin)) s"
		skipped_points "$name"
		if [ "$status" = 77 ]; then
			skip "$name" "$(tail -n 1 "$name.log")"
		else
			is "$status" 0 "$name"
			[ "$status" = 0 ] || show_failures "$name.log"
		fi
	done
}

done_testing() { echo "1..$tests"; }

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
	deadline=$(($(date +%s) + $1))
	shift
	until "$@" 2>/dev/null; do
		[ "$(date +%s)" -lt "$deadline" ] || return 1
		sleep 0.2
	done
}

# sum: the checksum of stdin.
sum() { md5sum | cut -d ' ' -f 1; }

# part_sum FILE FIRST COUNT: the checksum of COUNT MiB of a file, from MiB FIRST on.
part_sum() { dd if="$1" bs=1M skip="$2" count="$3" 2>/dev/null | sum; }

# await COMMAND...: until the command succeeds, or the guest is gone.
await() {
	until "$@" >/dev/null 2>&1; do
		grep -q '^State:.[^Z]' "/proc/$guest_pid/status" || return 1
		sleep 0.2
	done
}

# reflects ADDRESS LINE: whether the guest at port 7 sends the line back. It may not listen yet.
reflects() { [ "$(echo "$2" | nc -w 10 "$1" 7)" = "$2" ]; }

# tap_up: the host's side of the guest's card on rigtap0, which is 10.9.0.2 there.
tap_up() {
	await ip link show rigtap0
	ip addr add 10.9.0.1/24 dev rigtap0
	ip link set rigtap0 up
}

# frames_pass NAME: test points for what passes between the host and a guest with rig=ping that has
# said "your turn", and for its end.
frames_pass() {
	ping -c 10 -i 0.2 -W 5 10.9.0.2 >host.ping
	ok $? "host to guest: pings"
	show_file host.ping >&2
	grep -q ' 0% packet loss' host.ping
	ok $? "host to guest: 0% packet loss"
	await reflects 10.9.0.2 stop
	ok $? "TCP both ways"
	finish
	says "$1" "eth0 mac 52:54:00:12:34:56" "guest_mac is what the guest sees"
	says "$1" "ping 10.9.0.1 .* 0% packet loss" "guest to host: 0% packet loss"
	ends "$1" 0
}

# guest NAME "WORDS" OPTION...: boots $kernel with WORDS on its command line and runs it to its end.
# The console is in NAME.out, what ringvm said in NAME.err, its exit status in $status (137: it had
# to be killed).
guest() {
	start "$@" </dev/null
	finish
}

# start NAME "WORDS" OPTION...: the same without waiting; stdin is the guest's console, $guest_pid
# is ringvm.
start() {
	guest_name=$1 words=$2
	shift 2
	# busybox's timeout becomes the program, with the watch in a child. A command in the
	# background has /dev/null as its input, so the one that start was called with comes as 3.
	busybox timeout -s KILL "${guest_limit:-900}" "${RINGVM:?}" run \
		-k "${guest_kernel:-${GUESTS:?}/$kernel/vmlinuz}" -i "$GUESTS/$kernel/initrd" \
		-p "console=ttyS0 loglevel=4 panic=-1 $words" "$@" \
		<&3 >"$guest_name.out" 2>"$guest_name.err" &
	guest_pid=$!
} 3<&0

# finish: waits for the guest started last; logs of all guests go to stderr.
finish() {
	wait "$guest_pid"
	status=$?
	[ -z "$shown_live" ] || return 0
	echo "=== $guest_name: exit $status" >&2
	cat "$guest_name.out" "$guest_name.err" >&2
}

# said NAME REGEX: has the guest said so? (grep -E on what follows "rig: ")
said() { tr -d '\r' <"$1.out" | grep -qE "^rig: $2\$"; }

# word NAME REGEX: what follows the words REGEX on such a line.
word() { tr -d '\r' <"$1.out" | sed -nE "s/^rig: $2 //p" | head -n 1; }

# says NAME REGEX WHAT: a test point for `said`.
says() {
	if said "$1" "$2"; then
		ok 0 "$3"
	else
		ok 1 "$3"
		show "$1"
	fi
}

# lacks NAME REGEX WHAT: the opposite; the words that should not be there are shown.
lacks() {
	if said "$1" "$2"; then
		ok 1 "$3"
		tr -d '\r' <"$1.out" | grep -E "^rig: $2\$" | sed 's/^/#   /'
	else
		ok 0 "$3"
	fi
}

# ends NAME STATUS: a test point for the exit status of the guest that finished last.
ends() {
	is "$status" "$2" "$1: exit status $2"
	[ "$status" = "$2" ] || show "$1"
}

# show NAME: the end of a guest's console, once, for whoever reads the failure.
show() {
	[ ! -e "$1.shown" ] || return 0
	touch "$1.shown"
	show_file "$1.out" "$1.err"
}

# show_failures LOG: of a test program: what failed in it, and where; then its end.
show_failures() {
	grep -E '^\[ *(ERROR|LINE) *\]' "$1" | sed 's/^/#   /'
	show_file "$1"
}

show_file() { tail -n 15 "$@" | tr -d '\r' | sed 's/^/#   /'; }
