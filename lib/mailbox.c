/* SPDX-License-Identifier: MIT */
/*
 * Sending to mailboxes, each slot's record ring: room, and what the runtime writes
 * into records. (receive.c: the other side.)
 *
 * Send: look at the receiver's state, claim, write, publish, look at its mark
 * and ring. The record carries the generation that it is for; a receiver drops
 * what was for its slot's last holder. A batch is one record, its parts one behind
 * the other, each with a struct fr__part in front.
 *
 * A full mailbox: the sender keeps away for a moment and looks again; then it
 * marks ROOM on its own bell, sets the ring's room
 * flag, claims once more, and sleeps. The consumer looks at the flag after each
 * half of the ring that it has freed (for a millisecond not if others have filled it
 * meanwhile), when it has found the ring empty, and before each sleep; then it wakes
 * *one* who waits for room in it, in turn. That one, when it has claimed or gives up,
 * wakes the next if half of the ring is free; if its record does not fit, it wakes one
 * behind it and sleeps again. (To
 * wake all at once has the first one fill the ring and the others find nothing:
 * with 32 producers on two cores that was ten times slower.)
 *
 * So whoever sleeps for room sleeps beside a ring that is half full at least,
 * and its consumer will look again; or somebody who was woken is on its way. (But for
 * who waits while another claims half of what was freed: the consumer then looks late,
 * if it is slow.) No size is preferred. And who sleeps looks again by itself: after
 * 10 ms, doubled each time that it was not woken.
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

/* How long a sender that has found no room lets the receiver get ahead. */
#define GET_AHEAD_NS 5000
/* A batch may be so large in small mailboxes, too (up to a half). */
#define BATCH_UNITS_MIN 32
/* Bytes, while parts are written: lines are asked for so far ahead, for parts up to that. */
#define ASK_AHEAD 1024
#define ASK_MAX 2048

/* ---- sending ---- */

struct room_wait {
	struct fr_process *p;
	struct fr__slot *slot;
	uint32_t generation;
	uint32_t units; /* needed */
	const struct fr__ring *ring;
	struct fr__place place; /* once claimed */
	bool armed;
	bool alone; /* the send before was before we last waited for mail */
};

static int try_claim(void *ctx)
{
	struct room_wait *w = ctx;
	int rc;

	/* as [PROCESS-1] */
	if (!fr__slot_is(fr__load_acquire(&w->slot->state), w->generation))
		return -ESRCH;
	rc = fr__ring_claim(w->ring, w->p->index, w->units, &w->place);
	return rc == -EAGAIN ? 0 : rc < 0 ? rc : 1;
}

int fr__room_wake_one(const struct fr_arena *a, unsigned mailbox, unsigned from,
		    unsigned count)
{
	const struct fr__ring *ring = fr__arena_ring(a, mailbox);
	int woken = -1;
	unsigned i;

	/* [MAILBOX-2] seq_cst: units FREE -> the flag; flag -> the marks of
	 * those who set it. Pairs with [MAILBOX-1]. Without it: a sender
	 * sleeps beside a free mailbox until its slice ends. */
	if (!fr__load_sc(&ring->ctl->room) || !fr__swap_sc(&ring->ctl->room, 0))
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
			fr__store_sc(&ring->ctl->room, 1);
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

	if (fr__ring_free_units(w->ring) >
	    (all ? w->ring->mask / FR__ROOM_PARTS : 0))
		fr__room_wake_one(w->p->arena, (unsigned)(w->slot - w->p->arena->slots),
			 from, all ? slots : slots - from);
}

