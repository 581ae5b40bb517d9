/* SPDX-License-Identifier: MIT */
/*
 * Question: how fast could a round trip, a stream of large messages, or a farm
 * be at all?
 * Topology: client and server, one word each way; producer and consumer, blocks
 * of a message each with a flag; a farm's workers, each by itself.
 * Waiting mode: poll, streams: each spins on the line that the other writes;
 * sleep: each sleeps on a futex that the other wakes.
 * Statistic: as of the other peers (drive.h, run.c).
 *
 * Stream: as many blocks as forkring's mailbox has room for such messages, used
 * in turn. The producer copies a message in, or fills the block itself where the
 * style is in place, and sets the block's flag; the consumer reads it there in
 * full and clears the flag. No header, no wake-up, no second producer: what is
 * left is how fast a message's lines go from one CPU to the other.
 *
 * Farm ("no-queue"): each worker fills its tasks itself, does them, and checks
 * the results. There is no queue, and nobody waits.
 *
 * Round trip: no payload. Two cache lines, one each way, as any queue needs; "raw" spins
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
#include "peers.h"
#include "queue.h"

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK_MIN 4096u /* where blocks are for more than the flag */

static bool can(const struct bench_case *c)
{
	return c->workload == RTT ||
	       (c->workload == STREAM && c->size >= BLOCK_MIN);
}

static bool can_pause(const struct bench_case *c)
{
	return c->workload == RTT && c->mode == POLL;
}

