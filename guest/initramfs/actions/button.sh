# SPDX-License-Identifier: MIT
# Waits for the power button, as acpid does. Each device is open before anybody is told: it forgets
# what is pressed while nobody has it open.
for event in /dev/input/event*; do
	{
		(dd bs=24 count=1 <&3 >/dev/null 2>&1 && say "button pressed" && touch /tmp/pressed) &
	} 3<"$event"
done
say "waiting for the button"
wait_for 60 test -e /tmp/pressed || say "no button was pressed"
