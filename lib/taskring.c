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
 *  t = tail; word t EMPTY(lap)?			 h = head; word h an entry of lap?
 *  CAS EMPTY(lap) -> entry			 note it in *taking
 *  CAS tail t -> t+1				 CAS entry -> EMPTY(lap+1)
 *						 CAS head h -> h+1
 *
 * Each is one CAS of a whole word, so nothing is ever half done. tail and head
 * are moved by whoever finds that they lag. An entry is a hint: it counts only
 * when the cell's own state says so, so one that is doubled or stale harms
 * nobody, and one may be pushed again whenever it might have been lost.
 *
 * Invariants: tail and head each lag by at most one word; words between the true
 * head and the true tail are entries of their lap. Neither waits for the other:
 * when head lags, the word under it may be the next lap's entry by now.
 *
 * Progress: lock-free on both sides.
 *
 * A full ring: an entry that will never count may be replaced where it stands, by one
 * CAS (fr__taskring_replace). So no entry ever moves, none is in anybody's hands but
 * a taker's, and one that stays there is found by a look at every word.
 *
 * A death leaves: before the CAS nothing; after a push's CAS a tail that lags
 * (helped); after a take's CAS an entry in no ring, noted in the dead one's
 * *taking: recovery pushes it again, unless it is there.
 *
 * A word that comes round to the same value needs 2^23 laps, and is then as
 * good as the one that was read.
 */
#include "taskring.h"

#include <errno.h>

#define SPREAD UINT64_C(0x9e3779b97f4a7c15) /* odd */
#define LAP_BITS 23
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

void fr__taskring_map(struct fr__taskring *r, struct fr__taskring_ctl *ctl,
		      void *words, uint32_t count, uint64_t secret)
{
	r->ctl = ctl;
	r->words = words;
	r->mask = count - 1;
	r->shift = (unsigned)__builtin_ctz(count);
	r->secret = secret;
}

void fr__taskring_init(const struct fr__taskring *r, uint64_t start)
{
	uint64_t p;

	for (p = start; p != start + r->mask + 1; p++)
		/* [TASKRING-1] relaxed: nobody else sees the arena yet. */
		fr__store_relaxed(&r->words[p & r->mask],
				  empty(r, lap_of(r, p)));
	/* as [TASKRING-1] */
	fr__store_relaxed(&r->ctl->tail, start);
	fr__store_relaxed(&r->ctl->head, start);
}

/* Move a counter over the word at position, if nobody has. */
static inline void advance(struct fr__a64 *counter, uint64_t position)
{
	/* [TASKRING-2] acq_rel: counter moved -> who reads it sees the word
	 * changed. Pairs with [TASKRING-3]. Without it: the ring could look
	 * full or empty when it is not. */
	fr__cas_acq_rel(counter, &position, position + 1);
}

static inline uint64_t at(const struct fr__a64 *counter)
{
	/* [TASKRING-3] acquire: counter -> the words it moved over. Pairs with
	 * [TASKRING-2]. Without it: see there. */
	return fr__load_acquire(counter);
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
	unsigned lost = 0;

	while (lost < 1000) {
		uint64_t t = at(&r->ctl->tail), lap = lap_of(r, t);
		uint64_t seen = look(r, t), free = empty(r, lap);

		if (seen == free) {
			/* [TASKRING-5] seq_cst: cell filled -> entry -> the
			 * look for idle takers. Pairs with [TASKRING-4] and
			 * [TASK-2]. Without it: we miss the idle mark while
			 * the taker misses the entry. */
			if (!fr__cas_sc(&r->words[t & r->mask], &seen,
					entry(r, cell, generation, lap)))
				continue;
			advance(&r->ctl->tail, t);
			return 0;
		}
		if (is_entry(r, seen, lap) ||
		    seen == empty(r, lap_of(r, t + r->mask + 1)))
			advance(&r->ctl->tail, t);
		else if (at(&r->ctl->tail) != t)
			continue;
		else if (is_entry(r, seen, lap_of(r, t - r->mask - 1)))
			return -EAGAIN;
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
	uint64_t p = at(&r->ctl->head), end = p + r->mask + 1;

	for (; p != end; p++) {
		uint64_t lap = lap_of(r, p), seen = look(r, p);
		uint64_t plain = seen ^ r->secret;

		if (!is_entry(r, seen, lap)) {
			/* Head lags; or the ring is not full any more. */
			if (is_taken(r, seen, p))
				advance(&r->ctl->head, p);
			return 0;
		}
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

int fr__taskring_take(const struct fr__taskring *r, struct fr__a64 *taking,
		      uint32_t *cell, uint32_t *generation)
{
	unsigned lost = 0;

	while (lost < 1000) {
		uint64_t h = at(&r->ctl->head), lap = lap_of(r, h);
		uint64_t seen = look(r, h), plain = seen ^ r->secret;

		if (is_entry(r, seen, lap)) {
			/* [TASKRING-7] relaxed: read only once we are proven
			 * dead, and before the CAS in our own order of stores
			 * by [TASKRING-6]. */
			fr__store_relaxed(taking, plain);
			/* [TASKRING-6] seq_cst: *taking -> the entry gone;
			 * entry -> the cell. Pairs with [TASKRING-4]. Without
			 * it: an entry is gone and nobody knows by whom. */
			if (!fr__cas_sc(&r->words[h & r->mask], &seen,
					empty(r, lap_of(r, h + r->mask + 1))))
				continue;
			advance(&r->ctl->head, h);
			*cell = cell_of(plain);
			*generation = generation_of(plain);
			return 1;
		}
		if (is_taken(r, seen, h))
			advance(&r->ctl->head, h);
		else if (at(&r->ctl->head) != h)
			continue;
		else if (seen == empty(r, lap))
			return 0;
		else
			lost++;
	}
	return -EBADMSG;
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
	uint64_t h;
	unsigned tries;

	for (tries = 0; tries < 1000; tries++) {
		uint64_t seen;

		h = at(&r->ctl->head);
		seen = look(r, h);
		if (is_entry(r, seen, lap_of(r, h)))
			return true;
		if (is_taken(r, seen, h))
			advance(&r->ctl->head, h);
		else if (at(&r->ctl->head) == h)
			return false;
	}
	return true;
}

const char *fr__taskring_check(const struct fr__taskring *r, uint32_t cells,
			       void (*each)(void *ctx, uint32_t cell,
					    uint32_t generation),
			       void *ctx)
{
	uint64_t h = at(&r->ctl->head), t = at(&r->ctl->tail), p;
	uint64_t seen = look(r, t);

	/* Each may lag by one. */
	if (is_entry(r, seen, lap_of(r, t)) || is_taken(r, seen, t))
		t++;
	if (is_taken(r, look(r, h), h))
		h++;
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
