/* SPDX-License-Identifier: MIT */
/*
 * The record ring: many producers, one consumer, records of 64-byte units.
 * Knows nothing of processes: an owner is a number. See ring.c.
 */
#ifndef FR_LIB_RING_H
#define FR_LIB_RING_H

#include "layout.h"

#include <string.h>

#define FR__UNIT 64
/* Records of so many units and more are freed in long runs: their lines are not taken
 * from the producer, but it may share them. */
#define FR__LONG_UNITS 32
#define FR__RECORD_HEAD sizeof(struct fr__record)

/* Where a ring is mapped in this process; copied, never read from the arena. */
struct fr__ring {
	struct fr__ring_ctl *ctl;
	unsigned char *units;
	uint64_t mask;   /* units - 1 */
	unsigned shift;  /* log2 of units */
	uint64_t secret; /* the arena's, made this ring's */
};

/* The consumer's own state. head <= next; all records before head are free. */
#define FR__BLOCKED_MAX 64
struct fr__reader {
	uint64_t head; /* oldest record not yet released */
	uint64_t next; /* where to look for the next record */
	uint64_t found; /* the record that was found last */
	uint32_t units; /* of that one */
	uint32_t freed; /* units since waiting producers were looked for */
	/* Open claims that next has passed, oldest of each owner. */
	unsigned blocked;
	struct {
		uint64_t position;
		uint64_t tag;
	} open[FR__BLOCKED_MAX];
};

/* Units of a record with len bytes of body. */
static inline uint32_t fr__ring_units(size_t len)
{
	return (uint32_t)((len + FR__RECORD_HEAD + FR__UNIT - 1) / FR__UNIT);
}

static inline struct fr__record *fr__ring_at(const struct fr__ring *r,
					     uint64_t position)
{
	return (void *)(r->units + (position & r->mask) * FR__UNIT);
}

/* Largest body, in bytes. */
static inline size_t fr__ring_body_max(const struct fr__ring *r)
{
	return (r->mask + 1) / 2 * FR__UNIT - FR__RECORD_HEAD;
}

/* Each ring has a secret of its own: a tag of another's, if it is sent on, is none here. */
static inline void fr__ring_map(struct fr__ring *r, struct fr__ring_ctl *ctl,
				void *units, uint32_t count, uint64_t secret,
				unsigned slot)
{
	r->ctl = ctl;
	r->units = units;
	r->mask = count - 1;
	r->shift = (unsigned)__builtin_ctz(count);
	r->secret = secret ^ (slot + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

void fr__ring_init(const struct fr__ring *r, uint64_t start_position);

/* What a producer has claimed. */
struct fr__place {
	uint64_t position;
	uint32_t units; /* those asked for, or more */
};

/*
 * Producers. Claim room for n units: 0 and the place, -EAGAIN full,
 * -EBADMSG damaged. The claim is the caller's until it publishes or cancels.
 */
int fr__ring_claim(const struct fr__ring *r, unsigned owner, uint32_t n,
		   struct fr__place *place);
/* Say that the place is taken, so that others need not find out: after the
 * claim or after the publication, whichever suits. */
void fr__ring_advance(const struct fr__ring *r, uint64_t position, uint32_t n);
/*
 * Hints for who produces: ask the CPU for lines before they are written. now: those
 * of a record of n units about to be claimed, all at once, where one send stands
 * alone. ahead: those of records after the one claimed at that position, where one
 * send follows another.
 */
void fr__ring_ask_now(const struct fr__ring *r, uint32_t n);
void fr__ring_ask_ahead(const struct fr__ring *r, uint64_t position,
			uint32_t n);
/* And after a record of n units is published, where one send stands alone. */
void fr__ring_hand_over(const struct fr__ring *r, uint64_t position, uint32_t n);
/* READY, with the strength that looking for a sleeper afterwards needs. */
void fr__ring_publish(const struct fr__ring *r, unsigned owner,
		      uint64_t position, uint32_t n);
/* The same and fr__ring_advance(), for less. */
void fr__ring_publish_last(const struct fr__ring *r, unsigned owner,
			   uint64_t position, uint32_t n);
void fr__ring_cancel(const struct fr__ring *r, unsigned owner,
		     uint64_t position, uint32_t n);
/* Bytes into the body, from `at` on. */
void fr__ring_copy_for_tsan(struct fr__record *rec, size_t at,
			    const void *bytes, size_t len);
static inline void fr__ring_copy_in(struct fr__record *rec, size_t at,
				    const void *bytes, size_t len)
{
	unsigned char *to = rec->body + at;
	const unsigned char *from = bytes;

	/* Short ones are not worth a call: by their first and their last bytes. (What
	 * is shorter still wraps round in the comparison.) */
	if (FR__TSAN) {
		fr__ring_copy_for_tsan(rec, at, bytes, len);
	} else if (len - 32 <= 32) {
		memcpy(to, from, 32);
		memcpy(to + len - 32, from + len - 32, 32);
	} else if (len - 8 <= 8) {
		memcpy(to, from, 8);
		memcpy(to + len - 8, from + len - 8, 8);
	} else if (len > 0) { /* bytes may be NULL then */
		memcpy(to, from, len);
	}
}

/*
 * Consumer. fr__ring_next: 1 and the next record's position and owner, 0 there
 * is none now, -EBADMSG damaged. fr__ring_release: in any order.
 */
void fr__reader_init(struct fr__reader *rd, const struct fr__ring *r);
int fr__ring_next(const struct fr__ring *r, struct fr__reader *rd,
		  uint64_t *position, unsigned *owner);
int fr__ring_release(const struct fr__ring *r, struct fr__reader *rd,
		     uint64_t position);
/* Release count records that were received one after the other, at once. */
int fr__ring_release_run(const struct fr__ring *r, struct fr__reader *rd,
			 const uint64_t *positions, unsigned count);

/* How many units could be claimed at once now, up to `most`. Only a look. */
uint32_t fr__ring_room(const struct fr__ring *r, uint32_t most);
/* How many units the lap has left from tail on: what needs more leaves a pad. */
uint32_t fr__ring_lap_left(const struct fr__ring *r);
/* How many units are free or being freed, wherever: cheap, and old when it is
 * read. */
uint32_t fr__ring_free_units(const struct fr__ring *r);

/* The consumer is gone, and nobody is in its place: free what it had begun to
 * free, and take out all that is there. */
void fr__ring_mend(const struct fr__ring *r);
void fr__ring_drain(const struct fr__ring *r);

/* A survivor: turn the claims of an owner proven dead into dead records.
 * Returns how many. */
unsigned fr__ring_bury(const struct fr__ring *r, unsigned owner);

/* Tests: the invariants of a ring that nobody is using. NULL or what is wrong. */
const char *fr__ring_check(const struct fr__ring *r);

#endif
