/* SPDX-License-Identifier: MIT */
/*
 * Tasks and results. The task table (the cells) is the truth, the task ring
 * only says where to look.
 *
 * A cell's state word: generation, attempt, state, owner, outcome; every change
 * is one CAS of it, or one store where only one may change it:
 *
 *	FREE(g) -> FILLING(g+1, submitter) -> QUEUED -> TAKEN(worker, attempt+1)
 *	  ^							|
 *	  +-- HELD(submitter) <- DONE(outcome) <----------------+
 *				   ^------------- QUEUED, by cancel
 *
 * A task's id is its cell and generation. Each process has cells of its own: a
 * fixed part of the table that follows from its slot's number. They bound what
 * it may have outstanding, and a task's cell is the room for its result, so
 * that workers and submitters never block each other in a circle.
 *
 * Submit			Worker				Collect
 *  fill the cell		 take an entry			 swap done bits
 *  QUEUED			 CAS QUEUED -> TAKEN		 CAS DONE -> HELD
 *  push (taskring.c)		 run				 read in place
 *  an idle bit set?		 TAKEN -> DONE			 HELD -> FREE
 *    clear it, ring its bell	 set the done bit, ring
 *
 * Idle workers: a bit per slot. A worker sets its bit after its mark and before
 * its last look. Who pushes clears one bit and rings that bell, unless another
 * worker was woken and is on its way (header.waking): that one clears the word,
 * takes a task, and wakes the next if there are more; who finds none clears the
 * word before its last look, and who goes away without taking passes on. So no
 * task waits while a worker sleeps, and pushing many wakes one.
 *
 * Workers that nap (bell.c) are passed over while as many processes are awake as can
 * run at once. The task waits for one of those, but not for longer than a nap; and who
 * goes to sleep itself or waits for a result, so that there is a CPU, wakes one that
 * naps.
 *
 * Lazy collectors (a farm's main that wants cells back, not results): marked
 * CELLS, with a flag in the header; rung when a batch of results is there, or by
 * whoever finds the task ring dry. So is for a moment, where it would take a CPU from a
 * worker, who waits for any result.
 *
 * At every instruction a task is queued, in a worker's hands, or done. A death
 * leaves
 *	of a submitter	cells: QUEUED ones are dropped, TAKEN ones run out and
 *			are freed by who finishes them, DONE ones are freed
 *	of a worker	before its CAS an entry that is gone from the ring, noted
 *			in its slot (taking); from then on a cell TAKEN by it;
 *			after DONE perhaps no done bit: told again
 * cell.c says who mends it.
 */
#include "cell.h"

#include <stdlib.h>
#include <string.h>

/* How long a collector naps: workers that are all busy finish half of a main's tasks
 * meanwhile, even if those take some microseconds. */
#define COLLECT_NAP_NS INT64_C(1000000)

/* ---- idle workers ---- */

static int first_of(const struct fr_arena *a, const struct fr__a64 *words)
{
	unsigned i, slot;

	for (i = 0; i < (a->geo.slots + 63) / 64; i++) {
		/* [TASK-2] seq_cst: entry pushed -> the look at idle bits; and
		 * waking cleared -> the same look. Pairs with [TASKRING-5],
		 * [TASK-4] and [TASK-10]. Without it: pusher and taker miss
		 * each other. */
		uint64_t set = fr__load_sc(&words[i]);

		slot = i * 64 + (unsigned)(set ? __builtin_ctzll(set) : 0);
		if (set && slot < a->geo.slots)
			return (int)slot;
	}
	return -1;
}

/* The number of an idle worker's slot, or -1, and the bits where it says so. Those that
 * nap only if that is asked for, or there are CPUs for them. */
static int find_idle(const struct fr_arena *a, bool naps_too,
		     struct fr__a64 **words)
{
	int slot = first_of(a, *words = a->idle);

	if (slot < 0)
		slot = first_of(a, *words = a->naps);
	else
		naps_too = true;
	return slot >= 0 && (naps_too ||
			     !fr__bell_crowded(a->awake,
					       (a->geo.slots + 63) / 64, 0))
		       ? slot
		       : -1;
}

/* Wake one idle worker, unless there is none or one is on its way: that one
 * will look at the ring, and wake the next. The task is in the ring. */
