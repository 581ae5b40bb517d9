/* SPDX-License-Identifier: MIT */
/*
 * A run's results as one HTML page that needs nothing else: style and pictures
 * are part of it. Beside it go the lines that it was made from; each figure on
 * the page tells the number of its line when the pointer rests on it, and the
 * lines stand at the end of the page as well.
 *
 * Ahead: a peer is, where the median of the ratios forkring / peer is below 1
 * for a rate, or above 1 for a time or a cost. Peers named raw... and
 * no-queue pass no messages: they show what the machine can do, and are told
 * apart.
 */
#include "html.h"

#include "bench.h"
#include "gnuplot.h"
#include "plots.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define US     "forkring"
#define LINES  "results.json"
#define FALLEN 50 /* times slower than itself with other processes */

static const char style[] =
	"body{font:15px/1.45 sans-serif;color:#1a1a1a;background:#fff;"
	"max-width:1000px;margin:1.5em auto;padding:0 10px}\n"
	"h1{font-size:1.6em}h2{margin-top:2em;border-bottom:2px solid #ddd}\n"
	"table{border-collapse:collapse;margin:.6em 0 1.6em}\n"
	"caption{text-align:left;font-weight:bold;padding:.3em 0}\n"
	"td,th{padding:.2em .7em;text-align:right;vertical-align:top;"
	"border-bottom:1px solid #e4e4e4;font-variant-numeric:tabular-nums}\n"
	"th{border-bottom:2px solid #999}\n"
	"td.w,th.w{text-align:left}td.n,small{white-space:nowrap}\n"
	"td[title]{cursor:help}\n"
	"small{color:#555}\n"
	"tr.us td{background:#fdecec;font-weight:bold}\n"
	"td.behind{background:#fff0c2}\n"
	"table.wide{font-size:12px}table.wide *{padding:.2em .3em}\n"
	"figure{margin:1em 0 2em}figcaption{font-weight:bold}\n"
	"figcaption a{font-weight:normal}\n"
	"svg{max-width:100%;height:auto}svg text{font-family:sans-serif}\n"
	"dt{font-weight:bold}dd{margin:0 0 .5em 2em}\n"
	"ol.lines{font:12px/1.4 monospace;word-break:break-all}\n";

void html_text(FILE *f, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", f);
			break;
		case '<':
			fputs("&lt;", f);
			break;
		case '>':
			fputs("&gt;", f);
			break;
		case '"':
			fputs("&quot;", f);
			break;
		case '\'':
			fputs("&#39;", f);
			break;
		default:
			fputc(*text, f);
		}
	}
}

/* ---- what the results say ---- */

static bool is_us(const struct result *r)
{
	return strcmp(r->peer, US) == 0;
}

static bool is_limit(const struct result *r)
{
	return strncmp(r->peer, "raw", 3) == 0 ||
	       strcmp(r->peer, "no-queue") == 0;
}

/* A figure of the case; not a ratio, nor the canary, and the last of its kind. */
static bool is_figure(const struct results *all, const struct result *r)
{
	return !*r->versus && strncmp(r->metric, "line_", 5) != 0 &&
	       results_find(all, r->group, r->peer, r->metric, "") == r;
}

/* Of the metric that ratios are of. */
static bool is_main(const struct results *all, const struct result *r)
{
	for (unsigned i = 0; i < all->count; i++)
		if (all->r[i].group == r->group && is_figure(all, &all->r[i]))
			return strcmp(all->r[i].metric, r->metric) == 0;
	return false;
}

static bool is_bad(const struct result *r)
{
	return *r->outcome && strcmp(r->outcome, "ok") != 0;
}

/* In which round, which is the last one. */
static void outcome_words(FILE *f, const struct result *r)
{
	double rounds = json_number_value(json_object_get(r->json, "rounds"));

	html_text(f, r->outcome);
	fprintf(f, " in round %.0f", rounds + 1);
}

