# SPDX-License-Identifier: MIT
# The clock device, where the board has one: the host's time, an alarm, and setting it.
. "${RIG:?}/lib.sh"

guest clock "rig=clock"
ends clock 0
if said clock "no clock"; then
	skip "clock" "this board has none"
else
	seconds=$(word clock behind)
	[ "${seconds#-}" -le 1 ]
	ok $? "the clock device and the kernel's clock differ by ${seconds:-?} s"
	says clock "alarms 1" "an alarm comes, once"
	says clock "set to 2000000" "the guest sets it"
fi
done_testing
