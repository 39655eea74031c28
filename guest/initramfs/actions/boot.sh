# SPDX-License-Identifier: MIT
# Says what machine this is and what the kernel found wrong with it.
say "cpus $(nproc)"
say "memory $(awk '/MemTotal/ { print $2 }' /proc/meminfo) kB"
say "clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
say_warnings
