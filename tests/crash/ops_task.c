/* SPDX-License-Identifier: MIT */
/* Tasks and results. */
#include "ops.h"

#include <errno.h>
#include <string.h>

/* Entries of the task ring that count no more. */
static void stale_entries(struct world *w, unsigned count)
{
	struct fr_task_id id;
	struct fr_result r;

	while (count-- > 0) {
		MUST_RC(submit_work(w->s, KIND_WORK, 0, &id), 0);
		MUST_RC(fr_task_cancel(w->s, id), 0);
		MUST_RC(fr_collect(w->s, 0, &r), 0);
		MUST(r.status == FR_TASK_CANCELLED);
		fr_result_release(w->s, &r);
	}
}

/* One task that the survivor does. */
void do_one(struct world *w)
{
	struct fr_reply reply;
	struct fr_task task;

	MUST_RC(fr_take(w->s, 0, &task, &reply), 0);
	MUST_RC(complete_work(w->s, &task, &reply), 0);
}

/* Up to the last word of the lap. */
static void to_the_laps_end(struct world *w)
{
	struct fr_result r;
	unsigned i;

	for (i = 0; i < 2; i++) {
		MUST_RC(submit_work(w->s, KIND_WORK, i, NULL), 0);
		do_one(w);
		MUST_RC(fr_collect(w->s, 0, &r), 0);
		check_result(&r, i);
		fr_result_release(w->s, &r);
	}
}

/* `taken` words are others', or will be. */
static void setup_tasks(struct world *w, unsigned taken)
{
	if (w->state == RING_WRAP)
		to_the_laps_end(w);
	else if (w->state == RING_HALF)
		stale_entries(w, TASK_WORDS / 2 - taken);
	else if (w->state == RING_NEARLY)
		stale_entries(w, TASK_WORDS - 1 - taken);
	else if (w->state == RING_FULL)
		stale_entries(w, TASK_WORDS - taken);
}

static void setup_submit(struct world *w)
{
	if (w->state == RING_WRAP)
		setup_tasks(w, 0);
}

/* Behind two tasks of the collector's. */
static void feed_submit(struct world *w)
{
	if (w->state != RING_WRAP)
		setup_tasks(w, 2);
}

static void run_submit(struct world *w, struct victim *v)
{
	uint64_t arg[2] = {5, ~UINT64_C(5)};

	(void)w;
	v->rc = fr_submit(v->p,
			  &(struct fr_task){.arg = arg,
					    .len = sizeof(arg),
					    .kind = KIND_WORK},
			  &v->id);
}

static void collect_own(struct victim *v, int64_t wait_ns)
{
	MUST_RC(fr_collect(v->p, wait_ns, &v->result), 0);
	MUST(v->result.id.id == v->id.id);
}

static void end_submit(struct world *w, struct victim *v)
{
	MUST_RC(v->rc, 0);
	if (!find_sleeper(w, sleep_for_tasks))
		return;
	collect_own(v, FR_FOREVER);
	check_result(&v->result, 5);
	fr_result_release(v->p, &v->result);
}

static void setup_take(struct world *w)
{
	setup_tasks(w, 2);
}

void run_take(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_take(v->p, 0, &v->task, &v->reply);
	v->in_hand = v->rc == 0;
}

/* The others may have done all of it while we were stopped. */
void end_take(struct world *w, struct victim *v)
{
	(void)w;
	if (v->rc != -EAGAIN)
		MUST_RC(v->rc, 0);
}

void take_task(struct victim *v)
{
	MUST_RC(fr_take(v->p, 0, &v->task, &v->reply), 0);
}

static void prepare_complete(struct world *w, struct victim *v)
{
	uint64_t number, result;

	(void)w;
	take_task(v);
	memcpy(&number, v->task.arg, sizeof(number));
	result = number * 3 + 1;
	memcpy(v->reply.data, &result, sizeof(result));
	v->reply.len = sizeof(result);
	v->rc = (int)number;
}

static void run_complete(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_complete(v->p, v->rc, &v->reply);
}

/* A task whose submitter is gone before it is done. */
static void feed_orphan(struct world *w)
{
	w->s2 = join(w->arena, NULL);
	MUST_RC(submit_work(w->s2, KIND_WORK, 5, NULL), 0);
}

static void ready_orphan(struct world *w)
{
	fr_leave(w->s2);
	w->s2 = NULL;
}

void enter_submitted(struct world *w, struct victim *v)
{
	(void)w;
	MUST_RC(submit_work(v->p, KIND_WORK, 5, &v->id), 0);
}

static void run_collect(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_collect(v->p, 0, &v->result);
}

static void end_collect(struct world *w, struct victim *v)
{
	(void)w;
	MUST_RC(v->rc, 0);
	check_result(&v->result, 5);
	fr_result_release(v->p, &v->result);
}

static void prepare_result_release(struct world *w, struct victim *v)
{
	(void)w;
	collect_own(v, 0);
	check_result(&v->result, 5);
}

static void run_result_release(struct world *w, struct victim *v)
{
	(void)w;
	fr_result_release(v->p, &v->result);
}

static void run_task_cancel(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_task_cancel(v->p, v->id);
}

/* While we were stopped the task may have been done. */
static void end_task_cancel(struct world *w, struct victim *v)
{
	(void)w;
	if (v->rc != -EALREADY)
		MUST_RC(v->rc, 0);
	collect_own(v, FR_FOREVER);
	if (v->rc == 0)
		MUST(v->result.status == FR_TASK_CANCELLED);
	else
		check_result(&v->result, 5);
	fr_result_release(v->p, &v->result);
}

static const struct op rows[] = {
	{
		.name = "submit",
		.states = IN(RING_EMPTY) | IN(RING_WRAP),
		.sleepers = {WORKER},
		.setup = setup_submit,
		.run = run_submit,
		.end = end_submit,
	},
	{
		.name = "submit",
		.states = IN(RING_HALF) | IN(RING_NEARLY) | IN(RING_FULL),
		.sleepers = {{.run = sleep_for_results, .stage = STAGE_FIRST}},
		.feed = feed_submit,
		.run = run_submit,
		.end = end_submit,
	},
	{
		.name = "take",
		.states = IN(RING_EMPTY),
		.run = run_take,
		.end = end_take,
	},
	{
		.name = "take",
		.states = IN(RING_HALF) | IN(RING_NEARLY) | IN(RING_FULL) |
			  IN(RING_WRAP),
		.sleepers = {{.run = sleep_for_results, .stage = STAGE_FIRST}},
		.setup = setup_take,
		.run = run_take,
		.end = end_take,
	},
	{
		.name = "complete",
		.sleepers = {COLLECTOR, WORKER},
		.prepare = prepare_complete,
		.run = run_complete,
		.end = end_zero,
	},
	{
		.name = "complete, orphan",
		.feed = feed_orphan,
		.prepare = prepare_complete,
		.ready = ready_orphan,
		.run = run_complete,
		.end = end_zero,
	},
	{
		.name = "collect",
		.enter = enter_submitted,
		.feed = do_one,
		.run = run_collect,
		.end = end_collect,
	},
	{
		.name = "result_release",
		.enter = enter_submitted,
		.feed = do_one,
		.prepare = prepare_result_release,
		.run = run_result_release,
	},
	{
		.name = "task_cancel",
		.enter = enter_submitted,
		.run = run_task_cancel,
		.end = end_task_cancel,
	},
};

const struct op_table task_ops = OP_TABLE(rows);
