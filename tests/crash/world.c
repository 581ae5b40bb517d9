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
			 slash ? slash + 1 : file, line,
			 w->doing ? ", " : "", w->doing ? w->doing : "");
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
		give_up(file, line, "%s is %ld (%s), not %ld (%s)", what, actual,
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

static void on_signal(int sig)
{
	(void)sig;
}

/* A child that dies with us. */
static pid_t child(void)
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

void world_open(struct world *w)
{
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

	return fr_submit(p,
			 &(struct fr_task){
				 .arg = arg, .len = sizeof(arg), .kind = kind},
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

/* ---- sleepers ---- */

struct sleeper *find_sleeper(struct world *w,
			     int (*run)(struct world *, struct sleeper *))
{
	unsigned i;

	for (i = 0; i < w->sleeper_count; i++)
		if (w->sleepers[i].spec->run == run)
			return &w->sleepers[i];
	return NULL;
}

static struct fr_process *sleeper_joins(struct world *w, struct sleeper *sl,
					const char *name)
{
	struct fr_process *p = join(w->arena, name);

	sl->addr = fr_self(p);
	advance(&sl->joined);
	return p;
}

static void got_on(struct world *w, struct sleeper *sl)
{
	advance(&sl->progress);
	advance(&w->changed);
}

static struct sleeper *of_signal;

static void on_release(int sig)
{
	(void)sig;
	__atomic_store_n(&of_signal->released, 1, __ATOMIC_SEQ_CST);
}

/* Each sender's in order and once; what of a victim's is missing was never
 * committed, which survive.c counts. */
static void note_letter(struct sleeper *sl, const struct fr_message *m)
{
	enum who who;
	uint32_t number = read_letter(m, &who);

	if (who <= WHO_S2 ? number != sl->got[who]
			  : sl->got[who] && number <= sl->last[who])
		GIVE_UP("message %u of sender %u comes as its %u., after %u",
			number, who, sl->got[who], sl->last[who]);
	sl->last[who] = number;
	__atomic_fetch_add(&sl->got[who], 1, __ATOMIC_SEQ_CST);
}

/* With its own body; the caller may be gone. */
static void reply_to(struct fr_process *p, const struct fr_message *m)
{
	int rc;

	if (!m->call)
		return;
	rc = fr_reply(p, m->call, m->body, m->len);
	if (rc != -ESRCH)
		MUST_RC(rc, 0);
}

int sleep_for_mail(struct world *w, struct sleeper *sl)
{
	const struct sigaction action = {.sa_handler = on_release};
	struct fr_message held[UNITS], m;
	struct fr_process *p;
	unsigned n = 0;
	int rc;

	of_signal = sl;
	sigaction(SIGUSR1, &action, NULL);
	p = sleeper_joins(w, sl, "mail");
	for (;;) {
		rc = fr_receive(p, FR_FOREVER, &m);
		if (rc != -EINTR)
			MUST_RC(rc, 0);
		if (rc == 0 && m.type.id == FR_TYPE_EXIT.id)
			break;
		if (rc == 0) {
			note_letter(sl, &m);
			reply_to(p, &m);
			MUST(n < UNITS);
			held[n++] = m;
		}
		if (reached(&sl->released)) {
			fr_release_batch(p, held, n);
			n = 0;
			if (sl->released == 1)
				sl->released = 2;
		}
		got_on(w, sl);
	}
	fr_release(p, &m);
	fr_leave(p);
	return 0;
}

int sleep_for_room(struct world *w, struct sleeper *sl)
{
	struct fr_process *p = sleeper_joins(w, sl, NULL);
	struct fr_addr to = w->victims[sl->spec->of].addr;
	uint32_t number = 0;

	do {
		sl->rc = send_letter(p, to, WHO_W, number++, 8, FR_FOREVER);
		got_on(w, sl);
	} while (sl->rc == 0);
	MUST_RC(sl->rc, -ESRCH);
	fr_leave(p);
	return 0;
}

int sleep_for_tasks(struct world *w, struct sleeper *sl)
{
	struct fr_process *p = sleeper_joins(w, sl, NULL);
	struct fr_reply reply;
	struct fr_task task;
	uint32_t kind;

	do {
		MUST_RC(fr_take(p, FR_FOREVER, &task, &reply), 0);
		kind = task.kind;
		MUST_RC(complete_work(p, &task, &reply), 0);
		got_on(w, sl);
	} while (kind != KIND_STOP);
	fr_leave(p);
	return 0;
}

static int collect(struct world *w, struct sleeper *sl, unsigned count)
{
	struct fr_process *p = sleeper_joins(w, sl, NULL);
	struct fr_result r;
	unsigned i, seen = 0;

	for (i = 0; i < count; i++)
		MUST_RC(submit_work(p, KIND_WORK, i, NULL), 0);
	for (i = 0; i < count; i++) {
		MUST_RC(fr_collect(p, FR_FOREVER, &r), 0);
		MUST(r.value >= 0 && r.value < (int)count);
		check_result(&r, (uint32_t)r.value);
		MUST(!(seen & 1u << r.value));
		seen |= 1u << r.value;
		fr_result_release(p, &r);
		got_on(w, sl);
	}
	MUST_RC(fr_collect(p, 0, &r), -ENODATA);
	fr_leave(p);
	return 0;
}

int sleep_for_result(struct world *w, struct sleeper *sl)
{
	return collect(w, sl, 1);
}

int sleep_for_results(struct world *w, struct sleeper *sl)
{
	return collect(w, sl, 2);
}

int sleep_for_event(struct world *w, struct sleeper *sl)
{
	struct fr_process *p = sleeper_joins(w, sl, NULL);

	sl->rc = fr_event_wait(p, w->event, FR_FOREVER);
	if (sl->rc != -ESTALE)
		MUST_RC(sl->rc, 0);
	fr_leave(p);
	return 0;
}

int sleep_for_event_from(struct world *w, struct sleeper *sl)
{
	struct fr_process *p = sleeper_joins(w, sl, NULL);

	sl->rc = fr_event_wait_from(p, w->event, w->victims[sl->spec->of].addr,
				    FR_FOREVER);
	if (sl->rc != -EOWNERDEAD)
		MUST_RC(sl->rc, 0);
	fr_leave(p);
	return 0;
}

int sleep_for_reply(struct world *w, struct sleeper *sl)
{
	struct fr_process *p = sleeper_joins(w, sl, NULL);
	unsigned char body[24], reply[24];

	write_letter(body, WHO_W, 0, sizeof(body));
	sl->rc = fr_call(p, w->victims[sl->spec->of].addr, (struct fr_type){0},
			 body, sizeof(body), FR_FOREVER, reply, sizeof(reply));
	if (sl->rc != -EOWNERDEAD) {
		MUST_RC(sl->rc, sizeof(reply));
		MUST(memcmp(body, reply, sizeof(body)) == 0);
	}
	fr_leave(p);
	return 0;
}

int sleep_for_name(struct world *w, struct sleeper *sl)
{
	struct fr_process *p = sleeper_joins(w, sl, NULL);
	struct fr_addr found;

	MUST_RC(fr_wait_name(p, "victim", FR_FOREVER, &found), 0);
	fr_leave(p);
	return 0;
}

bool sleeper_sleeps(const struct world *w, const struct sleeper *sl)
{
	uintptr_t base = (uintptr_t)w->arena->base;
	uint64_t word;
	uint32_t value;

	return sleeps_on(sl->pid, &word, &value) && word >= base &&
	       word < base + w->arena->bytes &&
	       __atomic_load_n((uint32_t *)(uintptr_t)word,
			       __ATOMIC_SEQ_CST) == value;
}

void wait_until_asleep(struct world *w, const struct sleeper *sl)
{
	while (!sleeper_sleeps(w, sl))
		breathe(w);
}

void sleeper_ended(struct world *w, struct sleeper *sl, int status)
{
	sl->pid = 0;
	look_at_children(w);
	if (status != 0)
		GIVE_UP("sleeper %u ends with status %#x",
			(unsigned)(sl - w->sleepers), (unsigned)status);
}

void freeze_sleepers(struct world *w, int (*run)(struct world *,
						 struct sleeper *))
{
	unsigned i;
	int status;

	for (i = 0; i < w->sleeper_count; i++) {
		struct sleeper *sl = &w->sleepers[i];

		if (sl->pid == 0 || (run && sl->spec->run != run))
			continue;
		kill(sl->pid, SIGSTOP);
		if (waitpid(sl->pid, &status, WUNTRACED) != sl->pid)
			GIVE_UP("sleeper %u does not stop", i);
		if (!WIFSTOPPED(status))
			sleeper_ended(w, sl, status);
	}
}

void thaw_sleepers(struct world *w)
{
	unsigned i;

	for (i = 0; i < w->sleeper_count; i++)
		if (w->sleepers[i].pid)
			kill(w->sleepers[i].pid, SIGCONT);
}

/* Fill the mailbox of one who sleeps for mail, as the state wants it. */
static void feed(struct world *w, struct sleeper *sl)
{
	unsigned count = w->state == RING_HALF	 ? UNITS / 2
			 : w->state == RING_NEARLY ? UNITS - 3
			 : w->state == RING_PASSED ? 3
						   : 0;

	if (w->state == RING_PASSED)
		MUST_RC(fr_claim(w->s2, sl->addr, (struct fr_type){0}, 8, 0,
				 &w->open), 0);
	for (; sl->s_letters < count; sl->s_letters++)
		MUST_RC(send_letter(w->s, sl->addr, WHO_S, sl->s_letters, 8, 0),
			0);
	while (reached(&sl->got[WHO_S]) < count)
		breathe(w);
	wait_until_asleep(w, sl);
}

static void start_sleeper(struct world *w, const struct sleeper_spec *spec)
{
	struct sleeper *sl = &w->sleepers[w->sleeper_count++];

	pid_t pid;

	sl->spec = spec;
	pid = child();
	if (pid == 0) {
		signal(SIGUSR1, on_signal);
		if (spec->run(w, sl) != 0)
			_exit(1);
		advance(&sl->ended);
		advance(&w->changed);
		_exit(0);
	}
	sl->pid = pid;
	while (!reached(&sl->joined))
		breathe(w);
	wait_until_asleep(w, sl);
	if (spec->run == sleep_for_mail)
		feed(w, sl);
}

void world_sleepers(struct world *w, enum stage stage)
{
	unsigned i;

	for (i = 0; i < SLEEPERS && w->op->sleepers[i].run; i++)
		if (w->op->sleepers[i].stage == stage)
			start_sleeper(w, &w->op->sleepers[i]);
}
