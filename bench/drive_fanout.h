/* SPDX-License-Identifier: MIT */
/*
 * Fan-out: one sends to a box that several take from, each message to one of
 * them. Included by queue.h.
 *
 * Sequence: numbers start at 1; each taker sees them go up. At the end as many
 * have been taken by all as were sent, and their numbers add up to the same
 * (run.c compares). Each takes one SEQ_END and is done.
 */
#ifndef BENCH_DRIVE_FANOUT_H
#define BENCH_DRIVE_FANOUT_H

static ALWAYS_INLINE int
fanout_send(struct trial *t, const struct queue_ops *ops, void *end, void *buf)
{
	struct member *me = &t->shared->member[0];
	const size_t size = t->c->size;
	uint64_t seq = 0;
	int rc = 0;

	while (rc == 0 && !trial_stopped(t)) {
		payload_fill(buf, size, stamp_make(0, ++seq));
		rc = ops->send(end, 1, buf, size);
	}
	me->sent = seq;
	me->sum = seq * (seq + 1) / 2;
	payload_fill(buf, size, stamp_make(0, SEQ_END));
	for (unsigned i = 0; i < t->c->workers && rc == 0; i++)
		rc = ops->send(end, 1, buf, size);
	return rc;
}

static ALWAYS_INLINE int fanout_take(struct trial *t, unsigned index,
				     const struct queue_ops *ops, void *end)
{
	struct member *me = &t->shared->member[index + 1];
	const size_t size = t->c->size;
	const uint64_t places = payload_places(size);
	uint64_t stamp, last = 0, count = 0, sum = 0;
	const void *body;
	bool right;
	int rc;

	for (;;) {
		rc = ops->receive(end, &body);
		if (unlikely(rc < 0))
			return rc;
		stamp = payload_stamp(body); /* of sender 0: a number */
		right = payload_right(body, size, places);
		ops->done(end);
		if (unlikely(!right || stamp > SEQ_END))
			return -EBADMSG;
		if (unlikely(stamp == SEQ_END))
			break;
		if (unlikely(stamp <= last))
			return -EILSEQ;
		last = stamp;
		sum += stamp;
		/* [FANOUT-1] relaxed: a figure. Pairs with [BENCH-4] snapshot()
		 * and [BENCH-14] account(). */
		store_relaxed(&me->got, ++count);
	}
	me->sum = sum;
	return 0;
}

#endif
