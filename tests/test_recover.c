/* SPDX-License-Identifier: MIT */
/*
 * What the dead leave, and what becomes of it: claims, tasks, names, events,
 * reservations, their slots and mailboxes; who sleeps for any of that; several who
 * recover at once, or are killed or stopped over it. Who is dead is test_death.c;
 * each instruction of each call is the crash suite's.
 */
#include "harness.h"

#include "process.h" /* slots, marks, notes of task-ring entries */

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAILBOX_UNITS 64 /* of small_arena; a number takes one */

static const struct fr_type no_type;

/* ---- helpers ---- */

static void tell_fault(void *ctx, const char *fault)
{
	(void)ctx;
	print_error("%s\n", fault);
}

#define assert_sound(a) assert_rc(fr_check(a, tell_fault, NULL), 0)

static struct fr_arena *arena(void)
{
	struct fr_arena *a;

	assert_rc(fr_arena_create(NULL, &small_arena, &a), 0);
	return a;
}

static struct fr_process *join(struct fr_arena *a, const char *name)
{
	struct fr_process *p;

	assert_rc(fr_join(a, &(struct fr_join_opts){.name = name}, &p), 0);
	return p;
}

static unsigned joined(const struct fr_arena *a)
{
	struct fr_arena_info info;

	fr_arena_info(a, &info);
	return info.joined;
}

/* Everybody is gone, and nothing of anybody is left. */
static void close_arena(struct fr_arena *a)
{
	assert_int_equal(joined(a), 0);
	assert_sound(a);
	fr_arena_detach(a);
}

static uint64_t word_of(const struct fr_arena *a, struct fr_addr who)
{
	return fr__load_acquire(&a->slots[fr__addr_slot(who)].state);
}

static bool is_free(const struct fr_arena *a, struct fr_addr who)
{
	return word_of(a, who) ==
	       fr__slot_word(FR__SLOT_FREE, 0, fr__addr_generation(who));
}

static int send_number(struct fr_process *p, struct fr_addr to, uint32_t n)
{
	return fr_send(p, to, no_type, &n, sizeof(n), 0);
}

/* The next message is this number, of this sender. */
static void assert_number(struct fr_process *p, struct fr_addr from, uint32_t n)
{
	struct fr_message m;

	assert_rc(fr_receive(p, 0, &m), 0);
	assert_int_equal(m.len, sizeof(n));
	assert_int_equal(*(const uint32_t *)m.body, n);
	assert_int_equal(m.from.id, from.id);
	fr_release(p, &m);
}

static void assert_no_mail(struct fr_process *p)
{
	struct fr_message m;

	assert_rc(fr_receive(p, 0, &m), -EAGAIN);
}

/* How many fit into a mailbox. */
static unsigned fill(struct fr_process *p, struct fr_addr to)
{
	unsigned count = 0;
	int rc;

	while ((rc = send_number(p, to, count)) == 0)
		count++;
	assert_rc(rc, -EAGAIN);
	return count;
}

static unsigned drain(struct fr_process *p)
{
	struct fr_message m;
	unsigned count = 0;

	while (fr_receive(p, 0, &m) == 0) {
		fr_release(p, &m);
		count++;
	}
	return count;
}

/* ---- who will die, and who survives in another process ---- */

#define TASKS 8

struct actor {
	struct fr_arena *arena;
	void (*act)(struct actor *x);
	const char *name; /* to join by */
	struct fr_process *p;
	struct fr_addr self, other; /* other: whom it has to do with */
	struct fr_event_group *group;
	struct fr_event event;
	struct fr_claim claim;
	struct fr_task_id id[TASKS];
	unsigned count;
	pid_t pid;
	int rc;
	uint32_t ready, go, done, end;
};

static struct actor *new_actor(struct fr_arena *a, void (*act)(struct actor *))
{
	struct actor *x = shared(sizeof(*x));

	x->arena = a;
	x->act = act;
	return x;
}

static int be_actor(void *ctx)
{
	struct actor *x = ctx;
	const struct fr_join_opts opts = {
		.name = x->name, .wait = FR_WAIT_SLEEP,
	};

	CHECK_RC(fr_join(x->arena, &opts, &x->p), 0);
	x->self = fr_self(x->p);
	if (x->act)
		x->act(x);
	advance(&x->ready);
	await(&x->end, 1);
	return 0;
}

static void start(struct actor *x)
{
	x->pid = spawn(be_actor, x);
}

/* Joined, and act is done. */
static void start_and_wait(struct actor *x)
{
	start(x);
	await(&x->ready, 1);
}

static struct actor *raise_actor(struct fr_arena *a, void (*act)(struct actor *))
{
	struct actor *x = new_actor(a, act);

	start_and_wait(x);
	return x;
}

static struct actor *raise_towards(struct fr_arena *a, struct fr_addr other,
				   void (*act)(struct actor *))
{
	struct actor *x = new_actor(a, act);

	x->other = other;
	start_and_wait(x);
	return x;
}

static void stop(pid_t pid)
{
	int status;

	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
}

static void kill_and_recover(struct actor *x)
{
	kill_hard(x->pid);
	assert_rc(fr_recover(x->arena), 1);
	assert_true(is_free(x->arena, x->self));
}

/* ---- claims ---- */

static void claim_one(struct actor *x)
{
	CHECK_RC(fr_claim(x->p, x->other, no_type, 4, 0, &x->claim), 0);
}

static void an_open_claim_of_the_dead_holds_up_nobody_else(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q = join(a, NULL);
	struct actor *x = raise_towards(a, fr_self(p), claim_one);
	uint32_t i;

	(void)state;
	for (i = 0; i < 3; i++) /* it is open */
		assert_rc(send_number(q, fr_self(p), i), 0);
	for (i = 0; i < 3; i++)
		assert_number(p, fr_self(q), i);
	kill_hard(x->pid);
	for (i = 3; i < 6; i++) /* its owner is dead */
		assert_rc(send_number(q, fr_self(p), i), 0);
	for (i = 3; i < 6; i++)
		assert_number(p, fr_self(q), i);
	assert_rc(fr_recover(a), 1);
	for (i = 6; i < 9; i++) /* and recovered */
		assert_rc(send_number(q, fr_self(p), i), 0);
	for (i = 6; i < 9; i++)
		assert_number(p, fr_self(q), i);
	assert_no_mail(p);
	assert_sound(a);
	fr_leave(q);
	fr_leave(p);
	close_arena(a);
}

static void send_claim_send(struct actor *x)
{
	CHECK_RC(send_number(x->p, x->other, 0), 0);
	CHECK_RC(send_number(x->p, x->other, 1), 0);
	claim_one(x);
	CHECK_RC(send_number(x->p, x->other, 2), 0);
	claim_one(x);
	CHECK_RC(send_number(x->p, x->other, 3), 0);
}

static void what_the_dead_sent_arrives_in_order(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct actor *x = raise_towards(a, fr_self(p), send_claim_send);
	uint32_t i;

	(void)state;
	kill_hard(x->pid);
	assert_number(p, x->self, 0);
	assert_number(p, x->self, 1);
	assert_no_mail(p); /* the rest is behind its claims */
	assert_rc(fr_recover(a), 1);
	for (i = 2; i < 4; i++)
		assert_number(p, x->self, i);
	assert_no_mail(p);
	fr_leave(p);
	close_arena(a);
}

static void the_room_of_a_dead_ones_claims_comes_back(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q = join(a, NULL);
	unsigned all = fill(q, fr_self(p)), i;
	struct actor *x;

	(void)state;
	assert_int_equal(drain(p), all);
	for (i = 0; i < 3; i++) {
		x = raise_towards(a, fr_self(p), claim_one);
		assert_int_equal(fill(q, fr_self(p)), all - 1);
		assert_int_equal(drain(p), all - 1);
		assert_rc(send_number(q, fr_self(p), 0), -EAGAIN);
		kill_hard(x->pid);
		assert_rc(send_number(q, fr_self(p), 0), -EAGAIN);
		assert_rc(fr_recover(a), 1);
		assert_no_mail(p); /* it looks, and frees */
		assert_int_equal(fill(q, fr_self(p)), all);
		assert_int_equal(drain(p), all);
	}
	fr_leave(q);
	fr_leave(p);
	close_arena(a);
}

static void claim_everywhere(struct actor *x)
{
	unsigned i, j;

	for (i = 0; i < 8; i++) {
		uint64_t word = fr__load_acquire(&x->arena->slots[i].state);

		for (j = 0; j < 3 && fr__slot_state(word) == FR__SLOT_JOINED;
		     j++)
			CHECK_RC(fr_claim(x->p,
					  fr__addr(i, fr__slot_generation(word)),
					  no_type, 100, 0, &x->claim),
				 0);
	}
}

static void claims_in_all_mailboxes_are_taken_back(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p[4];
	struct actor *x;
	unsigned i, all;

	(void)state;
	for (i = 0; i < 4; i++)
		p[i] = join(a, NULL);
	all = fill(p[0], fr_self(p[1]));
	assert_int_equal(drain(p[1]), all);
	x = raise_actor(a, claim_everywhere);
	kill_and_recover(x);
	for (i = 0; i < 4; i++) {
		assert_no_mail(p[i]);
		assert_int_equal(fill(p[(i + 1) % 4], fr_self(p[i])), all);
		assert_int_equal(drain(p[i]), all);
	}
	for (i = 0; i < 4; i++)
		fr_leave(p[i]);
	close_arena(a);
}

