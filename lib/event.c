/* SPDX-License-Identifier: MIT */
/*
 * Events: an array of truth words, each with two process-shared semaphores that
 * only wake.
 *
 *	Set				Wait
 *	 CAS unset -> set		 set? done
 *	 semaphore 0? post it		 semaphore wait, then look again;
 *					 who was woken and is done posts for
 *					 the next
 *
 * One post thus frees any number of waiters, one after the other, and the last
 * one's post stays: the next wait falls through once and looks. A post that is
 * still there when set looks at the semaphore wakes as well as a new one would:
 * who takes it looks at the word after that.
 *
 * The word carries generation and owner, and every change is one CAS of it, so a
 * set through a handle that was given back changes nothing and wakes nobody.
 *
 * A death leaves: of the reserver, an event with its slot for owner: recovery
 * frees it; of a setter between word and post, or of a waiter between its wake
 * and its post, sleepers that nobody wakes: each sleep ends after a slice, and
 * the sleeper looks.
 */
#include "forkring/event.h"

#include "process.h"

#include <stdlib.h>

#define POSTS UINT64_C(0x3ff)
#define SET (UINT64_C(1) << 10)
#define RESERVED (UINT64_C(1) << 11)
#define GENERATION_SHIFT 24
#define INDEX_BITS 16
#define GENERATION_MASK ((UINT64_C(1) << 40) - 1)

struct fr_event_group {
	struct fr_arena *arena;
	unsigned first;
	unsigned count;
};

static inline uint64_t generation_of(uint64_t word)
{
	return word >> GENERATION_SHIFT;
}

static inline unsigned owner_of(uint64_t word)
{
	return word >> 12 & 0xfff;
}

static inline uint64_t look(const struct fr__event *e)
{
	/* [EVENT-1] seq_cst: word -> what its setter did before; and the last
	 * look before sleeping. Pairs with [EVENT-2]. Without it: an event is
	 * seen set before what it stands for. */
	return fr__load_sc(&e->truth);
}

static inline bool step(struct fr__event *e, uint64_t *from, uint64_t to)
{
	/* [EVENT-2] seq_cst: what happened before set -> word -> the look at
	 * the semaphore. Pairs with [EVENT-1]. Without it: see there. */
	return fr__cas_sc(&e->truth, from, to);
}

static struct fr_event handle(unsigned index, uint64_t word)
{
	return (struct fr_event){generation_of(word) << INDEX_BITS | index};
}

/* The event of a handle and its word; NULL: stale. */
static struct fr__event *find(const struct fr_arena *a, struct fr_event event,
			      uint64_t *word)
{
	unsigned i = event.id & ((1u << INDEX_BITS) - 1);
	struct fr__event *e = &a->events[i];

	if (i >= a->geo.events)
		return NULL;
	*word = look(e);
	return (*word & RESERVED) &&
			       generation_of(*word) == event.id >> INDEX_BITS
		       ? e
		       : NULL;
}

int fr_event_group_create(struct fr_arena *a, unsigned count,
			  struct fr_event_group **ret)
{
	/* [EVENT-3] relaxed: the CAS decides. */
	uint32_t used = fr__load_relaxed(&a->header->events_used);
	struct fr_event_group *g;

	if (count == 0)
		return -EINVAL;
	g = malloc(sizeof(*g));
	if (!g)
		return -ENOMEM;
	do {
		if (used > a->geo.events || count > a->geo.events - used) {
			free(g);
			return -ENOSPC;
		}
		/* as [EVENT-3] */
	} while (!fr__cas_relaxed(&a->header->events_used, &used, used + count));
	*g = (struct fr_event_group){a, used, count};
	*ret = g;
	return 0;
}

void fr_event_group_free(struct fr_event_group *g)
{
	free(g);
}

int fr_event_reserve(struct fr_process *p, struct fr_event_group *g,
		     struct fr_event *ret)
{
	int rc = fr__own(p);
	unsigned i;

	if (rc < 0)
		return rc;
	for (i = g->first; i < g->first + g->count; i++) {
		struct fr__event *e = &g->arena->events[i];
		uint64_t word = look(e), to;

		while (!(word & RESERVED)) {
			to = (generation_of(word) + 1) & GENERATION_MASK;
			to = (to ? to : 1) << GENERATION_SHIFT |
			     (uint64_t)p->index << 12 | RESERVED;
			if (step(e, &word, to)) {
				*ret = handle(i, to);
				return 0;
			}
		}
	}
	return -ENOSPC;
}

/* Post only if nothing is there to wake the next waiter. */
static void wake(sem_t *sem)
{
	int value;

	if (sem_getvalue(sem, &value) == -1 || value <= 0)
		sem_post(sem);
}

/* Change the word of a handle: (word & ~clear) | set. */
static int change(struct fr_process *p, struct fr_event event, uint64_t clear,
		  uint64_t set, struct fr__event **ret)
{
	uint64_t word;
	int rc = fr__own(p);

	if (rc < 0)
		return rc;
	do {
		*ret = find(p->arena, event, &word);
		if (!*ret)
			return -ESTALE;
		if (((word & ~clear) | set) == word)
			return 0;
	} while (!step(*ret, &word, (word & ~clear) | set));
	return 1;
}

int fr_event_set(struct fr_process *p, struct fr_event event)
{
	struct fr__event *e;
	int rc = change(p, event, 0, SET, &e);

	if (rc == 1)
		wake(&e->set_wake);
	return rc < 0 ? rc : 0;
}

