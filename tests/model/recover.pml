/* SPDX-License-Identifier: MIT */
/*
 * Recovery of one slot (lib/recover.c) and joining in it (lib/process.c), by the
 * proof of death of lib/liveness.c: its holder is dead when we start. Two processes
 * look whether it lives; a third joins in it, which looks, too, and then works. Up to
 * two of the three are killed, each at any step; whoever is left has the slot free,
 * or itself in it, and nothing of the dead remains.
 *
 * As is, all are of one pid namespace; once the lock of the slot is lost without a
 * death: its holder has closed a descriptor of the file, whatever it was at. With
 * ELSEWHERE they do not see each other, the lock alone is the proof, and nobody
 * closes anything.
 *
 * Whoever depends on the holder of the slot and looks at it (is_dead()) finds it
 * dead at once, and may say so in its state, whoever is stopped with the lock:
 * untold.
 *
 * Each atomic {} is one access to shared memory, or one system call. The kernel
 * drops the lock of who is killed in the same step. A signature is the starting time
 * of who signed, written as its pid. Strangers have the pids of some of the dead,
 * and have the same arena mapped: the starting time alone tells. There is none if a
 * signer has died, or lost the lock, before the state named it: then the slot is
 * recovered when the stranger ends, muddled.
 */
/* variant -DELSEWHERE: in another pid namespace, with the lock alone */
/* mutant NO_MARK: the state does not say who is dead before the lock is taken */
/* mutant NO_LOCK: recovered without the slot's lock */
/* mutant NO_RECHECK: signed without a look whether another has recovered it */
/* mutant SIGN_LATE: signed after the state names the recoverer */
/* mutant TRUST_STATE: who holds no lock is dead, whoever the state names */
/* mutant TRUST_PID: who has the pid that the state names is who it names */
/* mutant TRUST_LOCK: whom the state names lives if anybody has the lock */
/* mutant ANY_SIGNATURE: the starting time counts, whoever has signed */
/* mutant UNLOCK_EARLY -DELSEWHERE: the lock is given back before the last step */
/* mutant FREE_FIRST: the slot is FREE before the steps */
/* mutant NO_NOTE: the task made QUEUED again is not found by the next recoverer */
/* mutant NO_NAME: the name is left */
/* mutant JOIN_NO_LOCK -DELSEWHERE: joined without the slot's lock */

/* Pids, or nobody. */
#define DEAD 1
#define RECOVERER_1 2
#define RECOVERER_2 3
#define JOINER 4
#define STRANGER 7
#define KILLS 2

/* The slot's state word. */
#define FREE 0
#define JOINING 2
#define JOINED 3
#define RECOVERING 5
#define DEAD_SLOT 6
#define WORD(state, pid, g) ((state) << 5 | (g) << 3 | (pid))
#define STATE(w) ((w) >> 5)
#define GENERATION(w) ((w) >> 3 & 3)
#define PID(w) ((w) & 7)

byte state = WORD(JOINED, DEAD, 1);
byte signature = DEAD;
byte lock;
bool noted[5]; /* own memory: the process has the lock, it believes */
bool killed[5];

/* What the slot's holder has: a generation, 0: nothing. */
byte claim = 1, name = 1;
/* Its task, its note of what it takes, and the entries of it in the task ring. */
#define TAKEN 0 /* by whoever is in this slot */
#define QUEUED 1
#define DONE 2
byte cell = TAKEN;
bool taking = true;
byte entries;

/* Ghosts. */
byte inside;  /* recoverers between the two CASes of the state */
byte in_it;   /* which */
bool rung;    /* since the holder's death */
byte results;
bool joined;
bool muddled; /* the signature is of who was not there in time */
bool ended;   /* the strangers */

#define HELD_BY(pid) (STATE(state) >= JOINING && PID(state) == (pid))

/* Who has that pid now; 0: nobody. */
#define STARTED(pid)                                                           \
	(!killed[pid] -> (pid) : ((pid) == RECOVERER_2 || ended -> 0 : STRANGER))

/* held_by(), and is_gone() as me sees it. */
#if defined(ELSEWHERE) || defined(TRUST_LOCK)
#define LOCKED_BY(pid) (lock != 0)
#else
#define LOCKED_BY(pid) (lock == (pid))
#endif
#if defined(ELSEWHERE) || defined(TRUST_STATE)
#define GONE(me, pid, signed) true
#elif defined(TRUST_PID)
#define GONE(me, pid, signed) (STARTED(pid) == 0 || (pid) == (me))
#elif defined(ANY_SIGNATURE)
#define GONE(me, pid, signed)                                                  \
	(STARTED(pid) == 0 || (pid) == (me) || (signed) != STARTED(pid))
