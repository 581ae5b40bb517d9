/* SPDX-License-Identifier: MIT */
/*
 * Question: how fast is forkring, used as its headers say?
 * Topology: stream, fan-in: fr_send() of a buffer to the consumer's mailbox,
 * fr_receive() and read in place there; round trip: the same both ways; farm:
 * fr_farm, that is one process that submits, its workers, results as they come.
 * Waiting mode: FR_WAIT_POLL, FR_WAIT_SLEEP, or FR_WAIT_ADAPTIVE, the default.
 * Statistic: drive.h and run.c.
 *
 * Everything at its default size. The arena is nameless and inherited by fork;
 * each process joins on its own. Single sends, single receives: no batches.
 */
#include "drive.h"
#include "peers.h"

#include <forkring.h>

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

/* One process of a trial. */
struct end {
	struct fr_process *self;
	struct fr_addr to;
	struct fr_type type;
	size_t size;
	_Alignas(64) unsigned char buf[PAYLOAD_MAX];
};

static const enum fr_wait_mode wait_modes[] = {
	[ADAPTIVE] = FR_WAIT_ADAPTIVE,
	[SLEEP] = FR_WAIT_SLEEP,
	[POLL] = FR_WAIT_POLL,
};

static bool can(const struct bench_case *c)
{
	(void)c;
	return true;
}

static int open_arena(struct trial *t)
{
	struct fr_arena_opts opts = {.slots = t->c->producers + 1};
	struct fr_arena *arena;
	int rc;

	t->priv = NULL;
	if (t->c->workload == FARM)
		return 0;
	rc = fr_arena_create(NULL, &opts, &arena);
	if (rc == 0)
		t->priv = arena;
	return rc;
}

static void close_arena(struct trial *t)
{
	fr_arena_detach(t->priv);
}

/* Join, and tell the others the address that `there` will be found at. */
static int end_join(struct trial *t, struct end *end, uint64_t *there)
{
	struct fr_join_opts opts = {.wait = wait_modes[t->c->mode]};
	int rc = fr_join(t->priv, &opts, &end->self);

	if (rc < 0)
		return rc;
	rc = fr_type_intern(end->self, "bench", (struct fr_type){0}, &end->type);
	if (rc < 0)
		return rc;
	end->size = t->c->size;
	*there = fr_self(end->self).id;
	trial_start(t);
	end->to.id = t->shared->address[0];
	return 0;
}

/* ---- stream and fan-in ---- */

static ALWAYS_INLINE int send_one(void *ctx, const void *buf, size_t size)
{
	const struct end *end = ctx;

	return fr_send(end->self, end->to, end->type, buf, size, FR_FOREVER);
}

static int consume(struct trial *t, struct end *end)
{
	struct fr_message m;
	struct sink sink;
	int rc = 0;

	sink_open(&sink, t);
	while (rc == 0) {
		rc = fr_receive(end->self, FR_FOREVER, &m);
		if (unlikely(rc < 0))
			break;
		rc = likely(m.len == sink.size) ? sink_take(&sink, m.body)
						: -EBADMSG;
		fr_release(end->self, &m);
	}
	return rc < 0 ? rc : 0;
}

/* ---- round trip ---- */

static ALWAYS_INLINE int call(void *ctx, uint64_t seq)
{
	struct end *end = ctx;
	struct fr_message m;
	int rc;

	payload_fill(end->buf, end->size, stamp_make(CLIENT_STAMP, seq));
	rc = send_one(end, end->buf, end->size);
	if (unlikely(rc < 0))
		return rc;
	rc = fr_receive(end->self, FR_FOREVER, &m);
	if (unlikely(rc < 0))
		return rc;
	rc = likely(m.len == end->size)
		     ? check_message(m.body, m.len,
				     stamp_make(SERVER_STAMP, seq))
		     : -EBADMSG;
	fr_release(end->self, &m);
	return rc;
}

static int serve(struct end *end)
{
	uint64_t seq, expected = 0;
	struct fr_message m;
	int rc;

	do {
		rc = fr_receive(end->self, FR_FOREVER, &m);
		if (unlikely(rc < 0))
			return rc;
		if (unlikely(m.len != end->size))
			return -EBADMSG;
		seq = stamp_seq(payload_stamp(m.body));
		if (seq != SEQ_END)
			seq = expected++;
		rc = check_message(m.body, m.len,
				   stamp_make(CLIENT_STAMP, seq));
		end->to = m.from;
		fr_release(end->self, &m);
		if (unlikely(rc < 0))
			return rc;
		payload_fill(end->buf, end->size,
			     stamp_make(SERVER_STAMP, seq));
		rc = send_one(end, end->buf, end->size);
	} while (rc == 0 && seq != SEQ_END);
	return rc;
}

