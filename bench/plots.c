/* SPDX-License-Identifier: MIT */
/*
 * Which pictures the results make, and how they look.
 *
 * Lines: a metric by a field of the case, for all cases that differ in nothing
 * else, where that field is one of plans[] and has two values at least. Points:
 * every other case that two peers took part in, a row for each, the best on
 * top. All scales of figures are logarithmic. A peer has the same colour and
 * point in all pictures; forkring's is its own, and is drawn last.
 */
#include "plots.h"

#include "gnuplot.h"
#include "html.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH	   980
#define POINTS_MAX 64 /* values of a field; rows of a picture; metrics */
#define LABEL	   60 /* pixels that a label under an axis takes */

static const struct plan {
	const char *workload, *field, *words;
} plans[] = {
	{"stream", "size", "message size"},
	{"fanin", "producers", "producers"},
	{"fanout", "workers", "workers"},
	{"farm", "workers", "workers"},
	{"farm", "task_ns", "length of a task"},
	{"open", "load", "share of its peak rate"},
};

/* ---- how a peer looks ---- */

static bool ours(const struct result *r)
{
	return strcmp(r->peer, "forkring") == 0;
}

static const char *colour(const struct result *r)
{
	static const char *const colours[] = {
		"#1f5fa8", "#2a8040", "#c77700", "#7a3fa0", "#008b8b",
		"#8c5a3c", "#c2559d", "#6b6b6b", "#858500", "#4aa3df",
	};

	return ours(r) ? "#d40000" : colours[r->who % 10];
}

/* As many as have no divisor in common with the colours. */
static unsigned point(const struct result *r)
{
	static const unsigned points[] = {5, 9, 13, 4, 8, 12, 11};

	return ours(r) ? 7 : points[r->who % 7];
}

/* ---- scales ---- */

/* Of figures, from low to high: decades, and what is between if they are few;
 * of bytes powers of two, not too many. */
static void log_scale(FILE *s, char axis, double low, double high,
		      const char *unit)
{
	static const unsigned between[] = {1, 2, 5};
	bool bytes = strcmp(unit, "bytes") == 0;
	double base = bytes ? 2 : 10, span = log(high / low) / log(base), v;
	unsigned marks = !bytes && span < 3.5 ? 3 : 1;
	int every = 1 + (int)(span / 8);
	bool first = true;
	char text[48];

	fprintf(s, "set logscale %c\nset %crange [%.9g:%.9g]\nset %ctics (",
		axis, axis, low, high, axis);
	for (int e = (int)(log(low) / log(base)) - 1; pow(base, e) <= high;
	     e++) {
		for (unsigned i = 0; i < marks; i++) {
			v = between[i] * pow(base, e);
			if (e % every != 0 || v < low || v > high)
				continue;
			gnuplot_tic(s, first,
				    figure_words(v, unit, text, sizeof(text)),
				    v);
			first = false;
		}
	}
	fputs(")\n", s);
}

/* Low and high of what is drawn, with some air. */
struct range {
	double low, high;
};

static void extend(struct range *range, double v)
{
	if (!(v > 0) || !isfinite(v))
		return;
	range->low = fmin(range->low, v);
	range->high = fmax(range->high, v);
}

static void air(struct range *range)
{
	double more = fmax(1.15, sqrt(5 * range->low / range->high));

	range->low /= more;
	range->high *= more;
}

/* What of a result can be drawn; the bar is a point where there is no range. */
static double bar_low(const struct result *r)
{
	return r->min > 0 ? r->min : r->median;
}

static double bar_high(const struct result *r)
{
	return r->max > 0 ? r->max : r->median;
}

static bool drawable(const struct result *r)
{
	return !*r->versus && r->median > 0 && result_direction(r) != 0 &&
	       strncmp(r->metric, "line_", 5) != 0; /* the canary */
}

/* It is the last of its kind. */
static bool last(const struct results *all, const struct result *r)
{
	return results_find(all, r->group, r->peer, r->metric, "") == r;
}

/* ---- lines ---- */

