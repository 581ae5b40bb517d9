/* SPDX-License-Identifier: MIT */
/*
 * The farm: tasks in, results out, whatever becomes of the workers. Each test's
 * main is a process of its own, so that its signals and children are its own
 * affair.
 */
#include "harness.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a test's own main ---- */

/* Built with AddressSanitizer: look for leaks, since _exit() does not. */
void __lsan_do_leak_check(void) __attribute__((weak));

static void no_children(void)
{
	CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

static int alone(void *ctx)
{
	void (*const *body)(void) = ctx;

	(*body)();
	no_children();
	if (__lsan_do_leak_check)
		__lsan_do_leak_check();
	return 0;
}

/* A test whose body runs in a child, with CHECK() for assertions. */
#define ALONE(name)                                                            \
	static void name##_alone(void);                                        \
	static void name(void **state)                                         \
	{                                                                      \
		void (*body)(void) = name##_alone;                             \
                                                                               \
		(void)state;                                                   \
		page = shared(sizeof(*page));                                  \
		wait_ok(spawn(alone, &body));                                  \
	}                                                                      \
	static void name##_alone(void)

#define WORKERS_MAX 8

/* What all processes of a test see. */
static struct page {
	uint32_t set_up[WORKERS_MAX], torn_down[WORKERS_MAX];
	uint32_t runs, here, gate, reported, restarted;
	pid_t pids[WORKERS_MAX];
	int last_status, last_pid;
} *page;

/* What a task asks for; its result is its number, doubled. */
struct order {
	uint32_t number;
	enum what {
		DOUBLE,
		FAIL,      /* with -EIO, and data */
		OVERFLOW,  /* says that it wrote more than there is room */
		WAIT,      /* until the gate is open */
		STAY,      /* until the gate is wide open */
		DIE_ONCE,  /* by SIGKILL, the first time */
		DIE,       /* each time */
		CRASH,     /* each time, by SIGSEGV */
		INTERRUPT, /* sends main SIGINT once the gate is open */
	} what;
};

static int run(void *ctx, const struct fr_task *task, struct fr_reply *reply)
{
	struct order o;

	(void)ctx;
	CHECK(task->len == sizeof(o));
	memcpy(&o, task->arg, sizeof(o));
	CHECK(task->kind == o.number);
	advance(&page->runs);
	switch (o.what) {
	case FAIL:
		break;
	case OVERFLOW:
		reply->len = reply->max + 1;
		return 0;
	case WAIT:
		page->pids[o.number % WORKERS_MAX] = getpid();
		advance(&page->here);
		await(&page->gate, 1);
		break;
	case STAY:
		await(&page->gate, 2);
		break;
	case DIE_ONCE:
		if (task->attempt == 1)
			raise(SIGKILL);
		break;
	case DIE:
		raise(SIGKILL);
		break;
	case CRASH:
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
		break;
	case INTERRUPT:
		await(&page->gate, 1);
		kill(getppid(), SIGINT);
		break;
	case DOUBLE:
		break;
	}
	o.number *= 2;
	memcpy(reply->data, &o.number, sizeof(o.number));
	reply->len = sizeof(o.number);
	return o.what == FAIL ? -EIO : (int)task->attempt;
}

static void on_report(void *ctx, const struct fr_end *end)
{
	(void)ctx;
	CHECK(end->name && *end->name);
	advance(&page->reported);
	if (end->restarting)
		advance(&page->restarted);
	if (end->status != 0) {
		page->last_status = end->status;
		page->last_pid = end->pid;
	}
}

static struct fr_farm *open_farm(unsigned workers)
{
	struct fr_farm_opts opts = {.workers = workers, .run = run,
				    .report = on_report};
	struct fr_farm *farm;

	CHECK_RC(fr_farm_open(&opts, &farm), 0);
	return farm;
}

static int try_submit(struct fr_farm *farm, uint32_t number, enum what what,
		      struct fr_task_id *id)
{
	struct order o = {number, what};
	struct fr_task task = {.arg = &o, .len = sizeof(o), .kind = number};

	return fr_farm_submit(farm, &task, id);
}

static struct fr_task_id submit(struct fr_farm *farm, uint32_t number,
				enum what what)
{
	struct fr_task_id id;

	CHECK_RC(try_submit(farm, number, what, &id), 0);
	return id;
}

/* A result of a task that was done holds its number, doubled. */
static void check_result(const struct fr_result *r)
{
	uint32_t n;

	CHECK(r->len == sizeof(n));
	memcpy(&n, r->data, sizeof(n));
	CHECK(n == 2 * r->kind);
}

/* Every one of so many tasks yields one result, DONE, and then there is none. */
static void all_done(struct fr_farm *farm, uint32_t tasks)
{
	unsigned char *seen = calloc(tasks, 1);
	struct fr_result r;
	uint32_t i;

	CHECK(seen);
	for (i = 0; i < tasks; i++) {
		CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
		CHECK(r.status == FR_TASK_DONE);
		CHECK(r.kind < tasks && !seen[r.kind]++);
		check_result(&r);
	}
	CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), -ENODATA);
	free(seen);
}

