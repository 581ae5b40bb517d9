/* SPDX-License-Identifier: MIT */
#include "point.h"

#include "../harness.h"
#include "ops.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* Victims that sleep do so for this time: enough for one that is stepped on its
 * way there, and to look afterwards who else lives. */
#define LIMIT_NS (300 * MS)
#define TRIES	 4 /* to come by the place, before the point is taken as it is */

const char *const job_names[JOB_KINDS] = {
	"trace", "kill", "slice", "stop", "asleep", "trace2", "pair",
};

/* ---- the watchdog ---- */

static struct world *watched;

static void on_alarm(int sig)
{
	struct world *w = watched;
	char text[300] = "";
	unsigned i;
	size_t n = 0;

	(void)sig;
	for (i = 0; i < w->sleeper_count && n < sizeof(text); i++)
		n += (size_t)snprintf(
			text + n, sizeof(text) - n, "; sleeper %u %s", i,
			w->sleepers[i].ended		     ? "has ended"
			: sleeper_sleeps(w, &w->sleepers[i]) ? "sleeps"
							     : "runs");
	GIVE_UP("a survivor is stuck%s", text);
}

static void watch(struct world *w, unsigned seconds)
{
	const struct sigaction action = {.sa_handler = on_alarm};

	watched = w;
	sigaction(SIGALRM, &action, NULL);
	alarm(seconds);
}

/* ---- victims ---- */

static void to_mark(struct world *w, struct victim *v)
{
	advance(&v->go);
	if (trace_to_mark(v->pid) == TRACE_THERE)
		return;
	look_at_children(w);
	GIVE_UP("the victim does not come to its operation");
}

/* Reaped at once, or only at the end: a zombie is as dead. */
static void kill_victim(struct victim *v, bool zombie)
{
	siginfo_t info;

	kill(v->pid, SIGKILL);
	if (zombie) {
		waitid(P_PID, (id_t)v->pid, &info, WEXITED | WNOWAIT);
		return;
	}
	while (waitpid(v->pid, NULL, __WALL) == -1 && errno == EINTR)
		;
	v->pid = 0;
}

/* A victim that lives comes to its end. */
static void let_end(struct world *w, struct victim *v)
{
	int status;

	w->doing = "the victim goes on";
	advance(&w->parked);
	while (waitpid(v->pid, &status, 0) == -1)
		if (errno != EINTR)
			GIVE_UP("waitpid: %s", strerror(errno));
	v->pid = 0;
	look_at_children(w);
	if (status != 0)
		GIVE_UP("the victim ends with status %#x", (unsigned)status);
	w->doing = NULL;
}

/* A victim that stands at its mark is hurt no more. */
static void let_go_on(struct world *w, struct victim *v)
{
	v->unmarked = true;
	trace_let_go(v->pid, 0);
	let_end(w, v);
}

/* To place k, or to where this try has come. First with everybody at work; then as the
 * trace was recorded: who is woken on the way may do what the victim was to do. */
static void go(struct world *w, struct victim *v, const struct trace *t,
	       uint32_t k, unsigned tries)
{
	bool alone = tries > 0 && !(w->op->flags & OP_ANSWERED);
	enum trace_end end;
	uint32_t i;

	for (i = 0; i < k; i++)
		if (t->at[i].flags & PLACE_SLEEPS)
			w->parked = 1; /* so will the victim, and we with it */
	if (alone)
		freeze_sleepers(w, NULL);
	end = trace_go(v->pid, t, k);
	if (alone)
		thaw_sleepers(w);
	if (end == TRACE_ENDED) {
		look_at_children(w);
		GIVE_UP("the victim ends by itself");
	}
	if (end == TRACE_THERE)
		return;
	w->missed = 1;
	if (tries + 1 < TRIES) {
		end_children(w);
		if (w->name[0])
			fr_arena_unlink(w->name);
		_exit(2);
	}
}

/* Run on until it sleeps in the system call it stands before. */
static void go_to_sleep(struct world *w, struct victim *v)
{
	uint64_t word;
	uint32_t value;
	int status;

	v->unmarked = true; /* its end is told by its exit */
	trace_let_go(v->pid, 0);
	while (!sleeps_on(v->pid, &word, &value)) {
		breathe(w);
		if (waitpid(v->pid, &status, WNOHANG) != v->pid)
			continue;
		v->pid = 0;
		w->missed = 1;
		end_children(w);
		_exit(2);
	}
}

