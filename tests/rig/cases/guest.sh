# SPDX-License-Identifier: MIT
# The bare-metal guests of an architecture that is emulated here: what tests/guest/run says.
export RINGVM_GUESTS=/tests/guest RINGVM_GUEST_PATIENCE=5 RINGVM_GUEST_STRESS=20000
sh /tests/guest/run
