/* SPDX-License-Identifier: MIT */
/*
 * The supervisor: children of one main process, how they start, fail, end and
 * are ended. Each test's main is a process of its own, so that its signals and
 * children are its own affair.
 */
#include "harness.h"

#include "arena.h"
#include "process.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEVER_NS (1000000 * MS) /* a grace that no test waits for */
#define BRIEF_NS (20 * MS)

/* ---- a test's own main ---- */

/* Built with AddressSanitizer: look for leaks, since _exit() does not. */
void __lsan_do_leak_check(void) __attribute__((weak));

static int alone(void *ctx)
{
	void (*const *body)(void) = ctx;

	(*body)();
	CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
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

/* What all processes of a test see. */
static struct page {
	uint32_t steps, started, ready, got, torn_down, calls;
	pid_t pids[8];
	uint32_t log[16];
	struct fr_addr addrs[8];
	struct report {
		char name[FR_NAME_MAX + 1];
		int pid, status;
		bool restarting, had_task;
		char words[64];
	} reports[16];
	uint32_t reported;
} *page;

static struct fr_arena *arena;
static struct fr_process *self;
static struct fr_supervisor *supervisor;

static void on_report(void *ctx, const struct fr_end *end)
{
	struct report *r = &page->reports[page->reported % 16];

	CHECK(ctx == page);
	strncpy(r->name, end->name, FR_NAME_MAX);
	r->pid = end->pid;
	r->status = end->status;
	r->restarting = end->restarting;
	r->had_task = end->had_task;
	strcpy(r->words, end->last_words);
	advance(&page->reported);
}

/* The report of the child of that name; its only one. */
static const struct report *report_of(const char *name)
{
	const struct report *found = NULL;
	uint32_t i;

	for (i = 0; i < page->reported; i++) {
		if (strcmp(page->reports[i].name, name) != 0)
			continue;
		CHECK(!found);
		found = &page->reports[i];
	}
	CHECK(found);
	return found;
}

static void open_with(struct fr_supervisor_opts opts)
{
	struct fr_join_opts main = {.name = "main", .wait = FR_WAIT_SLEEP};

	opts.report = on_report;
	opts.ctx = page;
	CHECK_RC(fr_arena_create(NULL, &small_arena, &arena), 0);
	CHECK_RC(fr_join(arena, &main, &self), 0);
	CHECK_RC(fr_supervisor_open(self, &opts, &supervisor), 0);
}

static void open_all(void)
{
	open_with((struct fr_supervisor_opts){0});
}

static void close_all(void)
{
	fr_supervisor_close(supervisor);
	fr_leave(self);
	fr_arena_detach(arena);
}

static struct fr_addr add(const char *name,
			  int (*run)(void *ctx, struct fr_process *p), void *ctx,
			  enum fr_restart restart)
{
	struct fr_child_opts opts = {.name = name, .run = run, .ctx = ctx,
				     .restart = restart,
				     .wait = FR_WAIT_SLEEP};
	struct fr_addr addr;

	CHECK_RC(fr_supervisor_add(supervisor, &opts, &addr), 0);
	return addr;
}

static bool sleeps_for(struct fr_addr who, uint32_t mark)
{
	return fr__load_sc(&arena->slots[fr__addr_slot(who)].waiting) & mark;
}

/* ---- what children do ---- */

static int end_with(void *ctx, struct fr_process *p)
{
	(void)p;
	return *(int *)ctx;
}

static int live(void *ctx, struct fr_process *p)
{
	(void)ctx;
	advance(&page->ready);
	return fr_run(p, NULL);
}

static void count_end(void *ctx, struct fr_process *p)
{
	(void)ctx;
	(void)p;
	advance(&page->torn_down);
}

/* A child that lives until it is told to exit, and notes that it was. */
static void add_obedient(const char *name)
{
	struct fr_child_opts opts = {.name = name, .run = live,
				     .teardown = count_end,
				     .wait = FR_WAIT_SLEEP};
	struct fr_addr addr;

	CHECK_RC(fr_supervisor_add(supervisor, &opts, &addr), 0);
}

/* Deaf to messages, and with ctx to SIGTERM too. */
static int be_deaf(void *ctx, struct fr_process *p)
{
	(void)p;
	if (ctx)
		signal(SIGTERM, SIG_IGN);
	advance(&page->ready);
	while (pause() == -1)
		;
	return 0;
}

/* ---- the way of a child ---- */

static int ping(void *ctx, struct fr_process *p)
{
	struct fr_message m;
	struct fr_addr pong;
	uint32_t i, n;

	(void)ctx;
	CHECK_RC(fr_wait_name(p, "pong", FR_FOREVER, &pong), 0);
	for (i = 0; i < 100; i++) {
		CHECK_RC(fr_send(p, pong, (struct fr_type){0}, &i, 4,
				 FR_FOREVER), 0);
		CHECK_RC(fr_receive(p, FR_FOREVER, &m), 0);
		memcpy(&n, m.body, 4);
		CHECK(n == i + 1 && m.from.id == pong.id);
		fr_release(p, &m);
		advance(&page->got);
	}
	CHECK_RC(fr_send_exit(p, pong, FR_FOREVER), 0);
	return 0;
}

static int answer(void *ctx, struct fr_process *p, struct fr_message *m)
{
	uint32_t n;

	(void)ctx;
	memcpy(&n, m->body, 4);
	n++;
	return fr_send(p, m->from, (struct fr_type){0}, &n, 4, FR_FOREVER);
}

static int pong(void *ctx, struct fr_process *p)
{
	CHECK_RC(fr_handle(p, (struct fr_type){0}, answer, ctx), 0);
	return fr_run(p, NULL);
}

ALONE(different_children_talk_by_name)
{
	open_all();
	add("ping", ping, NULL, FR_RESTART_NEVER);
	add("pong", pong, NULL, FR_RESTART_NEVER);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), 0);
	CHECK(reached(&page->got) == 100);
	CHECK(report_of("ping")->status == 0 && report_of("pong")->status == 0);
	close_all();
}

