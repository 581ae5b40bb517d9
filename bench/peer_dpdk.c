/* SPDX-License-Identifier: MIT */
/*
 * Question: how fast is DPDK's rte_ring at its best?
 * Topology: a ring for each box, by rte_ring_init() in memory shared by fork,
 * without EAL; "dpdk-sp" where each box has one writer and one reader;
 * "dpdk-mp", for many, and for one reader where a box has one; "dpdk-rts", for
 * many, in the mode for more threads than CPUs.
 * Waiting mode: spins (ring.h): a ring only says that it is full or empty.
 * Statistic: drive.h and run.c.
 *
 * A message is an element of the ring, copied in and out; batches are bursts.
 * "dpdk-sp" can be written in place, by the zero-copy functions, which the other
 * two modes have not. Reading in place by them was tried: at no size was it
 * faster than a copy.
 */
#include "peers.h"
#include "ring.h"

#include <rte_ring.h>

/* What a process writes to and reads from. */
struct end {
	struct spin spin;
	char *first;
	size_t stride; /* from one box to the next */
	struct rte_ring *mine;
	struct rte_ring *claimed;
	_Alignas(64) unsigned char buf[BATCH_MAX * PAYLOAD_MAX];
};

static size_t stride_of(const struct bench_case *c)
{
	return ring_align((size_t)rte_ring_get_memsize_elem((unsigned)c->size,
							    ring_entries(c)));
}

static inline struct rte_ring *ring_at(char *first, size_t stride, unsigned i)
{
	return (struct rte_ring *)(first + i * stride);
}

static int open_rings(struct trial *t, unsigned flags)
{
	size_t stride = stride_of(t->c);

	t->priv = ring_map(boxes_of(t->c) * stride);
	if (!t->priv)
		return -ENOMEM;
	for (unsigned i = 0; i < boxes_of(t->c); i++)
		rte_ring_init(ring_at(t->priv, stride, i), "box",
			      ring_entries(t->c),
			      flags || box_shape(t->c, i).readers > 1
				      ? flags
				      : RING_F_SC_DEQ);
	return 0;
}

static int open_sp(struct trial *t)
{
	return open_rings(t, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static int open_mp(struct trial *t)
{
	return open_rings(t, 0);
}

static int open_rts(struct trial *t)
{
	return open_rings(t, RING_F_MP_RTS_ENQ | RING_F_MC_RTS_DEQ);
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
		end.mine = ring_at(end.first, end.stride, (unsigned)mine);
	*ret = &end;
	return 0;
}

static inline void done(void *end)
{
	(void)end;
}

typedef unsigned dequeue_fn(struct rte_ring *r, void *elems, unsigned size,
			    unsigned max, unsigned *left);

static ALWAYS_INLINE unsigned take(struct end *end, const void **bodies,
				   size_t size, unsigned max,
				   dequeue_fn *dequeue)
{
	unsigned n = dequeue(end->mine, end->buf, (unsigned)size, max, NULL);

	for (unsigned i = 0; i < n; i++)
		bodies[i] = end->buf + i * size;
	return n;
}

#define MODE(q, enqueue, dequeue)                                              \
	static ALWAYS_INLINE unsigned put_##q(struct end *end, unsigned to,    \
					      const void *buf, size_t size,    \
					      unsigned count)                  \
	{                                                                      \
		return enqueue(ring_at(end->first, end->stride, to), buf,      \
			       (unsigned)size, count, NULL);                   \
	}                                                                      \
	static ALWAYS_INLINE unsigned get_##q(struct end *end,                 \
					      const void **bodies,             \
					      size_t size, unsigned max)       \
	{                                                                      \
		return take(end, bodies, size, max, dequeue);                  \
	}

MODE(sp, rte_ring_sp_enqueue_burst_elem, rte_ring_sc_dequeue_burst_elem)
MODE(mp, rte_ring_mp_enqueue_burst_elem, rte_ring_dequeue_burst_elem)
MODE(rts, rte_ring_mp_rts_enqueue_burst_elem,
     rte_ring_mc_rts_dequeue_burst_elem)

static ALWAYS_INLINE void *reserve(struct end *end, unsigned to, size_t size)
{
	struct rte_ring_zc_data zc;

	end->claimed = ring_at(end->first, end->stride, to);
	return rte_ring_enqueue_zc_burst_elem_start(
		       end->claimed, (unsigned)size, 1, &zc, NULL)
		       ? zc.ptr1
		       : NULL;
}

static inline int commit(void *ctx)
{
	struct end *end = ctx;

	rte_ring_enqueue_zc_elem_finish(end->claimed, 1);
	return 0;
}

#define ONE(q, n)                                                              \
	RING_CLAIM(q, n, reserve)                                              \
	RING_OPS(q, n, put_##q, get_##q, claim_##q##n, commit)
#define MANY(q, n) RING_OPS(q, n, put_##q, get_##q, NULL, NULL)

RING_SIZES(ONE, sp)
RING_SIZES(MANY, mp)
RING_SIZES(MANY, rts)
RING_RUN(sp)
RING_RUN(mp)
RING_RUN(rts)

static bool can_sp(const struct bench_case *c)
{
	return ring_can(c, false, false);
}

static bool can_many(const struct bench_case *c)
{
	return ring_can(c, true, true) && c->style != IN_PLACE;
}

#define UNFAIR "size a constant, no header, never sleeps"
#define WEDGES "; a producer killed between its two steps wedges all"

const struct peer peer_dpdk_sp = {
	.name = "dpdk-sp",
	.note = "one writer, one reader; " UNFAIR,
	.can = can_sp,
	.open = open_sp,
	.run = run_sp,
	.close = close_rings,
};

const struct peer peer_dpdk_mp = {
	.name = "dpdk-mp",
	.note = UNFAIR WEDGES,
	.can = can_many,
	.open = open_mp,
	.run = run_mp,
	.close = close_rings,
};

const struct peer peer_dpdk_rts = {
	.name = "dpdk-rts",
	.note = "relaxed tail; " UNFAIR WEDGES,
	.can = can_many,
	.open = open_rts,
	.run = run_rts,
	.close = close_rings,
};
