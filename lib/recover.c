/* SPDX-License-Identifier: MIT */
/*
 * What a survivor does for a process that is proven dead (liveness.c): a parent
 * that has waited for it, whoever joins, whoever waits, whoever calls
 * fr_recover(); joined or not.
 *
 *	CAS JOINING, JOINED, LEAVING, RECOVERING -> DEAD
 *					nobody sends to it or finds it any more
 *	take the record lock of its slot: its holder has dropped it, the kernel
 *	  drops ours if we die; who finds it taken leaves the slot to that one
 *	sign the slot; CAS DEAD -> RECOVERING(us)
 *	its idle, nap, awake and waiting marks
 *	its claims in all mailboxes -> DEAD	what is behind them flows
 *	its own mailbox: what it had begun to free, and what it had not read
 *	what it had reserved given back
 *	its name out of the index, cached routes made stale
 *	its task to another worker, its finished ones told, its own ones dropped
 *	its events freed
 *	every bell rung, every event's too	a wake-up may have died with it
 *	CAS RECOVERING(us) -> FREE; give the lock back
 *
 * So one at most recovers a slot, no claim of whose slot is anybody else's, since
 * nobody joins in it before it is FREE; and nobody waits for it: a stopped
 * recoverer delays this one slot and nothing else.
 *
 * A death leaves: before the second CAS, a slot that is DEAD; from it on, RECOVERING
 * with no lock: the next recoverer does every step again. Each may be repeated,
 * also by half:
 *
 *	claims, reservations, name,	one CAS each from a state that names the
 *	events, cells			dead one; what is done is not found again
 *	cached routes, results told,	done again each time
 *	bells
 *	a task pushed again		its entry is in the ring, or noted (taking)
 *	mailbox				as of any dead consumer: fr__ring_mend
 *
 * A closed descriptor in a living recoverer (see liveness.c) does not let a second
 * one in, where the pid can be seen.
 */
#include "process.h"

/* At how many others a waiting process looks in each slice: at all, if they are few; of
 * many at some, so that what they cost when idle does not grow with their square. */
#define LOOKS 16
static unsigned looks_of(unsigned others)
{
	return others <= LOOKS ? others : 1 + 6 * LOOKS / others;
}

static uint64_t state(const struct fr_arena *a, unsigned slot)
{
	/* as [PROCESS-3] */
	return fr__load_acquire(&a->slots[slot].state);
}

static bool step(struct fr__slot *s, uint64_t from, uint64_t to)
{
	/* as [PROCESS-2] */
	return fr__cas_sc(&s->state, &from, to);
}

/* Is the holder of a slot dead? Then its state says so from here on, and nobody need
 * prove it again. *word: the state. */
static bool is_dead(struct fr_arena *a, unsigned slot, uint64_t *word)
{
	uint64_t dead;

	*word = state(a, slot);
	if (fr__slot_state(*word) < FR__SLOT_JOINING ||
	    !fr__dead(a, slot, *word))
		return false;
	dead = fr__slot_word(FR__SLOT_DEAD, fr__slot_who(*word),
			     fr__slot_generation(*word));
	if (dead != *word && !step(&a->slots[slot], *word, dead))
		return false;
	*word = dead;
	return true;
}

/* The slot is ours to recover, if its holder is dead and nobody is at it: the state
 * word then. */
static bool take_over(struct fr_arena *a, unsigned slot, uint64_t *ours)
{
	uint64_t word = state(a, slot);
	bool taken = false;

	if (fr__slot_state(word) < FR__SLOT_JOINING)
		return false;
	pthread_mutex_lock(&a->join_mutex);
	if (is_dead(a, slot, &word) && fr__life_lock(a, slot) == 0) {
		*ours = fr__slot_word(FR__SLOT_RECOVERING, (uint32_t)getpid(),
				      fr__slot_generation(word));
		/* Another may have recovered it between proof and lock. */
		if (state(a, slot) == word) {
			fr__life_sign(a, slot);
			taken = step(&a->slots[slot], word, *ours);
		}
		if (!taken)
			fr__life_unlock(a, slot);
	}
	pthread_mutex_unlock(&a->join_mutex);
	return taken;
}

static void recover_mailbox(const struct fr_arena *a, unsigned slot)
{
	const struct fr__ring *ring = fr__arena_ring(a, slot);

	fr__ring_mend(ring);
	fr__ring_drain(ring);
}

