/* SPDX-License-Identifier: MIT */
/*
 * A run against an older one: is this build faster or slower than that was?
 *
 * Statistic: new / old of the rounds with the same number, of each peer in each
 * case; the median of these, and an interval in which it lies with 95 %
 * confidence (bootstrap: as many pairs are drawn again from the pairs, with
 * repetition, 10,000 times; the same draws in every run of this). The same of
 * what the peer does over what pipe(2) does in the same round: the machine may
 * have been slower that day, and was so for pipe too.
 */
#include "compare.h"

#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RESAMPLES 10000
#define REFERENCE "pipe"
#define FEW	  6 /* pairs, below which an interval is the whole range */

/* A ratio; NaN where there is none. */
struct change {
	double median, low, high;
	unsigned pairs;
};

/* splitmix64 */
static uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of n sorted values, each as often as times[] says, n in all. */
static double median_of(const double *sorted, const unsigned *times, unsigned n)
{
	unsigned i = 0, seen = times[0];
	double lower;

	while (seen < (n + 1) / 2)
		seen += times[++i];
	lower = sorted[i];
	if (n % 2 || seen > n / 2)
		return lower;
	do
		i++;
	while (times[i] == 0);
	return (lower + sorted[i]) / 2;
}

static struct change bootstrap(double *ratios, unsigned n)
{
	static double medians[RESAMPLES];
	struct change ret = {summarise(ratios, n).median, NAN, NAN, n};
	uint64_t state = 1;

	if (n < 2)
		return ret;
	qsort(ratios, n, sizeof(*ratios), ascending);
	for (unsigned k = 0; k < RESAMPLES; k++) {
		unsigned times[ROUNDS_MAX] = {0};

		for (unsigned i = 0; i < n; i++)
			times[(draw(&state) >> 32) * n >> 32]++;
		medians[k] = median_of(ratios, times, n);
	}
	qsort(medians, RESAMPLES, sizeof(*medians), ascending);
	ret.low = medians[RESAMPLES / 40];
	ret.high = medians[RESAMPLES - 1 - RESAMPLES / 40];
	return ret;
}

/* One round, or of round -1 the median; over the reference, if there is one. */
static double value(const struct result *r, const struct result *over,
		    int round)
{
	if (round < 0)
		return over ? r->median / over->median : r->median;
	return result_round(r, (unsigned)round) /
	       (over ? result_round(over, (unsigned)round) : 1);
}

static struct change change(const struct result *now, const struct result *old,
			    const struct result *now_over,
			    const struct result *old_over)
{
	double ratios[ROUNDS_MAX];
	unsigned n = 0;

	for (int i = 0; i < ROUNDS_MAX; i++) {
		ratios[n] = value(now, now_over, i) / value(old, old_over, i);
		n += isfinite(ratios[n]);
	}
	if (n)
		return bootstrap(ratios, n);
	return (struct change){value(now, now_over, -1) /
				       value(old, old_over, -1),
			       NAN, NAN, 0};
}

/* ---- printing ---- */

/* What an interval wholly on one side of 1 means, after a blank. */
static const char *verdict(const struct result *r, const struct change *c)
{
	int side = c->low > 1 ? 1 : c->high < 1 ? -1 : 0;

	if (side == 0)
		return "";
	side *= result_direction(r);
	return side > 0 ? " better" : side < 0 ? " worse" : " differs";
}

static void change_words(const struct result *r, const struct change *c,
			 char *text, size_t size)
{
	if (!isfinite(c->median))
		snprintf(text, size, "-");
	else if (!isfinite(c->low))
		snprintf(text, size, "%6.3f", c->median);
	else
		snprintf(text, size, "%6.3f (%.3f .. %.3f)%s", c->median,
			 c->low, c->high, verdict(r, c));
}