/* A dead worker's task may be done before main has noticed its end: others may find
 * it dead first. Main notices while it is at work. */
static void until_restarted(struct fr_farm *farm, uint32_t count)
{
	struct fr_result r;

	while (page->restarted < count) {
		submit(farm, 0, DOUBLE);
		CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
	}
	CHECK(page->restarted == count);
}

/* ---- the common case ---- */

static int reverse(void *ctx, const struct fr_task *task,
		   struct fr_reply *reply)
{
	const char *arg = task->arg;
	char *data = reply->data;
	size_t i;

	(void)ctx;
	for (i = 0; i < task->len; i++)
		data[i] = arg[task->len - 1 - i];
	reply->len = task->len;
	return 0;
}

/* As at the head of farm.h. */
ALONE(the_program_of_the_header_works)
{
	static const char *const words[] = {"wolf", "", "a", "reward", "level"};
	struct fr_farm_opts opts = { .run = reverse };
	struct fr_task_id ids[5];
	struct fr_farm *farm;
	struct fr_result r;
	unsigned found = 0, i;
	int rc = fr_farm_open(&opts, &farm);

	CHECK_RC(rc, 0);
	for (i = 0; i < 5; i++)
		CHECK_RC(fr_farm_submit(farm, &(struct fr_task){
			.arg = words[i], .len = strlen(words[i]) }, &ids[i]),
			 0);
	while ((rc = fr_farm_next(farm, FR_FOREVER, &r)) == 0) {
		for (i = 0; ids[i].id != r.id.id; i++)
			CHECK(i < 4);
		CHECK(r.status == FR_TASK_DONE);
		CHECK(r.len == strlen(words[i]));
		while (r.len-- > 0)
			CHECK(((const char *)r.data)[r.len] ==
			      words[i][strlen(words[i]) - 1 - r.len]);
		found |= 1u << i;
	}
	CHECK_RC(rc, -ENODATA);
	CHECK(found == 31);
	CHECK_RC(fr_farm_close(farm), 0);
}

static void farm_of(unsigned workers, int wait)
{
	struct fr_farm_opts opts = {.workers = workers, .run = run,
				    .wait = wait};
	struct fr_farm *farm;
	uint32_t i;

	CHECK_RC(fr_farm_open(&opts, &farm), 0);
	for (i = 0; i < 500; i++)
		submit(farm, i, DOUBLE);
	all_done(farm, 500);
	CHECK(reached(&page->runs) == 500);
	CHECK_RC(fr_farm_close(farm), 0);
}

ALONE(one_worker_does_all_tasks)
{
	farm_of(1, FR_WAIT_ADAPTIVE);
}

ALONE(two_workers_do_all_tasks)
{
	farm_of(2, FR_WAIT_ADAPTIVE);
}

ALONE(five_workers_do_all_tasks)
{
	farm_of(5, FR_WAIT_ADAPTIVE);
}

ALONE(workers_that_sleep_do_all_tasks)
{
	farm_of(2, FR_WAIT_SLEEP);
}

ALONE(workers_that_poll_do_all_tasks)
{
	farm_of(2, FR_WAIT_POLL);
}

ALONE(without_a_number_there_is_a_worker_for_each_cpu)
{
	struct fr_farm_stats stats;
	struct fr_farm *farm = open_farm(0);

	fr_farm_stats(farm, &stats);
	CHECK(stats.workers == fr_cpus());
	submit(farm, 0, DOUBLE);
	all_done(farm, 1);
	CHECK_RC(fr_farm_close(farm), 0);
}

ALONE(workers_work_at_the_same_time)
{
	struct fr_farm *farm = open_farm(5);
	uint32_t i;

	for (i = 0; i < 5; i++)
		submit(farm, i, WAIT);
	await(&page->here, 5); /* none is done before all have begun */
	advance(&page->gate);
	all_done(farm, 5);
	CHECK_RC(fr_farm_close(farm), 0);
}

ALONE(ten_thousand_tasks_are_submitted_before_the_first_result)
{
	struct fr_farm *farm = open_farm(2);
	struct fr_farm_stats stats;
	uint32_t i;

	for (i = 0; i < 10000; i++)
		submit(farm, i, DOUBLE);
	fr_farm_stats(farm, &stats);
	CHECK(stats.submitted == 10000);
	CHECK(stats.finished >= 10000 - 256); /* kept aside */
	all_done(farm, 10000);
	CHECK(reached(&page->runs) == 10000);
	CHECK_RC(fr_farm_close(farm), 0);
}

