# SPDX-License-Identifier: MIT
# The probe that chooses the rig says yes where the cases run: on a KVM that boots stock kernels.
. "${RIG:?}/lib.sh"

answer=$("${PROBE:?}")
is $? 0 "the probe: $answer"
done_testing
