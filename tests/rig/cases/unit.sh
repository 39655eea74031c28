# SPDX-License-Identifier: MIT
# The unit tests of an architecture that is emulated here, where `make check` cannot run them: one
# point a program.
. "${RIG:?}/lib.sh"

# What this host cannot do for a program.
unfit() {
	case $1 in
	test_serial) echo "pastes megabytes, each byte of which an emulated processor handles" ;;
	test_net_data) echo "measures processor time, of which an emulated host has another idea" ;;
	test_net_tap) echo "wants taps back at once; a ring of Linux 6.1 gives them back later" ;;
	test_image) echo "wants loop devices and file systems that this small host does not have" ;;
	*) return 1 ;;
	esac
}

run_programs "${RIG_PROGRAMS:-/tests/unit}"
done_testing
