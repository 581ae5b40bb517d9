/* SPDX-License-Identifier: MIT */
/*
 * Question: how fast is ZeroMQ between processes at its best?
 * Topology: PUSH to PULL over ipc: who reads a box binds a PULL socket, who writes
 * to it connects a PUSH socket to each of its readers (links.h).
 * Waiting mode: poll: zmq_msg_recv() that does not wait, giving the CPU to the I/O
 * thread in between; else it sleeps.
 * Statistic: drive.h and run.c.
 *
 * One I/O thread a process, as its guide has it up to a gigabyte a second; high
 * water marks at box_length(), which is near their default but for the largest
 * messages. Larger ones were no faster.
 */
#include "links.h"
#include "peers.h"

#include <sched.h>
#include <zmq.h>

struct end {
	const struct trial *t;
	void *context, *in;
	struct links links;
	void *out[PROCS_MAX]; /* of each link */
	zmq_msg_t message;
	_Alignas(64) unsigned char buf[PAYLOAD_MAX];
};

/* Bind or connect the socket of this reader of the box. 0 or -errno. */
static int link_up(void *socket, int (*how)(void *, const char *), unsigned box,
		   unsigned reader)
{
	char name[64];

	link_name(name, sizeof(name), "ipc://@", box, reader);
	return how(socket, name) < 0 ? -errno : 0;
}

static int socket_open(const struct end *end, int type, int mark, void **ret)
{
	const int length = (int)box_length(end->t->c);

	*ret = zmq_socket(end->context, type);
	if (!*ret || zmq_setsockopt(*ret, mark, &length, sizeof(length)) < 0)
		return -errno;
	return 0;
}

/* Each reader takes the first name that is free. */
static int bind_box(struct end *end, unsigned box)
{
	const unsigned readers = box_shape(end->t->c, box).readers;
	int rc = socket_open(end, ZMQ_PULL, ZMQ_RCVHWM, &end->in);

	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < readers; i++) {
		rc = link_up(end->in, zmq_bind, box, i);
		if (rc != -EADDRINUSE)
			break;
	}
	return rc;
}

static int connect_box(struct end *end, unsigned box)
{
	struct way *way = way_open(&end->links, end->t->c, box);
	int rc = 0;

	for (unsigned i = 0; i < way->count && rc == 0; i++) {
		void **socket = &end->out[way->first + i];

		rc = socket_open(end, ZMQ_PUSH, ZMQ_SNDHWM, socket);
		if (rc == 0)
			rc = link_up(*socket, zmq_connect, box, i);
	}
	return rc;
}

static int attach(struct trial *t, int mine, void **ret)
{
	static struct end end;

	end.t = t;
	end.context = zmq_ctx_new();
	if (!end.context)
		return -errno;
	zmq_msg_init(&end.message);
	*ret = &end;
	return mine < 0 ? 0 : bind_box(&end, (unsigned)mine);
}

static void detach(void *ctx)
{
	struct end *end = ctx;

	links_part(end->t);
	zmq_msg_close(&end->message);
	for (unsigned i = 0; i < end->links.count; i++)
		zmq_close(end->out[i]);
	if (end->in)
		zmq_close(end->in);
	zmq_ctx_term(end->context);
}

static ALWAYS_INLINE int send_with(struct end *end, unsigned to,
				   const void *buf, size_t size, int flags)
{
	struct way *way = &end->links.way[to];
	int rc = likely(way->count) ? 0 : connect_box(end, to);

	if (unlikely(rc < 0))
		return rc;
	if (zmq_send(end->out[way_link(way)], buf, size, flags) < 0)
		return -errno;
	way_sent(way);
	return 0;
}

static inline int send_one(void *end, unsigned to, const void *buf, size_t size)
{
	return send_with(end, to, buf, size, 0);
}

static inline int try_send(void *end, unsigned to, const void *buf, size_t size)
{
	return send_with(end, to, buf, size, ZMQ_DONTWAIT);
}

static ALWAYS_INLINE int receive_with(struct end *end, const void **body,
				      int flags)
{
	const size_t size = end->t->c->size;
	int n = zmq_msg_recv(&end->message, end->in, flags);

	*body = zmq_msg_data(&end->message);
	if (unlikely(n != (int)size))
		return n < 0 ? -errno : -EIO;
	/* It may lie anywhere among others that came with it. */
	if ((uintptr_t)*body % 8)
		*body = memcpy(end->buf, *body, size);
	return 0;
}

static inline int receive(void *ctx, const void **body)
{
	struct end *end = ctx;
	int rc;

	if (end->t->c->mode != POLL)
		return receive_with(end, body, 0);
	while ((rc = receive_with(end, body, ZMQ_DONTWAIT)) == -EAGAIN)
		sched_yield();
	return rc;
}

static inline int try_receive(void *end, const void **body)
{
	return receive_with(end, body, ZMQ_DONTWAIT);
}

/* The next receive takes the message's place. */
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

const struct peer peer_zmq = {
	.name = "zeromq",
	.note = "PUSH/PULL over ipc, an I/O thread on the process's CPU, a "
		"queue for each pair; many readers: a PUSH for each, in turn",
	.can = can,
	.open = links_prepare,
	.run = run,
	.close = links_clear,
};
