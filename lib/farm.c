/* SPDX-License-Identifier: MIT */
/*
 * The farm: an arena without a name, main, a supervisor, and workers that are
 * all alike: setup, then fr_run() with tasks, then teardown.
 *
 * Main is the arena's first process: it has opts.cells cells, the workers one
 * each. A submit that finds none free collects a result and keeps a copy of it
 * aside; fr_farm_next() gives those first. So any number of tasks may be
 * submitted before the first result is asked for.
 *
 * While it waits, main is interrupted by SIGCHLD and the signals that end it;
 * serve() then looks which it was. Without signal handlers it looks each second.
 */
#include "forkring/farm.h"

#include "forkring/message.h"
#include "forkring/supervisor.h"
#include "process.h"
#include "supervisor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS_MAX 1024
#define CELLS 256
#define MAILBOX_BYTES (64 * 1024)
#define LOOK_NS INT64_C(1000000000)

/* One worker's own; the child sees its copy. */
struct worker {
	struct fr_farm *farm;
	unsigned index;
	void *state;
	bool set_up;
};

/* A result kept aside. */
struct kept {
	struct kept *next;
	struct fr_result result;
	unsigned char data[];
};

struct fr_farm {
	struct fr_farm_opts opts;
	struct fr_arena *arena;
	struct fr_process *process;
	struct fr_supervisor *supervisor;
	struct worker *workers;
	struct kept *kept, **last_kept;
	struct kept *given;      /* freed at the next call */
	struct fr_result in_place; /* or this one released */
	struct fr_farm_stats stats;
};

/* ---- in a worker ---- */

static int set_up(void *ctx, struct fr_process *self)
{
	struct worker *w = ctx;
	int rc = 0;

	(void)self;
	w->state = w->farm->opts.ctx;
	if (w->farm->opts.setup)
		rc = w->farm->opts.setup(w->farm->opts.ctx, w->index,
					 &w->state);
	w->set_up = rc >= 0;
	return rc;
}

static int work(void *ctx, struct fr_process *self)
{
	struct worker *w = ctx;
	struct fr_task_run tasks = {.run = w->farm->opts.run, .ctx = w->state};
	struct fr_run_opts opts = {.tasks = &tasks};
	int rc;

	do
		rc = fr_run(self, &opts);
	while (rc == -EINTR); /* a signal that the task's program handles */
	return rc;
}

static void tear_down(void *ctx, struct fr_process *self)
{
	struct worker *w = ctx;

	(void)self;
	if (w->set_up && w->farm->opts.teardown)
		w->farm->opts.teardown(w->state);
}

/* ---- in main ---- */

static void on_report(void *ctx, const struct fr_end *end)
{
	struct fr_farm *f = ctx;

	f->stats.restarts += end->restarting;
	if (f->opts.report)
		f->opts.report(f->opts.ctx, end);
	else
		fr__report(end);
}

static int add_workers(struct fr_farm *f)
{
	char name[FR_NAME_MAX + 1];
	struct fr_addr addr;
	unsigned i;
	int rc = 0;

	for (i = 0; i < f->opts.workers && rc == 0; i++) {
		struct fr_child_opts child = {
			.name = name,
			.setup = set_up,
			.run = work,
			.teardown = tear_down,
			.ctx = &f->workers[i],
			.restart = FR_RESTART_ON_FAILURE,
			.wait = f->opts.wait,
		};

		f->workers[i] = (struct worker){.farm = f, .index = i};
		snprintf(name, sizeof(name), "worker-%u", i);
		rc = fr_supervisor_add(f->supervisor, &child, &addr);
	}
	return rc < 0 ? rc : fr_supervisor_start(f->supervisor);
}

static int open_all(struct fr_farm *f)
{
	const struct fr_farm_opts *o = &f->opts;
	struct fr_arena_opts arena = {
		.slots = o->workers + 8,
		.mailbox_bytes = MAILBOX_BYTES,
		.main_cells = o->cells ? o->cells : CELLS,
		.cells = 1,
		.arg_max = o->arg_max,
		.result_max = o->result_max,
	};
	struct fr_join_opts join = {
		.name = "main", .wait = (enum fr_wait_mode)o->wait,
	};
	struct fr_supervisor_opts supervisor = {
		.no_signals = o->no_signals,
		.exit_grace_ns = o->exit_grace_ns,
		.term_grace_ns = o->term_grace_ns,
		.report = on_report,
		.ctx = f,
	};
	int rc = fr_arena_create(NULL, &arena, &f->arena);

	if (rc == 0)
		rc = fr_join(f->arena, &join, &f->process);
	if (rc == 0)
		rc = fr_supervisor_open(f->process, &supervisor,
					&f->supervisor);
	return rc == 0 ? add_workers(f) : rc;
}