/* forkring / peer; min NaN: there are no rounds to tell. */
struct ratio {
	double median, min, max;
	char from[64]; /* which lines it is from */
};

static bool ratio_of(const struct results *all, const struct result *us,
		     const struct result *peer, struct ratio *ret)
{
	const struct result *line =
		results_find(all, us->group, US, "ratio", peer->peer);
	double v[ROUNDS_MAX];
	struct summary s;
	unsigned n = 0;

	if (line && is_main(all, us)) {
		*ret = (struct ratio){line->median, line->min, line->max, ""};
		snprintf(ret->from, sizeof(ret->from), "line %u", line->line);
		return isfinite(line->median);
	}
	for (unsigned i = 0; i < ROUNDS_MAX; i++) {
		v[n] = result_round(us, i) / result_round(peer, i);
		n += isfinite(v[n]);
	}
	*ret = (struct ratio){us->median / peer->median, NAN, NAN, ""};
	snprintf(ret->from, sizeof(ret->from), "from lines %u and %u", us->line,
		 peer->line);
	if (n) {
		s = summarise(v, n);
		ret->median = s.median;
		ret->min = s.min;
		ret->max = s.max;
	}
	return isfinite(ret->median);
}

/* How many times better forkring is: below 1 the peer is ahead. */
static double advantage(const struct result *us, const struct ratio *ratio)
{
	return result_direction(us) > 0 ? ratio->median : 1 / ratio->median;
}

/* ---- pieces ---- */

static void words_of(FILE *f, const struct result *r)
{
	char text[400];

	fprintf(f, "<a href=\"#case-%u\">", r->group);
	html_text(f, case_words(r, NULL, text, sizeof(text)));
	fputs("</a>", f);
}

static void figure_cell(FILE *f, const struct result *r)
{
	const json_t *p99;
	char text[64];

	if (!r) {
		fputs("<td></td>", f);
		return;
	}
	p99 = json_object_get(r->json, "p99");
	fprintf(f, "<td title=\"line %u of " LINES, r->line);
	if (isfinite(r->median)) {
		fprintf(f, ": %.7g, %.7g to %.7g ", r->median, r->min, r->max);
		html_text(f, r->unit);
	}
	fputs("\">", f);
	html_text(f, figure_words(r->median, r->unit, text, sizeof(text)));
	if (isfinite(r->min) && isfinite(r->max) && r->min < r->max) {
		fputs(" <small>(", f);
		html_text(f, figure_words(r->min, r->unit, text, sizeof(text)));
		fputs(" .. ", f);
		html_text(f, figure_words(r->max, r->unit, text, sizeof(text)));
		fputs(")</small>", f);
	}
	if (json_is_number(p99)) {
		fputs(" <small>p99 ", f);
		html_text(f, figure_words(json_number_value(p99), r->unit, text,
					  sizeof(text)));
		fputs("</small>", f);
	}
	fputs("</td>", f);
}

static int digits(double ratio)
{
	return ratio < 0.1 ? 3 : ratio < 10 ? 2 : ratio < 100 ? 1 : 0;
}

static void ratio_cell(FILE *f, const struct result *us,
		       const struct ratio *ratio)
{
	fprintf(f, "<td%s title=\"%s of " LINES ": %.7g\">%.*f",
		result_direction(us) && advantage(us, ratio) < 1
			? " class=\"behind\""
			: "",
		ratio->from, ratio->median, digits(ratio->median),
		ratio->median);
	if (isfinite(ratio->min) && isfinite(ratio->max))
		fprintf(f, " <small>(%.*f .. %.*f)</small>", digits(ratio->min),
			ratio->min, digits(ratio->max), ratio->max);
	fputs("</td>", f);
}

/* ---- head and method ---- */

static void fact(FILE *f, const char *name, const char *value)
{
	if (!value || !*value)
		return;
	fprintf(f, "<tr><td class=\"w\">%s</td><td class=\"w\">", name);
	html_text(f, value);
	fputs("</td></tr>\n", f);
}

