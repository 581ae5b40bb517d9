/* SPDX-License-Identifier: MIT */
/*
 * A record ring whose consumer is killed (lib/ring.c): at any step; then one who
 * mends and drains, and is killed at any step, or not; then another, if so; then the
 * slot's next owner receives. Two producers send meanwhile: two units and one, each,
 * in a ring of four that starts anywhere in a lap.
 *
 * A record says which generation of the slot it is meant for: what was for the first
 * owner may be lost with it, and the second drops it.
 *
 * Checked: as in ring.pml; all that was committed for the second owner it receives.
 */
/* mutant NO_MEND: what the dead one had begun to free stays so */
/* mutant MEND_ONE_LOOK: the end is looked for once, though claims move it on */
/* mutant MEND_HEADER_FIRST: mending frees the header's unit first */
/* mutant NO_INIT: what the dead one held stays held */
/* mutant HEADER_FIRST: the consumer frees the header's unit first */
/* mutant HEAD_LATE: the consumer publishes head after the units are free */
#include "ring.h"

/* Who is at the consumer's end: first its owner, which is killed; then one who
 * recovers and is perhaps killed, then another; then the next owner. */
#define OWNER_1 0
#define RECOVERER_1 1
#define RECOVERER_2 2
#define OWNER_2 3
byte who, kills;
/* Of the slot; 0 while it is recovered. */
byte generation = 1;
byte finished; /* producers */
int to_second; /* ghost: records meant for the second owner */

#define KILLED (who < RECOVERER_2 && kills > who)
#define DRAINS (who < OWNER_2 && who > OWNER_1)
#define OVER (finished == 2 && who == OWNER_2)

inline receive()
{
	i = place[U(rec)] & 15;
	assert(i != PAD && i != 0);
	assert(i / 4 == OWNER(s));
	assert(place[U(rec)] & WRITTEN);
	give(rec, n, place[U(rec)], place[U(rec)]);
	assert(committed & SET(i));
	if
	:: who == OWNER_2 && (to_second & SET(i)) ->
		assert((got & 15 << i / 4 * 4) < SET(i));
		got = got | SET(i)
	:: else /* dropped by its generation, or its receiver is killed */
	fi;
	i = 0
}

inline die()
{
	who++;
	start(BEGIN)
}

inline recovering()
{
	generation = 0;
#ifdef NO_MEND
	pc = INIT
#else
	pc = MEND
#endif
}

inline drained()
{
	generation = 2;
	who = OWNER_2;
	start(INIT)
}

#include "consumer.h"

inline send(me, units, record)
{
	atomic {
		generation != 0;
		if
		:: generation == 2 -> to_second = to_second | SET(record)
		:: else
		fi
	}
	claim(me, units, record, true);
	write_record(at, have, record);
	atomic { ready(me, at, have, record) /* [RING-18] */ }
	atomic { advance(at, have); /* [RING-19] */ at = 0; have = 0 }
}

proctype producer_0()
{
	producer_locals;

	send(0, 2, 1);
	send(0, 1, 2);
	finished++
}

proctype producer_1()
{
	producer_locals;

	send(1, 2, 5);
	send(1, 1, 6);
	finished++
}

proctype killer()
{
	kills = 1;
	kills = 2
}

init
{
	byte p, start_at;

	atomic {
		select(start_at : 0 .. N - 1);
		ring_init(start_at);
		start_at = 0;
		run producer_0();
		run producer_1();
		run killer();
		run consumer()
	}
	_nr_pr == 1;
	assert(got == (committed & to_second));
	all_free()
}
