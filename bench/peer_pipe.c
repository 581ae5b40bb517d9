/* SPDX-License-Identifier: MIT */
/*
 * Question: how fast is pipe(2) at its best?
 * Topology: stream and fan-in: one pipe; round trip: one each way; farm: one
 * with tasks, that all workers read, and one with results.
 * Waiting mode: poll: a non-blocking read in a spin; else blocking reads and
 * writes, which never spin.
 * Statistic: drive.h and run.c.
 *
 * Fixed-size messages without a header, one write(2) for each: up to PIPE_BUF
 * bytes it is in one piece, whoever else writes. The pipe is as large as the
 * system lets anyone have it, and whoever alone reads a pipe reads 64 KiB at a
 * time. Workers read one task at a time: more would be taken from the others.
 * A round trip's pipes keep their usual size: a larger one is no faster there.
 */
#define _GNU_SOURCE 1

#include "drive.h"
#include "peers.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define CHUNK 65536u

struct pipes {
	int there[2]; /* messages, tasks */
	int back[2];  /* answers, results */
};

/* What one process alone reads of a pipe: whole messages, 64 KiB at a time. */
struct reader {
	int fd;
	size_t have; /* bytes */
	_Alignas(64) unsigned char buf[CHUNK];
};

static bool can(const struct bench_case *c)
{
	(void)c;
	return true;
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

	for (unsigned i = 0; i < 2; i++) {
		if (p->there[i] >= 0)
			close(p->there[i]);
		if (p->back[i] >= 0)
			close(p->back[i]);
	}
	free(p);
}

static int open_pipe(struct trial *t)
{
	struct pipes *p = malloc(sizeof(*p));
	int rc = 0;

	if (!p)
		return -ENOMEM;
	*p = (struct pipes){{-1, -1}, {-1, -1}};
	t->priv = p;
	if (pipe2(p->there, O_CLOEXEC) < 0 || pipe2(p->back, O_CLOEXEC) < 0)
		rc = -errno;
	if (rc == 0 && t->c->workload != RTT) {
		enlarge(p->there[0]);
		enlarge(p->back[0]);
	}
	if (rc == 0 && t->c->mode == POLL &&
	    (fcntl(p->there[0], F_SETFL, O_NONBLOCK) < 0 ||
	     fcntl(p->back[0], F_SETFL, O_NONBLOCK) < 0))
		rc = -errno;
	if (rc < 0)
		close_pipe(t);
	return rc;
}

/* One message is one write; a short one cannot be. */
static inline int put(int fd, const void *buf, size_t size)
{
	ssize_t n = write(fd, buf, size);

	if (unlikely(n != (ssize_t)size))
		return n < 0 ? -errno : -EIO;
	return 0;
}

/* One message is one read, since every write is of one message. */
static inline int get(int fd, void *buf, size_t size)
{
	ssize_t n;

	do
		n = read(fd, buf, size);
	while (n < 0 && errno == EAGAIN);
	if (unlikely(n != (ssize_t)size))
		return n < 0 ? -errno : -EPIPE;
	return 0;
}

/* Returns how many bytes of whole messages there are. */
static inline ssize_t reader_fill(struct reader *r, size_t size)
{
	ssize_t n = read(r->fd, r->buf + r->have, CHUNK - r->have);

	if (n <= 0)
		return n < 0 ? -errno : -EPIPE;
	r->have += (size_t)n;
	return (ssize_t)(r->have - r->have % size);
}

/* Those bytes have been used; what was read of the next message stays. */
static inline void reader_used(struct reader *r, size_t used)
{
	r->have -= used;
	if (r->have)
		memmove(r->buf, r->buf + used, r->have);
}

/* ---- stream and fan-in ---- */

static inline int send_one(void *ctx, const void *buf, size_t size)
{
	const struct pipes *p = ctx;

	return put(p->there[1], buf, size);
}

