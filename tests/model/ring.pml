/* SPDX-License-Identifier: MIT */
/*
 * The record ring (lib/ring.c): two producers, a consumer that passes over open
 * claims, a survivor that buries. Producer 0 is killed at any step.
 *
 * As is: producer 0 claims one or two units in place, and publishes or cancels them;
 * producer 1 sends two units (a batch is one record), then two units; the ring has
 * four, and starts one before the end of a lap. With BEHIND, producer 0 sends another
 * record behind its open claim, and the consumer may keep one while it goes on.
 *
 * Checked: a unit is claimed only while it is free, and nobody takes it away before
 * it is freed; what is received was committed, whole, once, and in the order of its
 * sender's claims; at the end all that was committed has been received, and every
 * unit is free; no tag looks damaged; nobody waits for ever.
 */
/* variant -DBEHIND: a record behind an open claim of the same owner */
/* variant -DLONG: two units are freed as one run, of which one may be claimed */
/* mutant NO_REST: the units behind the first are not looked at before the claim */
/* mutant CLAIM_BY_STORE: the claim is a look and a store, not a CAS */
/* mutant NO_HELP: who finds a record at tail waits for its owner to move tail */
/* mutant NO_CATCH_UP: who finds tail behind head waits for tail to move */
/* mutant READY_FIRST: published before it is written */
/* mutant HEAD_LATE: head is published after the units are free */
/* mutant HEADER_FIRST -DBEHIND: the header's unit is freed first */
/* mutant PASS_SAME_OWNER: what an open claim's owner sent behind it is received */
/* mutant NO_HELD -DBEHIND: what is received past an open claim is not marked */
/* mutant NO_GO_BACK -DBEHIND: an open claim that was passed is not looked at again */
/* mutant BORDER_PAST_OPEN -DBEHIND: head passes a claim that was open when passed */
/* mutant NO_BURY: nobody buries the dead one's claim */
/* mutant NO_OWNER: every open claim is buried, whoever has it */
/* mutant NO_SETTLE -DLONG: tail moves over a record whose owner may give some back */
/* mutant REST_LATE -DLONG: units are given back before their tag is there */
/* mutant SPLIT_BY_STORE -DLONG: units are given back though somebody stepped over */
/* mutant PASS_OPEN -DLONG: the consumer passes a record whose owner may give some back */
/* mutant BURY_ONCE -DLONG: the dead one's claim was settled meanwhile, and stays */
#ifdef BEHIND
#define KEEPS
#endif
#if defined BEHIND || defined LONG
#define START 0
#else
#define START 3
#endif
#include "ring.h"

#define OVER (finished && recovered)
#define KILLED false

bool killed;    /* producer 0 */
bool recovered; /* its claims are buried */
bool finished;  /* producer 1 */

inline receive()
{
	i = place[U(rec)] & 15;
	assert(i != PAD && i != 0);
	assert(i / 4 == OWNER(s));
	assert(place[U(rec)] & WRITTEN);
	give(rec, n, place[U(rec)], place[U(rec)]);
	assert(committed & SET(i));
	/* once, and none that its sender claimed later came before it */
	assert((got & 15 << i / 4 * 4) < SET(i));
	got = got | SET(i);
	i = 0
}

#define DRAINS false
inline drained() { skip }
inline die() { skip }
inline recovering() { skip }

#include "consumer.h"

/* fr_send(): claim, write, publish. */
inline send(me, units, record)
{
	claim(me, units, record, true);
#ifdef READY_FIRST
	atomic { ready(me, at, have, record) }
	write_record(at, have, record);
#else
	write_record(at, have, record);
	atomic { ready(me, at, have, record) /* [RING-18] */ }
#endif
	atomic { advance(at, have); /* [RING-19] */ at = 0; have = 0 }
}

/* A claim in place, another record behind it, then the first is published or
 * cancelled. Killed anywhere. */
proctype producer_0()
{
	producer_locals;
	byte open;
	bool sent;

	{
#ifdef BEHIND
		n = 1;
#else
		if
		:: n = 1
		:: n = 2
		fi;
#endif
		claim(0, n, 1, true);
		atomic { open = at; n = have; advance(open, n) /* [RING-3] */ }
		write_record(open, n, 1);
#ifdef BEHIND
		claim(0, 1, 2, false);
		sent = !no_room;
		if
		:: sent ->
			write_record(at, have, 2);
			atomic { ready(0, at, have, 2) /* [RING-18] */ }
			atomic { advance(at, have) /* [RING-19] */ }
		:: else
		fi;
#endif
		if
		:: atomic { ready(0, open, n, 1) /* [RING-7] */ }
		:: atomic { tag[U(open)] = TAG(DEAD, 0, n, LAP(open)) /* [RING-12] */ }
		fi;
#ifdef BEHIND
		if
		:: !sent -> send(0, 1, 2)
		:: else
		fi
#endif
	} unless { killed }
}

proctype producer_1()
{
	producer_locals;

	send(1, 2, 5);
	send(1, 2, 7);
	finished = true
}

proctype survivor()
{
	byte p, end;
	short s;

	killed = true;
#ifndef NO_BURY
	bury(0);
#endif
	recovered = true
}

init
{
	byte p;

	atomic {
		ring_init(START);
		run producer_0();
		run producer_1();
		run survivor();
		run consumer()
	}
	_nr_pr == 1;
	assert(got == committed);
	all_free()
}
