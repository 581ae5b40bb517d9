/* SPDX-License-Identifier: MIT */
/*
 * The consumer's side of the record ring, and mending: see ring.h. The model
 * that includes it says: what is done with a record, receive(); whether this one
 * DRAINS, that is, ends when there is none, and what is then, drained(); when all
 * is OVER; when the consumer is KILLED, and who comes then, die().
 */

#define IS_BLOCKED(owner)                                                      \
	((blocked > 0 && OWNER(open_tag[0]) == owner) ||                       \
	 (blocked > 1 && OWNER(open_tag[1]) == owner))

/* Is there something new to see? */
#define NEWS                                                                   \
	((next - first < N && !IS_FREE(tag[U(next)], next) &&                  \
	  STATE(tag[U(next)]) != OPEN) || NEWS_BEFORE)
#ifdef NO_GO_BACK
#define NEWS_BEFORE false
#else
#define NEWS_BEFORE                                                            \
	((blocked > 0 && tag[U(open_at[0])] != open_tag[0]) ||                 \
	 (blocked > 1 && tag[U(open_at[1])] != open_tag[1]))
#endif

/* The unit at that position, or the run of n from there on. */
inline free_run(position, n)
{
	tag[U(position)] = FREE(n, LAP(position) + 1); /* [RING-9] */
	give(position, n, place[U(position)], 0)
}

/* Over DONE and DEAD from p on, but not over a claim that was open when passed:
 * where that ends. */
inline set_limit()
{
	limit = next;
#ifndef BORDER_PAST_OPEN
	if
	:: blocked > 0 && open_at[0] < limit -> limit = open_at[0]
	:: else
	fi;
	if
	:: blocked > 1 && open_at[1] < limit -> limit = open_at[1]
	:: else
	fi;
#endif
	pc = (p < limit -> BORDER : HEAD)
}

/* Forget the claims behind q: they are found again on the way. */
inline forget_open(q)
{
	i = 0;
	do
	:: i < blocked && open_at[i] < q -> i++
	:: i < blocked && open_at[i] >= q ->
		blocked--;
		open_at[i] = open_at[blocked];
		open_tag[i] = open_tag[blocked];
		open_at[blocked] = 0;
		open_tag[blocked] = 0
	:: else -> break
	od;
	i = 0
}

/*
 * From MEND: fr__ring_mend(), then as from INIT.
 * From INIT: fr__reader_init(), then fr__ring_next() and fr__ring_release() in
 * turn. first and next are the reader's head and next.
 */

