# SPDX-License-Identifier: MIT
# For tests/bench/bench, behind figures.awk: rates and what a request costs, as a table.

function short(number) {
	if (number >= 1e6)
		return sprintf("%.2fM", number / 1e6)
	if (number < 10)
		return sprintf("%.2f", number)
	return number >= 1e4 ? sprintf("%.1fk", number / 1e3) : sprintf("%.0f", number)
}

# A sequential test's rate is told in bytes.
function rate_text(test, rate,    words) {
	split(test, words, ",")
	if (words[1] == "net" && words[3] == "")
		return sprintf("%.0f MB/s", rate * 1.048576) # a request is a MiB
	if (words[3] >= 131072)
		return sprintf("%.2f GB/s", rate * words[3] / 1e9)
	return short(rate) "/s"
}

# A figure that not every guest gives.
function text(vmm, test, name, format) {
	return counts[vmm, test, name] ? sprintf(format, figure(vmm, test, name)) : "-"
}

function add_word(vmm, test, name, word_name, divisor) {
	if (word_name in word)
		add(vmm, test, name, word[word_name] / divisor)
}

# Whether it tells how long one request takes, not how many are in flight: one at a time, or frames
# that come at a rate.
function has_latency(test,    words) {
	split(test, words, ",")
	return words[1] == "net" ? words[2] == "rx" && words[4] != "" && words[4] < 256 : words[4] == 1
}

$2 !~ /^start,/ {
	if (!($2 in seen)) {
		seen[$2] = 1
		tests[++test_count] = $2
	}
	if ("calls" in word)
		counted = 1
	# From the start of the VMM, before its threads are there to be counted, to the line of the guest's
	# first process.
	if ($2 == "boot") {
		word["ns"] = word["p50"] = word["since_start_ns"]
		delete word["calls"]
		delete word["exits"]
	}
	requests = word["requests"] ? word["requests"] : 1
	add($1, $2, "rate", word["requests"] / word["ns"] * 1e9)
	add($1, $2, "cpu", word["vmm_ns"] / requests / 1000)
	add_word($1, $2, "p50", "p50", 1000)
	add_word($1, $2, "p99", "p99", 1000)
	add_word($1, $2, "kicks", "kicks", requests)
	add_word($1, $2, "interrupts", "interrupts", requests)
	add_word($1, $2, "calls", "calls", requests)
	add_word($1, $2, "exits", "exits", requests)
	add_word($1, $2, "vm_exits", "vm_exits", requests)
}

END {
	vmm_count = split(vmms, vmm)
	head = "| test | VMM | rate | least to most | p50 us | p99 us | VMM us | kicks | interrupts |" (counted ? " calls | exits to user space | VM exits |" : "")
	if (test_count)
		print_head(head)
	for (t = 1; t <= test_count; t++) {
		test = tests[t]
		for (v = 1; v <= vmm_count; v++) {
			name = vmm[v]
			if (!counts[name, test, "rate"])
				continue
			rate = figure(name, test, "rate")
			line = sprintf("| %s | %s | %s", test, name, rate_text(test, rate))
			line = line sprintf(" | %s to %s", rate_text(test, least), rate_text(test, most))
			line = line sprintf(" | %s | %s | %.2f | %s | %s |", text(name, test, "p50", "%.1f"),
				text(name, test, "p99", "%.1f"), figure(name, test, "cpu"), text(name, test, "kicks", "%.3f"),
				text(name, test, "interrupts", "%.3f"))
			if (counted)
				line = line sprintf(" %s | %s | %s |", text(name, test, "calls", "%.3f"),
					text(name, test, "exits", "%.3f"), text(name, test, "vm_exits", "%.2f"))
			print line
			json_add(name, test, "rate cpu p50 p99 kicks interrupts calls exits vm_exits")
		}
		line = sprintf("| %s | %s | %s | %s |", test, beside(test, "rate", 1), beside(test, "cpu", 0),
			has_latency(test) ? beside(test, "p50", 0) : "")
		if (ratio_json != "")
			ratios[++ratio_count] = line
		json_add_ratios(test)
	}
	if (ratio_count) {
		print "\nringvm beside the best of the others: the median over the rounds of the ratio within a round (least to most, of whom)"
		print_head("| test | rate | processor time | median latency |")
		for (i = 1; i <= ratio_count; i++)
			print ratios[i]
	}
}
