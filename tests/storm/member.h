/* SPDX-License-Identifier: MIT */
/* One process of the mesh as it sees itself: what send.c, receive.c, tasks.c
 * and member.c share. */
#ifndef FR_TESTS_STORM_MEMBER_H
#define FR_TESTS_STORM_MEMBER_H

#include "storm.h"

#include <errno.h>

#define CLAIMS	 2u
#define HELD	 4u
#define TASKS	 64u
#define OWED	 4u
#define LEN_MAX	 1500u
#define PATIENCE (20 * SECOND) /* then somebody is wedged */

/* What every message begins with. */
struct head {
	uint32_t kind;
	uint32_t from, to; /* incarnations */
	uint32_t number;
	uint64_t x; /* of DATA: an event to be set; of CALL: the question */
};

enum kind {
	DATA = 0xda7a,
	CALL = 0xca11,
	NOTHING = 0xdead, /* is cancelled: nobody gets it */
};

struct target {
	uint32_t to; /* incarnation */
	struct fr_addr addr;
	uint32_t next; /* number */
	bool claimed;
};

struct open_claim {
	struct fr_claim claim;
	unsigned seat;
	uint32_t to, number;
	bool commit;
};

struct sent_task {
	struct fr_task_id id;
	struct task_arg arg;
	bool cancelled;
};

struct owed {
	uint64_t call;
	uint64_t x;
};

struct member {
	struct fr_process *p;
	struct fr_event_group *group;
	struct dice dice;
	struct target target[SEATS_MAX];
	struct open_claim claims[CLAIMS];
	unsigned claim_count;
	struct fr_message held[HELD];
	unsigned held_count;
	struct sent_task tasks[TASKS];
	unsigned task_count;
	uint32_t next_task;
	struct owed owed[OWED];
	unsigned owed_count;
	void (*serve)(void); /* while it waits for long; or NULL */
};

/* ---- send.c ---- */

/* Has it been alive from before until now? */
bool lives(uint32_t number);
/* A seat to send to, and who sits there: NULL, nobody just now. */
struct target *draw_target(struct member *m, unsigned *seat);
int64_t draw_wait(struct member *m);
/* One message of the stream; 0, or why not. */
int send_data(struct member *m, struct target *t, unsigned seat, uint64_t x,
	      int64_t wait_ns);
/* Is this an error that a sender may get? */
bool not_sent(int rc);
unsigned char byte_of(const struct head *h, size_t i);
void do_send(struct member *m);
void do_batch(struct member *m);
void do_claim(struct member *m);
void do_close_claim(struct member *m);

/* ---- receive.c ---- */

/* Most of what is there. */
void take_mail(struct member *m);
void release_held(struct member *m, unsigned keep);
void do_call(struct member *m);
void do_reply(struct member *m);
void do_event(struct member *m);
void do_reserve(struct member *m);

/* ---- tasks.c ---- */

void do_cancel_task(struct member *m);
void do_take(struct member *m);

#endif