static void write_head(FILE *f, const struct page *page,
		       const struct results *all)
{
	const struct result *r = all->r;
	time_t now = time(NULL);
	struct tm tm = {0};
	char text[300], date[64];

	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%Y-%m-%d %H:%M UTC", &tm);
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
	      "<meta charset=\"utf-8\">\n<title>forkring-bench, commit ",
	      f);
	html_text(f, result_field(r, "commit", text, sizeof(text)));
	fprintf(f,
		"</title>\n<style>\n%s</style>\n</head>\n<body>\n"
		"<h1>forkring and others at the same work</h1>\n<table>\n",
		style);
	fact(f, "Machine", result_field(r, "cpu", text, sizeof(text)));
	fact(f, "Kernel", result_field(r, "kernel", text, sizeof(text)));
	fact(f, "Governor", result_field(r, "governor", text, sizeof(text)));
	fact(f, "Commit", result_field(r, "commit", text, sizeof(text)));
	fact(f, "Page made", date);
	fact(f, "Command", page->command);
	fact(f, "Measured", page->how);
	fputs("</table>\n<p>", f);
	fputs("<a href=\"#method\">Method</a> &middot; "
	      "<a href=\"#summary\">Summary</a> &middot; "
	      "<a href=\"#ahead\">Where a peer is ahead</a> &middot; "
	      "<a href=\"#bad\">What went wrong</a> &middot; "
	      "<a href=\"#plots\">Plots</a> &middot; "
	      "<a href=\"#tables\">Tables</a> &middot; "
	      "<a href=\"#peers\">Peers</a> &middot; "
	      "<a href=\"#lines\">Lines</a></p>\n",
	      f);
}

static const char method[] =
	"<h2 id=\"method\">Method</h2>\n"
	"<p>The peers take turns in each case (A B C A B C &hellip;), each "
	"turn with processes of its own and a warm-up. A figure is the median "
	"of the rounds; in brackets stand the least and the greatest. A ratio "
	"is taken of two turns of the same round, forkring / peer, and the "
	"median of these is shown: for rates above 1 is good for forkring, for "
	"times and costs below 1. Percentiles are of all round trips of a "
	"turn, and the median of these is shown. Open-loop latency counts from "
	"when a message was meant to be sent, even where it had to wait.</p>\n"
	"<p>Every payload is written and read in full, its sum is checked, and "
	"so is the sequence of each sender's messages: a peer that loses, "
	"repeats or tears one has failed. What does not end in time is ended, "
	"and told of here.</p>\n"
	"<p>On virtual machines two CPUs can move apart between two turns. "
	"Where a bare cache line's round trip was taken before and after a "
	"case, as a canary, it stands with its table.</p>\n"
	"<p>Each figure is from one line of " LINES ", beside this page: its "
	"number shows when the pointer rests on the figure. The lines also "
	"stand <a href=\"#lines\">at the end</a>. What is unfair about a "
	"comparison stands <a href=\"#peers\">with the peers</a>.</p>\n";

/* ---- summary ---- */

struct tally {
	unsigned cases, ahead;
	double closest; /* advantage over who comes closest */
	const struct result *who;
	struct ratio ratio; /* of that */
	double pipe_min, pipe_max;
};

/* Our main figure in a case, if there is one. */
static const struct result *ours_in(const struct results *all, unsigned group)
{
	for (unsigned i = 0; i < all->count; i++) {
		const struct result *r = &all->r[i];

		if (r->group == group && is_us(r) && is_figure(all, r) &&
		    is_main(all, r))
			return result_direction(r) ? r : NULL;
	}
	return NULL;
}

