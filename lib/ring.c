/* SPDX-License-Identifier: MIT */
/*
 * The record ring: many producers, one consumer.
 *
 * An array of N = 2^shift units of 64 bytes. A position counts units from the
 * start of time: unit = position mod N, lap = position / N. A record takes n
 * consecutive units, header first; one that would run over the end of a lap is
 * preceded by a pad. The first word of a record and of a run of free units is its tag:
 *
 *	FREE(n,position)     n units are free for the lap of this position: n, and both
 *	                     spread by an odd constant, with a state that no record has
 *	state,owner,n,lap    a record: OPEN, CLAIMED, READY, HELD, DONE or DEAD
 *
 * all XOR the ring's secret, so that no payload looks like FREE. Not even an old tag does
 * that stayed under a claim in place and was sent on: it names a position within a
 * record, where no producer looks, however long ago it read tail.
 *
 * Produce						Consume (one only)
 *  t = tail; a run FREE(lap) there?			 tag at next READY? use it
 *  runs behind it, up to m >= n units?			 CLAIMED? remember it, pass
 *  m = n: CAS tag t FREE -> CLAIMED(owner,n)		  over all of that owner
 *  m > n: CAS tag t FREE -> OPEN(owner,m)		 release: publish head,
 *         tag t+n -> FREE(m-n)				  its units -> FREE, in runs of
 *         CAS tag t OPEN -> CLAIMED(owner,n)		  1, or of many if it is long:
 *  write header and body				  the header's last
 *  tag -> READY
 *  CAS tail t -> t+n
 *
 * The CAS takes the place and says who took it in one step, so a claim whose
 * owner is proven dead can be buried (DEAD) by anyone. No producer waits for
 * another: who finds a record of this lap at t moves tail for its owner. Who finds
 * an OPEN one makes it CLAIMED as it is first: then its owner, which has not given
 * back what it does not need, keeps that. So an OPEN record is the last one, and
 * the consumer may take it for the end.
 *
 * Why runs: a tag in each unit makes the consumer write each line of a record, and a
 * producer fetch it again as data. For a long record that is most of the work. For a
 * short one it is not: lines that the consumer has taken away come back by the
 * producer's own prefetching, lines that it still shares do not. A run is at most a
 * sixteenth of the ring, so that who stops with one OPEN has hardly more than it needs.
 *
 * Invariants
 *	head <= true end <= head + N		tail <= true end
 *	tail is a record's border, and so are head and unit 0
 *	from the true end up to head + N: runs of FREE, or being freed, in order
 *	a border between not free and free is a record's header (header last)
 *	a run is within what was one record, n <= run_max()
 *	head <= every open claim that the consumer has passed; head <= next
 *	a tag's lap is that of its position; 1 <= n <= units to the lap's end
 *
 * Receiving out of order: while claims are open in front, what is delivered is
 * marked HELD (so that going back to an open claim does not deliver it again)
 * and what is released is marked DONE; head moves over DONE and DEAD once the
 * record in front of them is released.
 *
 * Progress: producers are lock-free (a failed CAS means that another one
 * succeeded), the consumer is wait-free: every walk ends after N units.
 *
 * A death leaves
 *	before the claim	nothing
 *	claim .. publish	an OPEN or CLAIMED record with its owner: buried
 *	publish .. tail		a READY record; the next producer moves tail, and
 *				if the record is gone by then, moves it to head
 *	head .. last FREE	records before head whose headers are not free:
 *				who recovers frees them (fr__ring_mend)
 */
#include "ring.h"

#include <errno.h>

#define SPREAD UINT64_C(0x9e3779b97f4a7c15) /* odd */
/* How many units ahead a producer asks for the lines that it will write. Less is too
 * late, more is lost again by then. */
#define AHEAD 8
/* More lines than these at once are not asked for: a CPU has no more on their way. (Of
 * longer records it finds the next ones itself, and asking is in its way.) */
#define ASK_MAX 8
/* Lines of a record that are handed over, at most. */
#define HAND_OVER_MAX 16

enum state {
	OPEN = 1,
	CLAIMED,
	READY,
	HELD,
	DONE,
	DEAD,
};

#define OWNER_BITS 12
#define UNITS_BITS 17
#define FREE_BITS 44
_Static_assert(FR__SLOTS_MAX == 1 << OWNER_BITS, "an owner fits a tag");

