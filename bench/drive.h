/* SPDX-License-Identifier: MIT */
/*
 * What the processes of a trial do, whatever the peer and however its messages
 * go: the same filling, checking and timing for all. queue.h has the loops.
 *
 * Sequence: each producer counts its messages from 0; the receiver accepts only
 * the next one of each. The last carries SEQ_END; once it has come, as many
 * must have arrived as were sent (run.c compares).
 */
#ifndef BENCH_DRIVE_H
#define BENCH_DRIVE_H

#include "bench.h"
#include "payload.h"

#include <errno.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* run.c: this process is set up; returns once all are. */
void trial_start(struct trial *t);

static inline enum phase trial_phase(const struct trial *t)
{
	/* [BENCH-1] relaxed: a hint to go on to the next phase; nothing is
	 * read on the strength of it. Pairs with [BENCH-2] set_phase(). */
	return (enum phase)load_relaxed(&t->shared->phase);
}

static inline bool trial_stopped(const struct trial *t)
{
	return unlikely(trial_phase(t) == PHASE_STOP);
}

/* ---- stream and fan-in ---- */

/* The receiving end: what has come of each producer. */
struct sink {
	struct trial *t;
	size_t size;
	uint64_t places;
	unsigned producers, started, ended;
	uint64_t next[PROCS_MAX];
};

static inline void sink_open(struct sink *sink, struct trial *t)
{
	*sink = (struct sink){
		.t = t,
		.size = t->c->size,
		.places = payload_places(t->c->size),
		.producers = t->c->producers,
	};
}

/* First and last messages, and wrong ones. */
static inline int sink_unusual(struct sink *sink, unsigned who, uint64_t seq)
{
	if (seq == SEQ_END)
		return ++sink->ended == sink->producers;
	if (seq != sink->next[who])
		return -EILSEQ;
	sink->next[who] = 1;
	/* [BENCH-3] relaxed: a figure. Pairs with [BENCH-4] snapshot(). */
	store_relaxed(&sink->t->shared->got[who], 1);
	if (++sink->started == sink->producers)
		/* [BENCH-5] relaxed: only starts the harness's clock. Pairs
		 * with [BENCH-6] all_sending(). */
		store_relaxed(&sink->t->shared->all_sending, 1);
	return 0;
}

/*
 * Take one message. 1: it was the last of the last producer; 0; -EBADMSG: not
 * what was sent; -EILSEQ: not in sequence.
 */
static ALWAYS_INLINE int sink_take(struct sink *sink, const void *body)
{
	uint64_t stamp = payload_stamp(body), seq = stamp_seq(stamp);
	unsigned who = stamp_who(stamp);

	if (unlikely(who >= sink->producers ||
		     !payload_right(body, sink->size, sink->places)))
		return -EBADMSG;
	if (unlikely(seq != sink->next[who] || seq == 0))
		return sink_unusual(sink, who, seq);
	sink->next[who] = ++seq;
	/* [BENCH-7] relaxed: a figure. Pairs with [BENCH-4] snapshot() and
	 * [BENCH-14] account(). */
	store_relaxed(&sink->t->shared->got[who], seq);
	return 0;
}

/* ---- round trip ---- */

/* One round trip with this number, both payloads filled and checked. */
typedef int round_trip_fn(void *ctx, uint64_t seq);

static ALWAYS_INLINE int counted_trip(struct control *shared,
				      round_trip_fn *round_trip, void *ctx,
				      uint64_t seq)
{
	/* [RTT-1] relaxed: a figure. Pairs with [BENCH-4] snapshot(). */
	store_relaxed(&shared->got[0], seq);
	return round_trip(ctx, seq);
}

/*
 * Round trips until told to stop. Polling: RTT_BATCH of them timed as a whole,
 * for the median, which a clock reading each time would bend; then as many
 * timed one by one, for the tail. Sleeping: all timed one by one.
 */
