# SPDX-License-Identifier: MIT
# The same as `unit`, built with AddressSanitizer and UndefinedBehaviorSanitizer.
RIG_PROGRAMS=/tests/sanitized
. "${RIG:?}/cases/unit.sh"
