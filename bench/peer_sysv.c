/* SPDX-License-Identifier: MIT */
/*
 * Question: how fast are System V message queues at their best?
 * Topology: a queue for each box.
 * Waiting mode: poll: msgrcv() with IPC_NOWAIT in a spin; else the blocking one,
 * which never spins.
 * Statistic: drive.h and run.c.
 *
 * Queues hold 1 MiB where the user may say so (CAP_SYS_RESOURCE), else
 * kernel.msgmnb bytes. A message has its type in front, so what is sent is copied
 * behind one first.
 *
 * A queue has no name to take away from it while it is used, and outlives all
 * who use it. So a process of its own waits until the harness closes the queues
 * or is gone, however it ended, and removes them.
 */
#include "peers.h"
#include "queue.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/msg.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUEUE_BYTES 1048576u

struct queues {
	unsigned count;
	int id[PROCS_MAX];
	pid_t remover;
	int life; /* what it reads from ends when this is closed by all */
};

struct message {
	long type;
	unsigned char body[PAYLOAD_MAX];
};

struct end {
	const struct queues *q;
	int from;
	int flags; /* of a receive that shall wait */
	size_t size;
	struct message in, out;
};

static void remove_queues(const struct queues *q)
{
	for (unsigned i = 0; i < q->count; i++)
		msgctl(q->id[i], IPC_RMID, NULL);
}

static int start_remover(struct queues *q)
{
	int life[2];
	char c;

	if (pipe2(life, O_CLOEXEC) < 0)
		return -errno;
	q->remover = fork();
	if (q->remover == 0) {
		setsid(); /* Ctrl-C is not for it */
		close(life[1]);
		while (read(life[0], &c, 1) < 0)
			;
		remove_queues(q);
		_exit(0);
	}
	close(life[0]);
	q->life = life[1];
	if (q->remover < 0)
		close(q->life);
	return q->remover < 0 ? -EAGAIN : 0;
}

static int queue_open(int *id)
{
	struct msqid_ds ds;

	*id = msgget(IPC_PRIVATE, 0600);
	if (*id < 0)
		return -errno;
	if (msgctl(*id, IPC_STAT, &ds) == 0 && ds.msg_qbytes < QUEUE_BYTES) {
		ds.msg_qbytes = QUEUE_BYTES;
		msgctl(*id, IPC_SET, &ds);
	}
	return 0;
}

static int open_queues(struct trial *t)
{
	struct queues *q = malloc(sizeof(*q));
	int rc = 0;

	if (!q)
		return -ENOMEM;
	q->count = 0;
	t->priv = q;
	while (q->count < boxes_of(t->c) && rc == 0) {
		rc = queue_open(&q->id[q->count]);
		if (rc == 0)
			q->count++;
	}
	if (rc == 0)
		rc = start_remover(q);
	if (rc < 0) {
		remove_queues(q);
		free(q);
	}
	return rc;
}

static void close_queues(struct trial *t)
{
	struct queues *q = t->priv;

	close(q->life);
	waitpid(q->remover, NULL, 0);
	free(q);
}

static int attach(struct trial *t, int mine, void **ret)
{
	static struct end end;

	end.q = t->priv;
	end.size = t->c->size;
	end.flags = t->c->mode == POLL ? IPC_NOWAIT : 0;
	end.out.type = 1;
	if (mine >= 0)
		end.from = end.q->id[mine];
	*ret = &end;
	return 0;
}

static ALWAYS_INLINE int send_to(struct end *end, unsigned to, const void *buf,
				 size_t size, int flags)
{
	memcpy(end->out.body, buf, size);
	return likely(msgsnd(end->q->id[to], &end->out, size, flags) == 0)
		       ? 0
		       : -errno;
}

static inline int send_one(void *end, unsigned to, const void *buf, size_t size)
{
	return send_to(end, to, buf, size, 0);
}

static inline int try_send(void *end, unsigned to, const void *buf, size_t size)
{
	return send_to(end, to, buf, size, IPC_NOWAIT);
}

static ALWAYS_INLINE int receive_with(struct end *end, const void **body,
				      int flags)
{
	ssize_t n = msgrcv(end->from, &end->in, end->size, 0, flags);

	*body = end->in.body;
	if (unlikely(n != (ssize_t)end->size))
		return n >= 0 ? -EIO : errno == ENOMSG ? -EAGAIN : -errno;
	return 0;
}

static inline int receive(void *ctx, const void **body)
{
	struct end *end = ctx;
	int rc;

	do
		rc = receive_with(end, body, end->flags);
	while (unlikely(rc == -EAGAIN));
	return rc;
}

static inline int try_receive(void *end, const void **body)
{
	return receive_with(end, body, IPC_NOWAIT);
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
	struct msginfo limit;

	return queue_can(c, &ops) &&
	       msgctl(0, IPC_INFO, (struct msqid_ds *)&limit) >= 0 &&
	       c->size <= (size_t)limit.msgmax &&
	       c->size <= (size_t)limit.msgmnb;
}

static int run(struct trial *t, enum role role, unsigned index)
{
	return queue_run(t, role, index, &ops);
}

const struct peer peer_sysv = {
	.name = "sysv-msg",
	.note = "1 MiB where allowed, else kernel.msgmnb, by default 16 KiB; no "
		"batches; a receive wakes all who wait for room",
	.can = can,
	.open = open_queues,
	.run = run,
	.close = close_queues,
};
