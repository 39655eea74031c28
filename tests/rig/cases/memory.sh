# SPDX-License-Identifier: MIT
# Sizes of memory: small, odd, and beyond the hole below 4 GiB.
. "${RIG:?}/lib.sh"

# size as the option has it, MiB of it, MiB that the kernel may keep for itself
while read -r size mib kept; do
	guest "mem-$size" rig=boot -m "$size"
	ends "mem-$size" 0
	total=$(word "mem-$size" memory)
	total=$((${total% kB} / 1024))
	[ "$total" -le "$mib" ] && [ "$total" -ge $((mib - kept)) ]
	ok $? "--mem $size: the guest has $total MiB"
done <<END
128M 128 60
301M 301 60
3333M 3333 160
5G 5120 220
END

guest fill "rig=fill fill=160" -m 256M
ends fill 0
sum=$(yes "a line of memory" | head -c 167772160 | sum)
says fill "filled 167772160 $sum" "160 MiB written and read again"
done_testing
