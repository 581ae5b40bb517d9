/* SPDX-License-Identifier: MIT */
/*
 * The cases: what they are called, what they measure, and which of them are the
 * usual ones.
 */
#include "options.h"

#include "solo.h"

#include <stdlib.h>

const char *const workload_names[WORKLOADS] = {
	[STREAM] = "stream", [RTT] = "rtt",	    [FANIN] = "fanin",
	[FARM] = "farm",     [FANOUT] = "fanout",   [MESH] = "mesh",
	[OPEN] = "open",     [IDLE] = "idle",	    [MEMORY] = "memory",
	[NAMES] = "names",   [LIMITS] = "limits",   [RECOVER] = "recover",
};

const char *const mode_names[] = {
	[ADAPTIVE] = "adaptive",
	[SLEEP] = "sleep",
	[POLL] = "poll",
};

const char *const style_names[STYLES] = {
	[SINGLE] = "single",
	[BATCHED] = "batched",
	[IN_PLACE] = "in_place",
};

const char *const loss_names[] = {
	[LOSS_TASK] = "task",
	[LOSS_CLAIM] = "claim",
};

unsigned metrics_of(enum workload workload, const struct metric **ret)
{
	static const struct metric metrics[WORKLOADS][METRICS_MAX] = {
		[STREAM] = {{"rate", "msg/s"}},
		[RTT] = {{"p50", "ns"}, {"p99", "ns"}, {"p99.9", "ns"}},
		[FANIN] = {{"rate", "msg/s"},
			   {"share_min", "fraction"},
			   {"share_max", "fraction"}},
		[FARM] = {{"rate", "task/s"}},
		[FANOUT] = {{"rate", "msg/s"}},
		[MESH] = {{"rate", "msg/s"}},
		[OPEN] = {{"p50", "ns"},
			  {"p99", "ns"},
			  {"p99.9", "ns"},
			  {"offered", "msg/s"}},
		[IDLE] = {{"cpu", "fraction"}},
		[MEMORY] = {{"shared", "bytes"}, {"private", "bytes"}},
		[NAMES] = {{"join_leave", "1/s"},
			   {"lookup", "1/s"},
			   {"lookup_changed", "1/s"}},
		[LIMITS] = {{"cas", "ns"},
			    {"syscall", "ns"},
			    {"copy", "bytes/s"}},
	};
	unsigned n = 0;

	*ret = metrics[workload];
	while (n < METRICS_MAX && metrics[workload][n].name)
		n++;
	return n;
}

/* Who sends to whom, or what it is about. */
static void topology(const struct bench_case *c, char *text, size_t size)
{
	static const char *const styles[STYLES] = {
		[SINGLE] = "",
		[BATCHED] = ", batched",
		[IN_PLACE] = ", in place",
	};
	const char *with = c->supervised ? "with" : "without";

	switch (c->workload) {
	case RTT:
		snprintf(text, size, "1 <-> 1");
		break;
	case FARM:
		snprintf(text, size,
			 c->task_ns ? "1 <-> %u workers, tasks of %g us"
				    : "1 <-> %u workers, empty tasks",
			 c->workers, c->task_ns / 1e3);
		break;
	case FANOUT:
		snprintf(text, size, "1 -> %u", c->workers);
		break;
	case MESH:
		snprintf(text, size, "%u, all to all", c->producers);
		break;
	case OPEN:
		snprintf(text, size, "1 -> 1, at %u %% of its peak", c->load);
		break;
	case IDLE:
		snprintf(text, size, "%u processes, %s a supervisor",
			 c->workers, with);
		break;
	case MEMORY:
		snprintf(text, size, "of each of %u processes", c->workers);
		break;
	case NAMES:
		snprintf(text, size, "joining, leaving, looking up");
		break;
	case LIMITS:
		snprintf(text, size, "one CAS, one system call, a copy of %zu "
				     "bytes to another CPU",
			 c->size);
		break;
	case RECOVER:
		snprintf(text, size, "killed with a %s in hand, %s a "
				     "supervisor",
			 loss_names[c->loss], with);
		break;
	default:
		snprintf(text, size, "%u -> 1%s", c->producers,
			 styles[c->style]);
		break;
	}
}

