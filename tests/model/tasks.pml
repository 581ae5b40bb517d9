/* SPDX-License-Identifier: MIT */
/*
 * Tasks (lib/task.c, lib/cell.c) and the task ring (lib/taskring.c): two takers, of
 * whom the first is killed at any step, and a recoverer. A's task is in the ring;
 * B submits one. A ring of four words, two cells.
 *
 * BOTH: there is only B's task, in the ring; B, too, is killed at any step, and both
 * are recovered at once. AGAIN: only A's task; the recoverer is killed at any step,
 * too, and another begins anew. BURY: the same, and a second attempt is one too many.
 * FULL: the ring is full of entries that will not count; the recoverer may be killed;
 * the second taker is started when all else is done.
 *
 * Who pushes is one that begins at tail, as far behind as that may be; who takes
 * begins where it was.
 *
 * Checked: each task has exactly one result, if its submitter lives; nobody takes a
 * task from one who lives; at the end every cell is FREE; no word of the ring looks
 * damaged; nobody waits for ever, where the C tries a thousand times neither.
 */
/* variant -DBOTH: the submitter is killed, too */
/* variant -DAGAIN: the recoverer is killed, too */
/* variant -DBURY: the same with an attempt less */
/* variant -DFULL: push finds the ring full */
/* mutant NO_TAIL -DFULL: nobody moves tail */
/* mutant NO_HEAD -DFULL: nobody moves head */
/* mutant TOO_FAR -DFULL: head is moved over the word that is about to be taken */
/* mutant NO_TAKING: the taker does not note what it takes */
/* mutant NO_PUSH: what is QUEUED again is not pushed */
/* mutant NO_TELL: recovery does not tell what the dead one finished */
/* mutant NO_OWNER: recovery takes every TAKEN task, whoever has it */
/* mutant BIT_FIRST: the done bit is set before the cell is DONE */
/* mutant PUSH_FIRST: submit pushes before the cell is QUEUED */
/* mutant NO_COUNTS -DFULL: the taker does not look whether an entry counts */
/* mutant REPLACE_TAKEN -DFULL: the entry of a TAKEN task is replaced */
/* mutant NO_LAG -DFULL: who replaces does not pass what a head that lags is behind */
/* mutant NO_SUBMITTER -DBOTH: who finishes does not look whether its submitter is there */
/* mutant STATE_LATE -DBOTH: the submitter's state changes after its cells are dropped */

/* Slots. A has a task waiting in cell 0, B submits one from cell 1. */
#define A 0
#define B 1
#define TAKER_1 2
#define TAKER_2 3
#define SLOT_OF(cell) (cell)

#ifdef BOTH
#define VICTIMS 2
#else
#define VICTIMS 1
#define SUBMITS
#endif
#ifdef BURY
#define AGAIN
#define ATTEMPTS_MAX 1
#else
#define ATTEMPTS_MAX 3
#endif

#define CELLS 2
#define W 4 /* words of the ring: twice as many as cells */
#define LAG 3 /* the C leaves half of the ring, which is more cautious */
#define LAP(p) ((p) / W)
#define U(p) ((p) % W)

/* A word of the ring: empty for a lap, or an entry of one. */
#define EMPTY(lap) (lap)
#define ENTRY(what, lap) (128 | (what) << 4 | (lap))
#define IS_ENTRY(word, lap) ((word) >= 128 && ((word) & 15) == (lap))
/* What an entry says: cell, generation. */
#define WHAT(cell, g) ((cell) << 2 | (g))
#define WHAT_OF(word) ((word) >> 4 & 7)
#define CELL_OF(what) ((what) >> 2)
#define GENERATION_OF(what) ((what) & 3)

/* A cell's state word. */
#define FREE 0
#define FILLING 1
#define QUEUED 2
#define TAKEN 3
#define DONE 4
#define HELD 5
#define CELL(g, attempt, state, owner)                                         \
	((g) << 7 | (attempt) << 5 | (state) << 2 | (owner))
#define GENERATION(w) ((w) >> 7)
#define ATTEMPT(w) ((w) >> 5 & 3)
#define STATE(w) ((w) >> 2 & 7)
#define OWNER(w) ((w) & 3)

byte word[W];
byte head, tail;
short cell[CELLS];
byte taking[4];
bool done[CELLS];
bool gone[4];      /* the slot's state is past JOINED */
bool killed[4];
byte kills;        /* of recoverers */

