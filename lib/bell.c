/* SPDX-License-Identifier: MIT */
/*
 * The bell: one futex word per process, on which it sleeps whatever it waits
 * for; events have one each.
 *
 *	Sleeper					Ringer
 *	 v = bell				 makes it true (a seq_cst
 *	 waiting |= mark  (seq_cst)		   read-modify-write)
 *	 fence					 waiting & mark? (seq_cst)
 *	 true by now? leave			 clears the mark
 *	 futex_wait(bell, v)			 bell += 1, futex_wake(all)
 *
 * Either the ringer sees the mark or the sleeper sees that it is true: both
 * sides put a full fence between their store and their look. No mark, no system
 * call: two busy processes make none.
 *
 * Several threads of a process may wait at once, for different things: the word
 * is one, a ring wakes them all, and each looks for itself.
 *
 * A mark that its setter left behind (its last look was lucky, or its time was
 * up) costs the next ringer one system call and is gone then.
 *
 * A death leaves: of a sleeper, a mark that rings for nobody; of a ringer
 * between clearing the mark and the futex, a sleeper without a mark. Recovery
 * rings every bell; and each sleep ends after a slice, then the sleeper looks, and
 * looks whether the others live: the one that it depends on (before its first
 * sleep, too) and some of the rest. So does, about each slice, who is rung all the
 * time, and who never needs to wait.
 *
 * Naps: where as many others are awake as there are CPUs, whoever is woken takes a CPU
 * from one of those. Who waits for tasks or results there sleeps at first in naps,
 * and says so: who rings may let it, for it looks again by itself before long (task.c,
 * cell.c). That it naps is taken back before a longer sleep's last look.
 *
 * Before sleeping a process spins, unless told otherwise: as long as spinning
 * has paid lately, no longer than 50 us or than it has worked since its last wait, and
 * only while no more processes of the arena are awake than there are CPUs: beyond
 * that, who spins keeps the one it waits for from running.
 * A bit per slot says who is awake; it is a hint, and nothing hangs on it. Then it
 * yields once, as long as that has helped lately: it does where both share a CPU,
 * and costs less than half of a sleep (whose timer alone, for the slice, costs a
 * quarter of a microsecond).
 */
#include "bell.h"

#include "forkring/process.h"

#include <sched.h>
#include <unistd.h>

#define SPIN_START_NS 20000u
#define SPIN_MAX_NS 50000u
#define SPIN_LONG_NS 400000u /* for who has worked as long */
#define SPIN_MIN_NS 500u
/* Of so many spins in vain one is as long as may be: else who once waited long would
 * sleep for each short wait from then on. */
#define SPINS_IN_VAIN 32
/* Between two looks while spinning. Who looks more often takes the line from the one
 * that is about to write it, and waits the longer. */
#define LOOK_AGAIN_NS 25u
#define LOOKS 16 /* between two looks at the clock */
#define YIELD_MAX_NS 200000
#define YIELD_SKIP_MAX 1000u
/* The first sleep while waiting for room is short: the consumer looks for us
 * only after it has freed a run of units. (Not shorter: where many wait, each has its
 * turn in some milliseconds, and who wakes earlier takes a CPU for nothing.) */
#define ROOM_SLICE_NS INT64_C(10000000)

/* CPUs of the machine: what a process is pinned to says nothing of its peers. */
static unsigned cpus(void)
{
	static struct fr__a32 known;
	/* [BELL-5] relaxed: a constant once known; at worst found out twice. */
	uint32_t n = fr__load_relaxed(&known);

	if (n == 0) {
		long online = sysconf(_SC_NPROCESSORS_ONLN);

		n = online > 0 ? (uint32_t)online : 1;
		/* as [BELL-5] */
		fr__store_relaxed(&known, n);
	}
	return n;
}

/* What the CPU's pause takes differs by ten times: 2^10 ns' worth of them. */
static uint32_t pauses_known(void)
{
	static struct fr__a32 known;
	/* as [BELL-5] */
	uint32_t n = fr__load_relaxed(&known);

	if (n == 0) {
		int64_t least = INT64_MAX;
		unsigned i, k;

		for (k = 0; k < 8; k++) { /* one may be interrupted */
			int64_t start = fr__now_ns(), took;

			for (i = 0; i < 16; i++)
				fr__pause();
			took = fr__now_ns() - start;
			least = took < least ? took : least;
		}
		n = least > 16 ? (uint32_t)(16 * 1024 / least) : 1024;
		n = n > 0 ? n : 1;
		/* as [BELL-5] */
		fr__store_relaxed(&known, n);
	}
	return n;
}

