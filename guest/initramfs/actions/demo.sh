# SPDX-License-Identifier: MIT
# All in one: what the machine is, its disk, its network.
for action in boot disks ping; do
	# shellcheck source=/dev/null
	. "/actions/$action.sh"
done
