/* SPDX-License-Identifier: MIT */
/* gnuplot(1), run as a program: a script in, a picture out. */
#ifndef BENCH_GNUPLOT_H
#define BENCH_GNUPLOT_H

#include <stdbool.h>
#include <stdio.h>

/* Is it there? If not, what to do is told of on stderr. */
bool gnuplot_ready(void);

/* A script for one picture of that many pixels, begun. */
FILE *gnuplot_begin(unsigned width, unsigned height);

/* A word or more between quotes, whatever is in it. */
void gnuplot_string(FILE *script, const char *text);

/* What stands beside an axis at that place: all these within "set xtics ()". */
void gnuplot_tic(FILE *script, bool first, const char *text, double at);

/* Run the script and close it; the picture goes into the page. False: told of
 * on stderr. */
bool gnuplot_end(FILE *script, FILE *page);

#endif