/* A claim of the living beside one of the dead. */
static void a_claim_of_the_living_stays_open(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q = join(a, NULL);
	struct actor *x = raise_towards(a, fr_self(p), claim_one);
	struct fr_claim claim;

	(void)state;
	assert_rc(fr_claim(q, fr_self(p), no_type, 4, 0, &claim), 0);
	kill_and_recover(x);
	assert_no_mail(p);
	*(uint32_t *)claim.body = 7;
	fr_commit(q, &claim);
	assert_number(p, fr_self(q), 7);
	fr_leave(q);
	fr_leave(p);
	close_arena(a);
}

/* ---- tasks: the dead as workers ---- */

static void take_one(struct actor *x)
{
	struct fr_reply reply;
	struct fr_task task;

	CHECK_RC(fr_take(x->p, FR_FOREVER, &task, &reply), 0);
	x->count = task.attempt;
	x->id[0] = task.id;
}

static struct fr_task_id submit(struct fr_process *p, uint32_t kind)
{
	struct fr_task task = {.kind = kind, .arg = &kind, .len = sizeof(kind)};
	struct fr_task_id id;

	assert_rc(fr_submit(p, &task, &id), 0);
	return id;
}

/* Take the next task, which is this one, and finish it. */
static void work(struct fr_process *p, uint32_t kind, unsigned attempt)
{
	struct fr_reply reply;
	struct fr_task task;

	assert_rc(fr_take(p, 0, &task, &reply), 0);
	assert_int_equal(task.kind, kind);
	assert_int_equal(task.attempt, attempt);
	assert_int_equal(task.len, sizeof(kind));
	assert_int_equal(*(const uint32_t *)task.arg, kind);
	memcpy(reply.data, &kind, sizeof(kind));
	reply.len = sizeof(kind);
	assert_rc(fr_complete(p, 0, &reply), 0);
}

/* The one result that there is. */
static void assert_result(struct fr_process *p, struct fr_task_id id,
			  enum fr_task_status status, unsigned attempt)
{
	struct fr_result r;

	assert_rc(fr_collect(p, 0, &r), 0);
	assert_int_equal(r.id.id, id.id);
	assert_int_equal(r.status, status);
	assert_int_equal(r.attempt, attempt);
	fr_result_release(p, &r);
}

static void assert_no_result(struct fr_process *p)
{
	struct fr_result r;

	assert_rc(fr_collect(p, 0, &r), -ENODATA);
	assert_int_equal(fr_outstanding(p), 0);
}

static void assert_no_task(struct fr_process *p)
{
	struct fr_reply reply;
	struct fr_task task;

	assert_rc(fr_take(p, 0, &task, &reply), -EAGAIN);
}

static void a_dead_workers_task_goes_to_another(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q = join(a, NULL);
	struct fr_task_id id = submit(p, 5);
	struct actor *x = raise_actor(a, take_one);
	struct fr_result r;

	(void)state;
	assert_int_equal(x->count, 1);
	kill_hard(x->pid);
	assert_rc(fr_collect(p, 0, &r), -EAGAIN);
	assert_no_task(q);
	assert_rc(fr_recover(a), 1);
	work(q, 5, 2);
	assert_result(p, id, FR_TASK_DONE, 2);
	assert_no_result(p);
	assert_no_task(q);
	fr_leave(q);
	fr_leave(p);
	close_arena(a);
}

static void a_task_whose_workers_die_is_buried_after_the_third(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q = join(a, NULL);
	struct fr_task_id id = submit(p, 5);
	struct actor *x;
	unsigned i;

	(void)state;
	for (i = 1; i <= 3; i++) {
		x = raise_actor(a, take_one);
		assert_int_equal(x->count, i);
		assert_int_equal(x->id[0].id, id.id);
		kill_and_recover(x);
	}
	assert_no_task(q);
	assert_result(p, id, FR_TASK_BURIED, 3);
	assert_no_result(p);
	id = submit(p, 6); /* the cell is good for the next */
	work(q, 6, 1);
	assert_result(p, id, FR_TASK_DONE, 1);
	fr_leave(q);
	fr_leave(p);
	close_arena(a);
}

static void take_and_complete(struct actor *x)
{
	struct fr_reply reply;
	struct fr_task task;

	CHECK_RC(fr_take(x->p, FR_FOREVER, &task, &reply), 0);
	CHECK_RC(fr_complete(x->p, 0, &reply), 0);
}

static void what_the_dead_had_finished_is_finished(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q = join(a, NULL);
	struct fr_task_id id = submit(p, 5);
	struct actor *x = raise_actor(a, take_and_complete);

	(void)state;
	kill_and_recover(x);
	assert_no_task(q);
	assert_result(p, id, FR_TASK_DONE, 1);
	assert_no_result(p);
	fr_leave(q);
	fr_leave(p);
	close_arena(a);
}

/* As if it had died between two steps of taking. */
static void take_only_the_entry(struct actor *x)
{
	uint32_t cell, generation;

	CHECK(fr__taskring_take(&x->arena->tasks, &x->p->slot->taking, &cell,
				&generation) == 1);
}

static void an_entry_in_the_hands_of_the_dead_is_not_lost(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q = join(a, NULL);
	struct fr_task_id id = submit(p, 5);
	struct actor *x = raise_actor(a, take_only_the_entry);

	(void)state;
	assert_no_task(q);
	kill_and_recover(x);
	work(q, 5, 1);
	assert_result(p, id, FR_TASK_DONE, 1);
	assert_no_result(p);
	fr_leave(q);
	fr_leave(p);
	close_arena(a);
}

/* As many as there are attempts, for each of many tasks. */
static void every_task_of_dead_workers_has_one_result(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q = join(a, NULL);
	unsigned i, round, done = 0, buried = 0;
	struct fr_result r;
	struct actor *x[6];
	struct fr_reply reply;
	struct fr_task task;

	(void)state;
	for (i = 0; i < 8; i++)
		submit(p, i);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 6; i++)
			x[i] = raise_actor(a, take_one);
		for (i = 0; i < 6; i++)
			kill_hard(x[i]->pid);
		assert_rc(fr_recover(a), 6);
		assert_sound(a);
	}
	while (fr_take(q, 0, &task, &reply) == 0)
		assert_rc(fr_complete(q, 0, &reply), 0);
	while (fr_collect(p, 0, &r) == 0) {
		done += r.status == FR_TASK_DONE;
		buried += r.status == FR_TASK_BURIED;
		fr_result_release(p, &r);
	}
	assert_int_equal(done + buried, 8);
	assert_no_result(p);
	fr_leave(q);
	fr_leave(p);
	close_arena(a);
}

/* There is nobody who takes them out again. */
static void recoveries_while_no_worker_is_there_do_not_fill_the_ring(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct actor *x[6];
	struct fr_result r;
	unsigned i, done = 0;

	(void)state;
	for (i = 0; i < 8; i++)
		submit(p, i);
	for (i = 0; i < 6; i++)
		x[i] = raise_actor(a, take_one);
	for (i = 0; i < 6; i++)
		kill_hard(x[i]->pid);
	assert_rc(fr_recover(a), 6);
	for (i = 0; i < 50; i++)
		kill_and_recover(raise_actor(a, NULL));
	for (i = 0; i < 8; i++)
		take_and_complete(&(struct actor){.p = p});
	assert_no_task(p);
	while (fr_collect(p, 0, &r) == 0) {
		done++;
		fr_result_release(p, &r);
	}
	assert_int_equal(done, 8);
	assert_no_result(p);
	fr_leave(p);
	close_arena(a);
}

/* ---- tasks: the dead as submitters ---- */

static void submit_all(struct actor *x)
{
	for (x->count = 0; x->count < TASKS; x->count++)
		CHECK_RC(fr_submit(x->p, &(struct fr_task){.kind = x->count},
				   &x->id[x->count]),
			 0);
}

/* Who has the slot next has all of its cells, and no results in them. */
static void assert_heir_is_well(struct fr_arena *a, struct fr_addr dead,
				struct fr_process *worker)
{
	struct fr_process *heir = join(a, NULL);
	struct fr_task_id id[TASKS];
	struct fr_result r;
	unsigned i;

	assert_int_equal(fr__addr_slot(fr_self(heir)), fr__addr_slot(dead));
	assert_no_result(heir);
	for (i = 0; i < TASKS; i++)
		id[i] = submit(heir, 100 + i);
	assert_rc(fr_submit(heir, &(struct fr_task){.kind = 1}, &id[0]),
		  -EAGAIN);
	for (i = 0; i < TASKS; i++)
		work(worker, 100 + i, 1);
	for (i = 0; i < TASKS; i++) {
		assert_rc(fr_collect(heir, 0, &r), 0);
		assert_true(r.kind >= 100 && r.kind < 100 + TASKS);
		fr_result_release(heir, &r);
	}
	assert_no_result(heir);
	fr_leave(heir);
}

