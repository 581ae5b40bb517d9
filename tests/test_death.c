/* SPDX-License-Identifier: MIT */
/*
 * Who is dead, and who only looks like it. Each test is gone through twice: once
 * where it is a joined process that looks, once where it is a stranger, another
 * program that is attached and has not joined. What recovery does is in
 * test_recover.c.
 */
#include "harness.h"

#include "process.h" /* slots: their states and signatures */

#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- this program as another: what it is told to do ---- */

#define PROGRAM "/proc/self/exe"
#define NOT_ATTACHED 200

/* look NAME: attach, recover, and end with how many there were. */
static int look(const char *name)
{
	struct fr_arena *a;
	int n;

	if (fr_arena_attach(name, NULL, &a) < 0)
		return NOT_ATTACHED;
	n = fr_recover(a);
	return n < 0 ? NOT_ATTACHED : n;
}

/* Say where we are, and stay. */
static int stay(const char *out, struct fr_addr self)
{
	if (write(atoi(out), &self, sizeof(self)) != sizeof(self))
		return 1;
	for (;;)
		pause();
}

/* again PIPE NAME, or again_fd PIPE DESCRIPTOR: attach and join anew. */
static int again(const char *out, struct fr_arena *a)
{
	struct fr_process *p;

	return fr_join(a, NULL, &p) < 0 ? 1 : stay(out, fr_self(p));
}

static int another_program(char **argv)
{
	struct fr_arena *a;

	if (strcmp(argv[1], "look") == 0)
		return look(argv[2]);
	if (strcmp(argv[1], "stay") == 0)
		return stay(argv[2], (struct fr_addr){0});
	if (strcmp(argv[1], "again") == 0)
		return fr_arena_attach(argv[3], NULL, &a) < 0
			       ? 1
			       : again(argv[2], a);
	return fr_arena_attach_fd(atoi(argv[3]), &a) < 0 ? 1
							  : again(argv[2], a);
}

/* ---- who looks ---- */

enum looker {
	JOINED,
	STRANGER,
};

struct world {
	enum looker by;
	const char *name;
	struct fr_arena *a;
	struct fr_process *p; /* NULL: only a stranger looks */
};

static int exec_look(void *name)
{
	execl(PROGRAM, "test_death", "look", name, NULL);
	return NOT_ATTACHED;
}

/* How many a stranger recovers. */
static int stranger_recovers(const struct world *w)
{
	int status = wait_status(spawn(exec_look, (void *)w->name));

	return WIFEXITED(status) ? WEXITSTATUS(status) : NOT_ATTACHED;
}

static int recovered(const struct world *w)
{
	return w->by == STRANGER ? stranger_recovers(w) : fr_recover(w->a);
}

static int is_alive(const struct world *w, struct fr_addr who)
{
	struct fr_process *p = w->p;
	int rc;

	if (!p)
		assert_rc(fr_join(w->a, NULL, &p), 0);
	rc = fr_alive(p, who);
	if (!w->p)
		fr_leave(p);
	return rc;
}

static void assert_alive(const struct world *w, struct fr_addr who)
{
	assert_rc(fr_recover(w->a), 0);
	if (w->by == STRANGER)
		assert_rc(stranger_recovers(w), 0);
	assert_rc(is_alive(w, who), 1);
}

/* Until now nobody has recovered it. */
static void assert_dead(const struct world *w, struct fr_addr who)
{
	const struct fr__slot *s = &w->a->slots[fr__addr_slot(who)];

	assert_rc(recovered(w), 1);
	assert_int_equal(fr__load_acquire(&s->state),
			 fr__slot_word(FR__SLOT_FREE, 0,
				       fr__addr_generation(who)));
	assert_rc(is_alive(w, who), 0);
	assert_rc(fr_recover(w->a), 0);
}

static void open_world(struct world *w, enum looker by)
{
	*w = (struct world){.by = by, .name = new_name()};
	assert_rc(fr_arena_create(w->name, &small_arena, &w->a), 0);
	if (by == JOINED)
		assert_rc(fr_join(w->a, NULL, &w->p), 0);
}

static void close_world(struct world *w)
{
	struct fr_arena_info info;

	if (w->p)
		fr_leave(w->p);
	fr_arena_info(w->a, &info);
	assert_int_equal(info.joined, 0);
	assert_rc(fr_check(w->a, NULL, NULL), 0);
	fr_arena_detach(w->a);
}

/* A test that is gone through by each, if it can be. */
#define SEEN_BY_EACH_IF(test, can, why)                                        \
	static void test##_for(struct world *w);                               \
	static void test(void **state)                                         \
	{                                                                      \
		struct world world;                                            \
                                                                               \
		(void)state;                                                   \
		if (!(can))                                                    \
			SKIP(why);                                             \
		open_world(&world, JOINED);                                    \
		test##_for(&world);                                            \
		close_world(&world);                                           \
		open_world(&world, STRANGER);                                  \
		test##_for(&world);                                            \
		close_world(&world);                                           \
	}                                                                      \
	static void test##_for(struct world *w)
