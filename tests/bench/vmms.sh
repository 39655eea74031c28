# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What bench, start and stock (a case of the rig) know of VMMs alike.

# The processor that QEMU shows. There are KVMs that offer the MSR of this feature and then take no
# value for it, which QEMU ends over; no guest of the bench looks at it. And microvm puts BARs at the
# end of the address space: the guest reaches no more than half of 48 bits.
# shellcheck disable=SC2034 # for who includes this
qemu_cpu=host,-arch-capabilities,host-phys-bits-limit=46

# rotate ROUND WORD...: the words, in round 2 from the second on, and so on: who comes first in a round
# finds another machine than who comes last.
rotate() {
	[ $# -gt 1 ] || return 0
	turns=$((($1 - 1) % ($# - 1)))
	shift
	while [ "$turns" -gt 0 ]; do
		turns=$((turns - 1))
		set -- "$@" "$1"
		shift
	done
	echo "$*"
}
