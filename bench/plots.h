/* SPDX-License-Identifier: MIT */
/* Which pictures the results make, and how they look. */
#ifndef BENCH_PLOTS_H
#define BENCH_PLOTS_H

#include "results.h"

/* All pictures of one workload, into the page. False: told of on stderr. */
bool plots_write(FILE *page, const struct results *all, const char *workload);

#endif
