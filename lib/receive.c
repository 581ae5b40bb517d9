/* SPDX-License-Identifier: MIT */
/*
 * Receiving from the own mailbox: finding the next record, giving out what is in
 * it, releasing it, and looking for those who wait for room (see mailbox.c).
 *
 * A batch is one record (so nobody's message comes between) with several parts.
 * How many of them are not released yet is counted in the process's own memory,
 * where no damage reaches it; with the last of them the record is released.
 *
 *	found.any		a record was found, and something of it is to be
 *				given out
 *	held[unit].parts	of the batch at that position: parts to give out
 *				+ parts held by the program
 *	batches			how many of those are not 0
 *
 * A death leaves records that were found and not released: whoever holds the slot
 * next drops them by their generation.
 */
#include "forkring/message.h"
#include "process.h"

#include <stdlib.h>
#include <string.h>

/* How long a receiver that has found nothing lets the senders get ahead: as long as what
 * has come since it last did would take at this rate, within these limits; not for long
 * if it is to poll, or hardly to spin. */
#define MESSAGE_NS    100
#define UNIT_NS	      25
#define AHEAD_MIN_NS  100
#define AHEAD_MAX_NS  5000
#define AHEAD_FEW_NS  400
/* Who waits for room beside a mailbox that others fill may be left waiting for so long. */
#define MAY_WAIT_NS INT64_C(1000000)
/* Bytes: of longer parts nothing is asked for; so far ahead of shorter ones. */
#define ASK_MAX 2048
#define ASK_AHEAD 1024

/* Units were freed: does anybody wait for them? */
static __attribute__((noinline)) void look_for_room_waiters(struct fr_process *p)
{
	int woken;

	p->reader.freed = 0;
	p->look_due = (uint32_t)p->mailbox.mask / FR__ROOM_PARTS;
	p->empty_looks = 0;
	/* [MAILBOX-3] release: units FREE -> the look that is owed. Pairs with
	 * [MAILBOX-6]. Without it: another thread pays it before they are. */
	fr__store_release(&p->owes_look, 0);
	/* as [BELL-2]: units FREE -> the look at the flag */
	fr__fence_sc();
	woken = fr__room_wake_one(p->arena, p->index, p->next_waiter,
			 p->arena->geo.slots);
	if (woken >= 0)
		p->next_waiter = (unsigned)woken + 1;
	/* as [MAILBOX-2]: there are more, and that one may pass on to nobody */
	if (fr__load_sc(&p->mailbox.ctl->room))
		/* as [MAILBOX-3] */
		fr__store_release(&p->owes_look, 1);
}

void fr__mail_before_sleep(struct fr_process *p)
{
	/* [MAILBOX-6] seq_cst: the look is taken over, by the thread that
	 * sleeps, from the one that receives -> the look at the flag. Pairs
	 * with [MAILBOX-3]. Without it: see there. */
	if (!fr__load_sc(&p->owes_look) || !fr__swap_sc(&p->owes_look, 0))
		return;
	/* as [BELL-2]: units FREE -> the look at the flag */
	fr__fence_behind_sc();
	fr__room_wake_one(p->arena, p->index, 0, p->arena->geo.slots);
}

/* Half of the mailbox was freed, once more. If others have filled it meanwhile, who waits
 * may wait some more: to wake it would take a CPU from those. Not for long, though: where
 * the receiver is slow, each of them is to have its turn. */
static __attribute__((noinline)) bool may_wait(struct fr_process *p)
{
	uint32_t half = (uint32_t)p->mailbox.mask / FR__ROOM_PARTS;
	uint32_t room = fr__ring_free_units(&p->mailbox);
	int64_t now = fr__now_ns();

	if (room >= half || now - p->looked_ns >= MAY_WAIT_NS) {
		p->looked_ns = now;
		return false;
	}
	/* Until half is free, if nobody fills it from here on. */
	p->look_due = p->reader.freed +
		      (half - room > half / 8 ? half - room : half / 8);
	return true;
}

/* Units were freed: look at once if they are many, else before the next sleep. */
static inline void owe_look(struct fr_process *p)
{
	if (p->reader.freed > p->look_due && !may_wait(p))
		look_for_room_waiters(p);
	else
		/* as [MAILBOX-3] */
		fr__store_release(&p->owes_look, 1);
}

int fr__mail_init(struct fr_process *p)
{
	p->mailbox = *fr__arena_ring(p->arena, p->index);
	p->look_due = (uint32_t)p->mailbox.mask / FR__ROOM_PARTS;
	p->held = calloc(p->mailbox.mask + 1, sizeof(*p->held));
	return p->held ? 0 : -ENOMEM;
}

static inline struct fr__held *held_at(const struct fr_process *p,
				       uint64_t position)
{
	return &p->held[position & p->mailbox.mask];
}