/* Ghosts. */
byte results[CELLS];
byte recovered;
bool submitted;

/* [TASK-3] */
inline step(c, from, to)
{
	ok = cell[c] == (from);
	if
	:: ok -> cell[c] = to
	:: else
	fi
}

/* fr__entry_counts() */
#define COUNTS(what)                                                           \
	(STATE(cell[CELL_OF(what)]) == QUEUED &&                               \
	 GENERATION(cell[CELL_OF(what)]) == GENERATION_OF(what))

/* Will an entry count again? That of a TAKEN cell may. */
#define MAY_COUNT(what)                                                        \
	((STATE(cell[CELL_OF(what)]) == QUEUED ||                              \
	  STATE(cell[CELL_OF(what)]) == TAKEN) &&                              \
	 GENERATION(cell[CELL_OF(what)]) == GENERATION_OF(what))
#define IS_DEAD(w) ((w) < 128 || !MAY_COUNT(WHAT_OF(w)))

/* Where a push is. */
#define P_HAS 0
#define P_TAIL 1
#define P_LOOK 2
#define P_PUT 3
#define P_KEEP 4
#define P_LOST 5
#define R_HEAD 6
#define R_LOOK 7
#define R_CELL 8
#define R_CAS 9
#define P_WAIT 10
#define R_WAIT 11

/* keep_up(): another try is needed. */
#define BEHIND(counter, was, p) ((p) >= (was) + LAG && (counter) != (was))

#define CHANGED (!IS_ENTRY(word[U(t)], LAP(t) - 1))

#define push_locals                                                            \
	byte t, p, was, seen, pc, hand;                                        \
	bool ok, more

/* fr__cell_push() of hand, from P_TAIL; push_again(), from P_HAS. */
inline push(from)
{
	pc = from;
	more = true;
	do
	/* fr__taskring_has() */
	:: atomic { more && pc == P_HAS ->
		if
		:: word[t] >= 128 && WHAT_OF(word[t]) == hand -> more = false /* [TASKRING-4] */
		:: else -> t++
		fi;
		pc = (t == W -> P_TAIL : P_HAS)
	   }
	/* fr__taskring_push() */
	:: atomic { pc == P_TAIL -> t = tail; was = tail; pc = P_LOOK /* [TASKRING-3] */ }
	:: atomic { pc == P_LOOK ->
		seen = word[U(t)]; /* [TASKRING-4] */
		if
		:: seen == EMPTY(LAP(t)) -> pc = P_KEEP
		:: IS_ENTRY(seen, LAP(t)) || seen == EMPTY(LAP(t) + 1) -> t++
		:: IS_ENTRY(seen, LAP(t) - 1) -> pc = R_HEAD
		:: else -> pc = P_LOST
		fi
	   }
	:: atomic { pc == P_KEEP ->
#ifndef NO_TAIL
		if
		:: BEHIND(tail, was, t) -> was = tail
		:: else ->
			if
			:: t >= was + LAG -> tail = t /* [TASKRING-2] */
			:: else
			fi;
			pc = P_PUT
		fi
#else
		pc = P_PUT
#endif
	   }
	:: atomic { pc == P_PUT ->
		if
		:: word[U(t)] == EMPTY(LAP(t)) -> /* [TASKRING-5] */
			word[U(t)] = ENTRY(hand, LAP(t));
			assert(t < tail + LAG);
			more = false;
			break
		:: else -> pc = P_LOOK
		fi
	   }
	:: atomic { pc == P_LOST ->
		was = tail; /* [TASKRING-3] */
		assert(t < was);
		t = was;
		pc = P_LOOK
	   }
	/* fr__taskring_replace() */
	:: atomic { pc == R_HEAD -> p = head; was = p; pc = R_LOOK /* [TASKRING-3] */ }
	:: atomic { pc == R_LOOK && p == was + W + LAG -> pc = R_WAIT }
	:: atomic { pc == R_LOOK && p < was + W + LAG ->
		seen = word[U(p)]; /* [TASKRING-4] */
		if
		:: IS_ENTRY(seen, LAP(p)) -> pc = R_CELL
#ifndef NO_LAG
		:: seen == EMPTY(LAP(p) + 1) || IS_ENTRY(seen, LAP(p) + 1) -> p++
#endif
		:: else -> pc = P_WAIT
		fi
	   }
	:: atomic { pc == R_CELL ->
		if
#ifdef REPLACE_TAKEN
		:: COUNTS(WHAT_OF(seen)) -> p++; pc = R_LOOK /* [TASK-1] */
#else
		:: MAY_COUNT(WHAT_OF(seen)) -> p++; pc = R_LOOK /* [TASK-1] */
#endif
		:: else -> pc = R_CAS
		fi
	   }
	:: atomic { pc == R_CAS ->
		if
		:: word[U(p)] == seen -> /* [TASKRING-5] */
			word[U(p)] = ENTRY(hand, LAP(p));
			more = false;
			break
		:: else -> p++; pc = R_LOOK
		fi
	   }
	/* Again, once it can come out otherwise. */
	:: atomic { pc == P_WAIT && (CHANGED || word[U(p)] != seen) -> pc = P_TAIL }
	:: atomic { pc == R_WAIT && (CHANGED || IS_DEAD(word[0]) || IS_DEAD(word[1]) ||
				     IS_DEAD(word[2]) || IS_DEAD(word[3])) ->
		pc = P_TAIL
	   }
	:: atomic { pc == P_HAS && !more -> break }
	od;
	atomic { t = 0; p = 0; was = 0; seen = 0; hand = 0; pc = 0 }
}

