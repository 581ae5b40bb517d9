/* SPDX-License-Identifier: MIT */
/*
 * Time to recover: what each process of a group does; see recover.h.
 *
 * A victim is killed where it hangs: with a task in hand, or with a claim open.
 * With a supervisor it hangs busily, and the kernel has to stop it first.
 * Without one it sleeps: dozens of groups are at it at a time, and beside a
 * time to recover of up to a second what the kernel takes does not matter.
 */
#include "drive.h"
#include "recover.h"

#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- telling each other ---- */

void futex_ring(word32 *word)
{
	/* [BENCH-24] release: what the news is -> the word. Pairs with
	 * [BENCH-25]. Without it: told, and an old value read. */
	add_release(word, 1);
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

uint32_t futex_await(word32 *word, uint32_t seen)
{
	uint32_t now;

	/* [BENCH-25] acquire: as [BENCH-24]. Pairs with [BENCH-24]. */
	while ((now = load_acquire(word)) == seen)
		syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
	return now;
}

void group_count(struct group *g, word32 *count)
{
	/* [BENCH-26] release: stamps, pids, addresses -> the count. Pairs with
	 * [BENCH-27] await(). Without it: an old one is read. */
	add_release(count, 1);
	futex_ring(&g->news);
}

void group_note(struct group *g, enum mark mark, uint64_t at)
{
	/* [BENCH-28] relaxed: published by the count of a later mark, of this
	 * process or of one that it forks. Pairs with [BENCH-29]. */
	store_relaxed(&g->at[mark], at);
}

void group_mark(struct group *g, enum mark mark, uint64_t at)
{
	group_note(g, mark, at);
	group_count(g, &g->marked);
}

void group_fail(struct group *g, int rc)
{
	/* [BENCH-32] relaxed: published by the news, [BENCH-24]; of two that
	 * fail at once either may be told of. */
	if (load_relaxed(&g->error) == 0)
		store_relaxed(&g->error, (uint32_t)-rc);
	futex_ring(&g->news);
}

/* Wait for the next order: false, it is to end. */
static bool ordered(struct group *g, enum part part, uint32_t *seen)
{
	*seen = futex_await(&g->order[part], *seen);
	/* [BENCH-30] relaxed: written before the order, [BENCH-24]. Pairs with
	 * [BENCH-31]. */
	return load_relaxed(&g->ended) == 0;
}

/* Be killed here. */
static _Noreturn void hang(struct group *g)
{
	g->victim = (uint32_t)getpid();
	group_count(g, &g->hung);
	for (;;)
		if (g->c->supervised)
			cpu_pause();
		else
			pause();
}

/* ---- a task's worker dies ---- */

static int give_tasks(struct group *g, struct fr_process *self, uint32_t seen)
{
	_Alignas(64) unsigned char arg[PAYLOAD_MAX];
	const struct fr_task task = {.arg = arg, .len = g->c->size};
	struct fr_task_id id;
	struct fr_result r;
	uint64_t stamp, at;
	int rc = 0;

	for (uint64_t seq = 0; rc == 0 && ordered(g, GIVER, &seen); seq++) {
		stamp = stamp_make(GIVER, seq);
		payload_fill(arg, task.len, stamp);
		rc = fr_submit(self, &task, &id);
		if (rc == 0)
			rc = fr_collect(self, FR_FOREVER, &r);
		at = now_ns();
		if (rc < 0)
			break;
		if (r.status != FR_TASK_DONE || r.len != task.len ||
		    r.id.id != id.id || r.attempt != 2)
			rc = -EPROTO;
		else
			rc = check_message(r.data, r.len, stamp ^ RESULT_FLIP);
		fr_result_release(self, &r);
		group_mark(g, BACK, at);
	}
	return rc;
}

static int do_task(void *ctx, const struct fr_task *task,
		   struct fr_reply *reply)
{
	struct group *g = ctx;

	if (task->len != g->c->size)
		return -EBADMSG;
	if (task->attempt == 1)
		hang(g);
	g->again = (uint32_t)getpid();
	reply->len = task->len;
	return work(g->c, 0, task->arg, reply->data);
}

static int do_tasks(struct group *g, struct fr_process *self)
{
	const struct fr_task_run tasks = {.run = do_task, .ctx = g};
	const struct fr_run_opts opts = {.tasks = &tasks};

	return fr_run(self, &opts);
}

/* ---- a sender dies with a claim open ---- */

/* Told of after its room was given back: the killer counts on that. */
static int tell_of(struct group *g, unsigned who, uint64_t at)
{
	switch (who) {
	case STAMP_BEHIND:
		group_count(g, &g->received);
		return 0;
	case STAMP_OTHER:
		group_mark(g, PASSED, at);
		return 0;
	case STAMP_WAITED:
		group_mark(g, BACK, at);
		return 0;
	default:
		return -EILSEQ; /* a claim that never was committed */
	}
}

static int receive(struct group *g, struct fr_process *self)
{
	struct fr_message m;
	unsigned who = 0;
	uint64_t at;
	bool last;
	int rc;

	do {
		rc = fr_receive(self, FR_FOREVER, &m);
		at = now_ns();
		if (rc < 0)
			break;
		last = m.type.id == FR_TYPE_EXIT.id;
		if (!last &&
		    !payload_right(m.body, m.len, payload_places(m.len)))
			rc = -EBADMSG;
		else if (!last)
			who = stamp_who(payload_stamp(m.body));
		fr_release(self, &m);
		if (rc == 0 && !last)
			rc = tell_of(g, who, at);
	} while (rc == 0 && !last);
	return rc;
}

static int wait_for_room(struct group *g, struct fr_process *self,
			 uint32_t seen)
{
	unsigned char *buf = aligned_alloc(64, (g->waiter_size + 63) / 64 * 64);
	struct fr_addr to;
	int rc = buf ? 0 : -ENOMEM;

	for (uint64_t seq = 0; rc == 0 && ordered(g, WAITER, &seen); seq++) {
		to.id = g->address[RECEIVER];
		payload_fill(buf, g->waiter_size,
			     stamp_make(STAMP_WAITED, seq));
		group_count(g, &g->waiting);
		rc = fr_send(self, to, (struct fr_type){0}, buf, g->waiter_size,
			     FR_FOREVER);
	}
	free(buf);
	return rc;
}

/* A child that has taken a task did not die at its start: else the supervisor
 * would give this one up after a few deaths. */
static int take_a_task(struct fr_process *self)
{
	const struct fr_task none = {.len = 0};
	struct fr_reply reply;
	struct fr_task_id id;
	struct fr_task task;
	struct fr_result r;
	int rc = fr_submit(self, &none, &id);

	if (rc == 0)
		rc = fr_take(self, FR_FOREVER, &task, &reply);
	if (rc == 0)
		rc = fr_complete(self, 0, &reply);
	if (rc == 0)
		rc = fr_collect(self, FR_FOREVER, &r);
	if (rc == 0)
		fr_result_release(self, &r);
	return rc;
}

static int claim_and_hang(struct group *g, struct fr_process *self,
			  uint32_t seen)
{
	struct fr_claim claim;
	struct fr_addr to;
	int rc;

	if (!ordered(g, SENDER, &seen))
		return 0;
	to.id = g->address[RECEIVER];
	rc = fr_claim(self, to, (struct fr_type){0}, g->c->size, FR_FOREVER,
		      &claim);
	if (rc < 0)
		return rc;
	payload_fill(claim.body, claim.len, stamp_make(STAMP_CLAIMED, 0));
	hang(g);
}

/* ---- as what a process lives ---- */

int part_live(struct group *g, enum part part, struct fr_process *self)
{
	/* as [BENCH-25]: an order that was given before counts as seen */
	uint32_t seen = load_acquire(&g->order[part]);
	int rc = 0;

	g->pid[part] = (uint32_t)getpid();
	g->address[part] = fr_self(self).id;
	if (part == SENDER)
		rc = take_a_task(self);
	group_count(g, &g->ready);
	if (rc == 0 && part == GIVER)
		rc = give_tasks(g, self, seen);
	else if (rc == 0 && (part == WORKER_1 || part == WORKER_2))
		rc = do_tasks(g, self);
	else if (rc == 0 && part == RECEIVER)
		rc = receive(g, self);
	else if (rc == 0 && part == WAITER)
		rc = wait_for_room(g, self, seen);
	else if (rc == 0)
		rc = claim_and_hang(g, self, seen);
	if (rc < 0)
		group_fail(g, rc);
	return rc;
}

/* What the signal handlers know. */
static struct group *handled;
static struct sigaction supervisors;

/* ---- the kernel alone ---- */

static void on_child(int signal)
{
	(void)signal;
	group_note(handled, KERNEL, now_ns());
}

static _Noreturn void be_busy(struct group *g, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	hang(g);
}

int parent_live(struct group *g)
{
	const struct sigaction sa = {.sa_handler = on_child};
	sigset_t blocked, before;
	pid_t pid, self = getpid();
	uint32_t seen = 0;

	handled = g;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGCHLD);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	sigaction(SIGCHLD, &sa, NULL);
	group_count(g, &g->ready);
	while (ordered(g, PARENT, &seen)) {
		pid = fork();
		if (pid == 0)
			be_busy(g, self);
		if (pid < 0)
			return -errno;
		sigsuspend(&before);
		if (waitpid(pid, NULL, 0) != pid)
			return -ECHILD;
		group_count(g, &g->marked);
	}
	return 0;
}