static void add_case(struct tally *t, const struct results *all,
		     const struct result *us)
{
	double least = INFINITY, times;
	struct ratio ratio;

	for (unsigned i = 0; i < all->count; i++) {
		const struct result *r = &all->r[i];

		if (r->group != us->group || is_us(r) || is_limit(r) ||
		    !is_figure(all, r) || strcmp(r->metric, us->metric) != 0 ||
		    !ratio_of(all, us, r, &ratio))
			continue;
		times = advantage(us, &ratio);
		least = fmin(least, times);
		if (times < t->closest) {
			t->closest = times;
			t->who = r;
			t->ratio = ratio;
		}
		if (strcmp(r->peer, "pipe") == 0) {
			t->pipe_min = fmin(t->pipe_min, times);
			t->pipe_max = fmax(t->pipe_max, times);
		}
	}
	if (isinf(least))
		return;
	t->cases++;
	t->ahead += least >= 1;
}

static struct tally tally_of(const struct results *all, const char *workload)
{
	struct tally t = {.closest = INFINITY, .pipe_min = INFINITY};

	for (unsigned group = 0; group < all->groups; group++) {
		const struct result *us = ours_in(all, group);

		if (us && strcmp(us->workload, workload) == 0)
			add_case(&t, all, us);
	}
	return t;
}

/* Workload by workload, in the order of the lines: the first of each. */
static bool is_first(const struct results *all, unsigned i)
{
	for (unsigned k = 0; k < i; k++)
		if (strcmp(all->r[k].workload, all->r[i].workload) == 0)
			return false;
	return true;
}

static void tally_row(FILE *f, const char *workload, const struct tally *t)
{
	fputs("<tr><td class=\"w\">", f);
	html_text(f, workload);
	fprintf(f, "</td><td>%u</td><td%s>%u</td>", t->cases,
		t->ahead < t->cases ? " class=\"behind\"" : "", t->ahead);
	fprintf(f, "<td title=\"%s of " LINES "\">%.*f</td><td class=\"w\">",
		t->ratio.from, digits(t->closest), t->closest);
	html_text(f, t->who->peer);
	fputs(", ", f);
	words_of(f, t->who);
	if (t->pipe_max > 0)
		fprintf(f, "</td><td class=\"n\">%.*f .. %.*f</td></tr>\n",
			digits(t->pipe_min), t->pipe_min, digits(t->pipe_max),
			t->pipe_max);
	else
		fputs("</td><td>-</td></tr>\n", f);
}

static void write_summary(FILE *f, const struct results *all)
{
	unsigned cases = 0, ahead = 0;

	fputs("<h2 id=\"summary\">Summary</h2>\n<table>\n"
	      "<tr><th class=\"w\">Workload</th><th>Cases</th>"
	      "<th>forkring ahead<br>of all peers</th>"
	      "<th>Times better,<br>at least</th>"
	      "<th class=\"w\">than</th><th>Times better<br>than pipe</th>"
	      "</tr>\n",
	      f);
	for (unsigned i = 0; i < all->count; i++) {
		struct tally t;

		if (!is_first(all, i))
			continue;
		t = tally_of(all, all->r[i].workload);
		if (t.cases)
			tally_row(f, all->r[i].workload, &t);
		cases += t.cases;
		ahead += t.ahead;
	}
	fprintf(f,
		"</table>\n<p>By the first metric of each case, forkring is "
		"ahead of every peer that does the same work in %u of %u "
		"cases.</p>\n",
		ahead, cases);
}

/* ---- where a peer is ahead ---- */

static unsigned ahead_rows(FILE *f, const struct results *all, bool limits)
{
	const struct result *us;
	struct ratio ratio;
	unsigned rows = 0, group = all->groups;

	for (unsigned i = 0; i < all->count; i++) {
		const struct result *r = &all->r[i];

		if (is_us(r) || is_limit(r) != limits || !is_figure(all, r) ||
		    !result_direction(r))
			continue;
		us = results_find(all, r->group, US, r->metric, "");
		if (!us || !ratio_of(all, us, r, &ratio) ||
		    advantage(us, &ratio) >= 1)
			continue;
		if (rows++ == 0)
			fputs("<table>\n<tr><th class=\"w\">Case</th>"
			      "<th class=\"w\">Metric</th>"
			      "<th class=\"w\">Peer</th><th>forkring</th>"
			      "<th>peer</th><th>forkring / peer</th></tr>\n",
			      f);
		fputs("<tr><td class=\"w\">", f);
		if (r->group != group)
			words_of(f, r);
		group = r->group;
		fputs("</td><td class=\"w\">", f);
		html_text(f, r->metric);
		fputs("</td><td class=\"w n\">", f);
		html_text(f, r->peer);
		fputs("</td>", f);
		figure_cell(f, us);
		figure_cell(f, r);
		ratio_cell(f, us, &ratio);
		fputs("</tr>\n", f);
	}
	if (rows)
		fputs("</table>\n", f);
	return rows;
}

