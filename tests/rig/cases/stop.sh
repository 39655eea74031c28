# SPDX-License-Identifier: MIT
# ringvm stop and SIGTERM press the power button; a guest that does not listen loses its power.
. "${RIG:?}/lib.sh"

kernel=$button_kernel
start button-stop "rig=button" --name rig-button </dev/null
await said button-stop "waiting for the button"
"$RINGVM" list | grep -q rig-button
ok $? "ringvm list shows the guest"
"$RINGVM" stop --name rig-button
ok $? "ringvm stop"
finish
says button-stop "button pressed" "ringvm stop presses the power button"
ends button-stop 0

start button-term "rig=button" --name rig-button </dev/null
await said button-term "waiting for the button"
kill -TERM "$guest_pid"
finish
says button-term "button pressed" "SIGTERM presses the power button"
ends button-term 0

start deaf "rig=deaf" --name rig-button </dev/null
await said deaf deaf
kill -TERM "$guest_pid"
sleep 2 # two at once are one
kill -TERM "$guest_pid"
finish
ends deaf 143
"$RINGVM" list | grep -q rig-button
is $? 1 "no guest is left in ringvm list"
done_testing
