/* SPDX-License-Identifier: MIT */
/*
 * Question: how fast are Unix domain sockets at their best?
 * Topology: a socketpair for each box, all who write to it at one end, all who
 * read from it at the other.
 * Waiting mode: poll: non-blocking reads in a spin; else blocking ones, which
 * never spin.
 * Statistic: drive.h and run.c.
 *
 * Send buffers are as large as the system lets anyone have them.
 *
 * Stream: fixed-size messages without a header, one write for each or for a
 * batch. Nothing promises it, but Linux copies what one write has into one
 * buffer up to 32 KiB, and hands that on in one piece, whoever else writes or
 * reads; more goes in pieces, among which those of others can come. So larger
 * messages are only for sockets with one writer, who can wait, and one reader.
 *
 * Seqpacket: the kernel keeps messages apart; batches by sendmmsg(2) and
 * recvmmsg(2).
 */
#include "frames.h"
#include "peers.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE 32768u

struct sockets {
	unsigned count;
	int fd[PROCS_MAX][2]; /* of each box: to read from, to write to */
};

struct end {
	const struct sockets *s;
	int from;
	int flags; /* of a read that shall wait */
	union {
		struct frames frames;
		_Alignas(64) unsigned char buf[BATCH_MAX * PAYLOAD_MAX];
	};
	struct mmsghdr to_read[BATCH_MAX];
	struct iovec parts[BATCH_MAX];
};

static void close_sockets(struct trial *t)
{
	struct sockets *s = t->priv;

	while (s->count--) {
		close(s->fd[s->count][0]);
		close(s->fd[s->count][1]);
	}
	free(s);
}

static int open_sockets(struct trial *t, int type)
{
	const int most = INT_MAX / 2; /* it is brought down to wmem_max */
	struct sockets *s = malloc(sizeof(*s));
	int rc = 0;

	if (!s)
		return -ENOMEM;
	s->count = 0;
	t->priv = s;
	while (s->count < boxes_of(t->c) && rc == 0) {
		int *fd = s->fd[s->count];

		if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fd) < 0) {
			rc = -errno;
			break;
		}
		s->count++;
		if (setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &most,
			       sizeof(most)) < 0)
			rc = -errno;
	}
	if (rc < 0)
		close_sockets(t);
	return rc;
}

static int attach(struct trial *t, int mine, void **ret)
{
	static struct end end;

	end.s = t->priv;
	end.flags = t->c->mode == POLL ? MSG_DONTWAIT : 0;
	end.from = mine < 0 ? -1 : end.s->fd[mine][0];
	*ret = &end;
	return 0;
}

static ALWAYS_INLINE int send_to(const struct end *end, unsigned to,
				 const void *buf, size_t size, int flags)
{
	ssize_t n = send(end->s->fd[to][1], buf, size, flags);

	/* A short one cannot be. */
	if (unlikely(n != (ssize_t)size))
		return n < 0 ? -errno : -EIO;
	return 0;
}

static inline int send_one(void *end, unsigned to, const void *buf, size_t size)
{
	return send_to(end, to, buf, size, 0);
}

static inline int try_send(void *end, unsigned to, const void *buf, size_t size)
{
	return send_to(end, to, buf, size, MSG_DONTWAIT);
}

/* ---- stream ---- */

static int open_stream(struct trial *t)
{
	return open_sockets(t, SOCK_STREAM);
}

static int stream_attach(struct trial *t, int mine, void **ret)
{
	int rc = attach(t, mine, ret);
	struct end *end = *ret;

	if (mine >= 0)
		frames_open(&end->frames, t->c, (unsigned)mine);
	return rc;
}

static int stream_send_batch(void *end, unsigned to, const void *buf,
			     size_t size, unsigned count)
{
	int rc = send_to(end, to, buf, count * size, 0);

	return rc < 0 ? rc : (int)count;
}

/* One look into the socket. */
static int stream_fill(struct end *end, int flags)
{
	void *where;
	size_t room = frames_room(&end->frames, &where);
	ssize_t n = recv(end->from, where, room, flags);

	if (n <= 0)
		return n < 0 ? -errno : -EPIPE;
	end->frames.have += (size_t)n;
	return 0;
}

/* What is there already, or after one look. */
static ALWAYS_INLINE int stream_look(struct end *end, const void **bodies,
				     unsigned max, int flags)
{
	unsigned n = frames_next(&end->frames, bodies, max);
	int rc;

	if (unlikely(n == 0)) {
		rc = stream_fill(end, flags);
		if (rc < 0)
			return rc;
		n = frames_next(&end->frames, bodies, max);
	}
	return n ? (int)n : -EAGAIN;
}

static int stream_receive_batch(void *ctx, const void **bodies, unsigned max)
{
	struct end *end = ctx;
	int n;

	do
		n = stream_look(end, bodies, max, end->flags);
	while (unlikely(n == -EAGAIN));
	return n;
}

