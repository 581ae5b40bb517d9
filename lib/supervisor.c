/* SPDX-License-Identifier: MIT */
/*
 * The supervisor: forks children, notices their end, ends them.
 *
 * A child's slot is reserved before it is forked, so that its address is known
 * and its mail waits. It joins there, runs setup, run and teardown, and ends by
 * _exit(2). It ignores SIGINT (a terminal's Ctrl-C reaches the whole group; it
 * is main that decides) and is killed by the kernel if the thread that forked
 * it ends (PR_SET_PDEATHSIG).
 *
 * SIGINT, SIGTERM and SIGCHLD interrupt whatever main is waiting for, by
 * fr_interrupt(): main's loop then looks what it was. Only pids that were
 * forked here are ever waited for.
 *
 *	described -> running -> ended		by a normal end
 *			^	  |
 *			+---------+		failed, FR_RESTART_ON_FAILURE
 *
 * The end: an exit message to each; SIGTERM after a grace time; SIGKILL after
 * another. Until all are gone main goes on delivering its messages, so that no
 * child is stuck in a send to it.
 *
 * A death of main leaves children that the kernel kills.
 */
#include "forkring/supervisor.h"

#include "forkring/message.h"
#include "forkring/task.h"
#include "process.h"
#include "supervisor.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define EXIT_GRACE_NS INT64_C(5000000000)
#define TERM_GRACE_NS INT64_C(1000000000)
#define LOOK_NS INT64_C(50000000) /* at the children, while they end */
#define UNKNOWN (255 << 8) /* status of a child that others have reaped */

enum child_state {
	DESCRIBED,
	RUNNING,
	ENDED,
};

struct child {
	struct child *next;
	struct fr_child_opts opts;
	char name[FR__NAME_BYTES];
	enum child_state state;
	struct fr_addr addr;
	pid_t pid;
	int64_t started_ns;
	unsigned restarts; /* in a row */
	bool told;         /* to exit */
};

struct fr_supervisor {
	struct fr_process *process;
	struct fr__cookie cookie; /* of the process that opened it */
	struct fr_supervisor_opts opts;
	struct child *children, **last;
	int failure; /* -ECHILD once a child has failed for good */
	bool stopping;
	unsigned stops; /* how often everything was stopped */
	uint32_t ends;  /* as counted when the children were looked at */
	int64_t looked_ns;
};

static const int signals[] = {SIGINT, SIGTERM, SIGCHLD};

/* What the signal handlers may touch. */
static struct fr_supervisor *current; /* set before they are in place */
static struct fr__a32 asked; /* SIGINT and SIGTERM since open */
static struct fr__a32 ends;  /* SIGCHLD since open */
static struct sigaction old_int, old_term, old_chld;

static struct sigaction *old_action(int signal)
{
	return signal == SIGINT	   ? &old_int
	       : signal == SIGTERM ? &old_term
				   : &old_chld;
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
	struct sigaction *old = old_action(signal);
	struct fr_supervisor *s = current;

	if (!s)
		return;
	if (!fr__cookie_good(&s->cookie)) {
		/* In a child that was forked past us: as if we were not. */
		sigaction(signal, old, NULL);
		raise(signal);
		return;
	}
	/* [SUPERVISOR-1] relaxed: counts, read by the same thread or after the
	 * wait that this interrupts. */
	fr__add_relaxed(signal == SIGCHLD ? &ends : &asked, 1);
	fr_interrupt(s->process);
	if (signal != SIGCHLD)
		return;
	if (old->sa_flags & SA_SIGINFO)
		old->sa_sigaction(signal, info, context);
	else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN)
		old->sa_handler(signal);
}

static void take_signals(void)
{
	struct sigaction sa = {
		.sa_sigaction = on_signal,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};
	struct sigaction old;
	unsigned i;

	sigemptyset(&sa.sa_mask);
	for (i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		sigaction(signals[i], &sa, &old);
		/* Ours already, in a child of a supervisor: what was there
		 * before the parent's is known. */
		if (!(old.sa_flags & SA_SIGINFO) ||
		    old.sa_sigaction != on_signal)
			*old_action(signals[i]) = old;
	}
}

