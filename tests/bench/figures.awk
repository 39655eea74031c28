# SPDX-License-Identifier: MIT
# For tests/bench/bench: "VMM TEST NAME VALUE ..." lines, their medians, and these as JSON.

function median(key, n,    i, j, swap, sorted) {
	for (i = 1; i <= n; i++)
		sorted[i] = values[key, i]
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && sorted[j - 1] > sorted[j]; j--) {
			swap = sorted[j]
			sorted[j] = sorted[j - 1]
			sorted[j - 1] = swap
		}
	least = sorted[1]
	most = sorted[n]
	return n % 2 ? sorted[(n + 1) / 2] : (sorted[n / 2] + sorted[n / 2 + 1]) / 2
}

function add(vmm, test, name, value) {
	values[vmm, test, name, ++counts[vmm, test, name]] = value
}

function figure(vmm, test, name) {
	return median(vmm SUBSEP test SUBSEP name, counts[vmm, test, name])
}

function print_head(head) {
	print head
	gsub(/[^|]+/, "---", head)
	print head
}

function json_add(vmm, test, names,    i, name, item) {
	item = sprintf("{\"test\":\"%s\",\"vmm\":\"%s\"", test, vmm)
	for (i = split(names, name); i; i--)
		if (counts[vmm, test, name[i]])
			item = item sprintf(",\"%s\":%.4g", name[i], figure(vmm, test, name[i]))
	items = items (items == "" ? "" : ",\n") item "}"
}

function json_write() {
	if (json != "")
		print "[\n" items "\n]" >json
}

{
	delete word
	for (i = 3; i < NF; i += 2)
		word[$i] = $(i + 1)
}