int fr_farm_open(const struct fr_farm_opts *opts, struct fr_farm **ret)
{
	struct fr_farm *f;
	int rc;

	if (!opts || !opts->run || opts->workers > WORKERS_MAX ||
	    opts->wait < 0 || opts->wait > FR_WAIT_POLL)
		return -EINVAL;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->opts = *opts;
	f->last_kept = &f->kept;
	if (f->opts.workers == 0)
		f->opts.workers = fr_cpus();
	if (f->opts.workers > WORKERS_MAX)
		f->opts.workers = WORKERS_MAX;
	f->workers = calloc(f->opts.workers, sizeof(*f->workers));
	rc = f->workers ? open_all(f) : -ENOMEM;
	if (rc < 0) {
		fr_farm_close(f);
		return rc;
	}
	f->stats.workers = f->opts.workers;
	*ret = f;
	return 0;
}

/* Look at children and signals. */
static int serve(struct fr_farm *f)
{
	int running = fr_supervisor_poll(f->supervisor);

	if (fr_supervisor_interrupted(f->supervisor))
		return -EINTR;
	if (running < 0)
		return running;
	f->stats.workers = (unsigned)running;
	return 0;
}

/* fr_collect() that goes on after a child's end, and looks around. */
static int collect(struct fr_farm *f, int64_t wait_ns, bool lazy,
		   struct fr_result *r)
{
	/* Mostly one is there: then without a look at a clock. */
	int rc = fr__collect(f->process, 0, lazy, r), served;
	int64_t deadline, left = LOOK_NS;

	if (rc == -EAGAIN && wait_ns == 0) {
		served = fr__supervisor_due(f->supervisor) ? serve(f) : 0;
		return served < 0 ? served : -EAGAIN;
	}
	if (rc == -EAGAIN) {
		deadline = fr__deadline(wait_ns);
		do {
			if (deadline != FR__NEVER)
				left = deadline - fr__now_ns();
			left = left > LOOK_NS ? LOOK_NS : left > 0 ? left : 0;
			rc = fr__collect(f->process, left, lazy, r);
			if (rc != -EINTR && rc != -ETIMEDOUT && rc != -EAGAIN)
				break;
			served = serve(f);
			if (served < 0)
				return served;
			rc = -ETIMEDOUT;
		} while (deadline == FR__NEVER || fr__now_ns() < deadline);
	}
	if (rc == 0)
		f->stats.finished++;
	return rc;
}

/* What the last fr_farm_next() gave is no longer used. */
static void take_back(struct fr_farm *f)
{
	free(f->given);
	f->given = NULL;
	if (f->in_place.data)
		fr_result_release(f->process, &f->in_place);
	f->in_place.data = NULL;
}

/* Wait for one result and keep it aside: its cell is free then. */
static int keep_one(struct fr_farm *f)
{
	struct fr_result r;
	struct kept *k;
	int rc = collect(f, FR_FOREVER, true, &r);

	if (rc == -ENODATA)
		rc = -EAGAIN; /* calls of main's own have all the cells */
	if (rc < 0)
		return rc;
	k = malloc(sizeof(*k) + r.len);
	if (!k) {
		fr_result_release(f->process, &r);
		return -ENOMEM;
	}
	memcpy(k->data, r.data, r.len);
	k->result = r;
	k->result.data = k->data;
	k->next = NULL;
	*f->last_kept = k;
	f->last_kept = &k->next;
	fr_result_release(f->process, &r);
	return 0;
}

int fr_farm_submit(struct fr_farm *f, const struct fr_task *task,
		   struct fr_task_id *ret)
{
	int rc;

	take_back(f);
	if (fr_supervisor_interrupted(f->supervisor))
		return -EINTR;
	while ((rc = fr_submit(f->process, task, ret)) == -EAGAIN) {
		rc = keep_one(f);
		if (rc < 0)
			return rc;
	}
	if (rc == 0)
		f->stats.submitted++;
	return rc;
}

int fr_farm_next(struct fr_farm *f, int64_t wait_ns, struct fr_result *result)
{
	int rc;

	take_back(f);
	if (fr_supervisor_interrupted(f->supervisor))
		return -EINTR;
	if (f->kept) {
		f->given = f->kept;
		f->kept = f->given->next;
		if (!f->kept)
			f->last_kept = &f->kept;
		*result = f->given->result;
		return 0;
	}
	rc = collect(f, wait_ns, false, result);
	if (rc == 0)
		f->in_place = *result;
	return rc;
}

int fr_farm_cancel(struct fr_farm *f, struct fr_task_id id)
{
	return fr_task_cancel(f->process, id);
}

void fr_farm_stats(const struct fr_farm *f, struct fr_farm_stats *ret)
{
	*ret = f->stats;
}

struct fr_process *fr_farm_process(struct fr_farm *f)
{
	return f->process;
}

int fr_farm_close(struct fr_farm *f)
{
	struct kept *k;
	int rc = 0;

	if (!f)
		return 0;
	if (f->supervisor) {
		fr_supervisor_stop(f->supervisor);
		if (fr_supervisor_interrupted(f->supervisor))
			rc = -EINTR;
		fr_supervisor_close(f->supervisor);
	}
	while ((k = f->kept) != NULL) {
		f->kept = k->next;
		free(k);
	}
	free(f->given);
	fr_leave(f->process);
	fr_arena_detach(f->arena);
	free(f->workers);
	free(f);
	return rc;
}