static int receive_three(void *ctx, struct fr_process *p)
{
	struct fr_message m;
	uint32_t i, n;

	CHECK(fr_self(p).id == ((struct fr_addr *)ctx)->id);
	for (i = 0; i < 3; i++) {
		CHECK_RC(fr_receive(p, FR_FOREVER, &m), 0);
		memcpy(&n, m.body, 4);
		CHECK(n == i);
		fr_release(p, &m);
		advance(&page->got);
	}
	return 0;
}

ALONE(an_address_is_good_and_mail_waits_before_the_child_starts)
{
	struct fr_addr addr;
	uint32_t i;

	open_all();
	addr = add("late", receive_three, &addr, FR_RESTART_NEVER);
	CHECK_RC(fr_alive(self, addr), 1);
	CHECK_RC(fr_process_pid(self, addr), -ESRCH);
	CHECK_RC(fr_lookup(self, "late", NULL, 0), 0); /* has not joined */
	for (i = 0; i < 3; i++)
		CHECK_RC(fr_send(self, addr, (struct fr_type){0}, &i, 4, 0),
			 0);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), 0);
	CHECK(reached(&page->got) == 3);
	CHECK_RC(fr_alive(self, addr), 0);
	close_all();
}

struct steps {
	const char *secret; /* in memory that was the parent's */
};

static int step_up(void *ctx, struct fr_process *p)
{
	struct steps *s = ctx;
	char name[FR_NAME_MAX + 1];

	CHECK(strcmp(s->secret, "inherited") == 0);
	CHECK_RC(fr_process_name(p, fr_self(p), name), 0);
	CHECK(strcmp(name, "stepper") == 0);
	page->log[page->steps] = 1;
	advance(&page->steps);
	return 5; /* positive is no failure */
}

static int step_run(void *ctx, struct fr_process *p)
{
	CHECK(strcmp(((struct steps *)ctx)->secret, "inherited") == 0);
	CHECK(getpid() == fr_process_pid(p, fr_self(p)));
	page->log[page->steps] = 2;
	advance(&page->steps);
	return 0;
}

static void step_down(void *ctx, struct fr_process *p)
{
	CHECK(strcmp(((struct steps *)ctx)->secret, "inherited") == 0);
	CHECK_RC(fr_alive(p, fr_self(p)), 1);
	page->log[page->steps] = 3;
	advance(&page->steps);
}

ALONE(setup_run_and_teardown_follow_each_other)
{
	struct steps s = {"inherited"};
	struct fr_child_opts opts = {
		.name = "stepper", .setup = step_up, .run = step_run,
		.teardown = step_down, .ctx = &s,
	};
	struct fr_addr addr;

	open_all();
	CHECK_RC(fr_supervisor_add(supervisor, &opts, &addr), 0);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), 0);
	CHECK(page->steps == 3);
	CHECK(page->log[0] == 1 && page->log[1] == 2 && page->log[2] == 3);
	close_all();
}

ALONE(a_wrong_child_is_refused)
{
	struct fr_child_opts opts = {.name = "a/b", .run = live};
	char name[FR_NAME_MAX + 2];
	struct fr_addr addr;

	open_all();
	CHECK_RC(fr_supervisor_add(supervisor, &opts, &addr), -EINVAL);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	opts.name = name;
	CHECK_RC(fr_supervisor_add(supervisor, &opts, &addr), -ENAMETOOLONG);
	opts.name = "right";
	opts.run = NULL;
	CHECK_RC(fr_supervisor_add(supervisor, &opts, &addr), -EINVAL);
	opts.run = live;
	opts.wait = 3;
	CHECK_RC(fr_supervisor_add(supervisor, &opts, &addr), -EINVAL);
	opts.wait = 0;
	opts.restart = (enum fr_restart)3;
	CHECK_RC(fr_supervisor_add(supervisor, &opts, &addr), -EINVAL);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), 0); /* no child at all */
	close_all();
}

ALONE(children_take_slots_until_there_is_none)
{
	struct fr_child_opts opts = {.run = live};
	struct fr_arena_info info;
	struct fr_addr addr;
	unsigned i;

	open_all();
	for (i = 0; i < 7; i++)
		CHECK_RC(fr_supervisor_add(supervisor, &opts, &addr), 0);
	CHECK_RC(fr_supervisor_add(supervisor, &opts, &addr), -ENOSPC);
	/* Those that were never started give theirs back. */
	fr_supervisor_close(supervisor);
	fr_arena_info(arena, &info);
	CHECK(info.joined == 1);
	fr_leave(self);
	fr_arena_detach(arena);
}

ALONE(what_a_child_prints_is_printed_once)
{
	FILE *file = tmpfile();
	char text[64] = "";
	int zero = 0;

	CHECK(file);
	open_all();
	fprintf(file, "before the fork, ");
	add("a", end_with, &zero, FR_RESTART_NEVER);
	add("b", end_with, &zero, FR_RESTART_NEVER);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), 0);
	fprintf(file, "after it");
	rewind(file);
	CHECK(fgets(text, sizeof(text), file));
	CHECK(strcmp(text, "before the fork, after it") == 0);
	fclose(file);
	close_all();
}