static void clear_hints(const struct fr_arena *a, unsigned slot)
{
	/* [RECOVER-1] relaxed: nobody waits here now; the CAS publishes. */
	fr__and_relaxed(&a->idle[slot / 64], ~(UINT64_C(1) << slot % 64));
	fr__and_relaxed(&a->naps[slot / 64], ~(UINT64_C(1) << slot % 64));
	fr__and_relaxed(&a->awake[slot / 64], ~(UINT64_C(1) << slot % 64));
	fr__store_relaxed(&a->slots[slot].waiting, 0);
}

static void shake_all(const struct fr_arena *a)
{
	unsigned i;

	for (i = 0; i < a->geo.slots; i++)
		if (fr__slot_state(state(a, i)) != FR__SLOT_FREE)
			fr__bell_shake(&a->slots[i].bell);
	fr__events_shake(a, true);
}

bool fr__recover(struct fr_arena *a, unsigned slot)
{
	uint64_t ours;
	uint32_t g;

	if (!take_over(a, slot, &ours))
		return false;
	g = fr__slot_generation(ours);
	clear_hints(a, slot); /* or its task's wake-up goes to it */
	fr__bury_claims(a, slot);
	recover_mailbox(a, slot);
	fr__unreserve_all(a, slot);
	fr__route_remove(a, slot, g);
	fr__routes_changed(a); /* who removed it may have died before this */
	fr__tasks_recover(a, slot);
	fr__tasks_drop(a, slot);
	fr__events_release_of(a, slot);
	shake_all(a);
	pthread_mutex_lock(&a->join_mutex);
	step(&a->slots[slot], ours, fr__slot_word(FR__SLOT_FREE, 0, g));
	fr__joined_bit(a, slot, false);
	fr__life_unlock(a, slot);
	pthread_mutex_unlock(&a->join_mutex);
	return true;
}

int fr_recover(struct fr_arena *a)
{
	int count = 0;
	unsigned i;

	for (i = 0; i < a->geo.slots; i++)
		count += fr__recover(a, i);
	return count;
}

/* The slots in use, as their bits say: how many before this one. */
static unsigned joined_before(const struct fr_arena *a, unsigned slot)
{
	unsigned i, count = 0;
	uint64_t set;

	for (i = 0; i * 64 < slot; i++) {
		/* as [PROCESS-5] */
		set = fr__load_relaxed(&a->joined[i]);
		if (slot - i * 64 < 64)
			set &= (UINT64_C(1) << (slot - i * 64)) - 1;
		count += (unsigned)__builtin_popcountll(set);
	}
	return count;
}

/* The one that has so many before it; the number of slots if they have become fewer. */
static unsigned joined_at(const struct fr_arena *a, unsigned rank)
{
	unsigned i, here;
	uint64_t set;

	for (i = 0; i * 64 < a->geo.slots; i++, rank -= here) {
		/* as [PROCESS-5] */
		set = fr__load_relaxed(&a->joined[i]);
		here = (unsigned)__builtin_popcountll(set);
		if (rank < here)
			break;
	}
	if (i * 64 >= a->geo.slots)
		return a->geo.slots;
	while (rank-- > 0)
		set &= set - 1;
	return i * 64 + (unsigned)__builtin_ctzll(set);
}

/*
 * In each slice all who look round do it at the same distances from themselves, of
 * those that have joined; the next slice's distances are others, by chance. So if all look,
 * each is looked at as often as it looks, and who is looked at by one that is stopped
 * or busy is looked at by another one the next time.
 */
void fr__look_round(void *process, unsigned depends, bool all)
{
	struct fr_process *p = process;
	struct fr_arena *a = p->arena;
	unsigned before, count, looks, first, slot, i;
	uint64_t slice = (uint64_t)(fr__now_ns() / FR__SLICE_NS);

	if (depends)
		fr__recover(a, (depends - 1) % a->geo.slots);
	if (!all)
		return;
	fr__joined_bit(a, p->index, true); /* whatever has become of it */
	before = joined_before(a, p->index);
	count = joined_before(a, a->geo.slots);
	if (count < 2)
		return;
	looks = looks_of(count - 1);
	first = (unsigned)(fr__hash(&slice, sizeof(slice)) % (count - 1));
	for (i = 0; i < looks; i++) {
		slot = joined_at(a, (before + 1 + (first + i) % (count - 1)) %
					    count);
		if (slot < a->geo.slots)
			fr__recover(a, slot);
	}
}
