/* SPDX-License-Identifier: MIT */
/*
 * The damage fuzzer (damage.c): what its parts share.
 *
 *	damage.c	options, arenas one after the other
 *	watch.c		crashes, hangs, and what is said of them
 *	harm.c		where to write, and what
 *	crew.c		the lives of the healthy processes; supervisor and farm
 *	calls.c		every other public function: of arenas and processes
 *	mail.c, work.c	of messages; of tasks and events
 *	guard.c		guard pages around each mapping; signals of a crash
 *
 * Everything here is in memory of its own, shared by fork, never in an arena.
 */
#ifndef FR_TESTS_FUZZ_H
#define FR_TESTS_FUZZ_H

#include "forkring.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define MS	      INT64_C(1000000)
#define SEATS	      64u
#define EVENTS	      16u
#define DAMAGES_MAX   10u /* in one arena */
#define FUNCTIONS_MAX 96u

/* ---- random numbers: xorshift64*, seeded by whatever ---- */

struct dice {
	uint64_t state;
};

struct dice dice_of(uint64_t seed, uint64_t stream);
uint64_t roll(struct dice *d);
/* 0..below-1; below may be 0 and gives 0. */
uint32_t pick(struct dice *d, uint32_t below);
static inline bool one_in(struct dice *d, uint32_t n)
{
	return pick(d, n) == 0;
}

/* ---- the board: what all processes of the fuzzer share ---- */

/* One process. Its owner writes, main reads. */
struct seat {
	int32_t pid;	  /* 0: nobody */
	int32_t function; /* -1: in none */
	uint64_t ticks;	  /* calls, tasks and sleeps: moves while it lives on */
	uint32_t sleeping;
	/* Of a crash: the signal; set last. main sets looked when it has seen
	 * all that there is to see. */
	int32_t signal;
	uint32_t looked;
	uint64_t address;
};

struct board {
	uint32_t stop;	      /* end, in good order */
	uint32_t joined;      /* processes that have */
	uint32_t seats;	      /* taken in this arena */
	uint32_t ended_badly; /* children of children: crashed */
	uint32_t killed;      /* the same: killed, since they did not end */
	uint64_t expected;    /* address of a planted access out of bounds */
	int32_t farm_pid;     /* of who opened a farm, and its descriptor */
	int32_t farm_fd;
	uint64_t addrs[SEATS];
	uint64_t events[EVENTS];
	struct seat seat[SEATS];
	/* Of all arenas. */
	uint64_t calls[FUNCTIONS_MAX];
	uint64_t errors[FUNCTIONS_MAX];
	uint64_t refused; /* -EBADMSG and -EPROTO among them */
};

extern struct board *board;
extern struct seat *seat; /* this process's; NULL in main */

#define GET(x)	  __atomic_load_n(&(x), __ATOMIC_SEQ_CST)
#define SET(x, v) __atomic_store_n(&(x), v, __ATOMIC_SEQ_CST)
#define ADD(x, v) __atomic_fetch_add(&(x), v, __ATOMIC_SEQ_CST)

/* Take a seat for this process (again after a fork). */
void sit_down(void);
void tick(void);

/* ---- damage.c ---- */

/* What main knows, for watch.c; counts of the whole run. */
struct damage {
	const char *part;
	const char *how;
	size_t offset; /* in the arena */
	unsigned bytes;
	uint64_t before, after; /* of the first 8 bytes */
};

#define PROCESSES 4u

extern struct run {
	uint64_t seed;
	uint64_t damages, crashes, hangs;
	int64_t hang_ns; /* no step for so long is a hang */
	bool quiet;	 /* the failures are planted */
	/* Of the arena that is at work. */
	uint64_t number;
	struct damage log[DAMAGES_MAX];
	unsigned logged;
	bool told;
	pid_t children[PROCESSES];
} run;

/* ---- watch.c ---- */

int64_t now_ns(void);
void nap(int64_t ns);
/* Wait for all that is below main; ends what hangs. */
void reap_all(void);
/* Tell, once for each arena, how to repeat it and what was damaged. */
void tell_damages(void);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- guard.c ---- */

/* Catch the signals of a crash: tell main, show the stack, wait until main has
 * looked, end. */
void catch_crashes(void);
/* Built with AddressSanitizer? That tells of crashes itself. */
bool sanitized(void);
/* No lines on stderr about messages that nobody handles, and the like. What a
 * crash says goes to stdout. */
void be_silent(void);
/* Write this process's stack to stdout. Signal handlers too. */
void show_stack(void);
/* The guarded mapping, of those of this process, that was made last; NULL:
 * none. */
void *last_mapping(size_t *bytes);

/* ---- harm.c ---- */

struct harm; /* an arena and its parts */
struct harm *harm_open(struct fr_arena *arena);
void harm_close(struct harm *h);
void harm_once(struct harm *h, struct dice *d, struct damage *ret);
/* Damages so far by part, of the whole run. */
void harm_tell(FILE *out);

/* ---- crew.c ---- */

enum role {
	MEMBER,	 /* joins the arena, calls all but farm and supervisor */
	FOREMAN, /* the same, with a supervisor and children */
	FARMER,	 /* opens a farm; no arena is given */
};

struct part_of {
	enum role role;
	unsigned index;		/* of the processes of this arena */
	uint64_t seed;		/* of the arena */
	struct fr_arena *arena; /* inherited */
	const char *name;	/* NULL: nameless */
};

/* Until board->stop. Never returns. */
void live(const struct part_of *part) __attribute__((noreturn));
const char *function_name(int function);
unsigned functions(void);

#endif