static inline uint64_t lap_of(const struct fr__ring *r, uint64_t position)
{
	return position >> r->shift;
}

/* Positions are compared by their distance, which is right across 2^64. */
static inline bool before(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0;
}

static inline uint64_t free_tag(const struct fr__ring *r, uint32_t n,
				uint64_t position)
{
	uint64_t spread =
		(position + ((uint64_t)n << (63 - UNITS_BITS))) * SPREAD;

	/* State 7 is no record's. */
	return (UINT64_C(7) << 61 | (uint64_t)n << FREE_BITS |
		spread >> (64 - FREE_BITS)) ^ r->secret;
}

static inline uint64_t tag(const struct fr__ring *r, enum state state,
			   unsigned owner, uint32_t n, uint64_t position)
{
	return ((uint64_t)state << 61 | (uint64_t)owner << 49 |
		(uint64_t)n << 32 | (uint32_t)lap_of(r, position)) ^
	       r->secret;
}

static inline enum state state_of(uint64_t plain)
{
	return (enum state)(plain >> 61);
}

static inline unsigned owner_of(uint64_t plain)
{
	return plain >> 49 & (FR__SLOTS_MAX - 1);
}

static inline uint32_t units_of(uint64_t plain)
{
	return plain >> 32 & ((1u << UNITS_BITS) - 1);
}

static inline uint32_t room_at(const struct fr__ring *r, uint64_t position)
{
	return (uint32_t)(r->mask + 1 - (position & r->mask));
}

/* Is this (XOR undone) a record that can stand at that position? */
static inline bool is_record(const struct fr__ring *r, uint64_t plain,
			     uint64_t position)
{
	uint32_t n = units_of(plain);

	return (uint32_t)plain == (uint32_t)lap_of(r, position) &&
	       state_of(plain) >= OPEN && state_of(plain) <= DEAD &&
	       n >= 1 && n <= room_at(r, position);
}

/* Units of a run, at most. */
static inline uint32_t run_max(const struct fr__ring *r)
{
	return (uint32_t)r->mask / 16 + 1;
}

/* The units of the run that is free for its lap from that position on; 0: none. */
static inline uint32_t run_of(const struct fr__ring *r, uint64_t seen,
			      uint64_t position)
{
	uint32_t n = (seen ^ r->secret) >> FREE_BITS & ((1u << UNITS_BITS) - 1);

	return seen == free_tag(r, n, position) &&
	       n <= room_at(r, position) ? n : 0;
}

void fr__ring_init(const struct fr__ring *r, uint64_t start)
{
	uint64_t p;

	for (p = start; p != start + r->mask + 1; p++)
		/* [RING-1] relaxed: nobody else sees the arena yet. */
		fr__store_relaxed(&fr__ring_at(r, p)->tag,
				  free_tag(r, 1, p));
	/* as [RING-1] */
	fr__store_relaxed(&r->ctl->tail, start);
	fr__store_relaxed(&r->ctl->head, start);
}

/* ---- producers ---- */

static inline uint64_t look(const struct fr__ring *r, uint64_t position)
{
	/* [RING-2] acquire: tag FREE -> the consumer is done reading what we
	 * are about to overwrite. Pairs with [RING-9], [RING-16] and
	 * [RING-21]. Without it: a record changes while it is read. */
	return fr__load_acquire(&fr__ring_at(r, position)->tag);
}

void fr__ring_advance(const struct fr__ring *r, uint64_t position, uint32_t n)
{
	/* [RING-3] acq_rel: tail moved -> whoever reads it sees the claim that
	 * it moved over. Pairs with [RING-4]. Without it: a producer that reads
	 * the new tail could see old tags there, and call the ring full. */
	fr__cas_acq_rel(&r->ctl->tail, &position, position + n);
}

/* Nobody claimed at t and it is not free for its lap: t is old. True if tail
 * has moved on, by others or by us. */