/* A record was found: is it for us? */
static inline bool is_ours(struct fr_process *p, const struct fr__record *rec)
{
	struct fr__found *f = &p->found;
	uint32_t type = fr__once(rec->type);

	if (rec->to_generation != p->generation)
		return false;
	f->any = true;
	f->units = p->reader.units;
	f->len = fr__once(rec->len);
	f->type = type;
	f->parts = type & FR__PARTS ? type & ~FR__PARTS : 0;
	f->at = 0;
	p->came_ns += MESSAGE_NS + UNIT_NS * f->units;
	if (f->parts) {
		*held_at(p, f->position) =
			(struct fr__held){f->position, f->parts};
		p->batches++;
	}
	return true;
}

static __attribute__((noinline)) int find_nothing(struct fr_process *p)
{
	if (p->reader.freed)
		owe_look(p);
	/* as [MAILBOX-6]: paid here by who never sleeps */
	if (fr__load_sc(&p->owes_look) && ++p->empty_looks > 32)
		look_for_room_waiters(p);
	return 0;
}

/* Find the next record that is for us: 1, 0, -EBADMSG. */
static inline int find(struct fr_process *p)
{
	const struct fr__ring *r = &p->mailbox;
	int rc;

	while (!p->found.any) {
		rc = fr__ring_next(r, &p->reader, &p->found.position,
				   &p->found.owner);
		if (rc <= 0)
			return rc < 0 ? rc : find_nothing(p);
		if (is_ours(p, fr__ring_at(r, p->found.position)))
			break;
		rc = fr__ring_release(r, &p->reader, p->found.position);
		if (rc < 0)
			return rc;
	}
	return 1;
}

int fr__mail_ready(struct fr_process *p)
{
	return find(p);
}

static int mail_ready(void *ctx)
{
	return fr__mail_ready(ctx);
}

/* Nothing of the record is held any more, once so many messages of it are released? */
static inline bool is_last(struct fr_process *p, uint64_t position,
			   uint32_t messages)
{
	struct fr__held *h = held_at(p, position);

	if (p->batches == 0 || h->position != position || h->parts == 0)
		return true; /* a message by itself, or an old one's copy */
	h->parts -= messages < h->parts ? messages : h->parts;
	p->batches -= h->parts == 0;
	return h->parts == 0;
}

/* What was found is damaged: the rest of it is lost. */
static int lose(struct fr_process *p)
{
	struct fr__found *f = &p->found;

	f->any = false;
	if (is_last(p, f->position, f->parts))
		fr__ring_release(&p->mailbox, &p->reader, f->position);
	return -EBADMSG;
}

/* Ask for bytes of a batch before they are read: the program reads them only when it
 * has got all of it. Of short parts those a while ahead, since the next part's head
 * is behind them; of longer ones their own. Of long ones the CPU asks for the rest
 * itself once it sees what is read. */
static inline void ask(const unsigned char *body, uint32_t len)
{
	uint32_t at, ahead = len > ASK_AHEAD ? FR__UNIT : ASK_AHEAD;

	for (at = 0; at <= len && len <= ASK_MAX; at += FR__UNIT)
		__builtin_prefetch(body + ahead + at);
}

/* The next parts of the batch that was found, as messages. Their number, at most max;
 * -EBADMSG: not even one. */
static __attribute__((noinline)) int
give_parts(struct fr_process *p, const struct fr__record *rec,
	   struct fr_message *messages, unsigned max)
{
	struct fr__found *f = &p->found;
	const struct fr_addr from = fr__addr(f->owner, rec->from_generation);
	const uint64_t position = f->position;
	unsigned count = max < f->parts ? max : f->parts, i;
	uint32_t at = f->at, room;
	struct fr__part part;

	for (i = 0; i < count; i++) {
		room = f->len - at;
		if (room < sizeof(part))
			break;
		memcpy(&part, rec->body + at, sizeof(part));
		if (part.len > room - sizeof(part))
			break;
		messages[i] = (struct fr_message){
			.from = from,
			.type.id = part.type,
			.body = rec->body + at + sizeof(part),
			.len = part.len,
			.priv = position,
		};
		ask(messages[i].body, part.len);
		at += room - part.len < 16 ? room : fr__part_bytes(part.len);
	}
	f->at = at;
	f->parts -= i;
	f->any = f->parts > 0;
	return i > 0 ? (int)i : lose(p);
}

static inline void give_whole(struct fr__found *f, const struct fr__record *rec,
			      struct fr_message *m)
{
	f->any = false;
	*m = (struct fr_message){
		.from = fr__addr(f->owner, rec->from_generation),
		.type.id = f->type,
		.body = rec->body,
		.len = f->len,
		.priv = f->position,
	};
	if (m->type.id & FR__WANTS_REPLY && m->len >= sizeof(m->call)) {
		memcpy(&m->call, rec->body, sizeof(m->call));
		m->body = rec->body + sizeof(m->call);
		m->len -= sizeof(m->call);
		m->type.id &= ~FR__WANTS_REPLY;
	}
}

