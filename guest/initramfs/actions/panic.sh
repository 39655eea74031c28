# SPDX-License-Identifier: MIT
# Panics.
echo c >/proc/sysrq-trigger
