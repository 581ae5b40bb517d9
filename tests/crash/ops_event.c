/* SPDX-License-Identifier: MIT */
/* Events. */
#include "ops.h"

#include <errno.h>

static void run_event_group_create(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_event_group_create(v->arena, 1, &v->group);
}

static void end_event_group_create(struct world *w, struct victim *v)
{
	end_zero(w, v);
	fr_event_group_free(v->group);
}

static void run_event_reserve(struct world *w, struct victim *v)
{
	v->rc = fr_event_reserve(v->p, w->group, &v->event);
}

static void end_event_reserve(struct world *w, struct victim *v)
{
	end_zero(w, v);
	MUST_RC(fr_event_release(v->p, v->event), 0);
}

static void set_event(struct world *w)
{
	MUST_RC(fr_event_set(w->s, w->event), 0);
}

static void post_event(struct world *w)
{
	MUST_RC(fr_event_post(w->s, w->event), 0);
}

static void run_event_set(struct world *w, struct victim *v)
{
	v->rc = fr_event_set(v->p, w->event);
}

static void run_event_clear(struct world *w, struct victim *v)
{
	v->rc = fr_event_clear(v->p, w->event);
}

static void run_event_post(struct world *w, struct victim *v)
{
	v->rc = fr_event_post(v->p, w->event);
}

static void run_event_take(struct world *w, struct victim *v)
{
	v->rc = fr_event_take(v->p, w->event, 0);
}

static void run_event_wait(struct world *w, struct victim *v)
{
	v->rc = fr_event_wait(v->p, w->event, 0);
}

void reserve_event(struct world *w, struct victim *v)
{
	MUST_RC(fr_event_reserve(v->p, w->group, &v->event), 0);
	w->event = v->event;
}

static void run_event_at(struct world *w, struct victim *v)
{
	v->rc = fr_event_at(w->group, 0, &v->event);
}

static void end_event_at(struct world *w, struct victim *v)
{
	end_zero(w, v);
	MUST(v->event.id == w->event.id);
}

/* Reserves, waits in vain, gives back. */
static void run_event_scope(struct world *w, struct victim *v)
{
	FR_WITH_EVENT(v->p, w->group, scope, 0, &v->rc)
		;
}

static void end_event_scope(struct world *w, struct victim *v)
{
	(void)w;
	MUST_RC(v->rc, -EAGAIN);
}

static void run_event_release(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_event_release(v->p, v->event);
}

static const struct op rows[] = {
	{
		.name = "event_group_create",
		.run = run_event_group_create,
		.end = end_event_group_create,
	},
	{
		.name = "event_reserve",
		.run = run_event_reserve,
		.end = end_event_reserve,
	},
	{
		.name = "event_set",
		.flags = OP_EVENT,
		.sleepers = {{.run = sleep_for_event, .owed = OWED_EVENT}},
		.run = run_event_set,
		.end = end_zero,
	},
	{
		.name = "event_set, wait_from",
		.flags = OP_EVENT,
		.sleepers = {{.run = sleep_for_event_from, .owed = OWED_END}},
		.run = run_event_set,
		.end = end_zero,
	},
	{
		.name = "event_clear",
		.flags = OP_EVENT,
		.setup = set_event,
		.run = run_event_clear,
		.end = end_zero,
	},
	{
		.name = "event_post",
		.flags = OP_EVENT,
		.run = run_event_post,
		.end = end_zero,
	},
	{
		.name = "event_take",
		.flags = OP_EVENT,
		.setup = post_event,
		.run = run_event_take,
		.end = end_zero,
	},
	{
		.name = "event_wait",
		.flags = OP_EVENT,
		.setup = set_event,
		.run = run_event_wait,
		.end = end_zero,
	},
	{
		.name = "event_at",
		.flags = OP_EVENT,
		.run = run_event_at,
		.end = end_event_at,
	},
	{
		.name = "event scope",
		.run = run_event_scope,
		.end = end_event_scope,
	},
	{
		.name = "event_release",
		.sleepers = {WAITER},
		.prepare = reserve_event,
		.run = run_event_release,
		.end = end_zero,
	},
};

const struct op_table event_ops = OP_TABLE(rows);
