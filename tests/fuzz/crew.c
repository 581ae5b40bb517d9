/* SPDX-License-Identifier: MIT */
/*
 * The lives of the healthy processes: members of an arena; a foreman, who is
 * one too and has children by a supervisor; a farmer with a farm.
 *
 * A child of a foreman or a farmer that is to end may have lost the message
 * that says so to a damage, so it gets SIGTERM soon after. It ends then if it
 * sleeps or when it next goes to sleep; if it does neither, it goes round in a
 * circle: after a second of CPU time it says so itself, as a hang.
 */
#include "calls.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS	 2u
#define CHILDREN 3u

/* ---- how children end ---- */

static uint64_t ticks_then;

static void to_end(int sig)
{
	const struct itimerval second = {.it_value = {.tv_sec = 1}};

	(void)sig;
	if (GET(seat->sleeping) || ticks_then)
		_exit(0);
	ticks_then = GET(seat->ticks);
	setitimer(ITIMER_VIRTUAL, &second, NULL);
}

void tick(void)
{
	if (!seat)
		return;
	ADD(seat->ticks, 1);
	if (ticks_then && GET(seat->ticks) != ticks_then)
		_exit(0); /* it was to end, and is not stuck */
}

static void end_when_told(void)
{
	struct sigaction end = {.sa_handler = to_end};

	sigaction(SIGTERM, &end, NULL); /* SIGVTALRM: see catch_crashes() */
}

/* Of fr_supervisor_opts and fr_farm_opts. */
static void on_report(void *ctx, const struct fr_end *end)
{
	int status = end->status;

	(void)ctx;
	tick();
	use(end->name, strlen(end->name));
	use(end->last_words, strlen(end->last_words));
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		ADD(board->killed, 1);
	else if (WIFSIGNALED(status) && WTERMSIG(status) != SIGTERM)
		ADD(board->ended_badly, 1);
	else if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		ADD(board->ended_badly, 1);
}

/* ---- the foreman ---- */

/* A child's life: a member for a while. */
static int be_child(void *ctx, struct fr_process *p)
{
	static struct self child; /* of this process: it was forked */
	struct part_of *part = ctx;
	struct self *s = &child;
	unsigned n;

	end_when_told();
	*s = (struct self){.part = part,
			   .arena = fr_process_arena(p),
			   .p = p,
			   .is = KEEPS};
	s->dice = dice_of(part->seed, 100 + (uint64_t)getpid());
	n = 1 + pick(&s->dice, 2000);
	SET(board->addrs[4], fr_self(p).id);
	while (n-- > 0 && !GET(board->stop))
		call_one(s);
	while (s->held_count)
		fr_release(p, &s->held[--s->held_count]);
	s->reply.len = 0;
	if (s->in_hand)
		fr_complete(p, 0, &s->reply);
	return one_in(&s->dice, 4) ? 3 : 0;
}

static int do_add(struct self *s)
{
	static const char *const names[] = {NULL, "a", "child"};
	struct fr_child_opts opts = {
		.name = names[pick(&s->dice, 3)],
		.run = be_child,
		.ctx = (void *)(uintptr_t)s->part,
		.restart = one_in(&s->dice, 2) ? FR_RESTART_ON_FAILURE
					       : FR_RESTART_IGNORE,
		.wait = (int)pick(&s->dice, 2),
	};
	struct fr_addr addr;
	int rc;

	if (s->children == CHILDREN)
		return 0;
	rc = fr_supervisor_add(s->supervisor, &opts, &addr);
	if (rc == 0) {
		s->children++;
		SET(board->addrs[4], addr.id);
	}
	return rc;
}

static int do_start(struct self *s)
{
	return fr_supervisor_start(s->supervisor);
}

static int do_poll(struct self *s)
{
	return fr_supervisor_poll(s->supervisor);
}

static int do_supervise(struct self *s)
{
	struct fr_task_run tasks = {.run = run_task};
	struct fr_run_opts opts = {
		.ctx = s,
		.tasks = s->in_hand ? NULL : &tasks,
		.unhandled = on_message,
		.limit_ns = 1 + pick(&s->dice, 3 * (uint32_t)MS),
	};

	s->children = 0; /* they are ended */
	return fr_supervisor_run(s->supervisor, &opts);
}