/* fr__cell_tell() of a cell that is DONE with state word w. */
inline tell(c, w)
{
	atomic { done[c] = true /* [TASK-7] */ }
	atomic { ok = gone[SLOT_OF(c)] /* [TASK-8] */ }
	if
	:: ok ->
		atomic {
			step(c, w, CELL(GENERATION(w), 0, FREE, 0));
			ok = false
		}
	:: else
	fi
}

/* fr_collect() of the own cell, and fr_result_release(). */
inline collect(c)
{
	do
	:: atomic { done[c] -> done[c] = false /* [TASK-9] */ }
	   atomic { s = cell[c] /* [TASK-1] */ }
	   if
	   :: STATE(s) == DONE ->
		atomic {
			step(c, s, CELL(GENERATION(s), ATTEMPT(s), HELD, c));
			if
			:: ok ->
				assert(results[c] == 0);
				results[c]++
			:: else
			fi
		}
		if
		:: ok ->
			atomic {
				step(c, CELL(GENERATION(s), ATTEMPT(s), HELD, c),
				     CELL(GENERATION(s), 0, FREE, 0));
				assert(ok);
				ok = false;
				s = 0;
				break
			}
		:: else
		fi
	   :: else
	   fi;
	   s = 0
	od
}

proctype collector()
{
	short s;
	bool ok;

	collect(0)
}

proctype submitter()
{
	push_locals;
	short s;

	{
#ifdef SUBMITS
		/* fr_submit() */
		atomic {
			s = cell[1]; /* [TASK-1] */
			assert(STATE(s) == FREE);
			s = CELL(GENERATION(s) + 1, 0, FILLING, B);
			cell[1] = s
		}
#ifdef PUSH_FIRST
		hand = WHAT(1, GENERATION(s));
		push(P_TAIL);
#endif
		atomic {
			step(1, s, CELL(GENERATION(s), 0, QUEUED, B));
			assert(ok);
			hand = WHAT(1, GENERATION(s));
			ok = false;
			s = 0
		}
#ifndef PUSH_FIRST
		push(P_TAIL);
#endif
		submitted = true;
#endif
		collect(1)
	} unless { killed[B] }
}

#define OVER                                                                   \
	(results[0] == 1 && (results[1] == 1 || gone[B]) && recovered == VICTIMS)

/* Where a taker is. */
#define T_HEAD 0
#define T_LOOK 1
#define T_NOTE 2
#define T_CAS 3
#define T_KEEP 4
#define T_LOST 5
#define T_NONE 6
#define T_COUNTS 8
#define T_TAKE 9
#define T_DONE 10
#define T_BIT 11
#define T_SUBMITTER 12
#define T_FREE 13

