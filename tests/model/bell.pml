/* SPDX-License-Identifier: MIT */
/*
 * The bell (lib/bell.c): two threads of a process sleep on one word, for different
 * things; one ringer sends two records, each as fr_send() or as fr_commit() does it,
 * another sets a done bit. There are no slices: who sleeps, sleeps until it is rung.
 *
 * Promela is sequentially consistent, so memory is modelled: a store arrives at any
 * time after it was made, and each process's stores in any order; so does a
 * read-modify-write whose result nobody looks at. Loads are not early. A fence waits
 * until all of its process's own have arrived; so does a seq_cst load, for seq_cst
 * ones, and a read-modify-write with a result, which releases; and futex(2). A CAS
 * that fails is no fence. With X86 every read-modify-write is a fence, also a CAS
 * that fails, and "a fence right behind one" (fr__fence_behind_sc) is nothing.
 *
 * With DEATH ringer 1 is killed at any step; its stores arrive; the survivor says so
 * and rings.
 *
 * Checked: nobody sleeps on while what it waits for is there.
 */
/* variant -DX86: the memory of x86-64 */
/* variant -DDEATH: a ringer is killed */
/* mutant NO_FENCE: no fence between mark and last look */
/* mutant NO_FENCE_BEHIND: no fence between the CAS of tail and the look at the mark */
/* mutant PLAIN_LOOK: the look at the mark does not wait for the exchange before it */
/* mutant PLAIN_MARK -DX86: the mark is a plain store */
/* mutant PLAIN_PUBLISH -DX86: a record is published by a plain store alone */
/* mutant LOOK_FIRST: the last look is before the mark */
/* mutant BELL_LATE: the bell is read after the last look */
/* mutant NO_BELL: all are woken, but the bell does not move */
/* mutant BELL_FIRST: the bell moves before the mark is cleared */
/* mutant WAKE_ONE: one of those who sleep is woken */
/* mutant NO_SHAKE -DDEATH: recovery rings nobody */
/* mutant SHAKE_FIRST -DDEATH: recovery rings before it says who is dead */

#define SLEEPER_1 0 /* two threads of one process: one bell, one word of marks */
#define SLEEPER_2 1
#define RINGER_1 2
#define RINGER_2 3

#define MAIL 1
#define RESULT 2
#define MARK_OF(sleeper) (sleeper == SLEEPER_1 -> MAIL : RESULT)

/* The words: tags of two records and a done bit; marks; the bell. */
#define RECORD_1 0
#define RECORD_2 1
#define DONE_BIT 2
#define WAITING 3
#define BELL 4
bool truth[3];
byte waiting, bell;

bool asleep[2];
bool killed;    /* ringer 1 */
bool recovered; /* as sleepers see it: who they wait for is gone */

/* ---- memory: what each process has stored, and others do not see yet ---- */

bool pending[20];
#define PENDING(p, w) pending[(p) * 5 + (w)]
#define ARRIVED(p)                                                             \
	(!PENDING(p, 0) && !PENDING(p, 1) && !PENDING(p, 2) &&                 \
	 !PENDING(p, 3) && !PENDING(p, 4))

inline arrives(p, w)
{
	PENDING(p, w) = false;
	if
	:: w == WAITING -> waiting = waiting | MARK_OF(p)
	:: w == BELL -> bell++
	:: else -> truth[w] = true
	fi
}

active proctype memory()
{
end:
	do
	:: atomic { PENDING(SLEEPER_1, WAITING) -> arrives(SLEEPER_1, WAITING) }
	:: atomic { PENDING(SLEEPER_2, WAITING) -> arrives(SLEEPER_2, WAITING) }
	:: atomic { PENDING(RINGER_1, RECORD_1) -> arrives(RINGER_1, RECORD_1) }
	:: atomic { PENDING(RINGER_1, RECORD_2) -> arrives(RINGER_1, RECORD_2) }
	:: atomic { PENDING(RINGER_1, BELL) -> arrives(RINGER_1, BELL) }
	:: atomic { PENDING(RINGER_2, DONE_BIT) -> arrives(RINGER_2, DONE_BIT) }
	:: atomic { PENDING(RINGER_2, BELL) -> arrives(RINGER_2, BELL) }
	od
}

/* A plain store, or a release store. */
#define STORE(p, w) PENDING(p, w) = true

/* A full fence. One that stands behind a read-modify-write is none on x86-64,
 * where that is one already. */
#define FENCE(p) ARRIVED(p)
#ifdef X86
#define FENCE_BEHIND(p) skip
#else
#define FENCE_BEHIND(p) ARRIVED(p)
#endif

/* A read-modify-write, seq_cst, whose result nobody looks at. */
#ifdef X86
#define CHANGE(p, w) atomic { ARRIVED(p) -> arrives(p, w) }
#else
#define CHANGE(p, w) atomic { STORE(p, w) }
#endif