static void wake_one(const struct fr_arena *a, bool naps_too)
{
	struct fr__a32 *waking = &a->header->waking;
	struct fr__a64 *words;
	struct fr__slot *s;
	uint32_t none;
	int slot;

	while ((slot = find_idle(a, naps_too, &words)) >= 0) {
		uint64_t bit = UINT64_C(1) << slot % 64;

		none = 0;
		/* [TASK-10] seq_cst: entry pushed -> the look at who is waking;
		 * against waking cleared -> its look at the ring. Pairs with
		 * [TASK-11] and [TASK-2]. Without it: we leave it to one that
		 * has looked already. */
		if (fr__load_sc(waking) != 0 ||
		    !fr__cas_sc(waking, &none, (uint32_t)slot + 1))
			return;
		s = &a->slots[slot];
		/* as [TASK-2]: one of us wakes it */
		if ((fr__and_sc(&words[slot / 64], ~bit) & bit) &&
		    fr__bell_strike(&s->waiting, &s->bell, FR__MARK_TASK))
			return;
		/* It was awake by itself; somebody may have relied on us
		 * meanwhile, so look at the idle ones again. */
		/* as [TASK-10] */
		fr__swap_sc(waking, 0);
	}
}

void fr__task_pass_on(const struct fr_arena *a)
{
	/* [TASK-11] seq_cst: waking cleared -> the look at the ring. Pairs with
	 * [TASK-10]. Without it: see there. */
	if (fr__load_sc(&a->header->waking))
		fr__swap_sc(&a->header->waking, 0);
	if (fr__taskring_any(&a->tasks))
		wake_one(a, false);
}

void fr__task_make_room(const struct fr_arena *a)
{
	struct fr__a64 *words;

	if (find_idle(a, true, &words) >= 0 && fr__taskring_any(&a->tasks))
		wake_one(a, true);
}

void fr__task_arm(struct fr_process *p, enum fr__arm how)
{
	struct fr__a64 *idle = &p->arena->idle[p->index / 64];
	struct fr__a64 *naps = &p->arena->naps[p->index / 64];
	struct fr__a32 *waking = &p->arena->header->waking;
	uint64_t bit = UINT64_C(1) << p->index % 64;

	/* [TASK-4] seq_cst: idle bit set -> the last look at the ring. Pairs
	 * with [TASK-2]. Without it: see there. */
	if (how == FR__ARM)
		fr__or_sc(idle, bit);
	else if (fr__load_sc(idle) & bit)
		fr__and_sc(idle, ~bit);
	/* as [TASK-4]; behind it, so that who looks at idle first finds us here
	 * or there, or we find its entry */
	if (how == FR__ARM_NAP)
		fr__or_sc(naps, bit);
	else if (fr__load_sc(naps) & bit)
		fr__and_sc(naps, ~bit);
	/* as [TASK-11]: we were woken, have looked in vain, and look once more
	 * behind this. */
	if (how != FR__DISARM && fr__load_sc(waking) == p->index + 1)
		fr__swap_sc(waking, 0);
}

int fr__task_ready(struct fr_process *p)
{
	return fr__taskring_any(&p->arena->tasks);
}

/* ---- the submitter ---- */

/* Own cells that are FREE and not in the bits: those that were still TAKEN for
 * the slot's last holder. */
static void find_free(struct fr_process *p)
{
	uint32_t i;

	for (i = 0; i < p->cells; i++)
		if (fr__cell_state(fr__cell_look(fr__arena_cell(
			    p->arena, p->first_cell + i))) == FR__CELL_FREE)
			/* [TASK-5] relaxed: a hint; the CAS FREE -> FILLING
			 * decides. */
			fr__or_own_relaxed(&p->free_cells[i / 64],
				       UINT64_C(1) << i % 64);
}

int fr__tasks_init(struct fr_process *p)
{
	p->cells = fr__cells_of(p->arena, p->index);
	p->first_cell = fr__first_cell(p->arena, p->index);
	p->cell_words = (p->cells + 63) / 64;
	p->free_cells = calloc(p->cell_words, sizeof(*p->free_cells));
	p->finished = calloc(p->cell_words, sizeof(*p->finished));
	if (!p->free_cells || !p->finished)
		return -ENOMEM;
	find_free(p);
	return 0;
}