proctype taker(byte me)
{
	byte h, was, seen, pc, what;
	short w;
	bool ok;

#ifdef FULL
	/* one that is started later, when nobody else is at work */
	me == TAKER_1 || (recovered == VICTIMS && submitted);
#endif
	{
	do
	/* fr__taskring_take() */
	:: atomic { pc == T_HEAD ->
		was = head; /* [TASKRING-3] */
		h = (h < was -> was : h);
		pc = T_LOOK
	   }
	:: atomic { pc == T_LOOK ->
		seen = word[U(h)]; /* [TASKRING-4] */
		if
#ifdef NO_TAKING
		:: IS_ENTRY(seen, LAP(h)) -> pc = T_KEEP
#else
		:: IS_ENTRY(seen, LAP(h)) -> pc = T_NOTE
#endif
		:: seen == EMPTY(LAP(h)) -> pc = T_NONE; was = 0
		:: seen == EMPTY(LAP(h) + 1) || IS_ENTRY(seen, LAP(h) + 1) ->
			h++
		:: else -> pc = T_LOST
		fi
	   }
	:: atomic { pc == T_NOTE -> taking[me] = seen; pc = T_KEEP /* [TASKRING-7] */ }
	:: atomic { pc == T_KEEP ->
#ifndef NO_HEAD
		if
		:: BEHIND(head, was, h) -> was = head
		:: else ->
			if
#ifdef TOO_FAR
			:: h >= was + LAG -> head = h + 1
#else
			:: h >= was + LAG -> head = h /* [TASKRING-2] */
#endif
			:: else
			fi;
			pc = T_CAS
		fi
#else
		pc = T_CAS
#endif
	   }
	:: atomic { pc == T_CAS ->
		if
		:: word[U(h)] == seen -> /* [TASKRING-6] */
			word[U(h)] = EMPTY(LAP(h) + 1);
			assert(h < head + LAG);
			what = WHAT_OF(seen);
			seen = 0;
			was = 0;
			h++; /* [TASKRING-8] */
			pc = T_COUNTS
		:: else -> pc = T_LOOK
		fi
	   }
	:: atomic { pc == T_LOST ->
		was = head; /* [TASKRING-3] */
		assert(h < was);
		h = was;
		pc = T_LOOK
	   }
	:: atomic { pc == T_NONE && word[U(h)] != seen -> pc = T_HEAD; seen = 0 }
	:: atomic { pc == T_NONE && word[U(h)] == seen && OVER -> break }
	/* take_one() */
	:: atomic { pc == T_COUNTS ->
		w = cell[CELL_OF(what)]; /* [TASK-1] */
		if
#ifdef NO_COUNTS
		:: true -> pc = T_TAKE
#else
		:: COUNTS(what) -> pc = T_TAKE
		:: else -> pc = T_HEAD; w = 0; what = 0
#endif
		fi
	   }
	:: atomic { pc == T_TAKE ->
		step(CELL_OF(what), w,
		     CELL(GENERATION(w), ATTEMPT(w) + 1, TAKEN, me));
		if
		:: ok ->
			w = CELL(GENERATION(w), ATTEMPT(w) + 1, TAKEN, me);
#ifdef BIT_FIRST
			pc = T_BIT
#else
			pc = T_DONE
#endif
		:: else -> pc = T_HEAD; w = 0; what = 0
		fi;
		ok = false
	   }
	/* fr_complete() */
	:: atomic { pc == T_DONE ->
		assert(cell[CELL_OF(what)] == w); /* nobody takes it from the living */
		w = CELL(GENERATION(w), ATTEMPT(w), DONE, me);
		cell[CELL_OF(what)] = w; /* [TASK-17] */
#ifdef BIT_FIRST
		pc = T_SUBMITTER;
#else
		pc = T_BIT;
#endif
	   }
	:: atomic { pc == T_BIT ->
		done[CELL_OF(what)] = true; /* [TASK-7] */
#ifdef BIT_FIRST
		pc = T_DONE
#else
		pc = T_SUBMITTER
#endif
	   }
	:: atomic { pc == T_SUBMITTER ->
		if
#ifndef NO_SUBMITTER
		:: gone[SLOT_OF(CELL_OF(what))] -> pc = T_FREE /* [TASK-8] */
#endif
		:: else -> pc = T_HEAD; w = 0; what = 0
		fi
	   }
	:: atomic { pc == T_FREE ->
		step(CELL_OF(what), w, CELL(GENERATION(w), 0, FREE, 0));
		ok = false;
		w = 0;
		what = 0;
		pc = T_HEAD
	   }
	od
	} unless { killed[me] }
}

inline drop(c)
{
	do
	:: atomic { s = cell[c] /* [TASK-1] */ }
	   if
	   :: STATE(s) == FREE || STATE(s) == TAKEN -> break
	   :: else ->
		atomic {
			step(c, s, CELL(GENERATION(s), 0, FREE, 0));
			s = 0;
			if
			:: ok -> ok = false; break
			:: else
			fi
		}
	   fi
	od;
	s = 0
}

