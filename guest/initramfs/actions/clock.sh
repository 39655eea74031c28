# SPDX-License-Identifier: MIT
# What the clock device says of the time, an alarm of it, and that it can be set.
rtc=/sys/class/rtc/rtc0
alarms() { awk '/rtc-/ { sum += $2 } END { print sum + 0 }' /proc/interrupts; }
rang() { [ "$(alarms)" -gt "$before" ]; }

if [ -e $rtc ]; then
	say "clock $(cat $rtc/name)"
	say "behind $(($(date +%s) - $(cat $rtc/since_epoch)))"
	before=$(alarms)
	echo +2 >$rtc/wakealarm
	wait_for 30 rang || say "no alarm"
	say "alarms $(($(alarms) - before))"
	date -u -s "2033-05-18 03:33:20" >/dev/null
	hwclock -u -w
	say "set to $(($(cat $rtc/since_epoch) / 1000))"
else
	say "no clock"
fi
