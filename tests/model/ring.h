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
#define OPEN 1
#define CLAIMED 2
#define READY 3
#define HELD 4
#define DONE 5
#define DEAD 6
#define FREE_STATE 7

#define TAG(state, owner, n, lap) ((state) << 8 | (owner) << 6 | (n) << 4 | (lap))
#define FREE(n, lap) (FREE_STATE << 8 | (n) << 4 | (lap))
#define STATE(t) ((t) >> 8)
#define OWNER(t) ((t) >> 6 & 3)
#define UNITS(t) ((t) >> 4 & 3)
#define TAG_LAP(t) ((t) & 15)
#define IS_RECORD(t, p)                                                        \
	(TAG_LAP(t) == LAP(p) && STATE(t) >= OPEN && STATE(t) <= DEAD &&       \
	 UNITS(t) >= 1 && UNITS(t) <= ROOM(p))
#define IS_FREE(t, p) (TAG_LAP(t) == LAP(p) && STATE(t) == FREE_STATE)

/* With LONG, records of two units and more are freed in runs of two, and all units are
 * in such runs at the start. */
#ifdef LONG
#define RUN 2
#else
#define RUN 1
#endif

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
			tag[U(p)] = FREE((p % 2 || p + 1 == head + N -> 1 : RUN),
					 LAP(p)); /* [RING-1] */
			p = p + UNITS(tag[U(p)])
		:: else -> break
		od;
		p = 0
	}
}

/* Ghost: n units from a position on, that belonged to one record, belong to another
 * now; 0: to none. */
inline give(position, n, old, record)
{
	if
	:: n > 1 ->
		assert(place[U(position + 1)] == old);
		place[U(position + 1)] = record
	:: else
	fi;
	if
	:: n > 2 ->
		assert(place[U(position + 2)] == old);
		place[U(position + 2)] = record
	:: else
	fi;
	assert(place[U(position)] == old); /* last: old may be this */
	place[U(position)] = record
}

/* ---- producers ---- */

#define producer_locals                                                        \
	short seen;                                                            \
	byte t, k, need, at, have, pc, n;                                 \
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
#define REST_TAG 12
#define SPLIT 13
#define KEEP 14
#define SETTLE 15