static int print_a_line(void *ctx, struct fr_process *p)
{
	(void)p;
	fprintf(ctx, "from the child");
	return 0;
}

ALONE(what_a_child_has_buffered_is_flushed_at_its_end)
{
	FILE *file = tmpfile();
	char text[64] = "";

	CHECK(file);
	open_all();
	add("a", print_a_line, file, FR_RESTART_NEVER);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), 0);
	rewind(file);
	CHECK(fgets(text, sizeof(text), file));
	CHECK(strcmp(text, "from the child") == 0);
	fclose(file);
	close_all();
}

/* ---- ends ---- */

ALONE(the_end_of_the_last_child_ends_the_run)
{
	int zero = 0;

	open_all();
	add("a", end_with, &zero, FR_RESTART_NEVER);
	add("b", end_with, &zero, FR_RESTART_ON_FAILURE);
	add(NULL, end_with, &zero, FR_RESTART_IGNORE);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), 0);
	CHECK(page->reported == 3);
	CHECK_RC(fr_supervisor_poll(supervisor), 0);
	CHECK_RC(fr_lookup(self, "a", NULL, 0), 0);
	close_all();
}

ALONE(every_end_is_reported_with_its_status)
{
	int seven = 7, negative = -7, zero = 0;
	const struct report *r;

	open_all();
	add("seven", end_with, &seven, FR_RESTART_IGNORE);
	add("negative", end_with, &negative, FR_RESTART_IGNORE);
	add("zero", end_with, &zero, FR_RESTART_IGNORE);
	add("obedient", live, NULL, FR_RESTART_IGNORE);
	CHECK_RC(fr_supervisor_start(supervisor), 0);
	await(&page->ready, 1);
	AWAIT(fr_supervisor_poll(supervisor) == 1);
	fr_supervisor_stop(supervisor);
	CHECK(page->reported == 4);
	r = report_of("seven");
	CHECK(WIFEXITED(r->status) && WEXITSTATUS(r->status) == 7);
	CHECK(r->pid > 0 && r->pid != getpid() && !r->restarting);
	r = report_of("negative");
	CHECK(WIFEXITED(r->status) && WEXITSTATUS(r->status) == 1);
	CHECK(strcmp(r->words, "run: Argument list too long") == 0);
	r = report_of("zero");
	CHECK(r->status == 0 && !r->restarting && r->words[0] == '\0');
	r = report_of("obedient");
	CHECK(r->status == 0 && !r->restarting);
	close_all();
}

static int kill_itself(void *ctx, struct fr_process *p)
{
	int sig = *(int *)ctx;

	(void)p;
	signal(sig, SIG_DFL); /* the test program has handlers of its own */
	raise(sig);
	return 0;
}

/* One fails, beside two that obey. */
static void one_fails(int (*setup)(void *ctx, struct fr_process *p),
		      int (*run)(void *ctx, struct fr_process *p), int *ctx)
{
	struct fr_child_opts opts = {.name = "bad", .setup = setup, .run = run,
				     .ctx = ctx};
	struct fr_addr addr;

	open_all();
	add_obedient("good");
	add_obedient("better");
	CHECK_RC(fr_supervisor_start(supervisor), 0);
	await(&page->ready, 2);
	CHECK_RC(fr_supervisor_add(supervisor, &opts, &addr), 0);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), -ECHILD);
	/* The others ended in good order, and none runs. */
	CHECK(reached(&page->torn_down) == 2);
	CHECK(report_of("good")->status == 0);
	CHECK(report_of("better")->status == 0);
	CHECK(report_of("bad")->status != 0 && !report_of("bad")->restarting);
	CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	close_all();
}

static int die_in_a_task(void *ctx, struct fr_process *process)
{
	struct fr_task task;
	struct fr_reply reply;

	(void)ctx;
	CHECK_RC(fr_take(process, FR_FOREVER, &task, &reply), 0);
	fr_last_words(process, "no more than this, which is a little too long "
			       "to be kept whole, of course");
	raise(SIGKILL);
	return 0;
}

ALONE(a_report_says_the_last_words_and_the_task_in_hand)
{
	struct fr_task task = {.kind = 7};
	struct fr_task_id id;
	struct fr_result result;
	const struct report *r;

	open_all();
	add("worker", die_in_a_task, NULL, FR_RESTART_IGNORE);
	CHECK_RC(fr_submit(self, &task, &id), 0);
	CHECK_RC(fr_supervisor_start(supervisor), 0);
	AWAIT(fr_supervisor_poll(supervisor) == 0);
	r = report_of("worker");
	CHECK(r->had_task && WIFSIGNALED(r->status));
	CHECK(strcmp(r->words, "no more than this, which is a little too long "
			       "to be kept whole,") == 0);
	/* The task is there for the next. */
	CHECK_RC(fr_collect(self, 0, &result), -EAGAIN);
	CHECK_RC(fr_task_cancel(self, id), 0);
	close_all();
}

ALONE(a_child_that_exits_with_3_ends_the_others)
{
	int three = 3;

	one_fails(NULL, end_with, &three);
	CHECK(WEXITSTATUS(report_of("bad")->status) == 3);
}

ALONE(a_child_that_crashes_ends_the_others)
{
	int sig = SIGSEGV;

	one_fails(NULL, kill_itself, &sig);
	CHECK(WTERMSIG(report_of("bad")->status) == SIGSEGV);
}

