/* SPDX-License-Identifier: MIT */
/*
 * Question: how long until the others go on after one of them was killed?
 * Topology: of recover.h. A task: of two workers that wait, one takes it and is
 * killed; the other does it. A claim: a sender is killed between claim and
 * commit; behind its claim another sender has one, and commits; and the mailbox
 * is so full behind it that a third one's message waits for room.
 * Waiting mode: adaptive, the default.
 * Statistic: p50, p99 and max over all kills; from a reading of CLOCK_MONOTONIC
 * just before kill() to one where the effect is seen, by whoever sees it.
 *
 * With a supervisor: one group, kill after kill; the victim is busy, the others
 * asleep. The supervisor's own SIGCHLD, the end of its recovery and the start
 * of the new child are stamped in the same kills; and in turn with them a busy
 * child is killed of a process that, like it, has the arena mapped and has not
 * joined: the kernel alone. The arena is at its default size.
 *
 * Without one: whoever sleeps in the arena looks once its slice of a second is
 * over. Each kill comes at a random moment; dozens of small groups at a time,
 * since they hardly do anything but sleep. The killer, parent of all, waits for
 * the victim (in both senses) only after the effect, and puts another in its
 * place.
 *
 * Each group ends in order, and its arena is checked.
 */
#include "recover.h"

#include "drive.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define GROUPS_MAX 64 /* without a supervisor, at a time */

/* ---- the killer ---- */

struct killer {
	struct group *g;
	struct fr_process *self;
	pid_t parts[PARTS]; /* that it has forked itself */
	pid_t supervisor;
	uint32_t ready;	       /* as many as it expects */
	unsigned behind;       /* messages to be sent behind the claim */
	struct fr_claim claim; /* of its own */
	uint64_t sent;
};

static bool has(const struct bench_case *c, enum mark mark)
{
	if (mark == PASSED)
		return c->loss == LOSS_CLAIM;
	return mark == BACK || c->supervised;
}

/* Wait until a count is so high, or a part has failed. */
static int await(struct group *g, const char *doing, word32 *count,
		 uint32_t least)
{
	uint32_t news, error;

	g->doing = doing;
	for (;;) {
		/* as [BENCH-25] */
		news = load_acquire(&g->news);
		/* as [BENCH-32] */
		error = load_relaxed(&g->error);
		if (error)
			return -(int)error;
		/* [BENCH-27] acquire: as [BENCH-26]. Pairs with [BENCH-26]
		 * group_count(). */
		if (load_acquire(count) >= least)
			return 0;
		syscall(SYS_futex, &g->news, FUTEX_WAIT, news, NULL, NULL, 0);
	}
}

/* For a random time of at least `least` and less than `most` nanoseconds. */
static void nap_between(struct group *g, uint64_t least, uint64_t most)
{
	struct timespec ts;
	uint64_t ns;

	g->random ^= g->random << 13;
	g->random ^= g->random >> 7;
	g->random ^= g->random << 17;
	ns = least + g->random % (most - least);
	ts.tv_sec = (time_t)(ns / 1000000000u);
	ts.tv_nsec = (long)(ns % 1000000000u);
	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}

static void order(struct group *g, enum part part)
{
	futex_ring(&g->order[part]);
}

/* In a new child: 0 on to exit(2). */
static int join_and_live(struct group *g, enum part part)
{
	struct fr_process *self;
	int rc = fr_join(g->arena, NULL, &self);

	if (rc < 0)
		return rc;
	rc = part_live(g, part, self);
	fr_leave(self);
	return rc;
}

