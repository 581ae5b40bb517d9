/* SPDX-License-Identifier: MIT */
/*
 * Joining, leaving, and who is who.
 *
 * A slot's state word says all: state, who (pid, or the slot of the reserver or
 * recoverer), generation. Every change is one CAS of the whole word:
 *
 *	FREE(g) -> RESERVED(by, g+1) -> JOINING(pid, g+1) -> JOINED(pid, g+1)
 *	FREE(g) -> JOINING(pid, g+1)			     |
 *	FREE(g+1) <- RECOVERING(pid, g+1) <- DEAD(pid, g+1)  |
 *	FREE(g+1) <- LEAVING(pid, g+1) <---------------------+
 *	FREE(g+1) <- RESERVED(by, g+1)	given back
 *
 * A joiner takes the slot's record lock first (liveness.c), signs the slot, and
 * only then CASes the state: a half-joined process is attributable and never looks
 * dead. The lock is given back after the CAS to FREE.
 *
 * Only the mailbox's ring outlives its holder. Who frees the slot takes out what
 * is there; what late senders put into it, who had looked at the state before, is
 * dropped by the next holder, by generation. Who joins or reserves finishes what
 * the last reader began to free.
 *
 * A death leaves: before the CAS to JOINING nothing (the lock goes with the
 * process); from then on a slot in that state whose lock is not held: recovery
 * takes it from there (recover.c). Every step of leaving may be repeated by it. A
 * reservation falls with its maker.
 */
#include "process.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One step of a slot's state. False: it was not in state `from`. */
static bool step(struct fr__slot *s, uint64_t from, uint64_t to)
{
	/* [PROCESS-2] seq_cst: what the state promises (name, bell, mailbox;
	 * or that all of them are given up) -> state. Pairs with [PROCESS-1],
	 * [PROCESS-3], [ROUTE-9] and [TASK-8]. Without it: see there. */
	return fr__cas_sc(&s->state, &from, to);
}

static uint64_t state(const struct fr__slot *s)
{
	/* [PROCESS-3] acquire: state FREE -> its last holder is done with the
	 * slot. Pairs with [PROCESS-2]. Without it: its late writes land in
	 * ours. */
	return fr__load_acquire(&s->state);
}

static uint32_t next_generation(uint32_t g)
{
	return g + 1 ? g + 1 : 1; /* 0 is nobody's */
}

void fr__wake_all(const struct fr_arena *a, uint32_t mark)
{
	unsigned i;

	/* as [BELL-2] */
	fr__fence_sc();
	for (i = 0; i < a->geo.slots; i++)
		fr__bell_ring(&a->slots[i], mark);
}

/* Who joins in a slot, or frees it, has its lock for a moment; one that is stopped
 * just there has it for long. */
#define LOCK_WAIT_NS INT64_C(200000000)

void fr__joined_bit(const struct fr_arena *a, unsigned slot, bool on)
{
	uint64_t bit = UINT64_C(1) << slot % 64;

	/* [PROCESS-5] relaxed: where to look; the slot's state decides, and the
	 * lock keeps the next holder's bit apart from this one's. */
	if (on)
		fr__or_relaxed(&a->joined[slot / 64], bit);
	else
		fr__and_relaxed(&a->joined[slot / 64], ~bit);
}

/* Take a slot with its lock, by moving it from FREE to JOINING or RESERVED: the
 * slot's number, -ENOSPC, -ENOLCK; -EAGAIN all that are free are locked. */
static int try_free(struct fr_arena *a, enum fr__slot_state to, uint32_t who,
		    uint32_t *generation)
{
	unsigned i;
	int rc = -ENOSPC;

	for (i = 0; i < a->geo.slots; i++) {
		uint64_t seen = state(&a->slots[i]);
		uint32_t g = next_generation(fr__slot_generation(seen));
		int locked;

		if (fr__slot_state(seen) != FR__SLOT_FREE)
			continue;
		locked = fr__life_lock(a, i);
		if (locked < 0 && locked != -EAGAIN)
			return -ENOLCK;
		rc = -EAGAIN;
		if (locked < 0)
			continue;
		/* The look again: under the lock nobody else signs. */
		if (to == FR__SLOT_JOINING && state(&a->slots[i]) == seen)
			fr__life_sign(a, i);
		if (to == FR__SLOT_JOINING)
			fr__joined_bit(a, i, true);
		if (step(&a->slots[i], seen, fr__slot_word(to, who, g))) {
			*generation = g;
			return (int)i;
		}
		fr__life_unlock(a, i);
	}
	return rc;
}

