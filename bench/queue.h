/* SPDX-License-Identifier: MIT */
/*
 * A peer as queues, and what the processes of every workload do over them. A
 * peer fills in a struct queue_ops, makes it a static const, and hands it to
 * queue_run(), which is inlined there: no peer pays for calls through pointers
 * that another does not.
 *
 * Boxes. A message is sent to a box and received from one. Box 0 belongs to
 * member 0: the consumer, the server, a farm's main (results). Box 1 belongs to
 * the client (answers), or is shared by all workers of a farm (tasks) and by all
 * consumers of a fan-out (which has no use for box 0). In a mesh each member has
 * the box of its number. boxes_of() says how many there are, box_shape() how many
 * write to one and read from it: a peer that has a single-producer and a
 * multi-producer queue takes the one that its note says, and its can() refuses
 * what that cannot do.
 *
 * Waiting. send() and receive() wait, in the case's mode (ADAPTIVE: as the peer
 * does by default; POLL: no sleep; SLEEP: no spin). What never sleeps may call
 * cpu_pause(), and where there are more processes than CPUs sched_yield(), if
 * that is how its manual would have it used.
 */
#ifndef BENCH_QUEUE_H
#define BENCH_QUEUE_H

#include "drive.h"

/* All but attach, send, receive and done may be NULL; then the peer's can() must
 * refuse the cases that need them: queue_can(). Each returns 0 (or what it says)
 * or -errno. */
struct queue_ops {
	/* In its process, before the trial starts: this process receives from
	 * box `mine` (or from none: -1). *end is handed to all others. */
	int (*attach)(struct trial *t, int mine, void **end);
	/* Copy size bytes in and publish them. Waits for room. */
	int (*send)(void *end, unsigned to, const void *buf, size_t size);
	/* As send, but -EAGAIN where it would wait. For MESH, and for FARM where
	 * the boxes may not hold FARM_WINDOW. */
	int (*try_send)(void *end, unsigned to, const void *buf, size_t size);
	/* The next message from the own box; waits for it. *body, of the
	 * case's size, may be read until done(). */
	int (*receive)(void *end, const void **body);
	/* As receive, but -EAGAIN where it would wait. For MESH; for FARM,
	 * where it may also be that only a call to the system would tell. */
	int (*try_receive)(void *end, const void **body);
	/* What was received last is read (of a batch: all of it). */
	void (*done)(void *end);
	/* Publish count (at most BATCH_MAX) messages of size bytes, which lie
	 * one behind the other in buf, as a batch. Returns how many went, at
	 * least 1: waits for the first only. For STREAM, BATCHED. */
	int (*send_batch)(void *end, unsigned to, const void *buf, size_t size,
			  unsigned count);
	/* At least one, and up to max that are there. Returns how many. */
	int (*receive_batch)(void *end, const void **bodies, unsigned max);
	/* Room for a message of size bytes, in the queue itself; then that it
	 * is written. For STREAM, IN_PLACE. */
	int (*claim)(void *end, unsigned to, size_t size, void **body);
	int (*commit)(void *end);
	/* Before the process ends, if it ends well; may be NULL. */
	void (*detach)(void *end);
};

static inline unsigned boxes_of(const struct bench_case *c)
{
	switch (c->workload) {
	case STREAM:
	case FANIN:
	case OPEN:
		return 1;
	case MESH:
		return c->producers;
	default:
		return 2;
	}
}

struct shape {
	unsigned writers, readers;
};

static inline struct shape box_shape(const struct bench_case *c, unsigned box)
{
	switch (c->workload) {
	case FANIN:
		return (struct shape){c->producers, 1};
	case FARM:
		return box ? (struct shape){1, c->workers}
			   : (struct shape){c->workers, 1};
	case FANOUT:
		return (struct shape){1, box ? c->workers : 1};
	case MESH:
		return (struct shape){c->producers - 1, 1};
	default:
		return (struct shape){1, 1};
	}
}

/* Messages that a box holds where its peer must be told: 1024, up to 4 MiB. */
static inline unsigned box_length(const struct bench_case *c)
{
	return c->size <= 4096 ? 1024 : 4194304 / (unsigned)c->size;
}

/* Of forkring: the default, and for large messages as much as the other rings have for
 * those of 4 KiB. */
static inline size_t mailbox_bytes(const struct bench_case *c)
{
	return c->size < 4096 ? 256u * 1024 : 1024u * 1024;
}

/* Every box has one who writes to it and one who reads from it. */
static inline bool one_to_one(const struct bench_case *c)
{
	struct shape s;

	for (unsigned i = 0; i < boxes_of(c); i++) {
		s = box_shape(c, i);
		if (s.writers > 1 || s.readers > 1)
			return false;
	}
	return true;
}

/* Has it what the case needs? For can(). */
static inline bool queue_can(const struct bench_case *c,
			     const struct queue_ops *ops)
{
	if (c->style == BATCHED)
		return ops->send_batch && ops->receive_batch;
	if (c->style == IN_PLACE)
		return ops->claim && ops->commit;
	if (c->workload == MESH)
		return ops->try_send && ops->try_receive;
	return true;
}