#else
#define GONE(me, pid, signed)                                                  \
	(STARTED(pid) == 0 || (pid) == (me) ||                                 \
	 ((signed) == (pid) && (signed) != STARTED(pid)))
#endif
#define DEAD_TO(me)                                                            \
	(STATE(state) == DEAD_SLOT ||                                          \
	 (STATE(state) >= JOINING && !LOCKED_BY(PID(state)) &&                 \
	 GONE(me, PID(state), signature)))

/* The state that says so; does it? */
#define MARKED(w) WORD(DEAD_SLOT, PID(w), GENERATION(w))
#ifdef NO_MARK
#define TO_MARK(w) false
#else
#define TO_MARK(w) ((w) != MARKED(w))
#endif

/* Would a look find something to do? */
#define LOOKS_DEAD(me)                                                         \
	(!noted[me] && DEAD_TO(me) && (lock == 0 || TO_MARK(state)))

/* Would somebody else who looks wait for a dead one? */
#define UNTOLD                                                                 \
	(STATE(state) >= JOINING && STATE(state) < RECOVERING &&              \
	 killed[PID(state)] && !muddled &&                                     \
	 !(DEAD_TO(0) && (lock == 0 || TO_MARK(state))))

/* All is as it will be. */
#define OVER                                                                   \
	((joined || killed[JOINER]) &&                                         \
	 (state == WORD(FREE, 0, 1) || state == WORD(FREE, 0, 2) ||            \
	  (HELD_BY(JOINER) && !killed[JOINER])))

inline enter(me)
{
	assert(killed[PID(word)]);
	assert(inside == 0);
	inside++;
	in_it = me
}

#ifdef FREE_FIRST
#define step_of(me) assert(!HELD_BY(JOINER))
#else
#define step_of(me) assert(state == WORD(RECOVERING, me, GENERATION(word)))
#endif

inline unlock(me)
{
	atomic {
		if
		:: lock == me -> lock = 0
		:: else
		fi;
		noted[me] = false
	}
}

inline leave()
{
	inside--;
	in_it = 0
}

inline sign(me)
{
	atomic { signature = me /* [LIVENESS-1] */ }
}

inline step(from, to)
{
	ok = state == (from);
	if
	:: ok -> state = to /* [PROCESS-2] */
	:: else
	fi
}

/* push_again() */
inline push_again(me)
{
	atomic {
		step_of(me);
		if
		:: entries == 0 -> push = true
		:: else
		fi
	}
	if
	:: atomic { push -> step_of(me); entries++; push = false /* [TASKRING-5] */ }
	:: else
	fi
}

inline steps(me)
{
	/* fr__bury_claims() */
	atomic { step_of(me); claim = 0 /* [RING-15] */ }
	/* fr__route_remove() */
#ifndef NO_NAME
	atomic {
		step_of(me);
		if
		:: name == GENERATION(word) -> name = 0
		:: else
		fi
	}
#endif
	/* fr__tasks_recover() */
#ifndef NO_NOTE
	if
	:: atomic { taking && cell == QUEUED /* [TASK-1] */ } -> push_again(me)
	:: else
	fi;
#endif
	if
	:: atomic { cell == TAKEN -> step_of(me); cell = QUEUED /* [TASK-3] */ }
	   push_again(me)
	:: else
	fi;
#ifdef UNLOCK_EARLY
	unlock(me);
#endif
	/* shake_all() */
	atomic { step_of(me); rung = true /* [BELL-4] */ }
}

/* fr__recover(). Locals: byte word, by; bool ok, push. */
inline recover(me)
{
	/* fr__dead() */
	atomic { ok = !noted[me] && (STATE(word) == DEAD_SLOT || !LOCKED_BY(PID(word))) }
	if
	:: ok ->
		atomic { by = signature /* [LIVENESS-1] */ }
		atomic { ok = STATE(word) == DEAD_SLOT || GONE(me, PID(word), by); by = 0 }
	:: else
	fi;
	/* is_dead() */
	if
	:: ok -> atomic {
			if
			:: TO_MARK(word) ->
				step(word, MARKED(word));
				assert(!ok || killed[PID(word)]);
				word = MARKED(word)
			:: else -> ok = state == word /* [PROCESS-3] */
			fi
		}
	:: else
	fi;
#ifndef NO_LOCK
	if
	:: ok -> atomic {
			ok = lock == 0;
			if
			:: ok -> lock = me; noted[me] = true
			:: else
			fi
		}
	:: else
	fi;
#endif
	if
	:: ok ->
#ifndef NO_RECHECK
		atomic { ok = state == word /* [PROCESS-3] */ }
#endif
		if
		:: ok ->
#ifndef SIGN_LATE
			sign(me);
#endif
			atomic {
				step(word, WORD(RECOVERING, me, GENERATION(word)));
				if
				:: ok -> enter(me)
				:: else
				fi
			}
		:: else
		fi;
		if
		:: ok ->
#ifdef SIGN_LATE
			sign(me);
#endif
#ifdef FREE_FIRST
			atomic { state = WORD(FREE, 0, GENERATION(word)) /* [PROCESS-2] */ }
#endif
			steps(me);
			atomic {
				leave();
				step(WORD(RECOVERING, me, GENERATION(word)),
				     WORD(FREE, 0, GENERATION(word)));
#ifndef FREE_FIRST
				assert(ok)
#endif
			}
		:: else
		fi;
		unlock(me)
	:: else
	fi;
	atomic { ok = false; word = 0 }
}

