/* SPDX-License-Identifier: MIT */
/*
 * Question: how fast is forkring, used as its headers say?
 * Topology: a box is a mailbox: fr_send() of a buffer, fr_send_batch(), or
 * fr_claim() and fr_commit(); fr_receive() or fr_receive_batch(), and read in
 * place there. Fan-out: fr_submit(), fr_take(), fr_complete() with an empty
 * result, which the sender collects when it has no cell left. Farm: fr_farm, that
 * is one process that submits, its workers, results as they come.
 * Waiting mode: FR_WAIT_POLL, FR_WAIT_SLEEP, or FR_WAIT_ADAPTIVE, the default.
 * Statistic: drive.h and run.c.
 *
 * Sizes are the defaults, but for a mailbox of 1 MiB for messages of 4 KiB and more. The
 * arena is nameless and inherited by fork; each process joins on its own.
 */
#include "peers.h"
#include "queue.h"

#include <forkring.h>

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

/* One process of a trial. */
struct end {
	struct fr_process *self;
	const uint64_t *address; /* of each box */
	struct fr_type type;
	size_t size;
	struct fr_claim claim;
	struct fr_message m[BATCH_MAX]; /* in hand */
	unsigned batch;			/* so many, if they came as a batch */
	struct fr_reply reply;		/* of the task in hand */
};

static const enum fr_wait_mode wait_modes[] = {
	[ADAPTIVE] = FR_WAIT_ADAPTIVE,
	[SLEEP] = FR_WAIT_SLEEP,
	[POLL] = FR_WAIT_POLL,
};

static int open_arena(struct trial *t)
{
	struct fr_arena_opts opts = {
		.slots = t->c->producers + t->c->workers + 1,
		.mailbox_bytes = mailbox_bytes(t->c),
	};
	struct fr_arena *arena;
	int rc;

	t->priv = NULL;
	if (t->c->workload == FARM)
		return 0;
	if (t->c->workload == FANOUT) {
		opts.cells = FARM_WINDOW;
		opts.arg_max = t->c->size;
	}
	rc = fr_arena_create(NULL, &opts, &arena);
	if (rc == 0)
		t->priv = arena;
	return rc;
}

static void close_arena(struct trial *t)
{
	fr_arena_detach(t->priv);
}

/* ---- boxes ---- */

static int attach(struct trial *t, int mine, void **ret)
{
	struct fr_join_opts opts = {.wait = wait_modes[t->c->mode]};
	static struct end end;
	int rc = fr_join(t->priv, &opts, &end.self);

	if (rc == 0)
		rc = fr_type_intern(end.self, "bench", (struct fr_type){0},
				    &end.type);
	if (rc < 0)
		return rc;
	end.address = t->shared->address;
	end.size = t->c->size;
	if (mine >= 0)
		t->shared->address[mine] = fr_self(end.self).id;
	*ret = &end;
	return 0;
}

static void detach(void *ctx)
{
	struct end *end = ctx;

	fr_leave(end->self);
}

static ALWAYS_INLINE struct fr_addr owner(const struct end *end, unsigned box)
{
	return (struct fr_addr){end->address[box]};
}

static ALWAYS_INLINE int send_within(void *ctx, unsigned to, const void *buf,
				     size_t size, int64_t wait_ns)
{
	const struct end *end = ctx;

	return fr_send(end->self, owner(end, to), end->type, buf, size,
		       wait_ns);
}

static ALWAYS_INLINE int send_one(void *ctx, unsigned to, const void *buf,
				  size_t size)
{
	return send_within(ctx, to, buf, size, FR_FOREVER);
}

static ALWAYS_INLINE int try_send(void *ctx, unsigned to, const void *buf,
				  size_t size)
{
	return send_within(ctx, to, buf, size, 0);
}

static ALWAYS_INLINE int receive_within(void *ctx, const void **body,
					int64_t wait_ns)
{
	struct end *end = ctx;
	int rc = fr_receive(end->self, wait_ns, end->m);

	*body = end->m->body;
	return likely(rc < 0 || end->m->len == end->size) ? rc : -EBADMSG;
}

static ALWAYS_INLINE int receive(void *ctx, const void **body)
{
	return receive_within(ctx, body, FR_FOREVER);
}

static ALWAYS_INLINE int try_receive(void *ctx, const void **body)
{
	return receive_within(ctx, body, 0);
}

static ALWAYS_INLINE void done(void *ctx)
{
	struct end *end = ctx;

	if (end->batch)
		fr_release_batch(end->self, end->m, end->batch);
	else
		fr_release(end->self, end->m);
}