static void arm_room(void *ctx, enum fr__arm how)
{
	struct room_wait *w = ctx;

	if (how == FR__DISARM)
		return;
	/* [MAILBOX-1] seq_cst: our ROOM mark -> the flag -> the last look.
	 * Pairs with [MAILBOX-2]. Without it: the consumer finds the flag and
	 * not the mark, or neither. */
	fr__store_sc(&w->ring->ctl->room, 1);
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

/* There was no room. Who takes each unit as soon as it is free takes its line from the
 * receiver that is about to free the next: both are the faster the longer they keep
 * apart. Not where that much is to be free anyway, or for who is not to spin. As
 * try_claim(). */
static int let_it_get_ahead(struct room_wait *w, int64_t wait_ns)
{
	if ((wait_ns >= 0 && wait_ns <= GET_AHEAD_NS) ||
	    w->units > w->ring->mask / 8 || w->p->bell.mode == FR_WAIT_SLEEP)
		return 0;
	fr__bell_pause(GET_AHEAD_NS);
	return try_claim(w);
}

/* There is no room just now. */
static __attribute__((noinline)) int wait_for_room(struct room_wait *w,
						   int64_t wait_ns)
{
	struct fr_process *p = w->p;
	unsigned depends = (unsigned)(w->slot - p->arena->slots) + 1;
	struct fr__wait wait = {
		.marks = FR__MARK_ROOM,
		.ready = try_claim,
		.arm = arm_room,
		.ctx = w,
		.depends = depends,
	};
	int rc;

	if (wait_ns == 0) {
		fr__bell_doubt(&p->bell, depends);
		rc = try_claim(w);
		return rc == 0 ? -EAGAIN : rc;
	}
	if (w->slot == p->slot)
		return -EDEADLK;
	rc = let_it_get_ahead(w, wait_ns);
	if (rc != 0)
		return rc;
	begin_waiting(w);
	rc = fr__bell_wait(&p->bell, &wait, wait_ns);
	end_waiting(w);
	return rc;
}

/* About to claim n units in the mailbox of `to`; -ESRCH. */
static inline int aim(struct room_wait *w, struct fr_process *p,
		      struct fr_addr to, uint32_t units)
{
	if (fr__addr_slot(to) >= p->arena->geo.slots)
		return -ESRCH;
	w->p = p;
	w->slot = &p->arena->slots[fr__addr_slot(to)];
	w->generation = fr__addr_generation(to);
	w->units = units;
	w->armed = false;
	w->ring = fr__arena_ring(p->arena, fr__addr_slot(to));
	/* [MAILBOX-5] relaxed: a hint. A send that is not the first since we
	 * waited for mail will hardly be the last; see also
	 * let_them_get_ahead() in receive.c. */
	w->alone = fr__load_relaxed(&p->only_receives);
	if (w->alone)
		/* as [MAILBOX-5] */
		fr__store_relaxed(&p->only_receives, 0);
	return 0;
}

/* Claim room for n units in the mailbox of `to`; 0 or -errno. */
static inline int claim(struct room_wait *w, struct fr_process *p,
			struct fr_addr to, uint32_t units, int64_t wait_ns)
{
	int rc = aim(w, p, to, units);

	if (rc < 0)
		return rc;
	if (w->alone && units > 1)
		fr__ring_ask_now(w->ring, units);
	rc = try_claim(w);
	if (rc == 0)
		rc = wait_for_room(w, wait_ns);
	else if (rc > 0 && !w->alone)
		fr__ring_ask_ahead(w->ring, w->place.position, w->units);
	return rc < 0 ? rc : 0;
}

static inline int check_message(const struct fr_process *p, struct fr_type type,
				size_t len)
{
	if (type.id & (FR__WANTS_REPLY | FR__PARTS))
		return -EINVAL;
	return len > fr__ring_body_max(&p->mailbox) ? -EMSGSIZE : 0;
}

static inline struct fr__record *write_head(const struct room_wait *w,
				     struct fr_type type, size_t len)
{
	struct fr__record *rec = fr__ring_at(w->ring, w->place.position);

	rec->len = (uint32_t)len;
	rec->type = type.id;
	rec->from_generation = w->p->generation;
	rec->to_generation = w->generation;
	return rec;
}

/* The record is written. If we have just answered, or asked, and nobody had to be woken,
 * its receiver spins. */
static inline void publish(const struct room_wait *w)
{
	fr__ring_publish_last(w->ring, w->p->index, w->place.position,
			      w->place.units);
	if (!fr__bell_ring(w->slot, FR__MARK_MAIL) && w->alone)
		fr__ring_hand_over(w->ring, w->place.position, w->place.units);
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
	fr__ring_copy_in(write_head(&w, type, len), 0, body, len);
	publish(&w);
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
	type.id |= FR__WANTS_REPLY;
	rec = write_head(&w, type, all);
	fr__ring_copy_in(rec, 0, &call, sizeof(call));
	fr__ring_copy_in(rec, sizeof(call), body, len);
	publish(&w);
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

/* How large the record of a batch may be. With larger ones the receiver would wait
 * for all of it and the sender for room for all of it: they could not work at the
 * same time. */
static uint32_t batch_units(const struct fr__ring *r)
{
	uint32_t units = (uint32_t)(r->mask + 1), few = units / 2;

	if (few > BATCH_UNITS_MIN)
		few = BATCH_UNITS_MIN;
	return units / 16 > few ? units / 16 : few;
}

/* How many of the parts go into one record of `units` (1 at least), and the bytes
 * of its body. */
static unsigned fits(const struct fr_process *p, const struct fr_part *parts,
		     unsigned count, uint32_t units, size_t *bytes)
{
	size_t max = (size_t)units * FR__UNIT;
	unsigned i;

	*bytes = fr__part_bytes(parts[0].len);
	for (i = 1; i < count; i++) {
		if (check_message(p, parts[i].type, parts[i].len) < 0 ||
		    FR__RECORD_HEAD + *bytes + fr__part_bytes(parts[i].len) > max)
			break;
		*bytes += fr__part_bytes(parts[i].len);
	}
	return i;
}

static void write_parts(struct fr__record *rec, uint32_t units,
			const struct fr_part *parts, unsigned count)
{
	size_t at = 0, k;
	unsigned i;

	for (i = 0; i < count; i++) {
		struct fr__part head = {(uint32_t)parts[i].len,
					parts[i].type.id};

		/* The receiver may share these lines still. Of long parts the CPU
		 * sees itself what comes next. */
		if (units >= FR__LONG_UNITS && parts[i].len <= ASK_MAX)
			for (k = 0; k < parts[i].len; k += FR__UNIT)
				fr__prefetch_write(rec->body + at + ASK_AHEAD + k);
		fr__ring_copy_in(rec, at, &head, sizeof(head));
		fr__ring_copy_in(rec, at + sizeof(head), parts[i].body,
				 parts[i].len);
		at += fr__part_bytes(parts[i].len);
	}
}

/* Claim room for as many parts as a record holds: 1, or 0: there is not so much, or
 * -errno. */
static inline int claim_all(struct room_wait *w, struct fr_process *p,
			    struct fr_addr to, uint32_t units, int64_t wait_ns)
{
	int rc = aim(w, p, to, units);

	if (rc < 0)
		return rc;
	/* What the lap has left would become a pad. */
	if (units > fr__ring_lap_left(w->ring))
		return 0;
	rc = try_claim(w);
	if (rc == 0)
		rc = let_it_get_ahead(w, wait_ns);
	if (rc > 0)
		fr__ring_ask_ahead(w->ring, w->place.position, w->units);
	return rc;
}

/* Claim room for as many parts as there is room for, two at least: 0, -EAGAIN or
 * -errno. (A claim that is too large for what the lap has left would spoil that.) */
static __attribute__((noinline)) int
claim_some(struct room_wait *w, struct fr_process *p, struct fr_addr to,
	   const struct fr_part *parts, unsigned count, unsigned *fit,
	   size_t *bytes)
{
	const struct fr__ring *ring = fr__arena_ring(p->arena, fr__addr_slot(to));
	uint32_t most, room;
	int rc;

	most = fr__ring_room(ring, 1) ? batch_units(ring) : 0;
	for (; most > 0; most--) {
		*fit = fits(p, parts, count, most, bytes);
		if (*fit == 1)
			break;
		room = fr__ring_room(ring, fr__ring_units(*bytes));
		if (room >= fr__ring_units(*bytes)) {
			rc = claim(w, p, to, fr__ring_units(*bytes), 0);
			if (rc != -EAGAIN)
				return rc;
		}
		most = room < most ? room + 1 : most;
	}
	return -EAGAIN;
}

int fr_send_batch(struct fr_process *p, struct fr_addr to,
		  const struct fr_part *parts, unsigned count, int64_t wait_ns)
{
	struct fr__record *rec;
	struct room_wait w;
	unsigned fit;
	size_t bytes;
	int rc = fr__own(p);

	if (rc < 0 || count == 0)
		return rc;
	rc = check_message(p, parts[0].type, parts[0].len);
	if (rc < 0)
		return rc;
	fit = fits(p, parts, count, batch_units(&p->mailbox), &bytes);
	if (fit > 1)
		rc = claim_all(&w, p, to, fr__ring_units(bytes), wait_ns);
	if (fit > 1 && rc == 0)
		rc = claim_some(&w, p, to, parts, count, &fit, &bytes);
	if (fit == 1 || rc == -EAGAIN) {
		rc = fr_send(p, to, parts[0].type, parts[0].body, parts[0].len,
			     wait_ns);
		return rc < 0 ? rc : 1;
	}
	if (rc < 0)
		return rc;
	rec = write_head(&w, (struct fr_type){FR__PARTS | fit},
			 bytes);
	write_parts(rec, w.place.units, parts, fit);
	publish(&w);
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
	fr__ring_advance(w.ring, w.place.position, w.place.units);
	ret->body = write_head(&w, type, len)->body;
	ret->len = len;
	ret->priv[0] = w.place.position;
	ret->priv[1] = (uint64_t)w.place.units << 32 | fr__addr_slot(to);
	return 0;
}

static inline unsigned slot_of(const struct fr_claim *c)
{
	return (uint32_t)c->priv[1];
}

static inline uint32_t units_of(const struct fr_claim *c)
{
	return (uint32_t)(c->priv[1] >> 32);
}

void fr_commit(struct fr_process *p, struct fr_claim *c)
{
	if (fr__own(p) < 0)
		return;
	fr__ring_publish(fr__arena_ring(p->arena, slot_of(c)), p->index,
			 c->priv[0], units_of(c));
	fr__bell_ring(&p->arena->slots[slot_of(c)], FR__MARK_MAIL);
}

void fr_cancel(struct fr_process *p, struct fr_claim *c)
{
	if (fr__own(p) < 0)
		return;
	fr__ring_cancel(fr__arena_ring(p->arena, slot_of(c)), p->index,
			c->priv[0], units_of(c));
	/* What we sent behind it could not be received before. */
	fr__fence_sc(); /* as [BELL-2] */
	fr__bell_ring(&p->arena->slots[slot_of(c)], FR__MARK_MAIL);
}

int fr_send_exit(struct fr_process *p, struct fr_addr to, int64_t wait_ns)
{
	return fr_send(p, to, FR_TYPE_EXIT, NULL, 0, wait_ns);
}