/* The same for the slot that was reserved under this address; -EINVAL. */
static int try_reserved(struct fr_arena *a, struct fr_addr reserved,
			uint32_t pid, uint32_t *generation)
{
	unsigned i = fr__addr_slot(reserved);
	uint32_t g = fr__addr_generation(reserved);
	uint64_t seen;
	int rc;

	if (i >= a->geo.slots)
		return -EINVAL;
	seen = state(&a->slots[i]);
	if (fr__slot_state(seen) != FR__SLOT_RESERVED ||
	    fr__slot_generation(seen) != g)
		return -EINVAL;
	rc = fr__life_lock(a, i);
	if (rc < 0)
		return rc == -EAGAIN ? rc : -ENOLCK;
	if (state(&a->slots[i]) == seen)
		fr__life_sign(a, i);
	fr__joined_bit(a, i, true);
	if (!step(&a->slots[i], seen, fr__slot_word(FR__SLOT_JOINING, pid, g))) {
		fr__life_unlock(a, i);
		return -EINVAL;
	}
	*generation = g;
	return (int)i;
}

/* Take that slot, or (reserved 0) any; with its lock. */
static int take_slot(struct fr_arena *a, struct fr_addr reserved,
		     enum fr__slot_state to, uint32_t who, uint32_t *generation)
{
	int64_t until = fr__now_ns() + LOCK_WAIT_NS;
	int rc;

	for (;;) {
		pthread_mutex_lock(&a->join_mutex);
		rc = reserved.id ? try_reserved(a, reserved, who, generation)
				 : try_free(a, to, who, generation);
		pthread_mutex_unlock(&a->join_mutex);
		if (rc != -EAGAIN)
			return rc;
		if (fr__now_ns() >= until)
			return reserved.id ? -ENOLCK : -ENOSPC;
		sched_yield();
	}
}

/* Give the slot up: nothing else in it is ours any more. */
static void free_slot(const struct fr_arena *a, unsigned slot, uint64_t from)
{
	/* What was sent and not received. Later mail, from senders that had
	 * looked before, is dropped by the slot's next holder. */
	fr__ring_drain(fr__arena_ring(a, slot));
	step(&a->slots[slot], from,
	     fr__slot_word(FR__SLOT_FREE, 0, fr__slot_generation(from)));
}

/* Whoever waits for room in the mailbox of one that is gone, for its reply or its
 * event, is told by looking again. */
static void tell_who_waits(const struct fr_arena *a)
{
	fr__wake_all(a, FR__MARK_ROOM | FR__MARK_RESULT);
	fr__events_shake(a, false);
}

static void free_handle(struct fr_process *p)
{
	if (p->routes)
		fr__routes_free(p);
	if (p->handlers)
		fr__handlers_free(p);
	free(p->free_cells);
	free(p->finished);
	free(p->held);
	free(p);
}

static void clear_slot(struct fr__slot *s)
{
	/* as [PROCESS-4] */
	fr__store_relaxed(&s->taking, 0);
	fr__text_store(s->last_words, "", FR__WORDS_BYTES);
}

static void before_sleep(void *process)
{
	struct fr_process *p = process;

	fr__mail_before_sleep(p);
	fr__task_make_room(p->arena);
}

/* The slot is ours, JOINING: set it up, and be JOINED. */
static int set_up(struct fr_process *p, const struct fr_join_opts *o)
{
	struct fr_arena *a = p->arena;
	int rc = fr__routes_init(p);

	if (rc == 0)
		rc = fr__handlers_init(p);
	if (rc == 0)
		rc = fr__tasks_init(p);
	if (rc == 0)
		rc = fr__mail_init(p);
	if (rc < 0)
		return rc;
	fr__bell_init(&p->bell, p->slot, o->wait);
	p->bell.awake = a->awake;
	p->bell.awake_words = (a->geo.slots + 63) / 64;
	p->bell.index = p->index;
	p->bell.before_sleep = before_sleep;
	p->bell.look = fr__look_round;
	p->bell.ctx = p;
	fr__bell_awake(&p->bell, true);
	fr__ring_mend(&p->mailbox);
	fr__reader_init(&p->reader, &p->mailbox);
	/* [PROCESS-4] relaxed: published by the state's CAS, [PROCESS-2]; a
	 * mark that a ringer clears meanwhile is nobody's. */
	fr__store_relaxed(&p->slot->waiting, 0);
	clear_slot(p->slot);
	fr__name_store(p->slot->name, o->name ? o->name : "");
	if (!step(p->slot,
		  fr__slot_word(FR__SLOT_JOINING, (uint32_t)getpid(),
				p->generation),
		  fr__slot_word(FR__SLOT_JOINED, (uint32_t)getpid(),
				p->generation)))
		return -EBADMSG;
	if (o->name) {
		rc = fr__route_add(a, o->name, p->index, p->generation);
		p->named = rc == 0;
	}
	return rc;
}