/* What is drawn in one picture. */
struct lines {
	const struct plan *plan;
	const struct result *first; /* one of it */
	const struct result **r;
	unsigned count;
	double x[POINTS_MAX]; /* the field's values, ascending */
	unsigned values;
	double place[POINTS_MAX]; /* of each along the axis */
	struct range range;
};

static double field_of(const struct result *r, const char *field)
{
	return json_number_value(json_object_get(r->json, field));
}

static void add_value(struct lines *l, double x)
{
	unsigned i = 0;

	while (i < l->values && l->x[i] < x)
		i++;
	if ((i < l->values && l->x[i] == x) || l->values == POINTS_MAX)
		return;
	memmove(&l->x[i + 1], &l->x[i], (l->values - i) * sizeof(l->x[0]));
	l->x[i] = x;
	l->values++;
}

/* By its logarithm where the labels have room then, else evenly. */
static void set_places(struct lines *l)
{
	double span = log2(l->x[l->values - 1] / l->x[0]), gap = span;
	bool even = l->x[0] <= 0;

	for (unsigned i = 1; i < l->values; i++)
		gap = fmin(gap, log2(l->x[i] / l->x[i - 1]));
	/* The axis is about 0.6 of the picture. */
	even |= gap / span * 0.6 * WIDTH < LABEL;
	for (unsigned i = 0; i < l->values; i++)
		l->place[i] = even ? i : log2(l->x[i]);
}

static const char *value_words(const struct plan *plan, double x, char *text,
			       size_t size)
{
	if (strcmp(plan->field, "size") == 0)
		return figure_words(x, "bytes", text, size);
	if (strcmp(plan->field, "load") == 0)
		snprintf(text, size, "%g %%", x);
	else if (strcmp(plan->field, "task_ns") != 0)
		snprintf(text, size, "%.10g", x);
	else if (x == 0)
		snprintf(text, size, "empty");
	else
		figure_words(x, "ns", text, size);
	return text;
}

static void lines_axes(FILE *s, const struct lines *l)
{
	double margin = 0.04 * (l->place[l->values - 1] - l->place[0]);
	char text[64];

	log_scale(s, 'y', l->range.low, l->range.high, l->first->unit);
	fprintf(s, "set xrange [%.9g:%.9g]\nset xtics (", l->place[0] - margin,
		l->place[l->values - 1] + margin);
	for (unsigned i = 0; i < l->values; i++)
		gnuplot_tic(s, i == 0,
			    value_words(l->plan, l->x[i], text, sizeof(text)),
			    l->place[i]);
	fprintf(s, ")\nset xlabel '%s'\nset ylabel ", l->plan->words);
	snprintf(text, sizeof(text), "%s, %s", l->first->metric,
		 l->first->unit);
	gnuplot_string(s, text);
	fputs("\nset border 3\nset tics nomirror\n"
	      "set grid lt 1 lw 1 lc rgb '#dddddd'\n"
	      "set key outside right center Left reverse samplen 2 invert\n",
	      s);
}

/* The curve of each peer: forkring last, so that it lies on top; the key turns
 * the order round. */
static bool draw_lines(FILE *page, const struct lines *l, unsigned peers)
{
	const struct result *of[peers];
	FILE *s;
	unsigned n = 0, us = peers;

	memset(of, 0, sizeof(of));
	for (unsigned i = 0; i < l->count; i++) {
		n += !of[l->r[i]->who];
		of[l->r[i]->who] = l->r[i];
		if (ours(l->r[i]))
			us = l->r[i]->who;
	}
	s = gnuplot_begin(WIDTH, n > 16 ? 100 + 20 * n : 420);
	lines_axes(s, l);
	for (unsigned who = 0; who < peers; who++) {
		fprintf(s, "$d%u << EOD\n", who);
		for (unsigned v = 0; v < l->values; v++)
			for (unsigned i = 0; i < l->count; i++)
				if (l->r[i]->who == who &&
				    field_of(l->r[i], l->plan->field) ==
					    l->x[v])
					fprintf(s, "%.9g %.9g\n", l->place[v],
						l->r[i]->median);
		fputs("EOD\n", s);
	}
	fputs("plot ", s);
	for (unsigned k = peers + 1; k-- > 0;) {
		unsigned who = k ? k - 1 : us;

		if (who == peers || !of[who] || (k && who == us))
			continue;
		fprintf(s,
			"$d%u with linespoints lw %s pt %u ps 0.9 "
			"lc rgb '%s' title ",
			who, who == us ? "3" : "1.5", point(of[who]),
			colour(of[who]));
		gnuplot_string(s, of[who]->peer);
		fputs(--n ? ", \\\n\t" : "\n", s);
	}
	return gnuplot_end(s, page);
}

