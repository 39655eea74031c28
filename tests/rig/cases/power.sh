# SPDX-License-Identifier: MIT
# What the guest does to itself, and the exit status that tells it.
. "${RIG:?}/lib.sh"

guest reboot-exit "rig=reboot" --reboot=exit
ends reboot-exit 5

truncate -s 1M state.img
guest reboot-restart "rig=reboot-once" --reboot=restart -d state.img
ends reboot-restart 0
is "$(tr -d '\r' <reboot-restart.out | grep -c "^rig: kernel ")" 2 "--reboot=restart: the guest boots twice"
says reboot-restart "word been" "--reboot=restart: the disk is there again"

if [ -n "$crash_words" ]; then
	guest triple-fault "rig=reboot $crash_words" --reboot=exit
	ends triple-fault 4
	lacks triple-fault "done" "triple fault: the guest does not go on"
fi

guest panic "rig=panic" --reboot=exit
ends panic "$panic_status"
done_testing