ALONE(a_farm_of_one_cell_does_all_tasks)
{
	struct fr_farm_opts opts = {.workers = 2, .run = run, .cells = 1};
	struct fr_farm *farm;
	uint32_t i;

	CHECK_RC(fr_farm_open(&opts, &farm), 0);
	for (i = 0; i < 100; i++)
		submit(farm, i, DOUBLE);
	all_done(farm, 100);
	CHECK_RC(fr_farm_close(farm), 0);
}

ALONE(a_farm_is_used_again_after_its_results_are_in)
{
	struct fr_farm *farm = open_farm(2);
	struct fr_result r;
	uint32_t round, i;

	CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), -ENODATA);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < 10; i++)
			submit(farm, i, DOUBLE);
		all_done(farm, 10);
	}
	CHECK_RC(fr_farm_close(farm), 0);
}

ALONE(many_farms_one_after_the_other_leave_nothing)
{
	unsigned i;

	for (i = 0; i < 20; i++) {
		struct fr_farm *farm = open_farm(2);

		submit(farm, 0, DOUBLE);
		all_done(farm, 1);
		CHECK_RC(fr_farm_close(farm), 0);
		no_children();
	}
}

static int reverse_much(void *ctx, const struct fr_task *task,
			struct fr_reply *reply)
{
	CHECK(reply->max >= task->len);
	return reverse(ctx, task, reply);
}

ALONE(arguments_and_results_are_as_large_as_asked_for)
{
	struct fr_farm_opts opts = {.workers = 1, .run = reverse_much,
				    .arg_max = 100000, .result_max = 100000,
				    .cells = 4};
	struct fr_task task = {.len = 100000};
	struct fr_task_id id;
	struct fr_farm *farm;
	struct fr_result r;
	char *arg = malloc(200000);
	size_t i;

	CHECK(arg);
	for (i = 0; i < 100000; i++)
		arg[i] = (char)(i * 7 + (i >> 9));
	CHECK_RC(fr_farm_open(&opts, &farm), 0);
	task.arg = arg;
	CHECK_RC(fr_farm_submit(farm, &task, &id), 0);
	task.len = 200000;
	CHECK_RC(fr_farm_submit(farm, &task, &id), -EMSGSIZE);
	CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
	CHECK(r.len == 100000);
	for (i = 0; i < 100000; i++)
		CHECK(((const char *)r.data)[i] == arg[99999 - i]);
	CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), -ENODATA);
	CHECK_RC(fr_farm_close(farm), 0);
	free(arg);
}

/* ---- setup and teardown ---- */

struct bench {
	const char *secret; /* in memory that was the parent's */
};

static int set_up(void *ctx, unsigned index, void **state)
{
	struct bench *b = ctx;

	CHECK(strcmp(b->secret, "inherited") == 0);
	CHECK(*state == NULL || *state == ctx);
	CHECK(index < WORKERS_MAX);
	CHECK(reached(&page->torn_down[index]) == 0);
	advance(&page->set_up[index]);
	*state = &page->set_up[index];
	return 3; /* positive is no failure */
}

static void tear_down(void *state)
{
	uint32_t *mine = state;

	advance(&page->torn_down[mine - page->set_up]);
}

static int run_with_state(void *state, const struct fr_task *task,
			  struct fr_reply *reply)
{
	uint32_t *mine = state;

	CHECK(mine >= page->set_up && mine < page->set_up + WORKERS_MAX);
	CHECK(*mine == 1);
	return run(state, task, reply);
}

ALONE(each_worker_is_set_up_and_torn_down_once)
{
	struct bench bench = {"inherited"};
	struct fr_farm_opts opts = {
		.workers = 3, .run = run_with_state, .setup = set_up,
		.teardown = tear_down, .ctx = &bench,
	};
	struct fr_farm *farm;
	uint32_t i;

	CHECK_RC(fr_farm_open(&opts, &farm), 0);
	for (i = 0; i < 100; i++)
		submit(farm, i, DOUBLE);
	all_done(farm, 100);
	CHECK_RC(fr_farm_close(farm), 0);
	for (i = 0; i < WORKERS_MAX; i++) {
		CHECK(page->set_up[i] == (i < 3));
		CHECK(page->torn_down[i] == (i < 3));
	}
}

static int run_with_ctx(void *ctx, const struct fr_task *task,
			struct fr_reply *reply)
{
	CHECK(strcmp(((struct bench *)ctx)->secret, "inherited") == 0);
	return run(NULL, task, reply);
}

static int set_nothing_up(void *ctx, unsigned index, void **state)
{
	(void)state;
	CHECK(strcmp(((struct bench *)ctx)->secret, "inherited") == 0);
	advance(&page->set_up[index]);
	return 0;
}