int fr_join(struct fr_arena *a, const struct fr_join_opts *opts,
	    struct fr_process **ret)
{
	static const struct fr_join_opts defaults;
	struct fr_process *p;
	int rc, slot;

	opts = opts ? opts : &defaults;
	rc = opts->name ? fr__name_check(opts->name) : 0;
	if (rc == 0 && opts->wait > FR_WAIT_POLL)
		rc = -EINVAL;
	if (rc < 0)
		return rc;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->arena = a;
	rc = fr__cookie_take(&p->cookie);
	if (rc < 0) {
		free(p);
		return rc;
	}
	if (!opts->reserved.id) /* else whoever reserved it looks */
		fr_recover(a);
	slot = take_slot(a, opts->reserved, FR__SLOT_JOINING,
			 (uint32_t)getpid(), &p->generation);
	if (slot < 0) {
		free(p);
		return slot;
	}
	p->index = (unsigned)slot;
	p->slot = &a->slots[slot];
	rc = fr__arena_removed(a) ? -ESTALE : set_up(p, opts);
	if (rc < 0) {
		fr_leave(p);
		return rc;
	}
	*ret = p;
	return 0;
}

static bool start_leaving(struct fr_process *p, uint64_t leaving)
{
	uint32_t pid = (uint32_t)getpid(), g = p->generation;

	return step(p->slot, fr__slot_word(FR__SLOT_JOINED, pid, g), leaving) ||
	       step(p->slot, fr__slot_word(FR__SLOT_JOINING, pid, g), leaving);
}

void fr_leave(struct fr_process *p)
{
	uint64_t leaving;

	if (!p)
		return;
	if (fr__own(p) < 0) {
		free_handle(p);
		return;
	}
	leaving = fr__slot_word(FR__SLOT_LEAVING, (uint32_t)getpid(),
				p->generation);
	/* Else we were taken for dead, and the slot is somebody else's. */
	if (!start_leaving(p, leaving)) {
		pthread_mutex_lock(&p->arena->join_mutex);
		fr__life_forget(p->arena, p->index);
		pthread_mutex_unlock(&p->arena->join_mutex);
		free_handle(p);
		return;
	}
	if (p->named)
		fr__route_remove(p->arena, p->index, p->generation);
	if (p->free_cells)
		fr__tasks_leave(p);
	fr__events_release_of(p->arena, p->index);
	fr__unreserve_all(p->arena, p->index);
	fr__bury_claims(p->arena, p->index);
	fr__bell_awake(&p->bell, false);
	pthread_mutex_lock(&p->arena->join_mutex);
	free_slot(p->arena, p->index, leaving);
	fr__joined_bit(p->arena, p->index, false);
	fr__life_unlock(p->arena, p->index);
	pthread_mutex_unlock(&p->arena->join_mutex);
	tell_who_waits(p->arena);
	free_handle(p);
}

struct fr_addr fr_self(const struct fr_process *p)
{
	return fr__addr(p->index, p->generation);
}

struct fr_arena *fr_process_arena(const struct fr_process *p)
{
	return p->arena;
}

int fr_reserve(struct fr_process *p, struct fr_addr *ret)
{
	struct fr_addr any = {0};
	const struct fr__ring *ring;
	uint32_t g;
	int slot = fr__own(p);

	if (slot < 0)
		return slot;
	slot = take_slot(p->arena, any, FR__SLOT_RESERVED, p->index, &g);
	if (slot == -ENOSPC && fr_recover(p->arena) > 0)
		slot = take_slot(p->arena, any, FR__SLOT_RESERVED, p->index, &g);
	if (slot < 0)
		return slot;
	/* Nobody knows the address yet: the mailbox is ours to empty. */
	ring = fr__arena_ring(p->arena, (unsigned)slot);
	fr__ring_mend(ring);
	fr__ring_drain(ring);
	clear_slot(&p->arena->slots[slot]); /* of what its last holder did */
	pthread_mutex_lock(&p->arena->join_mutex);
	fr__life_unlock(p->arena, (unsigned)slot);
	pthread_mutex_unlock(&p->arena->join_mutex);
	*ret = fr__addr((unsigned)slot, g);
	return 0;
}

/* Give one reservation back, if it is one. What was sent to it is dropped by the
 * slot's next holder: to empty it here could meet the process that joins. */
