/* SPDX-License-Identifier: MIT */
/* Cells: where tasks and calls stand; see cell.c. */
#ifndef FR_LIB_CELL_H
#define FR_LIB_CELL_H

#include "process.h"

/* Outcomes of calls (call.c), beside enum fr_task_status. While TAKEN: */
#define FR__CALL_OPEN 128  /* the callee owes a reply */
#define FR__CALL_WRITING 129 /* and is writing it */
#define FR__CALL_GIVEN_UP 130 /* that, and nobody waits for it */
/* While DONE: */
#define FR__CALL_REPLIED 131
#define FR__CALL_REFUSED 132 /* nobody there handles it */
#define FR__CALL_LOST 133    /* the callee died */

#define FR__CELL_ASK (4 * FR__LINE)

static inline uint64_t fr__cell_word(uint32_t generation, unsigned attempt,
				 enum fr__cell_state state, unsigned owner,
				 unsigned outcome)
{
	return (uint64_t)generation << 32 | (uint64_t)(attempt & 0xff) << 24 |
	       (uint64_t)state << 20 | (uint64_t)owner << 8 | outcome;
}

static inline uint32_t fr__cell_generation(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

static inline unsigned fr__cell_attempt(uint64_t word)
{
	return word >> 24 & 0xff;
}

static inline enum fr__cell_state fr__cell_state(uint64_t word)
{
	return (enum fr__cell_state)(word >> 20 & 0xf);
}

static inline unsigned fr__cell_owner(uint64_t word)
{
	return word >> 8 & 0xfff;
}

static inline unsigned fr__cell_outcome(uint64_t word)
{
	return word & 0xff;
}

static inline struct fr_task_id fr__task_id(uint32_t cell, uint32_t generation)
{
	return (struct fr_task_id){(uint64_t)generation << 32 | cell};
}

static inline uint64_t fr__cell_look(const struct fr__cell *c)
{
	/* [TASK-1] seq_cst: state -> what was written into the cell before it.
	 * Pairs with [TASK-3] and [TASK-17]. Without it: a half-filled task is run, a
	 * half-written result is read. */
	return fr__load_sc(&c->state);
}

static inline bool fr__cell_step(struct fr__cell *c, uint64_t from, uint64_t to)
{
	/* [TASK-3] seq_cst: cell written -> state; and DONE -> the look
	 * whether the submitter is still there, against its leaving -> its
	 * look at the cell. Pairs with [TASK-1] and [TASK-8]. Without it: as
	 * there; or a cell stays DONE for a submitter that is gone. */
	return fr__cas_sc(&c->state, &from, to);
}

/* Where nobody else may change the state, as we live: of a task TAKEN by us. */
static inline void fr__cell_put(struct fr__cell *c, uint64_t to)
{
	/* [TASK-17] release: cell written -> state. Pairs with [TASK-1].
	 * Without it: as [TASK-3]. */
	fr__store_release(&c->state, to);
}

/* The same from a state that only its submitter, us, steps from: FREE, FILLING, HELD,
 * and DONE while we live. Only another thread of ours could come between. */
static inline bool fr__cell_step_own(struct fr__cell *c, uint64_t from, uint64_t to)
{
	if (!fr__one_thread())
		return fr__cell_step(c, from, to);
	fr__cell_put(c, to);
	return true;
}

/* Ask for a cell's lines at once, before they are wanted one after the other (the
 * first few: of long arguments and results the CPU finds the rest itself). */
static inline void fr__cell_ask(const struct fr_arena *a, const struct fr__cell *c)
{
	size_t at, end = a->cell_bytes < FR__CELL_ASK ? a->cell_bytes : FR__CELL_ASK;

	for (at = 0; at < end; at += FR__LINE)
		fr__prefetch_write((const char *)c + at);
}

/* A word with another outcome; FREE. */
static inline uint64_t fr__cell_with(uint64_t word, unsigned outcome)
{
	return (word & ~UINT64_C(0xff)) | outcome;
}

static inline uint64_t fr__cell_free(uint64_t word)
{
	return fr__cell_word(fr__cell_generation(word), 0, FR__CELL_FREE, 0, 0);
}

/* Is it of a call, not of a task? */
static inline bool fr__cell_is_call(uint64_t word)
{
	return fr__cell_outcome(word) >= FR__CALL_OPEN;
}

/* ---- cell.c ---- */

/* Does an entry of the task ring still count? */
bool fr__entry_counts(const struct fr_arena *a, uint32_t cell,
		      uint32_t generation);
/* Put an entry into the task ring, also when that is full: 0 or -EBADMSG. */
int fr__cell_push(const struct fr_arena *a, uint32_t cell, uint32_t generation);
/* Say that a cell is DONE: to its submitter, or free it if that is gone. from
 * was read before: the submitter may have the cell in use again by now. */
void fr__cell_tell(const struct fr_arena *a, uint32_t cell, uint64_t done,
		   struct fr_addr from);
/* The task ring may have run dry: that is what lazy collectors wait for. */
void fr__ring_if_dry(const struct fr_arena *a);

/* ---- task.c ---- */

/* A cell of one's own to fill: its number among the own ones and its state word,
 * FILLING; -EAGAIN. Back when it is FREE again. */
int fr__cell_reserve(struct fr_process *p, uint64_t *word);
void fr__cell_give_back(struct fr_process *p, uint32_t i);

#endif