static void tear_down_ctx(void *ctx)
{
	CHECK(strcmp(((struct bench *)ctx)->secret, "inherited") == 0);
	advance(&page->torn_down[0]);
}

ALONE(without_a_state_ctx_is_handed_on)
{
	struct bench bench = {"inherited"};
	struct fr_farm_opts opts = {
		.workers = 2, .run = run_with_ctx, .setup = set_nothing_up,
		.teardown = tear_down_ctx, .ctx = &bench,
	};
	struct fr_farm *farm;

	CHECK_RC(fr_farm_open(&opts, &farm), 0);
	submit(farm, 0, DOUBLE);
	all_done(farm, 1);
	CHECK_RC(fr_farm_close(farm), 0);
	CHECK(page->torn_down[0] == 2);
}

static int set_up_wrong(void *ctx, unsigned index, void **state)
{
	(void)state;
	advance(&page->set_up[index]);
	return index == *(unsigned *)ctx || *(unsigned *)ctx == 99 ? -EIO : 0;
}

static void never_torn_down(void *state)
{
	(void)state;
	advance(&page->torn_down[0]);
}

ALONE(when_no_worker_can_be_set_up_there_is_an_error_and_no_hang)
{
	unsigned all = 99;
	struct fr_farm_opts opts = {
		.workers = 2, .run = run, .setup = set_up_wrong,
		.teardown = never_torn_down, .ctx = &all, .report = on_report,
	};
	struct fr_farm *farm;
	struct fr_result r;

	CHECK_RC(fr_farm_open(&opts, &farm), 0);
	submit(farm, 0, DOUBLE);
	CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), -ECHILD);
	CHECK(WEXITSTATUS(page->last_status) == 1);
	CHECK_RC(fr_farm_close(farm), 0);
	CHECK(page->torn_down[0] == 0);
}

ALONE(a_submit_that_waits_for_workers_that_never_come_ends)
{
	unsigned all = 99;
	struct fr_farm_opts opts = {
		.workers = 2, .run = run, .setup = set_up_wrong, .ctx = &all,
		.cells = 2, .report = on_report,
	};
	struct fr_task_id id;
	struct fr_farm *farm;

	CHECK_RC(fr_farm_open(&opts, &farm), 0);
	submit(farm, 0, DOUBLE);
	submit(farm, 1, DOUBLE);
	CHECK_RC(try_submit(farm, 2, DOUBLE, &id), -ECHILD);
	CHECK_RC(fr_farm_close(farm), 0);
}

/* ---- results ---- */

ALONE(a_task_that_fails_is_a_result)
{
	struct fr_farm *farm = open_farm(2);
	struct fr_result r;
	uint32_t i;

	for (i = 0; i < 20; i++)
		submit(farm, i, i % 2 ? FAIL : DOUBLE);
	for (i = 0; i < 20; i++) {
		CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
		CHECK(r.status == (r.kind % 2 ? FR_TASK_FAILED : FR_TASK_DONE));
		CHECK(r.value == (r.kind % 2 ? -EIO : 1));
		check_result(&r); /* a failure has data, too */
	}
	CHECK(page->reported == 0); /* no worker died of it */
	CHECK_RC(fr_farm_close(farm), 0);
}

ALONE(a_result_that_is_too_long_is_a_failure)
{
	struct fr_farm *farm = open_farm(1);
	struct fr_result r;

	submit(farm, 0, OVERFLOW);
	submit(farm, 1, DOUBLE);
	CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
	CHECK(r.status == FR_TASK_FAILED && r.value == -EMSGSIZE);
	CHECK(r.len == 0);
	CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
	CHECK(r.status == FR_TASK_DONE);
	CHECK_RC(fr_farm_close(farm), 0);
}

ALONE(a_results_data_stays_until_the_next_call)
{
	struct fr_farm_opts opts = {.workers = 2, .run = run, .cells = 4};
	struct fr_result r, last = {0};
	struct fr_farm *farm;
	uint32_t i, k;

	CHECK_RC(fr_farm_open(&opts, &farm), 0);
	for (i = 0; i < 100; i++)
		submit(farm, i, DOUBLE);
	/* Kept aside at first, in the arena at the end. */
	for (i = 0; i < 100; i++) {
		CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
		for (k = 0; k < 10; k++) {
			struct fr_farm_stats stats;

			fr_farm_stats(farm, &stats); /* not a call in that sense */
			check_result(&r);
		}
		CHECK(r.id.id != last.id.id);
		last = r;
	}
	check_result(&r);
	CHECK_RC(fr_farm_close(farm), 0);
}

