/* SPDX-License-Identifier: MIT */
/*
 * Question: how fast is liburcu's wfcqueue at its best?
 * Topology: a queue for each box, in memory that all processes have at the same
 * address.
 * Waiting mode: spins (ring.h), by the non-blocking functions: the blocking ones
 * sleep for 10 ms where a producer is held up between its two steps.
 * Statistic: drive.h and run.c.
 *
 * The queue links nodes of the caller's and has no bound; where nodes come from
 * is the caller's affair. Here a producer has an array of them for each box and
 * uses them in turn. What comes back is a count only, which the box's reader
 * raises, and which the producer looks at when it has no more. Several readers
 * of a box take turns by the queue's own lock, and copy a message out before
 * they give it up, so that nodes come back in order.
 *
 * A batch is spliced from a queue of the producer's own, which it links by hand,
 * an exchange for each node being needless there; it is taken node by node.
 */
#define _LGPL_SOURCE 1 /* its functions inline */

#include "peers.h"
#include "ring.h"

#include <urcu/wfcqueue.h>

struct node {
	struct cds_wfcq_node link;
	word64 *back; /* where its return is counted */
	unsigned char body[];
};

struct box {
	APART struct cds_wfcq_tail tail;
	APART struct cds_wfcq_head head;
	APART word32 writers; /* so far. W: a writer, once. */
	/* Nodes of each writer that have come back. W: reader. R: writer. */
	struct {
		APART word64 count;
	} back[MEMBERS_MAX];
	/* Never changed. */
	APART uint64_t nodes; /* of each writer: a power of two */
	unsigned char *node;  /* the first of all */
};

/* A process's nodes for a box. */
struct out {
	struct box *box; /* NULL: it has never sent there */
	unsigned char *node;
	uint64_t nodes, sent;
	uint64_t back; /* as seen last */
	word64 *count;
};

struct end {
	struct spin spin;
	struct box *box;
	struct box *mine;
	bool alone;	/* in reading it */
	unsigned taken; /* from it, not given back */
	struct node *node[BATCH_MAX];
	struct node *claimed;
	struct out *to; /* where that will go */
	struct out out[MEMBERS_MAX];
	_Alignas(64) unsigned char buf[BATCH_MAX * PAYLOAD_MAX];
};

/* ---- set up ---- */

/* Two lines at least: some CPUs fetch the neighbouring one as well. */
static inline size_t node_bytes(size_t size)
{
	size_t bytes = (sizeof(struct node) + size + 63) & ~(size_t)63;

	return bytes < 128 ? 128 : bytes;
}

/* Of each of so many writers to a box: together as many as a ring has. */
static uint64_t nodes_each(const struct bench_case *c, unsigned writers)
{
	uint64_t n = ring_entries(c);

	while (n > 256 && (n / 2) * writers >= ring_entries(c))
		n /= 2;
	return n;
}

static size_t nodes_bytes(const struct bench_case *c, unsigned box)
{
	unsigned writers = box_shape(c, box).writers;

	return writers * nodes_each(c, writers) * node_bytes(c->size);
}

static size_t area_bytes(const struct bench_case *c)
{
	size_t bytes = boxes_of(c) * sizeof(struct box);

	for (unsigned i = 0; i < boxes_of(c); i++)
		bytes += nodes_bytes(c, i);
	return bytes;
}

static int open_queues(struct trial *t)
{
	struct box *box = ring_map(area_bytes(t->c));
	pthread_mutexattr_t shared;
	unsigned char *node;

	if (!box)
		return -ENOMEM;
	t->priv = box;
	node = (unsigned char *)(box + boxes_of(t->c));
	pthread_mutexattr_init(&shared);
	pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	for (unsigned i = 0; i < boxes_of(t->c); i++) {
		cds_wfcq_init(&box[i].head, &box[i].tail);
		/* cds_wfcq_init() makes it for threads of one process. */
		pthread_mutex_destroy(&box[i].head.lock);
		pthread_mutex_init(&box[i].head.lock, &shared);
		box[i].nodes = nodes_each(t->c, box_shape(t->c, i).writers);
		box[i].node = node;
		node += nodes_bytes(t->c, i);
	}
	pthread_mutexattr_destroy(&shared);
	return 0;
}

static void close_queues(struct trial *t)
{
	munmap(t->priv, area_bytes(t->c));
}

static int attach(struct trial *t, int mine, void **ret)
{
	static struct end end;

	spin_open(&end.spin, t->c);
	end.box = t->priv;
	if (mine >= 0) {
		end.mine = &end.box[mine];
		end.alone = box_shape(t->c, (unsigned)mine).readers == 1;
	}
	*ret = &end;
	return 0;
}

/* ---- send ---- */

static void out_open(struct out *out, struct box *box, size_t size)
{
	/* [WFCQ-1] release: more than is needed: each gets a number of its
	 * own. */
	uint32_t writer = add_release(&box->writers, 1);

	out->box = box;
	out->nodes = box->nodes;
	out->node = box->node + writer * box->nodes * node_bytes(size);
	out->count = &box->back[writer].count;
}

