/* SPDX-License-Identifier: MIT */
/*
 * Mailboxes: each slot's record ring, and what the runtime writes into records.
 *
 * Send: look at the receiver's state, claim, write, publish, look at its mark
 * and ring. The record carries the generation that it is for; a receiver drops
 * what was for its slot's last holder.
 *
 * A full mailbox: the sender marks ROOM on its own bell, sets the ring's room
 * flag, claims once more, and sleeps. The consumer looks at the flag after each
 * half of the ring that it has freed, when it has found the ring empty, and
 * before each sleep; then it wakes *one* who waits for room in it, in turn. That
 * one, when it has claimed or gives up, wakes the next if half of the ring is
 * free; if its record does not fit, it wakes one behind it and sleeps again. (To
 * wake all at once has the first one fill the ring and the others find nothing:
 * with 32 producers on two cores that was ten times slower.)
 *
 * So whoever sleeps for room sleeps beside a ring that is half full at least,
 * and its consumer will look again; or somebody who was woken is on its way. No
 * size is preferred.
 *
 *	Sender				Consumer
 *	 waiting |= ROOM		 units FREE
 *	 room = 1			 fence
 *	 fence				 room? room = 0, wake one,
 *	 claim once more		   more? room = 1
 *
 * A death leaves: of a sender, a claim (see ring.c) or a mark that rings for
 * nobody; of a consumer, senders that find the slot gone when they look again.
 */
#include "forkring/message.h"
#include "process.h"

#include <string.h>

/* Parts of a ring: who waits for room is woken when one is free. */
#define ROOM_PARTS 2
/* Pauses (some 25 ns each) of a receiver that has found nothing. */
#define GET_AHEAD 16

/* In a record's type: the body starts with the number of a call. */
#define WANTS_REPLY (UINT32_C(1) << 31)

/* ---- sending ---- */

struct room_wait {
	struct fr_process *p;
	struct fr__slot *slot;
	uint32_t generation;
	uint32_t units;
	struct fr__ring ring;
	uint64_t position;
	bool armed;
};

static int try_claim(void *ctx)
{
	struct room_wait *w = ctx;
	int rc;

	/* as [PROCESS-1] */
	if (!fr__slot_is(fr__load_acquire(&w->slot->state), w->generation))
		return -ESRCH;
	rc = fr__ring_claim(&w->ring, w->p->index, w->units, &w->position);
	return rc == -EAGAIN ? 0 : rc < 0 ? rc : 1;
}

/*
 * Wake one who waits for room in that mailbox: the first of count slots from
 * `from` on. Its number, or -1. If there are more, the flag stays up.
 */
static int wake_one(const struct fr_arena *a, unsigned mailbox, unsigned from,
		    unsigned count)
{
	struct fr__ring ring;
	int woken = -1;
	unsigned i;

	fr__arena_ring(a, mailbox, &ring);
	/* [MAILBOX-2] seq_cst: units FREE -> the flag; flag -> the marks of
	 * those who set it. Pairs with [MAILBOX-1]. Without it: a sender
	 * sleeps beside a free mailbox until its slice ends. */
	if (!fr__load_sc(&ring.ctl->room) || !fr__swap_sc(&ring.ctl->room, 0))
		return -1;
	for (i = 0; i < a->geo.slots; i++) {
		unsigned slot = (from + i) % a->geo.slots;
		struct fr__slot *s = &a->slots[slot];
		uint32_t of;

		/* as [BELL-1] */
		if (!(fr__load_sc(&s->waiting) & FR__MARK_ROOM))
			continue;
		/* as [MAILBOX-4] */
		of = fr__load_sc(&s->room_of);
		if (of != 0 && of != mailbox + 1)
			continue;
		if (woken >= 0 || i >= count) {
			/* as [MAILBOX-1] */
			fr__store_sc(&ring.ctl->room, 1);
			break;
		}
		/* as [MAILBOX-4]: it may wait elsewhere by now, and does so
		 * somewhere if it has several threads; then it looks for
		 * nothing, and is not the one. */
		if (fr__bell_strike(&s->waiting, &s->bell, FR__MARK_ROOM) &&
		    fr__load_sc(&s->room_of) == mailbox + 1)
			woken = (int)slot;
	}
	return woken;
}

/* We were woken, or may have been. We go (all): if there is still much room, wake
 * the next. Or we stay, since ours does not fit: if there is any room, wake one
 * of those behind us. */