proctype recoverer(byte me)
{
	byte word, by;
	bool ok, push;

	{
end:	do
	:: atomic { LOOKS_DEAD(me) -> word = state /* [PROCESS-3] */ }
	   recover(me)
	od
	} unless { killed[me] }
}

/* fr_join(), and then it has all that one can leave behind. */
proctype joiner()
{
	byte word, by, g;
	bool ok, push;

	{
	do
	:: atomic { LOOKS_DEAD(JOINER) -> word = state /* [PROCESS-3] */ }
	   recover(JOINER)
	:: atomic { STATE(state) == FREE && lock == 0 -> word = state /* [PROCESS-3] */ }
	   /* try_free() */
#ifdef JOIN_NO_LOCK
	   ok = true;
#else
	   atomic {
		ok = lock == 0;
		if
		:: ok -> lock = JOINER; noted[JOINER] = true
		:: else
		fi
	   }
#endif
	   if
	   :: ok ->
		atomic { ok = state == word /* [PROCESS-3] */ }
		if
		:: ok -> sign(JOINER)
		:: else
		fi;
		atomic {
			g = GENERATION(word) + 1;
			step(word, WORD(JOINING, JOINER, g));
			word = 0
		}
		if
		:: ok -> break
		:: else -> unlock(JOINER)
		fi
	   :: else
	   fi
	od;
	/* set_up() */
	atomic {
		assert(inside == 0 && g == 2);
		assert(claim == 0 && name == 0 && cell != TAKEN && rung);
		taking = false
	}
	atomic {
		step(WORD(JOINING, JOINER, g), WORD(JOINED, JOINER, g));
		assert(ok);
		ok = false
	}
	atomic { name = g }
	atomic { claim = g }
	/* Do what is there to do. */
	do
	:: results == 0 && entries > 0 ->
		atomic { taking = true /* [TASKRING-7] */ }
		atomic { entries-- /* [TASKRING-6] */ }
		if
		:: atomic { cell == QUEUED -> cell = TAKEN /* [TASK-3] */ }
		   atomic { cell = DONE; results++ /* [TASK-3] */ }
		:: else
		fi
	:: atomic { results > 0 -> break }
	od;
	atomic { claim = 0 }
	atomic {
		assert(state == WORD(JOINED, JOINER, g));
		assert(name == g && results == 1);
		joined = true
	}
	} unless { killed[JOINER] }
}

inline kill(who)
{
	killed[who] = true;
	kills++;
	lock = (lock == who -> 0 : lock);
	if
	:: in_it == who -> leave()
	:: else
	fi;
	if
	:: HELD_BY(who) -> rung = false
	:: signature == who && STATE(state) >= JOINING && !HELD_BY(who) ->
		skip
	:: else
	fi
}

init
{
	byte kills;
	bool closed;

	atomic {
		killed[DEAD] = true;
		run recoverer(RECOVERER_1);
		run recoverer(RECOVERER_2);
		run joiner()
	}
	do
	:: atomic { kills < KILLS && !killed[RECOVERER_1] -> kill(RECOVERER_1) }
	:: atomic { kills < KILLS && !killed[RECOVERER_2] -> kill(RECOVERER_2) }
	:: atomic { kills < KILLS && !killed[JOINER] -> kill(JOINER) }
	:: atomic { kills < KILLS -> kills = KILLS }
#ifndef ELSEWHERE
	:: atomic {
		lock != 0 && !closed ->
		muddled = muddled || !HELD_BY(lock);
		lock = 0;
		closed = true
	   }
	:: atomic { UNTOLD -> assert(false) }
#endif
	:: atomic {
		timeout ->
		if
		:: OVER -> break
		:: else -> assert(muddled && !ended); ended = true
		fi
	   }
	od;
	assert(inside == 0);
	if
	:: killed[JOINER] ->
		assert(claim == 0 && name == 0 && cell != TAKEN && rung)
	:: else ->
		assert(state == WORD(JOINED, JOINER, 2));
		assert(claim == 0 && name == 2)
	fi;
	assert((cell == DONE && results == 1) ||
	       (cell == QUEUED && results == 0 && entries > 0))
}