static bool catch_up(const struct fr__ring *r, uint64_t t)
{
	uint64_t head;

	/* [RING-4] acquire: tail -> the tags that it moved over. Pairs with
	 * [RING-3] and [RING-19]. Without it: see there. */
	if (fr__load_acquire(&r->ctl->tail) != t)
		return true;
	/* [RING-5] acquire: head -> is past any unit that we saw freed. Pairs
	 * with [RING-8]. Without it: we would call a sound ring damaged. */
	head = fr__load_acquire(&r->ctl->head);
	if (!before(t, head) || head - t > r->mask + 1)
		/* as [RING-4]: we may have stood still meanwhile */
		return fr__load_acquire(&r->ctl->tail) != t;
	/* as [RING-3] */
	fr__cas_acq_rel(&r->ctl->tail, &t, head);
	return true;
}

/* The run at the position was seen free. With those behind it, are n units, or a few
 * more? How many; 0: no. */
static inline uint32_t free_from(const struct fr__ring *r, uint64_t position,
				 uint32_t run, uint32_t n)
{
	uint32_t next = 1;
	uint64_t seen, p;

	for (; run < n && next > 0; run += next) {
		p = position + run;
		seen = look(r, p);
		next = seen == free_tag(r, 1, p) ? 1 : run_of(r, seen, p);
	}
	return next > 0 ? run : 0;
}

static inline void ask(const struct fr__ring *r, uint64_t position, uint32_t n)
{
	while (n-- > 0)
		fr__prefetch_write(fr__ring_at(r, position + n));
}

void fr__ring_ask_now(const struct fr__ring *r, uint32_t n)
{
	/* [RING-10] relaxed: where we shall be, roughly; nothing hangs on it. */
	ask(r, fr__load_relaxed(&r->ctl->tail), n < ASK_MAX ? n : ASK_MAX);
}

void fr__ring_ask_ahead(const struct fr__ring *r, uint64_t position, uint32_t n)
{
	if (n <= ASK_MAX)
		ask(r, position + AHEAD, n);
}

/* One line, whose reader mostly spins on it, is there as soon without. */
void fr__ring_hand_over(const struct fr__ring *r, uint64_t position, uint32_t n)
{
	uint32_t i;

	if (n > 1)
		for (i = 0; i < n && i < HAND_OVER_MAX; i++)
			fr__hand_over(fr__ring_at(r, position + i));
}

/* Claim at t, where that was seen: n units, as a record or as a pad. */
static inline bool take(const struct fr__ring *r, uint64_t t, uint64_t seen,
			enum state state, unsigned owner, uint32_t n)
{
	/* [RING-6] seq_cst: claim -> nobody else writes these units;
	 * acquires as [RING-2] does; and before a sleeper's last look
	 * it hides nothing behind it. Pairs with [RING-9] and [BELL-2].
	 * Without it: as there. */
	return fr__cas_sc(&fr__ring_at(r, t)->tag, &seen,
			  tag(r, state, owner, n, t));
}

/* We have OPEN all of that, and need n of it. */
static __attribute__((noinline)) uint32_t
give_back(const struct fr__ring *r, uint64_t t, unsigned owner, uint32_t all,
	  uint32_t n)
{
	uint64_t open = tag(r, OPEN, owner, all, t);

	/* [RING-20] relaxed: ours until [RING-21]. */
	fr__store_relaxed(&fr__ring_at(r, t + n)->tag,
			  free_tag(r, all - n, t + n));
	/* [RING-21] acq_rel: the rest FREE -> not ours any more; or somebody
	 * stepped over all of it. Pairs with [RING-2] and [RING-22]. Without it:
	 * old payload is taken for a tag. */
	if (fr__cas_acq_rel(&fr__ring_at(r, t)->tag, &open,
			    tag(r, CLAIMED, owner, n, t)))
		return n;
	/* as [RING-20] */
	fr__store_relaxed(&fr__ring_at(r, t + n)->tag, 0);
	return all;
}

/* Claim n units at t, where a free run was seen: 1, 0 there is no room, or -EAGAIN: it
 * is not as it was seen. */
static inline int claim_at(const struct fr__ring *r, unsigned owner, uint32_t n,
			   uint64_t t, uint64_t seen, uint32_t run,
			   struct fr__place *place)
{
	uint32_t all = run >= n ? run : free_from(r, t, run, n);

	if (all == 0)
		return look(r, t) == seen ? 0 : -EAGAIN;
	if (!take(r, t, seen, all == n ? CLAIMED : OPEN, owner, all))
		return -EAGAIN;
	place->position = t;
	place->units = all == n ? n : give_back(r, t, owner, all, n);
	return 1;
}

