# SPDX-License-Identifier: MIT
# Says what machine this is and what the kernel found wrong with it.
say "cpus $(nproc)"
say "memory $(awk '/MemTotal/ { print $2 }' /proc/meminfo) kB"
say "clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
# amd_pstate warns on every virtual machine; "no PS/2 controller" is the good news.
dmesg -r | grep -v amd_pstate | awk -F '[<>]' '$2 % 8 <= 4 { print "rig: warning " $3 }'
dmesg | grep -vE 'pci=nocrs|i8042: PNP: No PS.2 controller found' | grep -iE 'i8042|(PIT|CMOS|RTC|timer).*(fail|error|timeout|stall)
(ACPI|PCI).*(error|warning|bug|fail|conflict|invalid)' |
	sed 's/^/rig: suspicious /'
