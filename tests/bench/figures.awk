# SPDX-License-Identifier: MIT
# For tests/bench/bench: "VMM TEST NAME VALUE ..." lines, their medians, medians of ratios, and these as
# JSON. What has the same words `round` and `turn` was measured at one time (without them: what is the
# same one of the lines of its VMM and test).

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
	if (!(time in known_times)) {
		known_times[time] = 1
		times[++time_count] = time
	}
	timed[vmm, test, name, time] = value
}

function figure(vmm, test, name) {
	return median(vmm SUBSEP test SUBSEP name, counts[vmm, test, name])
}

# The median of one VMM's figure over another's, each pair of one time, so that what changes from time
# to time is in both; `least`, `most`. 0 where there is no pair.
function paired(test, name, one, other,    i, n) {
	n = 0
	for (i = 1; i <= time_count; i++)
		if ((one, test, name, times[i]) in timed && timed[other, test, name, times[i]] > 0)
			values["pair", ++n] = timed[one, test, name, times[i]] / timed[other, test, name, times[i]]
	return n ? median("pair", n) : 0
}

# ringvm beside the one of the others that does best: its figure over theirs. `is_rate`: more is better.
# Sets best_ratio (0: nobody to compare with), best_vmm, best_least, best_most.
function beside(test, name, is_rate,    v, ratio) {
	best_ratio = 0
	for (v = 1; v <= vmm_count; v++) {
		if (vmm[v] == "ringvm")
			continue
		ratio = paired(test, name, "ringvm", vmm[v])
		if (!ratio || (best_ratio && (is_rate ? ratio >= best_ratio : ratio <= best_ratio)))
			continue
		best_ratio = ratio
		best_vmm = vmm[v]
		best_least = least
		best_most = most
	}
	if (best_ratio)
		ratio_json = ratio_json sprintf(",\"%s\":%.4g,\"%s_vmm\":\"%s\"", name, best_ratio, name, best_vmm)
	return best_ratio ? sprintf("%.2f (%.2f to %.2f, %s)", best_ratio, best_least, best_most, best_vmm) : "-"
}

function json_add_ratios(test) {
	if (ratio_json != "")
		items = items (items == "" ? "" : ",\n") sprintf("{\"test\":\"%s\",\"ratio\":\"ringvm\"%s}", test, ratio_json)
	ratio_json = ""
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
	time = "round" in word ? word["round"] "," word["turn"] : ++lines[$1, $2]
}