/* Before a claim is stepped over: its owner gives nothing back any more. */
static inline void settle(const struct fr__ring *r, uint64_t t, uint64_t seen)
{
	uint64_t plain = seen ^ r->secret;

	/* [RING-22] acq_rel: CLAIMED as it is -> tail moves over it. Pairs with
	 * [RING-21]. Without it: nothing more than a late look. */
	fr__cas_acq_rel(&fr__ring_at(r, t)->tag, &seen,
			tag(r, CLAIMED, owner_of(plain), units_of(plain), t));
}

static __attribute__((noinline)) int find_room(const struct fr__ring *r,
					       unsigned owner, uint32_t n,
					       struct fr__place *place)
{
	unsigned lost = 0;
	int rc;

	while (lost < 1000) {
		/* as [RING-4] */
		uint64_t t = fr__load_acquire(&r->ctl->tail);
		uint64_t seen = look(r, t), plain = seen ^ r->secret;
		uint32_t run = run_of(r, seen, t), room = room_at(r, t);

		if (run == 0) {
			if (is_record(r, plain, t) && state_of(plain) == OPEN) {
				/* as [RING-4]: if we stood still meanwhile, what we saw
				 * may be payload that happens to look so. */
				if (fr__load_acquire(&r->ctl->tail) == t)
					settle(r, t, seen);
			} else if (is_record(r, plain, t)) {
				fr__ring_advance(r, t, units_of(plain));
			} else if (is_record(r, plain, t - r->mask - 1)) {
				return -EAGAIN;
			} else if (!catch_up(r, t)) {
				lost++;
			}
		} else if (n <= room) {
			rc = claim_at(r, owner, n, t, seen, run, place);
			if (rc >= 0)
				return rc > 0 ? 0 : -EAGAIN;
		} else if (free_from(r, t, run, room) == 0) {
			if (look(r, t) == seen)
				return -EAGAIN;
		} else if (take(r, t, seen, DEAD, owner, room)) { /* a pad */
			fr__ring_advance(r, t, room);
		}
	}
	return -EBADMSG;
}

int fr__ring_claim(const struct fr__ring *r, unsigned owner, uint32_t n,
		   struct fr__place *place)
{
	/* as [RING-4] */
	uint64_t t = fr__load_acquire(&r->ctl->tail);
	uint64_t free = free_tag(r, 1, t);
	bool good = look(r, t) == free && n <= room_at(r, t);
	uint32_t k;

	/* Mostly tail is right, there is room, and it was freed unit by unit. */
	for (k = 1; good && k < n; k++)
		good = look(r, t + k) == free_tag(r, 1, t + k);
	if (!good || !take(r, t, free, CLAIMED, owner, n))
		return find_room(r, owner, n, place);
	*place = (struct fr__place){.position = t, .units = n};
	return 0;
}

/* The free units from a position on, up to `most`. */
static uint32_t free_run(const struct fr__ring *r, uint64_t position,
			 uint32_t most)
{
	uint32_t sum = 0, run = 1;

	while (sum < most && run > 0) {
		run = run_of(r, look(r, position + sum), position + sum);
		sum += run;
	}
	return sum < most ? sum : most;
}

/* The end of what is claimed: tail may lag, over claims that have not moved it
 * yet, our own too. *head: read behind it. */
static uint64_t find_end(const struct fr__ring *r, uint64_t *head)
{
	/* as [RING-4] */
	uint64_t t = fr__load_acquire(&r->ctl->tail), plain, end;

	/* as [RING-5] */
	*head = fr__load_acquire(&r->ctl->head);
	t = before(t, *head) ? *head : t;
	for (end = t + r->mask + 1; before(t, end); t += units_of(plain)) {
		plain = look(r, t) ^ r->secret;
		if (!is_record(r, plain, t))
			break;
	}
	return t;
}

uint32_t fr__ring_free_units(const struct fr__ring *r)
{
	uint64_t head, end = find_end(r, &head);
	uint64_t used = end - head;

	return used <= r->mask ? (uint32_t)(r->mask + 1 - used) : 0;
}

