/* SPDX-License-Identifier: MIT */
/*
 * The mains: of the supervisor, in the named arena; and of a farm, with an
 * arena of its own. Both are stopped now and then, and never killed.
 *
 * Workers are started again by the supervisor itself. The mesh is killed faster
 * than its limit of restarts allows, so those children are described anew each
 * time (FR_RESTART_IGNORE).
 */
#include "storm.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
	unsigned seat;
	bool missing; /* to be described again */
};

static struct child children[SEATS_MAX];
static struct fr_supervisor *supervisor;
static struct fr_event_group *group;
static unsigned forking; /* seat of the child that is forked next; 0: none */

/* ---- in the children ---- */

/* At once, so that a child is seen, and can be killed, while it joins. */
static void after_fork(void)
{
	if (forking)
		be_born(forking);
	forking = 0;
}

static int on_exit_message(void *ctx, struct fr_process *p,
			   struct fr_message *m)
{
	(void)p;
	(void)m;
	*(bool *)ctx = true;
	return FR_STOP;
}

/* A worker's life: fr_run() with tasks, in slices, to say that it gets on. */
static int work(void *ctx, struct fr_process *self)
{
	struct member *m = member_new(self, NULL, NULL);
	struct fr_task_run tasks = {.run = run_task, .ctx = m};
	struct fr_run_opts opts = {.tasks = &tasks, .limit_ns = 50 * MS};
	bool told = false;
	int rc = fr_handle(self, FR_TYPE_EXIT, on_exit_message, &told);

	(void)ctx;
	while (rc == 0 && !told) {
		rc = fr_run(self, &opts);
		rc = rc == -EINTR ? 0 : rc;
		progress();
		if (GET(oracle->ending)) /* says no more words */
			SET(my_seat()->quiet, me);
	}
	if (rc < 0)
		fault_rc("fr_run", rc);
	SET(incarnation(me)->ended, 1);
	free(m);
	return 0;
}

static int mesh(void *ctx, struct fr_process *self)
{
	(void)ctx;
	return member_live(member_new(self, group, NULL));
}

/* ---- the supervisor's main ---- */

static struct child *child_of(const char *name)
{
	char text[FR_NAME_MAX + 1];
	unsigned i;

	for (i = 0; i < oracle->seats; i++) {
		struct seat *s = &oracle->seat[i];

		snprintf(text, sizeof(text), "%s-%u", role_names[s->role],
			 s->index);
		if (strcmp(text, name) == 0)
			return &children[i];
	}
	fault("a child of the name %s has ended", name);
	return &children[0];
}

/* Who ends was killed, by the killer; or it is the end. */
static void check_end(const struct fr_end *end, unsigned seat)
{
	struct incarnation *i = incarnation(GET(oracle->seat[seat].now));

	if (i->pid != end->pid)
		fault("%s: pid %d has ended, not %d", end->name, end->pid,
		      i->pid);
	else if (WIFSIGNALED(end->status) && WTERMSIG(end->status) == SIGKILL &&
		 GET(i->killed))
		return;
	else if (end->status != 0 || !GET(oracle->leave))
		fault("%s has ended with status %#x: %s", end->name,
		      (unsigned)end->status, end->last_words);
}

static void on_end(void *ctx, const struct fr_end *end)
{
	struct child *c = child_of(end->name);

	(void)ctx;
	check_end(end, c->seat);
	if (oracle->seat[c->seat].role == ROLE_MESH)
		c->missing = true;
	else if (end->restarting)
		ADD(oracle->restarts, 1);
	else if (!GET(oracle->leave))
		fault("%s is not started again", end->name);
	if (end->restarting)
		forking = c->seat;
}

