/* SPDX-License-Identifier: MIT */
/*
 * The table on the terminal and the JSON lines. Each figure is the median over
 * the rounds, with the least and the greatest. A ratio is taken round by round,
 * of trials that ran one after the other, and the median of those is shown:
 * base (forkring where it took part) / peer. Above 1 is good for rates, below 1
 * for latencies.
 */
#include "bench.h"

#include <math.h>
#include <string.h>

static const char *const placement_names[] = {
	[UNPINNED] = "none",
	[CROSS] = "cross",
	[SAME] = "same",
};

static const char *const outcome_names[] = {
	[DONE] = "ok",
	[FAILED] = "failed",
	[WEDGED] = "wedged",
};

/* ---- figures ---- */

/* One of each round. */
struct values {
	unsigned n;
	double v[ROUNDS_MAX];
};

static struct values values_of(const struct series *s, unsigned metric)
{
	struct values ret = {.n = s->rounds};

	for (unsigned i = 0; i < s->rounds; i++)
		ret.v[i] = s->sample[i].value[metric];
	return ret;
}

static struct summary of_metric(const struct series *s, unsigned metric)
{
	struct values v = values_of(s, metric);

	return summarise(v.v, v.n);
}

static double share_of(const struct series *s, unsigned producer)
{
	double v[ROUNDS_MAX];

	for (unsigned i = 0; i < s->rounds; i++)
		v[i] = s->sample[i].share[producer];
	return summarise(v, s->rounds).median;
}

/* Of the rounds that both have; n 0: none, or a peer that did nothing. */
static struct values ratios(const struct series *base, const struct series *s)
{
	struct values ret = {0};

	for (unsigned i = 0; i < base->rounds && i < s->rounds; i++) {
		ret.v[i] = base->sample[i].value[0] / s->sample[i].value[0];
		if (!isfinite(ret.v[i]))
			return (struct values){0};
		ret.n = i + 1;
	}
	return ret;
}

/* ---- the table ---- */

static const char *duration(double ns, char *text, size_t size)
{
	if (ns < 9999.5)
		snprintf(text, size, "%.*f ns", ns < 99.95 ? 1 : 0, ns);
	else if (ns < 9999.5e3)
		snprintf(text, size, "%.*f us", ns < 999.5e3 ? 1 : 0, ns / 1e3);
	else
		snprintf(text, size, "%.1f ms", ns / 1e6);
	return text;
}

static const char *figure(const struct metric *m, double v, char *text,
			  size_t size)
{
	if (strcmp(m->unit, "ns") == 0)
		return duration(v, text, size);
	if (strcmp(m->unit, "fraction") == 0)
		snprintf(text, size, "%.4f %%", 100 * v);
	else if (strcmp(m->unit, "bytes") == 0)
		snprintf(text, size, "%.1f KiB", v / 1024);
	else if (strcmp(m->unit, "bytes/s") == 0)
		snprintf(text, size, "%.2f GB/s", v / 1e9);
	else if (v >= 1e6)
		snprintf(text, size, "%.2f M/s", v / 1e6);
	else if (v >= 1e4)
		snprintf(text, size, "%.1f k/s", v / 1e3);
	else
		snprintf(text, size, "%.0f /s", v);
	return text;
}

static void print_shares(const struct bench_case *c, const struct series *s)
{
	printf("    each producer's share, %%:");
	for (unsigned i = 0; i < c->producers; i++)
		printf("%s%5.1f", i % 8 || c->producers <= 8 ? "" : "\n     ",
		       100 * share_of(s, i));
	printf("\n");
}

/* Of a wedged one the rate that it had fallen to, 0: it stood still. */
static double fell_to(const struct series *s)
{
	return s->outcome == WEDGED ? s->sample[s->rounds].fell_to : 0;
}

static void print_outcome(const struct series *s)
{
	if (fell_to(s) > 0)
		printf("  fell to %.0f /s", fell_to(s));
	else if (s->outcome != DONE)
		printf("  %s", outcome_names[s->outcome]);
	if (s->outcome != DONE)
		printf(" in round %u", s->rounds + 1);
}

