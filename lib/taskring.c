/* SPDX-License-Identifier: MIT */
/*
 * The task ring: many producers, many consumers, words of 64 bits.
 *
 * A position counts words from the start of time; word = position mod N, lap =
 * position / N. A word is either
 *
 *	EMPTY(lap)		lap times an odd constant, compared whole
 *	cell, generation, lap	an entry
 *
 * Push						Take
 *  t = tail, past words of this lap		 h = head, past words taken
 *  tail S behind? CAS tail -> t		 word h an entry of lap?
 *  CAS EMPTY(lap) -> entry			 note it in *taking
 *						 head S behind? CAS head -> h
 *						 CAS entry -> EMPTY(lap+1)
 *
 * Each is one CAS of a whole word, so nothing is ever half done. tail and head only
 * say where to begin: the words tell how far it is really. So they need not be moved
 * each time; whoever would leave one more than S words behind moves it first. S is
 * a line of words, or half of a smaller ring. A process begins where it (or another
 * thread of it) last came to, if that is further on (near). An entry is a hint: it counts only
 * when the cell's own state says so, so one that is doubled or stale harms
 * nobody, and one may be pushed again whenever it might have been lost.
 *
 * Invariants: tail and head each lag by at most S words; words between the true
 * head and the true tail are entries of their lap. Neither waits for the other:
 * when head lags, the word under it may be the next lap's entry by now.
 *
 * Progress: lock-free on both sides.
 *
 * A full ring: an entry that will never count may be replaced where it stands, by one
 * CAS (fr__taskring_replace). So no entry ever moves, none is in anybody's hands but
 * a taker's, and one that stays there is found by a look at every word.
 *
 * A death leaves: before the CAS nothing; after a push's CAS an entry like any
 * other; after a take's CAS an entry in no ring, noted in the dead one's
 * *taking: recovery pushes it again, unless it is there.
 *
 * A word that comes round to the same value needs 2^23 laps. For who takes it is then as
 * good as the one that was read; who pushes and stood still for just so many may fill a word
 * behind the true tail, which is found when those before it are filled.
 */
#include "taskring.h"

#include <errno.h>

#define SPREAD UINT64_C(0x9e3779b97f4a7c15) /* odd */
#define LAP_BITS 23
#define LAG (FR__LINE / sizeof(struct fr__a64))
#define ENTRY (UINT64_C(1) << 63)

/* entry (1 bit) | cell (24) | generation (16) | lap (23), XOR secret */
static inline uint64_t entry(const struct fr__taskring *r, uint32_t cell,
			     uint32_t generation, uint64_t lap)
{
	return (ENTRY |
		(uint64_t)cell << (FR__CELL_GENERATION_BITS + LAP_BITS) |
		(uint64_t)(generation & ((1u << FR__CELL_GENERATION_BITS) - 1))
			<< LAP_BITS |
		(lap & ((1u << LAP_BITS) - 1))) ^
	       r->secret;
}

/* Never with ENTRY's bit, so never like an entry. */
static inline uint64_t empty(const struct fr__taskring *r, uint64_t lap)
{
	lap &= (1u << LAP_BITS) - 1; /* as in an entry: both come round alike */
	return (lap * SPREAD & ~ENTRY) ^ r->secret;
}

/* The lap of the word under a position, one lap later or earlier too. */
static inline uint64_t lap_of(const struct fr__taskring *r, uint64_t position)
{
	return position >> r->shift;
}

static inline bool is_entry(const struct fr__taskring *r, uint64_t word,
			    uint64_t lap)
{
	uint64_t plain = word ^ r->secret;

	return (plain & ENTRY) && ((plain ^ lap) & ((1u << LAP_BITS) - 1)) == 0;
}

/* Has the entry of this lap been taken? Tail does not wait for head: the word
 * may hold the next lap's entry already. */
static inline bool is_taken(const struct fr__taskring *r, uint64_t word,
			    uint64_t position)
{
	uint64_t next = lap_of(r, position + r->mask + 1);

	return word == empty(r, next) || is_entry(r, word, next);
}

static inline uint32_t cell_of(uint64_t plain)
{
	return plain >> (FR__CELL_GENERATION_BITS + LAP_BITS) &
	       ((1u << FR__CELL_BITS) - 1);
}

static inline uint32_t generation_of(uint64_t plain)
{
	return plain >> LAP_BITS & ((1u << FR__CELL_GENERATION_BITS) - 1);
}

/* This process has come nowhere yet. */
static void begin(const struct fr__taskring *r)
{
	/* [TASKRING-1] relaxed: nobody else sees it yet. */
	fr__store_relaxed(&r->near->tail, fr__load_relaxed(&r->ctl->tail));
	fr__store_relaxed(&r->near->head, fr__load_relaxed(&r->ctl->head));
}

