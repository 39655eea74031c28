# SPDX-License-Identifier: MIT
# All in one: what the machine is, its disk, its network.
. /actions/boot.sh
. /actions/disks.sh
. /actions/ping.sh
