/* SPDX-License-Identifier: MIT */
/*
 * The tables of operations; ops_*.c. A new one is a row there: what a victim
 * does, what must be there before, who sleeps meanwhile.
 *
 *	survivor			victim		sleepers
 *	 (the arena)
 *	 setup()
 *							STAGE_FIRST: asleep
 *					 joins
 *					 enter()
 *							STAGE_FEED: asleep
 *	 feed()
 *					 prepare()
 *					 MARK
 *	 (D: doom(), then killed)
 *	 ready()
 *							the others: asleep
 *	 (meanwhile(), if only		 run(), killed
 *	 stopped)
 *	 fr_recover()					what is owed to them
 *	 survive()
 *	 (sleepers end, all is tried)
 *
 * A victim that is only stopped, or was only traced, goes on with end(), which
 * judges what run() came to, and leaves.
 *
 * No rows have fr_unhandle(), fr_dispatch(), fr_event_index() and the like,
 * which touch no arena; supervisor and farm, which are made of these calls.
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
	 IN(RING_PASSED) | IN(RING_RUNS))

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
	void (*meanwhile)(struct world *w); /* while the victim is stopped */
	void (*survive)(struct world *w);
	/* A second victim, killed too: what it runs; NULL: only one. */
	void (*run2)(struct world *w, struct victim *v);
	void (*end2)(struct world *w, struct victim *v);
	bool together; /* the first lives until the second is killed */
};

struct op_table {
	const struct op *rows;
	unsigned count;
};
#define OP_TABLE(rows)                                                         \
	{                                                                      \
		rows, sizeof(rows) / sizeof(*(rows))                           \
	}

extern const struct op_table arena_ops, process_ops, send_ops, receive_ops,
	task_ops, event_ops, sleep_ops, recover_ops;

/* ---- sleepers of several rows ---- */

#define MAIL                                                                   \
	{.run = sleep_for_mail, .owed = OWED_MAIL, .stage = STAGE_FIRST}
#define COLLECTOR /* of a task that the victim may have in hand */              \
	{.run = sleep_for_result, .owed = OWED_END, .stage = STAGE_FIRST}
#define ROOM {.run = sleep_for_room, .owed = OWED_END}
#define WORKER {.run = sleep_for_tasks}
#define WAITER {.run = sleep_for_event, .owed = OWED_END}
#define CALLER /* of a call that the victim has not answered */                 \
	{.run = sleep_for_reply, .owed = OWED_END, .stage = STAGE_FEED}

/* ---- what rows of several tables do ---- */

void stage_letter(struct victim *v, unsigned i, size_t len);
void send_staged(struct victim *v);
void prepare_sender(struct world *w, struct victim *v);
void run_send(struct world *w, struct victim *v);
void end_one_sent(struct world *w, struct victim *v);
void stage_only(struct world *w, struct victim *v);
void claim_staged(struct victim *v);
void prepare_claimed(struct world *w, struct victim *v);
/* run() came to 0. */
void end_zero(struct world *w, struct victim *v);
void do_one(struct world *w);
void run_take(struct world *w, struct victim *v);
void end_take(struct world *w, struct victim *v);
void take_task(struct victim *v);
void enter_submitted(struct world *w, struct victim *v);
void reserve_event(struct world *w, struct victim *v);
void fill_mailbox(struct world *w, struct fr_addr to);
void prepare_laden(struct world *w, struct victim *v);
void look_it_up(struct world *w);
void survive_name(struct world *w);
void run_call(struct world *w, struct victim *v);

#endif
