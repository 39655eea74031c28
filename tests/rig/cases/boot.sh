# SPDX-License-Identifier: MIT
# Each stock kernel boots to init, finds nothing wrong with the machine, and turns its power off.
. "${RIG:?}/lib.sh"

for kernel in cloud-6.1 generic-6.1 cloud-6.12 newest; do
	guest "$kernel" rig=boot --rng
	version=$(cat "$GUESTS/$kernel/version")
	is "$(word "$kernel" kernel)" "$version" "$kernel: boots to init"
	ends "$kernel" 0
	says "$kernel" "clock $clock" "$kernel: keeps time by $clock"
	lacks "$kernel" "(warning|suspicious) .*$machine_warnings.*" \
		"$kernel: no warning about the machine"
done
done_testing
