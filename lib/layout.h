/* SPDX-License-Identifier: MIT */
/*
 * Every struct that lives in shared memory.
 *
 *	offset 0
 *	+---------------------------------------------------------------+
 *	| header          geometry, secret; never changes after create  |
 *	+---------------------------------------------------------------+
 *	| slots           one per process: state, bell, name, taking    |
 *	+---------------------------------------------------------------+
 *	| name index      hash of a name -> slot, generation            |
 *	+---------------------------------------------------------------+
 *	| types           hash of a name -> id, parent, text            |
 *	+---------------------------------------------------------------+
 *	| idle, naps,     bit per slot: sleeps and wants a task; the    |
 *	| awake, joined   same, but looks again in a moment; awake;     |
 *	|                 to be looked at                               |
 *	+---------------------------------------------------------------+
 *	| done            per slot a bit per cell: finished, collect it |
 *	+---------------------------------------------------------------+
 *	| task ring       words: cell, generation, lap                  |
 *	+---------------------------------------------------------------+
 *	| events          truth word and bell each                      |
 *	+---------------------------------------------------------------+
 *	| cells           per slot: its outstanding tasks and results   |
 *	+---------------------------------------------------------------+
 *	| mailboxes       per slot: control lines, then 64-byte units   |
 *	+---------------------------------------------------------------+
 *
 * Each part starts on a page. Where a part starts follows from the geometry
 * alone (fr__layout_of), so no offset is stored, and no pointer ever is.
 *
 * W: who may write a field. R: who reads it. "owner" is the process that holds
 * the slot, "any" every process of the arena.
 */
#ifndef FR_LIB_LAYOUT_H
#define FR_LIB_LAYOUT_H

#include "atomic.h"
#include "forkring/base.h"

#include <stddef.h>

#define FR__MAGIC UINT64_C(0x676e69726b726f66) /* "forkring", little-endian */
#define FR__LAYOUT_VERSION 6
#define FR__LINE 64
#define FR__SLOTS_MAX 4096
#define FR__NAME_BYTES (FR_NAME_MAX + 1)
#define FR__WORDS_BYTES 64 /* of last words, with the NUL */

/* What an arena's size and offsets follow from. W: creator, before the name. */
struct fr__geometry {
	uint32_t slots;
	uint32_t main_cells;    /* of slot 0 */
	uint32_t cells;         /* of every other slot */
	uint32_t mailbox_units; /* per slot; a power of two */
	uint32_t events;
	uint32_t types;         /* a power of two */
	uint32_t names;         /* words of the name index; a power of two */
	uint32_t task_words;    /* of the task ring; a power of two */
	uint32_t arg_max;       /* bytes; a multiple of 8 */
	uint32_t result_max;    /* bytes; a multiple of 8 */
};

struct fr__header {
	/* W: creator, before the arena has a name. R: any. */
	uint64_t magic;
	uint64_t fingerprint; /* of layout version, struct sizes, byte order */
	uint64_t bytes;       /* of the whole arena */
	uint64_t checksum;    /* of geometry and bytes: damage shows at attach */
	struct fr__geometry geo;
	uint64_t secret;         /* of which that of each ring is made, XORed over its tags */
	uint64_t start_position; /* of every ring */
	char pad0[128 - 88];
	/* W: any that registers or removes a name. R: any. Even or odd, each
	 * change of the name index adds one: a cached route is good while it
	 * stays. */
	struct fr__a64 names_version;
	/* W: any that makes a group. Events given to groups so far. */
	struct fr__a32 events_used;
	/* W: any that registers. Longest probe ever made in the name index. */
	struct fr__a32 names_probe;
	/* W: who takes the arena away, with every lock of it. R: who attaches
	 * or joins, once it has its lock. 1: nobody shall. */
	struct fr__a32 removed;
	char pad1[256 - 128 - 20];
	/* W: who wakes an idle worker, and workers. R: who submits. Slot + 1 of
	 * a worker that was woken and has not looked at the task ring yet; it
	 * will wake the next. 0: nobody. A hint that anybody may clear. */
	struct fr__a32 waking;
	/* W: lazy collectors before they sleep; who rings them clears it. R: who
	 * takes tasks. */
	struct fr__a32 lazy;
	char pad2[4096 - 256 - 8];
};