uint32_t fr__ring_lap_left(const struct fr__ring *r)
{
	/* as [RING-10] */
	return room_at(r, fr__load_relaxed(&r->ctl->tail));
}

uint32_t fr__ring_room(const struct fr__ring *r, uint32_t most)
{
	uint64_t head, t = find_end(r, &head);
	uint32_t room, run, behind = 0;

	room = room_at(r, t);
	run = free_run(r, t, most < room ? most : room);
	if (run == room && run < most) /* or behind a pad */
		behind = free_run(r, t + room, most);
	return run > behind ? run : behind;
}

void fr__ring_publish(const struct fr__ring *r, unsigned owner,
		      uint64_t position, uint32_t n)
{
#ifdef FR_PLANT_RELAXED_READY /* a bug for ThreadSanitizer to find */
	/* [RING-99] relaxed: planted, never in a real build. */
	fr__store_relaxed(&fr__ring_at(r, position)->tag,
			  tag(r, READY, owner, n, position));
#else
	/* [RING-7] seq_cst: record -> tag READY -> the look at the sleeper's
	 * mark that follows. Pairs with [RING-11] and [BELL-2]. Without it: a
	 * torn record is read; or we miss the mark while the sleeper misses
	 * the record. */
	fr__swap_sc(&fr__ring_at(r, position)->tag,
		    tag(r, READY, owner, n, position));
#endif
}

void fr__ring_publish_last(const struct fr__ring *r, unsigned owner,
			   uint64_t position, uint32_t n)
{
#ifdef FR_PLANT_RELAXED_READY
	fr__ring_publish(r, owner, position, n);
	fr__ring_advance(r, position, n);
#else
	/* [RING-18] release: record -> tag READY. Pairs with [RING-11]. Without
	 * it: a torn record is read. */
	fr__store_release(&fr__ring_at(r, position)->tag,
			  tag(r, READY, owner, n, position));
	/* [RING-19] seq_cst: as [RING-3] says; and with the fence behind it,
	 * tag READY -> the look at the sleeper's mark, as [RING-7]. Pairs with
	 * [RING-4] and [BELL-2]. Without it: as there. */
	fr__cas_sc(&r->ctl->tail, &position, position + n);
	fr__fence_behind_sc();
#endif
}

void fr__ring_cancel(const struct fr__ring *r, unsigned owner,
		     uint64_t position, uint32_t n)
{
	/* [RING-12] release: what we wrote -> tag DEAD -> the consumer frees
	 * the units for others. Pairs with [RING-11]. Without it: our late
	 * write lands in another's record. */
	fr__store_release(&fr__ring_at(r, position)->tag,
			  tag(r, DEAD, owner, n, position));
}

/*
 * A producer that lost its way may look at the first word of any unit and find
 * payload there: harmless, since payload never looks FREE and its CAS then fails; but
 * to ThreadSanitizer a race, unless that word is stored as the atomic that it is
 * elsewhere.
 */
void fr__ring_copy_for_tsan(struct fr__record *rec, size_t at,
			    const void *bytes, size_t len)
{
	size_t done = 0;

	while (done < len) {
		unsigned char *to = rec->body + at + done;
		size_t in_unit = (at + done + FR__RECORD_HEAD) % FR__UNIT;
		size_t left = len - done;

		if (in_unit == 0) {
			uint64_t word = 0;

			left = left < 8 ? left : 8;
			memcpy(&word, (const char *)bytes + done, left);
			/* [RING-13] relaxed: as plain bytes, see above. */
			fr__store_relaxed((struct fr__a64 *)(void *)to, word);
		} else {
			left = left < FR__UNIT - in_unit ? left
							 : FR__UNIT - in_unit;
			memcpy(to, (const char *)bytes + done, left);
		}
		done += left;
	}
}

/* ---- the consumer ---- */

static inline uint64_t peek(const struct fr__ring *r, uint64_t position)
{
	/* [RING-11] acquire: tag READY -> header and body; DEAD -> whoever
	 * held it writes no more. Pairs with [RING-7], [RING-12],
	 * [RING-15] and [RING-18]. Without it: a torn record is read. */
	return fr__load_acquire(&fr__ring_at(r, position)->tag);
}