const char *case_text(const struct bench_case *c, char *text, size_t size)
{
	static const char *const where[] = {
		[UNPINNED] = "not pinned",
		[CROSS] = "across two CPUs",
		[SAME] = "on one CPU",
	};
	const char *name = workload_names[c->workload];
	char who[96];

	topology(c, who, sizeof(who));
	if (c->workload == RECOVER)
		snprintf(text, size, "%s, %zu bytes, %s", name, c->size, who);
	else if (without_queues(c->workload))
		snprintf(text, size, "%s, %s", name, who);
	else
		snprintf(text, size, "%s, %zu bytes, %s, %s, %s", name, c->size,
			 who, where[c->placement], mode_names[c->mode]);
	return text;
}

/* ---- the cases ---- */

static void add(struct cases *cases, const struct choice *ch,
		struct bench_case c)
{
	if (ch->mode >= 0 && c.workload == RTT && c.mode != (enum mode)ch->mode)
		return;
	if (ch->style >= 0 && c.workload == STREAM &&
	    c.style != (enum style)ch->style)
		return;
	if (cases->n == CASES_MAX) {
		fprintf(stderr, "forkring-bench: more than %d cases: choose "
				"fewer\n",
			CASES_MAX);
		exit(EXIT_USAGE);
	}
	cases->c[cases->n++] = c;
}

/* What was chosen, if anything; else the usual ones, fewer with --quick. */
static struct list pick(const struct choice *ch, struct list chosen,
			struct list usual, struct list few)
{
	return chosen.n ? chosen : ch->quick ? few : usual;
}

static void add_stream(struct cases *cases, const struct choice *ch,
		       size_t size)
{
	struct bench_case c = {STREAM, ADAPTIVE, CROSS, size, 1, 0};

	for (c.style = SINGLE; c.style < STYLES; c.style++)
		add(cases, ch, c);
}

static void add_rtt(struct cases *cases, const struct choice *ch, size_t size)
{
	add(cases, ch, (struct bench_case){RTT, POLL, CROSS, size, 1, 0});
	add(cases, ch, (struct bench_case){RTT, SLEEP, CROSS, size, 1, 0});
	add(cases, ch, (struct bench_case){RTT, SLEEP, SAME, size, 1, 0});
}

static void add_fanin(struct cases *cases, const struct choice *ch, size_t size)
{
	const struct list n = pick(ch, ch->producers,
				   (struct list){4, {2, 3, 8, 32}},
				   (struct list){2, {3, 32}});
	struct bench_case c = {FANIN, ADAPTIVE, UNPINNED, size, 0, 0};

	for (unsigned i = 0; i < n.n; i++) {
		c.producers = n.v[i];
		add(cases, ch, c);
	}
}

/* Tasks that take their time are measured with 64 bytes only. */
static void add_farm(struct cases *cases, const struct choice *ch, size_t size)
{
	const struct list empty = {1, {0}};
	const struct list workers = pick(ch, ch->workers,
					 (struct list){3, {2, 4, 16}},
					 (struct list){2, {2, 16}});
	const struct list tasks =
		pick(ch, ch->task_ns,
		     size == 64 ? (struct list){4, {0, 1000, 10000, 1000000}}
				: empty,
		     size == 64 ? (struct list){2, {0, 10000}} : empty);
	struct bench_case c = {FARM, ADAPTIVE, UNPINNED, size, 1, 0};

	for (unsigned i = 0; i < workers.n * tasks.n; i++) {
		c.workers = workers.v[i / tasks.n];
		c.task_ns = tasks.v[i % tasks.n];
		add(cases, ch, c);
	}
}

static void add_fanout(struct cases *cases, const struct choice *ch,
		       size_t size)
{
	const struct list n = pick(ch, ch->workers,
				   (struct list){3, {2, 4, 8}},
				   (struct list){1, {4}});
	struct bench_case c = {FANOUT, ADAPTIVE, UNPINNED, size, 1, 0};

	for (unsigned i = 0; i < n.n; i++) {
		c.workers = n.v[i];
		add(cases, ch, c);
	}
}