/* Take one bit out of a set; its number, or -1. */
static int take_bit(struct fr__a64 *words, unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		/* [TASK-6] relaxed: hints of this process; each bit goes to one
		 * thread, and the cell's state orders the rest. */
		uint64_t set = fr__load_relaxed(&words[i]);

		while (set) {
			uint64_t bit = set & -set;

			/* as [TASK-6] */
			set = fr__and_own_relaxed(&words[i], ~bit);
			if (set & bit)
				return (int)(i * 64) + __builtin_ctzll(bit);
		}
	}
	return -1;
}

int fr__cell_reserve(struct fr_process *p, uint64_t *word)
{
	const struct fr_arena *a = p->arena;
	bool searched = false;

	for (;;) {
		int i = take_bit(p->free_cells, p->cell_words);
		struct fr__cell *c;
		uint32_t g;

		if (i < 0) {
			/* as [TASK-6] */
			if (searched ||
			    fr__load_relaxed(&p->outstanding) == p->cells)
				return -EAGAIN;
			searched = true;
			find_free(p);
			continue;
		}
		c = fr__arena_cell(a, p->first_cell + (uint32_t)i);
		*word = fr__cell_look(c);
		if (fr__cell_state(*word) != FR__CELL_FREE)
			continue;
		g = fr__cell_generation(*word) + 1;
		g = g ? g : 1;
		if (fr__cell_step_own(c, *word,
				      fr__cell_word(g, 0, FR__CELL_FILLING,
						    p->index, 0))) {
			*word = fr__cell_word(g, 0, FR__CELL_FILLING, p->index,
					      0);
			return i;
		}
	}
}

void fr__cell_give_back(struct fr_process *p, uint32_t i)
{
	/* as [TASK-6] */
	fr__or_own_relaxed(&p->free_cells[i / 64], UINT64_C(1) << i % 64);
}

/* The same, of a task: one outstanding less. */
static void give_back(struct fr_process *p, uint32_t i)
{
	fr__cell_give_back(p, i);
	/* [TASK-13] seq_cst: none outstanding -> the look for who waits; a
	 * collector counted -> its look at bits and at outstanding. Pairs with
	 * [TASK-12]. Without it: one waits for a result that cannot come. */
	if (fr__add_own_sc(&p->outstanding, -1u) == 1)
		fr__bell_ring(p->slot, FR__MARK_RESULT | FR__MARK_CELLS);
}

int fr_submit(struct fr_process *p, const struct fr_task *task,
	      struct fr_task_id *ret)
{
	struct fr_arena *a = p->arena;
	struct fr__cell *c;
	uint64_t word, queued;
	uint32_t g;
	int i, rc = fr__own(p);

	if (rc == 0 && task->len > a->geo.arg_max)
		rc = -EMSGSIZE;
	if (rc == 0)
		rc = i = fr__cell_reserve(p, &word);
	if (rc < 0)
		return rc;
	c = fr__arena_cell(a, p->first_cell + (uint32_t)i);
	g = fr__cell_generation(word);
	/* as [TASK-6] */
	fr__add_own_relaxed(&p->outstanding, 1);
	c->from = fr_self(p).id;
	c->kind = task->kind;
	c->arg_len = (uint32_t)task->len;
	if (task->len)
		memcpy(c->arg, task->arg, task->len);
	queued = fr__cell_word(g, 0, FR__CELL_QUEUED, p->index, 0);
	fr__cell_step_own(c, word, queued);
	rc = fr__cell_push(a, p->first_cell + (uint32_t)i, g);
	if (rc < 0) {
		fr__cell_step(c, queued,
			      fr__cell_word(g, 0, FR__CELL_FREE, 0, 0));
		give_back(p, (uint32_t)i);
		return rc;
	}
	wake_one(a, false);
	*ret = fr__task_id(p->first_cell + (uint32_t)i, g);
	return 0;
}

static void lazy_arm(void *ctx, enum fr__arm how)
{
	struct fr_process *p = ctx;

	if (how != FR__DISARM)
		/* [TASK-15] seq_cst: our mark -> the flag -> the last look.
		 * Pairs with [TASK-14]. Without it: see there. */
		fr__store_sc(&p->arena->header->lazy, 1);
}