static void caption(FILE *page, const struct result *r, const char *but,
		    const char *words)
{
	char text[400];

	fputs("<figure><figcaption>", page);
	html_text(page, case_words(r, but, text, sizeof(text)));
	if (but) {
		fputs(": ", page);
		html_text(page, r->metric);
		fprintf(page, " by %s", words);
	}
	fprintf(page, " (<a href=\"#case-%u\">table</a>)</figcaption>\n",
		r->group);
}

static bool like(const struct result *a, const struct result *b,
		 const char *field)
{
	char *x, *y;
	bool ret;

	if (strcmp(a->workload, b->workload) != 0 ||
	    strcmp(a->metric, b->metric) != 0 || strcmp(a->unit, b->unit) != 0)
		return false;
	x = case_key(a->json, field, NULL);
	y = case_key(b->json, field, NULL);
	ret = x && y && strcmp(x, y) == 0;
	free(x);
	free(y);
	return ret;
}

/* All pictures of one plan; what they show is marked in drawn[]. */
static bool all_lines(FILE *page, const struct results *all,
		      const struct plan *plan, bool *drawn)
{
	const struct result *of[all->count];
	bool seen[all->count], good = true;

	memset(seen, 0, sizeof(seen));
	for (unsigned i = 0; i < all->count && good; i++) {
		const struct result *first = &all->r[i];
		struct lines l = {.plan = plan,
				  .first = first,
				  .r = of,
				  .range = {INFINITY, 0}};

		if (seen[i] || strcmp(first->workload, plan->workload) != 0 ||
		    !drawable(first))
			continue;
		for (unsigned k = i; k < all->count; k++) {
			const struct result *r = &all->r[k];

			if (seen[k] || !drawable(r) ||
			    !like(first, r, plan->field))
				continue;
			seen[k] = true;
			if (!last(all, r))
				continue;
			l.r[l.count++] = r;
			add_value(&l, field_of(r, plan->field));
			extend(&l.range, r->median);
		}
		if (l.values < 2)
			continue;
		for (unsigned k = 0; k < l.count; k++)
			drawn[l.r[k]->group] = true;
		air(&l.range);
		set_places(&l);
		caption(page, first, plan->field, plan->words);
		good = draw_lines(page, &l, all->peers);
		fputs("</figure>\n", page);
	}
	return good;
}

/* ---- points ---- */

static int better_first(const void *a, const void *b)
{
	const struct result *x = *(const struct result *const *)a;
	const struct result *y = *(const struct result *const *)b;
	double d = (x->median - y->median) * result_direction(x);

	return (d < 0) - (d > 0);
}

/* The metrics of a row lie one below the other, so that no bar hides another. */
static double shift(unsigned metric, unsigned metrics)
{
	return 0.4 * (metrics - 1 - 2.0 * metric) / metrics;
}

/* A point in its row, with its bar. */
static void put_point(FILE *s, const struct result *r, double row,
		      struct range *range)
{
	fprintf(s, "%.9g %.9g %.9g %.9g %lu\n", r->median, row, bar_low(r),
		bar_high(r), strtoul(colour(r) + 1, NULL, 16));
	extend(range, bar_low(r));
	extend(range, bar_high(r));
}

