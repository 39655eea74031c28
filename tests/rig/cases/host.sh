# SPDX-License-Identifier: MIT
# Tests of `make check` that look at a machine from outside, where the architecture is emulated:
# which threads it has and where they run, and the marks of --trace-boot.
. "${RIG:?}/lib.sh"

export top_srcdir=/tests/host top_builddir=/tests/host
run_programs /tests/host/programs
done_testing