/* fr__ring_claim(): units at position at, in fact `have`; no_room if there is none and we were not to wait for it. */
inline claim(me, units, record, waits)
{
	do
	:: atomic { pc == TAIL -> t = tail; /* [RING-4] */ pc = LOOK }
	:: atomic { pc == LOOK ->
		seen = tag[U(t)]; /* [RING-2] */
		need = (units <= ROOM(t) -> units : ROOM(t));
		k = UNITS(seen);
		if
#ifdef NO_REST
		:: IS_FREE(seen, t) -> k = (k < need -> need : k); pc = TAKE
#else
		:: IS_FREE(seen, t) -> pc = (k >= need -> TAKE : REST)
#endif
		:: IS_RECORD(seen, t) -> pc = HELP
		:: else -> pc = (STATE(seen) != FREE_STATE &&
				 TAG_LAP(seen) + 1 == LAP(t) -> FULL : STALE)
		fi
	   }
	:: atomic { pc == HELP ->
#ifdef NO_HELP
		tail != t;
		pc = TAIL
#else
		if
#ifndef NO_SETTLE
		:: STATE(seen) == OPEN ->
			pc = (tail == t -> SETTLE : TAIL) /* [RING-4] */
		:: STATE(seen) != OPEN ->
#else
		:: true ->
#endif
			advance(t, UNITS(seen)); /* [RING-3] */
			pc = TAIL
		fi
#endif
	   }
	:: atomic { pc == SETTLE ->
		if
		:: tag[U(t)] == seen -> /* [RING-22] */
			tag[U(t)] = TAG(CLAIMED, OWNER(seen), UNITS(seen), LAP(t))
		:: else
		fi;
		pc = TAIL
	   }
	:: atomic { pc == REST ->
		if
		:: IS_FREE(tag[U(t + k)], t + k) -> /* [RING-2] */
			k = k + UNITS(tag[U(t + k)]);
			pc = (k >= need -> TAKE : REST)
		:: else -> pc = AGAIN
		fi
	   }
	:: atomic { pc == AGAIN ->
		pc = (tag[U(t)] == seen -> FULL : TAIL) /* [RING-2] */
	   }
	:: atomic { pc == TAKE ->
		if
#ifdef CLAIM_BY_STORE
		:: true ->
#else
		:: tag[U(t)] == seen -> /* [RING-6] */
#endif
			at = t;
			have = k;
			tag[U(t)] = TAG((need < units -> DEAD :
					 (need == k -> CLAIMED : OPEN)), me, k,
					LAP(t));
			if
			:: need < units ->
				assert(need == k);
				give(t, k, 0, PAD);
				pc = PADDED
			:: need == units && need == k ->
				give(t, k, 0, record);
				pc = TAIL;
				break
			:: else ->
				give(t, k, 0, record);
#ifdef REST_LATE
				pc = SPLIT
#else
				pc = REST_TAG
#endif
			fi
		:: else -> pc = TAIL
		fi
	   }
	/* give_back() */
	:: atomic { pc == REST_TAG ->
		assert((place[U(t + need)] & 15) == record);
		tag[U(t + need)] = FREE(k - need, LAP(t)); /* [RING-20] */
#ifdef REST_LATE
		pc = TAIL;
		break
#else
		pc = SPLIT
#endif
	   }
	:: atomic { pc == SPLIT ->
		if
#ifdef SPLIT_BY_STORE
		:: true ->
#else
		:: tag[U(t)] == TAG(OPEN, me, k, LAP(t)) -> /* [RING-21] */
#endif
			tag[U(t)] = TAG(CLAIMED, me, need, LAP(t));
			give(t + need, k - need, record, 0);
			have = need;
#ifdef REST_LATE
			pc = REST_TAG
#else
			pc = TAIL;
			break
#endif
		:: else -> pc = KEEP
		fi
	   }
	:: atomic { pc == KEEP ->
		tag[U(t + need)] = 0; /* [RING-20] */
		pc = TAIL;
		break
	   }
	:: atomic { pc == PADDED -> advance(t, need); /* [RING-3] */ pc = TAIL }
	:: atomic { pc == FULL && !waits -> no_room = true; pc = TAIL; break }
	:: atomic { pc == FULL && waits &&
		    (tail != t || tag[U(t)] != seen ||
		     (IS_FREE(seen, t) && IS_FREE(tag[U(t + k)], t + k))) ->
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

/* The body, and in its further units what looks like a record of the next lap. */
inline write_record(position, n, record)
{
	atomic {
		give(position, n, record, record | WRITTEN);
		if
		:: n > 1 -> /* [RING-13] */
			tag[U(position + 1)] = TAG(READY, 0, 1, LAP(position) + 1)
		:: else
		fi;
		if
		:: n > 2 -> tag[U(position + 2)] = TAG(READY, 0, 1, LAP(position) + 1)
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
			:: p >= head && IS_RECORD(s, p) ->
#ifdef NO_OWNER
				if
				:: STATE(s) <= CLAIMED
#else
				if
				:: STATE(s) <= CLAIMED && OWNER(s) == dead
#endif
				:: else ->
					p = (STATE(s) == OPEN -> end : p + UNITS(s));
					s = 0
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
					tag[U(p)] = TAG(DEAD, OWNER(s), UNITS(s), LAP(p));
					p = p + UNITS(s)
#ifdef BURY_ONCE
				:: else -> p = p + UNITS(s)
#else
				:: else
#endif
				fi;
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
			assert(IS_FREE(tag[U(p)], p));
			give(p, UNITS(tag[U(p)]), 0, 0);
			p = p + UNITS(tag[U(p)])
		:: else -> break
		od;
		p = 0
	}
}