#define SEEN_BY_EACH(test) SEEN_BY_EACH_IF(test, true, "")

/* ---- who is looked at ---- */

struct victim {
	struct fr_arena *arena;
	const char *name; /* of the arena */
	void (*act)(struct victim *v); /* when it has joined; may be NULL */
	struct fr_process *p;
	struct fr_addr self;
	pid_t pid;
	int out; /* end of a pipe, for another program */
	pid_t child;
	unsigned threads;
	uint32_t ready, go, done, end;
};

static struct victim *new_victim(const struct world *w,
				 void (*act)(struct victim *v))
{
	struct victim *v = shared(sizeof(*v));

	v->arena = w->a;
	v->name = w->name;
	v->act = act;
	return v;
}

static void join_as(struct victim *v)
{
	CHECK_RC(fr_join(v->arena, NULL, &v->p), 0);
	v->self = fr_self(v->p);
	v->pid = getpid();
}

static int be_victim(void *ctx)
{
	struct victim *v = ctx;

	join_as(v);
	if (v->act)
		v->act(v);
	advance(&v->ready);
	await(&v->end, 1);
	return 0; /* without leaving */
}

/* A process that joins and does act. */
static struct victim *raise_victim(const struct world *w,
				   void (*act)(struct victim *v))
{
	struct victim *v = new_victim(w, act);

	v->pid = spawn(be_victim, v);
	await(&v->ready, 1);
	return v;
}

static void become_zombie(pid_t pid)
{
	siginfo_t info;

	while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == -1)
		assert_int_equal(errno, EINTR);
}

static void stop(pid_t pid)
{
	int status;

	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
}

static void close_everything(struct victim *v)
{
	(void)v;
	CHECK(close_range(3, ~0u, 0) == 0);
}

/* ---- ended ---- */

SEEN_BY_EACH(who_was_killed_is_dead)
{
	struct victim *v = raise_victim(w, NULL);

	assert_alive(w, v->self);
	kill_hard(v->pid);
	assert_dead(w, v->self);
}

SEEN_BY_EACH(a_zombie_is_dead)
{
	struct victim *v = raise_victim(w, NULL);

	kill(v->pid, SIGKILL);
	become_zombie(v->pid);
	assert_dead(w, v->self);
	wait_status(v->pid);
	assert_rc(fr_recover(w->a), 0);
}

SEEN_BY_EACH(who_ended_without_leaving_is_dead)
{
	struct victim *v = raise_victim(w, NULL);

	advance(&v->end);
	wait_ok(v->pid);
	assert_dead(w, v->self);
}

SEEN_BY_EACH(each_of_several_is_dead_or_alive_for_itself)
{
	struct victim *v[4];
	unsigned i;

	for (i = 0; i < 4; i++)
		v[i] = raise_victim(w, NULL);
	kill_hard(v[1]->pid);
	kill_hard(v[3]->pid);
	assert_rc(recovered(w), 2);
	assert_rc(is_alive(w, v[1]->self), 0);
	assert_rc(is_alive(w, v[3]->self), 0);
	assert_alive(w, v[0]->self);
	assert_alive(w, v[2]->self);
	kill_hard(v[0]->pid);
	kill_hard(v[2]->pid);
	assert_rc(recovered(w), 2);
}

static int wait_to_be_killed(void *ctx)
{
	(void)ctx;
	for (;;)
		pause();
	return 0;
}

static bool may_trace(void)
{
	pid_t pid = spawn(wait_to_be_killed, NULL);
	long rc = ptrace(PTRACE_SEIZE, pid, NULL, 0);

	kill_hard(pid);
	return rc == 0;
}

/* Stopped by the kernel with nothing but the last part of its end to go. */
SEEN_BY_EACH_IF(who_is_about_to_end_is_alive_until_it_has_ended, may_trace(),
		"ptrace(2) is not allowed here")
{
	struct victim *v = raise_victim(w, NULL);
	int status;

	assert_int_equal(ptrace(PTRACE_SEIZE, v->pid, NULL, PTRACE_O_TRACEEXIT),
			 0);
	advance(&v->end);
	assert_int_equal(waitpid(v->pid, &status, 0), v->pid);
	assert_int_equal(status >> 8, SIGTRAP | PTRACE_EVENT_EXIT << 8);
	assert_alive(w, v->self);
	assert_int_equal(ptrace(PTRACE_CONT, v->pid, NULL, 0), 0);
	wait_ok(v->pid);
	assert_dead(w, v->self);
}

/* ---- stopped ---- */

SEEN_BY_EACH(a_stopped_process_is_alive_and_stays_so)
{
	struct victim *v = raise_victim(w, NULL);
	unsigned i;

	stop(v->pid);
	for (i = 0; i < 1000; i++)
		assert_rc(fr_recover(w->a), 0);
	assert_alive(w, v->self);
	kill(v->pid, SIGCONT);
	assert_alive(w, v->self);
	kill_hard(v->pid);
	assert_dead(w, v->self);
}

