/* SPDX-License-Identifier: MIT */
/* The handle of one joined process, and the slot state word; see process.c. */
#ifndef FR_LIB_PROCESS_H
#define FR_LIB_PROCESS_H

#include "arena.h"
#include "bell.h"
#include "forkring/process.h"
#include "forkring/task.h"

#include <errno.h>

struct fr_result;
struct fr__routes;   /* route.c */
struct fr__handlers; /* handler.c */

struct fr_process {
	struct fr_arena *arena;
	struct fr__cookie cookie;
	struct fr__slot *slot;
	unsigned index;      /* of the slot */
	uint32_t generation; /* of the slot while we hold it */
	bool named;
	struct fr__bell bell;
	/* Mailbox, receiving side: one thread at a time. */
	struct fr__ring mailbox;
	struct fr__reader reader;
	unsigned empty_looks; /* since units were freed */
	unsigned came_ns; /* what has come since we last waited, as time */
	unsigned next_waiter; /* for room: where to look for one first */
	struct fr__a32 room_threads; /* that wait for room just now */
	struct fr__a32 owes_look; /* units were freed since the last look */
	struct fr__a32 only_receives; /* has not sent since it last waited */
	/* The record that was found and is not given out yet, not all of it. */
	struct fr__found {
		bool any;
		unsigned owner;
		uint32_t units;
		uint32_t len;   /* bytes of body */
		uint32_t type;
		uint32_t parts; /* to give out; 0: it is no batch */
		uint32_t at;    /* in the body, of the next part */
		uint64_t position;
	} found;
	/* Batches that were received: where, and how many of their parts are not
	 * released yet; by the unit of their record. */
	struct fr__held {
		uint64_t position;
		uint32_t parts; /* 0: none */
	} *held;
	uint32_t batches;
	uint32_t look_due; /* for who waits for room: after so many units freed */
	int64_t looked_ns; /* when that was last due, of CLOCK_MONOTONIC */
	/* Tasks, worker's side: one thread at a time. */
	uint32_t in_hand; /* cell + 1; 0: none */
	bool took;        /* any so far */
	uint64_t in_hand_state;
	/* Tasks, submitter's side: any thread. Bits of own cells: free to
	 * fill; finished and not collected yet. */
	struct fr__a64 *free_cells;
	struct fr__a64 *finished;
	unsigned cell_words; /* of each */
	uint32_t cells;      /* own ones, from first_cell on */
	uint32_t first_cell;
	struct fr__a32 outstanding;
	struct fr__a32 collectors; /* threads that look for results */
	/* liburcu's tables. */
	struct fr__routes *routes;
	struct fr__handlers *handlers;
};

/* ---- addresses ---- */

static inline struct fr_addr fr__addr(unsigned slot, uint32_t generation)
{
	return (struct fr_addr){(uint64_t)generation << 32 | slot};
}

static inline unsigned fr__addr_slot(struct fr_addr a)
{
	return (uint32_t)a.id;
}

static inline uint32_t fr__addr_generation(struct fr_addr a)
{
	return (uint32_t)(a.id >> 32);
}

/* ---- the slot state word ---- */

static inline uint64_t fr__slot_word(enum fr__slot_state state, uint32_t who,
				     uint32_t generation)
{
	return (uint64_t)state << 60 | (uint64_t)(who & 0xfffffff) << 32 |
	       generation;
}

static inline enum fr__slot_state fr__slot_state(uint64_t word)
{
	return (enum fr__slot_state)(word >> 60);
}

static inline uint32_t fr__slot_who(uint64_t word)
{
	return word >> 32 & 0xfffffff;
}

static inline uint32_t fr__slot_generation(uint64_t word)
{
	return (uint32_t)word;
}

/* Can it be sent to: reserved, joining or joined, in this generation? */
static inline bool fr__slot_is(uint64_t word, uint32_t generation)
{
	return fr__slot_generation(word) == generation &&
	       fr__slot_state(word) >= FR__SLOT_RESERVED &&
	       fr__slot_state(word) <= FR__SLOT_JOINED;
}

/* The slot of a live address, or NULL. */
static inline struct fr__slot *fr__slot_of(const struct fr_arena *a,
					   struct fr_addr addr)
{
	struct fr__slot *s;

	if (fr__addr_slot(addr) >= a->geo.slots)
		return NULL;
	s = &a->slots[fr__addr_slot(addr)];
	/* [PROCESS-1] acquire: state JOINED -> the name and mailbox of this
	 * generation. Pairs with [PROCESS-2]. Without it: the predecessor's
	 * name is read. */
	return fr__slot_is(fr__load_acquire(&s->state),
			   fr__addr_generation(addr))
		       ? s
		       : NULL;
}

/* -ECHILD in a process that did not join by this handle. */
static inline int fr__own(const struct fr_process *p)
{
	return fr__cookie_good(&p->cookie) ? 0 : -ECHILD;
}

/* Ring every process that sleeps for this mark: rare things only. */
void fr__wake_all(const struct fr_arena *a, uint32_t mark);
/* Those who look round look at a slot with this bit. Under the slot's lock; or the own. */
void fr__joined_bit(const struct fr_arena *a, unsigned slot, bool on);

/* ---- liveness.c: who lives. All under a->join_mutex ---- */

/* The lock of a slot, which shows that its holder lives. 0, -EAGAIN: somebody
 * has it, this process too; -ENOLCK. */