/* push_again() of cell c, QUEUED with state word s. */
inline push_again(c)
{
	atomic {
		ok = gone[SLOT_OF(c)]; /* [TASK-8] */
		hand = WHAT(c, GENERATION(s))
	}
	if
	:: ok ->
		atomic {
			step(c, s, CELL(GENERATION(s), 0, FREE, 0));
			ok = false;
			hand = 0
		}
	:: else -> push(P_HAS)
	fi
}

/* take_from(): of cell i with state word s, TAKEN by the dead one. */
inline take_from()
{
	atomic {
		bury = ATTEMPT(s) >= ATTEMPTS_MAX;
		w = (bury -> CELL(GENERATION(s), ATTEMPT(s), DONE, slot)
			  : CELL(GENERATION(s), ATTEMPT(s), QUEUED, SLOT_OF(i)));
		step(i, s, w);
		assert(ok); /* nobody else takes it from the dead */
		s = w;
		w = 0;
		ok = false
	}
	if
	:: bury -> bury = false; tell(i, s)
#ifdef NO_PUSH
	:: else
#else
	:: else -> push_again(i)
#endif
	fi
}

/* fr__tasks_recover() and fr__tasks_drop() */
proctype recoverer(byte slot)
{
	push_locals;
	short s, w;
	byte i, life;
	bool bury;

	killed[slot] = true;
lives:
	{
	if
#ifndef STATE_LATE
	:: slot == B -> atomic { gone[B] = true /* [PROCESS-2] */ }
#endif
	:: else /* nobody asks */
	fi;
	atomic { seen = taking[slot] /* [TASKRING-7] */ }
	atomic {
		if
		:: seen >= 128 && COUNTS(WHAT_OF(seen)) -> /* [TASK-1] */
			i = CELL_OF(WHAT_OF(seen));
			s = cell[i];
			more = true
		:: else
		fi;
		seen = 0
	}
	if
	:: more -> more = false; push_again(i)
	:: else
	fi;
	i = 0;
	do
	:: i < CELLS ->
		atomic { s = cell[i] /* [TASK-1] */ }
		if
#ifndef NO_TELL
		:: STATE(s) == DONE && OWNER(s) == slot -> tell(i, s)
#endif
#ifdef NO_OWNER
		:: STATE(s) == TAKEN -> take_from()
#else
		:: STATE(s) == TAKEN && OWNER(s) == slot -> take_from()
#endif
		:: else
		fi;
		i++
	:: else -> break
	od;
	if
	:: slot == B -> drop(1)
	:: else
	fi;
#ifdef STATE_LATE
	gone[slot] = true;
#endif
	recovered++
	} unless { atomic { kills > life ->
		life++;
		i = 0;
		s = 0;
		w = 0;
		t = 0;
		p = 0;
		was = 0;
		seen = 0;
		pc = 0;
		hand = 0;
		ok = false;
		more = false;
		bury = false;
		goto lives
	} }
}

proctype killer()
{
	kills = 1
}

init
{
	byte i;

	atomic {
#ifdef BOTH
		results[0] = 1; /* there is only B's task */
		cell[1] = CELL(1, 0, QUEUED, B);
		word[0] = ENTRY(WHAT(1, 1), 0);
#else
		cell[0] = CELL(1, 0, QUEUED, A);
		word[0] = ENTRY(WHAT(0, 1), 0);
		run collector();
#endif
#ifdef FULL
		/* From position 1 to 4: the rest counts no more, or is there twice. */
		word[1] = word[0];
		if
		:: word[2] = ENTRY(WHAT(0, 1), 0)
		:: word[2] = ENTRY(WHAT(1, 0), 0)
		fi;
		word[3] = ENTRY(WHAT(1, 0), 0);
		word[0] = ENTRY(WHAT(1, 0), 1);
		tail = 5 - LAG;
#endif
#ifdef AGAIN
		results[1] = 1; /* there is only A's task */
#else
		run submitter();
#endif
		run taker(TAKER_1);
		run taker(TAKER_2);
		run recoverer(TAKER_1);
#ifdef BOTH
		run recoverer(B);
#endif
#if defined(AGAIN) || defined(FULL)
		run killer()
#endif
	}
	_nr_pr == 1;
	assert(results[0] == 1);
	assert(results[1] == 1 || gone[B]);
	assert(STATE(cell[0]) == FREE && STATE(cell[1]) == FREE)
}
