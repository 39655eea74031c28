# SPDX-License-Identifier: MIT
# Waits for the power button, as acpid does.
for event in /dev/input/event*; do
	(dd if="$event" bs=24 count=1 >/dev/null 2>&1 && say "button pressed" && touch /tmp/pressed) &
done
say "waiting for the button"
wait_for 60 test -e /tmp/pressed || say "no button was pressed"
