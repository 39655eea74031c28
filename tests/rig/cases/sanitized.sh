# SPDX-License-Identifier: MIT
# The same as `unit`, built with AddressSanitizer and UndefinedBehaviorSanitizer.
. "${RIG:?}/lib.sh"

run_programs /tests/sanitized
done_testing