static void give_signals_back(void)
{
	unsigned i;

	for (i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaction(signals[i], old_action(signals[i]), NULL);
}

int fr_supervisor_open(struct fr_process *process,
		       const struct fr_supervisor_opts *opts,
		       struct fr_supervisor **ret)
{
	struct fr_supervisor *s;
	int rc = fr__own(process);

	if (rc < 0)
		return rc;
	if (current && fr__cookie_good(&current->cookie))
		return -EBUSY;
	if (opts && (opts->exit_grace_ns < 0 || opts->term_grace_ns < 0))
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->process = process;
	s->cookie = process->cookie;
	s->last = &s->children;
	if (opts)
		s->opts = *opts;
	if (s->opts.exit_grace_ns == 0)
		s->opts.exit_grace_ns = EXIT_GRACE_NS;
	if (s->opts.term_grace_ns == 0)
		s->opts.term_grace_ns = TERM_GRACE_NS;
	current = s;
	/* as [SUPERVISOR-1] */
	fr__store_relaxed(&asked, 0);
	fr__store_relaxed(&ends, 0);
	if (!s->opts.no_signals)
		take_signals();
	*ret = s;
	return 0;
}

int fr_supervisor_add(struct fr_supervisor *s, const struct fr_child_opts *opts,
		      struct fr_addr *ret)
{
	int rc = opts->name ? fr__name_check(opts->name) : 0;
	struct child *c;

	if (rc == 0 && (!opts->run || opts->restart > FR_RESTART_IGNORE ||
			opts->wait < 0 || opts->wait > FR_WAIT_POLL))
		rc = -EINVAL;
	if (rc < 0)
		return rc;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	rc = fr_reserve(s->process, &c->addr);
	if (rc < 0) {
		free(c);
		return rc;
	}
	c->opts = *opts;
	if (opts->name) {
		strcpy(c->name, opts->name);
		c->opts.name = c->name;
	}
	*s->last = c;
	s->last = &c->next;
	*ret = c->addr;
	return 0;
}

/* ---- in the child ---- */

/* Unless it has said so itself. */
static void say_why(struct fr_process *self, const char *step, int rc)
{
	char text[FR__WORDS_BYTES];

	if (rc >= 0)
		return;
	fr__text_load(self->slot->last_words, text, sizeof(text));
	if (text[0])
		return;
	snprintf(text, sizeof(text), "%s: %s", step, strerror(-rc));
	fr_last_words(self, text);
}

static int live(struct fr_arena *arena, const struct child *c)
{
	struct fr_join_opts join = {
		.name = c->opts.name,
		.wait = (enum fr_wait_mode)c->opts.wait,
		.reserved = c->addr,
	};
	struct fr_process *self;
	int rc = fr_join(arena, &join, &self);

	if (rc < 0)
		return rc;
	if (c->opts.setup)
		rc = c->opts.setup(c->opts.ctx, self);
	say_why(self, "setup", rc);
	if (rc >= 0) {
		rc = c->opts.run(c->opts.ctx, self);
		say_why(self, "run", rc);
	}
	if (c->opts.teardown)
		c->opts.teardown(c->opts.ctx, self);
	fr_leave(self);
	return rc;
}

static void be_child(struct fr_supervisor *s, const struct child *c,
		     pid_t parent, const sigset_t *mask)
{
	int rc;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	current = NULL;
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	if (!s->opts.no_signals)
		signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	rc = live(s->process->arena, c);
	fflush(NULL);
	_exit(rc < 0 ? 1 : rc & 0xff);
}

/* ---- in main ---- */

static int start(struct fr_supervisor *s, struct child *c)
{
	pid_t parent = getpid();
	sigset_t all, mask;

	/* A signal between fork and the child's own handlers would run ours,
	 * in the child. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &mask);
	fflush(NULL);
	c->pid = fork();
	if (c->pid == 0)
		be_child(s, c, parent, &mask);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (c->pid == -1)
		return -errno;
	c->state = RUNNING;
	c->told = false;
	c->started_ns = fr__now_ns();
	return 0;
}

int fr_supervisor_start(struct fr_supervisor *s)
{
	struct child *c;
	int rc = 0;

	if (fr__own(s->process) < 0)
		return -ECHILD;
	for (c = s->children; c && rc == 0; c = c->next)
		if (c->state == DESCRIBED)
			rc = start(s, c);
	return rc;
}

void fr__report(const struct fr_end *e)
{
	char how[64], task[80] = "", words[FR__WORDS_BYTES + 32] = "";

	if (WIFSIGNALED(e->status))
		snprintf(how, sizeof(how), "was killed by %s",
			 strsignal(WTERMSIG(e->status)));
	else if (WEXITSTATUS(e->status) != 0)
		snprintf(how, sizeof(how), "failed with status %d",
			 WEXITSTATUS(e->status));
	else
		return;
	if (e->had_task)
		snprintf(task, sizeof(task),
			 " in a task (kind %" PRIu32 ", attempt %" PRIu32 ")",
			 e->kind, e->attempt);
	if (e->last_words[0])
		snprintf(words, sizeof(words), "; its last words: %s",
			 e->last_words);
	fprintf(stderr, "forkring: %s (pid %d) %s%s%s%s\n", e->name, e->pid, how,
		task, words, e->restarting ? "; started again" : "");
}

/* What the arena knows of a child that has ended: before it is recovered. */
static void ask_arena(const struct fr_arena *a, struct fr_addr addr,
		      struct fr_end *e, char *words)
{
	const struct fr__slot *s = &a->slots[fr__addr_slot(addr)];

	fr__task_of(a, fr__addr_slot(addr), e);
	fr__text_load(s->last_words, words, FR__WORDS_BYTES);
	/* as [PROCESS-3]; else somebody else has the slot by now */
	if (fr__slot_generation(fr__load_acquire(&s->state)) !=
	    fr__addr_generation(addr)) {
		words[0] = '\0';
		e->had_task = false;
	}
	e->last_words = words;
}

static void report(struct fr_supervisor *s, const struct fr_end *e)
{
	if (s->opts.report)
		s->opts.report(s->opts.ctx, e);
	else
		fr__report(e);
}

/* Whoever had the slot since, which others may have recovered, says nothing of it
 * unless it took one, too: then it is given the benefit of the doubt. */
static bool took_a_task(const struct fr_arena *a, struct fr_addr addr)
{
	/* as [TASK-16] */
	uint32_t took = fr__load_relaxed(&a->slots[fr__addr_slot(addr)].took);

	return took && (int32_t)(took - fr__addr_generation(addr)) >= 0;
}

/* A child has been waited for. */
static void ended(struct fr_supervisor *s, struct child *c, int status)
{
	/* Who dies while all are to end has not failed. */
	bool failed = (!WIFEXITED(status) || WEXITSTATUS(status) != 0) &&
		      !s->stopping && !fr_supervisor_interrupted(s);
	bool again = failed && c->opts.restart == FR_RESTART_ON_FAILURE;
	unsigned stops = s->stops;
	char words[FR__WORDS_BYTES];
	struct fr_end end = {
		.name = c->opts.name ? c->opts.name : "(nameless)",
		.pid = c->pid,
		.status = status,
	};
	struct fr_addr addr;

	ask_arena(s->process->arena, c->addr, &end, words);

	/* One that took a task did not die at its start; and a task kills at most
	 * as many workers as it has attempts. */
	if (took_a_task(s->process->arena, c->addr))
		c->restarts = 0;
	fr_unreserve(s->process, c->addr); /* if it had not joined yet */
	fr_recover(s->process->arena); /* and what else it had joined as */
	c->state = ENDED;
	if (fr__now_ns() - c->started_ns >= FR_RESTART_WINDOW_NS)
		c->restarts = 0;
	if (again && c->restarts++ < FR_RESTARTS_MAX &&
	    fr_reserve(s->process, &addr) == 0) {
		end.restarting = true;
		report(s, &end);
		c->addr = addr;
		/* The report may have stopped everything. */
		if (stops == s->stops && start(s, c) == 0)
			return;
		fr_unreserve(s->process, addr);
		failed = stops == s->stops;
	} else {
		report(s, &end);
	}
	if (failed && c->opts.restart != FR_RESTART_IGNORE)
		s->failure = -ECHILD;
}

/* Reap who has ended; how many run. */
static int reap(struct fr_supervisor *s)
{
	struct child *c;
	int status, running = 0;

	/* as [SUPERVISOR-1]; before the look, so that none is missed */
	s->ends = fr__load_relaxed(&ends);
	s->looked_ns = fr__now_ns();
	for (c = s->children; c; c = c->next) {
		pid_t pid;

		if (c->state != RUNNING)
			continue;
		pid = waitpid(c->pid, &status, WNOHANG);
		if (pid == c->pid)
			ended(s, c, status);
		else if (pid == -1 && errno == ECHILD)
			ended(s, c, UNKNOWN); /* somebody else waited for it */
		running += c->state == RUNNING;
	}
	return running;
}

int fr_supervisor_poll(struct fr_supervisor *s)
{
	int running;

	if (fr__own(s->process) < 0)
		return -ECHILD;
	running = reap(s);
	return s->failure ? s->failure : running;
}

bool fr__supervisor_due(const struct fr_supervisor *s)
{
	/* as [SUPERVISOR-1] */
	return fr__load_relaxed(&ends) != s->ends ||
	       fr__now_ns() - s->looked_ns >= FR__SLICE_NS;
}

bool fr_supervisor_interrupted(const struct fr_supervisor *s)
{
	/* as [SUPERVISOR-1] */
	return !s->opts.no_signals && fr__load_relaxed(&asked) > 0;
}

static void signal_all(struct fr_supervisor *s, int signal)
{
	struct child *c;

	for (c = s->children; c; c = c->next)
		if (c->state == RUNNING)
			kill(c->pid, signal);
}

static void send_exits(struct fr_supervisor *s)
{
	struct child *c;

	for (c = s->children; c; c = c->next)
		if (c->state == RUNNING && !c->told)
			c->told = fr_send_exit(s->process, c->addr, 0) !=
				  -EAGAIN;
}

static void stop(struct fr_supervisor *s, const struct fr_run_opts *run)
{
	struct fr_run_opts o = {0};
	int64_t now = fr__now_ns();
	int64_t term = now + s->opts.exit_grace_ns, end = FR__NEVER;
	/* as [SUPERVISOR-1] */
	uint32_t asked_before = fr__load_relaxed(&asked);

	if (run) {
		o.ctx = run->ctx;
		o.unhandled = run->unhandled;
	}
	s->stopping = true;
	s->stops++;
	while (reap(s) > 0) {
		send_exits(s);
		now = fr__now_ns();
		/* as [SUPERVISOR-1] */
		if (fr__load_relaxed(&asked) > (asked_before ? asked_before : 1))
			term = end = now;
		if (now >= end) {
			signal_all(s, SIGKILL);
		} else if (now >= term) {
			signal_all(s, SIGTERM);
			end = end == FR__NEVER ? now + s->opts.term_grace_ns
					       : end;
			term = FR__NEVER;
		}
		fr__run(s->process, &o, now + LOOK_NS);
	}
	/* Their last words. */
	while (fr__run(s->process, &o, fr__now_ns()) == -EINTR)
		;
	s->stopping = false;
}

void fr_supervisor_stop(struct fr_supervisor *s)
{
	if (fr__own(s->process) == 0)
		stop(s, NULL);
}

int fr_supervisor_run(struct fr_supervisor *s, const struct fr_run_opts *opts)
{
	static const struct fr_run_opts defaults;
	int64_t deadline, now, slice;
	int rc = fr__own(s->process), running;
	bool first = true;

	opts = opts ? opts : &defaults;
	if (rc == 0 && (opts->limit_ns < 0 || (opts->tasks && !opts->tasks->run)))
		rc = -EINVAL;
	if (rc < 0)
		return rc;
	deadline = fr__deadline(opts->limit_ns > 0 ? opts->limit_ns
						   : FR_FOREVER);
	rc = fr_supervisor_start(s);
	/* One round at least, though the children may have ended already: main's
	 * action may describe others. */
	while (rc == 0) {
		running = fr_supervisor_poll(s);
		if (running < 0)
			rc = running;
		if (rc < 0 || (running == 0 && !first) ||
		    fr_supervisor_interrupted(s))
			break;
		now = fr__now_ns();
		if (now >= deadline)
			break;
		slice = running > 0 ? FR__SLICE_NS : 0;
		rc = fr__run(s->process, opts,
			     deadline - now < slice ? deadline : now + slice);
		if (rc == FR__TIME_UP || rc == -EINTR)
			rc = 0;
		first = false;
	}
	stop(s, opts);
	return rc < 0 ? rc : 0;
}

void fr_supervisor_close(struct fr_supervisor *s)
{
	struct child *c;
	bool own;

	if (!s)
		return;
	own = fr__cookie_good(&s->cookie);
	if (own)
		stop(s, NULL);
	if (s == current) {
		if (!s->opts.no_signals)
			give_signals_back();
		current = NULL;
	}
	while ((c = s->children) != NULL) {
		if (own && c->state == DESCRIBED)
			fr_unreserve(s->process, c->addr);
		s->children = c->next;
		free(c);
	}
	free(s);
}