static void what_a_dead_submitter_has_queued_is_dropped(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct actor *x = raise_actor(a, submit_all);

	(void)state;
	kill_and_recover(x);
	assert_no_task(p);
	assert_heir_is_well(a, x->self, p);
	fr_leave(p);
	close_arena(a);
}

static void what_runs_for_a_dead_submitter_may_be_finished(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *heir;
	struct actor *x = raise_actor(a, submit_all);
	struct fr_reply reply;
	struct fr_result r;
	struct fr_task task;

	(void)state;
	assert_rc(fr_take(p, 0, &task, &reply), 0);
	kill_and_recover(x);
	heir = join(a, NULL); /* in its slot, before the task is finished */
	assert_int_equal(fr__addr_slot(fr_self(heir)), fr__addr_slot(x->self));
	assert_no_result(heir);
	assert_rc(fr_complete(p, 0, &reply), 0);
	assert_rc(fr_collect(heir, 0, &r), -ENODATA);
	fr_leave(heir);
	assert_no_task(p);
	assert_heir_is_well(a, x->self, p);
	fr_leave(p);
	close_arena(a);
}

static void what_is_finished_before_its_submitter_is_recovered_is_dropped(
	void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct actor *x = raise_actor(a, submit_all);
	struct fr_reply reply;
	struct fr_task task;

	(void)state;
	assert_rc(fr_take(p, 0, &task, &reply), 0);
	kill_hard(x->pid);
	assert_rc(fr_complete(p, 0, &reply), 0);
	assert_rc(fr_take(p, 0, &task, &reply), 0);
	assert_rc(fr_recover(a), 1);
	assert_rc(fr_complete(p, 0, &reply), 0);
	assert_no_task(p);
	assert_heir_is_well(a, x->self, p);
	fr_leave(p);
	close_arena(a);
}

static void submit_and_hold(struct actor *x)
{
	struct fr_result r;

	submit_all(x);
	CHECK_RC(fr_task_cancel(x->p, x->id[0]), 0);
	CHECK_RC(fr_task_cancel(x->p, x->id[1]), 0);
	CHECK_RC(fr_collect(x->p, 0, &r), 0); /* and not released */
}

static void results_that_a_dead_one_held_are_dropped(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct actor *x = raise_actor(a, submit_and_hold);

	(void)state;
	kill_and_recover(x);
	assert_no_task(p);
	assert_heir_is_well(a, x->self, p);
	fr_leave(p);
	close_arena(a);
}

static void submit_and_take(struct actor *x)
{
	submit_all(x);
	take_one(x);
}

static void who_dies_over_its_own_task_leaves_none(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct actor *x = raise_actor(a, submit_and_take);

	(void)state;
	kill_and_recover(x);
	assert_no_task(p);
	assert_heir_is_well(a, x->self, p);
	fr_leave(p);
	close_arena(a);
}

static void worker_and_submitter_may_die_together(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct actor *submitter = raise_actor(a, submit_all);
	struct actor *worker = raise_actor(a, take_one);

	(void)state;
	kill_hard(submitter->pid);
	kill_hard(worker->pid);
	assert_rc(fr_recover(a), 2);
	assert_no_task(p);
	assert_sound(a);
	/* And in the other order of slots. */
	worker = new_actor(a, take_one);
	start(worker);
	AWAIT(joined(a) == 2);
	submitter = raise_actor(a, submit_all);
	await(&worker->ready, 1);
	assert_true(fr__addr_slot(worker->self) <
		    fr__addr_slot(submitter->self));
	kill_hard(submitter->pid);
	kill_hard(worker->pid);
	assert_rc(fr_recover(a), 2);
	assert_no_task(p);
	assert_sound(a);
	fr_leave(p);
	close_arena(a);
}

/* ---- names ---- */

static void look_up_twice(struct actor *x)
{
	struct fr_addr found;

	CHECK_RC(fr_lookup(x->p, "victim", &found, 1), 1);
	CHECK_RC(fr_lookup(x->p, "victim", &found, 1), 1); /* from its cache */
	advance(&x->ready);
	await(&x->go, 1);
	CHECK_RC(fr_lookup(x->p, "victim", &found, 1), 0);
	CHECK_RC(fr_wait_name(x->p, "victim", 0, &found), -EAGAIN);
	CHECK_RC(fr_send_name(x->p, "victim", no_type, "x", 1, 0), -ENOENT);
	advance(&x->done);
}

static void the_name_of_the_dead_is_gone_from_everywhere(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct actor *x = new_actor(a, NULL), *other;
	char name[FR_NAME_MAX + 1];
	struct fr_addr found;

	(void)state;
	x->name = "victim";
	start_and_wait(x);
	other = raise_actor(a, look_up_twice);
	assert_rc(fr_lookup(p, "victim", &found, 1), 1);
	kill_and_recover(x);
	advance(&other->go);
	await(&other->done, 1);
	assert_rc(fr_lookup(p, "victim", &found, 1), 0);
	assert_rc(fr_process_name(p, x->self, name), -ESRCH);
	assert_rc(fr_process_pid(p, x->self), -ESRCH);
	kill_and_recover(other);
	fr_leave(p);
	close_arena(a);
}

/* As if who removed it had died before it told anybody. */
static void remove_word(struct fr_arena *a, struct fr_addr who)
{
	uint32_t i;

	for (i = 0; i < a->geo.names; i++) {
		uint64_t word = fr__load_relaxed(&a->names[i]);

		if (word && (word >> 32 & 0xffff) == fr__addr_slot(who))
			fr__store_relaxed(&a->names[i], 0);
	}
}

static void a_name_that_was_removed_by_half_is_gone_from_everywhere(void **state)
{
	struct fr_arena *a = arena();
	struct actor *x = new_actor(a, NULL), *other;

	(void)state;
	x->name = "victim";
	start_and_wait(x);
	other = raise_actor(a, look_up_twice);
	kill_hard(x->pid);
	remove_word(a, x->self);
	assert_rc(fr_recover(a), 1);
	advance(&other->go);
	await(&other->done, 1);
	kill_and_recover(other);
	close_arena(a);
}

static void the_name_of_the_dead_leads_to_its_next_holder_only(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *heir;
	struct actor *x = new_actor(a, NULL);
	struct fr_addr found;

	(void)state;
	x->name = "victim";
	start_and_wait(x);
	assert_rc(fr_lookup(p, "victim", &found, 1), 1);
	kill_hard(x->pid);
	heir = join(a, "victim"); /* who joins recovers */
	assert_rc(fr_lookup(p, "victim", &found, 1), 1);
	assert_int_equal(found.id, fr_self(heir).id);
	fr_leave(heir);
	assert_rc(fr_lookup(p, "victim", &found, 1), 0);
	fr_leave(p);
	close_arena(a);
}

/* ---- events ---- */

static struct fr_event_group *group_of(struct fr_arena *a, unsigned count)
{
	struct fr_event_group *g;

	assert_rc(fr_event_group_create(a, count, &g), 0);
	return g;
}

static void reserve_all(struct actor *x)
{
	struct fr_event event;

	CHECK_RC(fr_event_reserve(x->p, x->group, &x->event), 0);
	while (fr_event_reserve(x->p, x->group, &event) == 0)
		x->count++;
	CHECK_RC(fr_event_set(x->p, event), 0);
}

static struct actor *raise_reserver(struct fr_arena *a, struct fr_event_group *g)
{
	struct actor *x = new_actor(a, reserve_all);

	x->group = g;
	start_and_wait(x);
	return x;
}

static void the_events_of_the_dead_are_free(void **state)
{
	struct fr_arena *a = arena();
	struct fr_event_group *g = group_of(a, 4);
	struct fr_process *p = join(a, NULL);
	struct actor *x = raise_reserver(a, g);
	struct fr_event event;
	unsigned i;

	(void)state;
	assert_rc(fr_event_reserve(p, g, &event), -ENOSPC);
	kill_and_recover(x);
	assert_rc(fr_event_wait(p, x->event, 0), -ESTALE);
	assert_rc(fr_event_set(p, x->event), -ESTALE);
	for (i = 0; i < 4; i++) {
		assert_rc(fr_event_reserve(p, g, &event), 0);
		assert_rc(fr_event_wait(p, event, 0), -EAGAIN); /* unset */
	}
	fr_leave(p);
	fr_event_group_free(g);
	close_arena(a);
}

static void set_event(struct actor *x)
{
	CHECK_RC(fr_event_set(x->p, x->event), 0);
}

static void what_the_dead_set_is_set(void **state)
{
	struct fr_arena *a = arena();
	struct fr_event_group *g = group_of(a, 4);
	struct fr_process *p = join(a, NULL);
	struct actor *x = new_actor(a, set_event);

	(void)state;
	assert_rc(fr_event_reserve(p, g, &x->event), 0);
	start_and_wait(x);
	kill_and_recover(x);
	assert_rc(fr_event_wait(p, x->event, 0), 0);
	assert_rc(fr_event_wait_from(p, x->event, x->self, FR_FOREVER), 0);
	assert_rc(fr_event_clear(p, x->event), 0);
	assert_rc(fr_event_wait_from(p, x->event, x->self, FR_FOREVER),
		  -EOWNERDEAD);
	fr_leave(p);
	fr_event_group_free(g);
	close_arena(a);
}

