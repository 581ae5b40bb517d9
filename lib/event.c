/* SPDX-License-Identifier: MIT */
/*
 * Events: an array of truth words, each with a bell of its own (bell.c), that
 * is, a process-shared semaphore made of a futex.
 *
 *	Set, post, release			Wait, take
 *	 CAS the word (seq_cst)			 look at the word; else mark, look
 *	 a mark? clear it, wake all		 again, and sleep on the event's bell
 *
 * The word carries generation and owner, and every change is one CAS of it, so a
 * set through a handle that was given back changes nothing and wakes nobody. The
 * bell only wakes: all who sleep, and each looks at the word for itself.
 *
 * POSIX semaphores (sem_post wakes one) were tried in the bell's place: a waiter
 * of a later generation could eat the post that was to tell an earlier one that
 * its handle is stale, posts that nobody needed piled up, and passing a wake-up
 * on from waiter to waiter broke where one of them died.
 *
 * A death leaves: of the reserver, an event with its slot for owner: recovery
 * frees it; of a setter between word and bell, sleepers that nobody wakes: recovery
 * rings every bell, and each sleep ends after a slice. Who waits for one process to
 * set the event looks whether that lives, and is told if not.
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

/* Change the word, and wake all who sleep for it. */
static inline bool step(struct fr__event *e, uint64_t *from, uint64_t to)
{
	/* [EVENT-2] seq_cst: what happened before set -> word -> the look at
	 * the mark. Pairs with [EVENT-1] and [BELL-2]. Without it: see
	 * there. */
	if (!fr__cas_sc(&e->truth, from, to))
		return false;
	fr__bell_ring_at(&e->waiting, &e->bell, FR__MARK_EVENT);
	return true;
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

static int try_reserve(struct fr_process *p, struct fr_event_group *g,
		       struct fr_event *ret)
{
	unsigned i;

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

int fr_event_reserve(struct fr_process *p, struct fr_event_group *g,
		     struct fr_event *ret)
{
	int rc = fr__own(p);

	if (rc == 0)
		rc = try_reserve(p, g, ret);
	/* Perhaps the dead have them. */
	if (rc == -ENOSPC && fr_recover(p->arena) > 0)
		rc = try_reserve(p, g, ret);
	return rc;
}

/* Change the word of a handle: (word & ~clear) | set. */
static int change(struct fr_process *p, struct fr_event event, uint64_t clear,
		  uint64_t set)
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
		if (((word & ~clear) | set) == word)
			return 0;
	} while (!step(e, &word, (word & ~clear) | set));
	return 0;
}

int fr_event_set(struct fr_process *p, struct fr_event event)
{
	return change(p, event, 0, SET);
}

int fr_event_clear(struct fr_process *p, struct fr_event event)
{
	return change(p, event, SET, 0);
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
	return 0;
}

#define GIVEN_BACK(word) ((word) & ~(RESERVED | SET | POSTS))

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
	} while (!step(e, &word, GIVEN_BACK(word)));
	return 0;
}

void fr__events_shake(const struct fr_arena *a, bool all)
{
	/* as [EVENT-3]: the rest was never anybody's */
	uint32_t used = fr__load_relaxed(&a->header->events_used), i;

	for (i = 0; i < used && i < a->geo.events; i++)
		/* as [BELL-1]: the flag that was set -> the mark */
		if (all || fr__load_sc(&a->events[i].waiting) & FR__MARK_EVENT)
			fr__bell_shake(&a->events[i].bell);
}

void fr__events_release_of(const struct fr_arena *a, unsigned slot)
{
	unsigned i;

	for (i = 0; i < a->geo.events; i++) {
		struct fr__event *e = &a->events[i];
		uint64_t word = look(e);

		while ((word & RESERVED) && owner_of(word) == slot &&
		       !step(e, &word, GIVEN_BACK(word)))
			;
	}
}

struct event_wait {
	struct fr_arena *arena;
	struct fr_event event;
	bool take;
	struct fr_addr setter; /* {0}: anybody */
};

/* 1: ours; 0: not yet; -ESTALE; -EOWNERDEAD. For a take the post is taken. */
static int event_ready(void *ctx)
{
	struct event_wait *w = ctx;
	/* Before the word: what it set last is seen behind this. */
	bool gone = w->setter.id && !fr__slot_of(w->arena, w->setter);
	struct fr__event *e;
	uint64_t word;

	for (;;) {
		e = find(w->arena, w->event, &word);
		if (!e)
			return -ESTALE;
		if (!w->take)
			return word & SET ? 1 : gone ? -EOWNERDEAD : 0;
		if ((word & POSTS) == 0)
			return 0;
		/* as [EVENT-2]; nobody waits for posts to go */
		if (fr__cas_sc(&e->truth, &word, word - 1))
			return 1;
	}
}

static int wait_for(struct fr_process *p, struct fr_event event, bool take,
		    struct fr_addr setter, int64_t wait_ns)
{
	struct event_wait ctx = {p->arena, event, take, setter};
	struct fr__wait wait = {
		.marks = FR__MARK_EVENT, .ready = event_ready, .ctx = &ctx,
	};
	struct fr__event *e;
	uint64_t word;
	int rc = fr__own(p);

	if (rc < 0)
		return rc;
	e = find(p->arena, event, &word);
	if (!e)
		return -ESTALE;
	if (setter.id)
		wait.depends = fr__addr_slot(setter) + 1;
	wait.waiting = &e->waiting;
	wait.word = &e->bell;
	rc = fr__bell_wait(&p->bell, &wait, wait_ns);
	if (rc == -EAGAIN && setter.id) {
		fr__bell_doubt(&p->bell, wait.depends);
		rc = event_ready(&ctx);
		rc = rc == 0 ? -EAGAIN : rc;
	}
	return rc < 0 ? rc : 0;
}

int fr_event_wait(struct fr_process *p, struct fr_event event, int64_t wait_ns)
{
	return wait_for(p, event, false, (struct fr_addr){0}, wait_ns);
}

int fr_event_wait_from(struct fr_process *p, struct fr_event event,
		       struct fr_addr setter, int64_t wait_ns)
{
	return wait_for(p, event, false, setter, wait_ns);
}

int fr_event_take(struct fr_process *p, struct fr_event event, int64_t wait_ns)
{
	return wait_for(p, event, true, (struct fr_addr){0}, wait_ns);
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
