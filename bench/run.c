/* SPDX-License-Identifier: MIT */
/*
 * One trial: its processes are forked and pinned, set themselves up, start
 * together, warm up, are measured for a while, stop, and are reaped.
 *
 * Rates: this process sleeps for the time measured and reads the receiver's
 * count before and after. A fan-in's clock starts only once a message of every
 * producer has arrived, and all of them go on sending until it has ended. So
 * no process of the trial looks at a clock or makes a system call for the
 * harness while it is measured. Round trips are timed by the client (drive.h),
 * an open loop's latencies by the consumer (drive_open.h). A workload without
 * queues is one process that measures itself.
 *
 * Watchdog: what does not end in time is killed, by the pids that were forked
 * here and by those that workers of a peer's own left in the control page (they
 * are this process's children too once theirs is dead: it is their subreaper),
 * and told of, with the rate that it had fallen to in its last second. Each
 * process dies with its parent, so that nothing outlives an interrupted run.
 */
#include "drive.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAP_NS 500000u
#define LATE_NS 1000000000u /* before the deadline */

struct snapshot {
	uint64_t at_ns;
	uint64_t got[PROCS_MAX]; /* of each producer */
	uint64_t all;		 /* of them, and by each member */
};

struct run {
	struct trial *t;
	const struct machine *machine;
	uint64_t deadline, measure_ns;
	unsigned count;   /* of members */
	unsigned running; /* not reaped yet */
	bool failed;      /* one of them did not end well */
	struct snapshot late; /* when the deadline is near */
};

static const char *const role_names[] = {
	[CONSUMER] = "consumer", [PRODUCER] = "producer", [SERVER] = "server",
	[CLIENT] = "client",	 [MAIN] = "main",	  [WORKER] = "worker",
	[NODE] = "node",
};

