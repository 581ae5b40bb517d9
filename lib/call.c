/* SPDX-License-Identifier: MIT */
/*
 * Calls: a message that wants a reply, and the wait for it.
 *
 * The reply comes back in one of the caller's own cells, which stands like the
 * cell of a task that the callee has taken. The message carries the cell's number
 * and generation; so a late reply finds another generation, and harms nobody.
 *
 *	Caller				Callee
 *	 cell FILLING
 *	 cell TAKEN(callee, OPEN)
 *	 send the message		 receive it
 *	 sleep on the own bell		 TAKEN(OPEN) -> TAKEN(WRITING)
 *					 write the reply
 *					 TAKEN(WRITING) -> DONE(REPLIED), ring
 *	 read it, DONE -> FREE
 *
 * Only while WRITING is the cell's room the callee's, so a caller that gives up
 * takes an OPEN cell back at once, and leaves a WRITING one to the callee
 * (GIVEN_UP), who frees it.
 *
 * A death leaves
 *	of the caller	an OPEN cell: freed by recovery; a WRITING one: GIVEN_UP
 *	of the callee	TAKEN cells: OPEN and WRITING ones are DONE(LOST) by
 *			recovery, GIVEN_UP ones freed (cell.c); DONE ones are the
 *			caller's
 * Before it sleeps, and each slice, the caller looks whether the callee lives
 * (bell.c); one that has left, or is being recovered, is seen by its slot's state.
 */
#include "cell.h"
#include "forkring/message.h"

#include <string.h>

struct call {
	struct fr_process *p;
	struct fr__cell *cell;
	uint32_t i;    /* of the own cells */
	uint64_t open; /* its state word */
	struct fr_addr to;
};

/* The state word now: OPEN and WRITING are not yet the end, unless the callee is
 * gone. */
static int call_ready(void *ctx)
{
	const struct call *call = ctx;
	uint64_t word = fr__cell_look(call->cell);

	if (fr__cell_state(word) != FR__CELL_TAKEN)
		return 1;
	return fr__slot_of(call->p->arena, call->to) ? 0 : -EOWNERDEAD;
}

/* A cell of our own, TAKEN by the callee. */
static int open_call(struct call *call)
{
	struct fr_process *p = call->p;
	uint64_t filling;
	int i = fr__cell_reserve(p, &filling);

	if (i < 0)
		return i;
	call->i = (uint32_t)i;
	call->cell = fr__arena_cell(p->arena, p->first_cell + call->i);
	call->cell->from = fr_self(p).id;
	call->cell->worker = call->to.id;
	call->open = fr__cell_word(fr__cell_generation(filling), 0,
				   FR__CELL_TAKEN, fr__addr_slot(call->to),
				   FR__CALL_OPEN);
	fr__cell_step(call->cell, filling, call->open);
	return 0;
}

/* Give up: 0, the cell is not ours any more; 1, there is an answer after all. */
static int give_up(struct call *call)
{
	uint64_t word = call->open, writing;

	writing = fr__cell_with(word, FR__CALL_WRITING);
	if (fr__cell_step(call->cell, word, fr__cell_free(word))) {
		fr__cell_give_back(call->p, call->i);
		return 0;
	}
	/* The callee frees it. */
	return !fr__cell_step(call->cell, writing,
			      fr__cell_with(word, FR__CALL_GIVEN_UP));
}

/* Take the answer out of the cell. */
static int read_reply(struct call *call, void *reply, size_t max)
{
	struct fr_arena *a = call->p->arena;
	uint64_t word = fr__cell_look(call->cell);
	size_t len = fr__once(call->cell->result_len);
	int rc;

	if (fr__cell_state(word) != FR__CELL_DONE)
		return -EBADMSG;
	if (fr__cell_outcome(word) == FR__CALL_REFUSED)
		rc = -ENOMSG;
	else if (fr__cell_outcome(word) != FR__CALL_REPLIED)
		rc = -EOWNERDEAD;
	else if (len > a->geo.result_max)
		rc = -EBADMSG;
	else
		rc = len > max ? -EMSGSIZE : (int)len;
	if (rc > 0)
		memcpy(reply, fr__cell_result(a, call->cell, 0), len);
	if (fr__cell_step(call->cell, word, fr__cell_free(word)))
		fr__cell_give_back(call->p, call->i);
	return rc;
}

