/* SPDX-License-Identifier: MIT */
/* One healthy process of the fuzzer, as it sees itself: what calls.c,
 * mail.c, work.c and crew.c share. */
#ifndef FR_TESTS_FUZZ_CALLS_H
#define FR_TESTS_FUZZ_CALLS_H

#include "fuzz.h"

#define CLAIMS	 3u
#define HELD	 6u
#define RESULTS	 3u
#define CALLS	 4u
#define IDS	 8u
#define TYPES	 4u
#define RESERVED 2u

/* What a process is. */
#define KEEPS	 1u /* its handle is somebody else's: it does not leave */
#define FARMS	 2u /* its tasks are the farm's */

struct self {
	const struct part_of *part;
	struct dice dice;
	struct fr_arena *arena;
	struct fr_process *p;
	struct fr_event_group *group;
	struct fr_claim claims[CLAIMS];
	unsigned claim_count;
	struct fr_message held[HELD];
	unsigned held_count;
	uint64_t calls[CALLS]; /* that want a reply */
	bool in_hand;
	struct fr_reply reply;
	struct fr_result results[RESULTS];
	unsigned result_count;
	struct fr_task_id ids[IDS];
	struct fr_type types[TYPES];
	struct fr_addr reserved[RESERVED];
	struct fr_supervisor *supervisor;
	struct fr_farm *farm;
	unsigned farm_open; /* tasks submitted whose result was not given */
	unsigned children;
	unsigned is;
};

/* ---- calls.c ---- */

struct call {
	const char *name;
	int (*call)(struct self *s);
	unsigned weight;
	unsigned not ; /* KEEPS, FARMS: whose it is not */
};

/* One call, drawn by weight, of those that take an arena and a process. */
void call_one(struct self *s);
/* The i-th of them; NULL: there are no more. */
const struct call *call_at(unsigned i);
/* Around each call: in which function this process is, and what it answered.
 * The numbers of crew.c's functions follow those of call_at(). */
void enter(unsigned function);
void left(unsigned function, int rc);
/* Join the arena; leave it, with all that the contract asks for before. */
int join(struct self *s);
void leave(struct self *s);
/* Give back the i-th message that is held. */
void release_one(struct self *s, unsigned i);
/* Read all of it: a length that is wrong leads out of the mapping. */
void use(const void *data, size_t len);
int64_t some_wait(struct self *s);
const char *some_name(struct self *s);
struct fr_addr some_addr(struct self *s);

/* ---- mail.c, work.c ---- */

extern const struct call mail_calls[], work_calls[];
extern const unsigned mail_count, work_count;
/* For fr_run_opts and fr_farm_opts. */
fr_task_fn run_task;
fr_handler_fn on_message;

#endif