/* Fetch the done bits. Is there one, or nothing to wait for? */
static int result_ready(void *ctx)
{
	struct fr_process *p = ctx;
	struct fr__a64 *done = fr__done(p->arena, p->index);
	uint64_t any = 0, all = 0;
	unsigned i;

	for (i = 0; i < p->cell_words; i++) {
		uint64_t set = 0;

		/* [TASK-9] seq_cst: bit -> the cell is DONE; and the last look
		 * before sleeping. Pairs with [TASK-7]. Without it: see
		 * there. */
		if (fr__load_sc(&done[i]))
			set = fr__swap_sc(&done[i], 0);
		/* [TASK-12] seq_cst: bits of ours -> the look for other threads
		 * that collect; they count themselves, then look here. Pairs
		 * with [TASK-13]. Without it: one sleeps beside a result that
		 * another has fetched. */
		if (set)
			fr__or_own_sc(&p->finished[i], set);
		any |= fr__load_sc(&p->finished[i]);
		all |= set;
	}
	/* as [TASK-12] */
	if (all && fr__load_sc(&p->collectors) > 1)
		fr__bell_ring(p->slot, FR__MARK_RESULT | FR__MARK_CELLS);
	/* as [TASK-13] */
	return any != 0 || fr__load_sc(&p->outstanding) == 0;
}

/* The own cell i is said to be finished: hold its result. */
static int hold(struct fr_process *p, uint32_t i, struct fr_result *r)
{
	struct fr_arena *a = p->arena;
	struct fr__cell *c = fr__arena_cell(a, p->first_cell + i);
	uint32_t len, arg_len;
	uint64_t word, held;
	bool run;

	if (i >= p->cells)
		return -EBADMSG;
	word = fr__cell_look(c);
	/* Else told twice; or of the slot's last holder, then who finished it
	 * frees it; or of a call. */
	if (fr__cell_state(word) != FR__CELL_DONE || fr__cell_is_call(word) ||
	    c->from != fr_self(p).id)
		return 0;
	held = fr__cell_word(fr__cell_generation(word), fr__cell_attempt(word),
			     FR__CELL_HELD, p->index, fr__cell_outcome(word));
	if (!fr__cell_step_own(c, word, held))
		return 0;
	run = fr__cell_outcome(word) == FR_TASK_DONE ||
	      fr__cell_outcome(word) == FR_TASK_FAILED;
	len = run ? fr__once(c->result_len) : 0;
	arg_len = fr__once(c->arg_len);
	if (len > a->geo.result_max || (len > 0 && arg_len > a->geo.arg_max)) {
		fr__cell_step_own(c, held, fr__cell_free(held));
		give_back(p, i);
		return -EBADMSG;
	}
	*r = (struct fr_result){
		.id = fr__task_id(p->first_cell + i, fr__cell_generation(word)),
		.status = (enum fr_task_status)fr__cell_outcome(word),
		.value = run ? c->value : -ECANCELED,
		.kind = c->kind,
		.attempt = fr__cell_attempt(word),
		.data = fr__cell_result(a, c, len > 0 ? arg_len : 0),
		.len = len,
		.worker.id = run ? c->worker : 0,
	};
	return 1;
}

/* The result behind that of cell i will be wanted soon. */
static void ask_for_next(const struct fr_process *p, uint32_t i)
{
	/* as [TASK-6] */
	uint64_t set = fr__load_relaxed(&p->finished[i / 64]);

	if (set)
		fr__cell_ask(p->arena,
			     fr__arena_cell(p->arena,
					    p->first_cell + i / 64 * 64 +
						    (uint32_t)__builtin_ctzll(set)));
}

/* None is there: 1, one is; or -errno. *deadline: 0, or what an earlier wait set. */
static __attribute__((noinline)) int
wait_for_result(struct fr_process *p, int64_t wait_ns, bool lazy,
		int64_t *deadline)
{
	struct fr__wait wait = {
		.marks = lazy ? FR__MARK_CELLS : FR__MARK_RESULT,
		.ready = result_ready,
		.arm = lazy ? lazy_arm : NULL,
		.ctx = p,
		.nap = {1, FR__MARK_CELLS, COLLECT_NAP_NS},
	};

	if (wait_ns == 0)
		return -EAGAIN;
	if (wait_ns > 0 && *deadline == 0) {
		*deadline = fr__deadline(wait_ns);
	} else if (wait_ns > 0 && *deadline != FR__NEVER) {
		wait_ns = *deadline - fr__now_ns();
		if (wait_ns <= 0)
			return -ETIMEDOUT;
	}
	/* Before we spin, too: a worker has more use for our CPU. */
	fr__task_make_room(p->arena);
	return fr__bell_wait(&p->bell, &wait, wait_ns);
}

