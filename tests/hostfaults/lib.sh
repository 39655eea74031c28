# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034 # for whoever includes this
# For tests/hostfaults/cases: machines, file systems that fail, and points, "ok - TEXT" or
# "not ok - TEXT", which tests/hostfaults/run numbers. A case that can't run here at all prints one
# point that is skipped.

# Cases change their directory.
absolute() {
	case $1 in
	/*) echo "$1" ;;
	*) echo "$(pwd)/$1" ;;
	esac
}
top=$(absolute "${top_builddir:-.}")
ringvm=$(absolute "${RINGVM:-$top/ringvm}")
guests=$(absolute "${RINGVM_GUESTS:-$top/guest}")
tools=$top/tests/hostfaults
withheld=$(absolute "$(dirname "$0")")/../../guest/withheld
suffix=elf
[ ! -e "$guests/hello.image" ] || suffix=image
pid=
fuse_pid=

scratch=$(mktemp -d) || exit 99
mounted=
# shellcheck disable=SC2317 # called by the trap
cleanup() {
	[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null
	for directory in $mounted; do
		umount -l "$directory" 2>/dev/null
	done
	[ -z "$fuse_pid" ] || kill "$fuse_pid" 2>/dev/null
	# Never into what could not be unmounted.
	rm -rf --one-file-system "$scratch"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP
export XDG_RUNTIME_DIR="$scratch"

# ---- Points ----

# point TEXT COMMAND...: what the command says goes with a failure, and what ringvm said.
point() {
	text=$1
	shift
	if "$@" >"$scratch/point" 2>&1; then
		echo "ok - $text"
		return
	fi
	echo "not ok - $text"
	sed 's/^/#   /' "$scratch/point"
	[ ! -s "$scratch/error" ] || tail -n 20 "$scratch/error" | sed 's/^/#   stderr: /'
}

skip() { echo "ok - $1 # SKIP $2"; } # text, reason

is() { # is what, expected (a pattern of the shell's)
	# shellcheck disable=SC2254 # a pattern
	case $1 in
	$2) return 0 ;;
	esac
	echo "is: $1"
	echo "expected: $2"
	return 1
}

# said REGEX: one line on stderr and no other like it.
said() {
	[ "$(grep -cE "^ringvm: $1" "$scratch/error")" = 1 ] && return
	echo "not said just once: $1"
	return 1
}

silent() { [ ! -s "$scratch/error" ]; }

running() { kill -0 "$pid"; }

nothing_left() {
	left=$(ls "$scratch/ringvm" 2>/dev/null)
	[ -z "$left" ] && return
	echo "left behind: $left"
	rm -rf "$scratch/ringvm"
	return 1
}

# within SECONDS COMMAND...: tries until it is true.
within() {
	deadline=$(($(date +%s) + $1))
	shift
	until "$@" >"$scratch/tried" 2>&1; do
		[ "$(date +%s)" -le "$deadline" ] || { cat "$scratch/tried"; return 1; }
		sleep 0.05
	done
}

# ---- Machines ----

# A run to its end: $status, $scratch/output, $scratch/error.
run() {
	timeout -k 5 60 "$ringvm" run --nodefaults -m 64M "$@" \
		</dev/null >"$scratch/output" 2>"$scratch/error"
	status=$?
}

# A line counts when it has its end: a guest writes byte by byte.
has_line() { head -n "$(wc -l <"$scratch/output")" "$scratch/output" | grep -q "$1"; }

# start GUEST OPTION...: in the background, with $scratch/input on its serial port.
start() {
	guest=$1
	shift
	rm -f "$scratch/input"
	mkfifo "$scratch/input"
	: >"$scratch/output" # and appended to: a file of faultfs has no position for the ring's writes
	"$ringvm" run --nodefaults -m 64M -k "$guests/$guest.$suffix" --stop-timeout 0 "$@" \
		<"$scratch/input" >>"$scratch/output" 2>"$scratch/error" &
	pid=$!
	exec 3>"$scratch/input"
	within 60 has_line '^# ' || echo "# $guest does not start"
}

# The guest's diskshell: ask COMMAND prints the result.
answers() { [ "$(wc -l <"$scratch/output")" -gt "$answered" ]; }
ask() {
	answered=$(wc -l <"$scratch/output")
	echo "$*" >&3
	within 40 answers || { echo "no answer"; return; }
	tail -n 1 "$scratch/output" | tr -d '\r' | sed 's/.*: //'
}

not_running() { ! kill -0 "$pid" 2>/dev/null || grep -q '^State:.Z' "/proc/$pid/status"; }

# Its end has begun: the kernel keeps a process for as long as storage keeps a write of its, before or
# after it has marked the process's first thread as exiting. No signal wakes that before; a ringvm
# that waits for anything itself can be woken.
leaving() {
	not_running && return
	exits || { deaf && sleep 0.2 && deaf; }
}
exits() { # PF_EXITING
	read -r stat <"/proc/$pid/stat" || return 0
	# shellcheck disable=SC2086 # words
	set -- ${stat##*) }
	[ $(($7 / 4 % 2)) = 1 ]
}
deaf() { grep -q '^State:.D' "/proc/$pid/status"; }

reap() { # $status
	within 120 not_running || kill -s KILL "$pid"
	wait "$pid"
	status=$?
	pid=
	exec 3>&-
}

# stop SIGNAL: $status, and $took in ms.
stop() {
	begun=$(date +%s%N)
	kill -s "$1" "$pid" 2>/dev/null
	reap
	took=$((($(date +%s%N) - begun) / 1000000))
}

# The same, and what the scheduler withholds meanwhile is written down, for soon.
stop_watched() {
	watch_scheduler
	stop "$1"
	wait "$sampler"
}
watch_scheduler() {
	: >"$scratch/withheld"
	"$withheld" sample "$pid" "$scratch/withheld" &
	sampler=$!
	"$withheld" note signal "$scratch/withheld"
}

# leave SIGNAL: till the end has begun.
leave() {
	watch_scheduler
	kill -s "$1" "$pid"
	within 20 leaving
	"$withheld" note gone "$scratch/withheld"
}

# soon MS: without what the scheduler withheld; where that is not told, ten times as long.
soon() {
	"$withheld" stopped "$scratch/withheld" "$1" "$((10 * $1))" >"$scratch/soon"
	cat "$scratch/soon"
	grep -q '^ok ' "$scratch/soon"
}

# The machine's CPU time in ms: that of its vCPUs, and that of its other threads. A guest that polls
# its serial port takes what it gets, as would any thread that spins: loads make no difference.
cpu_ms() {
	cat "/proc/$pid"/task/*/stat | awk -v tick="$(getconf CLK_TCK)" '
		{ which = /\(vcpu/ ? "vcpu" : "other"; sub(/.*\) /, ""); sum[which] += $12 + $13 }
		END { print int(sum["vcpu"] * 1000 / tick), int(sum["other"] * 1000 / tick) }'
}
idles() { # between $before and $after
	# shellcheck disable=SC2086 # numbers
	set -- $before $after
	[ $(($4 - $2)) -le $((($3 - $1) / 3 + 50)) ]
}