/* Are the other metrics of a case columns of its table? */
static bool columns(const struct bench_case *c)
{
	return c->workload == RTT || c->workload == OPEN;
}

static void print_row(const struct bench_case *c, const struct series *base,
		      const struct series *s)
{
	const struct metric *metrics;
	unsigned n = metrics_of(c->workload, &metrics);
	char a[32], b[32], d[32];
	struct values v;
	struct summary m;

	printf("  %-14s", s->peer->name);
	if (s->rounds) {
		m = of_metric(s, 0);
		printf("%12s%12s%12s", figure(metrics, m.median, a, sizeof(a)),
		       figure(metrics, m.min, b, sizeof(b)),
		       figure(metrics, m.max, d, sizeof(d)));
	}
	for (unsigned i = 1; i < n && s->rounds && columns(c); i++)
		printf("%12s", figure(&metrics[i], of_metric(s, i).median, a,
				      sizeof(a)));
	if (s != base && (v = ratios(base, s)).n) {
		m = summarise(v.v, v.n);
		printf("%8.2f (%.2f .. %.2f)", m.median, m.min, m.max);
	}
	print_outcome(s);
	printf("\n");
	if (c->workload == FANIN && s->rounds)
		print_shares(c, s);
}

/* One peer, and metrics that have little to do with each other. */
static void print_metrics(const struct bench_case *c, const struct series *s)
{
	const struct metric *metrics;
	unsigned n = metrics_of(c->workload, &metrics);
	char a[32], b[32], d[32];
	struct summary m;

	printf("  %-16s%12s%12s%12s\n", s->peer->name, "median", "min", "max");
	for (unsigned i = 0; i < n && s->rounds; i++) {
		m = of_metric(s, i);
		printf("  %-16s%12s%12s%12s\n", metrics[i].name,
		       figure(&metrics[i], m.median, a, sizeof(a)),
		       figure(&metrics[i], m.min, b, sizeof(b)),
		       figure(&metrics[i], m.max, d, sizeof(d)));
	}
	if (s->outcome != DONE) {
		print_outcome(s);
		printf("\n");
	}
}

static void print_peers(const struct bench_case *c, const struct series *series,
			unsigned count)
{
	const struct metric *metrics;
	unsigned n = metrics_of(c->workload, &metrics);

	printf("  %-14s%12s%12s%12s", "", metrics->name, "min", "max");
	for (unsigned i = 1; i < n && columns(c); i++)
		printf("%12s", metrics[i].name);
	if (count > 1)
		printf("   %s / peer", series[0].peer->name);
	printf("\n");
	for (unsigned i = 0; i < count; i++)
		print_row(c, &series[0], &series[i]);
}

static void print_case(const struct bench_case *c, const struct series *series,
		       unsigned count, const struct canary *canary)
{
	char text[128];

	printf("\n%s\n", case_text(c, text, sizeof(text)));
	if (without_queues(c->workload))
		print_metrics(c, series);
	else
		print_peers(c, series, count);
	if (canary->before > 0 && canary->after > 0)
		printf("  (a cache line's round trip: %.0f ns before, %.0f ns "
		       "after%s%s)\n",
		       canary->before, canary->after,
		       canary->repeated ? "; measured a second time, since the "
					  "CPUs had moved"
					: "",
		       canary_moved(canary) ? "; the CPUs moved" : "");
	fflush(stdout);
}

/* ---- JSON ---- */

static void json_key(FILE *f, const char *key)
{
	fprintf(f, ",\"%s\":", key);
}

/* Control bytes and those beyond ASCII as \u00xx: any bytes become JSON. */
static void json_string(FILE *f, const char *key, const char *value)
{
	json_key(f, key);
	fputc('"', f);
	for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
		if (*p == '"' || *p == '\\')
			fprintf(f, "\\%c", *p);
		else if (*p < 0x20 || *p >= 0x7f)
			fprintf(f, "\\u%04x", *p);
		else
			fputc(*p, f);
	}
	fputc('"', f);
}

