# SPDX-License-Identifier: MIT
# Says what machine this is and what the kernel found wrong with it.
say "cpus $(nproc)"
say "memory $(awk '/MemTotal/ { print $2 }' /proc/meminfo) kB"
say "clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
dmesg -r | awk -F '[<>]' '$2 % 8 <= 4 { print "rig: warning " $3 }'
dmesg | grep -v 'pci=nocrs' | grep -iE 'i8042|(PIT|CMOS|RTC|timer).*(fail|error|timeout|stall)
(ACPI|PCI).*(error|warning|bug|fail|conflict|invalid)' |
	sed 's/^/rig: suspicious /'
