/* SPDX-License-Identifier: MIT */
#include "world.h"

#include "../harness.h"
#include "arena.h"
#include "ops.h"
#include "trace.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char *ring_state_name(enum ring_state state)
{
	static const char *const names[RING_STATES] = {
		"", "empty", "half", "nearly-full", "full", "wrap", "passed",
		"runs",
	};

	return names[state];
}

/* ---- failing ---- */

static struct world *world;

void failing_for(struct world *w)
{
	world = w;
	w->survivor = getpid();
}

void end_children(struct world *w)
{
	unsigned i;

	for (i = 0; i < VICTIMS; i++)
		if (w->victims[i].pid > 0)
			kill(w->victims[i].pid, SIGKILL);
	for (i = 0; i < w->sleeper_count; i++)
		if (w->sleepers[i].pid > 0)
			kill(w->sleepers[i].pid, SIGKILL);
	while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
		;
}

void give_up(const char *file, int line, const char *format, ...)
{
	struct world *w = world;
	const char *slash = strrchr(file, '/');
	va_list args;
	size_t n;

	/* Only the first says why. */
	if (!__atomic_exchange_n(&w->failed, 1, __ATOMIC_SEQ_CST)) {
		va_start(args, format);
		vsnprintf(w->why, sizeof(w->why), format, args);
		va_end(args);
		n = strlen(w->why);
		snprintf(w->why + n, sizeof(w->why) - n, " (%s:%d%s%s)",
			 slash ? slash + 1 : file, line, w->doing ? ", " : "",
			 w->doing ? w->doing : "");
	}
	if (getpid() == w->survivor) {
		end_children(w);
		if (w->name[0])
			fr_arena_unlink(w->name);
	}
	_exit(1);
}

void must_not(const char *what, const char *file, int line)
{
	give_up(file, line, "not so: %s", what);
}

void must_rc(long actual, long expected, const char *what, const char *file,
	     int line)
{
	if (actual != expected)
		give_up(file, line, "%s is %ld (%s), not %ld (%s)", what,
			actual,
			actual < 0 ? strerror((int)-actual) : "no error",
			expected,
			expected < 0 ? strerror((int)-expected) : "no error");
}

void look_at_children(struct world *w)
{
	if (reached(&w->failed))
		give_up(__FILE__, __LINE__, "%s", w->why);
}

void breathe(struct world *w)
{
	look_at_children(w);
	sched_yield();
}

/* ---- processes ---- */

struct fr_process *join(struct fr_arena *arena, const char *name)
{
	struct fr_join_opts opts = {.name = name, .wait = FR_WAIT_SLEEP};
	struct fr_process *p = NULL;

	MUST_RC(fr_join(arena, &opts, &p), 0);
	return p;
}

pid_t child(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == -1)
		GIVE_UP("fork: %s", strerror(errno));
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		alarm(0);
		signal(SIGALRM, SIG_DFL);
	}
	return pid;
}

static void open_event(struct world *w)
{
	if (w->op->flags & OP_EVENT)
		MUST_RC(fr_event_reserve(w->s, w->group, &w->event), 0);
}

/* As two long records leave it. */
static void free_in_runs(const struct fr__ring *r)
{
	struct fr__reader reader;
	struct fr__place place;
	uint64_t position;
	unsigned i, owner;

	fr__reader_init(&reader, r);
	for (i = 0; i < 2; i++) {
		MUST_RC(fr__ring_claim(r, 0, UNITS / 2, &place), 0);
		fr__ring_publish(r, 0, place.position, place.units);
		fr__ring_advance(r, place.position, place.units);
		MUST_RC(fr__ring_next(r, &reader, &position, &owner), 1);
		MUST_RC(fr__ring_release(r, &reader, position), 0);
	}
}

void world_open(struct world *w)
{
	unsigned i;
	struct fr_arena_opts opts = {
		.slots = w->op->slots ? w->op->slots : 8,
		.mailbox_bytes = UNITS * 64,
		.cells = CELLS,
		.arg_max = 64,
		.result_max = 64,
		.events = EVENTS + 2,
		.types = 16,
		.start_position = w->state == RING_WRAP ? -3ull : 0,
	};

	if (w->op->flags & OP_NAMED_ARENA)
		strcpy(w->name, new_name());
	MUST_RC(fr_arena_create(w->name[0] ? w->name : NULL, &opts, &w->arena),
		0);
	for (i = 0; i < opts.slots && w->state == RING_RUNS; i++)
		free_in_runs(fr__arena_ring(w->arena, i));
	w->s = join(w->arena, "s");
	w->s_addr = fr_self(w->s);
	if (w->state == RING_PASSED) {
		w->s2 = join(w->arena, "s2");
		w->s2_addr = fr_self(w->s2);
	}
	MUST_RC(fr_event_group_create(w->arena, EVENTS, &w->group), 0);
	open_event(w);
	advance(&w->made);
}