# ---- File systems ----

mount_memory() { # directory, size; false where no tmpfs can be mounted
	mkdir "$1"
	[ "$HOSTFAULTS_INSIDE" = mounts ] || return 1
	mount -t tmpfs -o "size=$2" tmpfs "$1" 2>/dev/null || return 1
	mounted="$mounted $1"
}

# faulty [-s] IMAGE [LOG]: IMAGE as $scratch/fuse/disk; `fault` tells how it shall behave. False
# where that can't be, and $no_fuse says why.
no_fuse="no mount can be made here"
faulty() {
	[ "$HOSTFAULTS_INSIDE" = mounts ] || return 1
	[ -x "$tools/faultfs" ] || { no_fuse="faultfs is not built"; return 1; }
	mkdir -p "$scratch/fuse"
	if [ "$1" = -s ]; then
		shift
		"$tools/faultfs" -s "$scratch/fuse" "$@" 2>"$scratch/fuse.error" &
	else
		"$tools/faultfs" "$scratch/fuse" "$@" 2>"$scratch/fuse.error" &
	fi
	fuse_pid=$!
	if within 10 fuse_is_up && [ -e "$scratch/fuse/disk" ]; then
		mounted="$mounted $scratch/fuse"
		return 0
	fi
	no_fuse="no FUSE here: $(cat "$scratch/fuse.error")"
	return 1
}
fuse_is_up() { [ -e "$scratch/fuse/disk" ] || ! kill -0 "$fuse_pid" 2>/dev/null; }
fault() { echo "$*" >"$scratch/fuse/control"; }
unfaulty() { # the ring of a killed process lets go of its files a little later
	within 10 umount "$scratch/fuse" && wait "$fuse_pid"
	fuse_pid=
}

cannot() { # why; for all lines of the list that this case is about
	# shellcheck disable=SC2046 # words
	skip "$(echo $(grep -o '\<F[0-9][0-9]\>' "$0" | sort -u) "${0##*/}")" "$1"
	exit 0
}
{ : <>/dev/kvm; } 2>/dev/null || cannot "/dev/kvm cannot be opened"
[ -e "$guests/diskshell.$suffix" ] || cannot "the guests are not built"