void fr__taskring_map(struct fr__taskring *r, struct fr__taskring_ctl *ctl,
		      void *words, uint32_t count, uint64_t secret,
		      struct fr__taskring_near *near)
{
	r->ctl = ctl;
	r->words = words;
	r->mask = count - 1;
	r->shift = (unsigned)__builtin_ctz(count);
	r->lag = count / 2 < LAG ? count / 2 : LAG;
	r->secret = secret;
	r->near = near;
	begin(r);
}

void fr__taskring_init(const struct fr__taskring *r, uint64_t start)
{
	uint64_t p;

	for (p = start; p != start + r->mask + 1; p++)
		/* as [TASKRING-1] */
		fr__store_relaxed(&r->words[p & r->mask],
				  empty(r, lap_of(r, p)));
	/* as [TASKRING-1] */
	fr__store_relaxed(&r->ctl->tail, start);
	fr__store_relaxed(&r->ctl->head, start);
	begin(r);
}

static inline uint64_t at(const struct fr__a64 *counter)
{
	/* [TASKRING-3] acquire: counter -> the words it moved over. Pairs with
	 * [TASKRING-2] and [TASKRING-8]. Without it: see there. */
	return fr__load_acquire(counter);
}

/* Positions are compared by their distance, which is right across 2^64. */
static inline bool before(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0;
}

/* Where to begin: the further on of both. */
static inline uint64_t start(const struct fr__a64 *near, uint64_t counter)
{
	uint64_t p = at(near);

	return before(p, counter) ? counter : p;
}

/* The word at position is about to be changed. Would that leave the counter, which
 * was read before, too far behind? Then it goes there first. */
static inline void keep_up(const struct fr__taskring *r, struct fr__a64 *counter,
			   uint64_t was, uint64_t position)
{
	while (!before(position, was + r->lag))
		/* [TASKRING-2] acq_rel: counter moved -> who reads it sees the
		 * words changed. Pairs with [TASKRING-3]. Without it: the ring
		 * could look full or empty when it is not. */
		if (fr__cas_acq_rel(counter, &was, position))
			break;
}

static inline void came_to(struct fr__a64 *near, uint64_t position)
{
	/* [TASKRING-8] release: words up to there changed -> this process's
	 * own counter. Pairs with [TASKRING-3]. Without it: as [TASKRING-2],
	 * for another thread. */
	fr__store_release(near, position);
}

static inline uint64_t look(const struct fr__taskring *r, uint64_t position)
{
	/* [TASKRING-4] seq_cst: entry -> what its pusher wrote; and the last
	 * look before sleeping. Pairs with [TASKRING-5] and [TASKRING-6].
	 * Without it: a cell is read half filled. */
	return fr__load_sc(&r->words[position & r->mask]);
}

int fr__taskring_push(const struct fr__taskring *r, uint32_t cell,
		      uint32_t generation)
{
	uint64_t tail = at(&r->ctl->tail), t = start(&r->near->tail, tail);
	unsigned lost = 0;

	while (lost < 1000) {
		uint64_t lap = lap_of(r, t), seen = look(r, t);

		if (seen == empty(r, lap)) {
			keep_up(r, &r->ctl->tail, tail, t);
			/* [TASKRING-5] seq_cst: cell filled -> entry -> the
			 * look for idle takers. Pairs with [TASKRING-4] and
			 * [TASK-2]. Without it: we miss the idle mark while
			 * the taker misses the entry. */
			if (!fr__cas_sc(&r->words[t & r->mask], &seen,
					entry(r, cell, generation, lap)))
				continue;
			came_to(&r->near->tail, t + 1);
			return 0;
		}
		if (is_entry(r, seen, lap) ||
		    seen == empty(r, lap_of(r, t + r->mask + 1))) {
			t++;
			continue;
		}
		if (is_entry(r, seen, lap_of(r, t - r->mask - 1)))
			return -EAGAIN;
		/* A lap behind? */
		tail = at(&r->ctl->tail);
		if (before(t, tail))
			t = tail;
		else
			lost++;
	}
	return -EBADMSG;
}

int fr__taskring_replace(const struct fr__taskring *r,
			 bool (*may_count)(const void *ctx, uint32_t cell,
					   uint32_t generation),
			 const void *ctx, uint32_t cell, uint32_t generation)
{
	uint64_t p = at(&r->ctl->head), end = p + r->lag + r->mask + 1;

	for (; p != end; p++) {
		uint64_t lap = lap_of(r, p), seen = look(r, p);
		uint64_t plain = seen ^ r->secret;

		if (is_taken(r, seen, p)) /* head lags */
			continue;
		if (!is_entry(r, seen, lap)) /* to the end, or not full any more */
			return 0;
		if (may_count(ctx, cell_of(plain), generation_of(plain)))
			continue;
		/* as [TASKRING-5]; else it was taken, or replaced by another */
		if (fr__cas_sc(&r->words[p & r->mask], &seen,
			       entry(r, cell, generation, lap)))
			return 1;
	}
	return 0;
}

