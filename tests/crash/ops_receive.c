/* SPDX-License-Identifier: MIT */
/* Receiving, and calls. */
#include "ops.h"

#include <errno.h>
#include <string.h>

static void feed_receiver(struct world *w)
{
	struct fr_addr to = w->victims[V].addr;
	unsigned i, count = w->state == RING_HALF   ? UNITS / 2
			    : w->state == RING_FULL ? UNITS
						    : 4;

	if (w->state == RING_PASSED)
		MUST_RC(fr_claim(w->s2, to, (struct fr_type){0}, 8, 0,
				 &w->open),
			0);
	/* At the end of a lap: two units, a pad, two units. */
	for (i = 0; w->state != RING_EMPTY && i < count; i++)
		MUST_RC(send_letter(w->s, to, WHO_S, i,
				    w->state == RING_WRAP ? 100 : 8, 0),
			0);
}

static void receive_one(struct victim *v)
{
	MUST_RC(fr_receive(v->p, 0, &v->held[v->held_count++]), 0);
}

static void prepare_receive(struct world *w, struct victim *v)
{
	if (w->state == RING_WRAP)
		receive_one(v); /* the next is behind the pad */
}

static void run_receive(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_receive(v->p, 0, &v->m);
}

static void end_receive(struct world *w, struct victim *v)
{
	enum who who;

	MUST_RC(v->rc, w->state == RING_EMPTY ? -EAGAIN : 0);
	if (v->rc < 0)
		return;
	MUST(read_letter(&v->m, &who) == v->held_count && who == WHO_S);
	fr_release(v->p, &v->m);
}

static void run_receive_batch(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_receive_batch(v->p, 0, v->held, UNITS);
}

static void end_receive_batch(struct world *w, struct victim *v)
{
	MUST_RC(v->rc, w->state == RING_HALF ? UNITS / 2 : 4);
	fr_release_batch(v->p, v->held, (unsigned)v->rc);
}

static void prepare_release(struct world *w, struct victim *v)
{
	unsigned i, count = w->state == RING_HALF   ? UNITS / 2
			    : w->state == RING_FULL ? UNITS
						    : 4;

	for (i = 0; i < count; i++)
		receive_one(v);
}

/* Out of order: marked; and in order, with what is marked behind it. */
static void run_release(struct world *w, struct victim *v)
{
	(void)w;
	fr_release(v->p, &v->held[1]);
	fr_release(v->p, &v->held[0]);
}

static void run_release_batch(struct world *w, struct victim *v)
{
	(void)w;
	fr_release_batch(v->p, v->held, v->held_count);
}

/* The receiver is gone, and the claim in its mailbox is of no use any more. */
static void survive_passed(struct world *w)
{
	if (w->state == RING_PASSED)
		fr_cancel(w->s2, &w->open);
}

static int stop_at_once(void *ctx, struct fr_process *p, struct fr_message *m)
{
	(void)ctx;
	(void)p;
	(void)m;
	return FR_STOP;
}

static void prepare_run(struct world *w, struct victim *v)
{
	(void)w;
	MUST_RC(fr_handle(v->p, (struct fr_type){0}, stop_at_once, NULL), 0);
}

static void run_run(struct world *w, struct victim *v)
{
	const struct fr_run_opts opts = {.limit_ns = w->limit_ns};

	v->rc = fr_run(v->p, &opts);
}

/* Answered by one who sleeps for mail. */
static void prepare_call(struct world *w, struct victim *v)
{
	v->to = w->sleepers[0].addr;
	stage_letter(v, 0, 24);
}

void run_call(struct world *w, struct victim *v)
{
	v->rc = fr_call(v->p, v->to, (struct fr_type){0}, v->body[0], v->len,
			w->limit_ns, v->body[1], sizeof(v->body[1]));
}

/* In time, if it has not been stopped too long. */
static void end_call(struct world *w, struct victim *v)
{
	(void)w;
	v->committed++;
	if (v->rc == -ETIMEDOUT)
		return;
	MUST_RC(v->rc, (int)v->len);
	MUST(memcmp(v->body[0], v->body[1], v->len) == 0);
}

static void prepare_reply(struct world *w, struct victim *v)
{
	(void)w;
	receive_one(v);
	MUST(v->held[0].call);
}

static void run_reply(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_reply(v->p, v->held[0].call, v->held[0].body,
			 v->held[0].len);
}

static const struct op rows[] = {
	{
		.name = "receive",
		.states = IN(RING_EMPTY) | IN(RING_HALF) | IN(RING_WRAP) |
			  IN(RING_PASSED),
		.feed = feed_receiver,
		.prepare = prepare_receive,
		.run = run_receive,
		.end = end_receive,
		.survive = survive_passed,
	},
	{
		.name = "receive",
		.states = IN(RING_FULL),
		.sleepers = {ROOM},
		.feed = feed_receiver,
		.run = run_receive,
		.end = end_receive,
	},
	{
		.name = "receive_batch",
		.states = IN(RING_HALF) | IN(RING_WRAP) | IN(RING_PASSED),
		.feed = feed_receiver,
		.run = run_receive_batch,
		.end = end_receive_batch,
		.survive = survive_passed,
	},
	{
		.name = "release",
		.states = IN(RING_HALF) | IN(RING_WRAP) | IN(RING_PASSED),
		.feed = feed_receiver,
		.prepare = prepare_release,
		.run = run_release,
		.survive = survive_passed,
	},
	{
		.name = "release",
		.states = IN(RING_FULL),
		.sleepers = {ROOM},
		.feed = feed_receiver,
		.prepare = prepare_release,
		.run = run_release,
	},
	{
		.name = "release_batch",
		.states = IN(RING_HALF) | IN(RING_WRAP) | IN(RING_PASSED),
		.feed = feed_receiver,
		.prepare = prepare_release,
		.run = run_release_batch,
		.survive = survive_passed,
	},
	{
		.name = "release_batch",
		.states = IN(RING_FULL),
		.sleepers = {ROOM},
		.feed = feed_receiver,
		.prepare = prepare_release,
		.run = run_release_batch,
	},
	{
		.name = "run",
		.states = IN(RING_EMPTY) | IN(RING_HALF),
		.feed = feed_receiver,
		.prepare = prepare_run,
		.run = run_run,
		.end = end_zero,
	},
	{
		.name = "call",
		.flags = OP_ANSWERED,
		.sends = 1,
		.sleepers = {MAIL},
		.prepare = prepare_call,
		.run = run_call,
		.end = end_call,
	},
	{
		.name = "reply",
		.sleepers = {CALLER},
		.prepare = prepare_reply,
		.run = run_reply,
		.end = end_zero,
	},
};

const struct op_table receive_ops = OP_TABLE(rows);