/* Fork one process: a part, or (PARTS) the supervisor. */
static int fork_one(struct killer *k, enum part part, pid_t *ret)
{
	pid_t parent = getpid(), pid = fork();
	int rc;

	if (pid < 0)
		return -errno;
	if (pid > 0) {
		*ret = pid;
		return 0;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	rc = part == PARTS    ? supervisor_live(k->g)
	     : part == PARENT ? parent_live(k->g)
			      : join_and_live(k->g, part);
	if (rc < 0)
		group_fail(k->g, rc);
	_exit(rc < 0);
}

static int start_group(struct killer *k)
{
	const struct bench_case *c = k->g->c;
	int rc = 0;

	k->ready = last_part(c) - first_part(c) + 1;
	if (!c->supervised) {
		for (enum part i = first_part(c); rc == 0 && i <= last_part(c);
		     i++)
			rc = fork_one(k, i, &k->parts[i]);
		return rc;
	}
	k->ready++;
	rc = fork_one(k, PARENT, &k->parts[PARENT]);
	return rc < 0 ? rc : fork_one(k, PARTS, &k->supervisor);
}

/* ---- its rounds ---- */

/* All wait for orders: the counts begin anew. */
static void clear(struct group *g)
{
	for (unsigned i = 0; i < MARKS; i++)
		group_note(g, i, 0);
	/* [BENCH-33] relaxed: published by the next order, [BENCH-24]. */
	store_relaxed(&g->hung, 0);
	store_relaxed(&g->received, 0);
	store_relaxed(&g->waiting, 0);
	store_relaxed(&g->marked, 0);
	g->again = 0;
}

static uint64_t kill_victim(struct group *g)
{
	uint64_t at = now_ns();

	kill((pid_t)g->victim, SIGKILL);
	return at;
}

static uint64_t since(struct group *g, uint64_t killed, enum mark mark)
{
	/* [BENCH-29] relaxed: behind await(), [BENCH-27]. Pairs with
	 * [BENCH-28]. */
	uint64_t at = load_relaxed(&g->at[mark]);

	return at > killed ? at - killed : 0;
}

static int kernel_round(struct group *g, uint64_t *sample)
{
	uint64_t killed;
	int rc;

	clear(g);
	order(g, PARENT);
	rc = await(g, "a child of the kernel's", &g->hung, 1);
	if (rc < 0)
		return rc;
	nap_between(g, 1000000, 2000000);
	killed = kill_victim(g);
	rc = await(g, "the end of the kernel's", &g->marked, 1);
	sample[KERNEL] = since(g, killed, KERNEL);
	return rc;
}

/* One message in place: 0, with the claim open. */
static int claim_one(struct killer *k, enum stamp who)
{
	struct fr_addr to = {k->g->address[RECEIVER]};
	int rc = fr_claim(k->self, to, (struct fr_type){0}, k->g->c->size, 0,
			  &k->claim);

	if (rc == 0)
		payload_fill(k->claim.body, k->claim.len,
			     stamp_make(who, k->sent++));
	return rc;
}

/* Up to where the victim can be killed. */
static int set_up_task(struct killer *k)
{
	order(k->g, GIVER);
	return await(k->g, "a worker with a task", &k->g->hung, 1);
}

static int set_up_claim(struct killer *k)
{
	struct group *g = k->g;
	int rc;

	order(g, SENDER);
	rc = await(g, "a claim", &g->hung, 1);
	for (unsigned i = 0; rc == 0 && i < k->behind; i++) {
		rc = claim_one(k, STAMP_BEHIND);
		if (rc == 0)
			fr_commit(k->self, &k->claim);
	}
	if (rc == 0)
		rc = await(g, "messages behind the claim", &g->received,
			   k->behind);
	if (rc == 0)
		rc = claim_one(k, STAMP_OTHER);
	if (rc < 0)
		return rc;
	order(g, WAITER);
	return await(g, "the waiter", &g->waiting, 1);
}

/* Until the survivors sleep; without a supervisor to a random moment of their
 * sleeps (who waits for room looks more often in the first second). */
static void nap_before(struct group *g)
{
	if (g->c->supervised)
		nap_between(g, 2000000, 4000000);
	else if (g->c->loss == LOSS_TASK)
		nap_between(g, 20000000, 1020000000);
	else
		nap_between(g, 1100000000, 2100000000);
}

static enum part part_of(const struct group *g, uint32_t pid)
{
	enum part i = first_part(g->c);

	while (i < last_part(g->c) && g->pid[i] != pid)
		i++;
	return i;
}

/* Another in the place of the victim. */
static int replace(struct killer *k, enum part part)
{
	k->ready++;
	if (k->g->c->supervised)
		return 0; /* has happened */
	if (waitpid(k->parts[part], NULL, 0) != k->parts[part])
		return -ECHILD;
	return fork_one(k, part, &k->parts[part]);
}

static int round_of(struct killer *k, uint64_t *sample)
{
	struct group *g = k->g;
	uint32_t marks = 0, survivor = 0;
	enum part victim;
	uint64_t killed;
	int rc;

	clear(g);
	rc = g->c->loss == LOSS_TASK ? set_up_task(k) : set_up_claim(k);
	if (rc < 0)
		return rc;
	nap_before(g);
	victim = part_of(g, g->victim);
	if (g->c->loss == LOSS_TASK)
		survivor = g->pid[WORKER_1 + WORKER_2 - victim];
	killed = kill_victim(g);
	if (g->c->loss == LOSS_CLAIM)
		fr_commit(k->self, &k->claim);
	/* What comes before the last of these was only noted. */
	for (unsigned i = PASSED; i < MARKS; i++)
		marks += has(g->c, i);
	rc = await(g, "the recovery", &g->marked, marks);
	for (unsigned i = NOTICED; rc == 0 && i < MARKS; i++)
		sample[i] = has(g->c, i) ? since(g, killed, i) : 0;
	/* Not from a worker that was there already: not what is asked for. */
	if (survivor != g->again)
		sample[BACK] = 0;
	return rc < 0 ? rc : replace(k, victim);
}

static int rounds(struct killer *k)
{
	struct group *g = k->g;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < g->kills; i++) {
		rc = await(g, "processes to be ready", &g->ready, k->ready);
		if (rc == 0 && g->c->supervised)
			rc = kernel_round(g, g->sample[i]);
		if (rc == 0)
			rc = round_of(k, g->sample[i]);
	}
	return rc < 0 ? rc
		      : await(g, "the last to be ready", &g->ready, k->ready);
}

