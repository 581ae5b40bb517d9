/* SPDX-License-Identifier: MIT */
/*
 * Open loop: messages are due at fixed times, whether those before have arrived
 * or not, and their latency counts from the time that they were *due*. So a
 * message that had to wait for its turn, because the queue or its sender was
 * held up, shows it (no coordinated omission). Included by queue.h.
 *
 * Message n is due n periods after the producer's start; the consumer computes
 * that by itself, and its clock reading ends the latency, before the payload is
 * checked. All that were due when the time was over are sent, however late.
 *
 * Period 0 gives the peak rate, with the same clock readings on both sides.
 */
#ifndef BENCH_DRIVE_OPEN_H
#define BENCH_DRIVE_OPEN_H

static inline uint64_t open_due(const struct trial *t, uint64_t start,
				uint64_t seq)
{
	return start + seq * t->period_ps / 1000;
}

static ALWAYS_INLINE int open_send(struct trial *t, const struct queue_ops *ops,
				   void *end, void *buf)
{
	const size_t size = t->c->size;
	uint64_t now = now_ns(), due, until = UINT64_MAX, seq;
	const uint64_t start = now;
	int rc;

	/* [OPEN-1] relaxed: the first message orders it. Pairs with [OPEN-2]
	 * open_receive(). */
	store_relaxed(&t->shared->open_start, start);
	for (seq = 0;; seq++) {
		due = t->period_ps ? open_due(t, start, seq) : now;
		do {
			now = now_ns();
			if (until == UINT64_MAX && trial_stopped(t))
				until = now;
		} while (now < due && now < until);
		if (due >= until)
			break;
		payload_fill(buf, size, stamp_make(0, seq));
		rc = ops->send(end, 0, buf, size);
		if (unlikely(rc < 0))
			return rc;
	}
	t->shared->member[1].sent = seq;
	payload_fill(buf, size, stamp_make(0, SEQ_END));
	return ops->send(end, 0, buf, size);
}

static ALWAYS_INLINE int open_receive(struct trial *t,
				      const struct queue_ops *ops, void *end)
{
	struct hist *hist = &t->shared->singles;
	uint64_t start = 0, seq, now;
	bool measuring = false;
	struct sink sink;
	const void *body;
	int rc;

	sink_open(&sink, t);
	for (seq = 0;; seq++) {
		rc = ops->receive(end, &body);
		if (unlikely(rc < 0))
			return rc;
		now = now_ns();
		rc = sink_take(&sink, body);
		ops->done(end);
		if (unlikely(rc != 0))
			return rc < 0 ? rc : 0;
		if (unlikely(seq == 0))
			/* [OPEN-2] relaxed: behind the first message. Pairs
			 * with [OPEN-1] open_send(). */
			start = load_relaxed(&t->shared->open_start);
		if (unlikely(!measuring && trial_phase(t) >= PHASE_MEASURE)) {
			hist_clear(hist);
			measuring = true;
		}
		hist_add(hist, now - open_due(t, start, seq));
	}
}

#endif