SEEN_BY_EACH(a_stopped_process_without_its_descriptors_is_alive)
{
	struct victim *v = raise_victim(w, close_everything);
	unsigned i;

	stop(v->pid);
	for (i = 0; i < 1000; i++)
		assert_rc(fr_recover(w->a), 0);
	assert_alive(w, v->self);
	kill_hard(v->pid);
	assert_dead(w, v->self);
}

SEEN_BY_EACH(who_is_killed_while_stopped_is_dead)
{
	struct victim *v = raise_victim(w, NULL);

	stop(v->pid);
	kill(v->pid, SIGKILL);
	become_zombie(v->pid);
	assert_dead(w, v->self);
	wait_status(v->pid);
}

static int join_and_leave(void *ctx)
{
	struct victim *v = ctx;

	while (!reached(&v->end)) {
		join_as(v);
		fr_leave(v->p);
	}
	return 0;
}

/* Wherever in joining and leaving it stands. */
SEEN_BY_EACH(who_is_stopped_while_it_joins_or_leaves_is_alive)
{
	struct victim *v = new_victim(w, NULL);
	pid_t pid = spawn(join_and_leave, v);
	unsigned i, pause;

	for (i = 0; i < 100; i++) {
		stop(pid);
		assert_rc(fr_recover(w->a), 0);
		if (i % 20 == 0 && w->by == STRANGER)
			assert_rc(stranger_recovers(w), 0);
		kill(pid, SIGCONT);
		for (pause = (unsigned)rand() % 16; pause > 0; pause--)
			test_yield();
	}
	advance(&v->end);
	wait_ok(pid);
	assert_rc(recovered(w), 0);
}

/* ---- a pid that is somebody else's by now ---- */

/* Fork under a number of our choice; -1: not allowed. */
static pid_t fork_as(pid_t pid)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&pid,
		.set_tid_size = 1,
	};

	fflush(NULL);
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* Start times have the grain of a clock tick: let one pass. */
static void let_a_tick_pass(void)
{
	const int64_t tick = INT64_C(1000000000) / sysconf(_SC_CLK_TCK);
	int64_t start = now_ns();

	AWAIT(now_ns() - start > 2 * tick);
}

static void end_stranger(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static bool may_choose_pids(void)
{
	pid_t pid = spawn(wait_to_be_killed, NULL), again;

	kill_hard(pid);
	again = fork_as(pid);
	if (again == 0)
		wait_to_be_killed(NULL);
	if (again > 0)
		end_stranger(again);
	return again == pid;
}

#define NO_CHOICE "nobody may choose pids here"

static int only_stay(void *ctx)
{
	struct victim *v = ctx;

	advance(&v->ready);
	await(&v->end, 1);
	return 0;
}

/* A process with the number of one that was killed. */
static void take_number_of(const struct victim *dead, int (*fn)(void *),
			   struct victim *heir)
{
	pid_t parent = getpid(), pid;

	kill_hard(dead->pid);
	let_a_tick_pass();
	pid = fork_as(dead->pid);
	assert_int_equal(pid == 0 ? dead->pid : pid, dead->pid);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(98);
		_exit(fn(heir));
	}
	await(&heir->ready, 1);
	heir->pid = pid;
}

/* It even maps the arena, since we forked it. */
SEEN_BY_EACH_IF(whose_pid_is_somebody_elses_is_dead, may_choose_pids(), NO_CHOICE)
{
	struct victim *v = raise_victim(w, NULL);
	struct victim *heir = new_victim(w, NULL);

	take_number_of(v, only_stay, heir);
	assert_dead(w, v->self);
	end_stranger(heir->pid);
}

/* Who joins recovers the dead: here its own number's last holder. */
SEEN_BY_EACH_IF(whose_pid_is_somebody_elses_who_joined_is_dead, may_choose_pids(),
		NO_CHOICE)
{
	struct victim *v = raise_victim(w, NULL);
	struct victim *heir = new_victim(w, NULL);

	take_number_of(v, be_victim, heir);
	assert_rc(is_alive(w, v->self), 0);
	assert_alive(w, heir->self);
	end_stranger(heir->pid);
	assert_dead(w, heir->self);
}

/* One that started at another time, by what its slot says. */
SEEN_BY_EACH(who_started_at_another_time_is_somebody_else)
{
	struct victim *v = raise_victim(w, close_everything);
	struct fr__a64 *started =
		&w->a->slots[fr__addr_slot(v->self)].started;

	assert_alive(w, v->self);
	fr__store_relaxed(started, fr__load_relaxed(started) - 1);
	assert_dead(w, v->self);
	kill_hard(v->pid);
}

static void *wait_for_end(void *ctx)
{
	struct victim *v = ctx;

	v->child = (pid_t)syscall(SYS_gettid);
	advance(&v->go);
	await(&v->end, 1);
	return NULL;
}

static void start_thread(struct victim *v)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, wait_for_end, v) == 0);
	await(&v->go, 1);
}

