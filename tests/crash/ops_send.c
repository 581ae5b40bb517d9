/* SPDX-License-Identifier: MIT */
/* Sending, into the mailbox of one who sleeps for mail. */
#include "ops.h"

#include <errno.h>
#include <string.h>

void stage_letter(struct victim *v, unsigned i, size_t len)
{
	v->len = len;
	write_letter(v->body[i], v->who, v->letters++, len);
}

void send_staged(struct victim *v)
{
	MUST_RC(fr_send(v->p, v->to, (struct fr_type){0}, v->body[0], v->len,
			0),
		0);
	v->committed++;
}

/* One letter that has come before. */
void prepare_sender(struct world *w, struct victim *v)
{
	v->to = w->sleepers[0].addr;
	stage_letter(v, 0, 8);
	send_staged(v);
	/* Over the end of the lap: a pad, then five units. */
	stage_letter(v, 0, w->state == RING_WRAP ? 250 : 24);
}

void run_send(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_send(v->p, v->to, (struct fr_type){0}, v->body[0], v->len,
			0);
}

/* As many as fit: fewer, if the others have been at it while we were stopped.
 * */
static void end_send_batch(struct world *w, struct victim *v)
{
	(void)w;
	MUST(v->rc >= 1 && v->rc <= 3);
	v->committed += (uint32_t)v->rc;
}

void end_one_sent(struct world *w, struct victim *v)
{
	(void)w;
	MUST_RC(v->rc, 0);
	v->committed++;
}

static void prepare_batch(struct world *w, struct victim *v)
{
	prepare_sender(w, v);
	v->letters--;
	stage_letter(v, 0, 100);
	stage_letter(v, 1, 100);
	stage_letter(v, 2, 100);
}

static void run_send_batch(struct world *w, struct victim *v)
{
	struct fr_part parts[3] = {
		{.body = v->body[0], .len = v->len},
		{.body = v->body[1], .len = v->len},
		{.body = v->body[2], .len = v->len},
	};

	(void)w;
	v->rc = fr_send_batch(v->p, v->to, parts, 3, 0);
}

void stage_only(struct world *w, struct victim *v)
{
	(void)w;
	stage_letter(v, 0, 24);
}

static void run_send_name(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_send_name(v->p, "mail", (struct fr_type){0}, v->body[0],
			     v->len, 0);
}

static void end_send_name(struct world *w, struct victim *v)
{
	(void)w;
	MUST_RC(v->rc, 2);
	v->committed++;
}

void claim_staged(struct victim *v)
{
	v->rc = fr_claim(v->p, v->to, (struct fr_type){0}, v->len, 0,
			 &v->claim);
}

static void run_claim(struct world *w, struct victim *v)
{
	(void)w;
	claim_staged(v);
}

static void end_claim(struct world *w, struct victim *v)
{
	(void)w;
	MUST_RC(v->rc, 0);
	memcpy(v->claim.body, v->body[0], v->len);
	fr_commit(v->p, &v->claim);
	v->committed++;
}

/* An open claim, written, and a letter behind it that is not to be received
 * before. */
void prepare_claimed(struct world *w, struct victim *v)
{
	prepare_sender(w, v);
	claim_staged(v);
	MUST_RC(v->rc, 0);
	memcpy(v->claim.body, v->body[0], v->len);
	stage_letter(v, 0, 8);
	send_staged(v);
}

static void run_commit(struct world *w, struct victim *v)
{
	(void)w;
	fr_commit(v->p, &v->claim);
}

static void run_cancel(struct world *w, struct victim *v)
{
	(void)w;
	fr_cancel(v->p, &v->claim);
}

/* To one that leaves meanwhile, and another joins in its slot: who must not get
 * what was meant for the first. */
static void feed_successor(struct world *w)
{
	w->s2 = join(w->arena, NULL);
	w->s2_addr = fr_self(w->s2);
}

static void prepare_to_s2(struct world *w, struct victim *v)
{
	v->to = w->s2_addr;
	stage_letter(v, 0, 24);
}

static void prepare_claimed_of_s2(struct world *w, struct victim *v)
{
	prepare_to_s2(w, v);
	claim_staged(v);
	MUST_RC(v->rc, 0);
	memcpy(v->claim.body, v->body[0], v->len);
}

static void succeed(struct world *w)
{
	struct fr_addr old = w->s2_addr;

	fr_leave(w->s2);
	feed_successor(w);
	MUST((uint32_t)w->s2_addr.id == (uint32_t)old.id);
	MUST(w->s2_addr.id != old.id);
}

static void end_gone(struct world *w, struct victim *v)
{
	(void)w;
	if (v->rc != -ESRCH)
		MUST_RC(v->rc, 0);
}

static void run_send_exit(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_send_exit(v->p, v->to, 0);
}

static void survive_successor(struct world *w)
{
	struct fr_message m;
	int rc = fr_receive(w->s2, 0, &m);

	if (rc == 0) {
		MUST(!w->stopped);
		fr_release(w->s2, &m);
		rc = fr_receive(w->s2, 0, &m);
	}
	MUST_RC(rc, -EAGAIN);
}

/* Letters until no more fit. */
void fill_mailbox(struct world *w, struct fr_addr to)
{
	uint32_t number = 0;
	int rc;

	while ((rc = send_letter(w->s, to, WHO_S, number, 8, 0)) == 0)
		number++;
	MUST_RC(rc, -EAGAIN);
}

static const struct op rows[] = {
	{
		.name = "send",
		.states = SENDERS_STATES,
		.sends = 1,
		.sleepers = {MAIL},
		.prepare = prepare_sender,
		.run = run_send,
		.end = end_one_sent,
	},
	{
		.name = "send, to a successor",
		.feed = feed_successor,
		.prepare = prepare_to_s2,
		.run = run_send,
		.meanwhile = succeed,
		.end = end_gone,
		.survive = survive_successor,
	},
	{
		.name = "commit, to a successor",
		.feed = feed_successor,
		.prepare = prepare_claimed_of_s2,
		.run = run_commit,
		.meanwhile = succeed,
		.survive = survive_successor,
	},
	{
		.name = "send_exit",
		.feed = feed_successor,
		.prepare = prepare_to_s2,
		.run = run_send_exit,
		.meanwhile = succeed,
		.end = end_gone,
		.survive = survive_successor,
	},
	{
		.name = "send_batch",
		.states = IN(RING_EMPTY) | IN(RING_HALF) | IN(RING_WRAP) |
			  IN(RING_PASSED) | IN(RING_RUNS),
		.sends = 3,
		.sleepers = {MAIL},
		.prepare = prepare_batch,
		.run = run_send_batch,
		.end = end_send_batch,
	},
	{
		.name = "send_name",
		.states = IN(RING_EMPTY),
		.sends = 1,
		.sleepers = {MAIL, MAIL},
		.prepare = stage_only,
		.run = run_send_name,
		.end = end_send_name,
	},
	{
		.name = "claim",
		.states = SENDERS_STATES,
		.sleepers = {MAIL},
		.prepare = prepare_sender,
		.run = run_claim,
		.end = end_claim,
	},
	{
		.name = "commit",
		.states = SENDERS_STATES,
		.sends = 1,
		.sleepers = {MAIL},
		.prepare = prepare_claimed,
		.run = run_commit,
		.end = end_one_sent,
	},
	{
		.name = "cancel",
		.states = SENDERS_STATES,
		.sleepers = {MAIL},
		.prepare = prepare_claimed,
		.run = run_cancel,
	},
};

const struct op_table send_ops = OP_TABLE(rows);
