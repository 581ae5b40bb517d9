/* SPDX-License-Identifier: MIT */
/* Waiting and waking; see bell.c. */
#ifndef FR_LIB_BELL_H
#define FR_LIB_BELL_H

#include "futex.h"
#include "layout.h"

/* A sleeper looks again after this time at the latest, whatever happens. */
#define FR__SLICE_NS INT64_C(1000000000)

/* The waiting side of one process; in its own memory. */
struct fr__bell {
	struct fr__slot *slot;
	int mode;              /* enum fr_wait_mode */
	struct fr__a32 spin_ns; /* how long to spin: adapts */
	struct fr__a32 interrupted;
};

/* What one wait is for. */
struct fr__wait {
	uint32_t marks;
	/* Looks: positive or negative ends the wait with that; 0: not yet. */
	int (*ready)(void *ctx);
	/* Called with true after the mark is set and before the last look, with
	 * false when the wait is over. May be NULL. */
	void (*arm)(void *ctx, bool on);
	void *ctx;
};

void fr__bell_init(struct fr__bell *b, struct fr__slot *slot, int mode);

/* Wait until ready() is not 0, and return that; -EAGAIN (deadline 0: one look
 * only), -ETIMEDOUT, -EINTR. Any number of threads at a time. */
int fr__bell_wait(struct fr__bell *b, const struct fr__wait *w,
		  int64_t wait_ns);

/* Ring for those who sleep for this. The caller has made it true before, by a
 * seq_cst read-modify-write or with fr__fence_sc() behind it. */
void fr__bell_strike(struct fr__slot *slot, uint32_t mark);

static inline void fr__bell_ring(struct fr__slot *slot, uint32_t mark)
{
	/* [BELL-1] seq_cst: what was made true -> the look at the mark. Pairs
	 * with [BELL-2]. Without it: ringer and sleeper miss each other. */
	if (fr__load_sc(&slot->waiting) & mark)
		fr__bell_strike(slot, mark);
}

/* Ring whatever it sleeps for. Signal handlers too. */
void fr__bell_shake(struct fr__slot *slot);

#endif
