// SPDX-License-Identifier: MIT
/* Buckets that grow with what they hold: below 16 ns one each, then 16 a doubling. */
#include "bench/histogram.h"
#include "kit/text.h"

void histogram_clear(struct histogram *histogram)
{
	memset(histogram, 0, sizeof(*histogram));
}

static unsigned bucket_of(uint64_t ns)
{
	unsigned doublings, bucket;

	if (ns < HISTOGRAM_STEPS)
		return (unsigned)ns;
	doublings = 63 - (unsigned)__builtin_clzll(ns) - 4;
	bucket = doublings * HISTOGRAM_STEPS + (unsigned)(ns >> doublings);
	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The largest that the bucket holds. */
static uint64_t bucket_ns(unsigned bucket)
{
	unsigned doublings = bucket < 2 * HISTOGRAM_STEPS ? 0 : bucket / HISTOGRAM_STEPS - 1;
	uint64_t steps = bucket - doublings * HISTOGRAM_STEPS;

	return ((steps + 1) << doublings) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
	histogram->count++;
	histogram->buckets[bucket_of(ns)]++;
	if (ns > histogram->most_ns)
		histogram->most_ns = ns;
}

uint64_t histogram_at(const struct histogram *histogram, unsigned parts)
{
	uint64_t wanted = (histogram->count * parts + 999) / 1000, seen = 0;

	for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
		seen += histogram->buckets[bucket];
		if (seen && seen >= wanted)
			return bucket_ns(bucket) < histogram->most_ns ? bucket_ns(bucket)
								      : histogram->most_ns;
	}
	return 0;
}