static void write_ahead(FILE *f, const struct results *all)
{
	fputs("<h2 id=\"ahead\">Where a peer is ahead</h2>\n"
	      "<p>Every case and metric whose ratio is on the wrong side of 1, "
	      "be it by little.</p>\n",
	      f);
	if (ahead_rows(f, all, false) == 0)
		fputs("<p>None.</p>\n", f);
	fputs("<h3>Against what the machine can do</h3>\n"
	      "<p>Peers named raw and no-queue pass no messages. They are "
	      "limits, to be near to.</p>\n",
	      f);
	if (ahead_rows(f, all, true) == 0)
		fputs("<p>None.</p>\n", f);
}

/* ---- what went wrong ---- */

/* The same peer's best in cases that differ in the number of processes only, if
 * that is far better. */
static const struct result *fallen_from(const struct results *all,
					const struct result *r)
{
	const struct result *best = NULL;
	char *key = NULL, *other;

	if (result_direction(r) <= 0)
		return NULL;
	for (unsigned i = 0; i < all->count; i++) {
		const struct result *o = &all->r[i];

		if (o->who != r->who || !is_figure(all, o) ||
		    strcmp(o->metric, r->metric) != 0 ||
		    !(o->median >
		      fmax(FALLEN * r->median, best ? best->median : 0)))
			continue;
		if (!key)
			key = case_key(r->json, "producers", "workers");
		other = case_key(o->json, "producers", "workers");
		if (key && other && strcmp(key, other) == 0)
			best = o;
		free(other);
	}
	free(key);
	return best;
}

static void write_bad(FILE *f, const struct results *all)
{
	char text[64];
	unsigned rows = 0;

	fputs("<h2 id=\"bad\">What failed, wedged or fell</h2>\n<table>\n", f);
	for (unsigned i = 0; i < all->count; i++) {
		const struct result *r = &all->r[i], *best = NULL;

		if (!is_figure(all, r) || !is_main(all, r))
			continue;
		if (!is_bad(r))
			best = fallen_from(all, r);
		if (!is_bad(r) && !best)
			continue;
		rows++;
		fputs("<tr><td class=\"w n\">", f);
		html_text(f, r->peer);
		fputs("</td><td class=\"w\">", f);
		words_of(f, r);
		fprintf(f,
			"</td><td class=\"w\" title=\"line %u of " LINES "\">",
			r->line);
		if (best) {
			fputs("fell to ", f);
			html_text(f, figure_words(r->median, r->unit, text,
						  sizeof(text)));
			fprintf(f,
				" from <span title=\"line %u of " LINES "\">",
				best->line);
			html_text(f, figure_words(best->median, best->unit,
						  text, sizeof(text)));
			fputs("</span> in: ", f);
			words_of(f, best);
		} else {
			outcome_words(f, r);
		}
		fputs("</td></tr>\n", f);
	}
	fputs("</table>\n", f);
	if (rows == 0)
		fputs("<p>Nothing.</p>\n", f);
}

/* ---- plots ---- */

static bool write_plots(FILE *f, const struct results *all)
{
	bool good = true;

	fputs("<h2 id=\"plots\">Plots</h2>\n<p>Medians of the rounds; a bar "
	      "goes from the least to the greatest. All scales of figures are "
	      "logarithmic; what is 0 is not drawn.</p>\n",
	      f);
	for (unsigned i = 0; i < all->count && good; i++)
		if (is_first(all, i))
			good = plots_write(f, all, all->r[i].workload);
	return good;
}

