/* SPDX-License-Identifier: MIT */
/*
 * Tasks: given to whoever takes them next, each yielding exactly one result to
 * its submitter. The farm (farm.h) is made of these calls.
 *
 *	fr_submit → (QUEUED) → fr_take → (TAKEN) → fr_complete → (DONE) →
 *	fr_collect → fr_result_release
 */
#ifndef FORKRING_TASK_H
#define FORKRING_TASK_H

#include "base.h"

FR_BEGIN_DECLS

struct fr_process;

/* One task for the life of the arena. {0} is none. */
struct fr_task_id {
	uint64_t id;
};

struct fr_task {
	const void *arg; /* len bytes; copied by submit, in place for a worker */
	size_t len;
	uint32_t kind; /* the submitter's own word */
	/* Set for the worker: */
	uint32_t attempt; /* 1 the first time */
	struct fr_task_id id;
	struct fr_addr from; /* the submitter */
};

/* Where a worker writes its result. */
struct fr_reply {
	void *data; /* max bytes, 8-byte aligned */
	size_t max;
	size_t len; /* set by the worker: bytes written, 0 at first */
};

enum fr_task_status {
	FR_TASK_DONE = 1,  /* the worker returned 0 or positive */
	FR_TASK_FAILED,    /* the worker returned a negative error */
	FR_TASK_CANCELLED, /* fr_task_cancel() before anyone took it */
	FR_TASK_BURIED,    /* its workers died too often */
};

struct fr_result {
	struct fr_task_id id;
	enum fr_task_status status;
	int value; /* what the worker returned */
	uint32_t kind;
	uint32_t attempt;
	const void *data; /* len bytes, in place, valid until released */
	size_t len;
	struct fr_addr worker;
};

/*
 * Queue a copy of a task. Its result comes back to this process. Never waits:
 * a process's cells (fr_arena_opts.cells) bound what it may have outstanding,
 * from submit to fr_result_release(). Any process that joined, any thread.
 *
 * -EAGAIN every cell is in use: collect results first · -EMSGSIZE len over
 * fr_arena_info().arg_max · -ECHILD · -EBADMSG.
 */
FR_API int fr_submit(struct fr_process *process, const struct fr_task *task,
		     struct fr_task_id *ret);

/*
 * Take the next task. One thread of a process at a time, and one task in hand
 * at a time. task->arg and reply->data are in the arena, good until
 * fr_complete().
 *
 * -EAGAIN, -ETIMEDOUT none · -EINTR · -EBUSY one is in hand · -ECHILD ·
 * -EBADMSG.
 */
FR_API int fr_take(struct fr_process *process, int64_t wait_ns,
		   struct fr_task *task, struct fr_reply *reply);

/*
 * Finish the task in hand: value negative is a failure, else done; reply->len
 * bytes of reply->data go back with it.
 *
 * -EINVAL no task in hand, or reply->len over reply->max · -ECHILD.
 */
FR_API int fr_complete(struct fr_process *process, int value,
		       const struct fr_reply *reply);

/*
 * The next result of a task that this process submitted, in the order in which
 * they are found finished. Any thread; each result goes to one.
 *
 * -ENODATA nothing is outstanding · -EAGAIN, -ETIMEDOUT none finished · -EINTR ·
 * -ECHILD · -EBADMSG.
 */
FR_API int fr_collect(struct fr_process *process, int64_t wait_ns,
		      struct fr_result *ret);

/* Give the cell of a collected result back; of one result, one thread. */
FR_API void fr_result_release(struct fr_process *process,
			      struct fr_result *result);

/*
 * Cancel a task of this process that nobody has taken yet: its result is
 * FR_TASK_CANCELLED. -EBUSY a worker has it · -EALREADY it is finished ·
 * -ESRCH not an outstanding task of this process · -ECHILD.
 */
FR_API int fr_task_cancel(struct fr_process *process, struct fr_task_id id);

/* How many tasks this process has outstanding. */
FR_API unsigned fr_outstanding(const struct fr_process *process);

/*
 * What a worker does with a task. Writes its result to reply and returns 0 or
 * positive; a negative value is the task's failure, not the worker's.
 */
typedef int fr_task_fn(void *ctx, const struct fr_task *task,
		       struct fr_reply *reply);

/* For fr_run_opts.tasks. */
struct fr_task_run {
	fr_task_fn *run;
	void *ctx;
};

FR_END_DECLS

#endif
