# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Says what the kernel found in its processor, and of the host, a line each.
for feature in $(sed -n 's/^Features.*: //p' /proc/cpuinfo | head -n 1); do
	say "feature $feature"
done
! dmesg | grep -q 'hw perfevents: enabled with armv8_pmu' || say "feature pmu"
! dmesg | grep -q 'using stolen time PV' || say "feature steal-time"
