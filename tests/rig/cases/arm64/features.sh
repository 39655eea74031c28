# SPDX-License-Identifier: MIT
# What a stock guest finds of the processor: all that this host has, and with each option off nothing
# of that. Options and what tells of them:
. "${RIG:?}/lib.sh"

features='sve:sve pauth:paca pauth:pacg mte:mte pmu:pmu steal-time:steal-time'

# host_has WORD: as the host's own kernel found it. It says nowhere that it counts stolen time.
host_has() {
	case $1 in
	pmu) ls -d /sys/bus/event_source/devices/armv8_pmu* >/dev/null 2>&1 ;;
	steal-time) true ;;
	*) sed -n 's/^Features.*: //p' /proc/cpuinfo | tr ' ' '\n' | grep -qx "$1" ;;
	esac
}

mte=on
host_has mte || mte=auto
guest all rig=features --mte $mte
ends all 0
for feature in $features; do
	word=${feature#*:}
	if host_has "$word"; then
		says all "feature $word" "$word: the guest has it, as the host has"
	elif [ "$RIG_KIND" = nested ] && [ "${RINGVM_RIG_HOST:-new}" = new ]; then
		ok 1 "$word: the newest emulated processor has it"
	else
		lacks all "feature $word" "$word: the guest lacks it, as the host does"
	fi
done

guest none rig=features --sve off --pauth off --mte off --pmu off --steal-time off
ends none 0
says none "feature fp" "the guest says what it has"
for feature in $features; do
	lacks none "feature ${feature#*:}" "${feature#*:}: not there with --${feature%:*} off"
done
done_testing