/* The number of a thread that is no process's. */
SEEN_BY_EACH(whose_pid_is_a_threads_number_is_dead)
{
	struct victim *v = raise_victim(w, NULL);
	struct victim *other = raise_victim(w, start_thread);
	struct fr__slot *s = &w->a->slots[fr__addr_slot(v->self)];

	kill_hard(v->pid);
	fr__store_relaxed(&s->state,
			  fr__slot_word(FR__SLOT_JOINED,
					(uint32_t)other->child,
					fr__addr_generation(v->self)));
	assert_dead(w, v->self);
	assert_alive(w, other->self);
	kill_hard(other->pid);
	assert_dead(w, other->self);
}

/* ---- threads ---- */

static void *live_on(void *ctx)
{
	struct victim *v = ctx;

	advance(&v->ready);
	await(&v->go, 1);
	close_everything(v);
	advance(&v->done);
	await(&v->end, 1);
	return NULL;
}

static int end_first_thread(void *ctx)
{
	struct victim *v = ctx;
	pthread_t thread;

	join_as(v);
	CHECK(pthread_create(&thread, NULL, live_on, v) == 0);
	CHECK(pthread_detach(thread) == 0);
	pthread_exit(NULL);
}

/* What /proc says of a process's first thread. */
static char state_of(pid_t pid)
{
	char path[32], text[512], *at;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	at = strrchr(text, ')');
	assert_non_null(at);
	return at[2];
}

SEEN_BY_EACH(whose_first_thread_has_ended_lives_as_long_as_another)
{
	struct victim *v = new_victim(w, NULL);
	pid_t pid = spawn(end_first_thread, v);

	await(&v->ready, 1);
	AWAIT(state_of(pid) == 'Z');
	assert_alive(w, v->self);
	/* Also without the lock. */
	advance(&v->go);
	await(&v->done, 1);
	assert_alive(w, v->self);
	stop(pid);
	assert_alive(w, v->self);
	kill(pid, SIGCONT);
	advance(&v->end); /* the last thread ends, and with it the process */
	become_zombie(pid);
	assert_dead(w, v->self);
	wait_ok(pid);
}

SEEN_BY_EACH(who_is_killed_after_its_first_thread_is_dead)
{
	struct victim *v = new_victim(w, NULL);
	pid_t pid = spawn(end_first_thread, v);

	await(&v->ready, 1);
	AWAIT(state_of(pid) == 'Z');
	assert_alive(w, v->self);
	kill(pid, SIGKILL);
	become_zombie(pid);
	assert_dead(w, v->self);
	wait_status(pid);
}

static void *end_at_once(void *ctx)
{
	(void)ctx;
	return NULL;
}

