# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# What tests that look at a machine from outside share: tests/affinity, sandbox, trace_boot. Sourced, it
# gives them $ringvm, $guests, $suffix of those and $scratch, which is gone in the end, as is the machine $pid; and it
# ends them with 77 where nothing can be tried. They end with `[ $failures = 0 ]`.

top=${top_builddir:-.}
ringvm=${RINGVM:-$top/ringvm}
guests=${RINGVM_GUESTS:-$top/guest}
failures=0

{ : <>/dev/kvm; } 2>/dev/null || { echo "/dev/kvm cannot be opened"; exit 77; }
suffix=elf
[ ! -e "$guests/hang.image" ] || suffix=image
[ -e "$guests/hang.$suffix" ] || { echo "$guests/hang.$suffix is not built"; exit 77; }

scratch=$(mktemp -d) || exit 99
pid=
trap '[ -z "$pid" ] || kill -9 $pid; rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM HUP
export XDG_RUNTIME_DIR="$scratch"

bad() {
	echo "not ok: $*"
	failures=$((failures + 1))
}

start() { # options
	# What the last one wrote is not this one's: the shell that will empty the file may be slow.
	rm -f "$scratch/output" "$scratch/error"
	"$ringvm" run -k "$guests/hang.$suffix" -m 64M -c 2 --stop-timeout 0 "$@" \
		</dev/null >"$scratch/output" 2>"$scratch/error" &
	pid=$!
	for _ in $(seq 300); do
		grep -qs hang "$scratch/output" && return
		sleep 0.1
	done
	bad "the guest does not start"
	cat "$scratch/error"
}

stop() { # what it was
	kill "$pid"
	wait "$pid"
	[ $? = 143 ] || bad "$1: status after SIGTERM"
	pid=
}