static int do_stop(struct self *s)
{
	s->children = 0;
	fr_supervisor_stop(s->supervisor);
	return 0;
}

static int do_interrupted(struct self *s)
{
	return fr_supervisor_interrupted(s->supervisor);
}

static int do_close(struct self *s)
{
	const struct fr_supervisor_opts opts = {
		.exit_grace_ns = 20 * MS,
		.term_grace_ns = 30000 * MS,
		.report = on_report,
	};

	bool first = s->supervisor == NULL;

	fr_supervisor_close(s->supervisor);
	s->supervisor = NULL;
	s->children = 0;
	if (GET(board->stop) && !first)
		return 0;
	return fr_supervisor_open(s->p, &opts, &s->supervisor);
}

/* ---- the farmer ---- */

static int farm_setup(void *ctx, unsigned index, void **state)
{
	(void)ctx;
	(void)index;
	(void)state;
	end_when_told();
	return 0;
}

static void farm_teardown(void *state)
{
	(void)state;
	tick();
}

/* fr_farm_submit() has no time limit: a signal is how a program ends it. */
static void give_up(int sig)
{
	(void)sig;
	raise(SIGTERM);
}

static void limit(int64_t ns)
{
	const struct itimerval at = {
		.it_value = {.tv_usec = (suseconds_t)(ns / 1000)},
	};
	struct sigaction sa = {.sa_handler = give_up};

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &at, NULL);
}

static int do_farm_submit(struct self *s)
{
	struct fr_task task = {
		.arg = "argument",
		.len = pick(&s->dice, 9),
		.kind = (uint32_t)roll(&s->dice),
	};
	int rc;

	limit(300 * MS);
	rc = fr_farm_submit(s->farm, &task, &s->ids[pick(&s->dice, IDS)]);
	limit(0);
	return rc;
}

static int do_farm_next(struct self *s)
{
	struct fr_result r;
	int rc = fr_farm_next(s->farm, some_wait(s), &r);

	if (rc == 0)
		use(r.data, r.len);
	return rc;
}

static int do_farm_cancel(struct self *s)
{
	return fr_farm_cancel(s->farm, s->ids[pick(&s->dice, IDS)]);
}

static int do_farm_stats(struct self *s)
{
	struct fr_farm_stats stats;

	fr_farm_stats(s->farm, &stats);
	use(&stats, sizeof(stats));
	return fr_farm_process(s->farm) == s->p ? 0 : -1;
}

static int do_farm_close(struct self *s)
{
	int rc = fr_farm_close(s->farm);

	s->farm = NULL;
	s->p = NULL;
	return rc;
}

static int do_farm_open(struct self *s)
{
	const struct fr_farm_opts opts = {
		.workers = WORKERS,
		.run = run_task,
		.setup = farm_setup,
		.teardown = farm_teardown,
		.arg_max = 64,
		.result_max = 64,
		.cells = 1 + pick(&s->dice, 8),
		.wait = (int)pick(&s->dice, 2),
		.exit_grace_ns = 20 * MS,
		.term_grace_ns = 30000 * MS,
		.report = on_report,
	};
	int rc = fr_farm_open(&opts, &s->farm);

	if (rc < 0) {
		s->farm = NULL;
		return rc;
	}
	s->p = fr_farm_process(s->farm);
	s->arena = fr_process_arena(s->p);
	return 0;
}

/* ---- all of them ---- */

