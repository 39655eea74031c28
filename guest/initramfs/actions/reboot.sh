# SPDX-License-Identifier: MIT
# Reboots, the way that the kernel's own command line asks for (reboot=t makes a triple fault).
sync
reboot -f
