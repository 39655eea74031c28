# SPDX-License-Identifier: MIT
# The bare-metal guests of an architecture that is emulated here: what tests/guest/run says. Hostile
# ones have a case of their own, which takes longer. What is repeated is repeated a tenth as often.
export RINGVM_GUESTS=/tests/guest RINGVM_GUEST_PATIENCE=5 RINGVM_GUEST_STRESS=20000
export RINGVM_GUEST_STALLS=no
export RINGVM_GUEST_SHARE=10
# The emulated host has taps: a test without one has not been run.
export RINGVM_GUEST_TAPS=yes
RINGVM_GUEST_SKIP='hostile*' sh /tests/guest/run