static void stop(struct world *w, struct victim *v)
{
	int status;

	v->unmarked = true;
	trace_let_go(v->pid, SIGSTOP);
	if (waitpid(v->pid, &status, WUNTRACED) != v->pid ||
	    !WIFSTOPPED(status)) {
		look_at_children(w);
		GIVE_UP("the victim does not stop");
	}
	w->stopped = true;
}

/* ---- the world, up to the operation ---- */

static void start_dead_one(struct world *w)
{
	struct victim *d = &w->victims[D];

	advance(&d->go);
	while (!reached(&d->prepared))
		breathe(w);
}

static void wait_all_asleep(struct world *w)
{
	unsigned i;

	for (i = 0; i < w->sleeper_count; i++)
		wait_until_asleep(w, &w->sleepers[i]);
}

static void set_stage(struct world *w)
{
	const struct op *op = w->op;

	w->doing = "before the operation";
	if (op->flags & OP_EARLY)
		world_victim(w, V, op->run);
	if (!(op->flags & OP_ALONE))
		world_open(w);
	if (op->setup)
		op->setup(w);
	advance(&w->made);
	world_sleepers(w, STAGE_FIRST);
	if (!(op->flags & OP_EARLY))
		world_victim(w, V, op->run);
	if (op->run2)
		world_victim(w, V2, op->run2);
	if (op->flags & OP_DEAD)
		world_victim(w, D, NULL);
	while (!reached(&w->victims[V].entered))
		breathe(w);
	world_sleepers(w, STAGE_FEED);
	if (op->feed)
		op->feed(w);
	to_mark(w, &w->victims[V]);
	if (op->run2)
		to_mark(w, &w->victims[V2]);
	if (op->flags & OP_DEAD)
		start_dead_one(w);
	if (op->ready)
		op->ready(w);
	world_sleepers(w, STAGE_READY);
	wait_all_asleep(w);
	if (op->flags & OP_DEAD) {
		/* They sleep in short slices, and would be first to recover. */
		freeze_sleepers(w, sleep_for_room);
		kill_victim(&w->victims[D], false);
	}
	w->doing = NULL;
}

/* ---- after it ---- */

/* What each receiver of mail must get: of a dead one what is in the ring, where
 * either all or nothing of its operation is; of others what they say. */
static void count_committed(struct world *w, const bool *killed)
{
	unsigned i, k, n, sent;

	for (i = 0; i < w->sleeper_count; i++) {
		struct sleeper *sl = &w->sleepers[i];

		if (sl->spec->run != sleep_for_mail)
			continue;
		sl->expected = 0;
		for (k = 0; k < VICTIMS; k++) {
			sent = w->victims[k].committed;
			n = !killed[k]
				    ? sent
				    : committed_in(
					      w->arena, (uint32_t)sl->addr.id,
					      (uint32_t)w->victims[k].addr.id);
			if (n != sent && n != sent + w->op->sends)
				GIVE_UP("%u messages of a victim are there, "
					"after %u",
					n, sent);
			sl->expected += n;
		}
	}
}

static void recover(struct world *w)
{
	int rc;

	if (!w->arena)
		return;
	w->doing = "recovering";
	w->recovered = true;
	rc = fr_recover(w->arena);
	if (rc < 0)
		GIVE_UP("fr_recover() is %d (%s)", rc, strerror(-rc));
	w->doing = NULL;
}

static void reap_all(struct world *w)
{
	w->doing = "at the end";
	while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
		;
	w->doing = NULL;
}

static void after(struct world *w, bool supervised, bool rung)
{
	thaw_sleepers(w);
	if (supervised)
		recover(w);
	wait_for_owed(w, rung);
	w->doing = "after the operation";
	if (w->op->survive)
		w->op->survive(w);
	end_sleepers(w);
	recover(w);
	exercise(w);
	reap_all(w);
}

/* ---- jobs ---- */

/* Alone at work in the arena; but where somebody is to answer. */
static enum trace_end record(struct world *w, struct victim *v, struct trace *t)
{
	enum trace_end end;