ALONE(a_child_whose_setup_fails_ends_the_others)
{
	int error = -EIO;

	one_fails(end_with, live, &error);
	CHECK(WEXITSTATUS(report_of("bad")->status) == 1);
	CHECK(reached(&page->ready) == 2); /* its run never ran */
}

static int wait_for_a_report(void *ctx, struct fr_process *p)
{
	(void)ctx;
	(void)p;
	await(&page->reported, 1);
	advance(&page->got);
	return 0;
}

ALONE(a_failure_that_is_ignored_ends_nobody)
{
	int sig = SIGKILL;

	open_all();
	add("bad", kill_itself, &sig, FR_RESTART_IGNORE);
	add("good", wait_for_a_report, NULL, FR_RESTART_NEVER);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), 0);
	CHECK(reached(&page->got) == 1);
	CHECK(WTERMSIG(report_of("bad")->status) == SIGKILL);
	CHECK(report_of("good")->status == 0);
	close_all();
}

static int count_and_fail(void *ctx, struct fr_process *p)
{
	(void)ctx;
	(void)p;
	advance(&page->started);
	return -1;
}

ALONE(a_child_that_keeps_failing_is_given_up)
{
	uint32_t i;

	open_all();
	add("bad", count_and_fail, NULL, FR_RESTART_ON_FAILURE);
	add_obedient("good");
	CHECK_RC(fr_supervisor_start(supervisor), 0);
	await(&page->ready, 1);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), -ECHILD);
	CHECK(reached(&page->started) == 1 + FR_RESTARTS_MAX);
	CHECK(page->reported == 1 + FR_RESTARTS_MAX + 1); /* and good */
	for (i = 0; i <= FR_RESTARTS_MAX; i++) {
		CHECK(strcmp(page->reports[i].name, "bad") == 0);
		CHECK(page->reports[i].restarting == (i < FR_RESTARTS_MAX));
	}
	CHECK(reached(&page->torn_down) == 1);
	close_all();
}

/* Fails the first time. */
static int fail_once(void *ctx, struct fr_process *p)
{
	uint32_t n = __atomic_fetch_add(&page->started, 1, __ATOMIC_SEQ_CST);

	(void)ctx;
	page->addrs[n] = fr_self(p);
	page->pids[n] = getpid();
	advance(&page->ready);
	if (n == 0)
		raise(SIGKILL);
	return fr_run(p, NULL);
}

/* Asks the one that was restarted to exit. */
static int ask_the_second(void *ctx, struct fr_process *p)
{
	struct fr_addr found;

	(void)ctx;
	await(&page->ready, 2);
	CHECK_RC(fr_wait_name(p, "phoenix", FR_FOREVER, &found), 0);
	CHECK(found.id == page->addrs[1].id);
	CHECK_RC(fr_lookup(p, "phoenix", NULL, 0), 1);
	CHECK_RC(fr_alive(p, page->addrs[0]), 0);
	CHECK_RC(fr_send(p, page->addrs[0], (struct fr_type){0}, "", 0, 0),
		 -ESRCH);
	CHECK_RC(fr_send_exit(p, found, FR_FOREVER), 0);
	return 0;
}

ALONE(a_restarted_child_has_its_name_and_a_new_address)
{
	open_all();
	add("phoenix", fail_once, NULL, FR_RESTART_ON_FAILURE);
	add("asker", ask_the_second, NULL, FR_RESTART_NEVER);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), 0);
	CHECK(reached(&page->started) == 2);
	CHECK(page->addrs[0].id != page->addrs[1].id);
	CHECK(page->pids[0] != page->pids[1]);
	CHECK(page->reports[0].restarting);
	CHECK(page->reports[0].pid == page->pids[0]);
	CHECK(WTERMSIG(page->reports[0].status) == SIGKILL);
	close_all();
}

/* ---- main's life ---- */

static int start_another(void *ctx, struct fr_process *p)
{
	int *zero = ctx;

	(void)p;
	if (page->calls++ == 0) {
		add("second", wait_for_a_report, NULL, FR_RESTART_NEVER);
		CHECK_RC(fr_supervisor_start(supervisor), 0);
		add("first", end_with, zero, FR_RESTART_NEVER);
		CHECK_RC(fr_supervisor_start(supervisor), 0);
	}
	return FR_IDLE;
}

ALONE(a_child_is_added_while_the_others_run)
{
	int zero = 0;
	struct fr_run_opts opts = {.ctx = &zero, .action = start_another};

	open_all();
	add("early", end_with, &zero, FR_RESTART_NEVER);
	CHECK_RC(fr_supervisor_run(supervisor, &opts), 0);
	CHECK(page->reported == 3 && reached(&page->got) == 1);
	close_all();
}

static int ask_main_to_exit(void *ctx, struct fr_process *p)
{
	struct fr_addr main;

	CHECK_RC(fr_wait_name(p, "main", FR_FOREVER, &main), 0);
	CHECK_RC(fr_send_exit(p, main, FR_FOREVER), 0);
	return live(ctx, p);
}

ALONE(an_exit_message_to_main_ends_all)
{
	open_all();
	add("asker", ask_main_to_exit, NULL, FR_RESTART_NEVER);
	add_obedient("other");
	CHECK_RC(fr_supervisor_run(supervisor, NULL), 0);
	CHECK(report_of("asker")->status == 0);
	CHECK(reached(&page->torn_down) == 1);
	close_all();
}

static int answer_stop(void *ctx, struct fr_process *p)
{
	(void)p;
	await(&page->ready, 1);
	return *(int *)ctx;
}