static void pass_on(const struct room_wait *w, bool all)
{
	unsigned slots = w->p->arena->geo.slots, from = w->p->index + 1;

	if (fr__ring_free_units(&w->ring) >
	    (all ? w->ring.mask / ROOM_PARTS : 0))
		wake_one(w->p->arena, (unsigned)(w->slot - w->p->arena->slots),
			 from, all ? slots : slots - from);
}

static void arm_room(void *ctx, bool on)
{
	struct room_wait *w = ctx;

	if (!on)
		return;
	/* [MAILBOX-1] seq_cst: our ROOM mark -> the flag -> the last look.
	 * Pairs with [MAILBOX-2]. Without it: the consumer finds the flag and
	 * not the mark, or neither. */
	fr__store_sc(&w->ring.ctl->room, 1);
	if (w->armed) /* woken, and it did not fit */
		pass_on(w, false);
	w->armed = true;
}

/* Before the first mark: say where we wait, and how many of us. */
static void begin_waiting(struct room_wait *w)
{
	struct fr_process *p = w->p;
	uint32_t mailbox = (uint32_t)(w->slot - p->arena->slots);

	/* [MAILBOX-4] seq_cst: counted -> which mailbox -> our mark; a second
	 * thread is seen by this one or sees it. Pairs with [MAILBOX-4].
	 * Without it: a waker takes us for one that waits elsewhere. */
	if (fr__add_sc(&p->room_threads, 1) > 0) {
		fr__store_sc(&p->slot->room_of, 0);
		return;
	}
	fr__store_sc(&p->slot->room_of, mailbox + 1);
	if (fr__load_sc(&p->room_threads) > 1) {
		fr__store_sc(&p->slot->room_of, 0);
		/* A waker may have passed the other thread over meanwhile. */
		fr__bell_shake(&p->slot->bell);
	}
}

/* Our mark goes with us, unless other threads wait under it. Whether it was us who
 * were woken cannot be told from it (others may have set it again), so pass on. */
static void end_waiting(struct room_wait *w)
{
	struct fr_process *p = w->p;

	/* as [MAILBOX-4] and [BELL-3], to the end of this */
	if (fr__add_sc(&p->room_threads, -1u) == 1) {
		fr__and_sc(&p->slot->waiting, ~FR__MARK_ROOM);
		/* as [MAILBOX-4]: one that came meanwhile may have lost its
		 * mark to us */
		if (fr__load_sc(&p->room_threads) > 0)
			fr__bell_shake(&p->slot->bell);
	}
	if (w->armed)
		pass_on(w, true);
}

/* Claim room for n units in the mailbox of `to`; 0 or -errno. */
static int claim(struct room_wait *w, struct fr_process *p, struct fr_addr to,
		 uint32_t units, int64_t wait_ns)
{
	struct fr__wait wait = {
		.marks = FR__MARK_ROOM,
		.ready = try_claim,
		.arm = arm_room,
		.ctx = w,
	};
	int rc;

	if (fr__addr_slot(to) >= p->arena->geo.slots)
		return -ESRCH;
	w->p = p;
	w->slot = &p->arena->slots[fr__addr_slot(to)];
	w->generation = fr__addr_generation(to);
	w->units = units;
	w->armed = false;
	/* [MAILBOX-5] relaxed: a hint, see let_them_get_ahead(). */
	fr__store_relaxed(&p->only_receives, 0);
	fr__arena_ring(p->arena, fr__addr_slot(to), &w->ring);
	rc = try_claim(w);
	if (rc == 0) {
		if (w->slot == p->slot && wait_ns != 0)
			return -EDEADLK;
		if (wait_ns == 0) {
			fr__bell_doubt(&p->bell, fr__addr_slot(to) + 1);
			rc = try_claim(w);
			return rc == 0 ? -EAGAIN : rc < 0 ? rc : 0;
		}
		wait.depends = fr__addr_slot(to) + 1;
		begin_waiting(w);
		rc = fr__bell_wait(&p->bell, &wait, wait_ns);
		end_waiting(w);
	}
	return rc < 0 ? rc : 0;
}

static inline int check_message(const struct fr_process *p, struct fr_type type,
				size_t len)
{
	if (type.id & WANTS_REPLY)
		return -EINVAL;
	return len > fr__ring_body_max(&p->mailbox) ? -EMSGSIZE : 0;
}

static struct fr__record *write_head(const struct room_wait *w, uint64_t at,
				     struct fr_type type, size_t len)
{
	struct fr__record *rec = fr__ring_at(&w->ring, at);

	rec->len = (uint32_t)len;
	rec->type = type.id;
	rec->from_generation = w->p->generation;
	rec->to_generation = w->generation;
	return rec;
}

