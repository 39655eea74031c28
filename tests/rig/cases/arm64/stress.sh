# SPDX-License-Identifier: MIT
# The order of memory between driver and device, a million requests on each ring: no wake-up is lost.
export RINGVM_GUESTS=/tests/guest RINGVM_GUEST_PATIENCE=10 RINGVM_GUEST_STRESS=1000000
sh /tests/guest/run ringstress ringstress-packed