/* ---- reservations ---- */

static void reserve_slots(struct actor *x)
{
	struct fr_addr addr;

	CHECK_RC(fr_reserve(x->p, &x->other), 0);
	while (fr_reserve(x->p, &addr) == 0)
		x->count++;
}

static void what_the_dead_had_reserved_is_given_back(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q;
	struct actor *x = raise_actor(a, reserve_slots);

	(void)state;
	assert_int_equal(joined(a), 8);
	assert_rc(send_number(p, x->other, 1), 0);
	assert_rc(fr_alive(p, x->other), 1);
	kill_and_recover(x);
	assert_int_equal(joined(a), 1);
	assert_rc(fr_alive(p, x->other), 0);
	assert_rc(send_number(p, x->other, 2), -ESRCH);
	assert_rc(fr_join(a, &(struct fr_join_opts){.reserved = x->other}, &q),
		  -EINVAL);
	q = join(a, NULL);
	assert_no_mail(q);
	fr_leave(q);
	fr_leave(p);
	close_arena(a);
}

static void reservations_of_the_living_stay(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q;
	struct actor *x = raise_actor(a, NULL);
	struct fr_addr addr;

	(void)state;
	assert_rc(fr_reserve(p, &addr), 0);
	kill_and_recover(x);
	assert_rc(fr_alive(p, addr), 1);
	assert_rc(fr_join(a, &(struct fr_join_opts){.reserved = addr}, &q), 0);
	fr_leave(q);
	fr_leave(p);
	close_arena(a);
}

/* The child that was to join there has done so. */
static void who_joined_by_a_dead_ones_reservation_stays(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q;
	struct actor *x = raise_actor(a, reserve_slots);

	(void)state;
	assert_rc(fr_join(a, &(struct fr_join_opts){.reserved = x->other}, &q),
		  0);
	kill_and_recover(x);
	assert_rc(fr_alive(p, x->other), 1);
	assert_int_equal(joined(a), 2);
	fr_leave(q);
	fr_leave(p);
	close_arena(a);
}

/* ---- slots and mailboxes ---- */

static void the_slot_of_the_dead_is_free_with_a_new_generation(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *heir;
	struct actor *x = raise_actor(a, NULL);

	(void)state;
	kill_and_recover(x);
	heir = join(a, NULL);
	assert_int_equal(fr__addr_slot(fr_self(heir)), fr__addr_slot(x->self));
	assert_int_not_equal(fr_self(heir).id, x->self.id);
	assert_rc(fr_alive(p, x->self), 0);
	assert_rc(fr_alive(p, fr_self(heir)), 1);
	assert_rc(send_number(p, x->self, 1), -ESRCH);
	assert_no_mail(heir);
	fr_leave(heir);
	fr_leave(p);
	close_arena(a);
}

static void receive_some(struct actor *x)
{
	struct fr_message m[3];
	unsigned i;

	await(&x->go, 1);
	for (i = 0; i < 3; i++)
		CHECK_RC(fr_receive(x->p, 0, &m[i]), 0);
	fr_release(x->p, &m[1]);
}

static void mail_of_the_dead_is_dropped_and_its_room_is_back(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *heir;
	struct actor *x = new_actor(a, receive_some);
	unsigned all;

	(void)state;
	start(x);
	AWAIT(joined(a) == 2);
	AWAIT(x->self.id != 0);
	all = fill(p, x->self);
	advance(&x->go);
	await(&x->ready, 1);
	kill_and_recover(x);
	heir = join(a, NULL);
	assert_int_equal(fr__addr_slot(fr_self(heir)), fr__addr_slot(x->self));
	assert_no_mail(heir);
	assert_int_equal(fill(p, fr_self(heir)), all);
	assert_int_equal(drain(heir), all);
	fr_leave(heir);
	fr_leave(p);
	close_arena(a);
}

/* As if it had died between publishing head and freeing what is before it. */
static void begin_to_free(struct actor *x)
{
	struct fr_message m[3];
	const struct fr__ring *ring;
	unsigned i;

	await(&x->go, 1);
	for (i = 0; i < 3; i++)
		CHECK_RC(fr_receive(x->p, 0, &m[i]), 0);
	ring = fr__arena_ring(x->arena, fr__addr_slot(x->self));
	fr__store_relaxed(&ring->ctl->head, fr__load_relaxed(&ring->ctl->head) + 3);
}

static void what_the_dead_had_begun_to_free_is_free(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *heir;
	struct actor *x = new_actor(a, begin_to_free);

	(void)state;
	start(x);
	AWAIT(x->self.id != 0);
	assert_int_equal(fill(p, x->self), MAILBOX_UNITS);
	advance(&x->go);
	await(&x->ready, 1);
	assert_rc(send_number(p, x->self, 0), -EAGAIN);
	kill_and_recover(x);
	assert_sound(a);
	heir = join(a, NULL);
	assert_int_equal(fr__addr_slot(fr_self(heir)), fr__addr_slot(x->self));
	assert_no_mail(heir);
	assert_int_equal(fill(p, fr_self(heir)), MAILBOX_UNITS);
	assert_int_equal(drain(heir), MAILBOX_UNITS);
	fr_leave(heir);
	fr_leave(p);
	close_arena(a);
}

/* Of one who had begun to send before the death. */
static void late_mail_to_the_dead_is_not_read_by_its_heir(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *heir;
	struct actor *x = raise_actor(a, NULL);
	struct fr_claim claim[3];
	unsigned i, all;

	(void)state;
	for (i = 0; i < 3; i++)
		assert_rc(fr_claim(p, x->self, no_type, 4, 0, &claim[i]), 0);
	fr_commit(p, &claim[1]); /* the death lies between the commits */
	kill_and_recover(x);
	heir = join(a, NULL);
	fr_commit(p, &claim[0]);
	assert_rc(send_number(p, fr_self(heir), 42), 0);
	assert_no_mail(heir); /* a claim is open in front */
	fr_commit(p, &claim[2]);
	assert_number(heir, fr_self(p), 42);
	assert_no_mail(heir);
	all = fill(p, fr_self(heir));
	assert_int_equal(drain(heir), all);
	assert_int_equal(all, MAILBOX_UNITS); /* none is lost */
	fr_leave(heir);
	fr_leave(p);
	close_arena(a);
}

static void begin_all(struct actor *x)
{
	struct fr_addr addr;

	claim_everywhere(x);
	CHECK_RC(fr_submit(x->p, &(struct fr_task){.kind = 1}, &x->id[0]), 0);
	CHECK_RC(fr_submit(x->p, &(struct fr_task){.kind = 2}, &x->id[1]), 0);
	take_one(x);
	CHECK_RC(fr_event_reserve(x->p, x->group, &x->event), 0);
	CHECK(fr_lookup(x->p, "victim", &addr, 1) >= 1);
}

static struct actor *raise_all(struct fr_arena *a, struct fr_event_group *g)
{
	struct actor *x = new_actor(a, begin_all);

	x->name = "victim";
	x->group = g;
	start_and_wait(x);
	return x;
}

static void many_dead_at_once_are_recovered_at_once(void **state)
{
	struct fr_arena *a = arena();
	struct fr_event_group *g = group_of(a, 6);
	struct fr_process *p = join(a, NULL), *q = join(a, NULL), *r[6];
	unsigned i, all = fill(q, fr_self(p));
	struct fr_event event;
	struct actor *x[6];
	struct fr_addr found;

	(void)state;
	assert_int_equal(drain(p), all);
	for (i = 0; i < 6; i++)
		x[i] = raise_all(a, g);
	assert_rc(fr_event_reserve(p, g, &event), -ENOSPC);
	for (i = 0; i < 6; i++)
		kill(x[i]->pid, SIGKILL);
	for (i = 0; i < 6; i++)
		wait_status(x[i]->pid);
	assert_rc(fr_recover(a), 6);
	assert_rc(fr_recover(a), 0);
	assert_sound(a);
	assert_int_equal(joined(a), 2);
	assert_no_task(p);
	assert_rc(fr_lookup(p, "victim", &found, 1), 0);
	assert_no_mail(p);
	assert_no_mail(q);
	assert_int_equal(fill(q, fr_self(p)), all);
	for (i = 0; i < 6; i++)
		assert_rc(fr_event_reserve(p, g, &event), 0);
	for (i = 0; i < 6; i++) {
		r[i] = join(a, "victim");
		assert_no_mail(r[i]);
		assert_int_equal(fill(p, fr_self(r[i])), all);
	}
	assert_rc(fr_lookup(p, "victim", &found, 1), 6);
	for (i = 0; i < 6; i++)
		fr_leave(r[i]);
	fr_leave(q);
	fr_leave(p);
	fr_event_group_free(g);
	close_arena(a);
}