ALONE(waiting_for_a_result_ends_with_its_time)
{
	struct fr_farm *farm = open_farm(1);
	struct fr_result r;
	int64_t start;

	submit(farm, 0, WAIT);
	await(&page->here, 1);
	CHECK_RC(fr_farm_next(farm, 0, &r), -EAGAIN);
	start = now_ns();
	CHECK_RC(fr_farm_next(farm, 30 * MS, &r), -ETIMEDOUT);
	CHECK(now_ns() - start >= 30 * MS);
	advance(&page->gate);
	AWAIT(fr_farm_next(farm, 0, &r) == 0);
	check_result(&r);
	CHECK_RC(fr_farm_next(farm, 0, &r), -ENODATA);
	CHECK_RC(fr_farm_close(farm), 0);
}

ALONE(a_queued_task_is_cancelled)
{
	struct fr_farm *farm = open_farm(1);
	struct fr_task_id first, second, third;
	struct fr_result r;

	first = submit(farm, 0, WAIT);
	await(&page->here, 1);
	second = submit(farm, 1, DOUBLE);
	third = submit(farm, 2, DOUBLE);
	CHECK_RC(fr_farm_cancel(farm, second), 0);
	CHECK_RC(fr_farm_cancel(farm, first), -EBUSY);
	CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
	CHECK(r.id.id == second.id && r.status == FR_TASK_CANCELLED);
	advance(&page->gate);
	CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
	CHECK(r.id.id == first.id && r.status == FR_TASK_DONE);
	CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
	CHECK(r.id.id == third.id && r.status == FR_TASK_DONE);
	CHECK_RC(fr_farm_cancel(farm, second), -ESRCH);
	CHECK(reached(&page->runs) == 2);
	CHECK_RC(fr_farm_close(farm), 0);
}

ALONE(stats_count_tasks_and_workers)
{
	struct fr_farm *farm = open_farm(3);
	struct fr_farm_stats stats;
	struct fr_result r;
	uint32_t i;

	fr_farm_stats(farm, &stats);
	CHECK(stats.workers == 3 && stats.submitted == 0);
	CHECK(stats.finished == 0 && stats.restarts == 0);
	for (i = 0; i < 10; i++)
		submit(farm, i, i == 5 ? DIE_ONCE : DOUBLE);
	for (i = 0; i < 4; i++)
		CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
	fr_farm_stats(farm, &stats);
	CHECK(stats.submitted == 10 && stats.finished == 4);
	for (; i < 10; i++)
		CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
	fr_farm_stats(farm, &stats);
	CHECK(stats.finished == 10);
	until_restarted(farm, 1);
	fr_farm_stats(farm, &stats);
	CHECK(stats.restarts == 1 && stats.workers == 3);
	CHECK_RC(fr_farm_close(farm), 0);
}

/* ---- workers that die ---- */

ALONE(a_worker_that_is_killed_is_reported_and_replaced)
{
	struct fr_farm *farm = open_farm(1);
	struct fr_result r;
	uint32_t i;

	submit(farm, 0, DIE_ONCE);
	for (i = 1; i < 20; i++)
		submit(farm, i, DOUBLE);
	for (i = 0; i < 20; i++) {
		CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
		CHECK(r.status == FR_TASK_DONE);
		CHECK(r.attempt == (r.kind == 0 ? 2 : 1));
		check_result(&r);
	}
	CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), -ENODATA);
	until_restarted(farm, 1);
	CHECK(page->reported == 1);
	CHECK(WIFSIGNALED(page->last_status));
	CHECK(WTERMSIG(page->last_status) == SIGKILL);
	CHECK_RC(fr_farm_close(farm), 0);
}

ALONE(a_worker_killed_from_outside_loses_no_task)
{
	struct fr_farm *farm = open_farm(3);
	unsigned char seen[200] = {0};
	struct fr_result r;
	pid_t victim;
	uint32_t i;

	for (i = 0; i < 3; i++)
		submit(farm, i, WAIT);
	for (; i < 200; i++)
		submit(farm, i, DOUBLE);
	await(&page->here, 3);
	victim = page->pids[1];
	kill(victim, SIGKILL);
	for (i = 0; i < 200; i++) {
		CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
		/* The first is the work of its replacement. */
		if (i == 0)
			advance(&page->gate);
		CHECK(r.status == FR_TASK_DONE);
		CHECK(r.attempt == (r.kind == 1 ? 2 : 1));
		CHECK(r.kind < 200 && !seen[r.kind]++);
		check_result(&r);
	}
	CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), -ENODATA);
	until_restarted(farm, 1);
	CHECK(page->last_pid == victim);
	CHECK_RC(fr_farm_close(farm), 0);
}