static const struct {
	const char *name;
	int (*call)(struct self *s);
	unsigned weight; /* 0: at the start and the end only */
	enum role role;
} calls[] = {
	{"fr_supervisor_open, fr_supervisor_close", do_close, 1, FOREMAN},
	{"fr_supervisor_add", do_add, 4, FOREMAN},
	{"fr_supervisor_start", do_start, 4, FOREMAN},
	{"fr_supervisor_poll", do_poll, 8, FOREMAN},
	{"fr_supervisor_run", do_supervise, 1, FOREMAN},
	{"fr_supervisor_stop", do_stop, 1, FOREMAN},
	{"fr_supervisor_interrupted", do_interrupted, 1, FOREMAN},
	{"fr_farm_open", do_farm_open, 0, FARMER},
	{"fr_farm_close", do_farm_close, 0, FARMER},
	{"fr_farm_submit", do_farm_submit, 20, FARMER},
	{"fr_farm_next", do_farm_next, 20, FARMER},
	{"fr_farm_cancel", do_farm_cancel, 2, FARMER},
	{"fr_farm_stats, fr_farm_process", do_farm_stats, 1, FARMER},
};
#define COUNT (sizeof(calls) / sizeof(*calls))

/* Of the numbers of these. */
static unsigned base(void)
{
	static unsigned n;

	while (call_at(n))
		n++;
	return n;
}

unsigned functions(void)
{
	return base() + COUNT;
}

const char *function_name(int i)
{
	if (i < 0)
		return "nothing";
	return (unsigned)i < base() ? call_at((unsigned)i)->name
				    : calls[(unsigned)i - base()].name;
}

static int call(struct self *s, unsigned i)
{
	int rc;

	enter(base() + i);
	rc = calls[i].call(s);
	left(base() + i, rc);
	return rc;
}

static int call_named(struct self *s, int (*fn)(struct self *s))
{
	unsigned i = 0;

	while (calls[i].call != fn)
		i++;
	return call(s, i);
}

static void call_of(struct self *s, enum role role)
{
	unsigned all = 0, i;
	uint32_t at;

	for (i = 0; i < COUNT; i++)
		all += calls[i].role == role ? calls[i].weight : 0;
	at = pick(&s->dice, all);
	for (i = 0; calls[i].role != role || at >= calls[i].weight; i++)
		at -= calls[i].role == role ? calls[i].weight : 0;
	call(s, i);
}

static void go_on(struct self *s)
{
	enum role role = s->part->role;

	if (role == MEMBER || one_in(&s->dice, 3))
		call_one(s);
	else
		call_of(s, role);
}

/* Some come by the arena's name. */
static void come_by_name(struct self *s)
{
	if (!s->part->name || one_in(&s->dice, 2))
		return;
	fr_arena_detach(s->arena);
	if (fr_arena_attach(s->part->name, NULL, &s->arena) < 0)
		_exit(0); /* its header is damaged by now */
}

static void be_member(struct self *s)
{
	come_by_name(s);
	if (join(s) == 0)
		ADD(board->joined, 1);
	while (s->p && !GET(board->stop))
		go_on(s);
	leave(s);
}

static void be_foreman(struct self *s)
{
	if (join(s) < 0)
		return;
	ADD(board->joined, 1);
	s->is = KEEPS;
	call_named(s, do_close);
	call_named(s, do_add);
	call_named(s, do_add);
	call_named(s, do_start);
	while (!GET(board->stop) && s->supervisor)
		go_on(s);
	if (s->supervisor)
		call_named(s, do_close);
	leave(s);
}

static void be_farmer(struct self *s)
{
	if (call_named(s, do_farm_open) < 0)
		return;
	SET(board->farm_fd, fr_arena_fd(s->arena));
	SET(board->farm_pid, (int32_t)getpid());
	ADD(board->joined, 1);
	s->is = KEEPS | FARMS;
	while (!GET(board->stop))
		go_on(s);
	while (s->held_count)
		fr_release(s->p, &s->held[--s->held_count]);
	call_named(s, do_farm_close);
}

void live(const struct part_of *part)
{
	static struct self self;
	struct self *s = &self;

	be_silent();
	s->part = part;
	s->arena = part->arena;
	s->dice = dice_of(part->seed, 1 + part->index);
	if (part->role == FARMER)
		be_farmer(s);
	else if (part->role == FOREMAN)
		be_foreman(s);
	else
		be_member(s);
	fr_event_group_free(s->group);
	if (s->arena && part->role != FARMER)
		fr_arena_detach(s->arena);
	_exit(0);
}
