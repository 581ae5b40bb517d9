/* SPDX-License-Identifier: MIT */
/*
 * Question: how fast is nng between processes at its best?
 * Topology: over its ipc transport, a pair where a box has one writer, else push to
 * pull: who reads a box listens with a socket of its own, who writes to it dials
 * to each of its readers (links.h).
 * Waiting mode: poll: nng_recvmsg() that does not wait, giving the CPU to nng's
 * threads in between; else it sleeps.
 * Statistic: drive.h and run.c.
 *
 * Buffers of 128 messages, as its own throughput test has them; a pull socket has
 * none. Messages are read in place.
 */
#include "links.h"
#include "peers.h"

#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <sched.h>

#define BUFFER 128

struct end {
	const struct trial *t;
	nng_socket in;
	struct links links;
	nng_socket out[PROCS_MAX]; /* of each link */
	nng_msg *message;
};

static int error(int rc)
{
	switch (rc) {
	case 0:
		return 0;
	case NNG_EAGAIN:
		return -EAGAIN;
	case NNG_ENOMEM:
		return -ENOMEM;
	default:
		return rc & NNG_ESYSERR ? -(rc & ~NNG_ESYSERR) : -EIO;
	}
}

static int reader_open(nng_socket *socket, struct shape shape)
{
	int rc;

	if (shape.writers > 1)
		return nng_pull0_open(socket);
	rc = nng_pair0_open(socket);
	return rc ? rc : nng_socket_set_int(*socket, NNG_OPT_RECVBUF, BUFFER);
}

static int writer_open(nng_socket *socket, struct shape shape)
{
	int rc = shape.writers > 1 ? nng_push0_open(socket)
				   : nng_pair0_open(socket);

	return rc ? rc : nng_socket_set_int(*socket, NNG_OPT_SENDBUF, BUFFER);
}

/* Each reader takes the first name that is free. */
static int listen_at(struct end *end, unsigned box)
{
	const struct shape shape = box_shape(end->t->c, box);
	int rc = reader_open(&end->in, shape);
	char name[64];

	if (rc)
		return rc;
	for (unsigned i = 0; i < shape.readers; i++) {
		link_name(name, sizeof(name), "abstract://", box, i);
		rc = nng_listen(end->in, name, NULL, 0);
		if (rc != NNG_EADDRINUSE)
			break;
	}
	return rc;
}

static int dial(const struct end *end, nng_socket *socket, unsigned box,
		unsigned reader)
{
	int rc = writer_open(socket, box_shape(end->t->c, box));
	char name[64];

	link_name(name, sizeof(name), "abstract://", box, reader);
	return rc ? rc : nng_dial(*socket, name, NULL, 0);
}

static int dial_box(struct end *end, unsigned box)
{
	struct way *way = way_open(&end->links, end->t->c, box);
	int rc = 0;

	for (unsigned i = 0; i < way->count && rc == 0; i++)
		rc = dial(end, &end->out[way->first + i], box, i);
	return error(rc);
}

static int attach(struct trial *t, int mine, void **ret)
{
	static struct end end;

	end.t = t;
	*ret = &end;
	return mine < 0 ? 0 : error(listen_at(&end, (unsigned)mine));
}

static void detach(void *ctx)
{
	const struct end *end = ctx;

	links_part(end->t);
	for (unsigned i = 0; i < end->links.count; i++)
		nng_close(end->out[i]);
	nng_close(end->in);
}

static ALWAYS_INLINE int send_with(struct end *end, unsigned to,
				   const void *buf, size_t size, int flags)
{
	struct way *way = &end->links.way[to];
	int rc = likely(way->count) ? 0 : dial_box(end, to);

	if (unlikely(rc < 0))
		return rc;
	rc = nng_send(end->out[way_link(way)], (void *)buf, size, flags);
	if (rc)
		return error(rc);
	way_sent(way);
	return 0;
}

static inline int send_one(void *end, unsigned to, const void *buf, size_t size)
{
	return send_with(end, to, buf, size, 0);
}

static inline int try_send(void *end, unsigned to, const void *buf, size_t size)
{
	return send_with(end, to, buf, size, NNG_FLAG_NONBLOCK);
}

static ALWAYS_INLINE int receive_with(struct end *end, const void **body,
				      int flags)
{
	int rc = nng_recvmsg(end->in, &end->message, flags);

	*body = rc ? NULL : nng_msg_body(end->message);
	if (rc)
		return error(rc);
	return nng_msg_len(end->message) == end->t->c->size ? 0 : -EIO;
}

static inline int receive(void *ctx, const void **body)
{
	struct end *end = ctx;
	int rc;

	if (end->t->c->mode != POLL)
		return receive_with(end, body, 0);
	while ((rc = receive_with(end, body, NNG_FLAG_NONBLOCK)) == -EAGAIN)
		sched_yield();
	return rc;
}

static inline int try_receive(void *end, const void **body)
{
	return receive_with(end, body, NNG_FLAG_NONBLOCK);
}

static inline void done(void *ctx)
{
	const struct end *end = ctx;

	nng_msg_free(end->message);
}

static const struct queue_ops ops = {
	.attach = attach,
	.send = send_one,
	.try_send = try_send,
	.receive = receive,
	.try_receive = try_receive,
	.done = done,
	.detach = detach,
};

static bool can(const struct bench_case *c)
{
	return queue_can(c, &ops);
}

static int run(struct trial *t, enum role role, unsigned index)
{
	return queue_run(t, role, index, &ops);
}

const struct peer peer_nng = {
	.name = "nng",
	.note = "pair or push/pull over ipc, its threads on the process's CPU, a "
		"queue for each pair; many readers: a socket for each, in turn",
	.can = can,
	.open = links_prepare,
	.run = run,
	.close = links_clear,
};
