# SPDX-License-Identifier: MIT
# What tests/figures counts, as comments: for docs/figures.md. No times, which mean nothing where all
# is emulated; and each load once: counts repeat.
. "${RIG:?}/lib.sh"

export RINGVM_GUESTS=/tests/figures FIGURES_EXITS=/tests/figures/exits.so FIGURES_DISK="$WORK"
export FIGURES_TRIES=${FIGURES_TRIES:-1}
for figure in memory threads load; do
	sh /tests/figures/figures "$figure" >"$figure.md"
	ok $? "$figure"
	sed 's/^/# /' "$figure.md"
done
done_testing
