/* SPDX-License-Identifier: MIT */
/*
 * Every place up to EVERY; beyond it, and in any case for some kinds, the
 * places just before and just behind each store to the arena and each system
 * call. In a loop one of those comes many times: of all times that it comes by
 * the same calls, the first two, the last two, and one at random are taken.
 */
#include "choose.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define EVERY 2000u
#define SPARSE                                                                 \
	61u /* places of the first EVERY that are sliced without a store */

struct mark {
	bool every; /* kill and stop here */
	bool store; /* just before or just behind a store or a system call */
};

/* Rounds of one place: same rip, same calls. */
struct round {
	uint64_t rip;
	uint32_t path, place;
};

static uint64_t seed = 1;

void choose_seed(uint64_t to)
{
	seed = to;
}

/* splitmix64 (Vigna) */
static uint64_t draw(void)
{
	uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void *scratch(size_t count, size_t size)
{
	void *at = mmap(NULL, count * size + 1, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED) {
		perror("mmap");
		abort();
	}
	return at;
}

void scrap(void *at, size_t count, size_t size)
{
	munmap(at, count * size + 1);
}

/* ---- rounds ---- */

static int by_round(const struct round *a, const struct round *b)
{
	if (a->rip != b->rip)
		return a->rip < b->rip ? -1 : 1;
	if (a->path != b->path)
		return a->path < b->path ? -1 : 1;
	return a->place < b->place ? -1 : a->place > b->place;
}

static void sift(struct round *r, size_t i, size_t n)
{
	struct round moved = r[i];
	size_t child;

	for (; (child = 2 * i + 1) < n; i = child) {
		if (child + 1 < n && by_round(&r[child], &r[child + 1]) < 0)
			child++;
		if (by_round(&moved, &r[child]) >= 0)
			break;
		r[i] = r[child];
	}
	r[i] = moved;
}

/* By heap: qsort() may call malloc(). */
static void sort(struct round *r, size_t n)
{
	struct round top;
	size_t i;

	for (i = n / 2; i-- > 0;)
		sift(r, i, n);
	while (n > 1) {
		top = r[0];
		r[0] = r[--n];
		r[n] = top;
		sift(r, 0, n);
	}
}

/* The places of a trace that do one of these things, sorted by where; give them
 * back with scrap(). The last place is the mark behind the operation. */
static struct round *rounds_of(const struct trace *t, unsigned flags, size_t *n)
{
	struct round *r = scratch(t->count + 1, sizeof(*r));
	size_t i;

	*n = 0;
	for (i = 0; i + 1 < t->count; i++)
		if (t->at[i].flags & flags)
			r[(*n)++] = (struct round){t->at[i].rip, t->at[i].path,
						   (uint32_t)i};
	sort(r, *n);
	return r;
}

/* ---- marks ---- */

static void mark_store(struct mark *marks, uint32_t place)
{
	marks[place].store = marks[place + 1].store = true;
}

static void mark_rounds(struct mark *marks, const struct trace *t)
{
	size_t i, j, n;
	struct round *r = rounds_of(t, WATCHED, &n);

	for (i = 0; i < n; i = j) {
		for (j = i + 1;
		     j < n && r[j].rip == r[i].rip && r[j].path == r[i].path;
		     j++)
			;
		mark_store(marks, r[i].place);
		mark_store(marks, r[j - 1].place);
		if (j - i > 2) {
			mark_store(marks, r[i + 1].place);
			mark_store(marks, r[j - 2].place);
			mark_store(marks, r[i + draw() % (j - i)].place);
		}
	}
	scrap(r, t->count + 1, sizeof(*r));
}

static struct mark *choose(const struct trace *t)
{
	struct mark *marks = scratch(t->count + 1, sizeof(*marks));
	size_t i;

	mark_rounds(marks, t);
	for (i = 0; i + 1 < t->count && i <= EVERY; i++) {
		marks[i].every = true;
		if (t->at[i].flags & WATCHED)
			mark_store(marks, (uint32_t)i);
	}
	marks[t->count - 1].every = true;
	return marks;
}

/* ---- jobs ---- */

void add_job(struct jobs *jobs, const struct wish *wish, enum job_kind kind,
	     uint32_t k, uint32_t l)
{
	if (wish->kind >= 0 && kind != JOB_TRACE2 &&
	    (enum job_kind)wish->kind != kind)
		return;
	if (k < wish->k_from || k > wish->k_to ||
	    (kind == JOB_PAIR && (l < wish->l_from || l > wish->l_to)))
		return;
	jobs->at[jobs->count++] = (struct job){.kind = kind, .k = k, .l = l};
}

/* Those that sleep long come first: others use the CPUs meanwhile. */
void choose_jobs(struct jobs *jobs, const struct wish *wish,
		 const struct trace *t)
{
	struct mark *marks = choose(t);
	uint32_t k;

	if (wish->k_from == wish->k_to && wish->k_from < t->count)
		marks[wish->k_from] = (struct mark){true, true};
	for (k = 0; k < t->count; k++)
		if (marks[k].store || marks[k].every)
			add_job(jobs, wish, JOB_KILL, k, 0);
	/* Not between the last look at victim.unmarked and the mark. */
	for (k = 0; k < t->count; k++)
		if ((marks[k].store || marks[k].every) &&
		    (k + 4 < t->count || k + 1 == t->count))
			add_job(jobs, wish, JOB_STOP, k, 0);
	for (k = 0; k < t->count; k++) {
		if (marks[k].store || (marks[k].every && k % SPARSE == 0))
			add_job(jobs, wish, JOB_SLICE, k, 0);
		if (t->at[k].flags & PLACE_SLEEPS)
			add_job(jobs, wish, JOB_ASLEEP, k, 0);
	}
	scrap(marks, t->count + 1, sizeof(*marks));
}

unsigned choose_grid(const struct trace *t, uint32_t *places, unsigned want)
{
	struct mark *marks = choose(t);
	uint64_t stores = 0, seen = 0;
	unsigned n = 0;
	uint32_t k;

	for (k = 0; k < t->count; k++)
		stores += marks[k].store;
	places[n++] = 0;
	for (k = 0; k < t->count; k++) {
		if (!marks[k].store)
			continue;
		if (n < want - 1 && seen * (want - 2) >= (n - 1) * stores)
			places[n++] = k;
		seen++;
	}
	places[n++] = (uint32_t)t->count - 1;
	scrap(marks, t->count + 1, sizeof(*marks));
	return n;
}

struct counts count_trace(const struct trace *t, const bool *hit)
{
	struct counts c = {0};
	bool before, behind;
	size_t i, j, n;
	struct round *r = rounds_of(t, PLACE_STORES, &n);

	for (i = 0; i < t->count; i++)
		c.syscalls += (t->at[i].flags & PLACE_SYSCALL) != 0;
	c.stores = (unsigned)n;
	for (i = 0; i < n; i = j) {
		before = behind = false;
		for (j = i; j < n && r[j].rip == r[i].rip; j++) {
			before |= hit[r[j].place];
			behind |= hit[r[j].place + 1];
		}
		c.places++;
		c.missed += !before || !behind;
	}
	scrap(r, t->count + 1, sizeof(*r));
	return c;
}
