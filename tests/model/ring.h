/* SPDX-License-Identifier: MIT */
/*
 * The record ring of lib/ring.c, step by step: what ring.pml and mend.pml share.
 *
 * Each atomic {} is one access to shared memory, with what its process does on
 * its own around it: at most one label, that of the access in lib/. What only
 * one process could see or change just then is put together with its neighbour.
 * Where the C looks again and again, a process here waits until there is
 * something new to see: who can never go on is a deadlock, which spin reports.
 *
 * Beside the ring stand ghosts: what no process of the real ring sees, only the
 * checks. place[u] says which record unit u was given to, and whether its bytes
 * are written; committed and got are sets of records.
 */

#define N 4 /* units; the largest record has half of them */
#define LAP(p) ((p) / N)
#define U(p) ((p) % N)
#define ROOM(p) (N - U(p))

/* States of a tag. */
#define CLAIMED 1
#define READY 2
#define HELD 3
#define DONE 4
#define DEAD 5
#define FREE_STATE 7

#define TAG(state, owner, n, lap) ((state) << 8 | (owner) << 6 | (n) << 4 | (lap))
#define FREE(lap) (FREE_STATE << 8 | (lap))
#define STATE(t) ((t) >> 8)
#define OWNER(t) ((t) >> 6 & 3)
#define UNITS(t) ((t) >> 4 & 3)
#define TAG_LAP(t) ((t) & 15)
#define IS_RECORD(t, p)                                                        \
	(TAG_LAP(t) == LAP(p) && STATE(t) >= CLAIMED && STATE(t) <= DEAD &&    \
	 UNITS(t) >= 1 && UNITS(t) <= ROOM(p))

short tag[N];
byte head, tail; /* positions */

/* Ghosts. Records are numbered: sender * 4 + 1, 2, 3 in the order of claims. */
#define WRITTEN 16
#define PAD 15
#define SET(record) (1 << (record))
byte place[N];
int committed, got;

inline ring_init(start_at)
{
	d_step {
		head = start_at;
		tail = start_at;
		p = start_at;
		do
		:: p < head + N ->
			tag[U(p)] = FREE(LAP(p)); /* [RING-1] */
			p++
		:: else -> break
		od;
		p = 0
	}
}

/* Ghost: n units from a position on belong to a record now. */
inline give(position, n, record)
{
	assert(place[U(position)] == 0);
	place[U(position)] = record;
	if
	:: n == 2 ->
		assert(place[U(position + 1)] == 0);
		place[U(position + 1)] = record
	:: else
	fi
}

/* ---- producers ---- */

#define producer_locals                                                        \
	short seen;                                                            \
	byte t, k, need, at, pc, n;                                            \
	bool no_room

/* Move tail over n units, if nobody has. */
inline advance(position, n)
{
	if
	:: tail == position -> tail = position + n
	:: else
	fi
}

/* Where a claim is. */
#define TAIL 0
#define LOOK 1
#define HELP 2
#define REST 3
#define AGAIN 4
#define TAKE 5
#define PADDED 6
#define FULL 7
#define STALE 8
#define STALE_HEAD 9
#define STALE_MOVE 10
#define STALE_TAIL 11

/* fr__ring_claim(): units at position at; no_room if there is none and we were
 * not to wait for it. */
inline claim(me, units, record, waits)
{
	do
	:: atomic { pc == TAIL -> t = tail; /* [RING-4] */ pc = LOOK }
	:: atomic { pc == LOOK ->
		seen = tag[U(t)]; /* [RING-2] */
		need = (units <= ROOM(t) -> units : ROOM(t));
		k = 1;
		if
#ifdef NO_REST
		:: seen == FREE(LAP(t)) -> pc = TAKE
#else
		:: seen == FREE(LAP(t)) -> pc = (need == 1 -> TAKE : REST)
#endif
		:: IS_RECORD(seen, t) -> pc = HELP
		:: else -> pc = (STATE(seen) != FREE_STATE &&
				 TAG_LAP(seen) + 1 == LAP(t) -> FULL : STALE)
		fi
	   }
	:: atomic { pc == HELP ->
#ifdef NO_HELP
		tail != t;
#else
		advance(t, UNITS(seen)); /* [RING-3] */
#endif
		pc = TAIL
	   }
	:: atomic { pc == REST ->
		pc = (tag[U(t + k)] == FREE(LAP(t)) -> TAKE : AGAIN) /* [RING-2] */
	   }
	:: atomic { pc == AGAIN ->
		pc = (tag[U(t)] == FREE(LAP(t)) -> FULL : TAIL) /* [RING-2] */
	   }
	:: atomic { pc == TAKE ->
		if
#ifdef CLAIM_BY_STORE
		:: true ->
#else
		:: tag[U(t)] == FREE(LAP(t)) -> /* [RING-6] */
#endif
			tag[U(t)] = TAG((need == units -> CLAIMED : DEAD), me,
					need, LAP(t));
			if
			:: need == units ->
				give(t, need, record);
				at = t;
				pc = TAIL;
				break
			:: else ->
				give(t, need, PAD);
				pc = PADDED
			fi
		:: else -> pc = TAIL
		fi
	   }
	:: atomic { pc == PADDED -> advance(t, need); /* [RING-3] */ pc = TAIL }
	:: atomic { pc == FULL && !waits -> no_room = true; pc = TAIL; break }
	:: atomic { pc == FULL && waits &&
		    (tail != t || tag[U(t)] != seen ||
		     (need == 2 && seen == FREE(LAP(t)) && tag[U(t + 1)] == seen)) ->
		pc = TAIL
	   }
	/* catch_up() */
	:: atomic { pc == STALE ->
#ifdef NO_CATCH_UP
		tail != t;
#endif
		pc = (tail == t -> STALE_HEAD : TAIL) /* [RING-4] */
	   }
	:: atomic { pc == STALE_HEAD ->
		k = head; /* [RING-5] */
		pc = (t < k && k - t <= N -> STALE_MOVE : STALE_TAIL)
	   }
	:: atomic { pc == STALE_MOVE -> advance(t, k - t); /* [RING-3] */ pc = TAIL }
	:: atomic { pc == STALE_TAIL ->
		assert(tail != t); /* [RING-4]: else a sound ring is called damaged */
		pc = TAIL
	   }
	od;
	seen = 0;
	t = 0;
	k = 0;
	need = 0
}