static void where_all_slots_are_held_by_the_dead_one_may_join(void **state)
{
	struct fr_arena *a = arena();
	struct fr_event_group *g = group_of(a, 16);
	struct actor *x[8];
	struct fr_process *p;
	unsigned i;

	(void)state;
	for (i = 0; i < 8; i++)
		x[i] = raise_all(a, g);
	assert_rc(fr_join(a, NULL, &p), -ENOSPC);
	for (i = 0; i < 8; i++)
		kill_hard(x[i]->pid);
	p = join(a, NULL);
	assert_int_equal(joined(a), 1);
	assert_no_task(p);
	fr_leave(p);
	fr_event_group_free(g);
	close_arena(a);
}

static void where_the_dead_reserved_all_slots_one_may_join(void **state)
{
	struct fr_arena *a = arena();
	struct actor *x = raise_actor(a, reserve_slots);
	struct fr_process *p;

	(void)state;
	assert_rc(fr_join(a, NULL, &p), -ENOSPC);
	kill_hard(x->pid);
	p = join(a, NULL);
	assert_int_equal(joined(a), 1);
	fr_leave(p);
	close_arena(a);
}

/* As if it were stopped in joining, with the lock of a slot and no more. */
static int lock_a_slot(void *ctx)
{
	struct actor *x = ctx;

	CHECK_RC(fr__file_lock(fr_arena_fd(x->arena), F_WRLCK, 1, 1), 0);
	advance(&x->ready);
	await(&x->end, 1);
	return 0;
}

static void who_is_stopped_on_its_way_in_is_in_nobodys_way(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q, *r;
	struct actor *x = new_actor(a, NULL);
	struct fr_addr addr;

	(void)state;
	x->pid = spawn(lock_a_slot, x);
	await(&x->ready, 1);
	stop(x->pid);
	q = join(a, NULL);
	assert_int_not_equal(fr__addr_slot(fr_self(q)), 1);
	assert_rc(fr_reserve(p, &addr), 0);
	assert_rc(fr_join(a, &(struct fr_join_opts){.reserved = addr}, &r), 0);
	fr_leave(r);
	fr_leave(q);
	fr_leave(p);
	kill_hard(x->pid);
	close_arena(a);
}

/* ---- who only tries ---- */

static void who_reserves_finds_the_slots_of_the_dead(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct fr_addr addr;
	struct actor *x[7];
	unsigned i;

	(void)state;
	for (i = 0; i < 7; i++)
		x[i] = raise_actor(a, NULL);
	assert_rc(fr_reserve(p, &addr), -ENOSPC);
	for (i = 0; i < 7; i++)
		kill_hard(x[i]->pid);
	for (i = 0; i < 7; i++)
		assert_rc(fr_reserve(p, &addr), 0);
	assert_rc(fr_reserve(p, &addr), -ENOSPC);
	fr_leave(p);
	close_arena(a);
}

static void who_reserves_events_finds_those_of_the_dead(void **state)
{
	struct fr_arena *a = arena();
	struct fr_event_group *g = group_of(a, 4);
	struct fr_process *p = join(a, NULL);
	struct actor *x = raise_reserver(a, g);
	struct fr_event event;

	(void)state;
	assert_rc(fr_event_reserve(p, g, &event), -ENOSPC);
	kill_hard(x->pid);
	assert_rc(fr_event_reserve(p, g, &event), 0);
	assert_rc(fr_event_release(p, event), 0);
	fr_leave(p);
	fr_event_group_free(g);
	close_arena(a);
}

static void who_only_tries_to_send_to_the_dead_is_told(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct actor *x = raise_actor(a, NULL);
	int rc;

	(void)state;
	fill(p, x->self);
	kill_hard(x->pid);
	AWAIT((rc = send_number(p, x->self, 0)) != -EAGAIN);
	assert_rc(rc, -ESRCH);
	fr_leave(p);
	close_arena(a);
}

/* ---- asleep, and nobody else does anything ---- */

/* It sleeps for this. */
static bool sleeps(const struct actor *x, uint32_t mark)
{
	char path[32], text[512], *at;
	size_t n;
	FILE *f;

	if (!x->self.id ||
	    !(fr__load_acquire(
		      &x->arena->slots[fr__addr_slot(x->self)].waiting) &
	      mark))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/stat", x->pid);
	f = fopen(path, "re");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	at = strrchr(text, ')');
	return at && at[2] == 'S';
}

static void receive_two(struct actor *x)
{
	struct fr_message m;
	uint32_t i;

	for (i = 0; i < 2; i++) {
		CHECK_RC(fr_receive(x->p, FR_FOREVER, &m), 0);
		CHECK(*(const uint32_t *)m.body == i);
		fr_release(x->p, &m);
	}
}

static void claim_and_send_two(struct actor *x)
{
	claim_one(x);
	CHECK_RC(send_number(x->p, x->other, 0), 0);
	CHECK_RC(send_number(x->p, x->other, 1), 0);
}

static void finish(struct actor *x)
{
	advance(&x->end);
	wait_ok(x->pid);
}

static void who_sleeps_behind_a_dead_ones_claim_wakes(void **state)
{
	struct fr_arena *a = arena();
	struct actor *reader = new_actor(a, receive_two), *x;

	(void)state;
	start(reader);
	AWAIT(sleeps(reader, FR__MARK_MAIL));
	x = raise_towards(a, reader->self, claim_and_send_two);
	AWAIT(sleeps(reader, FR__MARK_MAIL));
	kill_hard(x->pid);
	finish(reader);
	assert_rc(fr_recover(a), 1); /* the reader; it has recovered x */
	close_arena(a);
}

static void collect_one(struct actor *x)
{
	struct fr_result r;

	CHECK_RC(fr_submit(x->p, &(struct fr_task){.kind = 9}, &x->id[0]), 0);
	advance(&x->done);
	CHECK_RC(fr_collect(x->p, FR_FOREVER, &r), 0);
	CHECK(r.id.id == x->id[0].id && r.kind == 9);
	x->count = r.attempt;
	x->rc = (int)r.status;
	fr_result_release(x->p, &r);
}

/* A second worker is there, asleep too. */
static void who_sleeps_for_a_dead_workers_result_gets_it(void **state)
{
	struct fr_arena *a = arena();
	struct actor *submitter = new_actor(a, collect_one);
	struct actor *worker = new_actor(a, take_and_complete), *x;

	(void)state;
	start(submitter);
	await(&submitter->done, 1);
	x = raise_actor(a, take_one);
	start(worker);
	AWAIT(sleeps(worker, FR__MARK_TASK));
	AWAIT(sleeps(submitter, FR__MARK_RESULT));
	kill_hard(x->pid);
	await(&submitter->ready, 1);
	assert_int_equal(submitter->count, 2);
	assert_int_equal(submitter->rc, FR_TASK_DONE);
	finish(submitter);
	finish(worker);
	assert_rc(fr_recover(a), 2);
	close_arena(a);
}

/* Its workers are all dead, for the third time. */
static void who_sleeps_for_the_result_of_a_buried_task_gets_it(void **state)
{
	struct fr_arena *a = arena();
	struct actor *submitter = new_actor(a, collect_one), *x;
	unsigned i;

	(void)state;
	start(submitter);
	await(&submitter->done, 1);
	for (i = 1; i <= 3; i++) {
		x = raise_actor(a, take_one); /* waits for the last recovery */
		assert_int_equal(x->count, i);
		AWAIT(sleeps(submitter, FR__MARK_RESULT));
		kill_hard(x->pid);
	}
	await(&submitter->ready, 1);
	assert_int_equal(submitter->rc, FR_TASK_BURIED);
	finish(submitter);
	assert_rc(fr_recover(a), 1);
	close_arena(a);
}

static void send_until_gone(struct actor *x)
{
	uint32_t n = 0;

	do
		x->rc = fr_send(x->p, x->other, no_type, &n, sizeof(n),
				FR_FOREVER);
	while (x->rc == 0);
}

static void who_sleeps_for_room_of_the_dead_is_told(void **state)
{
	struct fr_arena *a = arena();
	struct actor *x = raise_actor(a, NULL);
	struct actor *sender = new_actor(a, send_until_gone);

	(void)state;
	sender->other = x->self;
	start(sender);
	AWAIT(sleeps(sender, FR__MARK_ROOM));
	kill_hard(x->pid);
	await(&sender->ready, 1);
	assert_rc(sender->rc, -ESRCH);
	finish(sender);
	assert_rc(fr_recover(a), 1);
	close_arena(a);
}

static void who_begins_to_wait_for_room_of_the_dead_is_told(void **state)
{
	struct fr_arena *a = arena();
	struct actor *x = raise_actor(a, NULL), *sender;

	(void)state;
	kill_hard(x->pid);
	sender = new_actor(a, send_until_gone);
	sender->other = x->self;
	sender->count = 1;
	start_and_wait(sender);
	assert_rc(sender->rc, -ESRCH);
	finish(sender);
	assert_rc(fr_recover(a), 1);
	close_arena(a);
}