/* How many nodes there are to send, at most `want`. */
static ALWAYS_INLINE unsigned out_room(struct out *out, unsigned want)
{
	uint64_t room = out->nodes - (out->sent - out->back);

	if (unlikely(room < want)) {
		/* [WFCQ-2] acquire: count -> the node is written again. Pairs
		 * with [WFCQ-3] give_back(). Without it: a reader sees what is
		 * written next. */
		out->back = load_acquire(out->count);
		room = out->nodes - (out->sent - out->back);
	}
	return room < want ? (unsigned)room : want;
}

static ALWAYS_INLINE struct out *out_of(struct end *end, unsigned to,
					size_t size)
{
	struct out *out = &end->out[to];

	if (unlikely(!out->box))
		out_open(out, &end->box[to], size);
	return out;
}

static ALWAYS_INLINE struct node *node_next(struct out *out, size_t size)
{
	uint64_t i = out->sent & (out->nodes - 1);
	struct node *node = (struct node *)(out->node + i * node_bytes(size));

	cds_wfcq_node_init(&node->link);
	node->back = out->count;
	return node;
}

static ALWAYS_INLINE unsigned put(struct end *end, unsigned to, const void *buf,
				  size_t size, unsigned count)
{
	struct out *out = out_of(end, to, size);
	unsigned n = out_room(out, count);
	const unsigned char *body = buf;
	struct __cds_wfcq_head head;
	struct cds_wfcq_tail tail;
	struct node *node;

	__cds_wfcq_init(&head, &tail);
	for (unsigned i = 0; i < n; i++, out->sent++) {
		node = node_next(out, size);
		memcpy(node->body, body + i * size, size);
		if (count == 1) {
			cds_wfcq_enqueue(&out->box->head, &out->box->tail,
					 &node->link);
			continue;
		}
		tail.p->next = &node->link;
		tail.p = &node->link;
	}
	if (count > 1)
		__cds_wfcq_splice_blocking(&out->box->head, &out->box->tail,
					   &head, &tail);
	return n;
}

static ALWAYS_INLINE void *reserve(struct end *end, unsigned to, size_t size)
{
	end->to = out_of(end, to, size);
	if (unlikely(out_room(end->to, 1) == 0))
		return NULL;
	end->claimed = node_next(end->to, size);
	return end->claimed->body;
}

static inline int commit(void *ctx)
{
	struct end *end = ctx;

	cds_wfcq_enqueue(&end->to->box->head, &end->to->box->tail,
			 &end->claimed->link);
	end->to->sent++;
	return 0;
}

/* ---- receive ---- */

/* NULL: there is none, or its sender is held up. */
static inline struct node *take(struct box *box)
{
	struct cds_wfcq_node *link =
		__cds_wfcq_dequeue_nonblocking(&box->head, &box->tail);

	return likely(link != CDS_WFCQ_WOULDBLOCK)
		       ? caa_container_of(link, struct node, link)
		       : NULL;
}

static inline void give_back(struct node *node)
{
	/* [WFCQ-3] release: the node is read -> count. Pairs with [WFCQ-2]
	 * out_room(). Its only writer: alone, or under the lock. */
	store_release(node->back, load_relaxed(node->back) + 1);
}

static unsigned get_locked(struct end *end, const void **bodies, size_t size,
			   unsigned max)
{
	struct box *box = end->mine;
	struct node *node;
	unsigned n;

	if (cds_wfcq_empty(&box->head, &box->tail))
		return 0;
	cds_wfcq_dequeue_lock(&box->head, &box->tail);
	for (n = 0; n < max && (node = take(box)); n++) {
		bodies[n] = memcpy(end->buf + n * size, node->body, size);
		give_back(node);
	}
	cds_wfcq_dequeue_unlock(&box->head, &box->tail);
	return n;
}

static ALWAYS_INLINE unsigned get(struct end *end, const void **bodies,
				  size_t size, unsigned max)
{
	struct node *node;
	unsigned n;

	if (!end->alone)
		return get_locked(end, bodies, size, max);
	for (n = 0; n < max && (node = take(end->mine)); n++) {
		end->node[n] = node;
		bodies[n] = node->body;
	}
	end->taken = n;
	return n;
}

static inline void done(void *ctx)
{
	struct end *end = ctx;

	while (end->taken)
		give_back(end->node[--end->taken]);
}

#define QUEUE(q, n)                                                            \
	RING_CLAIM(q, n, reserve)                                              \
	RING_OPS(q, n, put, get, claim_##q##n, commit)

RING_SIZES(QUEUE, wfcq)
RING_RUN(wfcq)

static bool can(const struct bench_case *c)
{
	return ring_can(c, true, true);
}

const struct peer peer_wfcq = {
	.name = "wfcqueue",
	.note = "unbounded; a producer's nodes are an array, whose return is "
		"counted by the reader; several readers take turns by a lock; "
		"size a constant, no header, never sleeps; a producer killed "
		"between its two steps wedges all",
	.can = can,
	.open = open_queues,
	.run = run_wfcq,
	.close = close_queues,
};