ALONE(a_task_that_kills_each_worker_is_buried)
{
	struct fr_farm *farm = open_farm(2);
	struct fr_result r;
	uint32_t i, buried = 0;

	for (i = 0; i < 50; i++)
		submit(farm, i, i == 7 ? DIE : DOUBLE);
	for (i = 0; i < 50; i++) {
		CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
		if (r.kind == 7) {
			CHECK(r.status == FR_TASK_BURIED);
			CHECK(r.len == 0 && r.attempt == 3);
			buried++;
		} else {
			CHECK(r.status == FR_TASK_DONE);
			check_result(&r);
		}
	}
	CHECK(buried == 1);
	CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), -ENODATA);
	until_restarted(farm, 3);
	CHECK(page->reported == 3);
	CHECK_RC(fr_farm_close(farm), 0);
}

ALONE(a_task_that_crashes_each_worker_is_buried)
{
	struct fr_farm *farm = open_farm(1);
	struct fr_result r;

	submit(farm, 0, CRASH);
	CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
	CHECK(r.status == FR_TASK_BURIED);
	CHECK(WTERMSIG(page->last_status) == SIGSEGV);
	submit(farm, 0, DOUBLE);
	all_done(farm, 1);
	CHECK_RC(fr_farm_close(farm), 0);
}

/* Workers that get work done between their deaths are not failing at their
 * start, however often they die. */
ALONE(a_farm_outlives_many_deaths)
{
	struct fr_farm *farm = open_farm(2);
	uint32_t i;

	for (i = 0; i < 400; i++)
		submit(farm, i, i % 20 == 0 ? DIE_ONCE : DOUBLE);
	all_done(farm, 400);
	until_restarted(farm, 20);
	CHECK_RC(fr_farm_close(farm), 0);
}

ALONE(several_tasks_that_kill_are_all_buried)
{
	struct fr_farm *farm = open_farm(1);
	struct fr_result r;
	uint32_t i;

	for (i = 0; i < 6; i++)
		submit(farm, i, i % 2 ? DIE : DOUBLE);
	for (i = 0; i < 6; i++) {
		CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
		CHECK(r.status == (r.kind % 2 ? FR_TASK_BURIED : FR_TASK_DONE));
	}
	CHECK_RC(fr_farm_close(farm), 0);
}

ALONE(a_worker_that_dies_before_its_task_is_submitted_is_replaced)
{
	struct fr_farm *farm = open_farm(1);
	struct fr_result r;

	submit(farm, 0, WAIT);
	await(&page->here, 1);
	advance(&page->gate);
	CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
	kill(page->pids[0], SIGKILL);
	submit(farm, 0, DOUBLE);
	all_done(farm, 1);
	until_restarted(farm, 1);
	CHECK(page->last_pid == page->pids[0]);
	CHECK_RC(fr_farm_close(farm), 0);
}

/* ---- ends ---- */

ALONE(sigint_ends_next_and_close_says_so)
{
	struct fr_farm *farm = open_farm(2);
	struct fr_result r;
	uint32_t i;
	int rc;

	for (i = 0; i < 100; i++)
		submit(farm, i, i == 50 ? INTERRUPT : DOUBLE);
	submit(farm, i, STAY); /* so that there is never an end */
	advance(&page->gate);
	do
		rc = fr_farm_next(farm, FR_FOREVER, &r);
	while (rc == 0);
	CHECK_RC(rc, -EINTR);
	CHECK_RC(fr_farm_next(farm, 0, &r), -EINTR);
	advance(&page->gate);
	CHECK_RC(fr_farm_close(farm), -EINTR);
	no_children();
}

ALONE(sigint_ends_submit)
{
	struct fr_farm_opts opts = {.workers = 1, .run = run, .cells = 2};
	struct fr_task_id id;
	struct fr_farm *farm;
	uint32_t i;
	int rc = 0;

	CHECK_RC(fr_farm_open(&opts, &farm), 0);
	advance(&page->gate);
	for (i = 0; rc == 0; i++)
		rc = try_submit(farm, i, i == 50 ? INTERRUPT : DOUBLE, &id);
	CHECK_RC(rc, -EINTR);
	CHECK(i > 50);
	CHECK_RC(fr_farm_close(farm), -EINTR);
	no_children();
}

ALONE(sigint_wakes_a_submit_that_waits_for_a_cell)
{
	struct fr_farm_opts opts = {.workers = 2, .run = run, .cells = 2};
	struct fr_task_id id;
	struct fr_farm *farm;

	CHECK_RC(fr_farm_open(&opts, &farm), 0);
	submit(farm, 0, WAIT);
	await(&page->here, 1);
	raise(SIGTERM);
	CHECK_RC(try_submit(farm, 1, DOUBLE, &id), -EINTR);
	advance(&page->gate);
	CHECK_RC(fr_farm_close(farm), -EINTR);
}

ALONE(close_drops_what_is_outstanding)
{
	struct fr_farm_opts opts = {.workers = 2, .run = run, .cells = 8};
	struct fr_farm *farm;
	struct fr_result r;
	uint32_t i;

	CHECK_RC(fr_farm_open(&opts, &farm), 0);
	for (i = 0; i < 100; i++)
		submit(farm, i, DOUBLE); /* most are kept aside */
	CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
	CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
	CHECK_RC(fr_farm_close(farm), 0);
	no_children();
}