static void run_threads(struct victim *v)
{
	pthread_t threads[8];
	unsigned i;

	for (i = 0; i < 8; i++)
		CHECK(pthread_create(&threads[i], NULL, end_at_once, v) == 0);
	for (i = 0; i < 8; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static void run_threads_and_close(struct victim *v)
{
	run_threads(v);
	close_everything(v);
	run_threads(v);
}

SEEN_BY_EACH(whose_other_threads_have_ended_is_alive)
{
	struct victim *v = raise_victim(w, run_threads);
	struct victim *u = raise_victim(w, run_threads_and_close);

	assert_alive(w, v->self);
	assert_alive(w, u->self);
	kill_hard(v->pid);
	assert_dead(w, v->self);
	kill_hard(u->pid);
	assert_dead(w, u->self);
}

/* Each starts the next and ends. */
static void *pass_on(void *ctx)
{
	struct victim *v = ctx;
	pthread_t thread;

	if (__atomic_add_fetch(&v->threads, 1, __ATOMIC_RELAXED) == 1)
		advance(&v->ready);
	if (reached(&v->end))
		_exit(0);
	CHECK(pthread_create(&thread, NULL, pass_on, v) == 0);
	CHECK(pthread_detach(thread) == 0);
	return NULL;
}

static int run_a_relay(void *ctx)
{
	struct victim *v = ctx;
	pthread_t thread;

	join_as(v);
	close_everything(v);
	CHECK(pthread_create(&thread, NULL, pass_on, v) == 0);
	CHECK(pthread_detach(thread) == 0);
	pthread_exit(NULL);
}

/* There is always one, and never the same: whoever looks at one after the other
 * may find each gone. */
SEEN_BY_EACH(whose_threads_follow_one_another_is_alive)
{
	struct victim *v = new_victim(w, NULL);
	pid_t pid = spawn(run_a_relay, v);
	unsigned i;

	await(&v->ready, 1);
	AWAIT(state_of(pid) == 'Z');
	for (i = 0; i < 5000; i++)
		assert_rc(fr_recover(w->a), 0);
	assert_alive(w, v->self);
	advance(&v->end);
	become_zombie(pid);
	assert_dead(w, v->self);
	wait_ok(pid);
}

/* ---- fork ---- */

/* Fork a child that outlives its parent, but not for long: true in the child. */
static bool fork_heir(struct victim *v)
{
	pid_t pid = fork();

	CHECK(pid != -1);
	if (pid == 0)
		alarm(60);
	else
		v->child = pid;
	return pid == 0;
}

static void leave_a_child(struct victim *v)
{
	if (!fork_heir(v))
		return;
	advance(&v->go);
	await(&v->done, 1);
	_exit(0);
}

/* The child maps the arena and has its descriptor open. */
SEEN_BY_EACH(a_forked_child_does_not_keep_its_parent_alive)
{
	struct victim *v = raise_victim(w, leave_a_child);

	await(&v->go, 1);
	assert_alive(w, v->self);
	kill_hard(v->pid);
	assert_dead(w, v->self);
	assert_int_equal(kill(v->child, 0), 0);
	advance(&v->done);
}

static void leave_a_child_that_joins(struct victim *v)
{
	if (!fork_heir(v))
		return;
	await(&v->go, 1); /* the parent is dead */
	join_as(v);
	advance(&v->done);
	await(&v->end, 1);
	fr_leave(v->p);
	advance(&v->done);
	_exit(0);
}

SEEN_BY_EACH(a_child_that_joins_lives_without_its_parent)
{
	struct victim *v = raise_victim(w, leave_a_child_that_joins);
	struct fr_addr parent = v->self;

	kill_hard(v->pid);
	assert_dead(w, parent);
	advance(&v->go);
	await(&v->done, 1);
	assert_alive(w, v->self);
	assert_rc(is_alive(w, parent), 0);
	advance(&v->end);
	await(&v->done, 2);
}

static void detach_in_a_child(struct victim *v)
{
	int status;
	pid_t pid = fork();

	CHECK(pid != -1);
	if (pid == 0) {
		fr_leave(v->p);
		fr_arena_detach(v->arena);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

SEEN_BY_EACH(a_child_that_detaches_does_not_end_its_parent)
{
	struct victim *v = raise_victim(w, detach_in_a_child);

	assert_alive(w, v->self);
	kill_hard(v->pid);
	assert_dead(w, v->self);
}

/* ---- exec ---- */

static void exec_as(struct victim *v, const char *what, const char *more)
{
	char out[16];

	snprintf(out, sizeof(out), "%d", v->out);
	execl(PROGRAM, "test_death", what, out, more, NULL);
	CHECK(!"exec");
}

static void exec_stay(struct victim *v)
{
	exec_as(v, "stay", NULL);
}

static void exec_stay_with_descriptor(struct victim *v)
{
	CHECK(fcntl(fr_arena_fd(v->arena), F_SETFD, 0) == 0);
	CHECK(dup(fr_arena_fd(v->arena)) != -1);
	exec_as(v, "stay", NULL);
}

static void *exec_in_thread(void *ctx)
{
	exec_as(ctx, "stay", NULL);
	return NULL;
}

static void exec_stay_from_a_thread(struct victim *v)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, exec_in_thread, v) == 0);
	pthread_join(thread, NULL);
}

static void exec_again(struct victim *v)
{
	exec_as(v, "again", v->name);
}

static void exec_again_with_descriptor(struct victim *v)
{
	char fd[16];

	CHECK(fcntl(fr_arena_fd(v->arena), F_SETFD, 0) == 0);
	snprintf(fd, sizeof(fd), "%d", fr_arena_fd(v->arena));
	exec_as(v, "again_fd", fd);
}

/* A process that joins and becomes another program; where that joined. */
static struct fr_addr raise_exec(struct victim *v)
{
	struct fr_addr now;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	v->out = ends[1];
	v->pid = spawn(be_victim, v);
	close(ends[1]);
	assert_int_equal(read(ends[0], &now, sizeof(now)), sizeof(now));
	close(ends[0]);
	return now;
}

static void assert_exec_is_death(struct world *w, void (*act)(struct victim *))
{
	struct victim *v = new_victim(w, act);

	raise_exec(v);
	assert_dead(w, v->self);
	assert_int_equal(kill(v->pid, 0), 0);
	kill_hard(v->pid);
}

SEEN_BY_EACH(who_became_another_program_is_dead)
{
	assert_exec_is_death(w, exec_stay);
}

SEEN_BY_EACH(who_became_another_program_with_the_descriptor_open_is_dead)
{
	assert_exec_is_death(w, exec_stay_with_descriptor);
}

SEEN_BY_EACH(who_became_another_program_from_another_thread_is_dead)
{
	assert_exec_is_death(w, exec_stay_from_a_thread);
}

/* The next program of the same process has joined: what the first was is gone. */
static void assert_exec_is_another(struct world *w,
				   void (*act)(struct victim *))
{
	struct victim *v = new_victim(w, act);
	struct fr_addr now = raise_exec(v);

	recovered(w); /* unless the joiner has done it */
	assert_int_not_equal(v->self.id, now.id);
	assert_rc(is_alive(w, v->self), 0);
	assert_alive(w, now);
	kill_hard(v->pid);
	assert_dead(w, now);
}

SEEN_BY_EACH(who_became_another_program_that_joins_anew_is_another)
{
	assert_exec_is_another(w, exec_again);
}

SEEN_BY_EACH(who_became_another_program_that_joins_by_descriptor_is_another)
{
	assert_exec_is_another(w, exec_again_with_descriptor);
}

/* ---- descriptors ---- */

static void attach_again(struct victim *v)
{
	struct fr_arena *a, *b;

	CHECK_RC(fr_arena_attach(v->name, NULL, &a), 0);
	CHECK_RC(fr_arena_attach_fd(fr_arena_fd(v->arena), &b), 0);
	CHECK(a == v->arena && b == v->arena);
	fr_arena_detach(a);
	fr_arena_detach(b);
}

static void dup_and_close(struct victim *v)
{
	int fd = dup(fr_arena_fd(v->arena));

	CHECK(fd != -1 && close(fd) == 0);
}

static void open_and_close(struct victim *v)
{
	char path[sizeof("/dev/shm/forkring.") + FR_NAME_MAX];
	int fd;

	snprintf(path, sizeof(path), "/dev/shm/forkring.%s", v->name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd != -1 && close(fd) == 0);
}

static void close_the_descriptor(struct victim *v)
{
	CHECK(close(fr_arena_fd(v->arena)) == 0);
}

/* It lives, and is dead when it is. */
static void assert_still_alive(struct world *w, void (*act)(struct victim *))
{
	struct victim *v = raise_victim(w, act);

	assert_alive(w, v->self);
	assert_alive(w, v->self);
	kill(v->pid, SIGKILL);
	become_zombie(v->pid);
	assert_dead(w, v->self);
	wait_status(v->pid);
}

SEEN_BY_EACH(who_attached_again_is_alive)
{
	assert_still_alive(w, attach_again);
}

SEEN_BY_EACH(who_closed_a_copy_of_the_descriptor_is_alive)
{
	assert_still_alive(w, dup_and_close);
}

SEEN_BY_EACH(who_opened_the_file_and_closed_it_is_alive)
{
	assert_still_alive(w, open_and_close);
}

SEEN_BY_EACH(who_closed_the_descriptor_is_alive)
{
	assert_still_alive(w, close_the_descriptor);
}

SEEN_BY_EACH(who_closed_everything_is_alive)
{
	assert_still_alive(w, close_everything);
}

static void leave_a_child_and_close(struct victim *v)
{
	leave_a_child(v);
	close_everything(v);
}

SEEN_BY_EACH(who_closed_everything_dies_though_a_child_lives)
{
	struct victim *v = raise_victim(w, leave_a_child_and_close);

	await(&v->go, 1);
	assert_alive(w, v->self);
	kill_hard(v->pid);
	assert_dead(w, v->self);
	advance(&v->done);
}

/* ---- oneself ---- */

static void look_at_oneself(struct victim *v)
{
	struct fr_process *q;

	CHECK_RC(fr_join(v->arena, NULL, &q), 0);
	CHECK_RC(fr_recover(v->arena), 0);
	CHECK_RC(fr_alive(q, v->self), 1);
	dup_and_close(v);
	CHECK_RC(fr_recover(v->arena), 0);
	close_everything(v);
	CHECK_RC(fr_recover(v->arena), 0);
	CHECK_RC(fr_alive(v->p, fr_self(q)), 1);
	CHECK_RC(fr_alive(q, v->self), 1);
}

SEEN_BY_EACH(nobody_takes_itself_for_dead)
{
	struct victim *v = raise_victim(w, look_at_oneself);

	assert_alive(w, v->self);
	kill_hard(v->pid);
	assert_rc(recovered(w), 2);
}

static void *look_often(void *ctx)
{
	struct victim *v = ctx;
	unsigned i;

	for (i = 0; i < 1000; i++)
		CHECK_RC(fr_recover(v->arena), 0);
	return NULL;
}

static void look_while_joining(struct victim *v)
{
	pthread_t thread;
	struct fr_process *q;
	unsigned i;

	CHECK(pthread_create(&thread, NULL, look_often, v) == 0);
	for (i = 0; i < 300; i++) {
		CHECK_RC(fr_join(v->arena, NULL, &q), 0);
		fr_leave(q);
	}
	CHECK(pthread_join(thread, NULL) == 0);
}

SEEN_BY_EACH(nobody_takes_itself_for_dead_while_it_joins)
{
	struct victim *v = raise_victim(w, look_while_joining);

	kill_hard(v->pid);
	assert_dead(w, v->self);
}

/* ---- another pid namespace ---- */

#define REFUSED 77

/* Go into a new pid namespace with the next fork, and perhaps see it in /proc. */
static int enter_namespace(bool with_proc)
{
	if (unshare(with_proc ? CLONE_NEWPID | CLONE_NEWNS : CLONE_NEWPID) ==
	    -1)
		return -1;
	return with_proc ? mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) : 0;
}

