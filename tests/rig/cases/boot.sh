# SPDX-License-Identifier: MIT
# Each stock kernel boots to init and turns its power off.
. "${RIG:?}/lib.sh"

for kernel in cloud-6.1 generic-6.1 cloud-6.12 newest; do
	guest "$kernel" rig=boot
	says "$kernel" "kernel $(cat "$GUESTS/$kernel/version")" "$kernel: boots to init ($(cat "$GUESTS/$kernel/version"))"
	ends "$kernel" 0
done
done_testing
