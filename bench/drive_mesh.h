/* SPDX-License-Identifier: MIT */
/*
 * Mesh: each of several sends to all others in turn, and receives meanwhile.
 * Included by queue.h.
 *
 * Who finds a box full takes a message from its own box, or gives the CPU away
 * if there is none, and tries again: while it has something to send, nobody
 * waits without emptying its own box, so they cannot all wait for each other.
 * (To sleep for a message instead is wrong near the end: whoever has the full
 * box may have sent its last one.) Who has sent its last one only receives,
 * until it has the last one of all others.
 *
 * Sequence: of each pair, as in drive.h. At the end all have received as many as
 * all have sent (run.c compares).
 */
#ifndef BENCH_DRIVE_MESH_H
#define BENCH_DRIVE_MESH_H

#include <sched.h>

struct mesh {
	struct trial *t;
	const struct queue_ops *ops;
	void *end, *buf;
	size_t size;
	uint64_t places;
	unsigned me, nodes, ended;
	uint64_t got;
	uint64_t next[PROCS_MAX]; /* of each other; SEQ_END: it has ended */
};

static ALWAYS_INLINE int mesh_take(struct mesh *m, const void *body)
{
	uint64_t stamp = payload_stamp(body), seq = stamp_seq(stamp);
	unsigned who = stamp_who(stamp);

	if (unlikely(who >= m->nodes || who == m->me ||
		     !payload_right(body, m->size, m->places)))
		return -EBADMSG;
	if (unlikely(seq == SEQ_END && m->next[who] != SEQ_END)) {
		m->next[who] = SEQ_END;
		m->ended++;
		return 0;
	}
	if (unlikely(seq != m->next[who] || seq == SEQ_END))
		return -EILSEQ;
	m->next[who]++;
	/* [MESH-1] relaxed: a figure. Pairs with [BENCH-4] snapshot(),
	 * [MESH-2] all_sending() and [BENCH-14] account(). */
	store_relaxed(&m->t->shared->member[m->me].got, ++m->got);
	return 0;
}

/* 1: took one; 0: there is none. */
static ALWAYS_INLINE int mesh_try_take(struct mesh *m)
{
	const void *body;
	int rc = m->ops->try_receive(m->end, &body);

	if (rc == -EAGAIN)
		return 0;
	if (unlikely(rc < 0))
		return rc;
	rc = mesh_take(m, body);
	m->ops->done(m->end);
	return rc < 0 ? rc : 1;
}

/* One message with this number to each of the others. */
static ALWAYS_INLINE int mesh_send_all(struct mesh *m, uint64_t seq)
{
	unsigned to = m->me;
	int rc;

	payload_fill(m->buf, m->size, stamp_make(m->me, seq));
	for (unsigned i = 1; i < m->nodes; i++) {
		to = to + 1 < m->nodes ? to + 1 : 0;
		while ((rc = m->ops->try_send(m->end, to, m->buf, m->size)) ==
		       -EAGAIN) {
			rc = mesh_try_take(m);
			if (unlikely(rc < 0))
				return rc;
			if (rc == 0)
				sched_yield();
		}
		if (unlikely(rc < 0))
			return rc;
	}
	return 0;
}

static ALWAYS_INLINE int mesh_live(struct trial *t, unsigned index,
				   const struct queue_ops *ops, void *end,
				   void *buf)
{
	struct mesh m = {
		.t = t,
		.ops = ops,
		.end = end,
		.buf = buf,
		.size = t->c->size,
		.places = payload_places(t->c->size),
		.me = index,
		.nodes = t->c->producers,
	};
	uint64_t seq;
	const void *body;
	int rc = 0;

	for (seq = 0; rc >= 0 && !trial_stopped(t); seq++) {
		rc = mesh_send_all(&m, seq);
		/* What has come meanwhile, but not whatever comes for ever. */
		for (unsigned i = 0; rc >= 0 && i < 2 * m.nodes; i++)
			if ((rc = mesh_try_take(&m)) == 0)
				break;
	}
	t->shared->member[index].sent = seq * (m.nodes - 1);
	if (rc >= 0)
		rc = mesh_send_all(&m, SEQ_END);
	while (rc >= 0 && m.ended < m.nodes - 1) {
		rc = ops->receive(end, &body);
		if (unlikely(rc < 0))
			break;
		rc = mesh_take(&m, body);
		ops->done(end);
	}
	return rc < 0 ? rc : 0;
}

#endif
