/* SPDX-License-Identifier: MIT */
/*
 * The storm (storm.c): what its parts share, the oracle above all. The oracle
 * is anonymous memory, inherited by fork, that no arena knows of.
 *
 *	storm.c		options, seats, strangers; the end; what was seen
 *	killer.c	draws victims, signals and pauses; watches for wedges
 *	boss.c		the supervisor's main, the farm's main
 *	member.c	a process of the mesh, supervised or a stranger
 *	send.c, receive.c, tasks.c	what it does; workers, too
 *	oracle.c	who lives, what was sent and received, faults
 *	verify.c	what must be so in the end
 *
 * A *seat* is a place in the cast: the boss, worker 2, mesh 0, stranger 1, ...
 * An *incarnation* is one process that sat in a seat. Victims are drawn as
 * seats, so that a seed repeats its choices whatever the pids are.
 */
#ifndef FR_TESTS_STORM_H
#define FR_TESTS_STORM_H

#include "forkring.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define US	     INT64_C(1000)
#define MS	     (1000 * US)
#define SECOND	     (1000 * MS)

#define SEATS_MAX    64u
#define BOSS	     0u /* seat of the supervisor's main */
#define FARMER	     1u /* seat of the farm's main */
#define FARM_WORKERS 2u

/* ---- random numbers: xorshift64* ---- */

struct dice {
	uint64_t state;
};

struct dice dice_of(uint64_t seed, uint64_t stream);
uint64_t roll(struct dice *d);
uint32_t pick(struct dice *d, uint32_t below); /* 0..below-1 */
static inline bool one_in(struct dice *d, uint32_t n)
{
	return pick(d, n) == 0;
}
uint64_t mixed(uint64_t x);

/* ---- the cast ---- */

enum role {
	ROLE_BOSS,
	ROLE_FARMER,
	ROLE_FARM_WORKER, /* in the farmer's own arena */
	ROLE_WORKER,	  /* child of the boss: does tasks */
	ROLE_MESH,	  /* child of the boss: messages, tasks, events */
	ROLE_STRANGER,	  /* no child of any supervisor, attached by name */
	ROLES,
};
extern const char *const role_names[ROLES];

/* What a process is in; it says so itself, and a victim's word stands as it was
 * when it was hit: set behind what begins it, cleared before what ends it. */
#define IN_START    1u	/* not joined yet */
#define IN_CLAIM    2u	/* holds an open claim */
#define IN_TASK	    4u	/* has a task in hand */
#define IN_EVENT    8u	/* holds an event */
#define IN_RECOVERY 16u /* recovers one that is dead */
#define IN_CALL	    32u /* waits for a reply */
#define IN_KINDS    6u
extern const char *const in_names[IN_KINDS];

/* One process. W: itself; killed, ended: the killer, root. */
struct incarnation {
	uint32_t seat;
	int32_t pid;
	uint32_t in;
	uint32_t killed; /* set before the signal is sent */
	uint32_t ended;	 /* in good order */
	uint64_t addr;	 /* 0: not joined */
};

/*
 * Messages of one incarnation to the incarnations in one seat, one at a time:
 * receiver's incarnation << 32 | sequence number. Numbers begin at 0.
 * W: sender: tried before it publishes, noted behind it: the next number. hole:
 * of the claim that is open, plus 1; 0: none. W: receiver: the next number that
 * it awaits.
 */
struct stream {
	uint64_t tried;
	uint64_t noted;
	uint64_t hole;
	uint64_t received;
};

struct seat {
	enum role role;
	unsigned index;	   /* in its role */
	bool immortal;	   /* stopped, but not killed */
	uint32_t now;	   /* incarnation; 0: nobody yet */
	uint64_t progress; /* moves while it lives */
	uint32_t quiet;	   /* incarnation that sends nothing any more */
	uint32_t done;	   /* and has nothing left to receive or to collect */
};