void fr__bell_pause(unsigned ns)
{
	unsigned n = ns * pauses_known() >> 10;

	do
		fr__pause();
	while (n-- > 1);
}

void fr__bell_init(struct fr__bell *b, struct fr__slot *slot, int mode)
{
	*b = (struct fr__bell){.slot = slot, .mode = mode};
	/* [BELL-6] relaxed: a hint of this process to itself. */
	fr__store_relaxed(&b->spin_ns, SPIN_START_NS);
	/* as [BELL-10]: who joins has just looked, and not worked yet */
	fr__store_relaxed(&b->looked, (uint64_t)fr__now_ns());
	fr__store_relaxed(&b->waited, fr__load_relaxed(&b->looked));
}

void fr__bell_awake(struct fr__bell *b, bool on)
{
	uint64_t bit = UINT64_C(1) << b->index % 64;

	if (!b->awake || b->mode == FR_WAIT_SLEEP)
		return; /* not known yet; does not spin, and sleeps soon */
	/* [BELL-7] relaxed: a hint for those who think of spinning. */
	if (on)
		fr__or_relaxed(&b->awake[b->index / 64], bit);
	else
		fr__and_relaxed(&b->awake[b->index / 64], ~bit);
}

bool fr__bell_crowded(const struct fr__a64 *words, unsigned count, unsigned but)
{
	unsigned i, awake = 0;

	for (i = 0; i < count; i++)
		/* as [BELL-7] */
		awake += (unsigned)__builtin_popcountll(
			fr__load_relaxed(&words[i]));
	return awake >= cpus() + but;
}

/* Do the others leave us a CPU? (We count as awake, if we count at all.) */
static bool room_to_spin(const struct fr__bell *b)
{
	return cpus() > 1 && !fr__bell_crowded(b->awake, b->awake_words, 1);
}

static bool one_too_many(const struct fr__bell *b)
{
	return b->mode != FR_WAIT_SLEEP &&
	       fr__bell_crowded(b->awake, b->awake_words, 1);
}

bool fr__bell_strike(struct fr__a32 *waiting, struct fr__a32 *word,
		     uint32_t mark)
{
	/* [BELL-3] seq_cst: mark cleared -> bell moved, so that a sleeper that
	 * marks again reads the bell anew. Pairs with [BELL-2]. Without it: a
	 * mark that was set for the next sleep is cleared by this ring. */
	if (!(fr__and_sc(waiting, ~mark) & mark))
		return false;
	fr__bell_shake(word);
	return true;
}

void fr__bell_shake(struct fr__a32 *word)
{
	/* [BELL-4] seq_cst: what was made true -> bell moved. Pairs with
	 * [BELL-8]. Without it: woken, and still not seen. */
	fr__add_sc(word, 1);
	fr__futex_wake(word);
}

static bool interrupted(struct fr__bell *b)
{
	/* [BELL-9] relaxed: the flag is all that is said; mark and bell order
	 * it as they do all that one waits for. */
	return fr__load_relaxed(&b->interrupted) &&
	       fr__swap_relaxed(&b->interrupted, 0);
}

/* Is the last look so long ago, or in another slice of the clock? (Without the second,
 * who looked just before a slice is full would not look again before the next.) */
static bool time_to_look(int64_t looked, int64_t now, int64_t every)
{
	return now - looked >= every ||
	       now / FR__SLICE_NS != looked / FR__SLICE_NS;
}

/* Look if no thread of the process has for so long. How long to sleep at most until the
 * next time, in ns: until the clock has counted a full slice, so that all who sleep wake
 * at the same time and a machine with nothing to do wakes once. */
static int64_t look_round(struct fr__bell *b, int64_t now, int64_t every)
{
	/* [BELL-10] relaxed: when we looked last, roughly. */
	if (time_to_look((int64_t)fr__load_relaxed(&b->looked), now, every)) {
		/* as [BELL-10] */
		fr__store_relaxed(&b->looked, (uint64_t)now);
		if (b->look)
			b->look(b->ctx, 0, true);
	}
	return FR__SLICE_NS - now % FR__SLICE_NS;
}

void fr__bell_doubt(struct fr__bell *b, unsigned depends)
{
	int64_t now = fr__now_ns();

	/* as [BELL-10] */
	if (now - (int64_t)fr__load_relaxed(&b->doubted) < FR__LOOK_NS)
		return;
	/* as [BELL-10] */
	fr__store_relaxed(&b->doubted, (uint64_t)now);
	if (b->look)
		b->look(b->ctx, depends, false);
}

