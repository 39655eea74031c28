# SPDX-License-Identifier: MIT
# Ping both ways over a tap with a queue for each processor, and the power button as the way to end.
. "${RIG:?}/lib.sh"

start ping "rig=ping addresses=10.9.0.2" -c 2 -n mode=tap,tapif=rigtap0,mq=2,guest_mac=52:54:00:12:34:56 </dev/null
tap_up
await said ping "your turn"
frames_pass ping
done_testing