/* Slot state word: state (4 bits) | who (28) | generation (32). */
enum fr__slot_state {
	FR__SLOT_FREE = 0, /* who: 0. Generation: of the last holder */
	FR__SLOT_RESERVED, /* who: slot of the process that reserved it */
	FR__SLOT_JOINING,  /* who: pid */
	FR__SLOT_JOINED,   /* who: pid */
	FR__SLOT_LEAVING,  /* who: pid */
	FR__SLOT_RECOVERING, /* who: pid of the process that recovers it */
	FR__SLOT_DEAD,       /* who: pid of the dead, who held or recovered it */
};

/* Marks: what a process sleeps for. */
#define FR__MARK_MAIL UINT32_C(1)
#define FR__MARK_ROOM UINT32_C(2)
#define FR__MARK_TASK UINT32_C(4)
#define FR__MARK_RESULT UINT32_C(8)
#define FR__MARK_NAME UINT32_C(16)
#define FR__MARK_EVENT UINT32_C(32)
#define FR__MARK_CELLS UINT32_C(64) /* results too, but not one by one */

struct fr__slot {
	/* Line 0: read by every sender, hardly ever written.
	 * state: W: by CAS, see enum. waiting: W: owner sets a mark before it
	 * sleeps, whoever rings clears it. bell: W: whoever rings adds one;
	 * the owner's threads sleep on it. R: any. */
	struct fr__a64 state;
	struct fr__a32 waiting;
	struct fr__a32 bell;
	char pad0[64 - 16];
	/* Line 1: W: owner, before its state is JOINED. R: any, who look at the
	 * state before and after. "" is nameless. */
	struct fr__a64 name[FR__NAME_BYTES / 8];
	/* W: who joins in the slot or recovers it, under the slot's record
	 * lock, before the CAS of its state. R: who asks whether that process
	 * lives. Its pid namespace (inode); its pid and when it started (clock
	 * ticks since boot); 0: not known. */
	struct fr__a64 space;
	struct fr__a64 started;
	/* Line 2: W: owner. The task-ring word that it is about to take, or has
	 * taken: what a survivor pushes again if the owner died. R: recovery. */
	struct fr__a64 taking;
	/* W: owner. Slot + 1 of the mailbox in which it waits for room; 0: of
	 * several. R: who wakes it. */
	struct fr__a32 room_of;
	/* W: owner, once it has taken a task: its generation. R: supervisors,
	 * after its end. */
	struct fr__a32 took;
	char pad2[64 - 16];
	/* Line 3: W: owner; "" when it joins. R: who reports its end. */
	struct fr__a64 last_words[FR__WORDS_BYTES / 8];
};

/*
 * Name index word: hash (16 bits) | slot (16) | generation (32); 0 is empty.
 * W: by CAS; the word itself says whose it is.
 */

/* A type: identity is the 64-bit hash of its name, so that one CAS makes it,
 * and whoever interns the same name again writes the same text again. */
struct fr__type_entry {
	/* W: once, by CAS from 0. R: any. */
	struct fr__a64 hash;
	/* W: once, by CAS from 0: id of the parent. R: any. */
	struct fr__a32 parent;
	uint32_t reserved;
	/* W: any that interns this name, always the same text. R: any. */
	struct fr__a64 text[FR__NAME_BYTES / 8];
};

/*
 * Event truth word: generation (40) | owner slot (12) | reserved (1) | set (1) |
 * posts (10). The bell only wakes; a waiter believes the word.
 */
struct fr__event {
	/* W: any, by CAS. R: any. */
	struct fr__a64 truth;
	/* As a slot's: W: who waits for the event, who changes it. R: any. */
	struct fr__a32 waiting;
	struct fr__a32 bell;
	char pad[64 - 16];
};