ALONE(mains_action_ends_all)
{
	static int ends[] = {FR_STOP, -EIO};
	struct fr_run_opts opts = {.action = answer_stop};
	unsigned i;

	open_all();
	for (i = 0; i < 2; i++) {
		page->ready = 0;
		add_obedient("other");
		opts.ctx = &ends[i];
		CHECK_RC(fr_supervisor_run(supervisor, &opts),
			 ends[i] < 0 ? ends[i] : 0);
		CHECK(reached(&page->torn_down) == i + 1);
	}
	close_all();
}

ALONE(mains_limit_ends_all)
{
	struct fr_run_opts opts = {.limit_ns = 30 * MS};
	int64_t start = now_ns();

	open_all();
	add_obedient("other");
	CHECK_RC(fr_supervisor_run(supervisor, &opts), 0);
	CHECK(now_ns() - start >= 30 * MS);
	CHECK(reached(&page->torn_down) == 1);
	close_all();
}

static int count_mail(void *ctx, struct fr_process *p, struct fr_message *m)
{
	uint32_t n;

	(void)ctx;
	(void)p;
	memcpy(&n, m->body, 4);
	CHECK(n == page->got); /* in order, too */
	advance(&page->got);
	return FR_CONTINUE;
}

#define FLOOD 500u /* more than main's mailbox holds */

static int flood_main(void *ctx, struct fr_process *p)
{
	struct fr_addr main;
	uint32_t i;

	(void)ctx;
	CHECK_RC(fr_wait_name(p, "main", FR_FOREVER, &main), 0);
	for (i = 0; i < FLOOD; i++)
		CHECK_RC(fr_send(p, main, (struct fr_type){0}, &i, 4,
				 FR_FOREVER), 0);
	return 0;
}

ALONE(a_child_that_is_blocked_sending_to_main_is_heard_while_main_stops)
{
	struct fr_message m;
	struct fr_addr addr;

	open_with((struct fr_supervisor_opts){.exit_grace_ns = NEVER_NS});
	CHECK_RC(fr_handle(self, (struct fr_type){0}, count_mail, NULL), 0);
	addr = add("talker", flood_main, NULL, FR_RESTART_NEVER);
	CHECK_RC(fr_supervisor_start(supervisor), 0);
	AWAIT(sleeps_for(addr, FR__MARK_ROOM));
	fr_supervisor_stop(supervisor);
	CHECK(report_of("talker")->status == 0);
	while (fr_receive(self, 0, &m) == 0) { /* what is left */
		count_mail(NULL, self, &m);
		fr_release(self, &m);
	}
	CHECK(reached(&page->got) == FLOOD);
	close_all();
}

static int say_one_thing(void *ctx, struct fr_process *p)
{
	struct fr_addr main;

	CHECK_RC(fr_wait_name(p, "main", FR_FOREVER, &main), 0);
	CHECK_RC(fr_send(p, main, (struct fr_type){0}, ctx, 4, FR_FOREVER), 0);
	return 0;
}

ALONE(the_last_words_of_the_last_child_are_heard)
{
	uint32_t i;

	open_all();
	CHECK_RC(fr_handle(self, (struct fr_type){0}, count_mail, NULL), 0);
	for (i = 0; i < 100; i++) {
		add("talker", say_one_thing, &i, FR_RESTART_NEVER);
		CHECK_RC(fr_supervisor_run(supervisor, NULL), 0);
		CHECK(reached(&page->got) == i + 1);
	}
	close_all();
}

ALONE(poll_counts_who_runs)
{
	int zero = 0, running;

	open_all();
	CHECK_RC(fr_supervisor_poll(supervisor), 0);
	add_obedient("a");
	add_obedient("b");
	CHECK_RC(fr_supervisor_poll(supervisor), 0); /* not started */
	CHECK_RC(fr_supervisor_start(supervisor), 0);
	CHECK_RC(fr_supervisor_poll(supervisor), 2);
	add("c", end_with, &zero, FR_RESTART_NEVER);
	CHECK_RC(fr_supervisor_start(supervisor), 0);
	do
		running = fr_supervisor_poll(supervisor);
	while (page->reported == 0);
	CHECK_RC(running, 2);
	CHECK(report_of("c")->status == 0);
	fr_supervisor_stop(supervisor);
	CHECK_RC(fr_supervisor_poll(supervisor), 0);
	CHECK(reached(&page->torn_down) == 2);
	close_all();
}

ALONE(poll_tells_of_a_failure)
{
	int three = 3, rc;

	open_all();
	add_obedient("good");
	add("bad", end_with, &three, FR_RESTART_NEVER);
	CHECK_RC(fr_supervisor_start(supervisor), 0);
	while ((rc = fr_supervisor_poll(supervisor)) >= 0)
		test_yield();
	CHECK_RC(rc, -ECHILD);
	CHECK(page->reported == 1); /* good is not ended by poll */
	close_all();
}

/* ---- signals ---- */

/* SIG_ERR: one that takes a siginfo_t, as the supervisor's. */
static void (*handler_of(int sig))(int)
{
	struct sigaction now;

	sigaction(sig, NULL, &now);
	return now.sa_flags & SA_SIGINFO ? SIG_ERR : now.sa_handler;
}

/* Send main a signal once the others are ready. */
static int signal_main(void *ctx, struct fr_process *p)
{
	await(&page->ready, 1);
	kill(getppid(), *(int *)ctx);
	return live(ctx, p);
}

