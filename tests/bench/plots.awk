# SPDX-License-Identifier: MIT
# For tests/bench/plots, behind figures.awk: the points of each curve, "CURVE VMM X MEDIAN LEAST MOST".

function point(curve, x, value,    key) {
	key = curve " " $1 " " x
	if (!(key in known)) {
		known[key] = 1
		keys[++key_count] = key
	}
	add("", key, "", value)
}

{
	split($2, test, ",")
	if (word["ns"])
		rate = word["requests"] / word["ns"] * 1e9
}

$2 ~ /^blk,randread,4096,[0-9]*$/ && word["requests"] {
	point("read-rate", test[4], rate / 1000)
	point("read-cpu", test[4], word["vmm_ns"] / word["requests"] / 1000)
}

$2 == "blk,randread,4096,1" {
	point("read-latency", 1, word["p50"] / 1000)
	point("read-latency", 2, word["p90"] / 1000)
	point("read-latency", 3, word["p99"] / 1000)
	point("read-latency", 4, word["p999"] / 1000)
}

$2 ~ /^blk,(read|write),[0-9]*,4$/ {
	point(test[2] "-bytes", test[3], rate * test[3] / 1e6)
}

$2 ~ /^net,tx,[0-9]*,128$/ && test[3] <= 1514 {
	point("frames-out", test[3], rate / 1000)
}

$2 ~ /^net,rx,[0-9]*,256$/ && test[3] <= 1514 {
	point("frames-in", test[3], rate / 1000)
}

$2 ~ /^start,(disks|cards|processors),/ {
	point("start-" test[2], test[3], word["us"] / 1000)
	point("start-cpu-" test[2], test[3], word["cpu_us"] / 1000)
}

END {
	for (i = 1; i <= key_count; i++) {
		middle = figure("", keys[i], "")
		print keys[i], middle, least, most
	}
}