/* ---- victims ---- */

static void end_victim(struct world *w, struct victim *v)
{
	void (*end)(struct world *, struct victim *);

	if (v->in_hand)
		MUST_RC(complete_work(v->p, &v->task, &v->reply), 0);
	if (v->held_count && !v->left)
		fr_release_batch(v->p, v->held, v->held_count);
	end = v == &w->victims[V2] ? w->op->end2 : w->op->end;
	if (end)
		end(w, v);
	if (v->p && !v->left)
		fr_leave(v->p);
}

static int be_victim(struct world *w, struct victim *v,
		     void (*run)(struct world *, struct victim *))
{
	const struct op *op = w->op;

	await(&w->made, 1);
	if (!(op->flags & OP_EARLY))
		v->arena = w->arena;
	if (!(op->flags & OP_UNJOINED)) {
		v->p = join(v->arena, op->flags & OP_NAMED ? "victim" : NULL);
		v->addr = fr_self(v->p);
	}
	if (op->enter)
		op->enter(w, v);
	advance(&v->entered);
	await(&v->go, 1);
	if (op->prepare)
		op->prepare(w, v);
	MARK();
	run(w, v);
	if (!v->unmarked)
		MARK();
	end_victim(w, v);
	return 0;
}

/* D: has prepared, and is killed without having done anything more. */
static void be_dead(struct world *w, struct victim *v)
{
	v->arena = w->arena;
	v->p = join(v->arena, "victim");
	v->addr = fr_self(v->p);
	advance(&v->entered);
	await(&v->go, 1);
	w->op->doom(w, v);
	advance(&v->prepared);
	for (;;)
		pause();
}

void world_victim(struct world *w, unsigned i,
		  void (*run)(struct world *, struct victim *))
{
	struct victim *v = &w->victims[i];

	pid_t pid;

	v->who = WHO_V + i;
	pid = child();
	if (pid == 0) {
		if (i == D)
			be_dead(w, v);
		MUST_RC(trace_me(), 0);
		_exit(be_victim(w, v, run));
	}
	v->pid = pid; /* shared: not in the child */
	if (i != D && (w->op->flags & OP_EARLY))
		return;
	while (!reached(&v->entered))
		breathe(w);
}

/* ---- letters and tasks ---- */

struct letter {
	uint32_t who, number;
	unsigned char text[];
};

static unsigned char byte_of(enum who who, uint32_t number, size_t i)
{
	return (unsigned char)(who * 89 + number * 7 + i * 13 + 1);
}

void write_letter(void *body, enum who who, uint32_t number, size_t len)
{
	struct letter *l = body;
	size_t i;

	l->who = who;
	l->number = number;
	for (i = 0; i < len - sizeof(*l); i++)
		l->text[i] = byte_of(who, number, i);
}

int send_letter(struct fr_process *p, struct fr_addr to, enum who who,
		uint32_t number, size_t len, int64_t wait_ns)
{
	_Alignas(8) unsigned char body[512];

	write_letter(body, who, number, len);
	return fr_send(p, to, (struct fr_type){0}, body, len, wait_ns);
}

uint32_t read_letter(const struct fr_message *m, enum who *who)
{
	const struct letter *l = m->body;
	size_t i;

	if (m->len < sizeof(*l) || l->who >= WHO_COUNT)
		GIVE_UP("a message of %zu bytes that nobody has sent", m->len);
	for (i = 0; i < m->len - sizeof(*l); i++)
		if (l->text[i] != byte_of(l->who, l->number, i))
			GIVE_UP("message %u of %u is not as it was sent",
				l->number, l->who);
	*who = l->who;
	return l->number;
}

int submit_work(struct fr_process *p, uint32_t kind, uint32_t number,
		struct fr_task_id *id)
{
	struct fr_task_id unused;
	uint64_t arg[2] = {number, ~(uint64_t)number};

	return fr_submit(
		p,
		&(struct fr_task){.arg = arg, .len = sizeof(arg), .kind = kind},
		id ? id : &unused);
}

int complete_work(struct fr_process *p, const struct fr_task *task,
		  struct fr_reply *reply)
{
	uint64_t arg[2], result;

	MUST(task->len == sizeof(arg));
	memcpy(arg, task->arg, sizeof(arg));
	MUST(arg[1] == ~arg[0]);
	result = arg[0] * 3 + 1;
	memcpy(reply->data, &result, sizeof(result));
	reply->len = sizeof(result);
	return fr_complete(p, (int)arg[0], reply);
}

void check_result(const struct fr_result *r, uint32_t number)
{
	uint64_t result = 0;

	if (r->status != FR_TASK_DONE)
		GIVE_UP("task %u: status %d after attempt %u", number,
			(int)r->status, r->attempt);
	MUST(r->len == sizeof(result) && r->value == (int)number);
	memcpy(&result, r->data, sizeof(result));
	MUST(result == (uint64_t)number * 3 + 1);
}