/* A tag that only the consumer writes now. */
static inline void mark(const struct fr__ring *r, uint64_t position,
			uint64_t plain, enum state state)
{
	/* [RING-16] release: READY, HELD and DONE are the consumer's own, and
	 * to others they differ in nothing; but who reads this one sees the
	 * claim that it was, as from READY. Pairs with [RING-2]. Without it:
	 * a producer that moves tail over it may see old units behind it. */
	fr__store_release(&fr__ring_at(r, position)->tag,
			  tag(r, state, owner_of(plain), units_of(plain),
			      position));
}

void fr__reader_init(struct fr__reader *rd, const struct fr__ring *r)
{
	uint64_t p, end;

	memset(rd, 0, sizeof(*rd));
	/* [RING-14] relaxed: the consumer is the only one that writes head; a
	 * new one came after the old by the slot's state. */
	p = rd->head = rd->next = fr__load_relaxed(&r->ctl->head);
	rd->found = p - 1; /* no record's */
	/* What the last consumer held is done with. */
	for (end = p + r->mask + 1; before(p, end);) {
		uint64_t plain = peek(r, p) ^ r->secret;

		if (!is_record(r, plain, p) || state_of(plain) == OPEN)
			break;
		if (state_of(plain) == HELD)
			mark(r, p, plain, DONE);
		p += units_of(plain);
	}
}

/* n units from that position on are free for the next lap. */
static inline void free_run_of(const struct fr__ring *r, uint64_t position,
			       uint32_t n)
{
	uint64_t to = position + r->mask + 1;

	/* [RING-9] release: reads of the record -> its units FREE. Pairs with
	 * [RING-2] and [RING-6]. Without it: a record changes while it is read. */
	fr__store_release(&fr__ring_at(r, to)->tag, free_tag(r, n, to));
}

/* Free the units of one record, in runs: the header's last. */
static inline void free_units(const struct fr__ring *r, uint64_t position,
			      uint32_t n)
{
	uint32_t max = run_max(r), rest;

	if (n < FR__LONG_UNITS) {
		while (n-- > 0)
			free_run_of(r, position + n, 1);
		return;
	}
	for (; n > max; n -= rest) {
		rest = n % max ? n % max : max;
		free_run_of(r, position + n - rest, rest);
	}
	free_run_of(r, position, n);
}

/* Before any of the units up to there is freed. */
static inline void move_head(const struct fr__ring *r, struct fr__reader *rd,
			     uint64_t head)
{
	/* [RING-8] release: before any of the units is FREE, so that who sees
	 * one freed finds head past it. Pairs with [RING-5]. Without it: see
	 * there. */
	fr__store_release(&r->ctl->head, head);
	rd->freed += (uint32_t)(head - rd->head);
	rd->head = head;
}

/* Publish head, then free the records from the old head up to it. */
static int free_up_to(const struct fr__ring *r, struct fr__reader *rd,
		      uint64_t head)
{
	uint64_t p = rd->head;

	move_head(r, rd, head);
	if (before(rd->next, head)) /* we had gone back to a claim before it */
		rd->next = head;
	while (p != head) {
		/* as [RING-14]: our own tags */
		uint64_t plain = fr__load_relaxed(&fr__ring_at(r, p)->tag) ^
				 r->secret;
		uint32_t n = units_of(plain);

		if (!is_record(r, plain, p) || n > head - p)
			return -EBADMSG;
		free_units(r, p, n);
		p += n;
	}
	return 0;
}

/* How far head may go from p: over all that is DONE or DEAD, but not past a
 * claim that was open when we passed it. That may be DEAD by now, and what its
 * owner sent behind it is still to be gone back to. */
static uint64_t border_from(const struct fr__ring *r,
			    const struct fr__reader *rd, uint64_t p)
{
	uint64_t limit = rd->next;
	unsigned i;

	for (i = 0; i < rd->blocked; i++)
		if (before(rd->open[i].position, limit))
			limit = rd->open[i].position;
	while (before(p, limit)) {
		uint64_t plain = peek(r, p) ^ r->secret;

		if (!is_record(r, plain, p) || state_of(plain) < DONE ||
		    units_of(plain) > limit - p) /* damaged: met again */
			break;
		p += units_of(plain);
	}
	return p;
}