static void json_number(FILE *f, const char *key, const struct summary *s,
			double value)
{
	json_key(f, key);
	if (s && isfinite(value))
		fprintf(f, "%.7g", value);
	else
		fputs("null", f);
}

static void json_values(FILE *f, const struct values *values)
{
	if (!values)
		return;
	json_key(f, "values");
	fputc('[', f);
	for (unsigned i = 0; i < values->n; i++) {
		fputs(i ? "," : "", f);
		if (isfinite(values->v[i]))
			fprintf(f, "%.7g", values->v[i]);
		else
			fputs("null", f);
	}
	fputc(']', f);
}

/* What a line is about, and under which metric. */
struct line {
	const char *peer;
	const char *versus; /* of a ratio: the other peer */
	enum outcome outcome;
	struct metric metric;
	const struct summary *summary; /* NULL: there is no figure */
	const struct values *values;   /* of the rounds, or NULL */
	const struct series *shares;   /* of a fan-in, or NULL */
	unsigned rounds;
	double fell_to;		   /* 0: it did not */
	bool repeated;		   /* the case */
	const struct times *times; /* of recover, or NULL */
};

static void json_line(const struct report *report, const struct bench_case *c,
		      const struct line *line)
{
	const struct summary *s = line->summary;
	FILE *f = report->json;

	fputs("{\"format\":1", f);
	json_string(f, "peer", line->peer);
	json_string(f, "workload", workload_names[c->workload]);
	json_string(f, "mode", mode_names[c->mode]);
	json_string(f, "style", style_names[c->style]);
	fprintf(f, ",\"size\":%zu,\"producers\":%u,\"workers\":%u", c->size,
		c->producers, c->workers);
	fprintf(f, ",\"task_ns\":%u,\"load\":%u", c->task_ns, c->load);
	fprintf(f, ",\"pinned\":%s", c->placement ? "true" : "false");
	json_string(f, "placement", placement_names[c->placement]);
	if (c->workload == RECOVER)
		json_string(f, "in_hand", loss_names[c->loss]);
	if (c->workload == RECOVER || c->workload == IDLE)
		fprintf(f, ",\"supervisor\":%s",
			c->supervised ? "true" : "false");
	json_string(f, "metric", line->metric.name);
	json_string(f, "unit", line->metric.unit);
	if (line->versus)
		json_string(f, "versus", line->versus);
	json_number(f, "median", s, s ? s->median : 0);
	json_number(f, "min", s, s ? s->min : 0);
	json_number(f, "max", s, s ? s->max : 0);
	if (s && line->shares) {
		json_key(f, "shares");
		for (unsigned i = 0; i < c->producers; i++)
			fprintf(f, "%c%.4f", i ? ',' : '[',
				share_of(line->shares, i));
		fputc(']', f);
	}
	if (c->workload == RECOVER) {
		json_number(f, "p99", s, line->times->p99);
		fprintf(f, ",\"kills\":%u", line->times->count);
	}
	json_values(f, line->values);
	fprintf(f, ",\"rounds\":%u", line->rounds);
	json_string(f, "outcome", outcome_names[line->outcome]);
	if (line->fell_to > 0)
		fprintf(f, ",\"fell_to\":%.7g", line->fell_to);
	if (line->repeated)
		fputs(",\"repeated\":true", f);
	json_string(f, "cpu", report->machine->cpu);
	json_string(f, "governor", report->machine->governor);
	json_string(f, "kernel", report->machine->kernel);
	json_string(f, "commit", report->commit);
	fputs("}\n", f);
}

static void json_series(const struct report *report, const struct bench_case *c,
			const struct series *base, const struct series *s,
			bool repeated)
{
	struct line line = {.peer = s->peer->name,
			    .outcome = s->outcome,
			    .rounds = s->rounds,
			    .fell_to = fell_to(s),
			    .repeated = repeated};
	const struct metric *metrics;
	unsigned n = metrics_of(c->workload, &metrics);
	struct values v;
	struct summary m;

	for (unsigned i = 0; i < n; i++) {
		line.metric = metrics[i];
		line.shares = c->workload == FANIN && i == 0 ? s : NULL;
		if (s->rounds) {
			v = values_of(s, i);
			m = summarise(v.v, v.n);
			line.values = &v;
			line.summary = &m;
		}
		json_line(report, c, &line);
	}
	v = ratios(base, s);
	if (s == base || v.n == 0)
		return;
	m = summarise(v.v, v.n);
	line = (struct line){.peer = base->peer->name,
			     .versus = s->peer->name,
			     .metric = {"ratio", "1"},
			     .summary = &m,
			     .values = &v,
			     .rounds = v.n,
			     .repeated = repeated};
	json_line(report, c, &line);
}