ALONE(close_ends_a_worker_that_is_stuck)
{
	struct fr_farm_opts opts = {
		.workers = 1, .run = run, .report = on_report,
		.exit_grace_ns = 20 * MS, .term_grace_ns = 20 * MS,
	};
	struct fr_farm *farm;

	CHECK_RC(fr_farm_open(&opts, &farm), 0);
	submit(farm, 0, WAIT); /* and nobody opens the gate */
	await(&page->here, 1);
	CHECK_RC(fr_farm_close(farm), 0);
	CHECK(WIFSIGNALED(page->last_status));
	CHECK(WTERMSIG(page->last_status) == SIGTERM);
	no_children();
}

ALONE(closing_no_farm_does_nothing)
{
	CHECK_RC(fr_farm_close(NULL), 0);
}

ALONE(there_is_one_farm_at_a_time)
{
	struct fr_farm_opts opts = {.workers = 1, .run = run};
	struct fr_farm *first = open_farm(1), *second;

	CHECK_RC(fr_farm_open(&opts, &second), -EBUSY);
	submit(first, 0, DOUBLE);
	all_done(first, 1);
	CHECK_RC(fr_farm_close(first), 0);
	CHECK_RC(fr_farm_open(&opts, &second), 0);
	CHECK_RC(fr_farm_close(second), 0);
}

ALONE(wrong_options_are_refused)
{
	static const struct fr_farm_opts wrong[] = {
		{.workers = 1},
		{.run = run, .workers = 1025},
		{.run = run, .workers = 1, .cells = 4097},
		{.run = run, .workers = 1, .arg_max = (1 << 20) + 1},
		{.run = run, .workers = 1, .result_max = SIZE_MAX},
		{.run = run, .workers = 1, .wait = 3},
		{.run = run, .workers = 1, .wait = -1},
		{.run = run, .workers = 1, .exit_grace_ns = -1},
		{.run = run, .workers = 1, .term_grace_ns = -1},
	};
	struct fr_farm *farm;
	unsigned i;

	CHECK_RC(fr_farm_open(NULL, &farm), -EINVAL);
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		CHECK_RC(fr_farm_open(&wrong[i], &farm), -EINVAL);
	farm = open_farm(1); /* nothing of them is left in the way */
	CHECK_RC(fr_farm_close(farm), 0);
}

ALONE(without_signals_handlers_stay_and_tasks_are_done)
{
	struct fr_farm_opts opts = {.workers = 2, .run = run,
				    .no_signals = true, .report = on_report};
	struct sigaction now;
	struct fr_farm *farm;
	uint32_t i;

	CHECK_RC(fr_farm_open(&opts, &farm), 0);
	sigaction(SIGINT, NULL, &now);
	CHECK(!(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL);
	for (i = 0; i < 50; i++) /* one worker is missed after a while */
		submit(farm, i, i == 25 ? DIE_ONCE : DOUBLE);
	all_done(farm, 50);
	/* Main finds it dead while it waits; the other may have done all by the
	 * time its end is noticed. */
	CHECK(page->restarted <= 1);
	CHECK_RC(fr_farm_close(farm), 0);
}

/* ---- farms and fork ---- */

static void a_farm_in_a_child(void (*first)(void))
{
	struct fr_farm *farm;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (first)
			first();
		farm = open_farm(2);
		submit(farm, 0, DOUBLE);
		all_done(farm, 1);
		CHECK_RC(fr_farm_close(farm), 0);
		no_children();
		_exit(0);
	}
	while (waitpid(pid, &status, 0) == -1)
		CHECK(errno == EINTR);
	CHECK_RC(status, 0);
}

ALONE(a_child_has_a_farm_after_its_parent_had_one)
{
	struct fr_farm *farm = open_farm(2);

	submit(farm, 0, DOUBLE);
	all_done(farm, 1);
	CHECK_RC(fr_farm_close(farm), 0);
	a_farm_in_a_child(NULL);
}

static struct fr_farm *of_the_parent;

static void use_and_close_the_parents(void)
{
	struct fr_task_id id;
	struct fr_result r;

	CHECK_RC(try_submit(of_the_parent, 0, DOUBLE, &id), -ECHILD);
	CHECK_RC(fr_farm_next(of_the_parent, FR_FOREVER, &r), -ECHILD);
	CHECK_RC(fr_farm_cancel(of_the_parent, (struct fr_task_id){1}),
		 -ECHILD);
	CHECK_RC(fr_farm_close(of_the_parent), 0); /* the child's copy */
}