static bool can_alone(const struct bench_case *c)
{
	return c->workload == FARM;
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

/* ---- blocks ---- */

struct block {
	APART word32 full;
	APART unsigned char body[PAYLOAD_MAX];
};

struct end {
	struct block *blocks;
	unsigned count, at; /* the next one to be used */
	unsigned batch;	    /* received and not done with */
};

/* With a header of 24 bytes a message takes so many units of 64. */
static unsigned blocks_of(const struct trial *t)
{
	return (unsigned)(mailbox_bytes(t->c) / ((t->c->size + 24 + 63) / 64 * 64));
}

static int open_blocks(struct trial *t)
{
	t->priv = NULL;
	if (t->c->workload != STREAM)
		return 0;
	t->priv = mmap(NULL, blocks_of(t) * sizeof(struct block),
		       PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		       0);
	return t->priv == MAP_FAILED ? -ENOMEM : 0;
}

static void close_blocks(struct trial *t)
{
	if (t->priv)
		munmap(t->priv, blocks_of(t) * sizeof(struct block));
}

static int attach(struct trial *t, int mine, void **ret)
{
	static struct end end;

	(void)mine;
	end = (struct end){.blocks = t->priv, .count = blocks_of(t)};
	*ret = &end;
	return 0;
}

static ALWAYS_INLINE struct block *block(const struct end *end, unsigned ahead)
{
	unsigned i = end->at + ahead;

	return &end->blocks[i < end->count ? i : i - end->count];
}

static ALWAYS_INLINE void pass(struct end *end, unsigned count)
{
	end->at += count;
	if (end->at >= end->count)
		end->at -= end->count;
}

static ALWAYS_INLINE int claim(void *ctx, unsigned to, size_t size, void **body)
{
	struct end *end = ctx;
	struct block *b = block(end, 0);

	(void)to;
	(void)size;
	/* [RAW-1] acquire: cleared -> body written anew. Pairs with [RAW-4]
	 * done(). Without it: a block changes while it is read. */
	while (load_acquire(&b->full))
		cpu_pause();
	*body = b->body;
	return 0;
}

static ALWAYS_INLINE int commit(void *ctx)
{
	struct end *end = ctx;

	/* [RAW-2] release: body -> full. Pairs with [RAW-3]. Without it: an old
	 * body is read. */
	store_release(&block(end, 0)->full, 1);
	pass(end, 1);
	return 0;
}

static ALWAYS_INLINE int send_block(void *ctx, unsigned to, const void *buf,
				    size_t size)
{
	void *body;

	claim(ctx, to, size, &body);
	memcpy(body, buf, size);
	return commit(ctx);
}

/* Flags are set one by one: the consumer need not wait for the last. */
static ALWAYS_INLINE int send_blocks(void *ctx, unsigned to, const void *buf,
				     size_t size, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		send_block(ctx, to, (const unsigned char *)buf + i * size,
			   size);
	return (int)count;
}

static ALWAYS_INLINE int receive_blocks(void *ctx, const void **bodies,
					unsigned max)
{
	struct end *end = ctx;
	unsigned n = 0;

	/* [RAW-3] acquire: full -> body. Pairs with [RAW-2] commit(). Without
	 * it: as there. */
	while (!load_acquire(&block(end, 0)->full))
		cpu_pause();
	do
		bodies[n] = block(end, n)->body;
	/* as [RAW-3] */
	while (++n < max && n < end->count &&
	       load_acquire(&block(end, n)->full));
	end->batch = n;
	return (int)n;
}

static ALWAYS_INLINE int receive_block(void *ctx, const void **body)
{
	return receive_blocks(ctx, body, 1) == 1 ? 0 : -EIO;
}

static ALWAYS_INLINE void done(void *ctx)
{
	struct end *end = ctx;

	for (unsigned i = 0; i < end->batch; i++)
		/* [RAW-4] release: body read -> cleared. Pairs with [RAW-1]
		 * claim(). Without it: as there. */
		store_release(&block(end, i)->full, 0);
	pass(end, end->batch);
}

static const struct queue_ops blocks = {
	.attach = attach,
	.send = send_block,
	.receive = receive_block,
	.done = done,
	.send_batch = send_blocks,
	.receive_batch = receive_blocks,
	.claim = claim,
	.commit = commit,
};

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

/* ---- a farm without a queue ---- */

static int work_alone(struct trial *t, unsigned index)
{
	static _Alignas(64) unsigned char arg[PAYLOAD_MAX], result[PAYLOAD_MAX];
	struct member *me = &t->shared->member[index + 1];
	const size_t size = t->c->size;
	uint64_t stamp, seq;
	int rc = 0;

	for (seq = 0; rc == 0 && !trial_stopped(t); seq++) {
		/* [RAW-5] relaxed: a figure. Pairs with [BENCH-4]
		 * snapshot(). */
		store_relaxed(&me->got, seq);
		stamp = stamp_make(index, seq);
		payload_fill(arg, size, stamp);
		rc = work(t->c, t->burn_steps, arg, result);
		if (rc == 0)
			rc = check_message(result, size, stamp ^ RESULT_FLIP);
	}
	return rc;
}

static int run_alone(struct trial *t, enum role role, unsigned index)
{
	const struct timespec moment = {.tv_nsec = 5000000};

	trial_start(t);
	if (role == WORKER)
		return work_alone(t, index);
	while (!trial_stopped(t))
		nanosleep(&moment, NULL);
	return 0;
}

static int run(struct trial *t, enum role role, unsigned index)
{
	if (t->c->workload == STREAM)
		return queue_run(t, role, index, &blocks);
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
	.note = "no queue: a cache line each way, spinning (poll), or a futex "
		"(sleep); blocks with a flag each (stream)",
	.can = can,
	.open = open_blocks,
	.run = run,
	.close = close_blocks,
};

const struct peer peer_raw_pause = {
	.name = "raw-pause",
	.note = "no message: a cache line each way, spinning with a pause",
	.can = can_pause,
	.open = nothing_to_open,
	.run = run_pause,
	.close = nothing_to_close,
};

const struct peer peer_no_queue = {
	.name = "no-queue",
	.note = "no message: as many plain processes do the same tasks, each by "
		"itself",
	.can = can_alone,
	.open = nothing_to_open,
	.run = run_alone,
	.close = nothing_to_close,
};
