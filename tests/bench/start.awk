# SPDX-License-Identifier: MIT
# For tests/bench/bench, behind figures.awk and table.awk: what starting a machine costs, as tables.

function by_device(vmm, what, name,    first, last, i) {
	first = 0
	for (i = 1; i <= start_count; i++) {
		split(starts[i], words, ",")
		if (words[2] != what || !counts[vmm, starts[i], name])
			continue
		if (!first)
			first = i
		last = i
	}
	if (!first || first == last)
		return "-"
	split(starts[last], words, ",")
	i = words[3]
	split(starts[first], words, ",")
	return sprintf("%.2f", (figure(vmm, starts[last], name) - figure(vmm, starts[first], name)) / (i - words[3]))
}

function growth(what,    v) {
	for (v = 1; v <= vmm_count; v++)
		if (by_device(vmm[v], what, "ms") != "-")
			printf "| %s | %s | %s | %s | %s | %s |\n", what, vmm[v], by_device(vmm[v], what, "ms"),
				by_device(vmm[v], what, "cpu_ms"), by_device(vmm[v], what, "pss"), by_device(vmm[v], what, "threads")
}

$2 ~ /^start,/ {
	if (!($2 in seen)) {
		seen[$2] = 1
		starts[++start_count] = $2
	}
	add($1, $2, "ms", word["us"] / 1000)
	add($1, $2, "cpu_ms", word["cpu_us"] / 1000)
	add($1, $2, "idle_us", word["idle_us"])
	add($1, $2, "threads", word["threads"])
	add($1, $2, "pss", word["pss"])
	add($1, $2, "rss", word["rss"])
}

END {
	if (start_count) {
		if (test_count)
			print ""
		print_head("| start | VMM | ms | least to most | processor ms | beside microvm | own memory KiB (Pss) | (Rss) | threads | idle us |")
	}
	for (t = 1; t <= start_count; t++) {
		test = starts[t]
		for (v = 1; v <= vmm_count; v++) {
			name = vmm[v]
			if (!counts[name, test, "ms"])
				continue
			ms = figure(name, test, "ms")
			line = sprintf("| %s | %s | %.1f | %.1f to %.1f", test, name, ms, least, most)
			ratio = ""
			if (name != "microvm" && counts["microvm", test, "ms"])
				ratio = sprintf("%.2f (%.2f)", paired(test, "ms", name, "microvm"),
					paired(test, "cpu_ms", name, "microvm"))
			printf "%s | %.1f | %s | %d | %d | %d | %d |\n", line, figure(name, test, "cpu_ms"), ratio,
				figure(name, test, "pss"), figure(name, test, "rss"), figure(name, test, "threads"),
				figure(name, test, "idle_us")
			json_add(name, test, "ms cpu_ms idle_us threads pss rss")
		}
	}
	if (start_count) {
		print ""
		print_head("| for each further one of | VMM | ms | processor ms | KiB (Pss) | threads |")
		growth("disks")
		growth("cards")
		growth("processors")
	}
	json_write()
}