static void mount_proc(void)
{
	CHECK(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		    NULL) == 0);
}

static int try_namespace(void *with_proc)
{
	return enter_namespace(with_proc != NULL) == 0 ? 0 : REFUSED;
}

static bool may_enter(bool with_proc)
{
	return wait_status(spawn(try_namespace, with_proc ? "" : NULL)) == 0;
}

/* Its child is the first process of a namespace, and the victim. */
static int enter_and_be_victim(void *ctx)
{
	struct victim *v = ctx;
	pid_t pid;
	int status;

	CHECK(enter_namespace(false) == 0);
	pid = fork();
	CHECK(pid != -1);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(be_victim(v));
	}
	await(&v->ready, 1);
	v->pid = pid; /* as we see it */
	advance(&v->go);
	CHECK(waitpid(pid, &status, 0) == pid);
	return 0;
}

static pid_t raise_in_namespace(struct victim *v)
{
	pid_t pid = spawn(enter_and_be_victim, v);

	await(&v->go, 1);
	return pid;
}

#define NO_NAMESPACE "no pid namespace may be made here"

SEEN_BY_EACH_IF(who_is_in_another_pid_namespace_is_alive_until_it_is_killed,
		may_enter(false), NO_NAMESPACE)
{
	struct victim *v = new_victim(w, NULL);
	pid_t pid = raise_in_namespace(v);

	assert_alive(w, v->self);
	kill(v->pid, SIGSTOP);
	AWAIT(state_of(v->pid) == 'T');
	assert_alive(w, v->self);
	kill(v->pid, SIGCONT);
	assert_alive(w, v->self);
	kill(v->pid, SIGKILL);
	wait_ok(pid);
	assert_dead(w, v->self);
}

