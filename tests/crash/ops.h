/* SPDX-License-Identifier: MIT */
/*
 * The table of operations; ops.c. A new one is a row there: what a victim does,
 * what must be there before, who sleeps meanwhile.
 *
 *	survivor			victim		sleepers
 *	 (the arena)
 *	 setup()
 *							first: asleep
 *					 joins
 *					 enter()
 *	 feed()
 *					 prepare()
 *					 MARK
 *	 (D: doom(), then killed)
 *	 ready()
 *							the others: asleep
 *					 run(), killed
 *	 fr_recover()					what is owed to them
 *	 survive()
 *	 (sleepers end, all is tried)
 *
 * A victim that is only stopped, or was only traced, goes on with end() and leaves.
 */
#ifndef FR_TESTS_CRASH_OPS_H
#define FR_TESTS_CRASH_OPS_H

#include "world.h"

#define OP_UNJOINED 1u     /* the victim has not joined before */
#define OP_EARLY 2u        /* it is forked before the arena is made */
#define OP_ALONE 4u        /* no arena is made for it: survive() sees to one */
#define OP_NAMED 8u        /* it has joined as "victim" */
#define OP_NAMED_ARENA 16u
#define OP_EVENT 32u       /* w->event is reserved by s */
#define OP_DEAD 64u        /* there is a D */
#define OP_ANSWERED 128u   /* those who sleep have their part in it */

#define IN(state) (1u << (state))
/* Of a sender into the mailbox of one who sleeps for mail. */
#define SENDERS_STATES                                                         \
	(IN(RING_EMPTY) | IN(RING_HALF) | IN(RING_NEARLY) | IN(RING_WRAP) |    \
	 IN(RING_PASSED))

struct op {
	const char *name;
	unsigned states; /* IN() of each; 0: RING_ANY only */
	unsigned flags;
	unsigned slots; /* of the arena; 0: 8 */
	unsigned sends; /* letters that it commits, all at once, to each */
	struct sleeper_spec sleepers[SLEEPERS];
	void (*setup)(struct world *w);
	void (*enter)(struct world *w, struct victim *v);
	void (*feed)(struct world *w);
	void (*prepare)(struct world *w, struct victim *v);
	void (*doom)(struct world *w, struct victim *v);
	void (*ready)(struct world *w);
	void (*run)(struct world *w, struct victim *v);
	void (*end)(struct world *w, struct victim *v);
	void (*survive)(struct world *w);
	/* A second victim, killed too: what it runs; NULL: only one. */
	void (*run2)(struct world *w, struct victim *v);
	void (*end2)(struct world *w, struct victim *v);
	bool together; /* the first lives until the second is killed */
};

extern const struct op ops[];
extern const unsigned op_count;

#endif