static void add(unsigned seat)
{
	struct seat *s = &oracle->seat[seat];
	struct child *c = &children[seat];
	char name[FR_NAME_MAX + 1];
	struct fr_child_opts opts = {
		.name = name,
		.run = s->role == ROLE_MESH ? mesh : work,
		.restart = s->role == ROLE_MESH ? FR_RESTART_IGNORE
						: FR_RESTART_ON_FAILURE,
	};
	struct fr_addr addr;
	int rc;

	snprintf(name, sizeof(name), "%s-%u", role_names[s->role], s->index);
	c->seat = seat;
	c->missing = false;
	rc = fr_supervisor_add(supervisor, &opts, &addr);
	if (rc < 0) {
		c->missing = true; /* every slot is held just now, perhaps */
		if (rc != -ENOSPC)
			fault_rc("fr_supervisor_add", rc);
		return;
	}
	forking = seat;
	rc = fr_supervisor_start(supervisor);
	forking = 0;
	if (rc < 0)
		fault_rc("fr_supervisor_start", rc);
	ADD(oracle->added, 1);
}

static void look_after(void)
{
	int rc = fr_supervisor_poll(supervisor);
	unsigned i;

	forking = 0;
	if (rc < 0)
		fault_rc("fr_supervisor_poll", rc);
	for (i = 0; i < oracle->seats; i++)
		if (children[i].missing)
			add(i);
}

/* Every event of the group can be had: none is left with one that died. */
static void check_events(struct fr_process *p)
{
	struct fr_event events[4 * SEATS_MAX];
	unsigned n, i;

	for (n = 0; n < oracle->group_events &&
		    fr_event_reserve(p, group, &events[n]) == 0;
	     n++)
		;
	if (n < oracle->group_events)
		fault("%u of %u events can be reserved in the end", n,
		      oracle->group_events);
	for (i = 0; i < n; i++)
		fr_event_release(p, events[i]);
}

static struct fr_process *open_arena(struct fr_arena **arena)
{
	const struct fr_arena_opts opts = {
		.slots = 2 * oracle->seats + 8,
		.mailbox_bytes = 4096,
		.cells = 8,
		.main_cells = 64,
		.arg_max = sizeof(struct task_arg),
		.result_max = sizeof(struct task_result),
		.events = oracle->group_events + 8,
		.types = 16,
		.keep = true,
		.start_position = UINT64_MAX - 5000, /* it comes round */
	};
	const struct fr_join_opts join = {.name = "boss-0"};
	struct fr_process *p;
	int rc = fr_arena_create(oracle->name, &opts, arena);

	if (rc == 0)
		rc = fr_join(*arena, &join, &p);
	if (rc == 0)
		rc = fr_event_group_create(*arena, oracle->group_events,
					   &group);
	if (rc == 0)
		return p;
	fault_rc("the arena", rc);
	_exit(1);
}

static void open_supervisor(struct fr_process *p)
{
	const struct fr_supervisor_opts opts = {.report = on_end};
	unsigned i;
	int rc = fr_supervisor_open(p, &opts, &supervisor);

	if (rc < 0) {
		fault_rc("fr_supervisor_open", rc);
		_exit(1);
	}
	pthread_atfork(NULL, NULL, after_fork);
	for (i = 0; i < oracle->seats; i++)
		if (oracle->seat[i].role == ROLE_WORKER ||
		    oracle->seat[i].role == ROLE_MESH)
			add(i);
}

static void end_boss(struct fr_process *p, struct member *m)
{
	/* As member_end(), but that it looks after the others meanwhile. */
	member_quiet(m);
	while (!GET(oracle->drain)) {
		look_after();
		member_receive(m, MS);
		member_collect(m, 0);
	}
	look_after();
	member_drain(m);
	SET(my_seat()->done, me);
	while (!GET(oracle->leave)) {
		look_after();
		member_receive(m, MS);
	}
	fr_supervisor_stop(supervisor);
	fr_supervisor_close(supervisor);
	check_events(p);
}

int be_boss(void)
{
	struct fr_arena *arena;
	struct fr_process *p;
	struct member *m;

	be_born(BOSS);
	p = open_arena(&arena);
	open_supervisor(p);
	m = member_new(p, group, look_after);
	while (!GET(oracle->ending)) {
		look_after();
		member_submit(m);
		member_submit(m);
		member_collect(m, 500 * US);
		member_step(m);
	}
	end_boss(p, m);
	SET(incarnation(me)->ended, 1);
	fr_event_group_free(group);
	fr_leave(p);
	fr_arena_detach(arena);
	free(m);
	return 0;
}

