/* SPDX-License-Identifier: MIT */
/*
 * Sending. Each message of a stream (one incarnation to another) has the next
 * number. The sender says before it publishes how far it has tried, and behind
 * it how far that is so; the receiver knows which number comes next, and says
 * which it has got. So of a sender that was killed between the two one
 * publication may be there or not, and of nothing else there is a doubt. A
 * claim has its number from the start, since what is sent behind it comes
 * behind it; of one that was killed before it committed that number is missing,
 * and that only.
 */
#include "member.h"

#include <stdio.h>
#include <string.h>

static unsigned char body[LEN_MAX + 64];

/* ---- to whom ---- */

static bool receives(enum role role)
{
	return role == ROLE_BOSS || role == ROLE_MESH || role == ROLE_STRANGER;
}

static void name_of(const struct seat *s, char *name, size_t size)
{
	snprintf(name, size, "%s-%u", role_names[s->role], s->index);
}

bool lives(uint32_t number)
{
	const struct incarnation *i = incarnation(number);

	return !GET(i->killed) && !GET(i->ended);
}

/* By its name: who sits in a seat must be found if it lives. */
static bool can_be_found(struct member *m, const struct seat *s, uint32_t to,
			 struct fr_addr addr)
{
	struct fr_addr found[8];
	char name[FR_NAME_MAX + 1];
	int n, i;

	name_of(s, name, sizeof(name));
	n = fr_lookup(m->p, name, found, 8);
	if (n < 0)
		fault_rc("fr_lookup", n);
	for (i = 0; i < n && i < 8; i++)
		if (found[i].id == addr.id)
			return true;
	if (n <= 8 && lives(to) && !GET(oracle->leave))
		fault("%s, incarnation %u, lives and is not found", name, to);
	return false;
}

struct target *draw_target(struct member *m, unsigned *seat)
{
	struct target *t;
	struct seat *s;
	uint32_t to;
	uint64_t addr;

	*seat = pick(&m->dice, oracle->seats);
	s = &oracle->seat[*seat];
	to = GET(s->now);
	addr = GET(incarnation(to)->addr);
	if (!receives(s->role) || to == 0 || to == me || addr == 0)
		return NULL;
	t = &m->target[*seat];
	if (t->to == to)
		return one_in(&m->dice, 8) && !can_be_found(m, s, to, t->addr)
			       ? NULL
			       : t;
	if (!can_be_found(m, s, to, (struct fr_addr){addr}))
		return NULL;
	*t = (struct target){.to = to, .addr.id = addr};
	SET(stream(me, *seat)->hole, 0);
	SET(stream(me, *seat)->noted, (uint64_t)to << 32);
	SET(stream(me, *seat)->tried, (uint64_t)to << 32);
	return t;
}

/* ---- sending ---- */

unsigned char byte_of(const struct head *h, size_t i)
{
	return (unsigned char)(h->from * 31 + h->number * 7 + h->x + i);
}

static void write_body(void *to, size_t len, const struct head *h)
{
	unsigned char *p = to;
	size_t i;

	memcpy(p, h, sizeof(*h));
	for (i = sizeof(*h); i < len; i++)
		p[i] = byte_of(h, i);
}

static size_t draw_len(struct member *m)
{
	size_t len = sizeof(struct head);

	return len + (one_in(&m->dice, 12) ? pick(&m->dice, LEN_MAX - 64)
					   : pick(&m->dice, 80));
}

int64_t draw_wait(struct member *m)
{
	static const int64_t waits[] = {0, 0, 0, 100 * US, MS, 20 * MS};

	return waits[pick(&m->dice, 6)];
}

static void note(uint64_t *word, const struct target *t, uint32_t number)
{
	SET(*word, (uint64_t)t->to << 32 | number);
}

bool not_sent(int rc)
{
	return rc == -EAGAIN || rc == -ETIMEDOUT || rc == -ESRCH ||
	       rc == -EINTR;
}