#include "drive_fanout.h"
#include "drive_mesh.h"
#include "drive_open.h"

/* ---- stream and fan-in ---- */

/* One message from a buffer or, without one, in place. */
static ALWAYS_INLINE int queue_put(const struct queue_ops *ops, void *end,
				   void *buf, size_t size, uint64_t stamp)
{
	void *body = buf;
	int rc = buf ? 0 : ops->claim(end, 0, size, &body);

	if (unlikely(rc < 0))
		return rc;
	payload_fill(body, size, stamp);
	return buf ? ops->send(end, 0, buf, size) : ops->commit(end);
}

/* Send until told to stop, then the last one. */
static ALWAYS_INLINE int queue_produce(struct trial *t, unsigned who,
				       const struct queue_ops *ops, void *end,
				       void *buf)
{
	const size_t size = t->c->size;
	uint64_t seq;
	int rc;

	for (seq = 0; !trial_stopped(t); seq++) {
		rc = queue_put(ops, end, buf, size, stamp_make(who, seq));
		if (unlikely(rc < 0))
			return rc;
	}
	t->shared->member[who + 1].sent = seq;
	return queue_put(ops, end, buf, size, stamp_make(who, SEQ_END));
}

/* So many messages from the buffer, in as many batches as it takes. */
static ALWAYS_INLINE int queue_put_batch(const struct queue_ops *ops, void *end,
					 const unsigned char *buf, size_t size,
					 unsigned count)
{
	int rc;

	for (unsigned i = 0; i < count; i += (unsigned)rc) {
		rc = ops->send_batch(end, 0, buf + i * size, size, count - i);
		if (unlikely(rc < 0))
			return rc;
	}
	return 0;
}

static ALWAYS_INLINE int queue_produce_batches(struct trial *t, unsigned who,
					       const struct queue_ops *ops,
					       void *end)
{
	static _Alignas(64) unsigned char buf[BATCH_MAX * PAYLOAD_MAX];
	const size_t size = t->c->size;
	uint64_t seq;
	int rc;

	for (seq = 0; !trial_stopped(t); seq += BATCH_MAX) {
		for (unsigned i = 0; i < BATCH_MAX; i++)
			payload_fill(buf + i * size, size,
				     stamp_make(who, seq + i));
		rc = queue_put_batch(ops, end, buf, size, BATCH_MAX);
		if (unlikely(rc < 0))
			return rc;
	}
	t->shared->member[who + 1].sent = seq;
	payload_fill(buf, size, stamp_make(who, SEQ_END));
	return queue_put_batch(ops, end, buf, size, 1);
}

static ALWAYS_INLINE int queue_consume(struct trial *t,
				       const struct queue_ops *ops, void *end)
{
	struct sink sink;
	const void *body;
	int rc = 0;

	sink_open(&sink, t);
	while (rc == 0) {
		rc = ops->receive(end, &body);
		if (unlikely(rc < 0))
			break;
		rc = sink_take(&sink, body);
		ops->done(end);
	}
	return rc < 0 ? rc : 0;
}

static ALWAYS_INLINE int
queue_consume_batches(struct trial *t, const struct queue_ops *ops, void *end)
{
	const void *body[BATCH_MAX];
	struct sink sink;
	int rc = 0, n;

	sink_open(&sink, t);
	while (rc == 0) {
		n = ops->receive_batch(end, body, BATCH_MAX);
		if (unlikely(n < 0))
			return n;
		for (int i = 0; i < n && rc == 0; i++)
			rc = sink_take(&sink, body[i]);
		ops->done(end);
	}
	return rc < 0 ? rc : 0;
}

/* ---- round trip ---- */

struct caller {
	const struct queue_ops *ops;
	void *end, *buf;
	size_t size;
};

static ALWAYS_INLINE int queue_call(void *ctx, uint64_t seq)
{
	struct caller *c = ctx;
	const void *body;
	int rc;

	payload_fill(c->buf, c->size, stamp_make(CLIENT_STAMP, seq));
	rc = c->ops->send(c->end, 0, c->buf, c->size);
	if (unlikely(rc < 0))
		return rc;
	rc = c->ops->receive(c->end, &body);
	if (unlikely(rc < 0))
		return rc;
	rc = check_message(body, c->size, stamp_make(SERVER_STAMP, seq));
	c->ops->done(c->end);
	return rc;
}

/* Lets go of a request when it is answered, as a handler's caller does. */
static ALWAYS_INLINE int
queue_serve(struct trial *t, const struct queue_ops *ops, void *end, void *buf)
{
	const size_t size = t->c->size;
	uint64_t seq, expected = 0;
	const void *body;
	int rc;

	do {
		rc = ops->receive(end, &body);
		if (unlikely(rc < 0))
			return rc;
		seq = stamp_seq(payload_stamp(body));
		if (seq != SEQ_END)
			seq = expected++;
		rc = check_message(body, size, stamp_make(CLIENT_STAMP, seq));
		if (unlikely(rc < 0))
			return rc;
		payload_fill(buf, size, stamp_make(SERVER_STAMP, seq));
		rc = ops->send(end, 1, buf, size);
		ops->done(end);
	} while (rc == 0 && seq != SEQ_END);
	return rc;
}