static void json_canary(const struct report *report, const struct bench_case *c,
			const char *name, double ns, bool repeated)
{
	struct summary m = {ns, ns, ns};
	struct line line = {.peer = "raw",
			    .metric = {name, "ns"},
			    .summary = &m,
			    .rounds = 1,
			    .repeated = repeated};

	if (ns > 0)
		json_line(report, c, &line);
}

void report_case(const struct report *report, const struct bench_case *c,
		 const struct series *series, unsigned count,
		 const struct canary *canary)
{
	bool repeated = canary->repeated;

	print_case(c, series, count, canary);
	if (!report->json)
		return;
	for (unsigned i = 0; i < count; i++)
		json_series(report, c, &series[0], &series[i], repeated);
	json_canary(report, c, "line_before", canary->before, repeated);
	json_canary(report, c, "line_after", canary->after, repeated);
	fflush(report->json);
}

/* ---- recover ---- */

/* In the order in which they mostly come. */
static const struct {
	const char *metric, *task, *claim;
} mark_names[MARKS] = {
	[KERNEL] = {"kernel", "another process's SIGCHLD (kernel alone)",
		    "another process's SIGCHLD (kernel alone)"},
	[NOTICED] = {"sigchld", "SIGCHLD in its supervisor",
		     "SIGCHLD in its supervisor"},
	[RECOVERED] = {"recovered", "recovered by its supervisor",
		       "recovered by its supervisor"},
	[PASSED] = {"other_message", "", "another sender's message has come"},
	[BACK] = {"back", "its task's result, from another worker",
		  "a message has come that waited for room"},
	[RESTARTED] = {"restarted", "the worker forked for it has joined",
		       "the sender forked for it has joined"},
};

static void print_recovery(const struct bench_case *c, enum outcome outcome,
			   const struct recovery *recovery)
{
	char a[32], b[32], d[32], text[128];

	printf("\n%s: %u kills\n  %-42s%12s%12s%12s\n",
	       case_text(c, text, sizeof(text)), recovery->kills,
	       "from kill() until", "p50", "p99", "max");
	for (unsigned i = 0; i < MARKS; i++) {
		const struct times *t = &recovery->times[i];

		if (t->count == 0)
			continue;
		printf("  %-42s%12s%12s%12s",
		       c->loss == LOSS_TASK ? mark_names[i].task
					    : mark_names[i].claim,
		       duration(t->p50, a, sizeof(a)),
		       duration(t->p99, b, sizeof(b)),
		       duration(t->max, d, sizeof(d)));
		if (t->count < recovery->kills)
			printf("  (of %u; else the new one was first)",
			       t->count);
		printf("\n");
	}
	if (outcome != DONE)
		printf("  %s\n", outcome_names[outcome]);
	fflush(stdout);
}

void report_recovery(const struct report *report, const struct bench_case *c,
		     enum outcome outcome, const struct recovery *recovery)
{
	print_recovery(c, outcome, recovery);
	for (unsigned i = 0; report->json && i < MARKS; i++) {
		const struct times *t = &recovery->times[i];
		struct summary s = {t->p50, t->min, t->max};
		struct line line = {.peer = i == KERNEL ? "kernel" : "forkring",
				    .outcome = outcome,
				    .metric = {mark_names[i].metric, "ns"},
				    .summary = t->count ? &s : NULL,
				    .rounds = 1,
				    .times = t};

		if (t->count || (i == BACK && outcome != DONE))
			json_line(report, c, &line);
	}
	if (report->json)
		fflush(report->json);
}
