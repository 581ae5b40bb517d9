/* SPDX-License-Identifier: MIT */
/*
 * events: main hands an event to a worker in a message, and waits for it.
 *
 * The group of events is made before the fork. Main reserves one for each job,
 * sends its handle along, and goes on when the worker has set it; several jobs
 * are in flight at a time.
 */
#include <forkring.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS 3

struct job {
	struct fr_event done; /* to be set when the answer is there */
	int number;
};

static int on_job(void *ctx, struct fr_process *self, struct fr_message *m)
{
	const struct job *job = m->body;

	(void)ctx;
	printf("worker: job %d is done, setting event %d\n", job->number,
	       job->number);
	fflush(stdout);
	fr_event_set(self, job->done);
	return FR_CONTINUE;
}

static int work(struct fr_arena *arena)
{
	struct fr_join_opts opts = {.name = "worker"};
	struct fr_process *self;
	struct fr_type type;
	int rc = fr_join(arena, &opts, &self);

	if (rc < 0)
		return 1;
	fr_type_intern(self, "job", (struct fr_type){0}, &type);
	fr_handle(self, type, on_job, NULL);
	rc = fr_run(self, NULL);
	fr_leave(self);
	return rc < 0;
}

/* Three jobs at once: reserve, send, wait, release. */
static int several(struct fr_process *self, struct fr_event_group *group,
		   struct fr_addr worker, struct fr_type type)
{
	struct job jobs[JOBS];
	int i, rc = 0;

	for (i = 0; i < JOBS && rc == 0; i++) {
		jobs[i].number = i;
		rc = fr_event_reserve(self, group, &jobs[i].done);
		if (rc == 0)
			rc = fr_send(self, worker, type, &jobs[i],
				     sizeof(jobs[i]), FR_FOREVER);
	}
	for (i = 0; i < JOBS && rc == 0; i++) {
		rc = fr_event_wait(self, jobs[i].done, FR_FOREVER);
		printf("main: event %d is set\n",
		       fr_event_index(group, jobs[i].done));
		fr_event_release(self, jobs[i].done);
	}
	return rc;
}

/* One job: the scope does it all. */
static int one(struct fr_process *self, struct fr_event_group *group,
	       struct fr_addr worker, struct fr_type type)
{
	int rc;

	FR_WITH_EVENT(self, group, scope, FR_FOREVER, &rc) {
		struct job job = {.done = scope.event, .number = 0};

		fr_send(self, worker, type, &job, sizeof(job), FR_FOREVER);
	}
	printf("main: the scope's event was set\n");
	return rc;
}

int main(void)
{
	struct fr_event_group *group = NULL;
	struct fr_process *self = NULL;
	struct fr_arena *arena;
	struct fr_addr worker;
	struct fr_type type;
	pid_t child;
	int rc = fr_arena_create(NULL, NULL, &arena);

	if (rc == 0)
		rc = fr_event_group_create(arena, JOBS, &group);
	if (rc < 0) {
		fprintf(stderr, "events: %s\n", strerror(-rc));
		return 1;
	}
	child = fork();
	if (child == 0)
		_exit(work(arena));
	rc = fr_join(arena, NULL, &self);
	if (rc == 0)
		rc = fr_type_intern(self, "job", (struct fr_type){0}, &type);
	if (rc == 0)
		rc = fr_wait_name(self, "worker", FR_FOREVER, &worker);
	if (rc == 0)
		rc = several(self, group, worker, type);
	if (rc == 0)
		rc = one(self, group, worker, type);
	if (rc == 0)
		rc = fr_send_exit(self, worker, FR_FOREVER);
	if (rc < 0) {
		fprintf(stderr, "events: %s\n", strerror(-rc));
		kill(child, SIGKILL);
	}
	waitpid(child, NULL, 0);
	fr_leave(self);
	fr_event_group_free(group);
	fr_arena_detach(arena);
	return rc < 0;
}