/* Before it sleeps, however short: else each of these would time out. */
static void who_begins_to_wait_for_the_dead_is_told_at_once(void **state)
{
	struct fr_arena *a = arena();
	struct fr_event_group *g = group_of(a, 4);
	struct fr_process *p = join(a, NULL);
	struct actor *x = raise_actor(a, NULL);
	struct fr_event event;
	char reply[8];

	(void)state;
	assert_rc(fr_event_reserve(p, g, &event), 0);
	fill(p, x->self);
	kill_hard(x->pid);
	assert_rc(fr_send(p, x->self, no_type, "x", 1, MS), -ESRCH);
	x = raise_actor(a, NULL);
	kill_hard(x->pid);
	assert_rc(fr_event_wait_from(p, event, x->self, MS), -EOWNERDEAD);
	x = raise_actor(a, NULL);
	kill_hard(x->pid);
	assert_rc(fr_call(p, x->self, no_type, "x", 1, MS, reply,
			  sizeof(reply)),
		  -EOWNERDEAD);
	assert_rc(fr_recover(a), 0);
	fr_leave(p);
	fr_event_group_free(g);
	close_arena(a);
}

static void who_sleeps_for_room_of_a_reservation_of_the_dead_is_told(void **state)
{
	struct fr_arena *a = arena();
	struct actor *x = new_actor(a, reserve_slots), *sender;

	(void)state;
	sender = raise_actor(a, NULL); /* a slot for who comes later */
	start_and_wait(x);
	kill_and_recover(sender);
	sender = new_actor(a, send_until_gone);
	sender->other = x->other;
	start(sender);
	AWAIT(sleeps(sender, FR__MARK_ROOM));
	kill_hard(x->pid);
	await(&sender->ready, 1);
	assert_rc(sender->rc, -ESRCH);
	finish(sender);
	assert_rc(fr_recover(a), 1);
	close_arena(a);
}

static void receive_on_and_on(struct actor *x)
{
	struct fr_message m;

	while (x->count < 200) {
		CHECK_RC(fr_receive(x->p, FR_FOREVER, &m), 0);
		fr_release(x->p, &m);
		x->count++;
	}
}

static void send_on_and_on(struct actor *x)
{
	uint32_t n;

	for (n = 0; n < 200; n++)
		CHECK_RC(fr_send(x->p, x->other, no_type, &n, sizeof(n),
				 FR_FOREVER),
			 0);
}

/* The mailbox is empty but for a claim in front: no more goes in, and there is
 * nothing to receive. */
static void who_sleeps_for_room_behind_a_dead_ones_claim_gets_it(void **state)
{
	struct fr_arena *a = arena();
	struct actor *reader = new_actor(a, receive_on_and_on);
	struct actor *sender = new_actor(a, send_on_and_on), *x;

	(void)state;
	start(reader);
	AWAIT(sleeps(reader, FR__MARK_MAIL));
	x = raise_towards(a, reader->self, claim_one);
	sender->other = reader->self;
	start(sender);
	AWAIT(sleeps(sender, FR__MARK_ROOM) && sleeps(reader, FR__MARK_MAIL));
	assert_int_equal(reader->ready + sender->ready, 0);
	kill_hard(x->pid);
	finish(sender);
	finish(reader);
	assert_rc(fr_recover(a), 2);
	close_arena(a);
}

/* Most slots that were ever in use are free again; the few others lie together. */
static void the_dead_among_few_in_many_slots_are_found(void **state)
{
	struct fr_arena_opts opts = small_arena;
	struct fr_process *p[100];
	struct actor *x[9];
	struct fr_arena *a;
	unsigned i;

	(void)state;
	opts.slots = 110;
	assert_rc(fr_arena_create(NULL, &opts, &a), 0);
	for (i = 0; i < 100; i++)
		p[i] = join(a, NULL);
	for (i = 0; i < 9; i++) {
		x[i] = new_actor(a, receive_on_and_on);
		start(x[i]);
		AWAIT(sleeps(x[i], FR__MARK_MAIL));
	}
	for (i = 0; i < 100; i++)
		fr_leave(p[i]);
	kill_hard(x[5]->pid);
	AWAIT(is_free(a, x[5]->self));
	for (i = 0; i < 9; i++) /* else they find each other dead */
		if (i != 5)
			stop(x[i]->pid);
	for (i = 0; i < 9; i++)
		if (i != 5)
			kill_hard(x[i]->pid);
	assert_rc(fr_recover(a), 8);
	close_arena(a);
}

static void wait_for_event(struct actor *x)
{
	x->rc = fr_event_wait(x->p, x->event, FR_FOREVER);
}

static void wait_for_setter(struct actor *x)
{
	x->rc = fr_event_wait_from(x->p, x->event, x->other, FR_FOREVER);
}

/* Who waits for an event sleeps on the event's own bell. */
static bool sleeps_for_event(struct fr_arena *a, struct fr_event event)
{
	return fr__load_acquire(&a->events[event.id & 0xffff].waiting) &
	       FR__MARK_EVENT;
}

static void who_sleeps_for_an_event_of_the_dead_is_told(void **state)
{
	struct fr_arena *a = arena();
	struct fr_event_group *g = group_of(a, 4);
	struct actor *x = raise_reserver(a, g);
	struct actor *waiter = new_actor(a, wait_for_event);

	(void)state;
	waiter->event = x->event;
	start(waiter);
	AWAIT(sleeps_for_event(a, x->event));
	kill_hard(x->pid);
	await(&waiter->ready, 1);
	assert_rc(waiter->rc, -ESTALE);
	finish(waiter);
	assert_rc(fr_recover(a), 1);
	fr_event_group_free(g);
	close_arena(a);
}

static void who_sleeps_for_what_the_dead_was_to_set_is_told(void **state)
{
	struct fr_arena *a = arena();
	struct fr_event_group *g = group_of(a, 4);
	struct fr_process *p = join(a, NULL);
	struct actor *x = raise_actor(a, NULL);
	struct actor *waiter = new_actor(a, wait_for_setter);

	(void)state;
	assert_rc(fr_event_reserve(p, g, &waiter->event), 0);
	waiter->other = x->self;
	start(waiter);
	AWAIT(sleeps_for_event(a, waiter->event));
	kill_hard(x->pid);
	await(&waiter->ready, 1);
	assert_rc(waiter->rc, -EOWNERDEAD);
	finish(waiter);
	assert_rc(fr_recover(a), 1);
	fr_leave(p);
	fr_event_group_free(g);
	close_arena(a);
}

/* The wake-up for the task was in the hands of the dead. */
static void a_task_that_the_dead_was_woken_for_is_done_by_another(void **state)
{
	struct fr_arena *a = arena();
	struct actor *first = new_actor(a, take_one), *second;
	struct actor *submitter = new_actor(a, collect_one);

	(void)state;
	start(first);
	AWAIT(sleeps(first, FR__MARK_TASK));
	second = new_actor(a, take_and_complete);
	start(second);
	AWAIT(sleeps(second, FR__MARK_TASK));
	stop(first->pid);
	start(submitter);
	await(&submitter->done, 1);
	AWAIT(!(fr__load_acquire(&a->idle[0]) & 1)); /* chosen */
	kill_hard(first->pid);
	finish(submitter);
	finish(second);
	fr_recover(a); /* the first, too, if nobody has had to look */
	close_arena(a);
}

/* Nobody is dead: only the wake-up is late. */
static void a_task_that_one_was_woken_for_who_is_stopped_is_done_by_another(
	void **state)
{
	struct fr_arena *a = arena();
	struct actor *first = new_actor(a, take_one), *second;
	struct actor *submitter = new_actor(a, collect_one);

	(void)state;
	start(first);
	AWAIT(sleeps(first, FR__MARK_TASK));
	second = new_actor(a, take_and_complete);
	start(second);
	AWAIT(sleeps(second, FR__MARK_TASK));
	stop(first->pid);
	start(submitter);
	await(&submitter->ready, 1);
	assert_int_equal(submitter->count, 1);
	finish(submitter);
	finish(second);
	kill_hard(first->pid);
	assert_rc(fr_recover(a), 3);
	close_arena(a);
}

/* ---- busy, and never asleep for a whole slice ---- */

/* Task 9 is the one that a dead worker has; the others are answered at once. */
static void wait_for_nine(struct actor *x)
{
	struct fr_task_id id;
	struct fr_result r;

	CHECK_RC(fr_submit(x->p, &(struct fr_task){.kind = 9}, &x->id[0]), 0);
	advance(&x->done);
	await(&x->go, 1);
	do {
		CHECK_RC(fr_submit(x->p, &(struct fr_task){.kind = 1}, &id), 0);
		CHECK_RC(fr_collect(x->p, FR_FOREVER, &r), 0);
		x->count = r.kind;
		fr_result_release(x->p, &r);
	} while (x->count != 9);
}

static void work_on_and_on(struct actor *x)
{
	struct fr_reply reply;
	struct fr_task task;

	for (;;) {
		CHECK_RC(fr_take(x->p, FR_FOREVER, &task, &reply), 0);
		CHECK_RC(fr_complete(x->p, 0, &reply), 0);
	}
}

