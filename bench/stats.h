/* SPDX-License-Identifier: MIT */
/* Histograms of times, and the statistics of a few rounds. */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include "shared.h"

#define HIST_SUB_BITS 7
#define HIST_BUCKETS ((64 - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

/*
 * Counts of values in buckets whose width grows with the value: each power of
 * two is cut into 128, so a value read back is off by less than 0.8 %, and
 * below 128 it is exact. One process writes; others read after it has ended.
 */
struct hist {
	uint64_t count;
	uint32_t bucket[HIST_BUCKETS];
};

void hist_clear(struct hist *hist);
void hist_add(struct hist *hist, uint64_t value);

/* The value that a fraction q of all does not exceed; 0 when there is none. */
double hist_quantile(const struct hist *hist, double q);

struct summary {
	double median, min, max;
};

/* Of n > 0 values. */
struct summary summarise(const double *values, unsigned n);

#endif
