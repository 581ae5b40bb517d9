/* SPDX-License-Identifier: MIT */
/*
 * What is done for a process that is proven dead: here, by the parent that has
 * waited for it.
 *
 *	slot JOINED(dead) -> RECOVERING	 nobody sends to it or finds it any more
 *	its claims in all mailboxes -> DEAD	what is behind them flows
 *	its name out of the index
 *	its task to another worker, its finished ones told, its own ones dropped
 *	its events freed
 *	its own mailbox: what it had begun to free, and what it had not read
 *	what it had reserved given back
 *	every bell rung			 a wake-up may have died with it
 *	slot RECOVERING -> FREE
 *
 * Every step may be repeated. That any survivor does this, and what becomes of
 * a recoverer that dies itself, is not built yet; the state word and the lock
 * are there for it.
 */
#include "process.h"

static bool step(struct fr__slot *s, uint64_t *from, uint64_t to)
{
	/* as [PROCESS-2] */
	return fr__cas_sc(&s->state, from, to);
}

void fr__recover(const struct fr_arena *a, struct fr_addr dead)
{
	unsigned slot = fr__addr_slot(dead), i;
	uint32_t g = fr__addr_generation(dead);
	uint64_t recovering = fr__slot_word(FR__SLOT_RECOVERING, slot, g);
	struct fr__slot *s = &a->slots[slot];
	struct fr__ring ring;
	uint64_t word;

	if (slot >= a->geo.slots)
		return;
	/* as [PROCESS-1] */
	word = fr__load_acquire(&s->state);
	do {
		if (fr__slot_generation(word) != g ||
		    fr__slot_state(word) == FR__SLOT_FREE)
			return; /* it had left */
	} while (!step(s, &word, recovering));
	fr__bury_claims(a, slot);
	fr__arena_ring(a, slot, &ring);
	fr__ring_mend(&ring);
	fr__ring_drain(&ring);
	fr__unreserve_all(a, slot);
	fr__route_remove(a, slot, g);
	fr__tasks_recover(a, slot);
	fr__tasks_drop(a, slot);
	fr__events_release_of(a, slot);
	/* [RECOVER-1] relaxed: nobody waits here now; the CAS publishes. */
	fr__and_relaxed(&a->idle[slot / 64], ~(UINT64_C(1) << slot % 64));
	fr__and_relaxed(&a->awake[slot / 64], ~(UINT64_C(1) << slot % 64));
	fr__store_relaxed(&s->waiting, 0);
	word = recovering;
	step(s, &word, fr__slot_word(FR__SLOT_FREE, 0, g));
	for (i = 0; i < a->geo.slots; i++)
		fr__bell_shake(&a->slots[i].bell);
}

int fr_recover(struct fr_arena *a)
{
	int count = 0;
	unsigned i;

	for (i = 0; i < a->geo.slots; i++) {
		/* as [PROCESS-1] */
		uint64_t word = fr__load_acquire(&a->slots[i].state);

		if (fr__slot_state(word) < FR__SLOT_JOINING ||
		    fr__life_held(a, i))
			continue;
		fr__recover(a, fr__addr(i, fr__slot_generation(word)));
		count++;
	}
	return count;
}