static void who_is_woken_all_the_time_finds_the_dead_too(void **state)
{
	struct fr_arena *a = arena();
	struct actor *submitter = new_actor(a, wait_for_nine), *x;
	struct actor *worker = new_actor(a, work_on_and_on);

	(void)state;
	start(submitter);
	await(&submitter->done, 1);
	x = raise_actor(a, take_one);
	start(worker);
	AWAIT(sleeps(worker, FR__MARK_TASK));
	kill_hard(x->pid);
	advance(&submitter->go);
	await(&submitter->ready, 1);
	finish(submitter);
	kill_hard(worker->pid);
	assert_rc(fr_recover(a), 2);
	close_arena(a);
}

/* ---- several who recover ---- */

#define RECOVERERS 3
#define VICTIMS 5

struct crowd {
	struct fr_arena *arena;
	uint32_t ready, go, count;
};

static int recover_once(void *ctx)
{
	struct crowd *crowd = ctx;
	int n;

	advance(&crowd->ready);
	AWAIT(reached(&crowd->go));
	while ((n = fr_recover(crowd->arena)) > 0 ||
	       reached(&crowd->count) < VICTIMS)
		for (; n > 0; n--)
			advance(&crowd->count);
	return 0;
}

static void each_of_the_dead_is_recovered_once_however_many_try(void **state)
{
	struct crowd *crowd = shared(sizeof(*crowd));
	struct fr_arena *a = crowd->arena = arena();
	struct fr_process *p = join(a, NULL);
	struct fr_event_group *g = group_of(a, 16);
	pid_t pids[RECOVERERS];
	struct actor *x[VICTIMS];
	unsigned round, i;

	(void)state;
	for (round = 0; round < 20; round++) {
		crowd->ready = crowd->go = crowd->count = 0;
		for (i = 0; i < VICTIMS; i++)
			x[i] = raise_all(a, g);
		for (i = 0; i < RECOVERERS; i++)
			pids[i] = spawn(recover_once, crowd);
		await(&crowd->ready, RECOVERERS);
		for (i = 0; i < VICTIMS; i++)
			kill_hard(x[i]->pid);
		advance(&crowd->go);
		for (i = 0; i < RECOVERERS; i++)
			wait_ok(pids[i]);
		assert_int_equal(crowd->count, VICTIMS);
		assert_int_equal(joined(a), 1);
		assert_no_task(p);
		drain(p);
		assert_sound(a);
	}
	fr_leave(p);
	fr_event_group_free(g);
	close_arena(a);
}

/* So many events that recovery takes long enough to be met. */
static struct fr_arena *slow_arena(void)
{
	struct fr_arena_opts opts = small_arena;
	struct fr_arena *a;

	opts.events = 65536;
	assert_rc(fr_arena_create(NULL, &opts, &a), 0);
	/* All of them may have somebody asleep. */
	fr_event_group_free(group_of(a, opts.events - 8));
	return a;
}

static int recover_all(void *arena)
{
	return fr_recover(arena) < 0;
}

static void *lose_the_lock(void *arena)
{
	for (;;)
		close(dup(fr_arena_fd(arena)));
	return NULL;
}

/* A thread of it drops its locks again and again. */
static int recover_without_lock(void *arena)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, lose_the_lock, arena) == 0);
	return recover_all(arena);
}

/* A child that is met while it recovers x; 0: it was quicker. */
static pid_t meet_recoverer(struct fr_arena *a, const struct actor *x,
			    int (*recover)(void *arena))
{
	pid_t pid = spawn(recover, a);
	uint64_t met = fr__slot_word(FR__SLOT_RECOVERING, (uint32_t)pid,
				     fr__addr_generation(x->self));
	siginfo_t info;

	while (word_of(a, x->self) != met) {
		info.si_pid = 0;
		waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT);
		if (info.si_pid == pid) {
			wait_ok(pid);
			return 0;
		}
		test_yield();
	}
	return pid;
}

/* The same, stopped there. */
static pid_t stop_recoverer(struct fr_arena *a, const struct actor *x,
			    int (*recover)(void *arena))
{
	pid_t pid = meet_recoverer(a, x, recover);
	siginfo_t info;

	if (pid == 0)
		return 0;
	kill(pid, SIGSTOP);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info,
				WSTOPPED | WEXITED | WNOWAIT),
			 0);
	if (info.si_code == CLD_STOPPED && !is_free(a, x->self))
		return pid;
	kill(pid, SIGCONT);
	wait_ok(pid);
	return 0;
}

/* Start times have the grain of a clock tick. */
static void let_a_tick_pass(void)
{
	const int64_t tick = INT64_C(1000000000) / sysconf(_SC_CLK_TCK);
	int64_t start = now_ns();

	AWAIT(now_ns() - start > 2 * tick);
}

/* One that is dead, and whose recoverer is stopped. */
static struct actor *stop_a_recoverer(struct fr_process *p,
				      int (*recover)(void *arena), pid_t *pid)
{
	struct fr_arena *a = fr_process_arena(p);
	struct actor *x;

	do {
		drain(p);
		x = raise_towards(a, fr_self(p), claim_and_send_two);
		kill_hard(x->pid);
		let_a_tick_pass();
		*pid = stop_recoverer(a, x, recover);
	} while (*pid == 0);
	return x;
}

/* Two tasks were there, and a claim in each mailbox. */
static void assert_all_is_back(struct fr_process *p, struct fr_event_group *g)
{
	struct fr_addr found;
	struct fr_event event[4];
	unsigned i;

	assert_rc(fr_lookup(p, "victim", &found, 1), 0);
	assert_no_mail(p);
	assert_int_equal(fill(p, fr_self(p)), MAILBOX_UNITS);
	assert_int_equal(drain(p), MAILBOX_UNITS);
	for (i = 0; i < 4; i++)
		assert_rc(fr_event_reserve(p, g, &event[i]), 0);
	for (i = 0; i < 4; i++)
		assert_rc(fr_event_release(p, event[i]), 0);
}

static void what_a_killed_recoverer_began_the_next_one_ends(void **state)
{
	struct fr_arena *a = slow_arena();
	struct fr_event_group *g = group_of(a, 4);
	struct fr_process *p = join(a, NULL);
	unsigned round, i, met = 0;
	struct fr_task_id id;
	struct actor *x;
	pid_t pid;

	(void)state;
	for (round = 0; met < 30; round++) {
		id = submit(p, round);
		x = raise_all(a, g); /* takes ours, leaves its own */
		kill_hard(x->pid);
		pid = meet_recoverer(a, x, recover_all);
		for (i = (unsigned)rand() % 16; pid && i > 0; i--)
			test_yield();
		if (pid) {
			kill(pid, SIGKILL);
			met += WIFSIGNALED(wait_status(pid));
		}
		fr_recover(a);
		assert_true(is_free(a, x->self));
		assert_sound(a);
		work(p, round, 2);
		assert_no_task(p);
		assert_result(p, id, FR_TASK_DONE, 2);
		assert_no_result(p);
		assert_all_is_back(p, g);
	}
	fr_leave(p);
	fr_event_group_free(g);
	close_arena(a);
}

static void a_stopped_recoverer_delays_one_slot_only(void **state)
{
	struct fr_arena *a = slow_arena();
	struct fr_process *p = join(a, NULL), *q;
	struct actor *x, *y;
	pid_t pid;

	(void)state;
	x = stop_a_recoverer(p, recover_all, &pid);
	assert_rc(fr_recover(a), 0);
	assert_rc(fr_alive(p, x->self), 0);
	assert_rc(send_number(p, x->self, 1), -ESRCH);
	y = raise_towards(a, fr_self(p), claim_one);
	kill_and_recover(y);
	q = join(a, NULL);
	assert_rc(send_number(q, fr_self(p), 3), 0);
	assert_int_equal(joined(a), 3);
	kill(pid, SIGCONT);
	wait_ok(pid);
	assert_true(is_free(a, x->self));
	assert_int_equal(drain(p), 3);
	fr_leave(q);
	fr_leave(p);
	close_arena(a);
}

static void who_is_killed_while_stopped_in_recovery_is_recovered(void **state)
{
	struct fr_arena *a = slow_arena();
	struct fr_process *p = join(a, NULL);
	struct actor *x;
	pid_t pid;

	(void)state;
	x = stop_a_recoverer(p, recover_all, &pid);
	assert_rc(fr_recover(a), 0);
	kill_hard(pid);
	assert_rc(fr_recover(a), 1);
	assert_true(is_free(a, x->self));
	assert_int_equal(drain(p), 2);
	fr_leave(p);
	close_arena(a);
}

static void a_recoverer_without_its_lock_is_alive(void **state)
{
	struct fr_arena *a = slow_arena();
	struct fr_process *p = join(a, NULL);
	struct actor *x;
	unsigned i;
	pid_t pid;

	(void)state;
	x = stop_a_recoverer(p, recover_without_lock, &pid);
	for (i = 0; i < 100; i++)
		assert_rc(fr_recover(a), 0);
	kill(pid, SIGCONT);
	wait_ok(pid);
	assert_true(is_free(a, x->self));
	assert_int_equal(drain(p), 2);
	fr_leave(p);
	close_arena(a);
}

/* ---- killed anywhere ---- */