/* The metrics of a case that share the first one's unit. */
static unsigned metrics_in(const struct results *all, unsigned group,
			   const struct result **metric)
{
	unsigned n = 0, i;

	for (unsigned k = 0; k < all->count; k++) {
		const struct result *r = &all->r[k];

		if (r->group != group || !drawable(r) ||
		    (n && strcmp(r->unit, metric[0]->unit) != 0))
			continue;
		for (i = 0; i < n; i++)
			if (strcmp(metric[i]->metric, r->metric) == 0)
				break;
		if (i == n && n < POINTS_MAX)
			metric[n++] = r;
	}
	return n;
}

static bool draw_points(FILE *page, const struct results *all,
			const struct result **metric, unsigned metrics,
			const struct result **row, unsigned rows)
{
	static const unsigned points[] = {7, 9, 5, 13, 11};
	struct range range = {INFINITY, 0};
	FILE *s = gnuplot_begin(WIDTH, 90 + rows * (metrics > 1 ? 28 : 21));
	const struct result *r;

	for (unsigned m = 0; m < metrics; m++) {
		fprintf(s, "$d%u << EOD\n", m);
		for (unsigned i = 0; i < rows; i++) {
			r = results_find(all, row[i]->group, row[i]->peer,
					 metric[m]->metric, "");
			if (r && drawable(r))
				put_point(s, r, rows - i + shift(m, metrics),
					  &range);
		}
		fputs("EOD\n", s);
	}
	air(&range);
	log_scale(s, 'x', range.low, range.high, metric[0]->unit);
	fprintf(s, "set yrange [0.4:%u.6]\nset ytics (", rows);
	for (unsigned i = 0; i < rows; i++)
		gnuplot_tic(s, i == 0, row[i]->peer, rows - i);
	fputs(")\n", s);
	for (unsigned i = 0; i < rows; i++)
		if (ours(row[i]))
			fprintf(s,
				"set object rectangle from graph 0, first %u.5 "
				"to graph 1, first %u.5 fc rgb '#fdecec' "
				"fs solid noborder behind\n",
				rows - i - 1, rows - i);
	fputs("set border 3\nset tics nomirror\n"
	      "set key outside top center horizontal samplen 1\n"
	      "set grid lt 1 lw 1 lc rgb '#dddddd'\nplot ",
	      s);
	for (unsigned m = 0; m < metrics; m++) {
		fprintf(s,
			"$d%u using 1:2:3:4:5 with xerrorbars pt %u ps 0.8 lw 1.5 "
			"lc rgb variable notitle, NaN with points pt %u "
			"lc rgb '#444444' title ",
			m, points[m % 5], points[m % 5]);
		gnuplot_string(s, metric[m]->metric);
		fputs(m + 1 < metrics ? ", \\\n\t" : "\n", s);
	}
	return gnuplot_end(s, page);
}

static bool points_of_case(FILE *page, const struct results *all,
			   unsigned group)
{
	const struct result *metric[POINTS_MAX], *row[POINTS_MAX];
	unsigned metrics = metrics_in(all, group, metric), rows = 0;
	bool good;

	for (unsigned i = 0; metrics && i < all->count; i++) {
		const struct result *r = &all->r[i];

		if (r->group == group && drawable(r) && last(all, r) &&
		    strcmp(r->metric, metric[0]->metric) == 0 &&
		    rows < POINTS_MAX)
			row[rows++] = r;
	}
	if (rows < 2)
		return true;
	qsort(row, rows, sizeof(row[0]), better_first);
	caption(page, row[0], NULL, NULL);
	good = draw_points(page, all, metric, metrics, row, rows);
	fputs("</figure>\n", page);
	return good;
}

bool plots_write(FILE *page, const struct results *all, const char *workload)
{
	bool drawn[all->groups], good = true;

	memset(drawn, 0, sizeof(drawn));
	for (size_t i = 0; i < sizeof(plans) / sizeof(*plans) && good; i++)
		if (strcmp(plans[i].workload, workload) == 0)
			good = all_lines(page, all, &plans[i], drawn);
	for (unsigned i = 0; i < all->count && good; i++) {
		const struct result *r = &all->r[i];

		if (strcmp(r->workload, workload) != 0 || drawn[r->group])
			continue;
		drawn[r->group] = true;
		good = points_of_case(page, all, r->group);
	}
	return good;
}