int fr_send(struct fr_process *p, struct fr_addr to, struct fr_type type,
	    const void *body, size_t len, int64_t wait_ns)
{
	struct room_wait w;
	int rc = fr__own(p);

	if (rc == 0)
		rc = check_message(p, type, len);
	if (rc == 0)
		rc = claim(&w, p, to, fr__ring_units(len), wait_ns);
	if (rc < 0)
		return rc;
	fr__ring_copy_in(write_head(&w, w.position, type, len), 0, body, len);
	fr__ring_publish_last(&w.ring, p->index, w.position, w.units, w.units);
	fr__bell_ring(w.slot, FR__MARK_MAIL);
	return 0;
}

int fr__send_call(struct fr_process *p, struct fr_addr to, struct fr_type type,
		  uint64_t call, const void *body, size_t len, int64_t wait_ns)
{
	size_t all = len + sizeof(call);
	struct fr__record *rec;
	struct room_wait w;
	int rc;

	rc = check_message(p, type, len);
	if (rc == 0)
		rc = check_message(p, type, all);
	if (rc < 0)
		return rc;
	rc = claim(&w, p, to, fr__ring_units(all), wait_ns);
	if (rc < 0)
		return rc;
	type.id |= WANTS_REPLY;
	rec = write_head(&w, w.position, type, all);
	fr__ring_copy_in(rec, 0, &call, sizeof(call));
	fr__ring_copy_in(rec, sizeof(call), body, len);
	fr__ring_publish_last(&w.ring, p->index, w.position, w.units, w.units);
	fr__bell_ring(w.slot, FR__MARK_MAIL);
	return 0;
}

int fr_send_name(struct fr_process *p, const char *name, struct fr_type type,
		 const void *body, size_t len, int64_t wait_ns)
{
	struct fr_addr few[16], *to = few;
	int64_t deadline = wait_ns > 0 ? fr__deadline(wait_ns) : 0;
	int rc, error = 0, count, sent = 0, i;

	count = fr_lookup(p, name, few, 16);
	if (count > 16) {
		to = __builtin_alloca((size_t)count * sizeof(*to));
		i = fr_lookup(p, name, to, (unsigned)count);
		count = i < count ? i : count;
	}
	if (count <= 0)
		return count < 0 ? count : -ENOENT;
	for (i = 0; i < count; i++) {
		if (wait_ns > 0) {
			int64_t left = deadline - fr__now_ns();

			rc = fr_send(p, to[i], type, body, len,
				     left > 0 ? left : 0);
		} else {
			rc = fr_send(p, to[i], type, body, len, wait_ns);
		}
		if (rc == 0)
			sent++;
		else if (error == 0)
			error = rc;
	}
	return sent > 0 ? sent : error;
}

/* How many of the parts could be claimed at once just now (1 at least), and
 * their units together. */
static unsigned fits(struct fr_process *p, struct fr_addr to,
		     const struct fr_part *parts, unsigned count,
		     uint32_t *units)
{
	uint32_t room = 0, n;
	struct fr__ring ring;
	unsigned i;

	*units = fr__ring_units(parts[0].len);
	if (fr__addr_slot(to) < p->arena->geo.slots) {
		fr__arena_ring(p->arena, fr__addr_slot(to), &ring);
		room = fr__ring_room(&ring, (uint32_t)(p->mailbox.mask + 1) / 2);
	}
	for (i = 1; i < count; i++) {
		if (check_message(p, parts[i].type, parts[i].len) < 0)
			break;
		n = fr__ring_units(parts[i].len);
		if (*units + n > room)
			break;
		*units += n;
	}
	return i;
}

int fr_send_batch(struct fr_process *p, struct fr_addr to,
		  const struct fr_part *parts, unsigned count, int64_t wait_ns)
{
	struct room_wait w;
	uint32_t units;
	unsigned fit, i, tries = 0;
	uint64_t at;
	int rc = fr__own(p);

	if (rc < 0 || count == 0)
		return rc;
	rc = check_message(p, parts[0].type, parts[0].len);
	if (rc < 0)
		return rc;
	/* As many as there is room for; wait only for the first. (In a damaged
	 * ring there may seem to be room for ever.) */
	do {
		fit = fits(p, to, parts, tries < 100 ? count : 1, &units);
		rc = claim(&w, p, to, units, fit == 1 ? wait_ns : 0);
		tries++;
	} while (rc == -EAGAIN && fit > 1);
	if (rc < 0)
		return rc;
	for (i = 0, at = w.position; i < fit; i++) {
		uint32_t n = fr__ring_units(parts[i].len);

		fr__ring_copy_in(write_head(&w, at, parts[i].type,
					    parts[i].len),
				 0, parts[i].body, parts[i].len);
		if (i > 0)
			fr__ring_prepare(&w.ring, p->index, at, n);
		at += n;
	}
	fr__ring_publish_last(&w.ring, p->index, w.position,
			      fr__ring_units(parts[0].len), units);
	fr__bell_ring(w.slot, FR__MARK_MAIL);
	return (int)fit;
}