/* ---- its life ---- */

static int reap(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -ECHILD;
	return status ? -EPROTO : 0;
}

/* All end by themselves: told by an order, a message, or their supervisor. */
static int end_group(struct killer *k)
{
	struct group *g = k->g;
	int rc = 0, ended;

	g->doing = "its end";
	/* [BENCH-31] relaxed: published by the orders, [BENCH-24]. Pairs with
	 * [BENCH-30] ordered(). */
	store_relaxed(&g->ended, 1);
	for (unsigned i = 0; i < PARTS; i++)
		order(g, i);
	if (k->supervisor) {
		kill(k->supervisor, SIGTERM);
		rc = reap(k->supervisor);
	}
	for (unsigned i = 0; i < PARTS; i++) {
		struct fr_addr to = {g->address[i]};

		if (!k->parts[i])
			continue;
		if (to.id)
			fr_send_exit(k->self, to, FR_FOREVER);
		ended = reap(k->parts[i]);
		rc = rc < 0 ? rc : ended;
	}
	return rc;
}

/*
 * Behind a claim of as many units as each message has: as many messages as fill
 * three quarters of the mailbox, and one of three eighths of it, which does not
 * fit any more.
 */
static void divide_mailbox(struct killer *k)
{
	struct group *g = k->g;
	size_t unit = 64, head = 24;
	size_t each = (g->c->size + head + unit - 1) / unit;
	struct fr_arena_info info;
	size_t units;

	fr_arena_info(g->arena, &info);
	units = info.mailbox_bytes / unit;
	k->behind = (unsigned)((units - each) / each * 3 / 4);
	g->waiter_size = units * 3 / 8 * unit - head;
}

static int make_arena(struct group *g)
{
	struct fr_arena_opts small = {
		.slots = 8,
		.cells = 2,
		.main_cells = 2,
		.events = 1,
		.types = 16,
		.mailbox_bytes = 4096,
	};
	struct fr_arena_opts usual = {0};

	small.arg_max = small.result_max = usual.arg_max = usual.result_max =
		g->c->size > 1024 ? g->c->size : 1024;
	while (small.mailbox_bytes < 32 * (g->c->size + 24 + 64))
		small.mailbox_bytes *= 2;
	return fr_arena_create(NULL, g->c->supervised ? &usual : &small,
			       &g->arena);
}

static void on_fault(void *ctx, const char *fault)
{
	(void)ctx;
	fprintf(stderr, "forkring-bench: recover: %s\n", fault);
}

static int killer_live(struct group *g)
{
	struct killer k = {.g = g};
	int rc = make_arena(g);

	if (rc < 0)
		return rc;
	divide_mailbox(&k);
	rc = start_group(&k);
	if (rc == 0)
		rc = fr_join(g->arena, NULL, &k.self);
	if (rc == 0)
		rc = rounds(&k);
	if (rc == 0)
		rc = end_group(&k);
	if (rc < 0)
		return rc; /* its children die with it */
	fr_leave(k.self);
	rc = fr_check(g->arena, on_fault, NULL);
	fr_arena_detach(g->arena);
	return rc > 0 ? -EUCLEAN : rc;
}

/* ---- in the harness ---- */

struct run {
	const struct bench_case *c;
	unsigned groups, each; /* kills of each group */
	struct group *group;
	uint64_t (*sample)[MARKS];
	size_t bytes;
	pid_t *killers;
};

static void complain(const struct run *r, const char *what)
{
	char text[128];

	fprintf(stderr, "forkring-bench: %s: %s\n",
		case_text(r->c, text, sizeof(text)), what);
}