/* Cell state word: generation (32) | attempt (8) | state (4) | owner slot (12) |
 * outcome (8, enum fr_task_status). The owner is the submitter while FILLING,
 * QUEUED and HELD, the worker while TAKEN, and who finished it while DONE. */
enum fr__cell_state {
	FR__CELL_FREE = 0,
	FR__CELL_FILLING,
	FR__CELL_QUEUED,
	FR__CELL_TAKEN,
	FR__CELL_DONE,
	FR__CELL_HELD, /* the submitter reads the result */
};

struct fr__cell {
	/* W: by CAS. R: any. */
	struct fr__a64 state;
	/* W: submitter while FILLING. R: worker, recovery. */
	uint64_t from; /* address */
	uint32_t kind;
	uint32_t arg_len;
	/* W: worker while TAKEN; the submitter before it cancels. R: submitter
	 * while DONE. */
	uint32_t result_len;
	int32_t value;
	uint64_t worker; /* address */
	/* W: submitter while FILLING. R: worker. Behind it the result
	 * (fr__cell_result_at()): W: worker while TAKEN. R: submitter. */
	unsigned char arg[];
};

/* Control lines of a record ring, a pair of lines apart: the CPU fetches
 * neighbouring lines together. */
struct fr__ring_ctl {
	/* W: producers, by CAS. R: producers. Hint: never past the true end. */
	struct fr__a64 tail;
	char pad0[128 - 8];
	/* head: W: the consumer. R: producers with a stale tail, recovery.
	 * room: W: producers that wait for room set it, the consumer clears. */
	struct fr__a64 head;
	struct fr__a32 room;
	char pad1[128 - 12];
};

/*
 * A record starts at a unit; the ring itself uses tag and len only.
 * Tag, XOR secret: state (3) | owner slot (12) | units (17) | lap (32). (Of a run
 * of free units: ring.c.)
 */
struct fr__record {
	/* W: producer by CAS from FREE, then until it is READY; then the
	 * consumer. R: any. */
	struct fr__a64 tag;
	/* W: producer between claim and commit. R: consumer. */
	uint32_t len;  /* bytes of body */
	uint32_t type;
	uint32_t from_generation; /* of the slot that the tag names */
	uint32_t to_generation;
	unsigned char body[];
};

/* In a record's type: its body begins with the number of a call; it is a batch, of
 * so many parts as the rest says, each with this in front, at multiples of 8. */
#define FR__WANTS_REPLY (UINT32_C(1) << 31)
#define FR__PARTS (UINT32_C(1) << 30)
struct fr__part {
	/* W: producer between claim and commit. R: consumer. */
	uint32_t len;  /* bytes */
	uint32_t type;
};

/* Control lines of the task ring. */
struct fr__taskring_ctl {
	struct fr__a64 tail; /* W: who push, by CAS. Hint. */
	char pad0[128 - 8];
	struct fr__a64 head; /* W: who take, by CAS. Hint. */
	char pad1[128 - 8];
};

_Static_assert(sizeof(struct fr__header) == 4096, "a page");
_Static_assert(offsetof(struct fr__header, names_version) == 128, "own line");
_Static_assert(offsetof(struct fr__header, waking) == 256, "own line");
_Static_assert(sizeof(struct fr__slot) == 256, "four lines");
_Static_assert(offsetof(struct fr__slot, name) == 64, "line 1");
_Static_assert(offsetof(struct fr__slot, taking) == 128, "line 2");
_Static_assert(sizeof(struct fr__type_entry) == 64, "one line");
_Static_assert(sizeof(struct fr__event) == 64, "one line");
_Static_assert(sizeof(struct fr__cell) == 40, "24 bytes left in a line");
_Static_assert(sizeof(struct fr__ring_ctl) == 256, "two pairs of lines");
_Static_assert(sizeof(struct fr__record) == 24, "40 bytes left in a line");
_Static_assert(sizeof(struct fr__taskring_ctl) == 256, "two pairs of lines");
_Static_assert(FR__NAME_BYTES % 8 == 0, "names are copied by words");

#endif