int fr_claim(struct fr_process *p, struct fr_addr to, struct fr_type type,
	     size_t len, int64_t wait_ns, struct fr_claim *ret)
{
	struct room_wait w;
	int rc = fr__own(p);

	if (rc == 0)
		rc = check_message(p, type, len);
	if (rc == 0)
		rc = claim(&w, p, to, fr__ring_units(len), wait_ns);
	if (rc < 0)
		return rc;
	fr__ring_advance(&w.ring, w.position, w.units);
	fr__ring_clear_tags(&w.ring, w.position, w.units);
	ret->body = write_head(&w, w.position, type, len)->body;
	ret->len = len;
	ret->priv[0] = w.position;
	ret->priv[1] = fr__addr_slot(to);
	return 0;
}

/* Both ends of a claim: the ring it is in. */
static uint32_t claimed(struct fr_process *p, const struct fr_claim *c,
			struct fr__ring *ring)
{
	fr__arena_ring(p->arena, (unsigned)c->priv[1], ring);
	return fr__ring_units(c->len);
}

void fr_commit(struct fr_process *p, struct fr_claim *c)
{
	struct fr__ring ring;
	uint32_t units;

	if (fr__own(p) < 0)
		return;
	units = claimed(p, c, &ring);
	fr__ring_publish(&ring, p->index, c->priv[0], units);
	fr__bell_ring(&p->arena->slots[c->priv[1]], FR__MARK_MAIL);
}

void fr_cancel(struct fr_process *p, struct fr_claim *c)
{
	struct fr__ring ring;
	uint32_t units;

	if (fr__own(p) < 0)
		return;
	units = claimed(p, c, &ring);
	fr__ring_cancel(&ring, p->index, c->priv[0], units);
	/* What we sent behind it could not be received before. */
	fr__fence_sc(); /* as [BELL-2] */
	fr__bell_ring(&p->arena->slots[c->priv[1]], FR__MARK_MAIL);
}

int fr_send_exit(struct fr_process *p, struct fr_addr to, int64_t wait_ns)
{
	return fr_send(p, to, FR_TYPE_EXIT, NULL, 0, wait_ns);
}

/* ---- receiving ---- */

/* Units were freed: does anybody wait for them? */
static void look_for_room_waiters(struct fr_process *p)
{
	int woken;

	p->reader.freed = 0;
	p->empty_looks = 0;
	/* [MAILBOX-3] release: units FREE -> the look that is owed. Pairs with
	 * [MAILBOX-6]. Without it: another thread pays it before they are. */
	fr__store_release(&p->owes_look, 0);
	/* as [BELL-2]: units FREE -> the look at the flag */
	fr__fence_sc();
	woken = wake_one(p->arena, p->index, p->next_waiter,
			 p->arena->geo.slots);
	if (woken >= 0)
		p->next_waiter = (unsigned)woken + 1;
	/* as [MAILBOX-2]: there are more, and that one may pass on to nobody */
	if (fr__load_sc(&p->mailbox.ctl->room))
		/* as [MAILBOX-3] */
		fr__store_release(&p->owes_look, 1);
}

void fr__mail_before_sleep(void *process)
{
	struct fr_process *p = process;

	/* [MAILBOX-6] seq_cst: the look is taken over, by the thread that
	 * sleeps, from the one that receives -> the look at the flag. Pairs
	 * with [MAILBOX-3]. Without it: see there. */
	if (!fr__load_sc(&p->owes_look) || !fr__swap_sc(&p->owes_look, 0))
		return;
	/* as [BELL-2]: units FREE -> the look at the flag */
	fr__fence_behind_sc();
	wake_one(p->arena, p->index, 0, p->arena->geo.slots);
}

/* Units were freed: look at once if they are many, else before the next sleep. */
static void owe_look(struct fr_process *p)
{
	if (p->reader.freed > p->mailbox.mask / ROOM_PARTS)
		look_for_room_waiters(p);
	else
		/* as [MAILBOX-3] */
		fr__store_release(&p->owes_look, 1);
}

