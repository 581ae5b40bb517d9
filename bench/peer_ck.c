/* SPDX-License-Identifier: MIT */
/*
 * Question: how fast is Concurrency Kit's ck_ring at its best?
 * Topology: a ring for each box, in memory shared by fork; "ck-spsc" where each
 * box has one writer and one reader, "ck-mpsc" where each has one reader,
 * "ck-mpmc" everywhere.
 * Waiting mode: spins (ring.h): a ring only says that it is full or empty.
 * Statistic: drive.h and run.c.
 *
 * A message is an entry of the ring, by CK_RING_PROTOTYPE: copied in and out, or
 * written in place by reserve and commit; it cannot be read in place. There are
 * no batches: messages go one by one.
 */
#include "peers.h"
#include "ring.h"

#include <ck_ring.h>

struct box {
	APART ck_ring_t ring;
	APART unsigned char entry[];
};

/* What a process writes to and reads from. */
struct end {
	struct spin spin;
	struct box *first, *mine;
	size_t stride; /* from one box to the next */
	ck_ring_t *claimed;
	unsigned ticket; /* of what is claimed */
	_Alignas(64) unsigned char buf[BATCH_MAX * PAYLOAD_MAX];
};

static size_t stride_of(const struct bench_case *c)
{
	return ring_align(sizeof(struct box) + ring_entries(c) * c->size);
}

static inline struct box *box_at(void *first, size_t stride, unsigned i)
{
	return (struct box *)((char *)first + i * stride);
}

static int open_rings(struct trial *t)
{
	size_t stride = stride_of(t->c);

	t->priv = ring_map(boxes_of(t->c) * stride);
	if (!t->priv)
		return -ENOMEM;
	for (unsigned i = 0; i < boxes_of(t->c); i++)
		ck_ring_init(&box_at(t->priv, stride, i)->ring,
			     ring_entries(t->c));
	return 0;
}

static void close_rings(struct trial *t)
{
	munmap(t->priv, boxes_of(t->c) * stride_of(t->c));
}

static int attach(struct trial *t, int mine, void **ret)
{
	static struct end end;

	spin_open(&end.spin, t->c);
	end.first = t->priv;
	end.stride = stride_of(t->c);
	if (mine >= 0)
		end.mine = box_at(end.first, end.stride, (unsigned)mine);
	*ret = &end;
	return 0;
}

static void done(void *end)
{
	(void)end;
}

/* ---- what the kinds differ in beside their names ---- */

#define RESERVE_spsc(n, box, ticket)                                           \
	ck_ring_enqueue_reserve_spsc_m##n(&box->ring, (void *)box->entry)
#define RESERVE_mpsc(n, box, ticket)                                           \
	ck_ring_enqueue_reserve_mpsc_m##n(&box->ring, (void *)box->entry,      \
					  ticket)
#define RESERVE_mpmc(n, box, ticket)                                           \
	ck_ring_enqueue_reserve_mpmc_m##n(&box->ring, (void *)box->entry,      \
					  ticket)

static inline int commit_spsc(void *ctx)
{
	struct end *end = ctx;

	ck_ring_enqueue_commit_spsc(end->claimed);
	return 0;
}

static inline int commit_mpsc(void *ctx)
{
	struct end *end = ctx;

	ck_ring_enqueue_commit_mpsc(end->claimed, end->ticket);
	return 0;
}

static inline int commit_mpmc(void *ctx)
{
	struct end *end = ctx;

	ck_ring_enqueue_commit_mpmc(end->claimed, end->ticket);
	return 0;
}

/* ---- each size, each kind ---- */

#define MESSAGE(q, n)                                                          \
	struct message_##n {                                                   \
		_Alignas(8) unsigned char byte[n];                             \
	};                                                                     \
	CK_RING_PROTOTYPE(m##n, message_##n)

#define QUEUE(q, n)                                                            \
	static inline unsigned put_##q##n(struct end *end, unsigned to,        \
					  const void *buf, size_t size,        \
					  unsigned count)                      \
	{                                                                      \
		struct box *box = box_at(end->first, end->stride, to);         \
		char *body = (char *)buf;                                      \
		unsigned i;                                                    \
                                                                               \
		for (i = 0; i < count; i++, body += size)                      \
			if (!ck_ring_enqueue_##q##_m##n(&box->ring,            \
							(void *)box->entry,    \
							(void *)body))         \
				break;                                         \
		return i;                                                      \
	}                                                                      \
	static inline unsigned get_##q##n(struct end *end,                     \
					  const void **bodies, size_t size,    \
					  unsigned max)                        \
	{                                                                      \
		unsigned char *body = end->buf;                                \
		unsigned i;                                                    \
                                                                               \
		for (i = 0; i < max; i++, body += size) {                      \
			if (!ck_ring_dequeue_##q##_m##n(                       \
				    &end->mine->ring,                          \
				    (void *)end->mine->entry, (void *)body))   \
				break;                                         \
			bodies[i] = body;                                      \
		}                                                              \
		return i;                                                      \
	}                                                                      \
	static inline void *reserve_##q##n(struct end *end, unsigned to,       \
					   size_t size)                        \
	{                                                                      \
		struct box *box = box_at(end->first, end->stride, to);         \
                                                                               \
		(void)size;                                                    \
		end->claimed = &box->ring;                                     \
		return RESERVE_##q(n, box, &end->ticket);                      \
	}                                                                      \
	RING_CLAIM(q, n, reserve_##q##n)                                       \
	RING_OPS(q, n, put_##q##n, get_##q##n, claim_##q##n, commit_##q)

RING_SIZES(MESSAGE, )
RING_SIZES(QUEUE, spsc)
RING_SIZES(QUEUE, mpsc)
RING_SIZES(QUEUE, mpmc)
RING_RUN(spsc)
RING_RUN(mpsc)
RING_RUN(mpmc)

/* ---- the peers ---- */

static bool can_spsc(const struct bench_case *c)
{
	return ring_can(c, false, false);
}

static bool can_mpsc(const struct bench_case *c)
{
	return ring_can(c, true, false);
}

static bool can_mpmc(const struct bench_case *c)
{
	return ring_can(c, true, true);
}

#define UNFAIR "size a constant, no header, never sleeps"
#define WEDGES "; a producer killed between its two steps wedges all"

const struct peer peer_ck_spsc = {
	.name = "ck-spsc",
	.note = "one writer, one reader; " UNFAIR,
	.can = can_spsc,
	.open = open_rings,
	.run = run_spsc,
	.close = close_rings,
};

const struct peer peer_ck_mpsc = {
	.name = "ck-mpsc",
	.note = "one reader; " UNFAIR WEDGES,
	.can = can_mpsc,
	.open = open_rings,
	.run = run_mpsc,
	.close = close_rings,
};

const struct peer peer_ck_mpmc = {
	.name = "ck-mpmc",
	.note = UNFAIR WEDGES,
	.can = can_mpmc,
	.open = open_rings,
	.run = run_mpmc,
	.close = close_rings,
};