static void interrupted_by(int sig)
{
	open_all();
	CHECK(!fr_supervisor_interrupted(supervisor));
	add_obedient("good");
	add("signaller", signal_main, &sig, FR_RESTART_NEVER);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), 0);
	CHECK(fr_supervisor_interrupted(supervisor));
	CHECK(reached(&page->torn_down) == 1);
	CHECK(report_of("good")->status == 0);
	CHECK(report_of("signaller")->status == 0);
	close_all();
}

ALONE(sigint_ends_all_in_good_order)
{
	interrupted_by(SIGINT);
}

ALONE(sigterm_ends_all_in_good_order)
{
	interrupted_by(SIGTERM);
}

static void handle_nothing(int sig)
{
	(void)sig;
}

ALONE(close_puts_the_signal_handlers_back)
{
	signal(SIGINT, handle_nothing);
	signal(SIGTERM, SIG_IGN);
	signal(SIGCHLD, handle_nothing);
	open_all();
	CHECK(handler_of(SIGINT) != handle_nothing);
	CHECK(handler_of(SIGTERM) != SIG_IGN);
	close_all();
	CHECK(handler_of(SIGINT) == handle_nothing);
	CHECK(handler_of(SIGTERM) == SIG_IGN);
	CHECK(handler_of(SIGCHLD) == handle_nothing);
}

static int look_at_signals(void *ctx, struct fr_process *p)
{
	sigset_t mask;

	(void)ctx;
	(void)p;
	CHECK(handler_of(SIGINT) == SIG_IGN);
	CHECK(handler_of(SIGTERM) == SIG_DFL);
	CHECK(handler_of(SIGCHLD) == SIG_DFL);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	CHECK(!sigismember(&mask, SIGTERM) && !sigismember(&mask, SIGCHLD));
	CHECK(sigismember(&mask, SIGUSR2)); /* as main's */
	return 0;
}

ALONE(children_do_not_inherit_mains_handlers)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	open_all();
	add("looker", look_at_signals, NULL, FR_RESTART_NEVER);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), 0);
	close_all();
}

static int signal_the_group(void *ctx, struct fr_process *p)
{
	await(&page->ready, 2);
	kill(0, SIGINT); /* as a terminal does */
	return live(ctx, p);
}

ALONE(a_ctrl_c_to_the_whole_group_kills_no_child)
{
	CHECK(setpgid(0, 0) == 0);
	open_all();
	add_obedient("a");
	add_obedient("b");
	add("terminal", signal_the_group, NULL, FR_RESTART_NEVER);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), 0);
	CHECK(fr_supervisor_interrupted(supervisor));
	CHECK(reached(&page->torn_down) == 2);
	CHECK(report_of("a")->status == 0 && report_of("b")->status == 0);
	CHECK(report_of("terminal")->status == 0);
	close_all();
}

ALONE(a_child_that_does_not_heed_exit_gets_sigterm)
{
	open_with((struct fr_supervisor_opts){
		.exit_grace_ns = BRIEF_NS, .term_grace_ns = NEVER_NS});
	add("deaf", be_deaf, NULL, FR_RESTART_NEVER);
	CHECK_RC(fr_supervisor_start(supervisor), 0);
	await(&page->ready, 1);
	fr_supervisor_stop(supervisor);
	CHECK(WIFSIGNALED(report_of("deaf")->status));
	CHECK(WTERMSIG(report_of("deaf")->status) == SIGTERM);
	close_all();
}

ALONE(a_child_that_does_not_heed_sigterm_gets_sigkill)
{
	int64_t start;

	open_with((struct fr_supervisor_opts){
		.exit_grace_ns = BRIEF_NS, .term_grace_ns = BRIEF_NS});
	add("deaf", be_deaf, page, FR_RESTART_NEVER);
	add_obedient("good");
	CHECK_RC(fr_supervisor_start(supervisor), 0);
	await(&page->ready, 2);
	start = now_ns();
	fr_supervisor_stop(supervisor);
	CHECK(now_ns() - start >= 2 * BRIEF_NS);
	CHECK(WIFSIGNALED(report_of("deaf")->status));
	CHECK(WTERMSIG(report_of("deaf")->status) == SIGKILL);
	CHECK(report_of("good")->status == 0);
	close_all();
}

/* When it is told to exit, main is stopping: signal it then. */
static int signal_main_when_it_stops(void *ctx, struct fr_process *p)
{
	int rc = live(ctx, p);

	kill(getppid(), SIGINT);
	return rc;
}

ALONE(a_second_sigint_ends_the_graces_at_once)
{
	open_with((struct fr_supervisor_opts){
		.exit_grace_ns = NEVER_NS, .term_grace_ns = NEVER_NS});
	add("deaf", be_deaf, page, FR_RESTART_NEVER);
	add("impatient", signal_main_when_it_stops, NULL, FR_RESTART_NEVER);
	CHECK_RC(fr_supervisor_start(supervisor), 0);
	await(&page->ready, 2);
	raise(SIGINT);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), 0);
	CHECK(WTERMSIG(report_of("deaf")->status) == SIGKILL);
	close_all();
}

/* One that stops by itself was not asked yet: two of them. */
static int signal_main_twice_when_it_stops(void *ctx, struct fr_process *p)
{
	int rc = live(ctx, p);

	kill(getppid(), SIGINT);
	kill(getppid(), SIGTERM); /* of the same kind they could be one */
	return rc;
}

