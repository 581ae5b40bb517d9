/* SPDX-License-Identifier: MIT */
/*
 * Question: how many processes can join and leave in a second, and how many
 * names be looked up?
 * Topology: one process, in an arena with ten names or so.
 * Waiting mode: none waits.
 * Statistic: calls in the time measured; each answer is checked. lookup: from the
 * cache; lookup_changed: after somebody has joined and left, so that the cache is
 * of no use (the median, clock reading included, as so many a second).
 */
#include "drive.h"
#include "solo.h"

#include <forkring.h>

#define OTHERS	  8  /* processes with a name that nobody asks for */
#define CALLS_MIN 16 /* between two looks at the clock */

struct names {
	struct fr_arena *arena;
	struct fr_process *self;
};

static int join_and_leave(struct names *n)
{
	const struct fr_join_opts opts = {.name = "passer-by"};
	struct fr_process *p;
	int rc = fr_join(n->arena, &opts, &p);

	if (rc == 0)
		fr_leave(p);
	return rc;
}

static int look_up(struct names *n)
{
	struct fr_addr addr = {0};
	int rc = fr_lookup(n->self, "wanted", &addr, 1);

	if (rc < 0)
		return rc;
	return rc == 1 && addr.id == fr_self(n->self).id ? 0 : -EPROTO;
}

/* Calls a second. */
static ALWAYS_INLINE int rate_of(int (*call)(struct names *), struct names *n,
				 uint64_t ns, double *rate)
{
	uint64_t start = now_ns(), now = start, calls = 0;
	int rc = 0;

	while (rc == 0 && now - start < ns) {
		for (unsigned i = 0; rc == 0 && i < CALLS_MIN; i++)
			rc = call(n);
		calls += CALLS_MIN;
		now = now_ns();
	}
	*rate = (double)calls * 1e9 / (double)(now - start);
	return rc;
}

/* The median of look-ups just after a change, as so many a second. */
static int rate_changed(struct names *n, uint64_t ns, double *rate)
{
	static struct hist hist;
	uint64_t start = now_ns(), before, now = start;
	int rc = 0;

	while (rc == 0 && now - start < ns) {
		rc = join_and_leave(n);
		before = now_ns();
		if (rc == 0)
			rc = look_up(n);
		now = now_ns();
		hist_add(&hist, now - before);
	}
	*rate = 1e9 / hist_quantile(&hist, 0.5);
	return rc;
}

int names_run(const struct bench_case *c, const struct machine *machine,
	      uint64_t ns, double *value)
{
	const struct fr_join_opts wanted = {.name = "wanted"};
	struct fr_join_opts other = {.name = "other"};
	struct fr_process *others[OTHERS];
	struct names n;
	int rc = fr_arena_create(NULL, NULL, &n.arena);

	(void)c;
	(void)machine;
	if (rc == 0)
		rc = fr_join(n.arena, &wanted, &n.self);
	for (unsigned i = 0; rc == 0 && i < OTHERS; i++)
		rc = fr_join(n.arena, &other, &others[i]);
	if (rc == 0)
		rc = rate_of(join_and_leave, &n, ns, &value[0]);
	if (rc == 0)
		rc = rate_of(look_up, &n, ns, &value[1]);
	return rc < 0 ? rc : rate_changed(&n, ns, &value[2]);
}
