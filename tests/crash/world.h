/* SPDX-License-Identifier: MIT */
/*
 * One point's world: an arena of its own, a survivor, victims, sleepers.
 *
 * The survivor is the process that traces; it is joined as "s" and sees to
 * everything. Sleepers are processes of their own that wait, asleep before the
 * victim's operation begins, for what it was about to do. All of them share
 * this struct; what is in the arena's processes' own memory (fr_process and the
 * like) is used by one of them only.
 */
#ifndef FR_TESTS_CRASH_WORLD_H
#define FR_TESTS_CRASH_WORLD_H

#include "forkring.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* How full the ring is that the operation works on. */
enum ring_state {
	RING_ANY,    /* it works on none */
	RING_EMPTY,
	RING_HALF,
	RING_NEARLY, /* room for the operation's own, and no more */
	RING_FULL,
	RING_WRAP,   /* a lap, and 2^64, is three units away */
	RING_PASSED, /* somebody's open claim in front, passed over */
	RING_RUNS,   /* empty, its units free in runs, as of long records */
	RING_STATES,
};
const char *ring_state_name(enum ring_state state);

#define UNITS 64u    /* of a mailbox */
#define CELLS 4u     /* of each process */
#define EVENTS 6u    /* of the group */
#define TASK_WORDS 64u /* of the task ring, with 8 slots */

/* Who sends: in every letter. */
enum who {
	WHO_S,
	WHO_S2, /* the survivor's second handle */
	WHO_V,  /* victims */
	WHO_V2,
	WHO_D, /* one that is dead before the operation begins */
	WHO_W, /* sleepers, and others */
	WHO_COUNT,
};

enum { V, V2, D, VICTIMS };

struct victim {
	pid_t pid;
	enum who who;
	struct fr_process *p;
	struct fr_addr addr;
	struct fr_arena *arena;
	uint32_t letters;   /* numbered so far */
	uint32_t committed; /* of those, to each who gets mail */
	struct fr_addr to; /* who gets its mail */
	_Alignas(8) unsigned char body[3][256]; /* staged letters */
	size_t len;
	struct fr_claim claim;
	struct fr_message held[UNITS], m;
	unsigned held_count;
	bool in_hand;
	struct fr_task task;
	struct fr_reply reply;
	struct fr_task_id id;
	struct fr_result result;
	struct fr_event event;
	struct fr_event_group *group;
	struct fr_addr reserved;
	struct fr_type type;
	bool left;
	bool unmarked; /* runs on without a tracer */
	int fd;
	int rc; /* of the operation */
	/* advance() */
	uint32_t entered;
	uint32_t go;
	uint32_t prepared; /* of D: stays as it is until it is killed */
};

struct world;
struct sleeper;

/* What a sleeper's wait must come to, by itself, once the victim is dead. */
enum owed {
	OWED_NOTHING, /* it is woken by the traffic that follows */
	OWED_END,     /* its end, whenever the victim died */
	OWED_MAIL,    /* all that was committed */
	OWED_EVENT,   /* its end, if the event was set */
};

/* When it falls asleep. */
enum stage {
	STAGE_READY, /* the victim stands before its operation */
	STAGE_FIRST, /* before there is a victim */
	STAGE_FEED,  /* victims have joined, and are not prepared */
};

struct sleeper_spec {
	int (*run)(struct world *w, struct sleeper *sl);
	enum owed owed;
	enum stage stage;
	unsigned of; /* which victim it depends on */
};
#define SLEEPERS 6

struct sleeper {
	const struct sleeper_spec *spec;
	pid_t pid;
	struct fr_addr addr;
	uint32_t joined, ended; /* advance() */
	uint32_t s_letters;     /* that s has sent it */
	uint32_t got[WHO_COUNT], last[WHO_COUNT];
	uint32_t expected; /* of victims, once they are dead */
	uint32_t released; /* gives back all that it holds, from now on */
	uint32_t progress;
	bool frozen;
	int rc;
};

struct op;

struct world {
	const struct op *op;
	enum ring_state state;
	struct fr_arena *arena;
	char name[64]; /* of the arena; "": nameless */
	struct fr_process *s, *s2;
	struct fr_addr s_addr, s2_addr;
	struct fr_event_group *group;
	struct fr_event event; /* that sleepers wait for */
	struct fr_claim open; /* s2's, of RING_PASSED */
	struct fr_addr reserved; /* by s */
	int64_t limit_ns; /* of victims' sleeps */
	uint32_t s2_letters;
	struct victim victims[VICTIMS];
	struct sleeper sleepers[SLEEPERS];
	unsigned sleeper_count;
	uint32_t made;    /* the arena; advance() */
	uint32_t changed; /* a sleeper has got on; advance() */
	uint32_t failed;
	uint32_t parked; /* the survivor only waits: another may have its CPU */
	uint32_t missed; /* the victim did not come by where it was to stop */
	pid_t survivor;
	bool stopped; /* the victim is, or was */
	bool recovered; /* by s */
	const char *doing;
	char why[1200]; /* it failed */
};