/* ---- the supervisor ---- */

static void on_death(int signal, siginfo_t *info, void *context)
{
	group_note(handled, NOTICED, now_ns());
	supervisors.sa_sigaction(signal, info, context);
}

/* It has recovered the child by now and will start it again. */
static void on_report(void *ctx, const struct fr_end *end)
{
	struct group *g = ctx;

	group_note(g, RECOVERED, now_ns());
	if (end->status != 0 && !end->restarting)
		group_fail(g, -ECHILD);
}

struct seat {
	struct group *g;
	enum part part;
};

static int seat_setup(void *ctx, struct fr_process *self)
{
	struct seat *seat = ctx;

	(void)self;
	group_mark(seat->g, RESTARTED, now_ns());
	return 0;
}

static int seat_run(void *ctx, struct fr_process *self)
{
	struct seat *seat = ctx;

	return part_live(seat->g, seat->part, self);
}

static int add_seats(struct group *g, struct fr_supervisor *s)
{
	static struct seat seats[PARTS];
	struct fr_child_opts opts = {
		.setup = seat_setup,
		.run = seat_run,
		.restart = FR_RESTART_ON_FAILURE,
	};
	struct fr_addr addr;
	int rc = 0;

	for (enum part i = first_part(g->c); rc == 0 && i <= last_part(g->c);
	     i++) {
		seats[i] = (struct seat){g, i};
		opts.ctx = &seats[i];
		rc = fr_supervisor_add(s, &opts, &addr);
	}
	return rc;
}

int supervisor_live(struct group *g)
{
	const struct fr_supervisor_opts opts = {.report = on_report, .ctx = g};
	struct sigaction sa = {
		.sa_sigaction = on_death,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};
	struct fr_process *self;
	struct fr_supervisor *s;
	int rc = fr_join(g->arena, NULL, &self);

	if (rc < 0)
		return rc;
	rc = fr_supervisor_open(self, &opts, &s);
	if (rc == 0) {
		handled = g;
		sigemptyset(&sa.sa_mask);
		sigaction(SIGCHLD, &sa, &supervisors);
		rc = add_seats(g, s);
		if (rc == 0)
			rc = fr_supervisor_run(s, NULL);
		fr_supervisor_close(s);
	}
	fr_leave(self);
	return rc;
}
