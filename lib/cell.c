/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a cell: its entry in the task ring, the word to its submitter,
 * and what is done when a process is gone. States and steps: task.c, call.c.
 *
 * The entry of a QUEUED cell may be missing only while a note says so: the word that
 * its taker is about to take (slot.taking). A worker has one task in hand at a time,
 * so the note stands for as long as that is its task, also while recovery makes it
 * QUEUED again. Recovery pushes what is noted once more if it is not in the ring; an
 * entry too many harms nobody.
 *
 * The submitter's slot tells whether it is still there. Who finishes a cell steps
 * it, then looks at the slot; who recovers the submitter moves the slot's state,
 * then looks at the cells: one of the two frees it.
 */
#include "cell.h"
#include "forkring/supervisor.h"

#include <sched.h>

#define ATTEMPTS_MAX 3
#define TRIES 1000 /* to push: more are needed only in a damaged ring */

/* ---- entries of the task ring ---- */

/* The state of the cell that an entry leads to; FREE: that is another by now. */
static enum fr__cell_state behind(const struct fr_arena *a, uint32_t cell,
				  uint32_t generation)
{
	uint64_t word;

	if (cell >= fr__cells(a))
		return FR__CELL_FREE;
	word = fr__cell_look(fr__arena_cell(a, cell));
	return (fr__cell_generation(word) & 0xffff) == (generation & 0xffff)
		       ? fr__cell_state(word)
		       : FR__CELL_FREE;
}

bool fr__entry_counts(const struct fr_arena *a, uint32_t cell,
		      uint32_t generation)
{
	return behind(a, cell, generation) == FR__CELL_QUEUED;
}

/* Will it count again? That of a TAKEN cell may: its worker may die, and whoever
 * recovers it rely on this entry. */
static bool may_count(const void *arena, uint32_t cell, uint32_t generation)
{
	enum fr__cell_state state = behind(arena, cell, generation);

	return state == FR__CELL_QUEUED || state == FR__CELL_TAKEN;
}

/* The ring has room for twice as many entries as there are cells, so most of those
 * in a full one will never count (cancelled, or left behind by submitters that are
 * gone). */
int fr__cell_push(const struct fr_arena *a, uint32_t cell, uint32_t generation)
{
	unsigned tries;
	int rc;

	for (tries = 0; tries < TRIES; tries++) {
		rc = fr__taskring_push(&a->tasks, cell, generation);
		if (rc != -EAGAIN)
			return rc;
		if (fr__taskring_replace(&a->tasks, may_count, a, cell,
					 generation))
			return 0;
		sched_yield(); /* others are at it too */
	}
	return -EBADMSG;
}

/* ---- results ---- */

#define BATCH 128 /* results that are worth waking a lazy collector for */

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
 * back, or naps, when a batch is there (half of its cells, if they are few) or the
 * workers have nothing more to do. */
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
	if (there >= BATCH || there * 2 >= cells ||
	    !fr__taskring_any(&a->tasks))
		fr__bell_strike(&s->waiting, &s->bell, FR__MARK_CELLS);
	fr__ring_if_dry(a);
}

void fr__cell_tell(const struct fr_arena *a, uint32_t cell, uint64_t done,
		   struct fr_addr from)
{
	struct fr__cell *c = fr__arena_cell(a, cell);
	unsigned slot = fr__slot_of_cell(a, cell);
	uint32_t i = cell - fr__first_cell(a, slot);

	if (!fr__cell_is_call(done)) {
		/* [TASK-7] seq_cst: DONE -> the bit -> the look at its mark;
		 * and a fence, DONE -> the look at the submitter, see [TASK-8].
		 * Pairs with [TASK-9]. Without it: a result is there and its
		 * submitter sleeps. */
		fr__or_sc(&fr__done(a, slot)[i / 64], UINT64_C(1) << i % 64);
		fr__fence_behind_sc();
	}
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

/* A cell is QUEUED, and its entry may be missing. Its submitter may have gone while
 * it was TAKEN: then it is freed. */
static void push_again(const struct fr_arena *a, uint32_t cell, uint64_t queued)
{
	struct fr__cell *c = fr__arena_cell(a, cell);
	struct fr_addr from = {c->from};
	unsigned by = fr__slot_of_cell(a, cell);
	uint32_t g = fr__cell_generation(queued);

	/* as [TASK-8] */
	if (fr__addr_slot(from) != by ||
	    !fr__slot_is(fr__load_sc(&a->slots[by].state),
			 fr__addr_generation(from)))
		fr__cell_step(c, queued, fr__cell_free(queued));
	else if (!fr__taskring_has(&a->tasks, cell, g))
		fr__cell_push(a, cell, g);
}

/* A call that a process which is gone was to answer: false, it changed meanwhile. */
static bool answer_for(const struct fr_arena *a, unsigned slot, uint32_t cell,
		       uint64_t word)
{
	struct fr__cell *c = fr__arena_cell(a, cell);
	struct fr_addr from = {c->from};
	uint64_t to = fr__cell_free(word);

	if (fr__cell_outcome(word) != FR__CALL_GIVEN_UP)
		to = fr__cell_word(fr__cell_generation(word), 0, FR__CELL_DONE,
				   slot, FR__CALL_LOST);
	if (!fr__cell_step(c, word, to))
		return false;
	if (fr__cell_state(to) == FR__CELL_DONE)
		fr__cell_tell(a, cell, to, from);
	return true;
}

/* A task that a process which is gone had in hand: to another worker, or buried;
 * freed if its submitter is gone too. False: it changed meanwhile. */
static bool take_from(const struct fr_arena *a, unsigned slot, uint32_t cell,
		      uint64_t word)
{
	struct fr__cell *c = fr__arena_cell(a, cell);
	unsigned attempts = fr__cell_attempt(word);
	uint32_t g = fr__cell_generation(word);
	struct fr_addr from = {c->from};
	bool bury = attempts >= ATTEMPTS_MAX;
	uint64_t to = bury ? fr__cell_word(g, attempts, FR__CELL_DONE, slot,
					   FR_TASK_BURIED)
			   : fr__cell_word(g, attempts, FR__CELL_QUEUED,
					   fr__slot_of_cell(a, cell), 0);

	if (!fr__cell_step(c, word, to))
		return false;
	if (bury)
		fr__cell_tell(a, cell, to, from);
	else
		push_again(a, cell, to);
	return true;
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

	/* The entry that it had taken out, the cell still QUEUED, or QUEUED
	 * again by a recoverer that died then. */
	if (fr__taskring_taken(&a->slots[slot].taking, &cell, &g) &&
	    cell < fr__cells(a)) {
		uint64_t word = fr__cell_look(fr__arena_cell(a, cell));

		if (fr__cell_state(word) == FR__CELL_QUEUED &&
		    (fr__cell_generation(word) & 0xffff) == g)
			push_again(a, cell, word);
	}
	for (cell = 0; cell < fr__cells(a); cell++) {
		struct fr__cell *c = fr__arena_cell(a, cell);
		uint64_t word = fr__cell_look(c);
		struct fr_addr from = {c->from};

		if (fr__cell_owner(word) != slot)
			continue;
		if (fr__cell_state(word) == FR__CELL_DONE)
			fr__cell_tell(a, cell, word, from);
		while (fr__cell_owner(word) == slot &&
		       fr__cell_state(word) == FR__CELL_TAKEN &&
		       !(fr__cell_is_call(word)
				 ? answer_for(a, slot, cell, word)
				 : take_from(a, slot, cell, word)))
			word = fr__cell_look(c);
	}
	fr__task_pass_on(a);
}
