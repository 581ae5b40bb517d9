/* SPDX-License-Identifier: MIT */
/* Processes, their names, and types. */
#include "ops.h"

#include <string.h>

void end_zero(struct world *w, struct victim *v)
{
	(void)w;
	MUST_RC(v->rc, 0);
}

static void run_join(struct world *w, struct victim *v)
{
	const struct fr_join_opts opts = {
		.wait = FR_WAIT_SLEEP,
		.reserved = w->reserved,
	};

	v->rc = fr_join(v->arena, &opts, &v->p);
}

static void run_join_named(struct world *w, struct victim *v)
{
	const struct fr_join_opts opts = {
		.wait = FR_WAIT_SLEEP,
		.name = "victim",
	};

	(void)w;
	v->rc = fr_join(v->arena, &opts, &v->p);
}

static void reserve_slot(struct world *w)
{
	MUST_RC(fr_reserve(w->s, &w->reserved), 0);
}

static void run_leave(struct world *w, struct victim *v)
{
	(void)w;
	fr_leave(v->p);
	v->left = true;
}

/* A result that is not collected, and a full mailbox. */
static void feed_laden(struct world *w)
{
	do_one(w);
	fill_mailbox(w, w->victims[V].addr);
}

/* An open claim with a letter behind it, an event, a reserved slot. */
void prepare_laden(struct world *w, struct victim *v)
{
	prepare_claimed(w, v);
	reserve_event(w, v);
	MUST_RC(fr_reserve(v->p, &v->reserved), 0);
}

/* The survivor's route to it is in its cache, and must not stay good. */
void look_it_up(struct world *w)
{
	struct fr_addr found;

	MUST_RC(fr_lookup(w->s, "victim", &found, 1), 1);
}

/* Before anybody else changes a name. */
void survive_name(struct world *w)
{
	struct fr_addr found;

	if (w->recovered || w->victims[V].left)
		MUST_RC(fr_lookup(w->s, "victim", &found, 1), 0);
}

static void run_reserve(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_reserve(v->p, &v->reserved);
}

static void run_unreserve(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_unreserve(v->p, v->reserved);
}

static void prepare_unreserve(struct world *w, struct victim *v)
{
	run_reserve(w, v);
	MUST_RC(v->rc, 0);
}

static void end_reserve(struct world *w, struct victim *v)
{
	end_zero(w, v);
	MUST_RC(fr_unreserve(v->p, v->reserved), 0);
}

static void run_lookup(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_lookup(v->p, "s", &v->to, 1);
}

static void end_found_one(struct world *w, struct victim *v)
{
	MUST_RC(v->rc, 1);
	MUST(v->to.id == w->s_addr.id);
}

static void run_wait_name(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_wait_name(v->p, "s", 0, &v->to);
}

static void run_ask(struct world *w, struct victim *v)
{
	struct fr_arena_info info;
	char name[FR_NAME_MAX + 1];

	fr_arena_info(v->arena, &info);
	v->rc = fr_alive(v->p, w->s_addr) == 1 &&
		fr_process_name(v->p, w->s_addr, name) == 0 &&
		fr_process_pid(v->p, w->s_addr) == w->survivor &&
		fr_outstanding(v->p) == 0 && info.joined == 2;
}

static void end_one_is_right(struct world *w, struct victim *v)
{
	if (w->stopped)
		return;
	MUST_RC(v->rc, 1);
}

static void prepare_type(struct world *w, struct victim *v)
{
	(void)w;
	MUST_RC(fr_type_intern(v->p, "parent", (struct fr_type){0}, &v->type),
		0);
}

static void run_type_intern(struct world *w, struct victim *v)
{
	struct fr_type type;

	(void)w;
	v->rc = fr_type_intern(v->p, "child", v->type, &type);
}

static void survive_type(struct world *w)
{
	struct fr_type parent, type, again;
	char name[FR_NAME_MAX + 1];

	MUST_RC(fr_type_intern(w->s, "parent", (struct fr_type){0}, &parent),
		0);
	MUST_RC(fr_type_intern(w->s, "child", parent, &type), 0);
	MUST_RC(fr_type_intern(w->s, "child", (struct fr_type){0}, &again), 0);
	MUST(again.id == type.id && type.id != parent.id);
	MUST_RC(fr_type_name(w->s, type, name), 0);
	MUST(strcmp(name, "child") == 0);
}

static void run_type_name(struct world *w, struct victim *v)
{
	char name[FR_NAME_MAX + 1];

	(void)w;
	v->rc = fr_type_name(v->p, v->type, name);
}

static void run_last_words(struct world *w, struct victim *v)
{
	(void)w;
	fr_last_words(v->p, "a line that the supervisor's report would say");
}

static void run_interrupt(struct world *w, struct victim *v)
{
	(void)w;
	fr_interrupt(v->p);
}

static const struct op rows[] = {
	{
		.name = "join",
		.flags = OP_UNJOINED,
		.run = run_join,
		.end = end_zero,
	},
	{
		.name = "join with a name",
		.flags = OP_UNJOINED,
		.sleepers = {{.run = sleep_for_name, .stage = STAGE_FIRST}},
		.run = run_join_named,
		.end = end_zero,
	},
	{
		.name = "join, reserved",
		.flags = OP_UNJOINED,
		.setup = reserve_slot,
		.run = run_join,
		.end = end_zero,
	},
	{
		.name = "leave",
		.run = run_leave,
	},
	{
		.name = "leave, laden",
		.flags = OP_NAMED,
		.sleepers = {MAIL, ROOM, WAITER, CALLER},
		.enter = enter_submitted,
		.feed = feed_laden,
		.prepare = prepare_laden,
		.ready = look_it_up,
		.run = run_leave,
		.survive = survive_name,
	},
	{
		.name = "reserve",
		.run = run_reserve,
		.end = end_reserve,
	},
	{
		.name = "unreserve",
		.prepare = prepare_unreserve,
		.run = run_unreserve,
		.end = end_zero,
	},
	{
		.name = "lookup",
		.run = run_lookup,
		.end = end_found_one,
	},
	{
		.name = "wait_name",
		.run = run_wait_name,
		.end = end_zero,
	},
	{
		.name = "alive, name, pid, info",
		.run = run_ask,
		.end = end_one_is_right,
	},
	{
		.name = "last_words",
		.run = run_last_words,
	},
	{
		.name = "interrupt",
		.flags = OP_EVENT,
		.sleepers = {{.run = sleep_for_event}},
		.run = run_interrupt,
	},
	{
		.name = "type_intern",
		.prepare = prepare_type,
		.run = run_type_intern,
		.end = end_zero,
		.survive = survive_type,
	},
	{
		.name = "type_name",
		.prepare = prepare_type,
		.run = run_type_name,
		.end = end_zero,
	},
};

const struct op_table process_ops = OP_TABLE(rows);