static ALWAYS_INLINE int drive_client(struct trial *t,
				      round_trip_fn *round_trip, void *ctx)
{
	struct control *shared = t->shared;
	const unsigned singles = t->c->mode == POLL ? RTT_BATCH : 16;
	uint64_t at[RTT_BATCH + 1], seq = 0;
	bool measuring = false;
	unsigned i;
	int rc = 0;

	while (!trial_stopped(t)) {
		if (!measuring && trial_phase(t) == PHASE_MEASURE) {
			hist_clear(&shared->batches);
			hist_clear(&shared->singles);
			measuring = true;
		}
		if (t->c->mode == POLL) {
			at[0] = now_ns();
			for (i = 0; i < RTT_BATCH && rc == 0; i++)
				rc = counted_trip(shared, round_trip, ctx,
						  seq++);
			at[1] = now_ns();
			hist_add(&shared->batches, at[1] - at[0]);
		}
		at[0] = now_ns();
		for (i = 1; i <= singles && rc == 0; i++) {
			rc = counted_trip(shared, round_trip, ctx, seq++);
			at[i] = now_ns();
		}
		if (unlikely(rc < 0))
			return rc;
		for (i = 1; i <= singles; i++)
			hist_add(&shared->singles, at[i] - at[i - 1]);
	}
	return round_trip(ctx, SEQ_END);
}

/* Is this the message of that sender with that number? */
static ALWAYS_INLINE int check_message(const void *body, size_t size,
				       uint64_t stamp)
{
	if (unlikely(!payload_right(body, size, payload_places(size))))
		return -EBADMSG;
	return likely(payload_stamp(body) == stamp) ? 0 : -EILSEQ;
}

#define CLIENT_STAMP 1u
#define SERVER_STAMP 2u

/* ---- farm ---- */

/*
 * Tasks that are out. A task's stamp is its place here and a count, so that a
 * result, whenever it comes, is known to be of a task that is out, once.
 */
struct window {
	unsigned free;
	uint16_t place[FARM_WINDOW]; /* the first `free` are not in use */
	uint64_t stamp[FARM_WINDOW];
	uint64_t done;
};

/* A result's stamp is its task's with this turned over. */
#define RESULT_FLIP (UINT64_C(1) << (SEQ_BITS - 1))

static inline void window_open(struct window *w)
{
	w->done = 0;
	w->free = FARM_WINDOW;
	for (unsigned i = 0; i < FARM_WINDOW; i++) {
		w->place[i] = (uint16_t)i;
		w->stamp[i] = stamp_make(i, 0);
	}
}

/* There must be a free place. */
static inline uint64_t window_next(struct window *w)
{
	return ++w->stamp[w->place[--w->free]];
}

/* What window_next() gave did not go out. */
static inline void window_back(struct window *w)
{
	w->stamp[w->place[w->free++]]--;
}

/* A result has come. */
static ALWAYS_INLINE int window_done(struct trial *t, struct window *w,
				     const void *body, size_t size,
				     uint64_t places)
{
	uint64_t stamp = payload_stamp(body) ^ RESULT_FLIP;
	unsigned place = stamp_who(stamp);

	if (unlikely(!payload_right(body, size, places)))
		return -EBADMSG;
	if (unlikely(place >= FARM_WINDOW || w->stamp[place] != stamp))
		return -EILSEQ;
	w->stamp[place]++;
	w->place[w->free++] = (uint16_t)place;
	/* [BENCH-8] relaxed: a figure. Pairs with [BENCH-4] snapshot(). */
	store_relaxed(&t->shared->got[0], ++w->done);
	return 0;
}

/* What a worker does: check the task's bytes, burn as long as the task takes,
 * write as many bytes as its result. */
static ALWAYS_INLINE int work(const struct bench_case *c, uint64_t burn_steps,
			      const void *arg, void *result)
{
	const size_t size = c->size;

	if (unlikely(!payload_right(arg, size, payload_places(size))))
		return -EBADMSG;
	if (burn_steps)
		burn(burn_steps);
	payload_fill(result, size, payload_stamp(arg) ^ RESULT_FLIP);
	return 0;
}

#endif