/* There the lock is all that there is. */
SEEN_BY_EACH_IF(who_closes_the_descriptor_in_another_pid_namespace_has_left,
		may_enter(false), NO_NAMESPACE)
{
	struct victim *v = new_victim(w, close_everything);
	pid_t pid = raise_in_namespace(v);

	assert_dead(w, v->self);
	assert_int_equal(kill(v->pid, 0), 0);
	advance(&v->end);
	wait_ok(pid);
}

static void leave_after_closing(struct victim *v)
{
	close_everything(v);
	advance(&v->ready);
	await(&v->done, 1); /* its slot is somebody else's by now */
	fr_leave(v->p);
	advance(&v->done);
}

/* What it says and does from then on is of nobody. */
SEEN_BY_EACH_IF(who_was_taken_for_dead_does_not_hurt_its_slots_next_holder,
		may_enter(false), NO_NAMESPACE)
{
	struct victim *v = new_victim(w, leave_after_closing), *heir;
	struct fr_process *p;
	struct fr_task_id id;
	struct fr_result r;
	pid_t pid = raise_in_namespace(v);

	assert_dead(w, v->self);
	assert_rc(fr_join(w->a, &(struct fr_join_opts){.name = "heir"}, &p), 0);
	assert_int_equal(fr__addr_slot(fr_self(p)), fr__addr_slot(v->self));
	assert_rc(fr_submit(p, &(struct fr_task){.kind = 1}, &id), 0);
	advance(&v->done);
	await(&v->done, 2);
	assert_rc(fr_alive(p, fr_self(p)), 1);
	assert_rc(fr_task_cancel(p, id), 0);
	assert_rc(fr_collect(p, 0, &r), 0);
	fr_result_release(p, &r);
	heir = raise_victim(w, NULL);
	assert_int_not_equal(fr__addr_slot(heir->self),
			     fr__addr_slot(fr_self(p)));
	kill_hard(heir->pid);
	assert_dead(w, heir->self);
	fr_leave(p);
	advance(&v->end);
	wait_ok(pid);
}

struct inside {
	struct victim *v; /* outside, or raised inside */
	bool with_proc;
	int (*fn)(struct inside *in);
};

/* Do fn as the first process of a pid namespace. */
static int do_inside(void *ctx)
{
	struct inside *in = ctx;
	int status;
	pid_t pid;

	CHECK(enter_namespace(in->with_proc) == 0);
	fflush(NULL);
	pid = fork();
	CHECK(pid != -1);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (in->with_proc)
			mount_proc();
		_exit(in->fn(in));
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

static int look_outside(struct inside *in)
{
	struct fr_arena *a = in->v->arena;
	struct fr_process *p;

	CHECK_RC(fr_recover(a), 0);
	CHECK_RC(fr_join(a, NULL, &p), 0);
	CHECK_RC(fr_alive(p, in->v->self), 1);
	advance(&in->v->go);
	await(&in->v->done, 1); /* it has been killed */
	CHECK_RC(fr_recover(a), 1);
	CHECK_RC(fr_alive(p, in->v->self), 0);
	fr_leave(p);
	return 0;
}

static void who_is_outside_a_pid_namespace_is_alive_until_killed(void **state)
{
	struct inside *in = shared(sizeof(*in));
	struct world w;
	pid_t pid;

	(void)state;
	if (!may_enter(false))
		SKIP(NO_NAMESPACE);
	open_world(&w, JOINED);
	in->v = raise_victim(&w, NULL);
	in->fn = look_outside;
	pid = spawn(do_inside, in);
	await(&in->v->go, 1);
	kill_hard(in->v->pid);
	advance(&in->v->done);
	wait_ok(pid);
	close_world(&w);
}

/* One of the same namespace, without its lock. */
static int look_at_one_inside(struct inside *in)
{
	struct victim *v = in->v;
	int status;
	pid_t pid = fork();

	CHECK(pid != -1);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(be_victim(v));
	}
	await(&v->ready, 1);
	CHECK_RC(fr_recover(v->arena), 0);
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_RC(fr_recover(v->arena), 1);
	return 0;
}