struct control *control_map(void)
{
	void *p = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void nap(uint64_t ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(ns / 1000000000u),
		.tv_nsec = (long)(ns % 1000000000u),
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}

void trial_start(struct trial *t)
{
	/* [BENCH-9] release: address[] -> ready. Pairs with [BENCH-10]
	 * all_ready(). Without it: a peer's address is read as nothing. */
	add_release(&t->shared->ready, 1);
	/* [BENCH-11] acquire: phase -> address[] of the others. Pairs with
	 * [BENCH-2] run_trial(). Without it: as [BENCH-9]. */
	while (load_acquire(&t->shared->phase) == PHASE_WAIT)
		nap(NAP_NS / 2);
}

/* ---- its processes ---- */

/* Member 0 is the one at the end where all comes together. */
static unsigned lay_out(struct trial *t)
{
	static const struct {
		enum role first, others;
	} roles[WORKLOADS] = {
		[STREAM] = {CONSUMER, PRODUCER},
		[RTT] = {SERVER, CLIENT},
		[FANIN] = {CONSUMER, PRODUCER},
		[FARM] = {MAIN, WORKER},
		[FANOUT] = {PRODUCER, CONSUMER},
		[MESH] = {NODE, NODE},
		[OPEN] = {CONSUMER, PRODUCER},
		[IDLE ... LIMITS] = {MAIN, MAIN}, /* alone */
	};
	enum workload w = t->c->workload;
	struct member *member = t->shared->member;
	unsigned n = t->solo || t->peer->own_processes	 ? 0
		     : w == FARM && t->peer->own_workers ? 0
		     : w == FARM || w == FANOUT		 ? t->c->workers
		     : w == MESH			 ? t->c->producers - 1
							 : t->c->producers;

	for (unsigned i = 0; i <= n; i++) {
		member[i].role = i ? roles[w].others : roles[w].first;
		member[i].index = i && w != MESH ? i - 1 : i;
	}
	return n + 1;
}

static _Noreturn void child(struct run *r, unsigned i, pid_t parent)
{
	struct member *m = &r->t->shared->member[i];
	int rc = 0;

	m->pid = getpid(); /* the parent may not have come to it yet */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if (r->t->c->placement == SAME || (r->t->c->placement == CROSS && i))
		rc = machine_pin(r->machine->cpu_a);
	else if (r->t->c->placement == CROSS)
		rc = machine_pin(r->machine->cpu_b);
	if (rc == 0 && r->t->solo)
		rc = r->t->solo(r->t->c, r->machine, r->measure_ns,
				r->t->shared->value);
	else if (rc == 0)
		rc = r->t->peer->run(r->t, m->role, m->index);
	m->rc = rc;
	_exit(rc < 0);
}

static int start(struct run *r)
{
	pid_t pid, parent = getpid();

	r->count = lay_out(r->t);
	for (unsigned i = 0; i < r->count; i++) {
		pid = fork();
		if (pid < 0)
			return -errno;
		if (pid == 0)
			child(r, i, parent);
		r->t->shared->member[i].pid = pid;
		r->running++;
	}
	return 0;
}

static void complain(const struct run *r, const char *what)
{
	char text[128];

	fprintf(stderr, "forkring-bench: %s: %s: %s\n", r->t->peer->name,
		case_text(r->t->c, text, sizeof(text)), what);
}

static const char *why(int rc)
{
	return rc == -EILSEQ	? "a message out of sequence"
	       : rc == -EBADMSG ? "a message that nobody sent"
				: strerror(-rc);
}

/* Take note of one member's end. */
static void ended(struct run *r, struct member *m, int status)
{
	char what[128];

	m->pid = 0;
	r->running--;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	/* The others end in consequence: only the first tells why. */
	if (!r->failed) {
		if (WIFSIGNALED(status))
			snprintf(what, sizeof(what),
				 "%s %u killed by signal %d",
				 role_names[m->role], m->index,
				 WTERMSIG(status));
		else
			snprintf(what, sizeof(what), "%s %u failed: %s",
				 role_names[m->role], m->index, why(m->rc));
		complain(r, what);
	}
	r->failed = true;
}

static void reap(struct run *r)
{
	int status;

	for (unsigned i = 0; i < r->count; i++) {
		struct member *m = &r->t->shared->member[i];

		if (m->pid && waitpid(m->pid, &status, WNOHANG) == m->pid)
			ended(r, m, status);
	}
}

/* End what is left, and see that nothing is. */
static void put_down(struct run *r)
{
	struct control *shared = r->t->shared;
	struct member *m;
	pid_t pid;

	for (unsigned i = 0; i < r->count; i++) {
		m = &shared->member[i];
		if (m->pid > 0 && waitpid(m->pid, NULL, WNOHANG) == 0) {
			kill(m->pid, SIGKILL);
			waitpid(m->pid, NULL, 0);
		}
		m->pid = 0;
	}
	r->running = 0;
	/* A worker of main's own: with main dead it is a child of this process
	 * (or was and is gone), so its pid is nobody else's. */
	for (unsigned i = 0; i < PROCS_MAX; i++) {
		/* [BENCH-12] relaxed: one word, checked by waitpid(). Pairs
		 * with [BENCH-13] in the peer. */
		pid = (pid_t)load_relaxed(&shared->own_worker[i]);
		if (pid > 0 && waitpid(pid, NULL, WNOHANG) == 0) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
	}
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/* ---- the time that is measured ---- */

static bool all_ready(struct run *r)
{
	/* [BENCH-10] acquire: ready -> address[], handed on by [BENCH-2].
	 * Pairs with [BENCH-9] trial_start(). Without it: as there. */
	return load_acquire(&r->t->shared->ready) == r->count;
}

static bool all_sending(struct run *r)
{
	struct control *shared = r->t->shared;

	switch (r->t->c->workload) {
	case STREAM:
	case FANIN:
	case OPEN:
		/* [BENCH-6] relaxed: a hint. Pairs with [BENCH-5]
		 * sink_unusual(). */
		return load_relaxed(&shared->all_sending) != 0;
	case MESH:
		for (unsigned i = 0; i < r->count; i++)
			/* [MESH-2] relaxed: a hint. Pairs with [MESH-1]. */
			if (load_relaxed(&shared->member[i].got) == 0)
				return false;
		return true;
	default:
		return true;
	}
}

static bool all_ended(struct run *r)
{
	return r->running == 0;
}

/* The counts at one moment: looked at again if this process was held up. */
static void snapshot(const struct run *r, struct snapshot *s)
{
	struct control *shared = r->t->shared;
	uint64_t before, after;
	int tries = 0;

	do {
		before = now_ns();
		s->all = 0;
		/* [BENCH-4] relaxed: figures, each right by itself. Pairs with
		 * [BENCH-3], [BENCH-7], [BENCH-8], [RAW-5], [RTT-1],
		 * [FANOUT-1], [MESH-1]. */
		for (unsigned i = 0; i < PROCS_MAX; i++)
			s->all += s->got[i] = load_relaxed(&shared->got[i]);
		for (unsigned i = 0; i < r->count; i++)
			s->all += load_relaxed(&shared->member[i].got);
		after = now_ns();
	} while (after - before > 20000 && ++tries < 20);
	s->at_ns = before + (after - before) / 2;
}

/* DONE once it is so; FAILED when a process ended badly; WEDGED. */
static enum outcome watch(struct run *r, bool (*so)(struct run *))
{
	uint64_t now;

	for (;;) {
		if (so(r))
			return DONE;
		reap(r);
		if (r->failed)
			return FAILED;
		now = now_ns();
		if (now > r->deadline)
			return WEDGED;
		if (now + LATE_NS > r->deadline && r->late.at_ns == 0)
			snapshot(r, &r->late);
		if (!so(r))
			nap(NAP_NS);
	}
}

static void set_phase(struct run *r, enum phase phase)
{
	/* [BENCH-2] release: address[] (by [BENCH-10]) -> phase. Pairs with
	 * [BENCH-11] trial_start(), and [BENCH-1], which needs no order.
	 * Without it: as [BENCH-9]. */
	store_release(&r->t->shared->phase, phase);
}

static enum outcome measure(struct run *r, const struct timing *timing,
			    struct snapshot s[2])
{
	enum outcome o;

	if (r->t->solo)
		return watch(r, all_ended);
	o = watch(r, all_ready);
	if (o != DONE)
		return o;
	set_phase(r, PHASE_WARM);
	o = watch(r, all_sending);
	if (o != DONE)
		return o;
	nap(timing->warm_ns);
	set_phase(r, PHASE_MEASURE);
	snapshot(r, &s[0]);
	nap(timing->measure_ns);
	snapshot(r, &s[1]);
	set_phase(r, PHASE_STOP);
	return watch(r, all_ended);
}

/* ---- what came of it ---- */

static double rate_between(const struct snapshot *a, const struct snapshot *b)
{
	return (double)(b->all - a->all) * 1e9 / (double)(b->at_ns - a->at_ns);
}

/* Tell of it; returns how many messages came in its last second. */
static double wedged(const struct run *r)
{
	static const char *const where[] = {
		[PHASE_WAIT] = "not ready in time",
		[PHASE_WARM] = "one of them got no message through",
		[PHASE_STOP] = "not at its end in time",
	};
	struct snapshot now;
	char what[128];
	double rate;

	snapshot(r, &now);
	rate = r->late.at_ns ? rate_between(&r->late, &now) : 0;
	snprintf(what, sizeof(what),
		 "%s: %.0f messages in its last second; killed by the watchdog",
		 where[r->t->solo ? PHASE_STOP : trial_phase(r->t)], rate);
	complain(r, what);
	return rate;
}

static void sum_up_rate(const struct run *r, const struct snapshot s[2],
			struct sample *ret)
{
	double total = (double)(s[1].all - s[0].all);
	double least = 1, most = 0;

	for (unsigned i = 0; i < r->t->c->producers && total > 0; i++) {
		ret->share[i] = (double)(s[1].got[i] - s[0].got[i]) / total;
		least = ret->share[i] < least ? ret->share[i] : least;
		most = ret->share[i] > most ? ret->share[i] : most;
	}
	ret->value[0] = rate_between(&s[0], &s[1]);
	ret->value[1] = least;
	ret->value[2] = most;
}

static void sum_up_latency(const struct run *r, struct sample *ret)
{
	const struct hist *hist = &r->t->shared->singles;

	ret->value[0] = hist_quantile(hist, 0.5);
	ret->value[1] = hist_quantile(hist, 0.99);
	ret->value[2] = hist_quantile(hist, 0.999);
	if (r->t->period_ps)
		ret->value[3] = 1e12 / (double)r->t->period_ps;
}

static void sum_up_rtt(const struct run *r, struct sample *ret)
{
	const struct hist *batches = &r->t->shared->batches;

	sum_up_latency(r, ret);
	if (batches->count)
		ret->value[0] = hist_quantile(batches, 0.5) / RTT_BATCH;
}

/* What was sent by all has been taken by all, each number once. */
static bool all_taken(const struct run *r)
{
	struct control *shared = r->t->shared;
	uint64_t sent = 0, got = 0, sum = 0;

	for (unsigned i = 0; i < r->count; i++) {
		struct member *m = &shared->member[i];

		sent += m->sent;
		/* as [BENCH-14] */
		got += load_relaxed(&m->got);
		sum += m->role == PRODUCER ? m->sum : -m->sum;
	}
	return got == sent && sum == 0;
}

static bool all_arrived(const struct run *r)
{
	struct control *shared = r->t->shared;

	for (unsigned i = 1; i < r->count; i++)
		/* [BENCH-14] relaxed: its writer has ended. Pairs with
		 * [BENCH-7] sink_take(), [FANOUT-1], [MESH-1]. */
		if (load_relaxed(&shared->got[i - 1]) != shared->member[i].sent)
			return false;
	return true;
}

/* Every message that was sent has arrived, and there are figures. */
static enum outcome account(const struct run *r)
{
	enum workload w = r->t->c->workload;
	const char *wrong = NULL;

	if ((w == STREAM || w == FANIN || w == OPEN) && !all_arrived(r))
		wrong = "fewer messages arrived than were sent";
	if ((w == FANOUT || w == MESH) && !all_taken(r))
		wrong = "not what was sent has been taken, each message once";
	if ((w == RTT || w == OPEN) && r->t->shared->singles.count == 0)
		wrong = "nothing was timed in the time measured: --seconds";
	if (wrong)
		complain(r, wrong);
	return wrong ? FAILED : DONE;
}

static void sum_up(const struct run *r, const struct snapshot s[2],
		   struct sample *ret)
{
	const struct trial *t = r->t;

	if (t->solo)
		memcpy(ret->value, t->shared->value, sizeof(ret->value));
	else if (t->c->workload == RTT)
		sum_up_rtt(r, ret);
	else if (t->c->workload == OPEN && t->period_ps)
		sum_up_latency(r, ret);
	else
		sum_up_rate(r, s, ret);
}

enum outcome run_trial(struct trial *t, const struct machine *machine,
		       const struct timing *timing, struct sample *ret)
{
	struct run r = {.t = t, .machine = machine};
	struct snapshot s[2];
	enum outcome o;
	int rc;

	memset(t->shared, 0, sizeof(*t->shared));
	memset(ret, 0, sizeof(*ret));
	r.deadline = now_ns() + timing->watchdog_ns + timing->warm_ns +
		     timing->measure_ns * (t->solo ? METRICS_MAX : 1);
	r.measure_ns = timing->measure_ns;
	rc = t->solo ? 0 : t->peer->open(t);
	if (rc < 0) {
		complain(&r, strerror(-rc));
		return FAILED;
	}
	rc = start(&r);
	if (rc < 0)
		complain(&r, strerror(-rc));
	o = rc < 0 ? FAILED : measure(&r, timing, s);
	if (o == WEDGED)
		ret->fell_to = wedged(&r);
	put_down(&r);
	if (!t->solo)
		t->peer->close(t);
	if (o == DONE)
		o = account(&r);
	if (o == DONE)
		sum_up(&r, s, ret);
	return o;
}