/* ---- farm ---- */

/* A worker dies with main, and the harness knows it. */
static int farm_setup(void *ctx, unsigned index, void **state)
{
	struct trial *t = ctx;

	(void)state;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != t->shared->member[0].pid)
		return -ECHILD;
	/* [BENCH-13] relaxed: one word. Pairs with [BENCH-12] put_down(). */
	store_relaxed(&t->shared->own_worker[index], (uint32_t)getpid());
	return 0;
}

static int farm_work(void *ctx, const struct fr_task *task,
		     struct fr_reply *reply)
{
	const struct trial *t = ctx;

	if (unlikely(task->len != t->c->size))
		return -EBADMSG;
	reply->len = task->len;
	return work(t->c, task->arg, reply->data);
}

/* A worker that dies spoils the figure, though its task is done again. */
static void farm_report(void *ctx, const struct fr_end *end)
{
	struct trial *t = ctx;

	if (end->status != 0)
		t->shared->member[0].rc = -EOWNERDEAD;
}

static int farm_result(struct trial *t, struct window *w,
		       const struct fr_result *r, uint64_t places)
{
	if (unlikely(r->status != FR_TASK_DONE))
		return r->value < 0 ? r->value : -EIO;
	if (unlikely(r->len != t->c->size))
		return -EBADMSG;
	return window_done(t, w, r->data, r->len, places);
}

/*
 * Give out tasks while the window has room, then take what results there are,
 * but not to the last: workers shall always find something to do.
 */
static int farm_rounds(struct trial *t, struct fr_farm *farm)
{
	_Alignas(64) unsigned char arg[PAYLOAD_MAX];
	const uint64_t places = payload_places(t->c->size);
	const struct fr_task task = {.arg = arg, .len = t->c->size};
	static struct window w;
	struct fr_task_id id;
	struct fr_result r;
	int rc = 0;

	window_open(&w);
	for (;;) {
		while (w.free && !trial_stopped(t) && rc == 0) {
			payload_fill(arg, task.len, window_next(&w));
			rc = fr_farm_submit(farm, &task, &id);
		}
		if (rc < 0 || w.free == FARM_WINDOW)
			return rc;
		rc = fr_farm_next(farm, FR_FOREVER, &r);
		while (rc == 0) {
			rc = farm_result(t, &w, &r, places);
			if (rc < 0)
				return rc;
			if (w.free >= FARM_WINDOW / 2)
				break;
			rc = fr_farm_next(farm, 0, &r);
		}
		if (rc == -EAGAIN || rc == -ENODATA)
			rc = 0;
	}
}

static int farm_main(struct trial *t)
{
	struct member *member = &t->shared->member[0];
	struct fr_farm_opts opts = {
		.workers = t->c->workers,
		.run = farm_work,
		.setup = farm_setup,
		.ctx = t,
		.arg_max = t->c->size,
		.result_max = t->c->size,
		.cells = FARM_WINDOW,
		.wait = (int)wait_modes[t->c->mode],
		.no_signals = true,
		.report = farm_report,
	};
	struct fr_farm *farm;
	int rc, closed;

	rc = fr_farm_open(&opts, &farm);
	if (rc < 0)
		return rc;
	trial_start(t);
	rc = farm_rounds(t, farm);
	closed = fr_farm_close(farm);
	if (rc == 0)
		rc = closed < 0 ? closed : member->rc;
	return rc;
}

static int run(struct trial *t, enum role role, unsigned index)
{
	unsigned member = role == PRODUCER || role == CLIENT ? index + 1 : 0;
	static struct end end;
	int rc;

	if (role == MAIN)
		return farm_main(t);
	rc = end_join(t, &end, &t->shared->address[member]);
	if (rc < 0)
		return rc;
	if (role == CONSUMER)
		rc = consume(t, &end);
	else if (role == PRODUCER)
		rc = drive_producer(t, index, send_one, &end);
	else if (role == SERVER)
		rc = serve(&end);
	else
		rc = drive_client(t, call, &end);
	fr_leave(end.self);
	return rc;
}

const struct peer peer_forkring = {
	.name = "forkring",
	.note = "everything at its default; single sends from a buffer, read "
		"in place",
	.can = can,
	.own_workers = true,
	.open = open_arena,
	.run = run,
	.close = close_arena,
};