static inline int stream_receive(void *ctx, const void **body)
{
	int n = stream_receive_batch(ctx, body, 1);

	return n < 0 ? n : 0;
}

static inline int stream_try_receive(void *ctx, const void **body)
{
	int n = stream_look(ctx, body, 1, MSG_DONTWAIT);

	return n < 0 ? n : 0;
}

static inline void stream_done(void *ctx)
{
	struct end *end = ctx;

	frames_done(&end->frames);
}

static const struct queue_ops stream_ops = {
	.attach = stream_attach,
	.send = send_one,
	.try_send = try_send,
	.receive = stream_receive,
	.try_receive = stream_try_receive,
	.done = stream_done,
	.send_batch = stream_send_batch,
	.receive_batch = stream_receive_batch,
};

static bool can_stream(const struct bench_case *c)
{
	return queue_can(c, &stream_ops) &&
	       (c->size <= PIECE || (one_to_one(c) && c->workload != MESH));
}

static int run_stream(struct trial *t, enum role role, unsigned index)
{
	return queue_run(t, role, index, &stream_ops);
}

const struct peer peer_unix_stream = {
	.name = "unix-stream",
	.note = "largest send buffer, one send(2) a message, reads of 64 KiB; "
		"no header, no address; a send wakes all who wait to read",
	.can = can_stream,
	.open = open_stream,
	.run = run_stream,
	.close = close_sockets,
};

/* ---- seqpacket ---- */

static int open_seqpacket(struct trial *t)
{
	return open_sockets(t, SOCK_SEQPACKET);
}

static int seqpacket_attach(struct trial *t, int mine, void **ret)
{
	int rc = attach(t, mine, ret);
	struct end *end = *ret;

	for (unsigned i = 0; i < BATCH_MAX; i++) {
		end->parts[i].iov_base = end->buf + i * t->c->size;
		end->parts[i].iov_len = t->c->size;
		end->to_read[i].msg_hdr.msg_iov = &end->parts[i];
		end->to_read[i].msg_hdr.msg_iovlen = 1;
	}
	return rc;
}

static int seqpacket_send_batch(void *ctx, unsigned to, const void *buf,
				size_t size, unsigned count)
{
	const struct end *end = ctx;
	struct mmsghdr m[BATCH_MAX] = {0};
	struct iovec part[BATCH_MAX];
	int n;

	for (unsigned i = 0; i < count; i++) {
		part[i].iov_base = (char *)buf + i * size;
		part[i].iov_len = size;
		m[i].msg_hdr.msg_iov = &part[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	n = sendmmsg(end->s->fd[to][1], m, count, 0);
	return n < 0 ? -errno : n;
}

static ALWAYS_INLINE int seqpacket_look(struct end *end, const void **body,
					int flags)
{
	const struct iovec *part = end->parts;
	ssize_t n = recv(end->from, part->iov_base, part->iov_len, flags);

	*body = part->iov_base;
	if (unlikely(n != (ssize_t)part->iov_len))
		return n < 0 ? -errno : -EIO;
	return 0;
}

static inline int seqpacket_receive(void *ctx, const void **body)
{
	const struct end *end = ctx;
	int rc;

	do
		rc = seqpacket_look(ctx, body, end->flags);
	while (unlikely(rc == -EAGAIN));
	return rc;
}

static inline int seqpacket_try_receive(void *ctx, const void **body)
{
	return seqpacket_look(ctx, body, MSG_DONTWAIT);
}

static int seqpacket_receive_batch(void *ctx, const void **bodies, unsigned max)
{
	struct end *end = ctx;
	int n;

	do
		n = recvmmsg(end->from, end->to_read, max,
			     end->flags | MSG_WAITFORONE, NULL);
	while (n < 0 && errno == EAGAIN);
	for (int i = 0; i < n; i++)
		bodies[i] = end->parts[i].iov_base;
	return n < 0 ? -errno : n;
}

static void seqpacket_done(void *end)
{
	(void)end;
}

static const struct queue_ops seqpacket_ops = {
	.attach = seqpacket_attach,
	.send = send_one,
	.try_send = try_send,
	.receive = seqpacket_receive,
	.try_receive = seqpacket_try_receive,
	.done = seqpacket_done,
	.send_batch = seqpacket_send_batch,
	.receive_batch = seqpacket_receive_batch,
};

static bool can_seqpacket(const struct bench_case *c)
{
	return queue_can(c, &seqpacket_ops);
}

static int run_seqpacket(struct trial *t, enum role role, unsigned index)
{
	return queue_run(t, role, index, &seqpacket_ops);
}

const struct peer peer_unix_seqpacket = {
	.name = "unix-seqpacket",
	.note = "largest send buffer, one send(2) and recv(2) a message, "
		"batches by sendmmsg(2) and recvmmsg(2)",
	.can = can_seqpacket,
	.open = open_seqpacket,
	.run = run_seqpacket,
	.close = close_sockets,
};
