/* SPDX-License-Identifier: MIT */
/* Sleeping: until a time limit, or killed in it. */
#include "ops.h"

#include <errno.h>

static void run_sleep_for_mail(struct world *w, struct victim *v)
{
	v->rc = fr_receive(v->p, w->limit_ns, &v->m);
}

static void end_timed_out(struct world *w, struct victim *v)
{
	(void)w;
	MUST_RC(v->rc, -ETIMEDOUT);
}

/* The survivor's own mailbox is full. */
static void feed_survivor(struct world *w)
{
	fill_mailbox(w, w->s_addr);
}

static void run_sleep_for_room(struct world *w, struct victim *v)
{
	v->rc = fr_send(v->p, w->s_addr, (struct fr_type){0}, v->body[0],
			v->len, w->limit_ns);
}

static void survive_full(struct world *w)
{
	struct fr_message m;
	enum who who;
	unsigned i;

	for (i = 0; i < UNITS; i++) {
		MUST_RC(fr_receive(w->s, 0, &m), 0);
		MUST(read_letter(&m, &who) == i && who == WHO_S);
		fr_release(w->s, &m);
	}
	MUST_RC(fr_receive(w->s, 0, &m), -EAGAIN);
}

static void run_sleep_for_task(struct world *w, struct victim *v)
{
	v->rc = fr_take(v->p, w->limit_ns, &v->task, &v->reply);
}

static void run_sleep_for_result(struct world *w, struct victim *v)
{
	v->rc = fr_collect(v->p, w->limit_ns, &v->result);
}

/* While we were stopped it may have been done. */
static void end_sleep_for_result(struct world *w, struct victim *v)
{
	(void)w;
	if (v->rc != 0)
		MUST_RC(v->rc, -ETIMEDOUT);
}

static void run_sleep_for_event(struct world *w, struct victim *v)
{
	v->rc = fr_event_wait_from(v->p, w->event, w->s_addr, w->limit_ns);
}

static void run_sleep_for_name(struct world *w, struct victim *v)
{
	v->rc = fr_wait_name(v->p, "nobody", w->limit_ns, &v->to);
}

/* Nobody answers. */
static void prepare_call_survivor(struct world *w, struct victim *v)
{
	v->to = w->s_addr;
	stage_letter(v, 0, 24);
}

/* The request, if it was sent; nobody waits for the reply any more. */
static void survive_call(struct world *w)
{
	struct fr_message m;
	enum who who;
	int rc = fr_receive(w->s, 0, &m);

	if (rc == -EAGAIN)
		return;
	MUST_RC(rc, 0);
	MUST(read_letter(&m, &who) == 0 && who == WHO_V && m.call);
	rc = fr_reply(w->s, m.call, m.body, m.len);
	if (rc != 0 || w->recovered)
		MUST_RC(rc, -ESRCH);
	fr_release(w->s, &m);
	MUST_RC(fr_receive(w->s, 0, &m), -EAGAIN);
}

static const struct op rows[] = {
	{
		.name = "sleep for mail",
		.run = run_sleep_for_mail,
		.end = end_timed_out,
	},
	{
		.name = "sleep for room",
		.feed = feed_survivor,
		.prepare = stage_only,
		.run = run_sleep_for_room,
		.end = end_timed_out,
		.survive = survive_full,
	},
	{
		.name = "sleep for a task",
		.run = run_sleep_for_task,
		.end = end_timed_out,
	},
	{
		.name = "sleep for a result",
		.enter = enter_submitted,
		.run = run_sleep_for_result,
		.end = end_sleep_for_result,
	},
	{
		.name = "sleep for an event",
		.flags = OP_EVENT,
		.run = run_sleep_for_event,
		.end = end_timed_out,
	},
	{
		.name = "sleep for a reply",
		.prepare = prepare_call_survivor,
		.run = run_call,
		.end = end_timed_out,
		.survive = survive_call,
	},
	{
		.name = "sleep for a name",
		.run = run_sleep_for_name,
		.end = end_timed_out,
	},
};

const struct op_table sleep_ops = OP_TABLE(rows);
