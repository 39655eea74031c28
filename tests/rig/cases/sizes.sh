# SPDX-License-Identifier: MIT
# Sizes of memory: small, odd, and beyond the hole below 4 GiB; with one, two and four vCPUs.
. "${RIG:?}/lib.sh"

# size as the option has it, MiB of it, MiB that the kernel may keep for itself, vCPUs
while read -r size mib kept cpus; do
	guest "mem-$size" rig=boot -m "$size" -c "$cpus"
	ends "mem-$size" 0
	total=$(word "mem-$size" memory)
	total=$((${total% kB} / 1024))
	[ "$total" -le "$mib" ] && [ "$total" -ge $((mib - kept)) ]
	ok $? "--mem $size: the guest has $total MiB"
	says "mem-$size" "cpus $cpus" "$cpus vCPUs come up"
	lacks "mem-$size" "warning .*(CPU|smp|APIC|TSC).*" "$cpus vCPUs: no warning"
done <<END
128M 128 60 1
301M 301 60 2
3333M 3333 160 4
5G 5120 220 1
END

# Huge pages that were set aside, which is for an emulated host only: it is thrown away.
pages=/proc/sys/vm/nr_hugepages
backing=memfd
if [ "${RIG_KIND:?}" = nested ]; then
	echo 128 >$pages
	[ "$(cat $pages)" -lt 128 ] || backing=hugetlb=2M
fi
guest fill "rig=fill fill=160" -m 256M --memory-backing "$backing"
ends fill 0
yes "a line of memory" | head -c 1048576 >block
sum=$(for _ in $(seq 160); do cat block; done | sum)
says fill "filled 167772160 $sum" "160 MiB of $backing written and read again"
if [ "$backing" = memfd ]; then
	skip "huge pages are given back" "none can be set aside here"
else
	is "$(sed -n 's/HugePages_Free: *//p' /proc/meminfo)" 128 "huge pages are given back"
	echo 0 >$pages
fi
done_testing
