# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What tests/bench/bench and tests/bench/start know of VMMs alike.

# The processor that QEMU shows. There are KVMs that offer the MSR of this feature and then take no
# value for it, which QEMU ends over; no guest of the bench looks at it. And microvm puts BARs at the
# end of the address space: the guest reaches no more than half of 48 bits.
# shellcheck disable=SC2034 # for who includes this
qemu_cpu=host,-arch-capabilities,host-phys-bits-limit=46