/* All of life, again and again; sent counts what is surely sent. */
static void live(struct actor *x, uint32_t *sent)
{
	const struct fr_join_opts opts = {.name = "victim"};
	struct fr_task_id id;
	struct fr_reply reply;
	struct fr_result r;
	struct fr_task task;

	CHECK_RC(fr_join(x->arena, &opts, &x->p), 0);
	if (send_number(x->p, x->other, *sent) == 0)
		__atomic_add_fetch(sent, 1, __ATOMIC_SEQ_CST);
	if (fr_claim(x->p, x->other, no_type, 200, 0, &x->claim) == 0)
		fr_cancel(x->p, &x->claim);
	CHECK_RC(fr_submit(x->p, &(struct fr_task){.kind = 1}, &id), 0);
	CHECK_RC(fr_event_reserve(x->p, x->group, &x->event), 0);
	if (fr_take(x->p, 0, &task, &reply) == 0)
		CHECK_RC(fr_complete(x->p, 0, &reply), 0);
	if (fr_collect(x->p, 0, &r) == 0)
		fr_result_release(x->p, &r);
	fr_leave(x->p);
}

static int live_on_and_on(void *ctx)
{
	struct actor *x = ctx;

	advance(&x->ready);
	for (;;)
		live(x, (uint32_t *)&x->count);
	return 0;
}

/* Once, in order; the last may not have been noted. */
static uint32_t read_all(struct fr_process *p, uint32_t expected)
{
	struct fr_message m;

	while (fr_receive(p, 0, &m) == 0) {
		assert_int_equal(*(const uint32_t *)m.body, expected);
		expected++;
		fr_release(p, &m);
	}
	return expected;
}

static void who_is_killed_anywhere_leaves_nothing(void **state)
{
	struct fr_arena *a = arena();
	struct fr_event_group *g = group_of(a, 2);
	struct fr_process *p = join(a, NULL);
	struct actor *x = new_actor(a, NULL);
	uint32_t read = 0;
	unsigned i, j;
	int n;

	(void)state;
	x->other = fr_self(p);
	x->group = g;
	for (i = 0; i < 100; i++) {
		x->count = read; /* what was sent and not noted is sent */
		x->pid = spawn(live_on_and_on, x);
		await(&x->ready, i + 1);
		for (j = (unsigned)rand() % 16; j > 0; j--) {
			read = read_all(p, read);
			test_yield();
		}
		kill_hard(x->pid);
		n = fr_recover(a);
		assert_true(n == 0 || n == 1);
		read = read_all(p, read);
		assert_true(read == x->count || read == x->count + 1);
		assert_no_task(p);
		assert_int_equal(joined(a), 1);
		assert_sound(a);
	}
	fr_leave(p);
	fr_event_group_free(g);
	close_arena(a);
}

/* The ring is full of what will never count, and its head lags by one, since who
 * took there died just behind its CAS. */
static int die_with_the_head_behind(void *ctx)
{
	struct fr_arena *a = ctx;
	const struct fr__taskring *r = &a->tasks;
	struct fr_process *p;
	uint64_t head, entry, lap;

	CHECK_RC(fr_join(a, NULL, &p), 0);
	head = fr__load_relaxed(&r->ctl->head);
	entry = fr__load_relaxed(&r->words[head & r->mask]);
	fr__store_relaxed(&p->slot->taking, entry ^ r->secret);
	/* EMPTY of the next lap, as taskring.c has it. */
	lap = (head + r->mask + 1) >> r->shift & ((1u << 23) - 1);
	CHECK(fr__cas_sc(&r->words[head & r->mask], &entry,
			 (lap * UINT64_C(0x9e3779b97f4a7c15) &
			  ~(UINT64_C(1) << 63)) ^ r->secret));
	raise(SIGKILL);
	return 0;
}

static void a_full_ring_whose_head_lags_keeps_the_dead_ones_task(void **state)
{
	struct fr_arena_opts opts = {.slots = 4, .main_cells = 4, .cells = 1};
	struct fr_task_id first, id;
	struct fr_process *p;
	struct fr_result r;
	struct fr_reply reply;
	struct fr_task task = {0};
	struct fr_arena *a;
	uint32_t i;

	(void)state;
	assert_rc(fr_arena_create(NULL, &opts, &a), 0);
	assert_rc(fr_join(a, NULL, &p), 0);
	assert_rc(fr_submit(p, &task, &first), 0);
	wait_status(spawn(die_with_the_head_behind, a));
	for (i = 0; i < a->geo.task_words + 4; i++) {
		assert_rc(fr_submit(p, &task, &id), 0);
		assert_rc(fr_task_cancel(p, id), 0);
		assert_rc(fr_collect(p, 0, &r), 0);
		fr_result_release(p, &r);
	}
	assert_rc(fr_recover(a), 1);
	assert_rc(fr_take(p, 0, &task, &reply), 0);
	assert_true(task.id.id == first.id);
	assert_rc(fr_complete(p, 0, &reply), 0);
	assert_rc(fr_collect(p, 0, &r), 0);
	assert_true(r.id.id == first.id);
	fr_result_release(p, &r);
	fr_leave(p);
	fr_arena_detach(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_open_claim_of_the_dead_holds_up_nobody_else),
		TEST(what_the_dead_sent_arrives_in_order),
		TEST(the_room_of_a_dead_ones_claims_comes_back),
		TEST(claims_in_all_mailboxes_are_taken_back),
		TEST(a_claim_of_the_living_stays_open),
		TEST(a_dead_workers_task_goes_to_another),
		TEST(a_task_whose_workers_die_is_buried_after_the_third),
		TEST(what_the_dead_had_finished_is_finished),
		TEST(an_entry_in_the_hands_of_the_dead_is_not_lost),
		TEST(every_task_of_dead_workers_has_one_result),
		TEST(recoveries_while_no_worker_is_there_do_not_fill_the_ring),
		TEST(a_full_ring_whose_head_lags_keeps_the_dead_ones_task),
		TEST(what_a_dead_submitter_has_queued_is_dropped),
		TEST(what_runs_for_a_dead_submitter_may_be_finished),
		TEST(what_is_finished_before_its_submitter_is_recovered_is_dropped),
		TEST(results_that_a_dead_one_held_are_dropped),
		TEST(who_dies_over_its_own_task_leaves_none),
		TEST(worker_and_submitter_may_die_together),
		TEST(the_name_of_the_dead_is_gone_from_everywhere),
		TEST(a_name_that_was_removed_by_half_is_gone_from_everywhere),
		TEST(the_name_of_the_dead_leads_to_its_next_holder_only),
		TEST(the_events_of_the_dead_are_free),
		TEST(what_the_dead_set_is_set),
		TEST(what_the_dead_had_reserved_is_given_back),
		TEST(reservations_of_the_living_stay),
		TEST(who_joined_by_a_dead_ones_reservation_stays),
		TEST(the_slot_of_the_dead_is_free_with_a_new_generation),
		TEST(mail_of_the_dead_is_dropped_and_its_room_is_back),
		TEST(what_the_dead_had_begun_to_free_is_free),
		TEST(late_mail_to_the_dead_is_not_read_by_its_heir),
		TEST(many_dead_at_once_are_recovered_at_once),
		TEST(where_all_slots_are_held_by_the_dead_one_may_join),
		TEST(where_the_dead_reserved_all_slots_one_may_join),
		TEST(who_is_stopped_on_its_way_in_is_in_nobodys_way),
		TEST(who_reserves_finds_the_slots_of_the_dead),
		TEST(who_reserves_events_finds_those_of_the_dead),
		TEST(who_only_tries_to_send_to_the_dead_is_told),
		TEST(who_sleeps_behind_a_dead_ones_claim_wakes),
		TEST(who_sleeps_for_a_dead_workers_result_gets_it),
		TEST(who_sleeps_for_the_result_of_a_buried_task_gets_it),
		TEST(who_sleeps_for_room_of_the_dead_is_told),
		TEST(who_begins_to_wait_for_room_of_the_dead_is_told),
		TEST(who_begins_to_wait_for_the_dead_is_told_at_once),
		TEST(who_sleeps_for_room_of_a_reservation_of_the_dead_is_told),
		TEST(who_sleeps_for_room_behind_a_dead_ones_claim_gets_it),
		TEST(the_dead_among_few_in_many_slots_are_found),
		TEST(who_sleeps_for_an_event_of_the_dead_is_told),
		TEST(who_sleeps_for_what_the_dead_was_to_set_is_told),
		TEST(a_task_that_the_dead_was_woken_for_is_done_by_another),
		TEST(a_task_that_one_was_woken_for_who_is_stopped_is_done_by_another),
		TEST(who_is_woken_all_the_time_finds_the_dead_too),
		TEST(each_of_the_dead_is_recovered_once_however_many_try),
		TEST(what_a_killed_recoverer_began_the_next_one_ends),
		TEST(a_stopped_recoverer_delays_one_slot_only),
		TEST(who_is_killed_while_stopped_in_recovery_is_recovered),
		TEST(a_recoverer_without_its_lock_is_alive),
		TEST(who_is_killed_anywhere_leaves_nothing),
	};

	return cmocka_run_group_tests_name("recover", tests, NULL, NULL);
}