int fr_call(struct fr_process *p, struct fr_addr to, struct fr_type type,
	    const void *body, size_t len, int64_t wait_ns, void *reply,
	    size_t reply_max)
{
	struct call call = {.p = p, .to = to};
	struct fr__wait wait = {
		.marks = FR__MARK_RESULT,
		.ready = call_ready,
		.ctx = &call,
		.depends = fr__addr_slot(to) + 1,
	};
	int64_t deadline = fr__deadline(wait_ns);
	int rc = fr__own(p);

	if (rc == 0 && to.id == fr_self(p).id)
		rc = -EDEADLK;
	if (rc == 0 && fr__addr_slot(to) >= p->arena->geo.slots)
		rc = -ESRCH;
	if (rc == 0)
		rc = open_call(&call);
	if (rc < 0)
		return rc;
	rc = fr__send_call(p, to, type,
			   fr__task_id(p->first_cell + call.i,
				       fr__cell_generation(call.open))
				   .id,
			   body, len, wait_ns);
	if (rc == 0) {
		if (deadline != FR__NEVER && wait_ns > 0) {
			wait_ns = deadline - fr__now_ns();
			wait_ns = wait_ns > 0 ? wait_ns : 0;
		}
		rc = fr__bell_wait(&p->bell, &wait, wait_ns);
		if (rc == -EAGAIN)
			rc = -ETIMEDOUT;
	}
	if (rc < 0 && give_up(&call) == 0)
		return rc;
	return read_reply(&call, reply, reply_max);
}

/* The open call of that number that this process owes a reply, TAKEN into
 * WRITING; NULL. */
static struct fr__cell *start_reply(struct fr_process *p, uint64_t call,
				    uint64_t *writing)
{
	uint32_t i = (uint32_t)call;
	struct fr__cell *c;
	uint64_t word;

	if (i >= fr__cells(p->arena))
		return NULL;
	c = fr__arena_cell(p->arena, i);
	word = fr__cell_word((uint32_t)(call >> 32), 0, FR__CELL_TAKEN,
			     p->index, FR__CALL_OPEN);
	*writing = fr__cell_with(word, FR__CALL_WRITING);
	/* It may be owed by who had our slot before, and has left. */
	return c->worker == fr_self(p).id && fr__cell_step(c, word, *writing)
		       ? c
		       : NULL;
}

static int reply_with(struct fr_process *p, uint64_t call, unsigned outcome,
		      const void *body, size_t len)
{
	struct fr_arena *a = p->arena;
	struct fr_addr from;
	struct fr__cell *c;
	uint64_t writing, done;

	if (len > a->geo.result_max)
		return -EMSGSIZE;
	c = start_reply(p, call, &writing);
	if (!c)
		return -ESRCH;
	from.id = c->from;
	c->result_len = (uint32_t)len;
	if (len > 0)
		memcpy(fr__cell_result(a, c, 0), body, len);
	done = fr__cell_word(fr__cell_generation(writing), 0, FR__CELL_DONE,
			     p->index, outcome);
	if (fr__cell_step(c, writing, done)) {
		fr__cell_tell(a, (uint32_t)call, done, from);
		return 0;
	}
	/* Given up meanwhile. */
	fr__cell_step(c, fr__cell_with(writing, FR__CALL_GIVEN_UP),
		      fr__cell_free(writing));
	return -ESRCH;
}

int fr_reply(struct fr_process *p, uint64_t call, const void *body, size_t len)
{
	int rc = fr__own(p);

	return rc < 0 ? rc : reply_with(p, call, FR__CALL_REPLIED, body, len);
}

void fr__call_refuse(struct fr_process *p, uint64_t call)
{
	reply_with(p, call, FR__CALL_REFUSED, NULL, 0);
}
