/* SPDX-License-Identifier: MIT */
/*
 * Receiving, calls and events: what comes must be the next of its stream,
 * whole, from who says it is, and for this incarnation.
 */
#include "member.h"

#include <string.h>

/* ---- receiving ---- */

/* Is this the next of its stream? Or the next but one, and the one before was
 * claimed and never committed by one that was killed. */
static void check_number(const struct head *h)
{
	struct stream *s = stream(h->from, incarnation(me)->seat);
	uint64_t got = GET(s->received);
	uint32_t next = got >> 32 == me ? (uint32_t)got : 0;
	uint64_t hole = (uint64_t)me << 32 | (next + 1);

	if (h->number == next + 1 && GET(s->hole) == hole &&
	    GET(incarnation(h->from)->killed))
		ADD(oracle->holes, 1);
	else if (h->number != next)
		fault("message %u of incarnation %u (%s %u), awaited %u",
		      h->number, h->from,
		      role_names[oracle->seat[incarnation(h->from)->seat].role],
		      oracle->seat[incarnation(h->from)->seat].index, next);
	SET(s->received, (uint64_t)me << 32 | (h->number + 1));
	ADD(oracle->messages, 1);
}

static void check_body(const struct fr_message *msg, const struct head *h)
{
	const unsigned char *p = msg->body;
	size_t i;

	for (i = sizeof(*h); i < msg->len && p[i] == byte_of(h, i); i++)
		;
	if (i < msg->len)
		fault("message %u of incarnation %u: byte %zu of %zu is wrong",
		      h->number, h->from, i, msg->len);
	if (h->from == 0 || h->from > GET(oracle->count) ||
	    msg->from.id != incarnation(h->from)->addr)
		fault("a message of incarnation %u comes from %llx", h->from,
		      (unsigned long long)msg->from.id);
	if (h->to != me)
		fault("a message for incarnation %u", h->to);
}

static void reply(struct member *m, struct owed o)
{
	uint64_t y = task_answer(o.x);
	int rc = fr_reply(m->p, o.call, &y, sizeof(y));

	if (rc < 0 && rc != -ESRCH)
		fault_rc("fr_reply", rc);
}

static void on_call(struct member *m, const struct fr_message *msg,
		    const struct head *h)
{
	struct owed o = {msg->call, h->x};

	if (!msg->call)
		fault("a call that wants no reply");
	if (m->owed_count < OWED && one_in(&m->dice, 4))
		m->owed[m->owed_count++] = o; /* later */
	else
		reply(m, o);
}

static void on_event(struct member *m, uint64_t id)
{
	int rc = fr_event_set(m->p, (struct fr_event){id});

	if (rc < 0 && rc != -ESTALE)
		fault_rc("fr_event_set", rc);
}

static void on_message(struct member *m, const struct fr_message *msg)
{
	struct head h;

	if (msg->type.id == FR_TYPE_EXIT.id) {
		if (!GET(oracle->leave))
			fault("told to exit");
		return;
	}
	if (msg->len < sizeof(h)) {
		fault("a message of %zu bytes", msg->len);
		return;
	}
	memcpy(&h, msg->body, sizeof(h));
	check_body(msg, &h);
	if (h.kind == DATA) {
		check_number(&h);
		if (h.x)
			on_event(m, h.x);
	} else if (h.kind == CALL) {
		on_call(m, msg, &h);
	} else {
		fault("a message of kind %x", h.kind);
	}
}

void release_held(struct member *m, unsigned keep)
{
	while (m->held_count > keep) {
		unsigned i = pick(&m->dice, m->held_count);

		fr_release(m->p, &m->held[i]);
		m->held[i] = m->held[--m->held_count];
	}
}

/* Some are released at once, some later and in any order. */
static void put_away(struct member *m, struct fr_message *msgs, int n)
{
	int i;

	if (one_in(&m->dice, 2)) {
		fr_release_batch(m->p, msgs, (unsigned)n);
		return;
	}
	for (i = 0; i < n; i++)
		if (m->held_count < HELD && one_in(&m->dice, 4))
			m->held[m->held_count++] = msgs[i];
		else
			fr_release(m->p, &msgs[i]);
	if (one_in(&m->dice, 2))
		release_held(m, 0);
}