static void look_on_inside(bool with_proc)
{
	struct inside *in = shared(sizeof(*in));
	struct world w;

	open_world(&w, STRANGER);
	in->v = new_victim(&w, close_everything);
	in->fn = look_at_one_inside;
	in->with_proc = with_proc;
	wait_ok(spawn(do_inside, in));
	close_world(&w);
}

static void inside_a_pid_namespace_who_closed_everything_is_alive(void **state)
{
	(void)state;
	if (!may_enter(true))
		SKIP("no pid namespace with a /proc may be made here");
	look_on_inside(true);
}

/* What /proc calls by their numbers there are others. */
static void inside_with_the_proc_of_another_namespace_it_is_alive(void **state)
{
	(void)state;
	if (!may_enter(false))
		SKIP(NO_NAMESPACE);
	look_on_inside(false);
}

/* ---- one that looks without seeing ---- */

/* The arena's descriptor is closed, and its number another file's. */
static void lose_the_descriptor(struct victim *v)
{
	int fd, i;

	close_everything(v);
	for (i = 0; i < 64; i++) {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		CHECK(fd != -1);
	}
	advance(&v->ready);
	await(&v->go, 1);
	CHECK_RC(fr_recover(v->arena), 0);
	advance(&v->done);
}

/* Of one in another namespace it sees nothing but the lock, and now not even
 * that. */
static void who_lost_the_descriptor_takes_nobody_for_dead(void **state)
{
	struct world w;
	struct victim *blind, *v;
	pid_t inner, pid;

	(void)state;
	if (!may_enter(false))
		SKIP(NO_NAMESPACE);
	open_world(&w, JOINED);
	v = new_victim(&w, NULL);
	inner = raise_in_namespace(v);
	blind = new_victim(&w, lose_the_descriptor);
	pid = spawn(be_victim, blind);
	await(&blind->ready, 1);
	advance(&blind->go);
	await(&blind->done, 1);
	assert_alive(&w, v->self);
	kill_hard(pid);
	assert_dead(&w, blind->self);
	kill(v->pid, SIGKILL);
	wait_ok(inner);
	assert_dead(&w, v->self);
	close_world(&w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(who_was_killed_is_dead),
		TEST(a_zombie_is_dead),
		TEST(who_ended_without_leaving_is_dead),
		TEST(each_of_several_is_dead_or_alive_for_itself),
		TEST(who_is_about_to_end_is_alive_until_it_has_ended),
		TEST(a_stopped_process_is_alive_and_stays_so),
		TEST(a_stopped_process_without_its_descriptors_is_alive),
		TEST(who_is_killed_while_stopped_is_dead),
		TEST(who_is_stopped_while_it_joins_or_leaves_is_alive),
		TEST(whose_pid_is_somebody_elses_is_dead),
		TEST(whose_pid_is_somebody_elses_who_joined_is_dead),
		TEST(who_started_at_another_time_is_somebody_else),
		TEST(whose_pid_is_a_threads_number_is_dead),
		TEST(whose_first_thread_has_ended_lives_as_long_as_another),
		TEST(who_is_killed_after_its_first_thread_is_dead),
		TEST(whose_other_threads_have_ended_is_alive),
		TEST(whose_threads_follow_one_another_is_alive),
		TEST(a_forked_child_does_not_keep_its_parent_alive),
		TEST(a_child_that_joins_lives_without_its_parent),
		TEST(a_child_that_detaches_does_not_end_its_parent),
		TEST(who_became_another_program_is_dead),
		TEST(who_became_another_program_with_the_descriptor_open_is_dead),
		TEST(who_became_another_program_from_another_thread_is_dead),
		TEST(who_became_another_program_that_joins_anew_is_another),
		TEST(who_became_another_program_that_joins_by_descriptor_is_another),
		TEST(who_attached_again_is_alive),
		TEST(who_closed_a_copy_of_the_descriptor_is_alive),
		TEST(who_opened_the_file_and_closed_it_is_alive),
		TEST(who_closed_the_descriptor_is_alive),
		TEST(who_closed_everything_is_alive),
		TEST(who_closed_everything_dies_though_a_child_lives),
		TEST(nobody_takes_itself_for_dead),
		TEST(nobody_takes_itself_for_dead_while_it_joins),
		TEST(who_is_in_another_pid_namespace_is_alive_until_it_is_killed),
		TEST(who_closes_the_descriptor_in_another_pid_namespace_has_left),
		TEST(who_was_taken_for_dead_does_not_hurt_its_slots_next_holder),
		TEST(who_is_outside_a_pid_namespace_is_alive_until_killed),
		TEST(inside_a_pid_namespace_who_closed_everything_is_alive),
		TEST(inside_with_the_proc_of_another_namespace_it_is_alive),
		TEST(who_lost_the_descriptor_takes_nobody_for_dead),
	};

	if (argc > 2)
		return another_program(argv);
	return cmocka_run_group_tests_name("death", tests, NULL, NULL);
}
