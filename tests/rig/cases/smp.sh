# SPDX-License-Identifier: MIT
# One, two and four vCPUs.
. "${RIG:?}/lib.sh"

for cpus in 1 2 4; do
	guest "cpus-$cpus" rig=boot -c "$cpus"
	says "cpus-$cpus" "cpus $cpus" "$cpus vCPUs come up"
	lacks "cpus-$cpus" "warning .*(CPU|smp|APIC|TSC).*" "$cpus vCPUs: no warning"
	ends "cpus-$cpus" 0
done
done_testing
