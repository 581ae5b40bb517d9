/* SPDX-License-Identifier: MIT */
/*
 * Question: how fast is Boost.Interprocess's message_queue?
 * Topology: a queue for each box.
 * Waiting mode: poll: try_receive() in a spin; else receive(), which sleeps on a
 * condition variable. Neither spins itself.
 * Statistic: drive.h and run.c.
 *
 * Queues of box_length(). They are made before the fork and lose their names at
 * once, so that nothing is left of them in /dev/shm.
 */
#include "boost_mq.h"
#include "peers.h"
#include "queue.h"

#include <stdlib.h>
#include <unistd.h>

struct queues {
	unsigned count;
	void *mq[PROCS_MAX]; /* of each box */
};

struct end {
	const struct queues *q;
	void *from;
	bool poll;
	size_t size;
	_Alignas(64) unsigned char buf[PAYLOAD_MAX];
};

static void close_queues(struct trial *t)
{
	struct queues *q = t->priv;

	while (q->count)
		boost_mq_close(q->mq[--q->count]);
	free(q);
}

static int open_queues(struct trial *t)
{
	struct queues *q = malloc(sizeof(*q));
	char name[64];
	int rc = 0;

	if (!q)
		return -ENOMEM;
	snprintf(name, sizeof(name), "forkring-bench.%d", (int)getpid());
	q->count = 0;
	t->priv = q;
	while (q->count < boxes_of(t->c) && rc == 0) {
		rc = boost_mq_open(name, box_length(t->c), t->c->size,
				   &q->mq[q->count]);
		if (rc == 0)
			q->count++;
	}
	if (rc < 0)
		close_queues(t);
	return rc;
}

static int attach(struct trial *t, int mine, void **ret)
{
	static struct end end;

	end.q = t->priv;
	end.size = t->c->size;
	end.poll = t->c->mode == POLL;
	if (mine >= 0)
		end.from = end.q->mq[mine];
	*ret = &end;
	return 0;
}

static inline int send_one(void *ctx, unsigned to, const void *buf, size_t size)
{
	const struct end *end = ctx;

	return boost_mq_send(end->q->mq[to], buf, size);
}

static inline int try_send(void *ctx, unsigned to, const void *buf, size_t size)
{
	const struct end *end = ctx;

	return boost_mq_try_send(end->q->mq[to], buf, size);
}

static inline int try_receive(void *ctx, const void **body)
{
	struct end *end = ctx;

	*body = end->buf;
	return boost_mq_try_receive(end->from, end->buf, end->size);
}

static inline int receive(void *ctx, const void **body)
{
	struct end *end = ctx;
	int rc;

	*body = end->buf;
	if (!end->poll)
		return boost_mq_receive(end->from, end->buf, end->size);
	while ((rc = try_receive(end, body)) == -EAGAIN)
		cpu_pause();
	return rc;
}

static void done(void *end)
{
	(void)end;
}

static const struct queue_ops ops = {
	.attach = attach,
	.send = send_one,
	.try_send = try_send,
	.receive = receive,
	.try_receive = try_receive,
	.done = done,
};

static bool can(const struct bench_case *c)
{
	return queue_can(c, &ops);
}

static int run(struct trial *t, enum role role, unsigned index)
{
	return queue_run(t, role, index, &ops);
}

const struct peer peer_boost = {
	.name = "boost-mq",
	.note = "message_queue: a mutex in shared memory, which a killed process "
		"leaves locked for ever; no batches; priorities are not used",
	.can = can,
	.open = open_queues,
	.run = run,
	.close = close_queues,
};
