/* SPDX-License-Identifier: MIT */
/* Recovery and the check; and two victims. */
#include "ops.h"

static void feed_dead(struct world *w)
{
	fill_mailbox(w, w->victims[D].addr);
}

/* All that a process can hold. */
static void doom(struct world *w, struct victim *v)
{
	prepare_laden(w, v);
	take_task(v);
}

static void run_recover(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_recover(v->arena);
}

static void end_recover(struct world *w, struct victim *v)
{
	(void)w;
	MUST(v->rc >= 0);
}

static void run_check(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_check(v->arena, NULL, NULL);
}

/* For all that D holds. */
#define ALL_WAIT_FOR_D                                                         \
	{                                                                      \
		MAIL, COLLECTOR, WAITER, WORKER,                               \
			{.run = sleep_for_room, .owed = OWED_END, .of = D},    \
		{                                                              \
			.run = sleep_for_reply, .owed = OWED_END,              \
			.stage = STAGE_FEED, .of = D                           \
		}                                                              \
	}

static const struct op rows[] = {
	{
		.name = "check",
		.run = run_check,
		.end = end_zero,
	},
	{
		.name = "recover",
		.flags = OP_DEAD,
		.slots = 12,
		.sleepers = ALL_WAIT_FOR_D,
		.feed = feed_dead,
		.doom = doom,
		.ready = look_it_up,
		.run = run_recover,
		.end = end_recover,
		.survive = survive_name,
	},
	{
		.name = "send, send",
		.states = IN(RING_EMPTY) | IN(RING_WRAP),
		.sends = 1,
		.sleepers = {MAIL},
		.prepare = prepare_sender,
		.run = run_send,
		.run2 = run_send,
		.end2 = end_one_sent,
		.together = true,
		.end = end_one_sent,
	},
	{
		.name = "send, recover",
		.states = IN(RING_EMPTY),
		.sends = 1,
		.sleepers = {MAIL},
		.prepare = prepare_sender,
		.run = run_send,
		.run2 = run_recover,
		.end = end_one_sent,
		.end2 = end_recover,
	},
	{
		.name = "take, recover",
		.states = IN(RING_EMPTY),
		.sleepers = {{.run = sleep_for_results, .stage = STAGE_FIRST}},
		.run = run_take,
		.run2 = run_recover,
		.end = end_take,
		.end2 = end_recover,
	},
	{
		.name = "recover, recover",
		.flags = OP_DEAD,
		.slots = 12,
		.sleepers = ALL_WAIT_FOR_D,
		.feed = feed_dead,
		.doom = doom,
		.ready = look_it_up,
		.run = run_recover,
		.run2 = run_recover,
		.end = end_recover,
		.end2 = end_recover,
		.survive = survive_name,
	},
};

const struct op_table recover_ops = OP_TABLE(rows);