bool fr__taskring_has(const struct fr__taskring *r, uint32_t cell,
		      uint32_t generation)
{
	/* All but the lap. */
	uint64_t want = entry(r, cell, generation, 0) ^ r->secret;
	uint64_t i;

	for (i = 0; i <= r->mask; i++)
		if (((look(r, i) ^ r->secret ^ want) >> LAP_BITS) == 0)
			return true;
	return false;
}

/* Where those who take are, from *h on: 1, there is an entry, *seen; 0, there is none;
 * -EBADMSG. *head: as it was read last. */
static int find(const struct fr__taskring *r, uint64_t *head, uint64_t *h,
		uint64_t *seen)
{
	unsigned lost = 0;

	while (lost < 1000) {
		*seen = look(r, *h);
		if (is_entry(r, *seen, lap_of(r, *h)))
			return 1;
		if (*seen == empty(r, lap_of(r, *h)))
			return 0;
		if (is_taken(r, *seen, *h)) {
			++*h;
			continue;
		}
		/* A lap behind? */
		*head = at(&r->ctl->head);
		if (before(*h, *head))
			*h = *head;
		else
			lost++;
	}
	return -EBADMSG;
}

int fr__taskring_take(const struct fr__taskring *r, struct fr__a64 *taking,
		      uint32_t *cell, uint32_t *generation)
{
	uint64_t head = at(&r->ctl->head), h = start(&r->near->head, head);
	uint64_t seen, plain;
	int rc;

	while ((rc = find(r, &head, &h, &seen)) == 1) {
		plain = seen ^ r->secret;
		/* [TASKRING-7] relaxed: read only once we are proven
		 * dead, and before the CAS in our own order of stores
		 * by [TASKRING-6]. */
		fr__store_relaxed(taking, plain);
		keep_up(r, &r->ctl->head, head, h);
		/* [TASKRING-6] seq_cst: *taking -> the entry gone;
		 * entry -> the cell. Pairs with [TASKRING-4]. Without
		 * it: an entry is gone and nobody knows by whom. */
		if (!fr__cas_sc(&r->words[h & r->mask], &seen,
				empty(r, lap_of(r, h + r->mask + 1))))
			continue;
		came_to(&r->near->head, h + 1);
		*cell = cell_of(plain);
		*generation = generation_of(plain);
		return 1;
	}
	return rc;
}

bool fr__taskring_taken(const struct fr__a64 *taking, uint32_t *cell,
			uint32_t *generation)
{
	/* as [TASKRING-7]: its writer is dead */
	uint64_t plain = fr__load_relaxed(taking);

	*cell = cell_of(plain);
	*generation = generation_of(plain);
	return plain & ENTRY;
}

bool fr__taskring_any(const struct fr__taskring *r)
{
	/* As who takes begins: in a damaged ring, too, both are to agree. */
	uint64_t head = at(&r->ctl->head), h = start(&r->near->head, head), seen;

	return find(r, &head, &h, &seen) != 0;
}

/* Where a counter that may lag should be: behind the last of the next words that was
 * taken or, of the tail, filled. */
static uint64_t caught_up(const struct fr__taskring *r, uint64_t p, bool tail)
{
	uint64_t end = p + r->lag, at = p;

	for (; p != end; p++)
		if (is_taken(r, look(r, p), p) ||
		    (tail && is_entry(r, look(r, p), lap_of(r, p))))
			at = p + 1;
	return at;
}

const char *fr__taskring_check(const struct fr__taskring *r, uint32_t cells,
			       void (*each)(void *ctx, uint32_t cell,
					    uint32_t generation),
			       void *ctx)
{
	uint64_t h = caught_up(r, at(&r->ctl->head), false);
	uint64_t t = caught_up(r, at(&r->ctl->tail), true), p, seen;

	if (t - h > r->mask + 1)
		return "tail is before head, or a lap ahead of it";
	for (p = h; p != t; p++) {
		uint64_t plain;

		seen = look(r, p);
		plain = seen ^ r->secret;
		if (!is_entry(r, seen, lap_of(r, p)))
			return "a word between head and tail is not an entry";
		if (cell_of(plain) >= cells)
			return "an entry of a cell that there is not";
		if (each)
			each(ctx, cell_of(plain), generation_of(plain));
	}
	for (; p != h + r->mask + 1; p++)
		if (look(r, p) != empty(r, lap_of(r, p)))
			return "a word behind the tail is not empty";
	return NULL;
}