/* Has an open claim that we passed been closed? Then go back to it. */
static void go_back(const struct fr__ring *r, struct fr__reader *rd)
{
	uint64_t oldest = rd->next;
	unsigned i;

	for (i = 0; i < rd->blocked; i++)
		if (peek(r, rd->open[i].position) != rd->open[i].tag &&
		    before(rd->open[i].position, oldest))
			oldest = rd->open[i].position;
	if (oldest == rd->next)
		return;
	rd->next = oldest;
	/* The claims behind it are found again on the way. */
	for (i = 0; i < rd->blocked;)
		if (before(rd->open[i].position, oldest))
			i++;
		else
			rd->open[i] = rd->open[--rd->blocked];
}

static bool is_blocked(const struct fr__ring *r, const struct fr__reader *rd,
		       unsigned owner)
{
	unsigned i;

	for (i = 0; i < rd->blocked; i++)
		if (owner_of(rd->open[i].tag ^ r->secret) == owner)
			return true;
	return false;
}

static inline int found(struct fr__reader *rd, uint64_t p, uint64_t plain,
			uint64_t *position, unsigned *owner)
{
	*position = rd->found = p;
	*owner = owner_of(plain);
	rd->units = units_of(plain);
	rd->next = p + rd->units;
	return 1;
}

static __attribute__((noinline)) int find_next(const struct fr__ring *r,
					       struct fr__reader *rd,
					       uint64_t *position,
					       unsigned *owner)
{
	if (rd->blocked)
		go_back(r, rd);
	while (rd->next - rd->head <= r->mask) {
		uint64_t p = rd->next, seen = peek(r, p);
		uint64_t plain = seen ^ r->secret;
		unsigned who = owner_of(plain);

		if (run_of(r, seen, p) > 0)
			return 0;
		if (!is_record(r, plain, p))
			return -EBADMSG;
		if (state_of(plain) == OPEN)
			return 0;
		if (state_of(plain) == READY && !is_blocked(r, rd, who)) {
			if (rd->blocked)
				mark(r, p, plain, HELD);
			return found(rd, p, plain, position, owner);
		}
		if (state_of(plain) == CLAIMED && !is_blocked(r, rd, who)) {
			if (rd->blocked == FR__BLOCKED_MAX)
				return 0;
			rd->open[rd->blocked].position = p;
			rd->open[rd->blocked++].tag = seen;
		}
		rd->next = p + units_of(plain);
		if (p == rd->head && state_of(plain) >= DONE) {
			int rc = free_up_to(r, rd, border_from(r, rd, p));

			if (rc < 0)
				return rc;
		}
	}
	return rd->next - rd->head <= r->mask + 1 ? 0 : -EBADMSG;
}

int fr__ring_next(const struct fr__ring *r, struct fr__reader *rd,
		  uint64_t *position, unsigned *owner)
{
	uint64_t p = rd->next, plain = peek(r, p) ^ r->secret;

	/* Mostly it is there, and no claim is open before it. */
	if (rd->blocked || state_of(plain) != READY || p - rd->head > r->mask ||
	    !is_record(r, plain, p))
		return find_next(r, rd, position, owner);
	return found(rd, p, plain, position, owner);
}

int fr__ring_release(const struct fr__ring *r, struct fr__reader *rd,
		     uint64_t position)
{
	/* Mostly it is the oldest, and the one that was found last, and nothing was
	 * passed behind it; nor before it, since it is the oldest. */
	if (position != rd->head || position != rd->found ||
	    position + rd->units != rd->next)
		return fr__ring_release_run(r, rd, &position, 1);
	move_head(r, rd, rd->next);
	free_units(r, position, rd->units);
	return 0;
}

int fr__ring_release_run(const struct fr__ring *r, struct fr__reader *rd,
			 const uint64_t *positions, unsigned count)
{
	uint64_t p = rd->head;
	unsigned i;
	int rc = 0, freed;

	for (i = 0; i < count; i++) {
		/* as [RING-14]: the consumer's own tags */
		uint64_t plain = fr__load_relaxed(
			&fr__ring_at(r, positions[i])->tag) ^ r->secret;

		/* Delivered, that is READY before next, or HELD anywhere. */
		if (!is_record(r, plain, positions[i]) ||
		    !(state_of(plain) == HELD ||
		      (state_of(plain) == READY && before(positions[i], rd->next))))
			rc = -EBADMSG;
		else if (positions[i] == p)
			p += units_of(plain);
		else
			mark(r, positions[i], plain, DONE);
	}
	if (p == rd->head)
		return rc;
	freed = free_up_to(r, rd, border_from(r, rd, p));
	return freed < 0 ? freed : rc;
}

