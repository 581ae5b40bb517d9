/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a cell: its entry in the task ring, the word to its submitter,
 * and what is done when a process is gone. States and steps: task.c, call.c.
 *
 * An entry of the ring may be missing only while a note says so: the word that its
 * taker is about to take (slot.taking), or the cell's `moved`, set by who takes a
 * live entry to push it again. Recovery pushes what is noted once more: an entry
 * too many harms nobody.
 *
 * The submitter's slot tells whether it is still there. Who finishes a cell steps
 * it, then looks at the slot; who recovers the submitter moves the slot's state,
 * then looks at the cells: one of the two frees it.
 */
#include "cell.h"
#include "forkring/supervisor.h"

#include <sched.h>

#define ATTEMPTS_MAX 3

/* ---- entries of the task ring ---- */

bool fr__entry_counts(const struct fr_arena *a, uint32_t cell,
		      uint32_t generation)
{
	uint64_t word;

	if (cell >= fr__cells(a))
		return false;
	word = fr__cell_look(fr__arena_cell(a, cell));
	return fr__cell_state(word) == FR__CELL_QUEUED &&
	       (fr__cell_generation(word) & 0xffff) == (generation & 0xffff);
}

/* Somebody takes a cell's entry out of the ring to push it again: whoever dies
 * with it in hand, recovery finds this. */
static void note_moved(const void *arena, uint32_t cell)
{
	const struct fr_arena *a = arena;

	if (cell < fr__cells(a))
		/* [TASK-16] relaxed: before the CAS that takes the entry, in
		 * our own order of stores by [TASKRING-6]; read only once we
		 * are proven dead. */
		fr__store_relaxed(&fr__arena_cell(a, cell)->moved, 1);
}

#define IN_HAND 8
#define ROUNDS_MAX 100000 /* in which nothing moves: only in a damaged ring */

/* The ring is full. It has room for twice as many entries as there are cells, so
 * most of them count no more (cancelled, or left behind by submitters that are
 * gone): drop those from its head, and move those that count to its tail, until
 * this entry is in. */
int fr__cell_push(const struct fr_arena *a, uint32_t cell, uint32_t generation)
{
	uint32_t cells[IN_HAND] = {cell};
	uint32_t generations[IN_HAND] = {generation};
	unsigned n = 1, lost = 0;
	int rc;

	while (n > 0 && lost < ROUNDS_MAX) {
		rc = fr__taskring_push(&a->tasks, cells[n - 1],
				       generations[n - 1]);
		if (rc == 0)
			n--;
		else if (rc != -EAGAIN)
			return rc;
		else if (n < IN_HAND &&
			 fr__taskring_move(&a->tasks, note_moved, a, &cells[n],
					   &generations[n]) == 1)
			n += fr__entry_counts(a, cells[n], generations[n]);
		else if (++lost < ROUNDS_MAX)
			sched_yield(); /* others are at it too */
	}
	return n > 0 ? -EBADMSG : 0;
}

/* ---- results ---- */

#define BATCH 16 /* results that are worth waking a lazy collector for */

void fr__ring_if_dry(const struct fr_arena *a)
{
	struct fr__a32 *lazy = &a->header->lazy;

	/* [TASK-14] seq_cst: entry taken -> the look for lazy ones; their flag
	 * -> their marks. Pairs with [TASK-15]. Without it: one sleeps on while
	 * the workers have nothing to do. */
	if (fr__load_sc(lazy) && !fr__taskring_any(&a->tasks) &&
	    fr__swap_sc(lazy, 0))
		fr__wake_all(a, FR__MARK_CELLS);
}

/* A result is there: ring for who waits for any; for who only wants its cells
 * back when a batch is there (half of its cells, if they are few). */
static void ring_submitter(const struct fr_arena *a, unsigned slot)
{
	struct fr__slot *s = &a->slots[slot];
	uint32_t cells = fr__cells_of(a, slot), i;
	unsigned there = 0;

	fr__bell_ring(s, FR__MARK_RESULT);
	/* as [BELL-1] */
	if (!(fr__load_sc(&s->waiting) & FR__MARK_CELLS))
		return;
	for (i = 0; i < (cells + 63) / 64; i++)
		/* as [TASK-9] */
		there += (unsigned)__builtin_popcountll(
			fr__load_sc(&fr__done(a, slot)[i]));
	if (there >= BATCH || there * 2 >= cells)
		fr__bell_strike(&s->waiting, &s->bell, FR__MARK_CELLS);
	fr__ring_if_dry(a);
}

void fr__cell_tell(const struct fr_arena *a, uint32_t cell, uint64_t done,
		   struct fr_addr from)
{
	struct fr__cell *c = fr__arena_cell(a, cell);
	unsigned slot = fr__slot_of_cell(a, cell);
	uint32_t i = cell - fr__first_cell(a, slot);