/* What was found, as messages: their number, max at most; -EBADMSG. */
static inline int give(struct fr_process *p, struct fr_message *messages,
		       unsigned max)
{
	struct fr__found *f = &p->found;
	const struct fr__record *rec = fr__ring_at(&p->mailbox, f->position);

	if (f->len > (size_t)f->units * FR__UNIT - FR__RECORD_HEAD ||
	    (f->type & FR__PARTS && f->parts == 0))
		return lose(p);
	if (f->parts)
		return give_parts(p, rec, messages, max);
	give_whole(f, rec, messages);
	return 1;
}

/* Nothing there, and we only receive: do not look again at once. The line that we
 * would look at is the one that a sender is about to write, and each look takes
 * it away; a moment later several messages are there. If more came than the last
 * pause was long, the next is longer: senders in full swing are left alone for 5 us,
 * a message that comes by itself, after others like it, is seen at once. Not for who
 * answers what it gets: there the next message comes when we have sent. */
static void let_them_get_ahead(struct fr_process *p)
{
	unsigned most = p->bell.mode == FR_WAIT_ADAPTIVE ? AHEAD_MAX_NS
							 : AHEAD_FEW_NS;
	unsigned ns = p->came_ns;

	p->came_ns = 0;
	/* as [MAILBOX-5] */
	if (!fr__load_relaxed(&p->only_receives))
		/* as [MAILBOX-5] */
		fr__store_relaxed(&p->only_receives, 1);
	else
		fr__bell_pause(ns < AHEAD_MIN_NS ? AHEAD_MIN_NS
						 : ns > most ? most : ns);
}

/* There is no mail just now. */
static __attribute__((noinline)) int wait_for_mail(struct fr_process *p,
						   int64_t wait_ns)
{
	struct fr__wait wait = {
		.marks = FR__MARK_MAIL, .ready = mail_ready, .ctx = p,
	};

	if (wait_ns != 0) {
		let_them_get_ahead(p);
		return fr__bell_wait(&p->bell, &wait, wait_ns);
	}
	/* as [MAILBOX-6] */
	if (fr__load_sc(&p->owes_look))
		look_for_room_waiters(p);
	return -EAGAIN;
}

/* The next messages, of one record: their number, max at most, or -errno. */
static inline int receive(struct fr_process *p, int64_t wait_ns,
			  struct fr_message *messages, unsigned max)
{
	int rc = fr__own(p);

	if (rc < 0)
		return rc;
	fr__bell_tick(&p->bell, 1);
	rc = find(p);
	if (rc == 0)
		rc = wait_for_mail(p, wait_ns);
	return rc < 0 ? rc : give(p, messages, max);
}

int fr_receive(struct fr_process *p, int64_t wait_ns, struct fr_message *ret)
{
	int rc = receive(p, wait_ns, ret, 1);

	return rc < 0 ? rc : 0;
}

void fr_release(struct fr_process *p, struct fr_message *m)
{
	if (fr__own(p) < 0 || !m->body)
		return;
	m->body = NULL;
	if (is_last(p, m->priv, 1))
		fr__ring_release(&p->mailbox, &p->reader, m->priv);
	owe_look(p);
}

int fr_receive_batch(struct fr_process *p, int64_t wait_ns,
		     struct fr_message *messages, unsigned max)
{
	unsigned count;
	int rc;

	if (max == 0)
		return 0;
	rc = receive(p, wait_ns, messages, max);
	if (rc < 0)
		return rc;
	for (count = (unsigned)rc; count < max; count += (unsigned)rc) {
		if (!p->found.any && fr__mail_ready(p) != 1)
			break;
		rc = give(p, &messages[count], max - count);
		if (rc < 0)
			break;
	}
	return (int)count;
}

#define RUN 64

void fr_release_batch(struct fr_process *p, struct fr_message *messages,
		      unsigned count)
{
	uint64_t positions[RUN];
	unsigned n = 0, i, same;

	if (fr__own(p) < 0)
		return;
	for (i = 0; i < count;) {
		uint64_t position = messages[i].priv;

		/* Of one record mostly, if it was a batch. */
		for (same = 0; i < count && messages[i].priv == position; i++) {
			same += messages[i].body != NULL; /* else released before */
			messages[i].body = NULL;
		}
		if (same && is_last(p, position, same))
			positions[n++] = position;
		if (n == RUN || i == count) {
			fr__ring_release_run(&p->mailbox, &p->reader, positions,
					     n);
			n = 0;
		}
	}
	owe_look(p);
}
