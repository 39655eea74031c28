# SPDX-License-Identifier: MIT
# Hostile guests where the architecture is emulated: of each kind of ring, and of registers.
export RINGVM_GUESTS=/tests/guest RINGVM_GUEST_PATIENCE=10 RINGVM_GUEST_STALLS=no
# The emulated host has taps: a test without one has not been run.
export RINGVM_GUEST_TAPS=yes
sh /tests/guest/run 'hostile*'