ALONE(two_signals_while_it_stops_end_the_graces_at_once)
{
	open_with((struct fr_supervisor_opts){
		.exit_grace_ns = NEVER_NS, .term_grace_ns = NEVER_NS});
	add("deaf", be_deaf, page, FR_RESTART_NEVER);
	add("impatient", signal_main_twice_when_it_stops, NULL,
	    FR_RESTART_NEVER);
	CHECK_RC(fr_supervisor_start(supervisor), 0);
	await(&page->ready, 2);
	fr_supervisor_stop(supervisor);
	CHECK(WTERMSIG(report_of("deaf")->status) == SIGKILL);
	close_all();
}

static uint32_t plain_calls, info_calls;
static pid_t info_pid;

static void on_chld(int sig)
{
	(void)sig;
	plain_calls++;
}

static void on_chld_info(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	info_pid = info->si_pid;
	info_calls++;
}

ALONE(the_previous_sigchld_handler_is_still_called)
{
	struct sigaction plain = {.sa_handler = on_chld};
	struct sigaction with_info = {.sa_sigaction = on_chld_info,
				      .sa_flags = SA_SIGINFO};
	int zero = 0;

	sigaction(SIGCHLD, &plain, NULL);
	open_all();
	add("a", end_with, &zero, FR_RESTART_NEVER);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), 0);
	close_all();
	CHECK(plain_calls >= 1);
	sigaction(SIGCHLD, &with_info, NULL);
	page->reported = 0;
	open_all();
	add("a", end_with, &zero, FR_RESTART_NEVER);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), 0);
	CHECK(info_calls >= 1 && info_pid == report_of("a")->pid);
	close_all();
}

static void reap_everybody(int sig)
{
	(void)sig;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

ALONE(a_child_that_another_handler_has_waited_for_is_not_waited_for_again)
{
	int zero = 0;

	signal(SIGCHLD, reap_everybody);
	open_all();
	add("a", end_with, &zero, FR_RESTART_NEVER);
	fr_supervisor_run(supervisor, NULL); /* ends, whatever it says */
	CHECK(fr_supervisor_poll(supervisor) <= 0);
	CHECK(report_of("a")->pid > 0 && !report_of("a")->restarting);
	close_all();
}

ALONE(a_child_is_waited_for_where_sigchld_was_ignored)
{
	int seven = 7;

	signal(SIGCHLD, SIG_IGN);
	open_all();
	add("a", end_with, &seven, FR_RESTART_IGNORE);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), 0);
	CHECK(WEXITSTATUS(report_of("a")->status) == 7);
	close_all();
	CHECK(handler_of(SIGCHLD) == SIG_IGN);
}

ALONE(other_children_of_the_program_are_left_to_it)
{
	int zero = 0, status;
	pid_t other;

	open_all();
	other = fork();
	if (other == 0)
		_exit(9);
	add("a", end_with, &zero, FR_RESTART_NEVER);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), 0);
	close_all();
	CHECK(waitpid(other, &status, 0) == other);
	CHECK(WEXITSTATUS(status) == 9);
}

ALONE(without_signals_all_handlers_stay)
{
	int zero = 0;

	signal(SIGINT, handle_nothing);
	signal(SIGTERM, SIG_IGN);
	signal(SIGCHLD, handle_nothing);
	open_with((struct fr_supervisor_opts){.no_signals = true});
	CHECK(handler_of(SIGINT) == handle_nothing);
	CHECK(handler_of(SIGTERM) == SIG_IGN);
	CHECK(handler_of(SIGCHLD) == handle_nothing);
	raise(SIGINT);
	CHECK(!fr_supervisor_interrupted(supervisor));
	add("a", end_with, &zero, FR_RESTART_NEVER);
	add_obedient("b");
	CHECK_RC(fr_supervisor_start(supervisor), 0);
	await(&page->ready, 1);
	fr_supervisor_stop(supervisor);
	CHECK(report_of("a")->status == 0 && report_of("b")->status == 0);
	page->reported = 0;
	add("c", end_with, &zero, FR_RESTART_NEVER);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), 0);
	CHECK(report_of("c")->status == 0);
	close_all();
	CHECK(handler_of(SIGINT) == handle_nothing);
}

/* ---- main's death ---- */

static int main_to_be_killed(void *ctx)
{
	(void)ctx;
	open_all();
	add("deaf", be_deaf, page, FR_RESTART_NEVER);
	add_obedient("other");
	CHECK_RC(fr_supervisor_start(supervisor), 0);
	fr_supervisor_run(supervisor, NULL);
	return 0;
}

static void a_killed_main_takes_its_children_along(void **state)
{
	unsigned gone = 0;
	int status;
	pid_t main;

	(void)state;
	page = shared(sizeof(*page));
	/* Orphans come to us. */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	main = spawn(main_to_be_killed, NULL);
	await(&page->ready, 2);
	kill_hard(main);
	while (waitpid(-1, &status, 0) > 0) {
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGKILL);
		gone++;
	}
	assert_int_equal(errno, ECHILD);
	assert_int_equal(gone, 2);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

/* ---- one at a time ---- */

ALONE(there_is_one_supervisor_at_a_time)
{
	struct fr_supervisor *second;

	open_all();
	CHECK_RC(fr_supervisor_open(self, NULL, &second), -EBUSY);
	fr_supervisor_close(supervisor);
	CHECK_RC(fr_supervisor_open(self, NULL, &supervisor), 0);
	close_all();
	fr_supervisor_close(NULL);
}