proctype consumer()
{
	byte pc, first, next, p, limit, rec, n, i, blocked, then, kept;
	byte open_at[2];
	short open_tag[2];
	short s;

	atomic { start(INIT) }
lives:
	{
	do
	:: atomic { pc == BEGIN -> recovering() }
	/* To the end; a claim there moves it on, so look again. */
	:: atomic { pc == MEND ->
		limit = p;
		if
		:: p == first + N -> pc = INIT; p = first
		:: p < first + N && IS_RECORD(tag[U(p)], p) && /* [RING-2] */
		   STATE(tag[U(p)]) == OPEN -> /* [RING-22] */
			tag[U(p)] = TAG(CLAIMED, OWNER(tag[U(p)]),
					UNITS(tag[U(p)]), LAP(p))
		:: p < first + N && IS_RECORD(tag[U(p)], p) &&
		   STATE(tag[U(p)]) != OPEN ->
			p = p + UNITS(tag[U(p)])
		:: else -> pc = MEND_SCAN
		fi
	   }
	:: atomic { pc == MEND_SCAN ->
		if
		:: limit < first + N && IS_FREE(tag[U(limit)], limit) -> /* [RING-2] */
			limit = limit + UNITS(tag[U(limit)])
		:: else ->
#ifdef MEND_ONE_LOOK
			pc = MEND_ONE
#else
			pc = MEND_AGAIN
#endif
		fi
	   }
	:: atomic { pc == MEND_AGAIN ->
		if
		:: IS_RECORD(tag[U(p)], p) -> p = first; pc = MEND /* [RING-2] */
		:: else -> pc = MEND_ONE
		fi
	   }
	/* limit: the first that is not free, a header; nobody claims past it. */
	:: atomic { pc == MEND_ONE && limit == first + N -> pc = INIT; p = first }
	:: atomic { pc == MEND_ONE && limit < first + N ->
		s = tag[U(limit)]; /* [RING-2] */
		assert(IS_RECORD(s, limit - N));
		n = UNITS(s);
#ifdef MEND_HEADER_FIRST
		if
		:: n <= RUN -> free_run(limit - N, n); limit = limit + n
		:: else -> free_run(limit - N, RUN); pc = MEND_HEADER
		fi
#else
		if
		:: n <= RUN -> free_run(limit - N, n); limit = limit + n
		:: else -> free_run(limit - N + RUN, n - RUN); pc = MEND_HEADER
		fi
#endif
	   }
	:: atomic { pc == MEND_HEADER ->
#ifdef MEND_HEADER_FIRST
		free_run(limit - N + RUN, n - RUN);
#else
		free_run(limit - N, RUN);
#endif
		limit = limit + n;
		pc = MEND_ONE
	   }
	/* fr__reader_init(): what the last consumer held is done with. */
	:: atomic { pc == INIT ->
		s = tag[U(p)]; /* [RING-11] */
		if
		:: p < first + N && IS_RECORD(s, p) && STATE(s) != OPEN ->
			p = p + UNITS(s);
#ifndef NO_INIT
			if
			:: STATE(s) == HELD -> /* [RING-16] */
				tag[U(p - UNITS(s))] = TAG(DONE, OWNER(s),
							   UNITS(s), LAP(p - UNITS(s)))
			:: else
			fi
#endif
		:: else -> pc = NEXT
		fi
	   }
	:: atomic { pc == NEXT ->
		p = 0;
		n = 0;
		rec = 0;
		s = 0;
		limit = next;
#ifndef NO_GO_BACK
		pc = (blocked -> GO_BACK : PEEK)
#else
		pc = PEEK
#endif
	   }
	/* Has an open claim that we passed been closed? Then back to it. */
	:: atomic { pc == GO_BACK ->
		if
		:: tag[U(open_at[i])] != open_tag[i] && /* [RING-11] */
		   open_at[i] < limit -> limit = open_at[i]
		:: else
		fi;
		i++;
		if
		:: i == blocked ->
			if
			:: limit < next -> next = limit; forget_open(next)
			:: else -> i = 0
			fi;
			pc = PEEK
		:: else
		fi
	   }
	:: atomic { pc == PEEK && next - first == N -> pc = NOTHING }
	:: atomic { pc == PEEK && next - first < N ->
		rec = next;
		s = tag[U(rec)]; /* [RING-11] */
		n = UNITS(s);
		if
		:: IS_FREE(s, rec) -> pc = NOTHING
#ifndef PASS_OPEN
		:: STATE(s) == OPEN -> assert(IS_RECORD(s, rec)); pc = NOTHING
#endif
		:: else ->
			assert(IS_RECORD(s, rec));
			next = rec + n;
			if
			:: STATE(s) == READY && blocked == 0 ->
				receive();
				pc = RELEASE
#ifdef PASS_SAME_OWNER
			:: STATE(s) == READY && blocked > 0 ->
#else
			:: STATE(s) == READY && blocked > 0 &&
			   !IS_BLOCKED(OWNER(s)) ->
#endif
				pc = HOLD
			:: STATE(s) <= CLAIMED && !IS_BLOCKED(OWNER(s)) ->
				open_at[blocked] = rec;
				open_tag[blocked] = s;
				blocked++
			:: else ->
				if
				:: rec == first && STATE(s) >= DONE ->
					p = rec;
					then = PEEK;
					set_limit()
				:: else
				fi
			fi
		fi
	   }
	:: atomic { pc == HOLD ->
#ifndef NO_HELD
		tag[U(rec)] = TAG(HELD, OWNER(s), n, LAP(rec)); /* [RING-16] */
#endif
		receive();
		pc = RELEASE
	   }
	:: atomic { pc == RELEASE ->
		s = tag[U(rec)]; /* [RING-14] */
		assert(IS_RECORD(s, rec) && UNITS(s) == n);
		assert(STATE(s) == HELD || (STATE(s) == READY && rec < next));
		if
		:: rec == first ->
			p = rec + n;
			then = NEXT;
			set_limit()
		:: else ->
			tag[U(rec)] = TAG(DONE, OWNER(s), n, LAP(rec)); /* [RING-16] */
			pc = NEXT
		fi
	   }
	/* border_from() */
	:: atomic { pc == BORDER ->
		s = tag[U(p)]; /* [RING-11] */
		if
		:: !IS_RECORD(s, p) || STATE(s) < DONE || UNITS(s) > limit - p ->
			limit = p
		:: else ->
			p = p + UNITS(s)
		fi;
		pc = (p < limit -> BORDER : HEAD)
	   }
	/* free_up_to(p) */
	:: atomic { pc == HEAD ->
		if
		:: p != first ->
#ifndef HEAD_LATE
			head = p; /* [RING-8] */
#endif
			next = (next < p -> p : next);
			limit = p;
			p = first;
			first = limit;
			pc = FREE_ONE
		:: else -> pc = then
		fi;
		limit = 0
	   }
	:: atomic { pc == FREE_ONE && p != first ->
		s = tag[U(p)]; /* [RING-14] */
		n = UNITS(s);
		assert(IS_RECORD(s, p) && n <= first - p);
#ifdef HEADER_FIRST
		free_run(p, 1);
		pc = FREE_SECOND
#else
		if
		:: n <= RUN -> free_run(p, n); p = p + n
		:: else -> free_run(p + RUN, n - RUN); pc = FREE_HEADER
		fi
#endif
	   }
#ifdef HEADER_FIRST
	:: atomic { pc == FREE_SECOND ->
		if
		:: n == 2 -> free_run(p + 1, 1)
		:: else
		fi;
		p = p + n;
		pc = FREE_ONE
	   }
#endif
	:: atomic { pc == FREE_HEADER -> free_run(p, RUN); p = p + n; pc = FREE_ONE }
	:: atomic { pc == FREE_ONE && p == first ->
#ifdef HEAD_LATE
		head = first;
#endif
		pc = then
	   }
#ifdef KEEPS
	:: atomic { pc == RELEASE && kept == NONE -> kept = rec; pc = NEXT }
	:: atomic { (pc == NEXT || pc == NOTHING) && kept != NONE ->
		rec = kept;
		n = UNITS(tag[U(rec)]);
		kept = NONE;
		pc = RELEASE
	   }
#endif
	:: atomic { pc == NOTHING && DRAINS && kept == NONE -> drained() }
	:: atomic { pc == NOTHING && !DRAINS && NEWS -> pc = NEXT }
	:: atomic { pc == NOTHING && !DRAINS && !NEWS && kept == NONE && OVER -> break }
	od
	} unless { atomic { KILLED -> die(); goto lives } }
}