/* ---- a survivor ---- */

unsigned fr__ring_bury(const struct fr__ring *r, unsigned owner)
{
	/* as [RING-5] */
	uint64_t p = fr__load_acquire(&r->ctl->head), end = p + r->mask + 1;
	unsigned count = 0, lost = 0;

	while (before(p, end) && lost < 1000) {
		uint64_t seen = look(r, p), plain = seen ^ r->secret, head;

		/* as [RING-5] */
		head = fr__load_acquire(&r->ctl->head);
		if (before(p, head)) {
			p = head; /* the consumer has freed what we read */
			continue;
		}
		if (run_of(r, seen, p) > 0)
			break; /* what comes later is not the dead's */
		if (!is_record(r, plain, p)) {
			lost++;
			continue;
		}
		if (state_of(plain) <= CLAIMED && owner_of(plain) == owner) {
			/* [RING-15] acq_rel: the owner is dead, its writes are
			 * done. Pairs with [RING-11]. Without it: nothing more
			 * than a late look. */
			if (!fr__cas_acq_rel(&fr__ring_at(r, p)->tag, &seen,
					     tag(r, DEAD, owner,
						 units_of(plain), p))) {
				lost++;
				continue;
			}
			count++;
		} else if (state_of(plain) == OPEN) {
			break; /* as above */
		}
		p += units_of(plain);
	}
	return count;
}

/* One try; false: what is there makes no sense, perhaps since a late sender's words
 * are seen before its claim. */
static bool try_mend(const struct fr__ring *r)
{
	uint64_t p, q, plain, seen;
	/* as [RING-14] */
	uint64_t head = fr__load_relaxed(&r->ctl->head);
	uint64_t end = head + r->mask + 1;

	do {
		/* To the end; a claim there moves it on, so look again. */
		p = head;
		while (before(p, end) &&
		       is_record(r, plain = (seen = look(r, p)) ^ r->secret, p))
			if (state_of(plain) == OPEN)
				settle(r, p, seen);
			else
				p += units_of(plain);
		q = p + free_run(r, p, (uint32_t)(end - p));
	} while (before(p, end) && is_record(r, look(r, p) ^ r->secret, p));
	/* q: the first that is not free, a header; nobody can claim past it. */
	while (before(q, end)) {
		uint64_t old = q - r->mask - 1;

		plain = look(r, q) ^ r->secret;
		if (!is_record(r, plain, old))
			return false;
		free_units(r, old, units_of(plain));
		q += units_of(plain);
	}
	return true;
}

void fr__ring_mend(const struct fr__ring *r)
{
	unsigned tries;

	for (tries = 0; !try_mend(r) && tries < 1000; tries++)
		fr__pause(); /* more are needed only where it is damaged */
}

void fr__ring_drain(const struct fr__ring *r)
{
	struct fr__reader rd;
	uint64_t position;
	unsigned owner;

	fr__reader_init(&rd, r);
	while (fr__ring_next(r, &rd, &position, &owner) == 1)
		if (fr__ring_release(r, &rd, position) < 0)
			return;
}

const char *fr__ring_check(const struct fr__ring *r)
{
	/* [RING-17] relaxed: nobody else is at work. */
	uint64_t head = fr__load_relaxed(&r->ctl->head);
	uint64_t tail = fr__load_relaxed(&r->ctl->tail);
	uint64_t p = head, end = head + r->mask + 1;
	bool met_tail = !before(head, tail);

	while (before(p, end)) {
		uint64_t seen = look(r, p);

		met_tail |= p == tail;
		if (run_of(r, seen, p) > 0)
			break;
		if (!is_record(r, seen ^ r->secret, p))
			return "a tag that is neither a record nor free";
		p += units_of(seen ^ r->secret);
	}
	if (!met_tail && p != tail)
		return "tail is not a border, or is past the end";
	if (free_run(r, p, (uint32_t)(end - p)) != end - p)
		return "a unit behind the end is not free";
	return NULL;
}