int fr_event_clear(struct fr_process *p, struct fr_event event)
{
	struct fr__event *e;
	int rc = change(p, event, SET, 0, &e);

	return rc < 0 ? rc : 0;
}

int fr_event_post(struct fr_process *p, struct fr_event event)
{
	struct fr__event *e;
	uint64_t word;
	int rc = fr__own(p);

	if (rc < 0)
		return rc;
	do {
		e = find(p->arena, event, &word);
		if (!e)
			return -ESTALE;
		if ((word & POSTS) == POSTS)
			return -EOVERFLOW;
	} while (!step(e, &word, word + 1));
	sem_post(&e->post_wake);
	return 0;
}

static bool release(struct fr__event *e, uint64_t word)
{
	if (!step(e, &word, word & ~(RESERVED | SET | POSTS)))
		return false;
	/* Who still waits finds that it is stale. */
	wake(&e->set_wake);
	wake(&e->post_wake);
	return true;
}

int fr_event_release(struct fr_process *p, struct fr_event event)
{
	struct fr__event *e;
	uint64_t word;
	int rc = fr__own(p);

	if (rc < 0)
		return rc;
	do {
		e = find(p->arena, event, &word);
		if (!e || owner_of(word) != p->index)
			return -ESTALE;
	} while (!release(e, word));
	return 0;
}

void fr__events_release_of(const struct fr_arena *a, unsigned slot)
{
	unsigned i;

	for (i = 0; i < a->geo.events; i++) {
		struct fr__event *e = &a->events[i];
		uint64_t word;

		while ((word = look(e)) & RESERVED && owner_of(word) == slot)
			release(e, word);
	}
}

/* 1: ours; 0: not yet; -ESTALE. For a take the post is taken. */
static int try(struct fr_process *p, struct fr_event event, bool take,
	       struct fr__event **ret)
{
	uint64_t word;

	for (;;) {
		*ret = find(p->arena, event, &word);
		if (!*ret)
			return -ESTALE;
		if (!take)
			return (word & SET) != 0;
		if ((word & POSTS) == 0)
			return 0;
		if (step(*ret, &word, word - 1))
			return 1;
	}
}

/* Sleep on the semaphore until the deadline or the slice's end. 0, -EINTR. */
static int sleep_on(sem_t *sem, int64_t deadline, bool *woken)
{
	int64_t now = fr__now_ns();
	struct timespec ts = fr__timespec(
		deadline - now < FR__SLICE_NS ? deadline : now + FR__SLICE_NS);

	*woken = sem_clockwait(sem, CLOCK_MONOTONIC, &ts) == 0;
	return !*woken && errno == EINTR ? -EINTR : 0;
}

static int wait_for(struct fr_process *p, struct fr_event event, bool take,
		    int64_t wait_ns)
{
	int64_t deadline = fr__deadline(wait_ns);
	int saved = errno, rc = fr__own(p);
	bool woken = false;
	struct fr__event *e;
	sem_t *sem = NULL;

	while (rc == 0) {
		rc = try(p, event, take, &e);
		if (rc != 0)
			break;
		sem = take ? &e->post_wake : &e->set_wake;
		if (wait_ns == 0)
			rc = -EAGAIN;
		else if (fr__now_ns() >= deadline)
			rc = -ETIMEDOUT;
		else if (p->bell.mode == FR_WAIT_POLL)
			fr__pause();
		else
			rc = sleep_on(sem, deadline, &woken);
	}
	/* Hand the wake-up on: set frees all, and so does giving back. */
	if (woken && (rc == -ESTALE || !take))
		wake(sem);
	errno = saved;
	return rc < 0 ? rc : 0;
}

int fr_event_wait(struct fr_process *p, struct fr_event event, int64_t wait_ns)
{
	return wait_for(p, event, false, wait_ns);
}

int fr_event_take(struct fr_process *p, struct fr_event event, int64_t wait_ns)
{
	return wait_for(p, event, true, wait_ns);
}

int fr_event_index(const struct fr_event_group *g, struct fr_event event)
{
	unsigned i = event.id & ((1u << INDEX_BITS) - 1);

	if (event.id == 0 || i < g->first || i - g->first >= g->count)
		return -EINVAL;
	return (int)(i - g->first);
}

int fr_event_at(const struct fr_event_group *g, unsigned index,
		struct fr_event *ret)
{
	uint64_t word;

	if (index >= g->count)
		return -EINVAL;
	word = look(&g->arena->events[g->first + index]);
	if (!(word & RESERVED))
		return -ENOENT;
	*ret = handle(g->first + index, word);
	return 0;
}

struct fr_event_scope fr_event_scope_begin(struct fr_process *p,
					   struct fr_event_group *g,
					   int64_t wait_ns, int *rc)
{
	struct fr_event_scope scope = {
		.process = p, .wait_ns = wait_ns, .rc = rc,
	};

	*rc = fr_event_reserve(p, g, &scope.event);
	scope.state = *rc == 0;
	return scope;
}

void fr_event_scope_wait(struct fr_event_scope *scope)
{
	*scope->rc = fr_event_wait(scope->process, scope->event, scope->wait_ns);
	scope->state = 2;
}

void fr_event_scope_end(struct fr_event_scope *scope)
{
	if (scope->state != 0)
		fr_event_release(scope->process, scope->event);
	scope->state = 0;
}