void fr__bell_look(struct fr__bell *b)
{
	/* as [BELL-11] */
	fr__store_relaxed(&b->ticks, 0);
	look_round(b, fr__now_ns(), FR__SLICE_NS);
}

/* Before the first sleep, and then and now: is it in vain? */
static void look_at(struct fr__bell *b, const struct fr__wait *w)
{
	if (b->look && w->depends)
		b->look(b->ctx, w->depends, false);
}

/* For how long a spin that begins now may last: so that nobody, however often it gets
 * something, spins for much longer than it works. */
static uint32_t spin_most(const struct fr__bell *b, int64_t now)
{
	/* as [BELL-6] */
	int64_t worked = now - (int64_t)fr__load_relaxed(&b->waited);

	if (worked <= SPIN_MAX_NS)
		return SPIN_MAX_NS;
	return worked < SPIN_LONG_NS ? (uint32_t)worked : SPIN_LONG_NS;
}

/* Look again and again: to the deadline when polling, else for as long as it has
 * paid lately. */
static int spin(struct fr__bell *b, const struct fr__wait *w, int64_t until)
{
	bool poll = b->mode == FR_WAIT_POLL;
	/* as [BELL-6] */
	uint32_t spin_ns = fr__load_relaxed(&b->spin_ns);
	uint32_t vain = fr__load_relaxed(&b->spins_in_vain);
	int64_t start, now, looked, budget;
	unsigned i;
	int rc;

	if (!poll && (b->mode == FR_WAIT_SLEEP || !room_to_spin(b)))
		return 0;
	start = now = looked = fr__now_ns();
	budget = spin_most(b, now);
	if (vain < SPINS_IN_VAIN && spin_ns < budget)
		budget = spin_ns;
	if (poll)
		look_at(b, w);
	do {
		for (i = 0; i < LOOKS; i++) {
			rc = w->ready(w->ctx);
			if (rc != 0)
				goto found;
			fr__bell_pause(LOOK_AGAIN_NS);
		}
		if (poll && interrupted(b))
			return -EINTR;
		if (poll && b->before_sleep) /* it never sleeps */
			b->before_sleep(b->ctx);
		now = fr__now_ns();
		if (poll && now - looked >= FR__LOOK_NS) {
			look_round(b, now, FR__SLICE_NS);
			look_at(b, w);
			looked = now;
		}
	} while (now < until && (poll || now - start < budget));
	if (poll)
		return -ETIMEDOUT;
	spin_ns -= spin_ns / 4;
	/* as [BELL-6] */
	fr__store_relaxed(&b->spin_ns, spin_ns > SPIN_MIN_NS ? spin_ns : SPIN_MIN_NS);
	fr__store_relaxed(&b->spins_in_vain, vain < SPINS_IN_VAIN ? vain + 1 : 0);
	return 0;
found:
	if (poll)
		return rc;
	spin_ns += spin_ns / 8 + 100;
	if (spin_ns < 2 * (now - start))
		spin_ns = (uint32_t)(2 * (now - start));
	/* as [BELL-6], to the end of this */
	fr__store_relaxed(&b->waited, (uint64_t)now);
	fr__store_relaxed(&b->spin_ns,
			  spin_ns < SPIN_LONG_NS ? spin_ns : SPIN_LONG_NS);
	fr__store_relaxed(&b->spins_in_vain, 0);
	return rc;
}

/* Give the CPU to another that wants it, and look: if that is the one that we
 * wait for, both are spared a sleep and a wake-up. Not when it has failed
 * lately, or has taken so long that a sleeper would have been woken earlier. */
static int yield(struct fr__bell *b, const struct fr__wait *w)
{
	/* as [BELL-6] */
	uint32_t skip = fr__load_relaxed(&b->yield_skip);
	uint32_t after = fr__load_relaxed(&b->yield_after);
	int64_t start;
	int rc;

	if (skip > 0) {
		/* as [BELL-6] */
		fr__store_relaxed(&b->yield_skip, skip - 1);
		return 0;
	}
	start = fr__now_ns();
	sched_yield();
	rc = w->ready(w->ctx);
	if (rc != 0 && fr__now_ns() - start < YIELD_MAX_NS) {
		/* as [BELL-6] */
		fr__store_relaxed(&b->yield_after, 0);
		return rc;
	}
	after = after < YIELD_SKIP_MAX ? after * 2 + 1 : after;
	/* as [BELL-6] */
	fr__store_relaxed(&b->yield_after, after);
	fr__store_relaxed(&b->yield_skip, after);
	return rc;
}