int fr__collect(struct fr_process *p, int64_t wait_ns, bool lazy,
		struct fr_result *ret)
{
	int64_t deadline = 0;
	int rc = fr__own(p), i;

	if (rc == 0)
		fr__bell_tick(&p->bell, 1);
	while (rc >= 0) {
		i = take_bit(p->finished, p->cell_words);
		if (i >= 0) {
			ask_for_next(p, (uint32_t)i);
			rc = hold(p, (uint32_t)i, ret);
			if (rc == 1)
				return 0;
			continue;
		}
		/* as [TASK-13] */
		if (fr__load_sc(&p->outstanding) == 0)
			return -ENODATA;
		/* as [TASK-13] */
		fr__add_own_sc(&p->collectors, 1);
		rc = result_ready(p);
		if (rc == 0)
			rc = wait_for_result(p, wait_ns, lazy, &deadline);
		fr__add_own_sc(&p->collectors, -1u);
	}
	return rc;
}

int fr_collect(struct fr_process *p, int64_t wait_ns, struct fr_result *ret)
{
	return fr__collect(p, wait_ns, false, ret);
}

/* The own cell of a task id and its state word, or NULL. */
static struct fr__cell *own_cell(const struct fr_process *p,
				 struct fr_task_id id, uint64_t *word)
{
	uint32_t cell = (uint32_t)id.id;
	struct fr__cell *c;

	if (cell - p->first_cell >= p->cells)
		return NULL;
	c = fr__arena_cell(p->arena, cell);
	*word = fr__cell_look(c);
	return fr__cell_generation(*word) == id.id >> 32 ? c : NULL;
}

void fr_result_release(struct fr_process *p, struct fr_result *r)
{
	struct fr__cell *c;
	uint64_t word;

	if (fr__own(p) < 0)
		return;
	c = own_cell(p, r->id, &word);
	if (!c || fr__cell_state(word) != FR__CELL_HELD ||
	    !fr__cell_step_own(c, word, fr__cell_free(word)))
		return;
	r->data = NULL;
	give_back(p, (uint32_t)r->id.id - p->first_cell);
}

int fr_task_cancel(struct fr_process *p, struct fr_task_id id)
{
	struct fr__cell *c;
	uint64_t word, done;
	int rc = fr__own(p);

	if (rc < 0)
		return rc;
	for (;;) {
		c = own_cell(p, id, &word);
		if (!c || fr__cell_state(word) == FR__CELL_FREE)
			return -ESRCH;
		if (fr__cell_state(word) == FR__CELL_TAKEN)
			return -EBUSY;
		if (fr__cell_state(word) != FR__CELL_QUEUED)
			return -EALREADY;
		done = fr__cell_word(fr__cell_generation(word),
				     fr__cell_attempt(word), FR__CELL_DONE,
				     p->index, FR_TASK_CANCELLED);
		if (fr__cell_step(c, word, done)) {
			fr__cell_tell(p->arena, (uint32_t)id.id, done,
				      fr_self(p));
			return 0;
		}
	}
}

unsigned fr_outstanding(const struct fr_process *p)
{
	/* as [TASK-6] */
	return fr__load_relaxed(&p->outstanding);
}

/* ---- the worker ---- */

/* Take one task that is really there: 1, 0 none, -EBADMSG. */
static int take_one(struct fr_process *p, struct fr_task *task,
		    struct fr_reply *reply)
{
	struct fr_arena *a = p->arena;
	struct fr__cell *c;
	uint32_t cell, g, len;
	uint64_t word;
	int rc;

