/* SPDX-License-Identifier: MIT */
/*
 * The supervisor: one main process and several different children that it
 * forks, watches and ends.
 */
#ifndef FORKRING_SUPERVISOR_H
#define FORKRING_SUPERVISOR_H

#include "base.h"
#include "task.h"

#include <stdbool.h>

FR_BEGIN_DECLS

struct fr_process;
struct fr_run_opts;
struct fr_supervisor;

/* What becomes of the others when a child ends by a signal or non-zero. */
enum fr_restart {
	FR_RESTART_NEVER,      /* reported; every other child is ended */
	FR_RESTART_ON_FAILURE, /* reported and started again, same name, new address;
			    * at most FR_RESTARTS_MAX in a row within
			    * FR_RESTART_WINDOW_NS of each start, then as NEVER */
	FR_RESTART_IGNORE, /* reported; the others go on */
};
#define FR_RESTARTS_MAX 5
#define FR_RESTART_WINDOW_NS INT64_C(1000000000)

/* The end of a child. */
struct fr_end {
	const char *name; /* "(nameless)" if it has none */
	int pid;
	int status; /* as from waitpid(2) */
	bool restarting;
	const char *last_words; /* fr_last_words(), or why it failed; or "" */
	bool had_task; /* died with this one in hand */
	struct fr_task_id task;
	uint32_t kind, attempt; /* of the task */
};

struct fr_child_opts {
	const char *name; /* copied; NULL: nameless */
	/* Run in the child, in this order (teardown also after a setup that
	 * failed); all but run may be NULL. ctx is the
	 * parent's pointer, good in the child since it is forked. A negative
	 * setup ends the child as a failure. run returns 0 for a normal end;
	 * positive: that exit status, negative: status 1, both failures. */
	int (*setup)(void *ctx, struct fr_process *self);
	int (*run)(void *ctx, struct fr_process *self); /* e.g. calls fr_run */
	void (*teardown)(void *ctx, struct fr_process *self);
	void *ctx;
	enum fr_restart restart;
	int wait; /* enum fr_wait_mode of the child */
};

struct fr_supervisor_opts {
	/* Leave SIGINT, SIGTERM and SIGCHLD alone: the program calls
	 * fr_supervisor_stop() itself, and a child's death is noticed within a
	 * second. Else handlers are in place between open and close; the
	 * previous SIGCHLD handler is still called. */
	bool no_signals;
	/* How long children may take after the exit message until SIGTERM, and
	 * after SIGTERM until SIGKILL. Default 5 s and 1 s. */
	int64_t exit_grace_ns;
	int64_t term_grace_ns;
	/* Told of every end of a child. NULL: one line on stderr for each that
	 * failed. */
	void (*report)(void *ctx, const struct fr_end *end);
	void *ctx;
};

/*
 * One supervisor per process. It belongs to the thread that opened it.
 * -EBUSY there is one already · -EINVAL · -ENOMEM · -ECHILD.
 */
FR_API int fr_supervisor_open(struct fr_process *process,
			      const struct fr_supervisor_opts *opts,
			      struct fr_supervisor **ret);

/*
 * Describe a child, or another while the rest runs. Its address is good at
 * once: mail sent to it waits until it starts. opts is copied.
 * -EINVAL, -ENAMETOOLONG · -ENOSPC no slot · -ENOMEM.
 */
FR_API int fr_supervisor_add(struct fr_supervisor *supervisor,
			     const struct fr_child_opts *opts,
			     struct fr_addr *ret);

/*
 * Fork every child that is described and not started. stdio is flushed before;
 * the child ends by _exit(2). -EAGAIN, -ENOMEM from fork(2): those before it
 * run.
 */
FR_API int fr_supervisor_start(struct fr_supervisor *supervisor);

/*
 * Main's life: starts what is not started, then rounds as of fr_run(opts) and a
 * look at the children, until SIGINT, SIGTERM, an exit message, FR_STOP, a
 * child's failure (-ECHILD after the others have been ended) or the normal end
 * of the last child. Then exit to all and wait for all, as fr_supervisor_stop.
 */
FR_API int fr_supervisor_run(struct fr_supervisor *supervisor,
			     const struct fr_run_opts *opts);

/*
 * Look at the children without waiting: reap, report, restart. Returns how many
 * are running. -ECHILD one with FR_RESTART_NEVER failed. For programs with a
 * loop of their own.
 */
FR_API int fr_supervisor_poll(struct fr_supervisor *supervisor);

/*
 * Exit messages to all, wait for all; SIGTERM, then SIGKILL to those that do
 * not end in their grace. Afterwards no child runs. A second SIGINT or SIGTERM
 * meanwhile passes the graces at once.
 */
FR_API void fr_supervisor_stop(struct fr_supervisor *supervisor);

/* True once SIGINT or SIGTERM came. */
FR_API bool fr_supervisor_interrupted(const struct fr_supervisor *supervisor);

/* Stop if need be, put the signal handlers back, free. NULL does nothing. */
FR_API void fr_supervisor_close(struct fr_supervisor *supervisor);

/*
 * How many CPUs this process may use: its affinity mask, and the CPU quota of
 * its control group, rounded up; at least 1.
 */
FR_API unsigned fr_cpus(void);

FR_END_DECLS

#endif