/* ---- tables ---- */

/* The canary, if it was taken. */
static void canary(FILE *f, const struct results *all, unsigned group)
{
	const struct result *of[] = {
		results_find(all, group, "raw", "line_before", ""),
		results_find(all, group, "raw", "line_after", ""),
	};
	static const char *const when[] = {"before", "after"};

	for (unsigned i = 0; i < 2; i++)
		if (of[i])
			fprintf(f,
				"%s<span title=\"line %u of " LINES
				": %.7g ns\">%.0f ns %s</span>",
				i && of[0] ? ", "
					   : "<br><small>a cache line's round "
					     "trip: ",
				of[i]->line, of[i]->median, of[i]->median,
				when[i]);
	if (of[0] && of[1] &&
	    fabs(log(of[0]->median / of[1]->median)) > log(1.3))
		fputs("; the CPUs moved apart: measure again", f);
	if (of[0] || of[1])
		fputs("</small>", f);
}

/* us: what the others are compared with, or NULL. */
static void peer_row(FILE *f, const struct results *all,
		     const struct result *us, const struct result *main,
		     const struct result **metric, unsigned metrics)
{
	struct ratio ratio;

	fprintf(f, "<tr%s><td class=\"w\">",
		is_us(main) ? " class=\"us\"" : "");
	html_text(f, main->peer);
	fputs("</td>", f);
	for (unsigned i = 0; i < metrics; i++)
		figure_cell(f, results_find(all, main->group, main->peer,
					    metric[i]->metric, ""));
	if (us && !is_us(main) && ratio_of(all, us, main, &ratio))
		ratio_cell(f, us, &ratio);
	else if (us)
		fputs("<td></td>", f);
	fputs("<td class=\"w\">", f);
	if (is_bad(main))
		outcome_words(f, main);
	fputs("</td></tr>\n", f);
}

/* One of each metric, and of each peer, of a case. */
static unsigned kinds(const struct results *all, unsigned group,
		      const struct result **ret, unsigned max, bool of_peers)
{
	unsigned n = 0, k;

	for (unsigned i = 0; i < all->count && n < max; i++) {
		const struct result *r = &all->r[i];

		if (r->group != group || !is_figure(all, r))
			continue;
		for (k = 0; k < n; k++)
			if (of_peers ? ret[k]->who == r->who
				     : !strcmp(ret[k]->metric, r->metric))
				break;
		if (k == n)
			ret[n++] = r;
	}
	return n;
}

static void write_case(FILE *f, const struct results *all, unsigned group)
{
	const struct result *metric[64], *peer[256], *us;
	unsigned metrics = kinds(all, group, metric, 64, false);
	unsigned n = kinds(all, group, peer, 256, true);
	char text[400];

	if (metrics == 0)
		return;
	us = n > 1 ? results_find(all, group, US, metric[0]->metric, "") : NULL;
	fprintf(f, "<table id=\"case-%u\"%s>\n<caption>", group,
		metrics > 4 ? " class=\"wide\"" : "");
	html_text(f, case_words(metric[0], NULL, text, sizeof(text)));
	canary(f, all, group);
	fputs("</caption>\n<tr><th class=\"w\"></th>", f);
	for (unsigned i = 0; i < metrics; i++) {
		fputs("<th>", f);
		html_text(f, metric[i]->metric);
		fputs("</th>", f);
	}
	fputs(us ? "<th>forkring / peer</th><th></th></tr>\n"
		 : "<th></th></tr>\n",
	      f);
	for (unsigned i = 0; i < n; i++)
		peer_row(f, all, us, peer[i], metric, metrics);
	fputs("</table>\n", f);
}