	do {
		rc = fr__taskring_take(&a->tasks, &p->slot->taking, &cell, &g);
		if (rc == 0)
			fr__ring_if_dry(
				a); /* perhaps only by dropping entries */
		if (rc <= 0)
			return rc;
		if (cell >= fr__cells(a))
			return -EBADMSG;
		c = fr__arena_cell(a, cell);
		fr__cell_ask(a, c);
		word = fr__cell_look(c);
		p->in_hand_state = fr__cell_word(fr__cell_generation(word),
						 fr__cell_attempt(word) + 1,
						 FR__CELL_TAKEN, p->index, 0);
		/* Else cancelled, or a doubled entry. */
	} while (!fr__entry_counts(a, cell, g) ||
		 !fr__cell_step(c, word, p->in_hand_state));
	p->in_hand = cell + 1;
	if (!p->took) {
		/* [TASK-16] relaxed: for its parent, which has waited for it. */
		fr__store_relaxed(&p->slot->took, p->generation);
		p->took = true;
	}
	fr__ring_if_dry(a);
	len = fr__once(c->arg_len);
	if (len > a->geo.arg_max) {
		fr_complete(p, -EBADMSG, &(struct fr_reply){0});
		return -EBADMSG;
	}
	*reply = (struct fr_reply){
		.data = fr__cell_result(a, c, len),
		.max = a->geo.result_max,
	};
	*task = (struct fr_task){
		.arg = c->arg,
		.len = len,
		.kind = c->kind,
		.attempt = fr__cell_attempt(p->in_hand_state),
		.id = fr__task_id(cell, fr__cell_generation(word)),
		.from.id = c->from,
	};
	return 1;
}

struct take_wait {
	struct fr_process *p;
	struct fr_task *task;
	struct fr_reply *reply;
	bool slept;
};

static int take_ready(void *ctx)
{
	struct take_wait *w = ctx;

	return take_one(w->p, w->task, w->reply);
}

static void take_arm(void *ctx, enum fr__arm how)
{
	struct take_wait *w = ctx;

	w->slept |= how != FR__DISARM;
	fr__task_arm(w->p, how);
}

int fr_take(struct fr_process *p, int64_t wait_ns, struct fr_task *task,
	    struct fr_reply *reply)
{
	struct take_wait ctx = {p, task, reply, false};
	struct fr__wait wait = {
		.marks = FR__MARK_TASK,
		.ready = take_ready,
		.arm = take_arm,
		.ctx = &ctx,
		.nap = {FR__NAP_TIMES, FR__MARK_TASK, FR__NAP_NS},
	};
	int rc = fr__own(p);

	if (rc == 0)
		fr__bell_tick(&p->bell, 4);
	if (rc == 0 && p->in_hand)
		rc = -EBUSY;
	if (rc == 0)
		rc = take_one(p, task, reply);
	if (rc == 0)
		rc = wait_ns == 0 ? -EAGAIN
				  : fr__bell_wait(&p->bell, &wait, wait_ns);
	if (ctx.slept)
		fr__task_pass_on(p->arena);
	return rc < 0 ? rc : 0;
}

int fr_complete(struct fr_process *p, int value, const struct fr_reply *reply)
{
	struct fr_arena *a = p->arena;
	uint32_t cell = p->in_hand - 1;
	struct fr_addr from;
	struct fr__cell *c;
	uint64_t done;
	int rc = fr__own(p);

	if (rc < 0)
		return rc;
	if (p->in_hand == 0 || reply->len > a->geo.result_max)
		return -EINVAL;
	c = fr__arena_cell(a, cell);
	c->result_len = (uint32_t)reply->len;
	c->value = value;
	c->worker = fr_self(p).id;
	from.id = c->from;
	done = fr__cell_word(fr__cell_generation(p->in_hand_state),
			     fr__cell_attempt(p->in_hand_state), FR__CELL_DONE,
			     p->index,
			     value < 0 ? FR_TASK_FAILED : FR_TASK_DONE);
	p->in_hand = 0;
	/* Else we were taken for dead (in another pid namespace, having closed
	 * the arena's descriptor), and it is somebody else's. */
	if (fr__cell_look(c) == p->in_hand_state) {
		fr__cell_put(c, done);
		fr__cell_tell(a, cell, done, from);
	}
	return 0;
}

void fr__tasks_leave(struct fr_process *p)
{
	struct fr_reply none = {0};

	if (p->in_hand)
		fr_complete(p, -ECANCELED, &none);
	fr__tasks_drop(p->arena, p->index);
	fr__task_pass_on(p->arena);
}