/* A CAS, seq_cst, of a word that is not modelled: a fence if it succeeds, and on
 * x86-64 if it fails. */
#ifdef X86
#define CAS(p) ARRIVED(p)
#else
#define CAS(p)                                                                 \
	if                                                                     \
	:: ARRIVED(p)                                                          \
	:: skip                                                                \
	fi
#endif

/* ---- */

/* futex(2) has a full fence in front of its look, and looks and sleeps at once
 * against its waking. */
inline futex_wait(me, v)
{
	atomic {
		ARRIVED(me);
		if
		:: bell == v -> asleep[me] = true
		:: else
		fi
	}
	!asleep[me]
}

inline futex_wake(me)
{
	atomic {
		ARRIVED(me);
#ifdef WAKE_ONE
		if
		:: asleep[0] -> asleep[0] = false
		:: asleep[1] -> asleep[1] = false
		:: !asleep[0] && !asleep[1]
		fi
#else
		asleep[0] = false;
		asleep[1] = false
#endif
	}
}

/* fr__bell_wait(): until truth[w]. */
inline wait(me, w)
{
	do
	:: atomic { truth[w] || recovered -> break }
	:: atomic { !truth[w] && !recovered }
	   /* sleep_once() */
#ifdef LOOK_FIRST
	   if
	   :: atomic { truth[w] || recovered -> break }
	   :: atomic { !truth[w] && !recovered }
	   fi;
#endif
#ifndef BELL_LATE
	   atomic { v = bell } /* [BELL-8] */
#endif
#ifdef PLAIN_MARK
	   atomic { STORE(me, WAITING) }
#else
	   CHANGE(me, WAITING) /* [BELL-2] */
#ifndef NO_FENCE
	   FENCE_BEHIND(me); /* [BELL-2] */
#endif
#endif
#ifndef LOOK_FIRST
	   if
	   :: atomic { truth[w] || recovered -> break } /* [RING-11], [TASK-9] */
	   :: atomic { !truth[w] && !recovered }
	   fi;
#endif
#ifdef BELL_LATE
	   atomic { v = bell }
#endif
	   futex_wait(me, v);
	   v = 0
	od;
	v = 0
}

/* fr__bell_ring() */
inline ring(me, mark)
{
#ifdef PLAIN_LOOK
	atomic { seen = waiting & mark }
#else
	atomic { !unseen || ARRIVED(me) -> seen = waiting & mark /* [BELL-1] */ }
#endif
	unseen = false;
	if
	:: seen ->
#ifdef BELL_FIRST
		CHANGE(me, BELL)
		futex_wake(me);
#endif
		atomic {
			ARRIVED(me);
			seen = waiting & mark; /* [BELL-3] */
			waiting = waiting & ~mark
		}
#ifndef BELL_FIRST
		if
		:: seen ->
#ifndef NO_BELL
			CHANGE(me, BELL) /* [BELL-4] */
#endif
			futex_wake(me)
		:: else
		fi
#endif
	:: else
	fi;
	seen = 0
}

active proctype sleeper_1()
{
	byte v;

	wait(SLEEPER_1, RECORD_1);
	wait(SLEEPER_1, RECORD_2)
}

active proctype sleeper_2()
{
	byte v;

	wait(SLEEPER_2, DONE_BIT)
}

inline send(w)
{
	if
	:: /* fr_send() */
		atomic { STORE(RINGER_1, w) } /* [RING-18] */
#ifndef PLAIN_PUBLISH
		CAS(RINGER_1); /* [RING-19] */
#ifndef NO_FENCE_BEHIND
		FENCE_BEHIND(RINGER_1); /* [RING-19] */
#endif
#endif
	:: /* fr_commit() */
		CHANGE(RINGER_1, w) /* [RING-7] */
		unseen = true
	fi;
	ring(RINGER_1, MAIL)
}

active proctype ringer_1()
{
	byte seen;
	bool unseen; /* a seq_cst operation may not have arrived */

	{
		send(RECORD_1);
		send(RECORD_2)
	} unless { killed }
}

active proctype ringer_2()
{
	byte seen;
	bool unseen;

	CHANGE(RINGER_2, DONE_BIT) /* [TASK-7] */
	unseen = true;
	ring(RINGER_2, RESULT)
}

#ifdef DEATH
active proctype survivor()
{
	killed = true;
	ARRIVED(RINGER_1); /* the kernel's doing, before it drops the lock */
#ifdef SHAKE_FIRST
	atomic { bell++ }
	atomic { asleep[0] = false; asleep[1] = false }
#endif
	recovered = true;
#if !defined(NO_SHAKE) && !defined(SHAKE_FIRST)
	/* fr__bell_shake() */
	atomic { bell++ } /* [BELL-4] */
	atomic { asleep[0] = false; asleep[1] = false }
#endif
}
#endif