unsigned member_receive(struct member *m, int64_t wait_ns)
{
	struct fr_message msgs[6];
	int n, i;

	progress();
	n = fr_receive_batch(m->p, wait_ns, msgs, 1 + pick(&m->dice, 6));
	if (n < 0) {
		if (n != -EAGAIN && n != -ETIMEDOUT && n != -EINTR)
			fault_rc("fr_receive_batch", n);
		return 0;
	}
	for (i = 0; i < n; i++)
		on_message(m, &msgs[i]);
	put_away(m, msgs, n);
	return (unsigned)n;
}

void take_mail(struct member *m)
{
	unsigned n = 16;

	while (n-- > 0 && member_receive(m, 0) > 0)
		;
}

/* ---- calls and events ---- */

void do_call(struct member *m)
{
	struct head h = {CALL, me, 0, 0, roll(&m->dice)};
	uint64_t y = 0;
	unsigned seat;
	struct target *t = draw_target(m, &seat);
	int rc;

	if (!t)
		return;
	h.to = t->to;
	go_in(IN_CALL);
	rc = fr_call(m->p, t->addr, (struct fr_type){0}, &h, sizeof(h),
		     1 + pick(&m->dice, 8 * (uint32_t)MS), &y, sizeof(y));
	go_out(IN_CALL);
	if (rc == sizeof(y) && y == task_answer(h.x))
		ADD(oracle->calls, 1);
	else if (rc >= 0)
		fault("fr_call answers %d bytes, %llx", rc,
		      (unsigned long long)y);
	else if (rc == -EOWNERDEAD && lives(t->to))
		fault("fr_call: incarnation %u is said to be dead", t->to);
	else if (!not_sent(rc) && rc != -EOWNERDEAD)
		fault_rc("fr_call", rc);
}

void do_reply(struct member *m)
{
	if (m->owed_count > 0)
		reply(m, m->owed[--m->owed_count]);
}

/* Wait for one to set it; serve others meanwhile, one of which may wait for
 * us. */
static void await_event(struct member *m, struct fr_event event,
			const struct target *t)
{
	int64_t until = now_ns() + PATIENCE;
	int rc;

	do {
		if (m->serve)
			m->serve();
		rc = fr_event_wait_from(m->p, event, t->addr, 2 * MS);
		if (rc == -ETIMEDOUT || rc == -EINTR)
			member_receive(m, 0);
		else if (rc == 0)
			ADD(oracle->events, 1);
		else if (rc != -EOWNERDEAD)
			fault_rc("fr_event_wait_from", rc);
		else if (lives(t->to))
			fault("fr_event_wait_from: incarnation %u is said to "
			      "be dead",
			      t->to);
	} while ((rc == -ETIMEDOUT || rc == -EINTR) && now_ns() < until);
	if (rc == -ETIMEDOUT)
		fault("incarnation %u, %s, does not set an event", t->to,
		      lives(t->to) ? "alive" : "dead");
}

void do_event(struct member *m)
{
	struct fr_event event;
	struct target *t;
	unsigned seat;
	int rc;

	/* It waits: behind an open claim nothing arrives. */
	if (!m->group || m->claim_count > 0)
		return;
	t = draw_target(m, &seat);
	if (!t)
		return;
	/* There are many times more than processes: none is left behind. */
	rc = fr_event_reserve(m->p, m->group, &event);
	if (rc < 0) {
		fault_rc("fr_event_reserve", rc);
		return;
	}
	go_in(IN_EVENT);
	if (send_data(m, t, seat, event.id, draw_wait(m)) == 0)
		await_event(m, event, t);
	go_out(IN_EVENT);
	rc = fr_event_release(m->p, event);
	if (rc < 0)
		fault_rc("fr_event_release", rc);
}

/* A slot for a process that never joins, and mail that nobody gets. */
void do_reserve(struct member *m)
{
	struct head h = {.kind = NOTHING, .from = me};
	struct fr_addr addr;
	int rc = fr_reserve(m->p, &addr);

	if (rc < 0) {
		fault_rc("fr_reserve", rc);
		return;
	}
	/* It may be full: a claim that lives on, in the mailbox of one that
	 * died, costs room. */
	rc = fr_send(m->p, addr, (struct fr_type){0}, &h, sizeof(h), 0);
	if (rc < 0 && rc != -EAGAIN)
		fault_rc("fr_send to a reserved address", rc);
	if (one_in(&m->dice, 2))
		take_mail(m);
	rc = fr_unreserve(m->p, addr);
	if (rc < 0)
		fault_rc("fr_unreserve", rc);
}