/* ---- failing: the first to fail says why ---- */

#define MUST(cond)                                                             \
	((cond) ? (void)0 : must_not(#cond, __FILE__, __LINE__))
#define MUST_RC(actual, expected)                                              \
	must_rc(actual, expected, #actual, __FILE__, __LINE__)
#define GIVE_UP(...) give_up(__FILE__, __LINE__, __VA_ARGS__)
void must_not(const char *what, const char *file, int line)
	__attribute__((noreturn));
void must_rc(long actual, long expected, const char *what, const char *file,
	     int line);
void give_up(const char *file, int line, const char *format, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
/* In every process of a point, before anything can fail. */
void failing_for(struct world *w);
/* In the survivor: a child has failed? Then so do we. */
void look_at_children(struct world *w);
/* End all processes of a point, and wait for them. */
void end_children(struct world *w);

/* ---- opening ---- */

/* Make the arena and join it as s. */
void world_open(struct world *w);
/* Fork the victim; it joins, enters, and waits to go on. */
void world_victim(struct world *w, unsigned i, void (*run)(struct world *,
							   struct victim *));
/* Fork the sleepers of a stage, and wait until they sleep. */
void world_sleepers(struct world *w, enum stage stage);
/* Asleep, and nobody has rung for it? */
bool sleeper_sleeps(const struct world *w, const struct sleeper *sl);
void wait_until_asleep(struct world *w, const struct sleeper *sl);
/* It has, and has been waited for. */
void sleeper_ended(struct world *w, struct sleeper *sl, int status);
/* Stop all sleepers (or those that run this), let them go on: nobody but the
 * victim is at work then. */
void freeze_sleepers(struct world *w,
		     int (*run)(struct world *, struct sleeper *));
void thaw_sleepers(struct world *w);
/* Let the processor go for a moment, unless something has failed. */
void breathe(struct world *w);

/* fork(); the child dies with us. */
pid_t child(void);
/* Join with the least waiting of its own. */
struct fr_process *join(struct fr_arena *arena, const char *name);

/* ---- what processes do to each other ---- */

/* Letter `number` of who, of len bytes at least 8; as fr_send(). */
int send_letter(struct fr_process *p, struct fr_addr to, enum who who,
		uint32_t number, size_t len, int64_t wait_ns);
void write_letter(void *body, enum who who, uint32_t number, size_t len);
/* Is it whole? Its number, and its sender. */
uint32_t read_letter(const struct fr_message *m, enum who *who);

#define KIND_WORK 1u
#define KIND_STOP 2u /* the worker that takes it ends */
/* A task whose result says whether it was done right. */
int submit_work(struct fr_process *p, uint32_t kind, uint32_t number,
		struct fr_task_id *id);
int complete_work(struct fr_process *p, const struct fr_task *task,
		  struct fr_reply *reply);
void check_result(const struct fr_result *r, uint32_t number);

/* Sleepers. */
int sleep_for_mail(struct world *w, struct sleeper *sl);
int sleep_for_room(struct world *w, struct sleeper *sl);  /* to the victim */
int sleep_for_tasks(struct world *w, struct sleeper *sl);
int sleep_for_result(struct world *w, struct sleeper *sl);  /* of one task */
int sleep_for_results(struct world *w, struct sleeper *sl); /* of two */
int sleep_for_event(struct world *w, struct sleeper *sl);
int sleep_for_event_from(struct world *w, struct sleeper *sl); /* the victim */
int sleep_for_name(struct world *w, struct sleeper *sl); /* "victim" */
int sleep_for_reply(struct world *w, struct sleeper *sl); /* of the victim */

struct sleeper *find_sleeper(struct world *w,
			     int (*run)(struct world *, struct sleeper *));

/* ---- survive.c ---- */

/* How many of an owner's records in a mailbox are committed, received or not.
 * Nobody frees any. */
unsigned committed_in(const struct fr_arena *a, unsigned mailbox, unsigned owner);
/* Wait for what is owed to sleepers. must_be_rung: recovery has been done; who
 * sleeps on with nobody awake has been forgotten. */
void wait_for_owed(struct world *w, bool must_be_rung);
/* Others go on while the victim is stopped. */
void others_go_on(struct world *w);
/* All sleepers come to their end, by traffic. */
void end_sleepers(struct world *w);
/* Nobody but s is left: everything works, nothing has leaked. */
void exercise(struct world *w);
/* fr_check(). */
void check_arena(struct world *w, struct fr_arena *a);

#endif
