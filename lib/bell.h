/* SPDX-License-Identifier: MIT */
/* Waiting and waking; see bell.c. */
#ifndef FR_LIB_BELL_H
#define FR_LIB_BELL_H

#include "futex.h"
#include "layout.h"

/* A sleeper looks again after this time at the latest, whatever happens. */
#define FR__SLICE_NS INT64_C(1000000000)
/* Who sleeps in short pieces does not look whether others live each time. */
#define FR__LOOK_NS INT64_C(100000000)

/* The waiting side of one process; in its own memory. */
struct fr__bell {
	struct fr__slot *slot;
	int mode; /* enum fr_wait_mode */
	struct fr__a32 spin_ns;     /* how long to spin: adapts */
	struct fr__a32 spins_in_vain;
	struct fr__a64 waited;	    /* until when, ns of CLOCK_MONOTONIC */
	struct fr__a32 yield_skip;  /* waits in which not to yield */
	struct fr__a32 yield_after; /* so many after the next failure */
	struct fr__a32 interrupted;
	/* The arena's awake bits, a word for 64 slots, and our place in them. */
	struct fr__a64 *awake;
	unsigned awake_words;
	unsigned index;
	/* Called before each sleep, whatever for. May be NULL. */
	void (*before_sleep)(void *ctx);
	/* Look whether others live: who the wait depends on, and (all) some of
	 * the rest. May be NULL. */
	void (*look)(void *ctx, unsigned depends, bool all);
	struct fr__a64 looked; /* when, ns of CLOCK_MONOTONIC */
	struct fr__a64 doubted; /* the same, by who did not wait */
	struct fr__a32 ticks;  /* until the next thought of looking */
	void *ctx;
};

enum fr__arm {
	FR__DISARM,
	FR__ARM_NAP, /* for a short sleep, after which we look anyway */
	FR__ARM,
};

/* What one wait is for. */
struct fr__wait {
	uint32_t marks;
	/* Looks: positive or negative ends the wait with that; 0: not yet. */
	int (*ready)(void *ctx);
	/* Called after the mark is set and before the last look, and when the
	 * wait is over. May be NULL. */
	void (*arm)(void *ctx, enum fr__arm how);
	void *ctx;
	/* Slot + 1 of the process without which this wait is in vain; 0: none
	 * in particular. */
	unsigned depends;
	/* Where to mark and to sleep. NULL: the process's own slot. */
	struct fr__a32 *waiting;
	struct fr__a32 *word;
	/* The first sleeps, where we are one too many: so many, for so long,
	 * under these marks. */
	struct {
		unsigned times;
		uint32_t marks;
		int64_t ns;
	} nap;
};

void fr__bell_init(struct fr__bell *b, struct fr__slot *slot, int mode);
/* Is the process of this bell awake? For the others' decision to spin. */
void fr__bell_awake(struct fr__bell *b, bool on);

/* Wait until ready() is not 0, and return that; -EAGAIN (wait_ns 0: one look
 * only), -ETIMEDOUT, -EINTR. Any number of threads at a time. */
int fr__bell_wait(struct fr__bell *b, const struct fr__wait *w,
		  int64_t wait_ns);

/* Are as many others of the arena (but: so many that do not count) awake as can run
 * at once? words: its awake bits. A hint. */
bool fr__bell_crowded(const struct fr__a64 *words, unsigned count, unsigned but);

/* A process that never waits in vain looks round, too: if n of these add up to 64
 * and it has not for a slice. */
void fr__bell_look(struct fr__bell *b);

static inline void fr__bell_tick(struct fr__bell *b, uint32_t n)
{
	/* [BELL-11] relaxed: about how often; threads may lose a few. */
	uint32_t ticks = fr__load_relaxed(&b->ticks) + n;

	/* as [BELL-11] */
	fr__store_relaxed(&b->ticks, ticks);
	if (__builtin_expect(ticks >= 64, 0))
		fr__bell_look(b);
}

/* Stay away from a line for about so long, without a look at a clock. */
void fr__bell_pause(unsigned ns);

/* Before saying that there is no room now: look whether that one lives (slot + 1),
 * unless somebody of this process has lately. */
void fr__bell_doubt(struct fr__bell *b, unsigned depends);

/* Ring for those who sleep for this. The caller has made it true before, by a
 * seq_cst read-modify-write or with fr__fence_sc() behind it. strike: when the
 * mark was seen already; true if it was still there. The others: true if a mark was seen. */
bool fr__bell_strike(struct fr__a32 *waiting, struct fr__a32 *word,
		     uint32_t mark);

static inline bool fr__bell_ring_at(struct fr__a32 *waiting,
				    struct fr__a32 *word, uint32_t mark)
{
	/* [BELL-1] seq_cst: what was made true -> the look at the mark. Pairs
	 * with [BELL-2]. Without it: ringer and sleeper miss each other. */
	if (!(fr__load_sc(waiting) & mark))
		return false;
	fr__bell_strike(waiting, word, mark);
	return true;
}

static inline bool fr__bell_ring(struct fr__slot *slot, uint32_t mark)
{
	return fr__bell_ring_at(&slot->waiting, &slot->bell, mark);
}

/* Wake all who sleep on a bell, whatever for. Signal handlers too. */
void fr__bell_shake(struct fr__a32 *word);

#endif