/* Find the next record that is for us, and stash it. */
int fr__mail_ready(struct fr_process *p)
{
	const struct fr__ring *r = &p->mailbox;
	int rc;

	while (!p->stashed) {
		const struct fr__record *rec;

		rc = fr__ring_next(r, &p->reader, &p->stash_position,
				   &p->stash_owner);
		if (rc < 0)
			return rc;
		if (rc == 0) {
			if (p->reader.freed)
				owe_look(p);
			/* as [MAILBOX-6]: paid here by who never sleeps */
			if (fr__load_sc(&p->owes_look) &&
			    ++p->empty_looks > 32)
				look_for_room_waiters(p);
			return 0;
		}
		rec = fr__ring_at(r, p->stash_position);
		p->stash_units = p->reader.units;
		if (rec->to_generation == p->generation) {
			p->stashed = true;
			break;
		}
		rc = fr__ring_release(r, &p->reader, p->stash_position);
		if (rc < 0)
			return rc;
	}
	return 1;
}

static int mail_ready(void *ctx)
{
	return fr__mail_ready(ctx);
}

/* The stashed record as a message. */
static int give(struct fr_process *p, struct fr_message *m)
{
	const struct fr__record *rec = fr__ring_at(&p->mailbox,
						   p->stash_position);
	uint32_t len = fr__once(rec->len);

	p->stashed = false;
	if (len > (size_t)p->stash_units * FR__UNIT - FR__RECORD_HEAD) {
		fr__ring_release(&p->mailbox, &p->reader, p->stash_position);
		return -EBADMSG;
	}
	m->body = rec->body;
	m->len = len;
	m->type.id = fr__once(rec->type);
	m->call = 0;
	if (m->type.id & WANTS_REPLY && len >= sizeof(m->call)) {
		memcpy(&m->call, rec->body, sizeof(m->call));
		m->body = rec->body + sizeof(m->call);
		m->len -= sizeof(m->call);
		m->type.id &= ~WANTS_REPLY;
	}
	m->from = fr__addr(p->stash_owner, rec->from_generation);
	m->priv = p->stash_position;
	return 0;
}

/* Nothing there, and we only receive: do not look again at once. The line that we
 * would look at is the one that a sender is about to write, and each look takes
 * it away; a moment later several messages are there. Not for who answers what
 * it gets: there the next message comes when we have sent. */
static void let_them_get_ahead(struct fr_process *p)
{
	unsigned i;

	/* as [MAILBOX-5] */
	if (!fr__swap_relaxed(&p->only_receives, 1))
		return;
	for (i = 0; i < GET_AHEAD; i++)
		fr__pause();
}

int fr_receive(struct fr_process *p, int64_t wait_ns, struct fr_message *ret)
{
	struct fr__wait wait = {
		.marks = FR__MARK_MAIL, .ready = mail_ready, .ctx = p,
	};
	int rc = fr__own(p);

	if (rc == 0) {
		fr__bell_tick(&p->bell, 1);
		rc = fr__mail_ready(p);
	}
	if (rc == 0 && wait_ns != 0)
		let_them_get_ahead(p);
	if (rc == 0)
		rc = fr__bell_wait(&p->bell, &wait, wait_ns);
	/* as [MAILBOX-6] */
	if (rc == -EAGAIN && fr__load_sc(&p->owes_look))
		look_for_room_waiters(p);
	return rc < 0 ? rc : give(p, ret);
}

void fr_release(struct fr_process *p, struct fr_message *m)
{
	fr_release_batch(p, m, 1);
}

int fr_receive_batch(struct fr_process *p, int64_t wait_ns,
		     struct fr_message *messages, unsigned max)
{
	unsigned count = 1;
	int rc;

	if (max == 0)
		return 0;
	rc = fr_receive(p, wait_ns, &messages[0]);
	if (rc < 0)
		return rc;
	while (count < max && fr__mail_ready(p) == 1 &&
	       give(p, &messages[count]) == 0)
		count++;
	return (int)count;
}

#define RUN 64

void fr_release_batch(struct fr_process *p, struct fr_message *messages,
		      unsigned count)
{
	uint64_t positions[RUN];
	unsigned n;

	if (fr__own(p) < 0)
		return;
	while (count > 0) {
		for (n = 0; count > 0 && n < RUN; messages++, count--) {
			if (!messages->body)
				continue; /* released before */
			positions[n++] = messages->priv;
			messages->body = NULL;
		}
		fr__ring_release_run(&p->mailbox, &p->reader, positions, n);
	}
	owe_look(p);
}