static int consume(struct trial *t, struct pipes *p)
{
	static struct reader r;
	struct sink sink;
	ssize_t end, at;
	int rc = 0;

	r.fd = p->there[0];
	sink_open(&sink, t);
	trial_start(t);
	while (rc == 0) {
		end = reader_fill(&r, sink.size);
		if (end < 0)
			return (int)end;
		for (at = 0; at < end && rc == 0; at += (ssize_t)sink.size)
			rc = sink_take(&sink, r.buf + at);
		reader_used(&r, (size_t)at);
	}
	return rc < 0 ? rc : 0;
}

/* ---- round trip ---- */

struct caller {
	struct pipes *p;
	size_t size;
	_Alignas(64) unsigned char buf[PAYLOAD_MAX];
};

static inline int call(void *ctx, uint64_t seq)
{
	struct caller *c = ctx;
	int rc;

	payload_fill(c->buf, c->size, stamp_make(CLIENT_STAMP, seq));
	rc = put(c->p->there[1], c->buf, c->size);
	if (rc == 0)
		rc = get(c->p->back[0], c->buf, c->size);
	if (rc == 0)
		rc = check_message(c->buf, c->size,
				   stamp_make(SERVER_STAMP, seq));
	return rc;
}

static int serve(struct trial *t, struct pipes *p)
{
	_Alignas(64) unsigned char buf[PAYLOAD_MAX];
	const size_t size = t->c->size;
	uint64_t seq, expected = 0;
	int rc;

	trial_start(t);
	do {
		rc = get(p->there[0], buf, size);
		if (rc < 0)
			return rc;
		seq = stamp_seq(payload_stamp(buf));
		if (seq != SEQ_END)
			seq = expected++;
		rc = check_message(buf, size, stamp_make(CLIENT_STAMP, seq));
		if (rc < 0)
			return rc;
		payload_fill(buf, size, stamp_make(SERVER_STAMP, seq));
		rc = put(p->back[1], buf, size);
	} while (rc == 0 && seq != SEQ_END);
	return rc;
}

/* ---- farm ---- */

static int farm_work(struct trial *t, struct pipes *p)
{
	_Alignas(64) unsigned char arg[PAYLOAD_MAX], result[PAYLOAD_MAX];
	const size_t size = t->c->size;
	int rc;

	trial_start(t);
	for (;;) {
		rc = get(p->there[0], arg, size);
		if (rc == 0 && stamp_seq(payload_stamp(arg)) == SEQ_END)
			return 0;
		if (rc == 0)
			rc = work(arg, result, size);
		if (rc == 0)
			rc = put(p->back[1], result, size);
		if (rc < 0)
			return rc;
	}
}

static int farm_main(struct trial *t, struct pipes *p)
{
	_Alignas(64) unsigned char arg[PAYLOAD_MAX];
	const size_t size = t->c->size;
	const uint64_t places = payload_places(size);
	static struct reader r;
	static struct window w;
	ssize_t end, at;
	int rc = 0;

	r.fd = p->back[0];
	window_open(&w);
	trial_start(t);
	for (;;) {
		while (w.free && !trial_stopped(t) && rc == 0) {
			payload_fill(arg, size, window_next(&w));
			rc = put(p->there[1], arg, size);
		}
		if (rc < 0)
			return rc;
		if (w.free == FARM_WINDOW)
			break;
		end = reader_fill(&r, size);
		if (end < 0)
			return (int)end;
		for (at = 0; at < end && rc == 0; at += (ssize_t)size)
			rc = window_done(t, &w, r.buf + at, size, places);
		reader_used(&r, (size_t)at);
	}
	payload_fill(arg, size, stamp_make(0, SEQ_END));
	for (unsigned i = 0; i < t->c->workers && rc == 0; i++)
		rc = put(p->there[1], arg, size);
	return rc;
}

static int run(struct trial *t, enum role role, unsigned index)
{
	static struct caller caller;
	struct pipes *p = t->priv;

	switch (role) {
	case CONSUMER:
		return consume(t, p);
	case PRODUCER:
		trial_start(t);
		return drive_producer(t, index, send_one, p);
	case SERVER:
		return serve(t, p);
	case CLIENT:
		caller = (struct caller){.p = p, .size = t->c->size};
		trial_start(t);
		return drive_client(t, call, &caller);
	case MAIN:
		return farm_main(t, p);
	case WORKER:
		return farm_work(t, p);
	}
	return -EINVAL;
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
