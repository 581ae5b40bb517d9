/* SPDX-License-Identifier: MIT */
/*
 * Who wakes an idle worker (wake_one() and fr__task_pass_on() of lib/task.c): two
 * workers, two tasks, a submitter. The task ring is a number here (tasks.pml has it
 * in full), and memory sequentially consistent (bell.pml has it otherwise): all
 * operations on these words are seq_cst.
 *
 * A worker that has taken a task is at it for ever, or takes another. With DEATH all
 * are at it for ever, and a worker or the submitter is killed at any step and
 * recovered.
 *
 * Checked: when nothing goes on any more, no task waits while a worker sleeps.
 */
/* variant -DDEATH: a worker or the submitter is killed */
/* mutant NO_UNDO: who has chosen one that was awake does not say so */
/* mutant IDLE_LATE: the idle bit is set after the last look */
/* mutant NO_CLEAR: who was woken in vain stays the one who is on its way */
/* mutant NO_PASS_ON: who was woken and has a task does not look for the next */
/* mutant NO_HINTS -DDEATH: the idle bit of the dead stays */
/* mutant NO_PASS_ON_DEAD -DDEATH: the dead stays the one who is on its way */
/* mutant NO_SHAKE -DDEATH: recovery rings nobody */

#define WORKERS 2
#define SUBMITTER 2
#define TASKS 2

byte queued;  /* entries in the task ring */
byte idle;    /* a bit per worker */
byte waking;  /* worker + 1 */
bool mark[WORKERS];
byte bell[WORKERS];
bool asleep[WORKERS];
bool killed[3];
byte pushed; /* ghost */

#define BIT(worker) (1 << (worker))
#define FIRST(bits) ((bits) & 1 -> 0 : 1)

/* wake_one() of lib/task.c. Locals: byte slot; bool won. */
inline wake_one()
{
	do
	:: atomic { idle == 0 -> break } /* [TASK-2] */
	:: atomic { idle != 0 -> slot = FIRST(idle) }
#ifndef NO_WAKING
	   atomic { won = waking == 0 /* [TASK-10] */ }
	   if
	   :: !won -> break
	   :: else
	   fi;
	   atomic { /* [TASK-10] */
		if
		:: waking == 0 -> waking = slot + 1
		:: else -> won = false
		fi
	   }
	   if
	   :: !won -> break
	   :: else
	   fi;
#endif
	   atomic {
		won = (idle & BIT(slot)) != 0; /* [TASK-2] */
		idle = idle & ~BIT(slot)
	   }
	   if
	   :: won ->
		/* fr__bell_strike() */
		atomic { won = mark[slot]; mark[slot] = false /* [BELL-3] */ }
		if
		:: won ->
			atomic { /* [BELL-4] */
				bell[slot]++;
				asleep[slot] = false;
				break
			}
		:: else
		fi
	   :: else
	   fi;
#ifdef NO_UNDO
	   break
#else
	   atomic { waking = 0 /* [TASK-10] */ }
#endif
	od;
	slot = 0;
	won = false
}

inline pass_on()
{
	atomic { won = waking != 0 /* [TASK-11] */ }
	if
	:: won -> atomic { waking = 0 /* [TASK-11] */ }
	:: else
	fi;
	atomic { won = queued > 0 /* [TASKRING-4] */ }
	if
	:: won -> wake_one()
	:: else
	fi;
	won = false
}

/* fr__taskring_take() as one step: tasks.pml has it in full. */
inline take()
{
	atomic {
		found = queued > 0;
		if
		:: found -> queued--
		:: else
		fi
	}
}

/* fr_take(), and again. */
proctype worker(byte me)
{
	byte v, slot;
	bool found, won;

	{
	do
	:: take();
	   if
	   :: !found ->
		do
		:: atomic { v = bell[me] /* [BELL-8] */ }
		   atomic { mark[me] = true /* [BELL-2] */ }
		   /* fr__task_arm() */
#ifndef IDLE_LATE
		   atomic { idle = idle | BIT(me) /* [TASK-4] */ }
#endif
#ifndef NO_CLEAR
		   atomic { won = waking == me + 1 /* [TASK-11] */ }
		   if
		   :: won -> atomic { waking = 0 /* [TASK-11] */ }
		   :: else
		   fi;
		   won = false;
#endif
		   take();
#ifdef IDLE_LATE
		   atomic { idle = idle | BIT(me) }
#endif
		   if
		   :: found -> break
		   :: else
		   fi;
		   atomic { asleep[me] = (bell[me] == v); v = 0 }
end_asleep:
		   !asleep[me];
		   take();
		   if
		   :: found -> break
		   :: else
		   fi
		od;
		atomic { won = (idle & BIT(me)) != 0 /* [TASK-4] */ }
		if
		:: won -> atomic { idle = idle & ~BIT(me) /* [TASK-4] */ }
		:: else
		fi;
		won = false;
#ifndef NO_PASS_ON
		pass_on()
#endif
	   :: else
	   fi;
	   /* It is at work for long now, or soon takes another. */
#ifdef DEATH
	   break;
#else
	   if
	   :: break
	   :: skip
	   fi;
#endif
	   found = false;
	   v = 0
	od
	} unless { killed[me] }
}

proctype submitter()
{
	byte slot;
	bool won;

	{
	do
	:: pushed < TASKS ->
		atomic { queued++; pushed++ /* [TASKRING-5] */ }
		wake_one()
	:: else -> break
	od
	} unless { killed[SUBMITTER] }
}

/* Of a worker, or of the submitter. */
#ifdef DEATH
proctype survivor()
{
	byte slot, who;
	bool won;

	if
	:: who = 0
	:: who = SUBMITTER
	fi;
	killed[who] = true;
	if
	:: who < WORKERS ->
#ifndef NO_HINTS
		atomic { idle = idle & ~BIT(who) } /* [RECOVER-1] */
#endif
	:: else
	fi;
#ifndef NO_PASS_ON_DEAD
	pass_on();
#endif
#ifndef NO_SHAKE
	atomic { bell[0]++; asleep[0] = false } /* [BELL-4] */
	atomic { bell[1]++; asleep[1] = false } /* [BELL-4] */
#endif
}
#endif

proctype monitor()
{
	timeout;
	assert(queued == 0 || !(asleep[0] && !killed[0] || asleep[1] && !killed[1]))
}

init
{
	atomic {
		run worker(0);
		run worker(1);
		run submitter();
#ifdef DEATH
		run survivor();
#endif
		run monitor()
	}
}
