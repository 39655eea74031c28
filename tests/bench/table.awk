# SPDX-License-Identifier: MIT
# For tests/bench/bench, behind figures.awk: rates and what a request costs, as a table.

function short(number) {
	if (number >= 1e6)
		return sprintf("%.2fM", number / 1e6)
	return number >= 1e4 ? sprintf("%.1fk", number / 1e3) : sprintf("%.0f", number)
}

# A sequential test's rate is told in bytes.
function rate_text(test, rate,    words) {
	split(test, words, ",")
	if (words[3] >= 131072)
		return sprintf("%.2f GB/s", rate * words[3] / 1e9)
	return short(rate) "/s"
}

$2 !~ /^start,/ {
	if (!($2 in seen)) {
		seen[$2] = 1
		tests[++test_count] = $2
	}
	requests = word["requests"] ? word["requests"] : 1
	add($1, $2, "rate", word["requests"] / word["ns"] * 1e9)
	add($1, $2, "cpu", word["vmm_ns"] / requests / 1000)
	add($1, $2, "p50", word["p50"] / 1000)
	add($1, $2, "p99", word["p99"] / 1000)
	add($1, $2, "kicks", word["kicks"] / requests)
	add($1, $2, "interrupts", word["interrupts"] / requests)
	if ("calls" in word) {
		add($1, $2, "calls", word["calls"] / requests)
		add($1, $2, "exits", word["exits"] / requests)
		counted = 1
	}
}

END {
	vmm_count = split(vmms, vmm)
	head = "| test | VMM | rate | least to most | p50 us | p99 us | VMM us | kicks | interrupts |" (counted ? " calls | exits |" : "")
	if (test_count)
		print_head(head)
	for (t = 1; t <= test_count; t++) {
		test = tests[t]
		best = 0
		cheapest = 0
		for (v = 1; v <= vmm_count; v++) {
			name = vmm[v]
			if (!counts[name, test, "rate"])
				continue
			rate = figure(name, test, "rate")
			line = sprintf("| %s | %s | %s", test, name, rate_text(test, rate))
			line = line sprintf(" | %s to %s", rate_text(test, least), rate_text(test, most))
			cpu = figure(name, test, "cpu")
			line = line sprintf(" | %.1f | %.1f | %.2f | %.3f | %.3f |", figure(name, test, "p50"),
				figure(name, test, "p99"), cpu, figure(name, test, "kicks"), figure(name, test, "interrupts"))
			if (counted)
				line = line sprintf(" %.3f | %.3f |", figure(name, test, "calls"), figure(name, test, "exits"))
			print line
			json_add(name, test, "rate cpu p50 p99 kicks interrupts calls exits")
			if (name == "ringvm") {
				ours = rate
				our_cpu = cpu
				continue
			}
			if (rate > best)
				best = rate
			if (!cheapest || cpu < cheapest)
				cheapest = cpu
		}
		if (best && ours)
			ratios[++ratio_count] = sprintf("| %s | %.2f | %.2f |", test, ours / best, cheapest ? our_cpu / cheapest : 0)
		ours = 0
	}
	if (ratio_count) {
		print "\n| test | rate beside the best other | processor time beside the least other |\n|---|---|---|"
		for (i = 1; i <= ratio_count; i++)
			print ratios[i]
	}
}