	/* [TASK-7] seq_cst: DONE -> the bit -> the look at its mark. Pairs with
	 * [TASK-9]. Without it: a result is there and its submitter sleeps. */
	if (!fr__cell_is_call(done))
		fr__or_sc(&fr__done(a, slot)[i / 64], UINT64_C(1) << i % 64);
	/* [TASK-8] seq_cst: see [TASK-3]. Pairs with [TASK-3] and
	 * [PROCESS-2]. Without it: see there. */
	if (fr__addr_slot(from) == slot &&
	    fr__slot_is(fr__load_sc(&a->slots[slot].state),
			fr__addr_generation(from)))
		ring_submitter(a, slot);
	else
		fr__cell_step(c, done, fr__cell_free(done));
}

/* ---- somebody is gone ---- */

/* What becomes of a cell whose submitter is gone. A TAKEN task is freed by who
 * finishes it, a reply by who is writing it. */
static uint64_t dropped(uint64_t word)
{
	if (fr__cell_state(word) != FR__CELL_TAKEN ||
	    fr__cell_outcome(word) == FR__CALL_OPEN)
		return fr__cell_free(word);
	return fr__cell_is_call(word) ? fr__cell_with(word, FR__CALL_GIVEN_UP)
				      : word;
}

void fr__tasks_drop(const struct fr_arena *a, unsigned slot)
{
	uint32_t i;

	for (i = 0; i < fr__cells_of(a, slot); i++) {
		struct fr__cell *c =
			fr__arena_cell(a, fr__first_cell(a, slot) + i);
		uint64_t word = fr__cell_look(c);

		while (dropped(word) != word &&
		       !fr__cell_step(c, word, dropped(word)))
			word = fr__cell_look(c);
	}
}

/* A cell TAKEN by a process that is gone: to another worker, or buried; freed if
 * its submitter is gone too. */
static void take_from(const struct fr_arena *a, unsigned slot, uint32_t cell,
		      uint64_t word)
{
	struct fr__cell *c = fr__arena_cell(a, cell);
	unsigned attempts = fr__cell_attempt(word);
	unsigned by = fr__slot_of_cell(a, cell);
	uint32_t g = fr__cell_generation(word);
	struct fr_addr from = {c->from};
	uint64_t to;

	if (fr__cell_outcome(word) == FR__CALL_GIVEN_UP) {
		fr__cell_step(c, word, fr__cell_free(word));
		return;
	}
	if (fr__cell_is_call(word)) {
		to = fr__cell_word(g, 0, FR__CELL_DONE, slot, FR__CALL_LOST);
		if (fr__cell_step(c, word, to))
			fr__cell_tell(a, cell, to, from);
		return;
	}
	if (attempts >= ATTEMPTS_MAX) {
		to = fr__cell_word(g, attempts, FR__CELL_DONE, slot,
				   FR_TASK_BURIED);
		if (fr__cell_step(c, word, to))
			fr__cell_tell(a, cell, to, from);
		return;
	}
	note_moved(a, cell);
	to = fr__cell_word(g, attempts, FR__CELL_QUEUED, by, 0);
	if (!fr__cell_step(c, word, to))
		return;
	/* as [TASK-8]: its submitter may have gone while it was TAKEN */
	if (fr__addr_slot(from) == by &&
	    fr__slot_is(fr__load_sc(&a->slots[by].state),
			fr__addr_generation(from)))
		fr__cell_push(a, cell, g);
	else
		fr__cell_step(c, to, fr__cell_free(to));
}

void fr__task_of(const struct fr_arena *a, unsigned slot, struct fr_end *e)
{
	struct fr__cell *c;
	uint32_t cell, g;
	uint64_t word;

	if (!fr__taskring_taken(&a->slots[slot].taking, &cell, &g) ||
	    cell >= fr__cells(a))
		return;
	c = fr__arena_cell(a, cell);
	word = fr__cell_look(c);
	if (fr__cell_state(word) != FR__CELL_TAKEN ||
	    fr__cell_owner(word) != slot || fr__cell_is_call(word))
		return;
	e->had_task = true;
	e->task = fr__task_id(cell, fr__cell_generation(word));
	e->kind = c->kind;
	e->attempt = fr__cell_attempt(word);
}

void fr__tasks_recover(const struct fr_arena *a, unsigned slot)
{
	uint32_t cell, g;

	/* The entry that it had taken out, the cell still QUEUED. */
	if (fr__taskring_taken(&a->slots[slot].taking, &cell, &g) &&
	    fr__entry_counts(a, cell, g))
		fr__cell_push(a, cell, g);
	for (cell = 0; cell < fr__cells(a); cell++) {
		struct fr__cell *c = fr__arena_cell(a, cell);
		uint64_t word = fr__cell_look(c);
		struct fr_addr from = {c->from};

		/* as [TASK-16]; who set it need not be the dead one */
		if (fr__cell_state(word) == FR__CELL_QUEUED &&
		    fr__load_relaxed(&c->moved))
			fr__cell_push(a, cell, fr__cell_generation(word));
		if (fr__cell_owner(word) != slot)
			continue;
		if (fr__cell_state(word) == FR__CELL_DONE)
			fr__cell_tell(a, cell, word, from);
		else if (fr__cell_state(word) == FR__CELL_TAKEN)
			take_from(a, slot, cell, word);
	}
	fr__task_pass_on(a);
}
