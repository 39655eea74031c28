# SPDX-License-Identifier: MIT
# The unit tests of an architecture that is emulated here, where `make check` cannot run them: one
# point a program.
. "${RIG:?}/lib.sh"

run_programs /tests/unit
done_testing