/* ---- farm ---- */

static ALWAYS_INLINE int queue_work(struct trial *t,
				    const struct queue_ops *ops, void *end,
				    void *result)
{
	const size_t size = t->c->size;
	const void *arg;
	int rc;

	for (;;) {
		rc = ops->receive(end, &arg);
		if (unlikely(rc < 0))
			return rc;
		if (unlikely(stamp_seq(payload_stamp(arg)) == SEQ_END)) {
			ops->done(end);
			return 0;
		}
		rc = work(t->c, t->burn_steps, arg, result);
		ops->done(end);
		if (rc == 0)
			rc = ops->send(end, 0, result, size);
		if (unlikely(rc < 0))
			return rc;
	}
}

/*
 * Give out tasks while the window and the queue have room, then take what
 * results there are, but not to the last: workers shall always find something to
 * do. Main waits for room only while no task is out: the workers of a short
 * queue may wait for room as well, for results.
 */
static ALWAYS_INLINE int
queue_main(struct trial *t, const struct queue_ops *ops, void *end, void *arg)
{
	const size_t size = t->c->size;
	const uint64_t places = payload_places(size);
	static struct window w;
	const void *body;
	int rc = 0;

	window_open(&w);
	for (;;) {
		while (w.free && !trial_stopped(t) && rc == 0) {
			payload_fill(arg, size, window_next(&w));
			rc = ops->try_send && w.free < FARM_WINDOW - 1
				     ? ops->try_send(end, 1, arg, size)
				     : ops->send(end, 1, arg, size);
			if (rc == -EAGAIN)
				window_back(&w);
		}
		if (rc < 0 && rc != -EAGAIN)
			return rc;
		if (w.free == FARM_WINDOW)
			break;
		rc = ops->receive(end, &body);
		while (rc == 0) {
			rc = window_done(t, &w, body, size, places);
			ops->done(end);
			if (rc < 0)
				return rc;
			if (!ops->try_receive || w.free >= FARM_WINDOW / 2)
				break;
			rc = ops->try_receive(end, &body);
		}
		if (rc == -EAGAIN)
			rc = 0;
	}
	payload_fill(arg, size, stamp_make(0, SEQ_END));
	for (unsigned i = 0; i < t->c->workers && rc == 0; i++)
		rc = ops->send(end, 1, arg, size);
	return rc;
}

/* ---- all of them ---- */

static inline int box_of(const struct bench_case *c, enum role role,
			 unsigned index)
{
	switch (role) {
	case CONSUMER:
		return c->workload == FANOUT;
	case NODE:
		return (int)index;
	case PRODUCER:
		return -1;
	case CLIENT:
	case WORKER:
		return 1;
	default:
		return 0;
	}
}

static ALWAYS_INLINE int queue_receiver(struct trial *t, unsigned index,
					const struct queue_ops *ops, void *end)
{
	if (t->c->workload == FANOUT)
		return fanout_take(t, index, ops, end);
	if (t->c->workload == OPEN)
		return open_receive(t, ops, end);
	if (t->c->style == BATCHED)
		return queue_consume_batches(t, ops, end);
	return queue_consume(t, ops, end);
}

static ALWAYS_INLINE int queue_sender(struct trial *t, unsigned index,
				      const struct queue_ops *ops, void *end,
				      void *buf)
{
	if (t->c->workload == FANOUT)
		return fanout_send(t, ops, end, buf);
	if (t->c->workload == OPEN)
		return open_send(t, ops, end, buf);
	if (t->c->style == BATCHED)
		return queue_produce_batches(t, index, ops, end);
	if (t->c->style == IN_PLACE)
		return queue_produce(t, index, ops, end, NULL);
	return queue_produce(t, index, ops, end, buf);
}

static ALWAYS_INLINE int queue_run(struct trial *t, enum role role,
				   unsigned index, const struct queue_ops *ops)
{
	static _Alignas(64) unsigned char buf[PAYLOAD_MAX];
	struct caller caller = {.ops = ops, .buf = buf, .size = t->c->size};
	void *end;
	int rc = queue_can(t->c, ops)
			 ? ops->attach(t, box_of(t->c, role, index), &end)
			 : -EOPNOTSUPP;

	if (rc < 0)
		return rc;
	trial_start(t);
	switch (role) {
	case CONSUMER:
		rc = queue_receiver(t, index, ops, end);
		break;
	case PRODUCER:
		rc = queue_sender(t, index, ops, end, buf);
		break;
	case SERVER:
		rc = queue_serve(t, ops, end, buf);
		break;
	case CLIENT:
		caller.end = end;
		rc = drive_client(t, queue_call, &caller);
		break;
	case MAIN:
		rc = queue_main(t, ops, end, buf);
		break;
	case WORKER:
		rc = queue_work(t, ops, end, buf);
		break;
	case NODE:
		rc = mesh_live(t, index, ops, end, buf);
		break;
	}
	if (rc == 0 && ops->detach)
		ops->detach(end);
	return rc;
}

#endif