static void print_row(const struct result *now, const struct result *old,
		      const struct result *now_over,
		      const struct result *old_over)
{
	struct change c = change(now, old, NULL, NULL);
	char a[48], b[48], text[80];

	printf("  %-14s %-9s%11s%11s ", now->peer, now->metric,
	       figure_words(old->median, old->unit, a, sizeof(a)),
	       figure_words(now->median, now->unit, b, sizeof(b)));
	change_words(now, &c, text, sizeof(text));
	if (now_over && old_over && now_over != now) {
		c = change(now, old, now_over, old_over);
		printf("%-33s", text);
		change_words(now, &c, text, sizeof(text));
	}
	printf("%s", text);
	if (strcmp(old->outcome, now->outcome) != 0)
		printf(" was %s, now %s", old->outcome, now->outcome);
	printf("\n");
}

/* A figure, and the last of its kind; ratios to other peers are none. */
static bool counts(const struct results *in, const struct result *r)
{
	return !*r->versus &&
	       results_find(in, r->group, r->peer, r->metric, "") == r;
}

/* The group of a case in another run; in->groups: it has none. */
static unsigned group_of(const struct results *in, const char *key)
{
	for (unsigned i = 0; i < in->count; i++)
		if (strcmp(in->r[i].key, key) == 0)
			return in->r[i].group;
	return in->groups;
}

static unsigned missing_in(const struct results *in, const struct results *from)
{
	unsigned n = 0, group = 0;

	for (unsigned i = 0; i < from->count; i++) {
		const struct result *r = &from->r[i];

		if (i == 0 || r->group != from->r[i - 1].group)
			group = group_of(in, r->key);
		n += counts(from, r) &&
		     !results_find(in, group, r->peer, r->metric, "");
	}
	return n;
}

static void heading(const struct results *now, const struct results *old,
		    const char *name)
{
	static const char *const fields[] = {"cpu", "kernel", "governor"};
	char a[300], b[300];

	printf("\nCommit %s, compared with %s, commit %s\n",
	       result_field(now->r, "commit", a, sizeof(a)), name,
	       result_field(old->r, "commit", b, sizeof(b)));
	for (unsigned i = 0; i < 3; i++) {
		result_field(now->r, fields[i], a, sizeof(a));
		result_field(old->r, fields[i], b, sizeof(b));
		if (*a && *b && strcmp(a, b) != 0)
			printf("another %s: %s, was %s\n", fields[i], a, b);
	}
	printf("new / old of each round, their median, and its 95 %% interval; "
	       "then that of what\nis left when both are divided by what " REFERENCE
	       " did in the same round\n");
}

/* Returns the fewest rounds that a row of it has. */
static unsigned print_case(const struct results *now, unsigned group,
			   const struct results *old)
{
	unsigned few = ROUNDS_MAX, in_old = old->groups, n;
	bool titled = false;
	char text[400];

	for (unsigned i = 0; i < now->count; i++) {
		const struct result *r = &now->r[i], *was;

		if (r->group != group || !counts(now, r))
			continue;
		if (in_old == old->groups)
			in_old = group_of(old, r->key);
		was = results_find(old, in_old, r->peer, r->metric, "");
		if (!was)
			continue;
		if (!titled)
			printf("\n%s\n  %-24s%11s%11s  %-32s over " REFERENCE
			       "'s\n",
			       case_words(r, NULL, text, sizeof(text)), "",
			       "old", "new", "new / old");
		titled = true;
		print_row(r, was,
			  results_find(now, group, REFERENCE, r->metric, ""),
			  results_find(old, in_old, REFERENCE, r->metric, ""));
		n = r->rounds < was->rounds ? r->rounds : was->rounds;
		few = n && n < few ? n : few;
	}
	return few;
}

void compare_print(const struct results *now, const struct results *old,
		   const char *name)
{
	unsigned few = ROUNDS_MAX, n;

	heading(now, old, name);
	for (unsigned group = 0; group < now->groups; group++) {
		n = print_case(now, group, old);
		few = n < few ? n : few;
	}
	printf("\n");
	n = missing_in(old, now);
	if (n)
		printf("figures that %s does not have: %u\n", name, n);
	n = missing_in(now, old);
	if (n)
		printf("figures that only %s has: %u\n", name, n);
	if (few < FEW)
		printf("with fewer than %u rounds an interval is about their "
		       "whole range: give --rounds 15\n",
		       FEW);
	fflush(stdout);
}
