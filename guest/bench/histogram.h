/* SPDX-License-Identifier: MIT */
/* How often each latency occurred, to 1 part in 16; percentiles of it. */
#ifndef GUEST_BENCH_HISTOGRAM_H
#define GUEST_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS	  16 /* a doubling */
#define HISTOGRAM_BUCKETS (40 * HISTOGRAM_STEPS)

struct histogram {
	uint64_t count, most_ns;
	uint32_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_clear(struct histogram *histogram);
void histogram_add(struct histogram *histogram, uint64_t ns);
/* The latency that `parts` of 1000 did not exceed. */
uint64_t histogram_at(const struct histogram *histogram, unsigned parts);

#endif
