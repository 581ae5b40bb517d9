/* SPDX-License-Identifier: MIT */
/*
 * Question: how fast could a round trip be at all?
 * Topology: client and server, one word each way.
 * Waiting mode: poll: each spins on the line that the other writes; sleep: each
 * sleeps on a futex that the other wakes.
 * Statistic: as of the other peers' round trips (drive.h).
 *
 * No payload. Two cache lines, one each way, as any queue needs; "raw" spins
 * without a pause, as simple benchmarks of this do, "raw-pause" with one, which
 * on some CPUs is faster, since the line is asked for less often while the
 * other side is about to write it. (One line for both ways, with a pause, can
 * be faster still; but messages take two ways.)
 *
 * Sleeping across two CPUs has two states: each side gets to sleep, and a round
 * trip takes two wake-ups; or each finds the answer there when its own wake
 * call returns, nobody ever sleeps, and it takes two system calls only. What a
 * trial falls into is chance: see its least and greatest.
 */
#include "drive.h"
#include "peers.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool can(const struct bench_case *c)
{
	return c->workload == RTT;
}

static bool can_pause(const struct bench_case *c)
{
	return c->workload == RTT && c->mode == POLL;
}

static int nothing_to_open(struct trial *t)
{
	(void)t;
	return 0;
}

static void nothing_to_close(struct trial *t)
{
	(void)t;
}

/* ---- polling ---- */

static ALWAYS_INLINE int lines(void *ctx, uint64_t seq, bool pause)
{
	struct control *shared = ctx;

	/* [BENCH-15] release: as a queue's, which has a payload to order.
	 * Pairs with [BENCH-17] serve_lines(). */
	store_release(&shared->ping, seq + 1);
	/* [BENCH-16] acquire: as [BENCH-15]. Pairs with [BENCH-18]
	 * serve_lines(). */
	while (load_acquire(&shared->pong) != seq + 1)
		if (pause)
			cpu_pause();
	return 0;
}

static int lines_spin(void *ctx, uint64_t seq)
{
	return lines(ctx, seq, false);
}

static int lines_pause(void *ctx, uint64_t seq)
{
	return lines(ctx, seq, true);
}

static ALWAYS_INLINE int serve_lines(struct trial *t, bool pause)
{
	struct control *shared = t->shared;
	uint64_t last = 0, now;

	do {
		/* [BENCH-17] acquire: as a queue's. Pairs with [BENCH-15]
		 * lines(). */
		while ((now = load_acquire(&shared->ping)) == last)
			if (pause)
				cpu_pause();
		/* [BENCH-18] release: as [BENCH-15]. Pairs with [BENCH-16]
		 * lines(). */
		store_release(&shared->pong, now);
		last = now;
	} while (now != SEQ_END + 1);
	return 0;
}

/* ---- sleeping ---- */

static void futex(word32 *word, int op, uint32_t value)
{
	syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

/* Set the other's word and wake it; it sets it back when it has seen it. */
static void ring(word32 *bell)
{
	/* [BENCH-19] release: as [BENCH-15]. Pairs with [BENCH-20] await(). */
	store_release(bell, 1);
	futex(bell, FUTEX_WAKE, 1);
}

static void await(word32 *bell)
{
	/* [BENCH-20] acquire: as [BENCH-15]. Pairs with [BENCH-19] ring(). */
	while (load_acquire(bell) == 0)
		futex(bell, FUTEX_WAIT, 0);
	/* [BENCH-21] relaxed: the other writes it again only after it was
	 * answered, by [BENCH-19] ring() on the other word. */
	store_relaxed(bell, 0);
}

static int bells(void *ctx, uint64_t seq)
{
	struct control *shared = ctx;

	/* [BENCH-22] relaxed: ordered by ring(). Pairs with [BENCH-23]
	 * serve_bells(). */
	store_relaxed(&shared->ping, seq);
	ring(&shared->ping_bell);
	await(&shared->pong_bell);
	return 0;
}

static int serve_bells(struct trial *t)
{
	struct control *shared = t->shared;
	uint64_t seq;

	do {
		await(&shared->ping_bell);
		/* [BENCH-23] relaxed: ordered by await(). Pairs with
		 * [BENCH-22] bells(). */
		seq = load_relaxed(&shared->ping);
		ring(&shared->pong_bell);
	} while (seq != SEQ_END);
	return 0;
}

static int run(struct trial *t, enum role role, unsigned index)
{
	(void)index;
	trial_start(t);
	if (t->c->mode == SLEEP)
		return role == SERVER ? serve_bells(t)
				      : drive_client(t, bells, t->shared);
	return role == SERVER ? serve_lines(t, false)
			      : drive_client(t, lines_spin, t->shared);
}

static int run_pause(struct trial *t, enum role role, unsigned index)
{
	(void)index;
	trial_start(t);
	return role == SERVER ? serve_lines(t, true)
			      : drive_client(t, lines_pause, t->shared);
}

const struct peer peer_raw = {
	.name = "raw",
	.note = "no message: a cache line each way, spinning (poll), or a "
		"futex (sleep)",
	.can = can,
	.open = nothing_to_open,
	.run = run,
	.close = nothing_to_close,
};

const struct peer peer_raw_pause = {
	.name = "raw-pause",
	.note = "no message: a cache line each way, spinning with a pause",
	.can = can_pause,
	.open = nothing_to_open,
	.run = run_pause,
	.close = nothing_to_close,
};
