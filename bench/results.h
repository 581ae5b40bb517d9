/* SPDX-License-Identifier: MIT */
/*
 * The JSON lines of a run, read again (report.c writes them). What is made of
 * them, the page (html.c) and the comparison (compare.c), knows nothing else of
 * a run, so an older one's or another machine's lines will do as well.
 */
#ifndef BENCH_RESULTS_H
#define BENCH_RESULTS_H

#include "stats.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* One line. The strings hold no control characters; "" where it has none. */
struct result {
	unsigned line; /* its number, from 1 */
	char *text;    /* as it was read, without its end */
	json_t *json;
	char *key;	/* the same for all results of one case, in every run */
	unsigned group; /* the same for all of one case in this run, from 0 */
	unsigned who;	/* the same for all of one peer in this run, from 0 */
	char *peer, *workload, *metric, *unit, *outcome;
	char *versus;		 /* of a ratio: the other peer */
	double median, min, max; /* NaN: there is none */
	unsigned rounds;	 /* in "values", below */
};

struct results {
	struct result *r;
	unsigned count, groups, peers;
};

/* What went wrong is told of on stderr, with the name. */
bool results_read(struct results *ret, FILE *f, const char *name);
bool results_open(struct results *ret, const char *path);
void results_free(struct results *all);

/* The figure of one round; NaN: none. */
double result_round(const struct result *r, unsigned round);

/* A field of the line: a string or a number in words, "" where it has none. */
const char *result_field(const struct result *r, const char *name, char *text,
			 size_t size);

/* The last of these, since a case may have been measured again; or NULL. */
const struct result *results_find(const struct results *all, unsigned group,
				  const char *peer, const char *metric,
				  const char *versus);

/* A key of the case without those two fields, either may be NULL: cases that
 * differ in nothing else have the same. For free(). */
char *case_key(const json_t *json, const char *but, const char *nor);

/* The case in words, without that field unless it is NULL: returns text. */
const char *case_words(const struct result *r, const char *but, char *text,
		       size_t size);

/* 1: more is better; -1: less is; 0: neither. */
int result_direction(const struct result *r);

/* A figure with its unit, three digits: returns text. */
const char *figure_words(double v, const char *unit, char *text, size_t size);

#endif