/* The body, and in its second unit what looks like a record of the next lap. */
inline write_record(position, n, record)
{
	atomic {
		assert(place[U(position)] == record);
		place[U(position)] = record | WRITTEN;
		if
		:: n == 2 ->
			assert(place[U(position + 1)] == record);
			place[U(position + 1)] = record | WRITTEN;
			tag[U(position + 1)] = TAG(READY, 0, 1, LAP(position) + 1)
		:: else
		fi
	}
}

/* A record is committed by the store that publishes it. */
inline ready(me, position, n, record)
{
	assert((place[U(position)] & 15) == record);
	tag[U(position)] = TAG(READY, me, n, LAP(position));
	committed = committed | SET(record)
}

/* ---- the consumer: see consumer.h ---- */

/* Where it is. */
#define NEXT 0
#define GO_BACK 1
#define PEEK 2
#define HOLD 3
#define RELEASE 4
#define BORDER 5
#define HEAD 6
#define FREE_ONE 7
#define FREE_SECOND 8
#define FREE_HEADER 9
#define NOTHING 10
#define INIT 20
#define BEGIN 29
#define MEND 30
#define MEND_SCAN 31
#define MEND_AGAIN 32
#define MEND_ONE 33
#define MEND_HEADER 34

#define NONE 255

#define start(where)                                                           \
	pc = where;                                                            \
	first = head; /* [RING-14] */                                          \
	next = head;                                                           \
	p = head;                                                              \
	kept = NONE;                                                           \
	limit = 0;                                                             \
	rec = 0;                                                               \
	n = 0;                                                                 \
	i = 0;                                                                 \
	s = 0;                                                                 \
	then = 0;                                                              \
	blocked = 0;                                                           \
	open_at[0] = 0;                                                        \
	open_at[1] = 0;                                                        \
	open_tag[0] = 0;                                                       \
	open_tag[1] = 0

/* ---- a survivor. Locals: short s; byte p, end. ---- */

/* fr__ring_bury() */
inline bury(dead)
{
	atomic { p = head; /* [RING-5] */ end = p + N }
	do
	:: p < end ->
		atomic { s = tag[U(p)] /* [RING-2] */ }
		atomic {
			if
			:: p < head -> p = head; s = 0 /* [RING-5] */
			:: p >= head && s != FREE(LAP(p)) && IS_RECORD(s, p) ->
#ifdef NO_OWNER
				if
				:: STATE(s) == CLAIMED
#else
				if
				:: STATE(s) == CLAIMED && OWNER(s) == dead
#endif
				:: else -> p = p + UNITS(s); s = 0
				fi
			/* free, or being freed: behind it is nothing */
			:: else -> p = end; s = 0
			fi
		}
		if
		:: s != 0 ->
			atomic { /* [RING-15] */
				if
				:: tag[U(p)] == s ->
					tag[U(p)] = TAG(DEAD, OWNER(s), UNITS(s), LAP(p))
				:: else
				fi;
				p = p + UNITS(s);
				s = 0
			}
		:: else
		fi
	:: else -> break
	od
}

/* Ghost: nobody is at work, all has been received: every unit is free. */
inline all_free()
{
	d_step {
		p = head;
		assert(tail <= head);
		do
		:: p < head + N ->
			assert(tag[U(p)] == FREE(LAP(p)));
			assert(place[U(p)] == 0);
			p++
		:: else -> break
		od;
		p = 0
	}
}