static bool unreserve(const struct fr_arena *a, unsigned slot, unsigned by,
		      uint32_t g)
{
	return step(&a->slots[slot], fr__slot_word(FR__SLOT_RESERVED, by, g),
		    fr__slot_word(FR__SLOT_FREE, 0, g));
}

int fr_unreserve(struct fr_process *p, struct fr_addr reserved)
{
	unsigned i = fr__addr_slot(reserved);

	if (fr__own(p) < 0)
		return -ECHILD;
	if (i >= p->arena->geo.slots ||
	    !unreserve(p->arena, i, p->index, fr__addr_generation(reserved)))
		return -ESRCH;
	tell_who_waits(p->arena);
	return 0;
}

void fr__bury_claims(const struct fr_arena *a, unsigned of)
{
	unsigned i;

	for (i = 0; i < a->geo.slots; i++) {
		if (fr__ring_bury(fr__arena_ring(a, i), of) == 0)
			continue;
		fr__fence_sc(); /* as [BELL-2] */
		fr__bell_ring(&a->slots[i], FR__MARK_MAIL);
	}
}

void fr__unreserve_all(const struct fr_arena *a, unsigned by)
{
	unsigned i, count = 0;

	for (i = 0; i < a->geo.slots; i++) {
		uint64_t word = state(&a->slots[i]);

		if (fr__slot_state(word) == FR__SLOT_RESERVED &&
		    fr__slot_who(word) == by)
			count += unreserve(a, i, by, fr__slot_generation(word));
	}
	if (count > 0)
		tell_who_waits(a);
}

int fr_lookup(struct fr_process *p, const char *name, struct fr_addr *addrs,
	      unsigned max)
{
	int rc = fr__own(p);

	if (rc == 0)
		rc = fr__name_check(name);
	return rc < 0 ? rc : fr__route_find(p, name, addrs, max);
}

struct name_wait {
	struct fr_process *p;
	const char *name;
	struct fr_addr *found;
};

static int name_ready(void *ctx)
{
	struct name_wait *w = ctx;

	return fr__route_find(w->p, w->name, w->found, 1);
}

int fr_wait_name(struct fr_process *p, const char *name, int64_t wait_ns,
		 struct fr_addr *ret)
{
	struct fr_addr found;
	struct name_wait ctx = {p, name, &found};
	struct fr__wait w = {
		.marks = FR__MARK_NAME, .ready = name_ready, .ctx = &ctx,
	};
	int rc = fr__own(p);

	if (rc == 0)
		rc = fr__name_check(name);
	if (rc == 0)
		rc = fr__bell_wait(&p->bell, &w, wait_ns);
	if (rc < 0)
		return rc;
	*ret = found;
	return 0;
}

int fr_alive(struct fr_process *p, struct fr_addr addr)
{
	int rc = fr__own(p);

	if (rc < 0 || !fr__slot_of(p->arena, addr))
		return rc;
	fr__bell_doubt(&p->bell, fr__addr_slot(addr) + 1);
	return fr__slot_of(p->arena, addr) != NULL;
}

int fr_process_name(struct fr_process *p, struct fr_addr addr, char *name)
{
	char text[FR__NAME_BYTES];
	struct fr__slot *s;
	int rc = fr__own(p);

	if (rc < 0)
		return rc;
	s = fr__slot_of(p->arena, addr);
	if (!s)
		return -ESRCH;
	if (fr__slot_state(state(s)) != FR__SLOT_JOINED)
		text[0] = '\0';
	else
		fr__name_load(s->name, text);
	if (!fr__slot_of(p->arena, addr))
		return -ESRCH;
	strcpy(name, text);
	return 0;
}

int fr_process_pid(struct fr_process *p, struct fr_addr addr)
{
	struct fr__slot *s;
	uint64_t word;
	int rc = fr__own(p);

	if (rc < 0)
		return rc;
	s = fr__slot_of(p->arena, addr);
	word = s ? state(s) : 0;
	if (fr__slot_generation(word) != fr__addr_generation(addr) ||
	    (fr__slot_state(word) != FR__SLOT_JOINING &&
	     fr__slot_state(word) != FR__SLOT_JOINED))
		return -ESRCH;
	return (int)fr__slot_who(word);
}

void fr_last_words(struct fr_process *p, const char *text)
{
	if (fr__own(p) == 0)
		fr__text_store(p->slot->last_words, text, FR__WORDS_BYTES);
}

void fr_interrupt(struct fr_process *p)
{
	if (fr__own(p) < 0)
		return;
	/* as [BELL-9] */
	fr__store_relaxed(&p->bell.interrupted, 1);
	fr__bell_shake(&p->slot->bell);
	fr__events_shake(p->arena, false);
}
