/* SPDX-License-Identifier: MIT */
/*
 * The farm: worker processes, tasks for them, results as they finish. A whole
 * program:
 *
 *	static int run(void *ctx, const struct fr_task *task,
 *		       struct fr_reply *reply)
 *	{
 *		reply->len = work(task->arg, task->len, reply->data);
 *		return 0;
 *	}
 *
 *	int main(void)
 *	{
 *		struct fr_farm_opts opts = { .run = run };
 *		struct fr_farm *farm;
 *		struct fr_result r;
 *		int rc = fr_farm_open(&opts, &farm);
 *
 *		if (rc < 0)
 *			return 1;
 *		for (...)
 *			rc = fr_farm_submit(farm, &(struct fr_task){
 *				.arg = a, .len = n }, &id);
 *		while ((rc = fr_farm_next(farm, FR_FOREVER, &r)) == 0)
 *			use(r.id, r.status, r.data, r.len);
 *		return fr_farm_close(farm) < 0 || rc != -ENODATA;
 *	}
 */
#ifndef FORKRING_FARM_H
#define FORKRING_FARM_H

#include "arena.h"
#include "base.h"
#include "supervisor.h"
#include "task.h"

#include <stdbool.h>

FR_BEGIN_DECLS

struct fr_farm;
struct fr_process;

struct fr_farm_opts {
	unsigned workers; /* 0: one per CPU that fr_cpus() counts; at most 1024 */
	fr_task_fn *run;  /* for each task, in a worker */
	/* Once in each worker before its first task: index is 0..workers-1;
	 * *state, if set, is the ctx of run and teardown instead of ctx.
	 * Negative: the worker fails to start. */
	int (*setup)(void *ctx, unsigned index, void **state);
	void (*teardown)(void *state);
	void *ctx; /* the parent's pointer, good in the workers: they are forked */
	/* Largest argument and result, bytes; default 1024. */
	size_t arg_max;
	size_t result_max;
	/* Tasks in the arena at a time: up to 4096, default 256. More than that
	 * can be submitted: finished results are kept aside. */
	unsigned cells;
	int wait; /* enum fr_wait_mode of main and workers */
	/* As in fr_supervisor_opts. */
	bool no_signals;
	int64_t exit_grace_ns;
	int64_t term_grace_ns;
	void (*report)(void *ctx, const struct fr_end *end);
};

/*
 * Make an arena without a name, join it, fork the workers. A worker that dies
 * is reported and replaced. The farm belongs to the thread that opened it, and
 * there is one per process at a time.
 *
 * -EINVAL no run, or an option out of range · -ENOSPC no memory for the arena:
 * fewer workers or cells · -ENOMEM, -EAGAIN, -EMFILE · -EBUSY there is a
 * supervisor in this process already.
 */
FR_API int fr_farm_open(const struct fr_farm_opts *opts, struct fr_farm **ret);

/*
 * Submit a task (arg is copied). When all cells are in use it waits until a
 * result comes in and keeps that for fr_farm_next().
 *
 * -EMSGSIZE · -EINTR SIGINT or SIGTERM came: close · -ECHILD the workers keep
 * dying at their start · -EAGAIN open calls of main have all cells · -ENOMEM.
 */
FR_API int fr_farm_submit(struct fr_farm *farm, const struct fr_task *task,
			  struct fr_task_id *ret);

/*
 * The next result. result->data is good until the next call on the farm.
 *
 * -ENODATA every submitted task's result was given · -EAGAIN, -ETIMEDOUT ·
 * -EINTR SIGINT or SIGTERM came: close · -ECHILD as above · -ENOMEM · -EBADMSG.
 */
FR_API int fr_farm_next(struct fr_farm *farm, int64_t wait_ns,
			struct fr_result *result);

/* As fr_task_cancel(). */
FR_API int fr_farm_cancel(struct fr_farm *farm, struct fr_task_id id);

struct fr_farm_stats {
	unsigned workers;    /* running now */
	uint64_t submitted;  /* tasks since open */
	uint64_t finished;   /* results since open, given or kept aside */
	uint64_t restarts;   /* workers replaced since open */
};
FR_API void fr_farm_stats(const struct fr_farm *farm, struct fr_farm_stats *ret);

/* Main's own process handle: for messages to workers, events and the like. */
FR_API struct fr_process *fr_farm_process(struct fr_farm *farm);

/*
 * End the workers (as fr_supervisor_stop) and free everything; tasks without a
 * result are dropped. Returns 0, or -EINTR if SIGINT or SIGTERM came, so that
 * the program can end as a signal would have it. NULL does nothing.
 */
FR_API int fr_farm_close(struct fr_farm *farm);

FR_END_DECLS

#endif
