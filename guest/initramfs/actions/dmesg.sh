# SPDX-License-Identifier: MIT
# The kernel's warnings, and any line that speaks of what the machine does not have.
dmesg -r | awk -F '[<>]' '{ if ($2 % 8 <= 4) print "rig: warning: " $3 }'
dmesg | grep -iE 'i8042|(failed|error|timeout|stall).*(PIT|CMOS|RTC|timer)|(ACPI|PCI).*(error|warning|bug|fail|conflict)' |
	sed 's/^/rig: suspicious: /'