static int send_batch(void *ctx, unsigned to, const void *buf, size_t size,
		      unsigned count)
{
	const struct end *end = ctx;
	struct fr_part parts[BATCH_MAX];

	for (unsigned i = 0; i < count; i++)
		parts[i] = (struct fr_part){
			.type = end->type,
			.body = (const unsigned char *)buf + i * size,
			.len = size,
		};
	return fr_send_batch(end->self, owner(end, to), parts, count,
			     FR_FOREVER);
}

static int receive_batch(void *ctx, const void **bodies, unsigned max)
{
	struct end *end = ctx;
	int n = fr_receive_batch(end->self, FR_FOREVER, end->m, max);

	if (unlikely(n < 0))
		return n;
	end->batch = (unsigned)n;
	for (int i = 0; i < n; i++) {
		if (unlikely(end->m[i].len != end->size))
			return -EBADMSG;
		bodies[i] = end->m[i].body;
	}
	return n;
}

static ALWAYS_INLINE int claim(void *ctx, unsigned to, size_t size, void **body)
{
	struct end *end = ctx;
	int rc = fr_claim(end->self, owner(end, to), end->type, size,
			  FR_FOREVER, &end->claim);

	*body = end->claim.body;
	return rc;
}

static ALWAYS_INLINE int commit(void *ctx)
{
	struct end *end = ctx;

	fr_commit(end->self, &end->claim);
	return 0;
}

static const struct queue_ops mailboxes = {
	.attach = attach,
	.send = send_one,
	.try_send = try_send,
	.receive = receive,
	.try_receive = try_receive,
	.done = done,
	.send_batch = send_batch,
	.receive_batch = receive_batch,
	.claim = claim,
	.commit = commit,
	.detach = detach,
};

/* ---- the task ring ---- */

static ALWAYS_INLINE int collect_one(struct end *end, int64_t wait_ns)
{
	struct fr_result r;
	int rc = fr_collect(end->self, wait_ns, &r);

	if (rc < 0)
		return rc;
	rc = r.status == FR_TASK_DONE ? 0 : -EIO;
	fr_result_release(end->self, &r);
	return rc;
}

/* Wait for one and take what there is, but leave the takers half. */
static int collect(struct end *end)
{
	int rc = collect_one(end, FR_FOREVER);

	while (rc == 0 && fr_outstanding(end->self) > FARM_WINDOW / 2)
		rc = collect_one(end, 0);
	return rc == -EAGAIN ? 0 : rc;
}

static ALWAYS_INLINE int submit(void *ctx, unsigned to, const void *buf,
				size_t size)
{
	const struct fr_task task = {.arg = buf, .len = size};
	struct end *end = ctx;
	struct fr_task_id id;
	int rc;

	(void)to;
	while ((rc = fr_submit(end->self, &task, &id)) == -EAGAIN) {
		rc = collect(end);
		if (unlikely(rc < 0))
			break;
	}
	return rc;
}

static ALWAYS_INLINE int take(void *ctx, const void **body)
{
	struct end *end = ctx;
	struct fr_task task;
	int rc = fr_take(end->self, FR_FOREVER, &task, &end->reply);

	if (unlikely(rc < 0))
		return rc;
	*body = task.arg;
	return likely(task.len == end->size) ? 0 : -EBADMSG;
}

static ALWAYS_INLINE void complete(void *ctx)
{
	struct end *end = ctx;

	fr_complete(end->self, 0, &end->reply);
}

/* All are done by then, but for those in the takers' hands. */
static void collect_all(void *ctx)
{
	struct end *end = ctx;

	while (collect_one(end, FR_FOREVER) == 0)
		;
	fr_leave(end->self);
}

static const struct queue_ops tasks = {
	.attach = attach,
	.send = submit,
	.receive = take,
	.done = complete,
	.detach = collect_all,
};

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
	return work(t->c, t->burn_steps, task->arg, reply->data);
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
	static _Alignas(64) unsigned char arg[PAYLOAD_MAX];
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

static bool can(const struct bench_case *c)
{
	return c->workload == FARM || queue_can(c, &mailboxes);
}

static int run(struct trial *t, enum role role, unsigned index)
{
	if (role == MAIN)
		return farm_main(t);
	return t->c->workload == FANOUT ? queue_run(t, role, index, &tasks)
					: queue_run(t, role, index, &mailboxes);
}

const struct peer peer_forkring = {
	.name = "forkring",
	.note = "defaults, but for mailboxes of 1 MiB from 4 KiB on; messages "
		"read in place",
	.can = can,
	.own_workers = true,
	.open = open_arena,
	.run = run,
	.close = close_arena,
};