int fr__life_lock(struct fr_arena *a, unsigned slot);
void fr__life_unlock(struct fr_arena *a, unsigned slot);
/* The note of it only: the lock was lost, and is perhaps somebody else's. */
void fr__life_forget(struct fr_arena *a, unsigned slot);
/* With the lock: say who we are, before the state does. */
void fr__life_sign(const struct fr_arena *a, unsigned slot);
/* Is the process proven dead that a slot's state word names? */
bool fr__dead(struct fr_arena *a, unsigned slot, uint64_t word);

/* ---- route.c ---- */

int fr__routes_init(struct fr_process *p);
void fr__routes_free(struct fr_process *p);
/* Enter and remove (slot, generation) under a name. -ENOSPC never with sound
 * geometry. */
int fr__route_add(const struct fr_arena *a, const char *name, unsigned slot,
		  uint32_t generation);
void fr__route_remove(const struct fr_arena *a, unsigned slot,
		      uint32_t generation);
/* Routes may have changed: none that is cached is good any more. */
void fr__routes_changed(const struct fr_arena *a);
/* Holders of a name, through the process's cache. Count, or -errno. */
int fr__route_find(struct fr_process *p, const char *name,
		   struct fr_addr *addrs, unsigned max);

/* Texts as they stand in the arena: words, so that reading one that changes is no
 * data race. Of `bytes`, NUL included: longer ones are cut. */
void fr__text_store(struct fr__a64 *words, const char *text, size_t bytes);
void fr__text_load(const struct fr__a64 *words, char *text, size_t bytes);

static inline void fr__name_store(struct fr__a64 *words, const char *name)
{
	fr__text_store(words, name, FR__NAME_BYTES);
}

static inline void fr__name_load(const struct fr__a64 *words, char *name)
{
	fr__text_load(words, name, FR__NAME_BYTES);
}

/* Take back the claims of a process that is gone, in all mailboxes. */
void fr__bury_claims(const struct fr_arena *a, unsigned of);
/* Give back what a process that is gone had reserved. */
void fr__unreserve_all(const struct fr_arena *a, unsigned by);

/* ---- receive.c: for waits on mail ---- */

int fr__mail_init(struct fr_process *p);

/* 1: a message is there for the next receive; 0; -EBADMSG. */
int fr__mail_ready(struct fr_process *p);
/* Somebody of the process is about to sleep: look for who waits for room. */
void fr__mail_before_sleep(struct fr_process *p);

/* ---- mailbox.c ---- */

/* Parts of a ring: who waits for room is woken when one is free. */
#define FR__ROOM_PARTS 2

/*
 * Wake one who waits for room in that mailbox: the first of count slots from
 * `from` on. Its number, or -1. If there are more, the flag stays up.
 */
int fr__room_wake_one(const struct fr_arena *a, unsigned mailbox, unsigned from,
		      unsigned count);

static inline uint32_t fr__part_bytes(size_t len)
{
	return (uint32_t)(sizeof(struct fr__part) + (len + 7) / 8 * 8);
}

/* fr_send() of the message of a call, see call.c. */
struct fr_type;
int fr__send_call(struct fr_process *p, struct fr_addr to, struct fr_type type,
		  uint64_t call, const void *body, size_t len, int64_t wait_ns);

/* ---- call.c ---- */

/* Nobody here handles it: the caller is told. */
void fr__call_refuse(struct fr_process *p, uint64_t call);

/* ---- task.c ---- */

/* How often a worker naps, and for how long it does, or a collector: what is left to
 * others, or comes meanwhile, waits so long for it at most. */
#define FR__NAP_TIMES 8
#define FR__NAP_NS INT64_C(500000)

int fr__task_ready(struct fr_process *p);
void fr__task_arm(struct fr_process *p, enum fr__arm how);
/* Somebody who was chosen to take a task goes away without: if there is one,
 * wake another. */
void fr__task_pass_on(const struct fr_arena *a);
/* We have nothing to do: there is a CPU for a worker that naps. */
void fr__task_make_room(const struct fr_arena *a);

/* fr_collect(); lazy: when it must sleep, it is woken for a batch of results, or
 * when the task ring runs dry: for who has more tasks to submit. */
int fr__collect(struct fr_process *p, int64_t wait_ns, bool lazy,
		struct fr_result *ret);
int fr__tasks_init(struct fr_process *p);
void fr__tasks_leave(struct fr_process *p);
/* A worker proven dead had this slot: hand its task on. */
void fr__tasks_recover(const struct fr_arena *a, unsigned slot);
/* The task that the holder of a slot, which is gone, has in hand. */
struct fr_end;
void fr__task_of(const struct fr_arena *a, unsigned slot, struct fr_end *e);
/* A submitter is gone: drop what it has queued or finished. */
void fr__tasks_drop(const struct fr_arena *a, unsigned slot);

/* ---- handler.c ---- */

int fr__handlers_init(struct fr_process *p);
void fr__handlers_free(struct fr_process *p);
/* fr_run() to a deadline; says why it ended: FR_STOP, FR__TIME_UP or -errno. */
#define FR__TIME_UP 3
struct fr_run_opts;
int fr__run(struct fr_process *p, const struct fr_run_opts *opts,
	    int64_t deadline);

/* ---- event.c ---- */

/* Have all who sleep for an event look again; rare: those without a mark too. */
void fr__events_shake(const struct fr_arena *a, bool all);
/* The reserver is gone: free its events. */
void fr__events_release_of(const struct fr_arena *a, unsigned slot);

/* ---- recover.c ---- */

/* Recover the holder of a slot if it is proven dead. True: it is done. */
bool fr__recover(struct fr_arena *a, unsigned slot);
/* A wait goes on: see to that slot (+ 1; 0: none) and (all) to some others, in
 * turn. For fr__bell.look. */
void fr__look_round(void *process, unsigned depends, bool all);

#endif