/* ---- the farm's main ---- */

#define FARM_TASKS 120u

static struct {
	struct fr_task_id id;
	struct task_arg arg;
} farm_tasks[FARM_TASKS];
static unsigned farm_count;

static unsigned farm_seat(unsigned index)
{
	return FARMER + 1 + index;
}

static int farm_setup(void *ctx, unsigned index, void **state)
{
	(void)ctx;
	(void)state;
	be_born(farm_seat(index));
	SET(incarnation(me)->addr, 1);
	go_out(IN_START);
	return 0;
}

static void farm_teardown(void *state)
{
	(void)state;
	SET(incarnation(me)->ended, 1);
}

static void on_farm_end(void *ctx, const struct fr_end *end)
{
	(void)ctx;
	/* Its worker-0 and worker-1; one that was killed before its setup is
	 * none of ours. */
	if (end->restarting)
		ADD(oracle->farm_restarts, 1);
	if (!(WIFSIGNALED(end->status) && WTERMSIG(end->status) == SIGKILL) &&
	    (end->status != 0 || !GET(oracle->ending)))
		fault("the farm's %s has ended with status %#x: %s", end->name,
		      (unsigned)end->status, end->last_words);
}

static void farm_submit(struct fr_farm *farm, struct dice *d)
{
	static uint32_t number;
	struct fr_task task = {
		.arg = &farm_tasks[farm_count].arg,
		.len = sizeof(struct task_arg),
		.kind = number,
	};
	int rc;

	task_make(d, number, &farm_tasks[farm_count].arg);
	rc = fr_farm_submit(farm, &task, &farm_tasks[farm_count].id);
	if (rc < 0) {
		fault_rc("fr_farm_submit", rc);
		return;
	}
	number++;
	farm_count++;
	ADD(oracle->farm_submitted, 1);
}

static bool farm_next(struct fr_farm *farm)
{
	struct fr_result r;
	unsigned i;
	int rc = fr_farm_next(farm, 2 * MS, &r);

	progress();
	if (rc == -EAGAIN || rc == -ETIMEDOUT)
		return true;
	if (rc < 0) {
		if (rc != -ENODATA)
			fault_rc("fr_farm_next", rc);
		return false;
	}
	for (i = 0; i < farm_count && farm_tasks[i].id.id != r.id.id; i++)
		;
	if (i == farm_count) {
		fault("a result of the farm, of no task or a second one");
		return true;
	}
	task_check(&r, &farm_tasks[i].arg, false);
	farm_tasks[i] = farm_tasks[--farm_count];
	ADD(oracle->farm_results, 1);
	ADD(oracle->farm_buried, r.status == FR_TASK_BURIED);
	return true;
}

int be_farmer(void)
{
	const struct fr_farm_opts opts = {
		.workers = FARM_WORKERS,
		.run = run_task,
		.setup = farm_setup,
		.teardown = farm_teardown,
		.arg_max = sizeof(struct task_arg),
		.result_max = sizeof(struct task_result),
		.cells = 32,
		.report = on_farm_end,
	};
	struct fr_farm *farm;
	struct dice d;
	int rc;

	be_born(FARMER);
	d = dice_of(oracle->seed, FARMER);
	rc = fr_farm_open(&opts, &farm);
	if (rc < 0) {
		fault_rc("fr_farm_open", rc);
		return 1;
	}
	SET(incarnation(me)->addr, 1);
	go_out(IN_START);
	while (!GET(oracle->ending) && oracle->failures == 0) {
		while (farm_count < FARM_TASKS && one_in(&d, 2))
			farm_submit(farm, &d);
		farm_next(farm);
	}
	SET(my_seat()->quiet, me);
	while (farm_count > 0 && farm_next(farm))
		;
	if (farm_count > 0)
		fault("%u tasks of the farm have no result", farm_count);
	SET(my_seat()->done, me);
	SET(incarnation(me)->ended, 1);
	rc = fr_farm_close(farm);
	if (rc < 0)
		fault_rc("fr_farm_close", rc);
	return 0;
}