int send_data(struct member *m, struct target *t, unsigned seat, uint64_t x,
	      int64_t wait_ns)
{
	struct head h = {DATA, me, t->to, t->next, x};
	size_t len = draw_len(m);
	int rc;

	write_body(body, len, &h);
	note(&stream(me, seat)->tried, t, t->next + 1);
	rc = fr_send(m->p, t->addr, (struct fr_type){0}, body, len, wait_ns);
	if (rc == 0)
		note(&stream(me, seat)->noted, t, ++t->next);
	else
		note(&stream(me, seat)->tried, t, t->next);
	if (rc != 0 && !not_sent(rc))
		fault_rc("fr_send", rc);
	return rc;
}

void do_send(struct member *m)
{
	unsigned seat, n = 1 + pick(&m->dice, 12);
	struct target *t = draw_target(m, &seat);

	while (t && n-- > 0 && send_data(m, t, seat, 0, draw_wait(m)) == 0)
		;
}

#define BATCH 5u

void do_batch(struct member *m)
{
	static unsigned char bodies[BATCH][LEN_MAX + 64];
	struct fr_part parts[BATCH];
	unsigned seat, count = 2 + pick(&m->dice, BATCH - 1), i;
	struct target *t = draw_target(m, &seat);
	int rc;

	if (!t)
		return;
	for (i = 0; i < count; i++) {
		struct head h = {DATA, me, t->to, t->next + i, 0};
		size_t len = draw_len(m);

		write_body(bodies[i], len, &h);
		parts[i] = (struct fr_part){{0}, bodies[i], len};
	}
	note(&stream(me, seat)->tried, t, t->next + count);
	rc = fr_send_batch(m->p, t->addr, parts, count, draw_wait(m));
	if (rc > 0 && rc <= (int)count)
		note(&stream(me, seat)->noted, t, t->next += (uint32_t)rc);
	else if (!not_sent(rc))
		fault_rc("fr_send_batch", rc);
	note(&stream(me, seat)->tried, t, t->next);
	ADD(oracle->batches, rc > 0);
}

void do_claim(struct member *m)
{
	struct open_claim *c = &m->claims[m->claim_count];
	bool commit = !one_in(&m->dice, 4);
	struct head h = {DATA, me, 0, 0, 0};
	struct target *t;
	int rc;

	if (m->claim_count == CLAIMS)
		return;
	t = draw_target(m, &c->seat);
	if (!t || t->claimed)
		return;
	rc = fr_claim(m->p, t->addr, (struct fr_type){0}, draw_len(m),
		      draw_wait(m), &c->claim);
	if (rc < 0) {
		if (!not_sent(rc))
			fault_rc("fr_claim", rc);
		return;
	}
	m->claim_count++;
	t->claimed = true;
	h.to = c->to = t->to;
	h.kind = commit ? DATA : NOTHING;
	h.number = c->number = t->next;
	c->commit = commit;
	if (commit) {
		/* Its number is missing if we do not live to commit it. */
		note(&stream(me, c->seat)->hole, t, t->next + 1);
		note(&stream(me, c->seat)->tried, t, ++t->next);
	}
	go_in(IN_CLAIM);
	write_body(c->claim.body, c->claim.len, &h);
}

static void close_claim(struct member *m, unsigned i)
{
	struct open_claim c = m->claims[i];
	struct target *t = &m->target[c.seat];
	struct stream *s = stream(me, c.seat);

	m->claims[i] = m->claims[--m->claim_count];
	if (m->claim_count == 0)
		go_out(IN_CLAIM);
	if (!c.commit) {
		fr_cancel(m->p, &c.claim);
		ADD(oracle->cancelled_claims, 1);
	} else {
		fr_commit(m->p, &c.claim);
	}
	if (t->to != c.to)
		return; /* another sits there now */
	t->claimed = false;
	if (!c.commit)
		return;
	if ((uint32_t)GET(s->noted) < c.number + 1)
		note(&s->noted, t, c.number + 1);
	SET(s->hole, 0);
}

void do_close_claim(struct member *m)
{
	if (m->claim_count > 0)
		close_claim(m, pick(&m->dice, m->claim_count));
}

/* For workers in the middle of a task. */
void member_word(struct member *m)
{
	progress();
	if (GET(oracle->ending))
		return;
	do_claim(m);
	if (one_in(&m->dice, 2))
		do_send(m);
	do_close_claim(m);
}