static void add_mesh(struct cases *cases, const struct choice *ch, size_t size)
{
	const struct list eight = {1, {8}};
	const struct list n = pick(ch, ch->producers, eight, eight);

	if (n.v[0] > 1)
		add(cases, ch,
		    (struct bench_case){MESH, ADAPTIVE, UNPINNED, size, n.v[0],
					0});
}

static void add_open(struct cases *cases, const struct choice *ch, size_t size)
{
	const struct list loads = pick(ch, ch->load,
				       (struct list){3, {10, 50, 90}},
				       (struct list){1, {50}});
	struct bench_case c = {OPEN, ADAPTIVE, CROSS, size, 1, 0};

	for (unsigned i = 0; i < loads.n; i++) {
		c.load = loads.v[i];
		add(cases, ch, c);
	}
}

static void add_idle(struct cases *cases, const struct choice *ch, size_t size)
{
	struct bench_case c = {IDLE, ADAPTIVE, UNPINNED, size, 0, IDLE_MAX};

	add(cases, ch, c);
	c.supervised = true;
	add(cases, ch, c);
}

static void add_memory(struct cases *cases, const struct choice *ch,
		       size_t size)
{
	add(cases, ch,
	    (struct bench_case){MEMORY, ADAPTIVE, UNPINNED, size, 0, IDLE_MAX});
}

static void add_names(struct cases *cases, const struct choice *ch, size_t size)
{
	add(cases, ch,
	    (struct bench_case){NAMES, ADAPTIVE, UNPINNED, size, 1, 0});
}

static void add_limits(struct cases *cases, const struct choice *ch,
		       size_t size)
{
	add(cases, ch, (struct bench_case){LIMITS, POLL, CROSS, size, 1, 0});
}

static void add_recover(struct cases *cases, const struct choice *ch,
			size_t size)
{
	struct bench_case c = {RECOVER, ADAPTIVE, UNPINNED, size, 0, 0};

	for (unsigned i = 0; i < 4; i++) {
		c.supervised = i < 2;
		c.loss = i % 2 ? LOSS_CLAIM : LOSS_TASK;
		c.producers = c.loss == LOSS_CLAIM ? 3 : 1;
		c.workers = c.loss == LOSS_TASK ? 2 : 0;
		add(cases, ch, c);
	}
}

void cases_choose(struct cases *cases, const struct choice *ch)
{
	static const struct {
		void (*add)(struct cases *, const struct choice *, size_t);
		struct list sizes, few;
		bool fixed; /* whatever sizes are chosen */
	} of[WORKLOADS] = {
		[STREAM] = {add_stream,
			    {6, {8, 64, 256, 1024, 4096, 65536}},
			    {2, {64, 4096}}},
		[RTT] = {add_rtt, {3, {8, 40, 64}}, {1, {8}}},
		[FANIN] = {add_fanin, {1, {64}}, {1, {64}}},
		[FARM] = {add_farm, {3, {8, 64, 4096}}, {1, {64}}},
		[FANOUT] = {add_fanout, {1, {64}}, {1, {64}}},
		[MESH] = {add_mesh, {1, {64}}, {1, {64}}},
		[OPEN] = {add_open, {1, {64}}, {1, {64}}},
		[IDLE] = {add_idle, {1, {0}}, {1, {0}}, true},
		[MEMORY] = {add_memory, {1, {0}}, {1, {0}}, true},
		[NAMES] = {add_names, {1, {0}}, {1, {0}}, true},
		[LIMITS] = {add_limits, {1, {65536}}, {1, {65536}}, true},
		[RECOVER] = {add_recover, {1, {64}}, {1, {64}}},
	};
	const struct list none = {0, {0}};

	cases->n = 0;
	for (unsigned w = 0; w < WORKLOADS; w++) {
		struct list sizes = pick(ch, of[w].fixed ? none : ch->sizes,
					 of[w].sizes, of[w].few);

		for (unsigned i = 0; ch->workload[w] && i < sizes.n; i++)
			of[w].add(cases, ch, sizes.v[i]);
	}
}