ALONE(wrong_graces_are_refused)
{
	struct fr_supervisor_opts opts = {.exit_grace_ns = -1};
	struct fr_supervisor *s;

	CHECK_RC(fr_arena_create(NULL, &small_arena, &arena), 0);
	CHECK_RC(fr_join(arena, NULL, &self), 0);
	CHECK_RC(fr_supervisor_open(self, &opts, &s), -EINVAL);
	opts = (struct fr_supervisor_opts){.term_grace_ns = -1};
	CHECK_RC(fr_supervisor_open(self, &opts, &s), -EINVAL);
	CHECK(handler_of(SIGINT) == SIG_DFL);
	fr_leave(self);
	fr_arena_detach(arena);
}

static void use_what_main_opened(void)
{
	struct fr_child_opts opts = {.run = live};
	struct fr_addr addr;

	CHECK_RC(fr_supervisor_add(supervisor, &opts, &addr), -ECHILD);
	CHECK_RC(fr_supervisor_start(supervisor), -ECHILD);
	CHECK_RC(fr_supervisor_poll(supervisor), -ECHILD);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), -ECHILD);
	fr_supervisor_stop(supervisor);
	close_all(); /* the child's copies */
}

static void open_an_own_one(void)
{
	int zero = 0;

	close_all();
	CHECK(handler_of(SIGINT) == SIG_DFL);
	raise(SIGCHLD); /* to nobody */
	page->reported = 0;
	open_all();
	add("own", end_with, &zero, FR_RESTART_NEVER);
	CHECK_RC(fr_supervisor_run(supervisor, NULL), 0);
	CHECK(report_of("own")->status == 0);
	close_all();
}

/* With a supervisor and a child of it, do that in a forked process. */
static void fork_beside(void (*body)(void))
{
	int status;
	pid_t pid;

	open_all();
	add_obedient("mains");
	CHECK_RC(fr_supervisor_start(supervisor), 0);
	await(&page->ready, 1);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		body();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(status == 0);
	/* Main's own is as it was. */
	page->reported = 0;
	CHECK_RC(fr_supervisor_poll(supervisor), 1);
	CHECK(reached(&page->torn_down) == 0);
	fr_supervisor_stop(supervisor);
	CHECK(report_of("mains")->status == 0);
	close_all();
}

ALONE(a_forked_process_cannot_use_its_parents_supervisor)
{
	fork_beside(use_what_main_opened);
}

ALONE(a_forked_process_may_have_a_supervisor_of_its_own)
{
	fork_beside(open_an_own_one);
}

/* ---- CPUs ---- */

ALONE(the_count_of_cpus_follows_affinity)
{
	cpu_set_t all, one;
	unsigned before = fr_cpus();
	int cpu = 0;

	CHECK(before >= 1);
	CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
	CHECK(before <= (unsigned)CPU_COUNT(&all));
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
	CHECK(fr_cpus() == 1);
	CHECK(sched_setaffinity(0, sizeof(all), &all) == 0);
	CHECK(fr_cpus() == before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(different_children_talk_by_name),
		TEST(an_address_is_good_and_mail_waits_before_the_child_starts),
		TEST(setup_run_and_teardown_follow_each_other),
		TEST(a_wrong_child_is_refused),
		TEST(children_take_slots_until_there_is_none),
		TEST(what_a_child_prints_is_printed_once),
		TEST(what_a_child_has_buffered_is_flushed_at_its_end),
		TEST(the_end_of_the_last_child_ends_the_run),
		TEST(every_end_is_reported_with_its_status),
		TEST(a_report_says_the_last_words_and_the_task_in_hand),
		TEST(a_child_that_exits_with_3_ends_the_others),
		TEST(a_child_that_crashes_ends_the_others),
		TEST(a_child_whose_setup_fails_ends_the_others),
		TEST(a_failure_that_is_ignored_ends_nobody),
		TEST(a_child_that_keeps_failing_is_given_up),
		TEST(a_restarted_child_has_its_name_and_a_new_address),
		TEST(a_child_is_added_while_the_others_run),
		TEST(an_exit_message_to_main_ends_all),
		TEST(mains_action_ends_all),
		TEST(mains_limit_ends_all),
		TEST(a_child_that_is_blocked_sending_to_main_is_heard_while_main_stops),
		TEST(the_last_words_of_the_last_child_are_heard),
		TEST(poll_counts_who_runs),
		TEST(poll_tells_of_a_failure),
		TEST(sigint_ends_all_in_good_order),
		TEST(sigterm_ends_all_in_good_order),
		TEST(close_puts_the_signal_handlers_back),
		TEST(children_do_not_inherit_mains_handlers),
		TEST(a_ctrl_c_to_the_whole_group_kills_no_child),
		TEST(a_child_that_does_not_heed_exit_gets_sigterm),
		TEST(a_child_that_does_not_heed_sigterm_gets_sigkill),
		TEST(a_second_sigint_ends_the_graces_at_once),
		TEST(two_signals_while_it_stops_end_the_graces_at_once),
		TEST(the_previous_sigchld_handler_is_still_called),
		TEST(a_child_that_another_handler_has_waited_for_is_not_waited_for_again),
		TEST(a_child_is_waited_for_where_sigchld_was_ignored),
		TEST(other_children_of_the_program_are_left_to_it),
		TEST(without_signals_all_handlers_stay),
		TEST(a_killed_main_takes_its_children_along),
		TEST(there_is_one_supervisor_at_a_time),
		TEST(wrong_graces_are_refused),
		TEST(a_forked_process_cannot_use_its_parents_supervisor),
		TEST(a_forked_process_may_have_a_supervisor_of_its_own),
		TEST(the_count_of_cpus_follows_affinity),
	};

	return cmocka_run_group_tests_name("supervisor", tests, NULL, NULL);
}