/* One sleep of at most ns nanoseconds, unless it is true by now. *slept_out: nobody woke
 * us. */
static int sleep_once(struct fr__bell *b, const struct fr__wait *w, int64_t ns,
		      bool nap, bool *slept_out)
{
	struct fr__a32 *waiting = w->waiting ? w->waiting : &b->slot->waiting;
	struct fr__a32 *word = w->word ? w->word : &b->slot->bell;
	uint32_t v;
	int rc;

	/* [BELL-8] acquire: bell -> what was made true before it moved. Pairs
	 * with [BELL-4]. Without it: see there. */
	v = fr__load_acquire(word);
	/* [BELL-2] seq_cst: mark set -> the last look; a fence, since what
	 * ready() reads it reads with acquire. Pairs with [BELL-1], [BELL-3],
	 * [RING-6], [RING-7], [RING-19] and [EVENT-2]. Without it: ringer and
	 * sleeper miss each other. */
	fr__or_sc(waiting, nap ? w->nap.marks : w->marks);
	if (w->arm)
		w->arm(w->ctx, nap ? FR__ARM_NAP : FR__ARM);
	/* as [BELL-2]; what arm() stored last it stored seq_cst, too */
	fr__fence_behind_sc();
	rc = w->ready(w->ctx);
	if (rc == 0 && interrupted(b))
		rc = -EINTR;
	if (rc != 0)
		return rc;
	/* Behind the last look, since that may free units. */
	if (b->before_sleep)
		b->before_sleep(b->ctx);
	fr__bell_awake(b, false);
	rc = fr__futex_wait(word, v, ns);
	*slept_out = rc == -ETIMEDOUT;
	fr__bell_awake(b, true);
	if (interrupted(b))
		return -EINTR;
	return rc == -EINTR ? rc : 0;
}

int fr__bell_wait(struct fr__bell *b, const struct fr__wait *w, int64_t wait_ns)
{
	int64_t slice = w->marks & FR__MARK_ROOM ? ROOM_SLICE_NS : FR__SLICE_NS;
	int64_t due = FR__SLICE_NS, deadline, now, looked = 0, ns;
	int rc = w->ready(w->ctx);
	unsigned naps = 0;
	bool nap, spun, slept_out = false;

	if (rc != 0)
		return rc;
	if (wait_ns == 0)
		return -EAGAIN;
	deadline = fr__deadline(wait_ns);
	rc = spin(b, w, deadline);
	spun = rc != 0;
	if (rc == 0)
		rc = yield(b, w);
	if (rc == 0) {
		/* Who waits for room sleeps but for a moment first. */
		if (!(w->marks & FR__MARK_ROOM))
			look_at(b, w);
		fr__bell_tick(b, 16);
	}
	while (rc == 0) {
		ns = slice < due ? slice : due;
		nap = naps < w->nap.times && one_too_many(b);
		naps += nap;
		if (nap && ns > w->nap.ns)
			ns = w->nap.ns;
		if (deadline != FR__NEVER && deadline - fr__now_ns() < ns)
			ns = deadline - fr__now_ns();
		if (ns <= 0) {
			rc = w->ready(w->ctx);
			rc = rc != 0 ? rc : -ETIMEDOUT;
			break;
		}
		rc = sleep_once(b, w, ns, nap, &slept_out);
		if (rc == 0)
			rc = w->ready(w->ctx);
		/* Not by the slice alone: rung for others' sake, one that has
		 * busy threads may never sleep it out. */
		if (rc == 0) {
			now = fr__now_ns();
			due = look_round(b, now, FR__LOOK_NS);
			if (time_to_look(looked, now, FR__LOOK_NS)) {
				look_at(b, w);
				looked = now;
			}
		}
		/* Who is rung for others' sake has not waited the longer. */
		if (slept_out)
			slice = slice * 2 < FR__SLICE_NS ? slice * 2 : FR__SLICE_NS;
	}
	if (w->arm)
		w->arm(w->ctx, FR__DISARM);
	if (!spun && b->mode == FR_WAIT_ADAPTIVE)
		/* as [BELL-6] */
		fr__store_relaxed(&b->waited, (uint64_t)fr__now_ns());
	return rc;
}
