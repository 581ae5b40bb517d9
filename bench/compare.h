/* SPDX-License-Identifier: MIT */
/* A run against an older one. */
#ifndef BENCH_COMPARE_H
#define BENCH_COMPARE_H

#include "results.h"

/* On stdout. name: of the file that the old ones are from. */
void compare_print(const struct results *now, const struct results *old,
		   const char *name);

#endif