static void beside_the_parents(void (*first)(void))
{
	of_the_parent = open_farm(2);
	submit(of_the_parent, 0, DOUBLE);
	a_farm_in_a_child(first);
	all_done(of_the_parent, 1);
	CHECK_RC(fr_farm_close(of_the_parent), 0);
}

ALONE(a_child_has_a_farm_beside_its_parents)
{
	beside_the_parents(NULL);
}

ALONE(a_child_has_a_farm_after_closing_its_copy_of_its_parents)
{
	beside_the_parents(use_and_close_the_parents);
}

static int run_a_farm(void *ctx, const struct fr_task *task,
		      struct fr_reply *reply)
{
	struct fr_farm *farm = open_farm(1);

	(void)ctx;
	(void)task;
	(void)reply;
	submit(farm, 0, DOUBLE);
	all_done(farm, 1);
	CHECK_RC(fr_farm_close(farm), 0);
	return 0;
}

ALONE(a_worker_has_a_farm_of_its_own)
{
	struct fr_farm_opts opts = {.workers = 2, .run = run_a_farm};
	struct fr_task_id id;
	struct fr_farm *farm;
	struct fr_result r;
	unsigned i;

	CHECK_RC(fr_farm_open(&opts, &farm), 0);
	for (i = 0; i < 4; i++)
		CHECK_RC(fr_farm_submit(farm, &(struct fr_task){0}, &id), 0);
	for (i = 0; i < 4; i++) {
		CHECK_RC(fr_farm_next(farm, FR_FOREVER, &r), 0);
		CHECK(r.status == FR_TASK_DONE);
	}
	CHECK_RC(fr_farm_close(farm), 0);
}

ALONE(main_is_a_process_like_any_other)
{
	struct fr_farm *farm = open_farm(2);
	struct fr_process *main = fr_farm_process(farm);
	struct fr_addr found;

	CHECK_RC(fr_alive(main, fr_self(main)), 1);
	CHECK_RC(fr_lookup(main, "main", &found, 1), 1);
	CHECK(found.id == fr_self(main).id);
	CHECK_RC(fr_farm_close(farm), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_program_of_the_header_works),
		TEST(one_worker_does_all_tasks),
		TEST(two_workers_do_all_tasks),
		TEST(five_workers_do_all_tasks),
		TEST(workers_that_sleep_do_all_tasks),
		TEST(workers_that_poll_do_all_tasks),
		TEST(without_a_number_there_is_a_worker_for_each_cpu),
		TEST(workers_work_at_the_same_time),
		TEST(ten_thousand_tasks_are_submitted_before_the_first_result),
		TEST(a_farm_of_one_cell_does_all_tasks),
		TEST(a_farm_is_used_again_after_its_results_are_in),
		TEST(many_farms_one_after_the_other_leave_nothing),
		TEST(arguments_and_results_are_as_large_as_asked_for),
		TEST(each_worker_is_set_up_and_torn_down_once),
		TEST(without_a_state_ctx_is_handed_on),
		TEST(when_no_worker_can_be_set_up_there_is_an_error_and_no_hang),
		TEST(a_submit_that_waits_for_workers_that_never_come_ends),
		TEST(a_task_that_fails_is_a_result),
		TEST(a_result_that_is_too_long_is_a_failure),
		TEST(a_results_data_stays_until_the_next_call),
		TEST(waiting_for_a_result_ends_with_its_time),
		TEST(a_queued_task_is_cancelled),
		TEST(stats_count_tasks_and_workers),
		TEST(a_worker_that_is_killed_is_reported_and_replaced),
		TEST(a_worker_killed_from_outside_loses_no_task),
		TEST(a_task_that_kills_each_worker_is_buried),
		TEST(a_task_that_crashes_each_worker_is_buried),
		TEST(a_farm_outlives_many_deaths),
		TEST(several_tasks_that_kill_are_all_buried),
		TEST(a_worker_that_dies_before_its_task_is_submitted_is_replaced),
		TEST(sigint_ends_next_and_close_says_so),
		TEST(sigint_ends_submit),
		TEST(sigint_wakes_a_submit_that_waits_for_a_cell),
		TEST(close_drops_what_is_outstanding),
		TEST(close_ends_a_worker_that_is_stuck),
		TEST(closing_no_farm_does_nothing),
		TEST(there_is_one_farm_at_a_time),
		TEST(wrong_options_are_refused),
		TEST(without_signals_handlers_stay_and_tasks_are_done),
		TEST(a_child_has_a_farm_after_its_parent_had_one),
		TEST(a_child_has_a_farm_beside_its_parents),
		TEST(a_child_has_a_farm_after_closing_its_copy_of_its_parents),
		TEST(a_worker_has_a_farm_of_its_own),
		TEST(main_is_a_process_like_any_other),
	};

	return cmocka_run_group_tests_name("farm", tests, NULL, NULL);
}