static void write_tables(FILE *f, const struct results *all)
{
	fputs("<h2 id=\"tables\">Tables</h2>\n<p>The ratio is of the first "
	      "metric of a table; on a darker ground where the peer is "
	      "ahead.</p>\n",
	      f);
	for (unsigned i = 0; i < all->count; i++) {
		if (!is_first(all, i))
			continue;
		fputs("<h3>", f);
		html_text(f, all->r[i].workload);
		fputs("</h3>\n", f);
		for (unsigned group = 0, k = i; k < all->count; k++) {
			if (all->r[k].group < group ||
			    strcmp(all->r[k].workload, all->r[i].workload) != 0)
				continue;
			group = all->r[k].group + 1;
			write_case(f, all, all->r[k].group);
		}
	}
}

/* ---- peers and lines ---- */

static void write_peers(FILE *f, const struct page *page,
			const struct results *all)
{
	const struct result *peer[256];
	unsigned n = 0;

	fputs("<h2 id=\"peers\">Peers, and what is unfair about them</h2>\n"
	      "<dl>\n",
	      f);
	for (unsigned i = 0; i < all->count && n < 256; i++)
		if (all->r[i].who == n)
			peer[n++] = &all->r[i];
	for (unsigned i = 0; i < n; i++) {
		const char *note = "(not a peer of this build)";

		for (unsigned k = 0; page->peers[k]; k++)
			if (strcmp(page->peers[k]->name, peer[i]->peer) == 0)
				note = page->peers[k]->note;
		fputs("<dt>", f);
		html_text(f, peer[i]->peer);
		fputs("</dt><dd>", f);
		html_text(f, note);
		fputs("</dd>\n", f);
	}
	fputs("</dl>\n", f);
}

static void write_lines(FILE *f, const struct results *all)
{
	fprintf(f,
		"<h2 id=\"lines\">Lines</h2>\n<details><summary>All %u lines "
		"of <a href=\"" LINES "\">" LINES "</a></summary>\n"
		"<ol class=\"lines\">\n",
		all->count);
	for (unsigned i = 0; i < all->count; i++) {
		fprintf(f, "<li value=\"%u\">", all->r[i].line);
		html_text(f, all->r[i].text);
		fputs("</li>\n", f);
	}
	fputs("</ol></details>\n</body>\n</html>\n", f);
}

/* ---- the files ---- */

static FILE *open_in(const char *dir, const char *name, const char *mode)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, mode);
	if (!f)
		fprintf(stderr,
			"forkring-bench: cannot write %s: %s: give "
			"--report a directory that can be written\n",
			path, strerror(errno));
	return f;
}

static bool close_in(const char *dir, const char *name, FILE *f)
{
	bool bad = ferror(f);

	if (fclose(f) == 0 && !bad)
		return true;
	fprintf(stderr, "forkring-bench: %s/%s is not complete: %s\n", dir,
		name, strerror(errno));
	return false;
}

bool html_ready(const char *dir)
{
	FILE *f;

	if (mkdir(dir, 0777) < 0 && errno != EEXIST) {
		fprintf(stderr,
			"forkring-bench: cannot make %s: %s: give "
			"--report a directory that can be written\n",
			dir, strerror(errno));
		return false;
	}
	f = open_in(dir, LINES, "ae");
	if (!f)
		return false;
	fclose(f);
	return gnuplot_ready();
}

bool html_write(const struct page *page, const struct results *all)
{
	FILE *f = open_in(page->dir, LINES, "we");
	bool good;

	if (!f)
		return false;
	for (unsigned i = 0; i < all->count; i++)
		fprintf(f, "%s\n", all->r[i].text);
	if (!close_in(page->dir, LINES, f))
		return false;
	f = open_in(page->dir, "index.html", "we");
	if (!f)
		return false;
	write_head(f, page, all);
	fputs(method, f);
	write_summary(f, all);
	write_ahead(f, all);
	write_bad(f, all);
	good = write_plots(f, all);
	write_tables(f, all);
	write_peers(f, page, all);
	write_lines(f, all);
	return close_in(page->dir, "index.html", f) && good;
}
