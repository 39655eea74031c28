# SPDX-License-Identifier: MIT
# The unit tests of an architecture that is emulated here, where `make check` cannot run them: one
# point a program, and one for each of its tests that is left out.
. "${RIG:?}/lib.sh"

# What this host cannot do for a test.
why_skipped() {
	case $1 in
	test_net_data:waits_for_room | test_net_data:reads_lone_frames_as_they_come)
		echo "sockets know RWF_NOWAIT, by which frames keep their order, from Linux 6.4 on"
		;;
	test_memory:test_huge_pages) echo "this host has no huge pages to spare" ;;
	test_memory:test_never_merged_with_others_pages) echo "a process can ask for KSM from Linux 6.4 on" ;;
	test_image:test_checksums) echo "this host has no mkfs.btrfs" ;;
	*) return 1 ;;
	esac
}

# Where processors are emulated, what is repeated is repeated a fortieth as often (tests/unit/unit.h).
[ "$RIG_KIND" != nested ] || export TEST_SHARE=40
# A host may have no room for them: see above.
[ "$RIG_KIND" != nested ] || echo 4 >/proc/sys/vm/nr_hugepages
run_programs "${RIG_PROGRAMS:-/tests/unit}"
done_testing
