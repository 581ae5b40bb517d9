/* SPDX-License-Identifier: MIT */
/*
 * Statistics: histograms with buckets of equal relative width for latencies
 * (percentiles, never averages), median and extremes for the rounds of a case.
 */
#include "stats.h"

#include <stdlib.h>
#include <string.h>

#define SUB (1u << HIST_SUB_BITS)

void hist_clear(struct hist *hist)
{
	memset(hist, 0, sizeof(*hist));
}

/*
 * Values below SUB have a bucket each. Above, shift is how many low bits go, so
 * that SUB <= value >> shift < 2 * SUB; octaves follow each other without gap.
 */
void hist_add(struct hist *hist, uint64_t value)
{
	unsigned shift = 0;

	if (value >= SUB)
		shift = 63 - (unsigned)__builtin_clzll(value) - HIST_SUB_BITS;
	hist->bucket[shift * SUB + (value >> shift)]++;
	hist->count++;
}

/* The middle of what falls into a bucket. */
static double bucket_value(unsigned index)
{
	unsigned shift = index < 2 * SUB ? 0 : index / SUB - 1;
	double low = (double)((uint64_t)(index - shift * SUB) << shift);

	return low + (double)((UINT64_C(1) << shift) - 1) / 2;
}

double hist_quantile(const struct hist *hist, double q)
{
	double rank = q * (double)hist->count;
	uint64_t seen = 0;
	unsigned i, last = 0;

	for (i = 0; i < HIST_BUCKETS; i++) {
		if (!hist->bucket[i])
			continue;
		last = i;
		seen += hist->bucket[i];
		if ((double)seen >= rank)
			break;
	}
	return hist->count ? bucket_value(last) : 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct summary summarise(const double *values, unsigned n)
{
	double sorted[n];
	struct summary s;

	memcpy(sorted, values, sizeof(sorted));
	qsort(sorted, n, sizeof(*sorted), compare);
	s.min = sorted[0];
	s.max = sorted[n - 1];
	s.median = n % 2 ? sorted[n / 2]
			 : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
	return s;
}
