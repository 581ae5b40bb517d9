/* SPDX-License-Identifier: MIT */
/*
 * Time to recover: a group is the processes that share one arena, and the page
 * in which they tell each other, beside it, what is to be done and when things
 * happened.
 *
 *	killer		gives the orders, kills, and is the other sender; it
 *			waits for nothing in the arena, so it recovers nobody
 *	supervisor	parent of those below; without one the killer is
 *	task:		giver, two workers; who has taken the task is killed
 *	claim:		receiver, sender (killed), a waiter for room
 *	parent		has a busy child that is killed: the kernel's part
 */
#ifndef BENCH_RECOVER_H
#define BENCH_RECOVER_H

#include "bench.h"

#include <forkring.h>

enum part {
	GIVER,
	WORKER_1,
	WORKER_2,
	RECEIVER,
	WAITER,
	SENDER,
	PARENT,
	PARTS,
};

struct group {
	/* Times of CLOCK_MONOTONIC in this round. W: who sees it happen.
	 * R: killer, once `marked` says so. */
	APART word64 at[MARKS];
	/* Counts that the killer waits for. W: the parts; the killer sets all
	 * but ready back while nobody is at work. */
	APART word32 ready; /* parts started that wait for orders; ever */
	word32 hung;	    /* a victim is where it is to be killed */
	word32 received;    /* messages behind the claim */
	word32 waiting;	    /* the waiter is about to send */
	word32 marked;	    /* marks with a ring */
	word32 error;	    /* errno of the part that failed first */
	/* A futex word: one of the above has changed. */
	APART word32 news;
	/* Futex words, an order each. W: killer. R: that part. */
	APART word32 order[PARTS];
	word32 ended; /* the order is: end */
	/* W: each part, before it is ready. R: killer. */
	uint32_t pid[PARTS];
	uint64_t address[PARTS];
	/* W: the part that hangs, before `hung`; the worker that does the task
	 * again, before its result. R: killer. */
	uint32_t victim;
	uint32_t again;
	/* W: killer. R: who says where it got stuck. */
	const char *doing;

	/* Set before any fork. */
	const struct bench_case *c;
	unsigned kills;
	uint64_t random;
	struct fr_arena *arena;
	size_t waiter_size; /* of the message that does not fit */
	/* A line for each kill: ns from kill() to each mark; 0: none. W: killer.
	 * R: harness after its end. */
	uint64_t (*sample)[MARKS];
};

/* Stamp and tell the killer; or only stamp, where another mark is to follow. */
void group_mark(struct group *g, enum mark mark, uint64_t at);
void group_note(struct group *g, enum mark mark, uint64_t at);
/* One more; tell the killer. */
void group_count(struct group *g, word32 *count);
void group_fail(struct group *g, int rc);

void futex_ring(word32 *word);
/* Until it is not `seen` any more; returns what it is. */
uint32_t futex_await(word32 *word, uint32_t seen);

/* Live as that part until told to end: 0 or -errno. */
int part_live(struct group *g, enum part part, struct fr_process *self);
/* The process whose children are busy; not in the arena. */
int parent_live(struct group *g);
/* Join, fork the parts and watch them until SIGTERM. */
int supervisor_live(struct group *g);

/* Which messages, by stamp_who(). */
enum stamp { STAMP_CLAIMED = 1, STAMP_BEHIND, STAMP_OTHER, STAMP_WAITED };

/* First and last part of a case. */
static inline enum part first_part(const struct bench_case *c)
{
	return c->loss == LOSS_TASK ? GIVER : RECEIVER;
}

static inline enum part last_part(const struct bench_case *c)
{
	return c->loss == LOSS_TASK ? WORKER_2 : SENDER;
}

#endif
