/* SPDX-License-Identifier: MIT */
/*
 * Question: how fast is pipe(2) at its best?
 * Topology: stream, fan-in, fan-out: one pipe; round trip: one each way; farm:
 * one with tasks, that all workers read, and one with results; mesh: one for
 * each to read.
 * Waiting mode: poll: a non-blocking read in a spin; else blocking reads and
 * writes, which never spin.
 * Statistic: drive.h and run.c.
 *
 * Fixed-size messages without a header, one write(2) for each or for a batch: up
 * to PIPE_BUF bytes it is in one piece, whoever else writes; larger ones are for
 * pipes with one writer and one reader only. The pipe is as large as the system
 * lets anyone have it, and whoever alone reads a pipe reads 64 KiB at a time.
 * Workers read one task at a time: more would be taken from the others. A round
 * trip's pipes keep their usual size: a larger one is no faster there. A mesh's
 * pipes do not block, and who has nothing to do sleeps in poll(2).
 */
#define _GNU_SOURCE 1

#include "peers.h"
#include "queue.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define CHUNK 65536u

struct pipes {
	int fd[PROCS_MAX][2]; /* of each box */
};

/* What a process reads: if it alone reads that pipe, 64 KiB at a time. */
struct end {
	const struct pipes *p;
	int from;
	bool blocks, spins; /* a read waits; who waits spins */
	size_t size;	   /* of a message */
	size_t chunk;	   /* bytes to ask for */
	size_t have, used; /* bytes in buf, of them done with */
	size_t given;	   /* bytes given out to be read */
	_Alignas(64) unsigned char buf[CHUNK];
};

/* Does a read wait? */
static bool blocks(const struct bench_case *c)
{
	return c->mode != POLL && c->workload != MESH;
}

static int unblock(int fd)
{
	return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static void enlarge(int fd)
{
	FILE *f = fopen("/proc/sys/fs/pipe-max-size", "re");
	int size = 0;

	if (!f)
		return;
	if (fscanf(f, "%d", &size) == 1)
		while (size > 65536 && fcntl(fd, F_SETPIPE_SZ, size) < 0)
			size /= 2;
	fclose(f);
}

static void close_pipe(struct trial *t)
{
	struct pipes *p = t->priv;

	for (unsigned i = 0; i < 2 * boxes_of(t->c); i++)
		if (p->fd[i / 2][i % 2] >= 0)
			close(p->fd[i / 2][i % 2]);
	free(p);
}

static int open_pipe(struct trial *t)
{
	struct pipes *p = malloc(sizeof(*p));
	int rc = 0;

	if (!p)
		return -ENOMEM;
	memset(p, 0xff, sizeof(*p)); /* -1: not open */
	t->priv = p;
	for (unsigned i = 0; i < boxes_of(t->c) && rc == 0; i++) {
		if (pipe2(p->fd[i], O_CLOEXEC) < 0)
			rc = -errno;
		else if (t->c->workload != RTT)
			enlarge(p->fd[i][0]);
		if (rc == 0 && t->c->workload == MESH)
			rc = unblock(p->fd[i][1]);
		if (rc == 0 && !blocks(t->c))
			rc = unblock(p->fd[i][0]);
	}
	if (rc < 0)
		close_pipe(t);
	return rc;
}

static int attach(struct trial *t, int mine, void **ret)
{
	static struct end end;

	end.p = t->priv;
	end.from = mine < 0 ? -1 : end.p->fd[mine][0];
	end.size = t->c->size;
	end.blocks = blocks(t->c);
	end.spins = t->c->mode == POLL;
	/* A round trip's pipe never holds more than one. */
	end.chunk = mine >= 0 && box_shape(t->c, (unsigned)mine).readers == 1 &&
				    t->c->workload != RTT
			    ? CHUNK
			    : end.size;
	*ret = &end;
	return 0;
}

/* All of it; more than PIPE_BUF may take several writes. */
static inline int write_all(const struct end *end, unsigned to, const void *buf,
			    size_t size)
{
	size_t sent = 0;
	ssize_t n;

	do {
		n = write(end->p->fd[to][1], (const char *)buf + sent,
			  size - sent);
		if (unlikely(n < 0))
			return -errno;
		sent += (size_t)n;
	} while (unlikely(sent < size));
	return 0;
}

static inline int send_one(void *ctx, unsigned to, const void *buf, size_t size)
{
	return write_all(ctx, to, buf, size);
}

static inline int send_batch(void *ctx, unsigned to, const void *buf,
			     size_t size, unsigned count)
{
	int rc = write_all(ctx, to, buf, count * size);

	return rc < 0 ? rc : (int)count;
}

/* Read what there is. -EAGAIN: nothing, and it shall not wait. */
static int fill(struct end *end, bool wait)
{
	struct pollfd fd = {.fd = end->from, .events = POLLIN};
	ssize_t n;

	end->have -= end->used;
	if (end->have) /* a part of the next message */
		memmove(end->buf, end->buf + end->used, end->have);
	end->used = 0;
	while ((n = read(end->from, end->buf + end->have,
			 end->chunk - end->have)) < 0 &&
	       errno == EAGAIN) {
		if (!wait)
			return -EAGAIN;
		if (!end->spins && poll(&fd, 1, -1) < 0)
			break;
	}
	if (n <= 0)
		return n < 0 ? -errno : -EPIPE;
	end->have += (size_t)n;
	return 0;
}

static inline int receive(void *ctx, const void **body)
{
	struct end *end = ctx;
	int rc;

	while (unlikely(end->have - end->used < end->size)) {
		rc = fill(end, true);
		if (rc < 0)
			return rc;
	}
	*body = end->buf + end->used;
	end->given = end->size;
	return 0;
}

static inline int receive_batch(void *ctx, const void **bodies, unsigned max)
{
	struct end *end = ctx;
	int n = 0, rc = receive(end, &bodies[0]);

	if (unlikely(rc < 0))
		return rc;
	while (++n < (int)max &&
	       end->have - end->used - end->given >= end->size) {
		bodies[n] = end->buf + end->used + end->given;
		end->given += end->size;
	}
	return n;
}

static inline int try_receive(void *ctx, const void **body)
{
	struct end *end = ctx;
	int rc = 0;

	if (end->have - end->used < end->size)
		rc = end->blocks ? -EAGAIN : fill(end, false);
	if (rc == 0 && end->have - end->used < end->size)
		rc = -EAGAIN;
	return rc < 0 ? rc : receive(end, body);
}

static inline void done(void *ctx)
{
	struct end *end = ctx;

	end->used += end->given;
}

static const struct queue_ops ops = {
	.attach = attach,
	.send = send_one,
	.try_send = send_one, /* a mesh's does not block */
	.receive = receive,
	.try_receive = try_receive,
	.done = done,
	.send_batch = send_batch,
	.receive_batch = receive_batch,
};

static bool can(const struct bench_case *c)
{
	return queue_can(c, &ops) && (c->size <= PIPE_BUF || one_to_one(c));
}

static int run(struct trial *t, enum role role, unsigned index)
{
	return queue_run(t, role, index, &ops);
}

const struct peer peer_pipe = {
	.name = "pipe",
	.note = "largest capacity, one write(2) a message, reads of 64 KiB; no "
		"header, no address",
	.can = can,
	.open = open_pipe,
	.run = run,
	.close = close_pipe,
};