	if (w->op->flags & OP_ANSWERED)
		return trace_record(v->pid, t, false);
	freeze_sleepers(w, NULL);
	end = trace_record(v->pid, t, true);
	thaw_sleepers(w);
	return end;
}

static void do_trace(struct world *w, struct trace *t)
{
	const bool killed[VICTIMS] = {false};
	enum trace_end end;

	w->doing = "tracing";
	end = record(w, &w->victims[V], t);
	if (end == TRACE_TOO_LONG)
		GIVE_UP("the operation takes more than %zu instructions",
			t->max);
	if (end == TRACE_ENDED) {
		look_at_children(w);
		GIVE_UP("the victim ends by itself");
	}
	let_go_on(w, &w->victims[V]);
	if (w->op->run2) {
		let_go_on(w, &w->victims[V2]);
	}
	count_committed(w, killed);
	after(w, false, false);
}

static void do_kill(struct world *w, const struct job *job,
		    const struct trace *t)
{
	const bool killed[VICTIMS] = {[V] = true};
	bool sliced = job->kind == JOB_SLICE;

	go(w, &w->victims[V], t, job->k, job->tries);
	if (job->kind == JOB_ASLEEP)
		go_to_sleep(w, &w->victims[V]);
	kill_victim(&w->victims[V], job->k % 2);
	if (w->op->run2) { /* it is to die alone */
		let_go_on(w, &w->victims[V2]);
	}
	count_committed(w, killed);
	after(w, !sliced, !sliced);
}

/* An arena under the victim's name can be used. */
static void use_name(struct world *w)
{
	struct fr_process *p;
	struct fr_arena *a;
	int rc;

	if (!w->name[0])
		return;
	rc = fr_arena_attach(w->name, NULL, &a);
	if (rc == -ENOENT || rc == -EBUSY)
		return;
	MUST_RC(rc, 0);
	rc = fr_join(a, NULL, &p);
	if (rc == 0) {
		MUST_RC(send_letter(p, fr_self(p), WHO_S, 0, 8, 0), 0);
		fr_leave(p);
	}
	fr_arena_detach(a);
}

static void do_stop(struct world *w, const struct job *job,
		    const struct trace *t)
{
	const bool killed[VICTIMS] = {false};
	struct victim *v = &w->victims[V];

	go(w, v, t, job->k, job->tries);
	stop(w, v);
	if (w->op->flags & OP_ALONE)
		use_name(w);
	else
		others_go_on(w);
	if (w->op->meanwhile)
		w->op->meanwhile(w);
	kill(v->pid, SIGCONT);
	let_end(w, v);
	count_committed(w, killed);
	after(w, false, false);
}

static void do_pair(struct world *w, const struct job *job,
		    const struct trace *t, struct trace *t2)
{
	bool killed[VICTIMS] = {[V] = true};
	struct victim *one = &w->victims[V], *two = &w->victims[V2];

	go(w, one, t, job->k, job->tries);
	if (!w->op->together)
		kill_victim(one, job->l % 2);
	if (job->kind == JOB_TRACE2) {
		if (record(w, two, t2) != TRACE_THERE)
			GIVE_UP("the second victim does not come to its end");
	} else {
		go(w, two, t2, job->l, job->tries);
	}
	if (w->op->together)
		kill_victim(one, job->l % 2);
	if (job->kind == JOB_TRACE2) {
		let_go_on(w, two);
	} else {
		kill_victim(two, job->k % 2);
		killed[V2] = true;
	}
	count_committed(w, killed);
	after(w, true, true);
}

void point(struct world *w, const struct job *job, struct trace *t,
	   struct trace *t2, unsigned seconds)
{
	w->limit_ns = LIMIT_NS;
	failing_for(w);
	watch(w, seconds);
	set_stage(w);
	switch (job->kind) {
	case JOB_TRACE:
		do_trace(w, t);
		break;
	case JOB_STOP:
		do_stop(w, job, t);
		break;
	case JOB_TRACE2:
	case JOB_PAIR:
		do_pair(w, job, t, t2);
		break;
	default:
		do_kill(w, job, t);
		break;
	}
	_exit(0);
}