struct oracle {
	uint64_t seed;
	char name[FR_NAME_MAX + 1]; /* of the arena */
	unsigned seats;
	unsigned workers, mesh, strangers;
	unsigned group_events; /* of the group of boss and mesh */
	struct seat seat[SEATS_MAX];
	/* The end: send nothing any more; take what is there; go. */
	uint32_t ending, drain, leave;
	uint32_t failures;
	uint32_t count; /* of incarnations so far */
	uint32_t max;
	/* Sums. */
	uint64_t messages, calls, events, batches, cancelled_claims, holes;
	uint64_t submitted, results, buried, cancelled_tasks, failed_tasks;
	uint64_t farm_submitted, farm_results, farm_buried, farm_restarts;
	uint64_t restarts, added, recovered;
	uint64_t verified, excused;	  /* streams, in the end */
	struct incarnation incarnation[]; /* max; then the streams */
};

extern struct oracle *oracle;
extern uint32_t me; /* incarnation of this process; 0: none */

#define GET(x)	  __atomic_load_n(&(x), __ATOMIC_SEQ_CST)
#define SET(x, v) __atomic_store_n(&(x), v, __ATOMIC_SEQ_CST)
#define ADD(x, v) __atomic_fetch_add(&(x), v, __ATOMIC_SEQ_CST)

/* ---- oracle.c ---- */

void oracle_open(uint64_t incarnations);
struct incarnation *incarnation(uint32_t number);
struct stream *stream(uint32_t from, unsigned to_seat);
/* Become the next incarnation of a seat: IN_START until it says otherwise. */
void be_born(unsigned seat);
void go_in(uint32_t what);
void go_out(uint32_t what);
void progress(void);
struct seat *my_seat(void);
int64_t now_ns(void);
/* Something that must not be: told on stderr, counted, and the storm ends. */
void fault(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A call answered what it must not here: the call and the error, in words. */
void fault_rc(const char *what, int rc);

/* ---- member.c ---- */

struct member;
/* A worker's, a mesh process's or a stranger's side of messages and tasks.
 * group may be NULL: such a one reserves no events. serve (may be NULL) is
 * called now and then while it waits for long. */
struct member *member_new(struct fr_process *p, struct fr_event_group *group,
			  void (*serve)(void));
/* One thing of many, at random; of a worker in a task: a message or none. */
void member_step(struct member *m);
void member_word(struct member *m);
/* Take what is in the mailbox; how many messages. */
unsigned member_receive(struct member *m, int64_t wait_ns);
void member_submit(struct member *m);
void member_collect(struct member *m, int64_t wait_ns);
/* The end in good order: send nothing any more; take all that is there. */
void member_quiet(struct member *m);
void member_drain(struct member *m);
/* All of it, until oracle->leave. Frees m. */
int member_live(struct member *m);
/* The body of every task. */
int run_task(void *ctx, const struct fr_task *task, struct fr_reply *reply);

struct task_arg {
	uint32_t from; /* incarnation */
	uint32_t number;
	uint32_t spin_us;
	uint32_t fails;
	uint64_t x;
};
struct task_result {
	uint32_t from;
	uint32_t number;
	uint64_t y;
};
static inline uint64_t task_answer(uint64_t x)
{
	return mixed(x) + 1;
}
void task_make(struct dice *d, uint32_t number, struct task_arg *arg);
/* Is this what the task yields? number: what its submitter knows. */
void task_check(const struct fr_result *r, const struct task_arg *arg,
		bool cancelled);

/* ---- boss.c ---- */

int be_boss(void);
int be_farmer(void);

/* ---- verify.c ---- */

/* Every message that was published for one who lived on came. */
void check_messages(void);
/* Nothing is left in the arena, nor of it. */
void check_what_is_left(void);

/* ---- killer.c ---- */

struct killer;
struct killer *killer_new(uint64_t rate);
/* The next choice, if it is due; returns for how long none is, in ns. */
int64_t killer_step(struct killer *k);
/* Everybody goes on. */
void killer_end(struct killer *k);
/* Are its choices those of its seed, whatever happened? */
bool killer_repeats(const struct killer *k);
/* Does everybody get on? */
void killer_watch(struct killer *k);
/* The first choices of a seed: what --choices prints. */
void killer_tell_choices(uint64_t rate, uint64_t count);

struct tally {
	uint64_t kills, stops, void_choices;
	uint64_t killed_in[IN_KINDS], stopped_in[IN_KINDS];
	uint64_t killed_role[ROLES], stopped_role[ROLES];
	uint64_t busy; /* kills and stops of one with an open claim or a task */
};
void killer_tally(struct killer *k, struct tally *ret);

#endif