static int open_run(struct run *r, unsigned kills)
{
	size_t samples;
	void *p;

	r->groups = r->c->supervised ? 1 : GROUPS_MAX;
	if (r->groups > kills)
		r->groups = kills;
	r->each = (kills + r->groups - 1) / r->groups;
	samples = (size_t)r->groups * r->each * sizeof(*r->sample);
	r->bytes = r->groups * sizeof(*r->group) + samples;
	p = mmap(NULL, r->bytes, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	r->killers = calloc(r->groups, sizeof(*r->killers));
	if (p == MAP_FAILED || !r->killers)
		return -ENOMEM;
	r->group = p;
	r->sample = (void *)(r->group + r->groups);
	for (unsigned i = 0; i < r->groups; i++) {
		struct group *g = &r->group[i];

		g->c = r->c;
		g->kills = r->each;
		g->random = (i + 1) * PAYLOAD_STEP;
		g->sample = r->sample + (size_t)i * r->each;
		g->doing = "its start";
	}
	return 0;
}

static void close_run(struct run *r)
{
	if (r->group)
		munmap(r->group, r->bytes);
	free(r->killers);
}

static int start_run(struct run *r)
{
	pid_t parent = getpid(), pid;
	int rc;

	for (unsigned i = 0; i < r->groups; i++) {
		pid = fork();
		if (pid < 0)
			return -errno;
		if (pid > 0) {
			r->killers[i] = pid;
			continue;
		}
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		rc = killer_live(&r->group[i]);
		if (rc < 0)
			group_fail(&r->group[i], rc);
		_exit(rc < 0);
	}
	return 0;
}

/* A group has ended, or was killed here. */
static bool went_well(struct run *r, unsigned i, int status)
{
	char what[128];
	uint32_t error;

	r->killers[i] = 0;
	if (status == 0)
		return true;
	/* as [BENCH-32] */
	error = load_relaxed(&r->group[i].error);
	snprintf(what, sizeof(what), "%s, at %s",
		 error		       ? strerror((int)error)
		 : WIFSIGNALED(status) ? strsignal(WTERMSIG(status))
				       : "failed",
		 r->group[i].doing);
	complain(r, what);
	return false;
}

static enum outcome watch_run(struct run *r, uint64_t deadline)
{
	const struct timespec moment = {.tv_nsec = 10000000};
	enum outcome o = DONE;
	unsigned running;
	char what[128];
	int status;

	do {
		running = 0;
		for (unsigned i = 0; i < r->groups; i++) {
			if (!r->killers[i])
				continue;
			if (waitpid(r->killers[i], &status, WNOHANG) == 0)
				running++;
			else if (!went_well(r, i, status))
				o = FAILED;
		}
		if (running)
			nanosleep(&moment, NULL);
	} while (running && o == DONE && now_ns() < deadline);
	for (unsigned i = 0; running && o == DONE; i++) {
		if (!r->killers[i])
			continue;
		snprintf(what, sizeof(what),
			 "wedged at %s: killed by the watchdog",
			 r->group[i].doing);
		complain(r, what);
		o = WEDGED;
	}
	return o;
}

/* The killers' children die with them, and are ours then to wait for. */
static void put_down_run(struct run *r)
{
	for (unsigned i = 0; i < r->groups; i++)
		if (r->killers[i])
			kill(r->killers[i], SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The least of n sorted values that a fraction q of them does not exceed. */
static double quantile(const double *sorted, unsigned n, double q)
{
	unsigned rank = (unsigned)(q * n);

	rank += rank < q * n;
	return sorted[rank ? rank - 1 : 0];
}

static int sum_up(const struct run *r, struct recovery *ret)
{
	unsigned kills = r->groups * r->each;
	double *v = malloc(kills * sizeof(*v));

	if (!v)
		return -ENOMEM;
	ret->kills = kills;
	for (unsigned mark = 0; mark < MARKS; mark++) {
		struct times *t = &ret->times[mark];

		for (unsigned i = 0; i < kills; i++)
			if (r->sample[i][mark])
				v[t->count++] = (double)r->sample[i][mark];
		if (t->count == 0)
			continue;
		qsort(v, t->count, sizeof(*v), compare);
		t->min = v[0];
		t->max = v[t->count - 1];
		t->p50 = quantile(v, t->count, 0.5);
		t->p99 = quantile(v, t->count, 0.99);
	}
	free(v);
	return 0;
}

enum outcome recover_run(const struct bench_case *c, unsigned kills,
			 uint64_t watchdog_ns, struct recovery *ret)
{
	struct run r = {.c = c};
	enum outcome o = FAILED;
	uint64_t deadline;
	int rc = open_run(&r, kills);

	*ret = (struct recovery){0};
	deadline = now_ns() + watchdog_ns +
		   r.each * UINT64_C(1000000) * (c->supervised ? 100 : 4000);
	if (rc == 0)
		rc = start_run(&r);
	if (rc == 0)
		o = watch_run(&r, deadline);
	if (r.killers)
		put_down_run(&r);
	if (rc == 0 && o == DONE)
		rc = sum_up(&r, ret);
	if (rc < 0)
		complain(&r, strerror(-rc));
	close_run(&r);
	return rc < 0 ? FAILED : o;
}
