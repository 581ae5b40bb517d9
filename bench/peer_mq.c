/* SPDX-License-Identifier: MIT */
/*
 * Question: how fast are POSIX message queues at their best?
 * Topology: a queue for each box.
 * Waiting mode: poll: non-blocking mq_receive() in a spin; else the blocking one,
 * which never spins.
 * Statistic: drive.h and run.c.
 *
 * Queues are as long as the system lets this user have them, up to box_length():
 * 10 messages by default (msg_max); with CAP_SYS_RESOURCE all of it, and messages
 * beyond msgsize_max. A queue's name is removed as soon as it is open.
 */
#include "peers.h"
#include "queue.h"

#include <fcntl.h>
#include <mqueue.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* A box, by two descriptors, since whether to wait is a property of those. */
struct box {
	mqd_t wait, look;
};

struct queues {
	unsigned count;
	struct box box[PROCS_MAX];
};

struct end {
	const struct queues *q;
	mqd_t from, look; /* the former as receive() does */
	size_t size;
	_Alignas(64) unsigned char buf[PAYLOAD_MAX];
};

static void raise_limit(void)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	if (setrlimit(RLIMIT_MSGQUEUE, &limit) == 0 ||
	    getrlimit(RLIMIT_MSGQUEUE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_MSGQUEUE, &limit);
}

/* 0, or -errno: -EINVAL, -EMFILE: longer or larger than the system allows. */
static int box_open(struct box *box, size_t size, unsigned length)
{
	struct mq_attr attr = {.mq_maxmsg = length, .mq_msgsize = (long)size};
	char name[64];
	int rc = 0;

	snprintf(name, sizeof(name), "/forkring-bench.%d", (int)getpid());
	box->wait = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600,
			    &attr);
	if (box->wait < 0)
		return -errno;
	box->look = mq_open(name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (box->look < 0) {
		rc = -errno;
		mq_close(box->wait);
	}
	mq_unlink(name);
	return rc;
}

static void box_close(const struct box *box)
{
	mq_close(box->look);
	mq_close(box->wait);
}

static void let_go(struct queues *q)
{
	while (q->count)
		box_close(&q->box[--q->count]);
}

static void close_queues(struct trial *t)
{
	let_go(t->priv);
	free(t->priv);
}

static unsigned length_max(void)
{
	FILE *f = fopen("/proc/sys/fs/mqueue/msg_max", "re");
	unsigned n = 10;

	if (f) {
		if (fscanf(f, "%u", &n) != 1)
			n = 10;
		fclose(f);
	}
	return n;
}

/* All queues have the same length. */
static int open_queues(struct trial *t)
{
	const unsigned usual = length_max();
	struct queues *q = malloc(sizeof(*q));
	unsigned length = box_length(t->c);
	int rc;

	if (!q)
		return -ENOMEM;
	raise_limit();
	q->count = 0;
	for (;;) {
		do
			rc = box_open(&q->box[q->count], t->c->size, length);
		while (rc == 0 && ++q->count < boxes_of(t->c));
		if ((rc != -EINVAL && rc != -EMFILE) || length == 1)
			break;
		let_go(q);
		length = length > usual ? usual : length / 2;
	}
	t->priv = q;
	if (rc < 0)
		close_queues(t);
	return rc;
}

static int attach(struct trial *t, int mine, void **ret)
{
	static struct end end;

	end.q = t->priv;
	end.size = t->c->size;
	if (mine >= 0) {
		end.look = end.q->box[mine].look;
		end.from = t->c->mode == POLL ? end.look
					      : end.q->box[mine].wait;
	}
	*ret = &end;
	return 0;
}

static inline int send_one(void *ctx, unsigned to, const void *buf, size_t size)
{
	const struct end *end = ctx;

	return likely(mq_send(end->q->box[to].wait, buf, size, 0) == 0)
		       ? 0
		       : -errno;
}

static inline int try_send(void *ctx, unsigned to, const void *buf, size_t size)
{
	const struct end *end = ctx;

	return mq_send(end->q->box[to].look, buf, size, 0) == 0 ? 0 : -errno;
}

static ALWAYS_INLINE int receive_from(struct end *end, mqd_t mq,
				      const void **body)
{
	ssize_t n = mq_receive(mq, (char *)end->buf, end->size, NULL);

	*body = end->buf;
	if (unlikely(n != (ssize_t)end->size))
		return n < 0 ? -errno : -EIO;
	return 0;
}

static inline int receive(void *ctx, const void **body)
{
	struct end *end = ctx;
	int rc;

	do
		rc = receive_from(end, end->from, body);
	while (unlikely(rc == -EAGAIN));
	return rc;
}

static inline int try_receive(void *ctx, const void **body)
{
	struct end *end = ctx;

	return receive_from(end, end->look, body);
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

/* Does the system let us have such messages at all? */
static bool can(const struct bench_case *c)
{
	struct box box;

	raise_limit();
	if (!queue_can(c, &ops) || box_open(&box, c->size, 1) < 0)
		return false;
	box_close(&box);
	return true;
}

static int run(struct trial *t, enum role role, unsigned index)
{
	return queue_run(t, role, index, &ops);
}

const struct peer peer_mq = {
	.name = "posix-mq",
	.note = "as long as the system allows, by default 10 messages; no "
		"batches; priorities are not used",
	.can = can,
	.open = open_queues,
	.run = run,
	.close = close_queues,
};
