/* SPDX-License-Identifier: MIT */
/*
 * The operations: each public call that touches the arena, in the states that
 * matter to it. ops.h draws when which function of a row runs. What a run()
 * returns is judged in end(), which only a victim that lives comes to.
 *
 * Not here: fr_send_exit() is fr_send(); fr_handle(), fr_unhandle() and
 * fr_event_index() touch no arena; the supervisor and the farm are made of these
 * calls.
 */
#include "ops.h"

#include "../harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAIL {.run = sleep_for_mail, .owed = OWED_MAIL, .stage = STAGE_FIRST}

/* ---- sending ---- */

static void stage(struct victim *v, unsigned i, size_t len)
{
	v->len = len;
	write_letter(v->body[i], v->who, v->letters++, len);
}

static void send_staged(struct victim *v)
{
	MUST_RC(fr_send(v->p, v->to, (struct fr_type){0}, v->body[0], v->len, 0),
		0);
	v->committed++;
}

/* One letter that has come before. */
static void prepare_sender(struct world *w, struct victim *v)
{
	v->to = w->sleepers[0].addr;
	stage(v, 0, 8);
	send_staged(v);
	/* Over the end of the lap: a pad, then five units. */
	stage(v, 0, w->state == RING_WRAP ? 250 : 24);
}

static void run_send(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_send(v->p, v->to, (struct fr_type){0}, v->body[0], v->len,
			0);
}

/* As many as fit: fewer, if the others have been at it while we were stopped. */
static void end_send_batch(struct world *w, struct victim *v)
{
	(void)w;
	MUST(v->rc >= 1 && v->rc <= 3);
	v->committed += (uint32_t)v->rc;
}

static void end_one_sent(struct world *w, struct victim *v)
{
	(void)w;
	MUST_RC(v->rc, 0);
	v->committed++;
}

static void prepare_batch(struct world *w, struct victim *v)
{
	prepare_sender(w, v);
	v->letters--;
	stage(v, 0, 100);
	stage(v, 1, 100);
	stage(v, 2, 100);
}

static void run_send_batch(struct world *w, struct victim *v)
{
	struct fr_part parts[3] = {
		{.body = v->body[0], .len = v->len},
		{.body = v->body[1], .len = v->len},
		{.body = v->body[2], .len = v->len},
	};

	(void)w;
	v->rc = fr_send_batch(v->p, v->to, parts, 3, 0);
}

static void stage_only(struct world *w, struct victim *v)
{
	(void)w;
	stage(v, 0, 24);
}

static void run_send_name(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_send_name(v->p, "mail", (struct fr_type){0}, v->body[0],
			     v->len, 0);
}

static void end_send_name(struct world *w, struct victim *v)
{
	(void)w;
	MUST_RC(v->rc, 2);
	v->committed++;
}

static void claim(struct victim *v)
{
	v->rc = fr_claim(v->p, v->to, (struct fr_type){0}, v->len, 0, &v->claim);
}

static void run_claim(struct world *w, struct victim *v)
{
	(void)w;
	claim(v);
}

static void end_claim(struct world *w, struct victim *v)
{
	(void)w;
	MUST_RC(v->rc, 0);
	memcpy(v->claim.body, v->body[0], v->len);
	fr_commit(v->p, &v->claim);
	v->committed++;
}

/* An open claim, written, and a letter behind it that is not to be received
 * before. */
static void prepare_claimed(struct world *w, struct victim *v)
{
	prepare_sender(w, v);
	claim(v);
	MUST_RC(v->rc, 0);
	memcpy(v->claim.body, v->body[0], v->len);
	stage(v, 0, 8);
	send_staged(v);
}

static void run_commit(struct world *w, struct victim *v)
{
	(void)w;
	fr_commit(v->p, &v->claim);
}

static void run_cancel(struct world *w, struct victim *v)
{
	(void)w;
	fr_cancel(v->p, &v->claim);
}

/* ---- receiving ---- */

static void feed_receiver(struct world *w)
{
	struct fr_addr to = w->victims[V].addr;
	unsigned i, count = w->state == RING_HALF   ? UNITS / 2
			    : w->state == RING_FULL ? UNITS
						    : 4;

	if (w->state == RING_PASSED)
		MUST_RC(fr_claim(w->s2, to, (struct fr_type){0}, 8, 0, &w->open),
			0);
	/* At the end of a lap: two units, a pad, two units. */
	for (i = 0; w->state != RING_EMPTY && i < count; i++)
		MUST_RC(send_letter(w->s, to, WHO_S, i,
				    w->state == RING_WRAP ? 100 : 8, 0), 0);
}

static void receive_one(struct victim *v)
{
	MUST_RC(fr_receive(v->p, 0, &v->held[v->held_count++]), 0);
}

static void prepare_receive(struct world *w, struct victim *v)
{
	if (w->state == RING_WRAP)
		receive_one(v); /* the next is behind the pad */
}

static void run_receive(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_receive(v->p, 0, &v->m);
}

static void end_receive(struct world *w, struct victim *v)
{
	enum who who;

	MUST_RC(v->rc, w->state == RING_EMPTY ? -EAGAIN : 0);
	if (v->rc < 0)
		return;
	MUST(read_letter(&v->m, &who) == v->held_count && who == WHO_S);
	fr_release(v->p, &v->m);
}

static void run_receive_batch(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_receive_batch(v->p, 0, v->held, UNITS);
}

static void end_receive_batch(struct world *w, struct victim *v)
{
	MUST_RC(v->rc, w->state == RING_HALF ? UNITS / 2 : 4);
	fr_release_batch(v->p, v->held, (unsigned)v->rc);
}

static void prepare_release(struct world *w, struct victim *v)
{
	unsigned i, count = w->state == RING_HALF   ? UNITS / 2
			    : w->state == RING_FULL ? UNITS
						    : 4;

	for (i = 0; i < count; i++)
		receive_one(v);
}

/* Out of order: marked; and in order, with what is marked behind it. */
static void run_release(struct world *w, struct victim *v)
{
	(void)w;
	fr_release(v->p, &v->held[1]);
	fr_release(v->p, &v->held[0]);
}

static void run_release_batch(struct world *w, struct victim *v)
{
	(void)w;
	fr_release_batch(v->p, v->held, v->held_count);
}

/* The receiver is gone, and the claim in its mailbox is of no use any more. */
static void survive_passed(struct world *w)
{
	if (w->state == RING_PASSED)
		fr_cancel(w->s2, &w->open);
}

static int stop_at_once(void *ctx, struct fr_process *p, struct fr_message *m)
{
	(void)ctx;
	(void)p;
	(void)m;
	return FR_STOP;
}

static void prepare_run(struct world *w, struct victim *v)
{
	(void)w;
	MUST_RC(fr_handle(v->p, (struct fr_type){0}, stop_at_once, NULL), 0);
}

static void run_run(struct world *w, struct victim *v)
{
	const struct fr_run_opts opts = {.limit_ns = w->limit_ns};

	v->rc = fr_run(v->p, &opts);
}

static void end_zero(struct world *w, struct victim *v)
{
	(void)w;
	MUST_RC(v->rc, 0);
}

/* ---- tasks ---- */

/* Entries of the task ring that count no more. */
static void stale_entries(struct world *w, unsigned count)
{
	struct fr_task_id id;
	struct fr_result r;

	while (count-- > 0) {
		MUST_RC(submit_work(w->s, KIND_WORK, 0, &id), 0);
		MUST_RC(fr_task_cancel(w->s, id), 0);
		MUST_RC(fr_collect(w->s, 0, &r), 0);
		MUST(r.status == FR_TASK_CANCELLED);
		fr_result_release(w->s, &r);
	}
}

/* One task that the survivor does. */
static void do_one(struct world *w)
{
	struct fr_reply reply;
	struct fr_task task;

	MUST_RC(fr_take(w->s, 0, &task, &reply), 0);
	MUST_RC(complete_work(w->s, &task, &reply), 0);
}

/* Up to the last word of the lap. */
static void to_the_laps_end(struct world *w)
{
	struct fr_result r;
	unsigned i;

	for (i = 0; i < 2; i++) {
		MUST_RC(submit_work(w->s, KIND_WORK, i, NULL), 0);
		do_one(w);
		MUST_RC(fr_collect(w->s, 0, &r), 0);
		check_result(&r, i);
		fr_result_release(w->s, &r);
	}
}

/* `taken` words are others', or will be. */
static void setup_tasks(struct world *w, unsigned taken)
{
	if (w->state == RING_WRAP)
		to_the_laps_end(w);
	else if (w->state == RING_HALF)
		stale_entries(w, TASK_WORDS / 2 - taken);
	else if (w->state == RING_NEARLY)
		stale_entries(w, TASK_WORDS - 1 - taken);
	else if (w->state == RING_FULL)
		stale_entries(w, TASK_WORDS - taken);
}

static void setup_submit(struct world *w)
{
	if (w->state == RING_WRAP)
		setup_tasks(w, 0);
}

/* Behind two tasks of the collector's. */
static void feed_submit(struct world *w)
{
	if (w->state != RING_WRAP)
		setup_tasks(w, 2);
}

static void run_submit(struct world *w, struct victim *v)
{
	uint64_t arg[2] = {5, ~UINT64_C(5)};

	(void)w;
	v->rc = fr_submit(v->p,
			  &(struct fr_task){.arg = arg, .len = sizeof(arg),
					    .kind = KIND_WORK},
			  &v->id);
}

static void collect_own(struct victim *v, int64_t wait_ns)
{
	MUST_RC(fr_collect(v->p, wait_ns, &v->result), 0);
	MUST(v->result.id.id == v->id.id);
}

static void end_submit(struct world *w, struct victim *v)
{
	MUST_RC(v->rc, 0);
	if (!find_sleeper(w, sleep_for_tasks))
		return;
	collect_own(v, FR_FOREVER);
	check_result(&v->result, 5);
	fr_result_release(v->p, &v->result);
}

static void setup_take(struct world *w)
{
	setup_tasks(w, 2);
}

static void run_take(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_take(v->p, 0, &v->task, &v->reply);
	v->in_hand = v->rc == 0;
}

/* The others may have done all of it while we were stopped. */
static void end_take(struct world *w, struct victim *v)
{
	(void)w;
	if (v->rc != -EAGAIN)
		MUST_RC(v->rc, 0);
}

static void take(struct victim *v)
{
	MUST_RC(fr_take(v->p, 0, &v->task, &v->reply), 0);
}

static void prepare_complete(struct world *w, struct victim *v)
{
	uint64_t number, result;

	(void)w;
	take(v);
	memcpy(&number, v->task.arg, sizeof(number));
	result = number * 3 + 1;
	memcpy(v->reply.data, &result, sizeof(result));
	v->reply.len = sizeof(result);
	v->rc = (int)number;
}

static void run_complete(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_complete(v->p, v->rc, &v->reply);
}

/* A task whose submitter is gone before it is done. */
static void feed_orphan(struct world *w)
{
	w->s2 = join(w->arena, NULL);
	MUST_RC(submit_work(w->s2, KIND_WORK, 5, NULL), 0);
}

static void ready_orphan(struct world *w)
{
	fr_leave(w->s2);
	w->s2 = NULL;
}

static void enter_submitted(struct world *w, struct victim *v)
{
	(void)w;
	MUST_RC(submit_work(v->p, KIND_WORK, 5, &v->id), 0);
}

static void run_collect(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_collect(v->p, 0, &v->result);
}

static void end_collect(struct world *w, struct victim *v)
{
	(void)w;
	MUST_RC(v->rc, 0);
	check_result(&v->result, 5);
	fr_result_release(v->p, &v->result);
}

static void prepare_result_release(struct world *w, struct victim *v)
{
	(void)w;
	collect_own(v, 0);
	check_result(&v->result, 5);
}

static void run_result_release(struct world *w, struct victim *v)
{
	(void)w;
	fr_result_release(v->p, &v->result);
}

static void run_task_cancel(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_task_cancel(v->p, v->id);
}

/* While we were stopped the task may have been done. */
static void end_task_cancel(struct world *w, struct victim *v)
{
	(void)w;
	if (v->rc != -EALREADY)
		MUST_RC(v->rc, 0);
	collect_own(v, FR_FOREVER);
	if (v->rc == 0)
		MUST(v->result.status == FR_TASK_CANCELLED);
	else
		check_result(&v->result, 5);
	fr_result_release(v->p, &v->result);
}

/* ---- events ---- */

static void run_event_group_create(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_event_group_create(v->arena, 1, &v->group);
}

static void end_event_group_create(struct world *w, struct victim *v)
{
	end_zero(w, v);
	fr_event_group_free(v->group);
}

static void run_event_reserve(struct world *w, struct victim *v)
{
	v->rc = fr_event_reserve(v->p, w->group, &v->event);
}

static void end_event_reserve(struct world *w, struct victim *v)
{
	end_zero(w, v);
	MUST_RC(fr_event_release(v->p, v->event), 0);
}

static void set_event(struct world *w)
{
	MUST_RC(fr_event_set(w->s, w->event), 0);
}

static void post_event(struct world *w)
{
	MUST_RC(fr_event_post(w->s, w->event), 0);
}

static void run_event_set(struct world *w, struct victim *v)
{
	v->rc = fr_event_set(v->p, w->event);
}

static void run_event_clear(struct world *w, struct victim *v)
{
	v->rc = fr_event_clear(v->p, w->event);
}

static void run_event_post(struct world *w, struct victim *v)
{
	v->rc = fr_event_post(v->p, w->event);
}

static void run_event_take(struct world *w, struct victim *v)
{
	v->rc = fr_event_take(v->p, w->event, 0);
}

static void run_event_wait(struct world *w, struct victim *v)
{
	v->rc = fr_event_wait(v->p, w->event, 0);
}

static void reserve_event(struct world *w, struct victim *v)
{
	MUST_RC(fr_event_reserve(v->p, w->group, &v->event), 0);
	w->event = v->event;
}

static void run_event_release(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_event_release(v->p, v->event);
}

/* ---- joining, names, types ---- */

static void run_join(struct world *w, struct victim *v)
{
	const struct fr_join_opts opts = {
		.wait = FR_WAIT_SLEEP, .reserved = w->reserved,
	};

	v->rc = fr_join(v->arena, &opts, &v->p);
}

static void run_join_named(struct world *w, struct victim *v)
{
	const struct fr_join_opts opts = {
		.wait = FR_WAIT_SLEEP, .name = "victim",
	};

	(void)w;
	v->rc = fr_join(v->arena, &opts, &v->p);
}

static void reserve_slot(struct world *w)
{
	MUST_RC(fr_reserve(w->s, &w->reserved), 0);
}

static void run_leave(struct world *w, struct victim *v)
{
	(void)w;
	fr_leave(v->p);
	v->left = true;
}

/* Letters until no more fit. */
static void fill(struct world *w, struct fr_addr to)
{
	uint32_t number = 0;
	int rc;

	while ((rc = send_letter(w->s, to, WHO_S, number, 8, 0)) == 0)
		number++;
	MUST_RC(rc, -EAGAIN);
}

/* A result that is not collected, and a full mailbox. */
static void feed_laden(struct world *w)
{
	do_one(w);
	fill(w, w->victims[V].addr);
}

/* An open claim with a letter behind it, an event, a reserved slot. */
static void prepare_laden(struct world *w, struct victim *v)
{
	prepare_claimed(w, v);
	reserve_event(w, v);
	MUST_RC(fr_reserve(v->p, &v->reserved), 0);
}

/* The survivor's route to it is in its cache, and must not stay good. */
static void look_it_up(struct world *w)
{
	struct fr_addr found;

	MUST_RC(fr_lookup(w->s, "victim", &found, 1), 1);
}

static void run_reserve(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_reserve(v->p, &v->reserved);
}

static void run_unreserve(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_unreserve(v->p, v->reserved);
}

static void prepare_unreserve(struct world *w, struct victim *v)
{
	run_reserve(w, v);
	MUST_RC(v->rc, 0);
}

static void end_reserve(struct world *w, struct victim *v)
{
	end_zero(w, v);
	MUST_RC(fr_unreserve(v->p, v->reserved), 0);
}

static void run_lookup(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_lookup(v->p, "s", &v->to, 1);
}

static void end_found_one(struct world *w, struct victim *v)
{
	MUST_RC(v->rc, 1);
	MUST(v->to.id == w->s_addr.id);
}

static void run_wait_name(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_wait_name(v->p, "s", 0, &v->to);
}

static void run_ask(struct world *w, struct victim *v)
{
	struct fr_arena_info info;
	char name[FR_NAME_MAX + 1];

	fr_arena_info(v->arena, &info);
	v->rc = fr_alive(v->p, w->s_addr) == 1 &&
		fr_process_name(v->p, w->s_addr, name) == 0 &&
		fr_process_pid(v->p, w->s_addr) == w->survivor &&
		fr_outstanding(v->p) == 0 && info.joined == 2;
}

static void end_one_is_right(struct world *w, struct victim *v)
{
	if (w->stopped)
		return;
	MUST_RC(v->rc, 1);
}

static void prepare_type(struct world *w, struct victim *v)
{
	(void)w;
	MUST_RC(fr_type_intern(v->p, "parent", (struct fr_type){0}, &v->type),
		0);
}

static void run_type_intern(struct world *w, struct victim *v)
{
	struct fr_type type;

	(void)w;
	v->rc = fr_type_intern(v->p, "child", v->type, &type);
}

static void survive_type(struct world *w)
{
	struct fr_type parent, type, again;
	char name[FR_NAME_MAX + 1];

	MUST_RC(fr_type_intern(w->s, "parent", (struct fr_type){0}, &parent), 0);
	MUST_RC(fr_type_intern(w->s, "child", parent, &type), 0);
	MUST_RC(fr_type_intern(w->s, "child", (struct fr_type){0}, &again), 0);
	MUST(again.id == type.id && type.id != parent.id);
	MUST_RC(fr_type_name(w->s, type, name), 0);
	MUST(strcmp(name, "child") == 0);
}

static void run_type_name(struct world *w, struct victim *v)
{
	char name[FR_NAME_MAX + 1];

	(void)w;
	v->rc = fr_type_name(v->p, v->type, name);
}

static void run_interrupt(struct world *w, struct victim *v)
{
	(void)w;
	fr_interrupt(v->p);
}

/* ---- sleeping ---- */

static void run_sleep_for_mail(struct world *w, struct victim *v)
{
	v->rc = fr_receive(v->p, w->limit_ns, &v->m);
}

static void end_timed_out(struct world *w, struct victim *v)
{
	(void)w;
	MUST_RC(v->rc, -ETIMEDOUT);
}

/* The survivor's own mailbox is full. */
static void feed_survivor(struct world *w)
{
	fill(w, w->s_addr);
}

static void run_sleep_for_room(struct world *w, struct victim *v)
{
	v->rc = fr_send(v->p, w->s_addr, (struct fr_type){0}, v->body[0], v->len,
			w->limit_ns);
}

static void survive_full(struct world *w)
{
	struct fr_message m;
	enum who who;
	unsigned i;

	for (i = 0; i < UNITS; i++) {
		MUST_RC(fr_receive(w->s, 0, &m), 0);
		MUST(read_letter(&m, &who) == i && who == WHO_S);
		fr_release(w->s, &m);
	}
	MUST_RC(fr_receive(w->s, 0, &m), -EAGAIN);
}

static void run_sleep_for_task(struct world *w, struct victim *v)
{
	v->rc = fr_take(v->p, w->limit_ns, &v->task, &v->reply);
}

static void run_sleep_for_result(struct world *w, struct victim *v)
{
	v->rc = fr_collect(v->p, w->limit_ns, &v->result);
}

/* While we were stopped it may have been done. */
static void end_sleep_for_result(struct world *w, struct victim *v)
{
	(void)w;
	if (v->rc != 0)
		MUST_RC(v->rc, -ETIMEDOUT);
}

static void run_sleep_for_event(struct world *w, struct victim *v)
{
	v->rc = fr_event_wait_from(v->p, w->event, w->s_addr, w->limit_ns);
}

static void run_sleep_for_name(struct world *w, struct victim *v)
{
	v->rc = fr_wait_name(v->p, "nobody", w->limit_ns, &v->to);
}

/* ---- recovery ---- */

static void feed_dead(struct world *w)
{
	fill(w, w->victims[D].addr);
}

/* All that a process can hold. */
static void doom(struct world *w, struct victim *v)
{
	prepare_laden(w, v);
	take(v);
}

static void run_recover(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_recover(v->arena);
}

static void end_recover(struct world *w, struct victim *v)
{
	(void)w;
	MUST(v->rc >= 0);
}

static void run_check(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_check(v->arena, NULL, NULL);
}

/* ---- the arena ---- */

static const struct fr_arena_opts little = {
	.slots = 4, .mailbox_bytes = UNITS * 64, .cells = CELLS, .arg_max = 64,
	.result_max = 64, .events = EVENTS, .types = 16,
};

static void setup_name(struct world *w)
{
	strcpy(w->name, new_name());
}

/* An arena that nobody is attached to. */
static void setup_dead_arena(struct world *w)
{
	struct fr_arena_opts opts = little;
	struct fr_arena *a;

	setup_name(w);
	opts.keep = true;
	MUST_RC(fr_arena_create(w->name, &opts, &a), 0);
	fr_arena_detach(a);
}

static void run_create(struct world *w, struct victim *v)
{
	v->rc = fr_arena_create(w->name[0] ? w->name : NULL, &little, &v->arena);
}

static void run_replace(struct world *w, struct victim *v)
{
	struct fr_arena_opts opts = little;

	opts.replace = true;
	v->rc = fr_arena_create(w->name, &opts, &v->arena);
}

/* While we were stopped another may have taken the name. */
static void end_create(struct world *w, struct victim *v)
{
	(void)w;
	if (v->rc != -EEXIST)
		MUST_RC(v->rc, 0);
	if (v->rc == 0)
		fr_arena_detach(v->arena);
}

static void run_attach(struct world *w, struct victim *v)
{
	v->rc = fr_arena_attach(w->name, NULL, &v->arena);
}

static void prepare_attach_fd(struct world *w, struct victim *v)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)w->survivor, v->fd);
	v->fd = open(path, O_RDWR | O_CLOEXEC);
	MUST(v->fd >= 0);
}

static void feed_fd(struct world *w)
{
	w->victims[V].fd = fr_arena_fd(w->arena);
}

static void run_attach_fd(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_arena_attach_fd(v->fd, &v->arena);
}

static void end_attach(struct world *w, struct victim *v)
{
	end_zero(w, v);
	fr_arena_detach(v->arena);
}

static void prepare_attached(struct world *w, struct victim *v)
{
	run_attach(w, v);
	MUST_RC(v->rc, 0);
}

static void prepare_created(struct world *w, struct victim *v)
{
	run_create(w, v);
	MUST_RC(v->rc, 0);
}

static void run_detach(struct world *w, struct victim *v)
{
	(void)w;
	fr_arena_detach(v->arena);
}

static void run_unlink(struct world *w, struct victim *v)
{
	v->rc = fr_arena_unlink(w->name);
}

static void run_remove_dead(struct world *w, struct victim *v)
{
	v->rc = fr_arena_remove_dead(w->name);
}

/* It may be the stopped one's fault that it is busy, or another's that it is
 * gone. */
static void end_remove_dead(struct world *w, struct victim *v)
{
	(void)w;
	if (v->rc != -ENOENT && v->rc != -EBUSY)
		MUST_RC(v->rc, 0);
}

/*
 * Whatever the victim has left under the name: it is whole, can be used, and
 * another can take its place. In the end it is ours.
 */
static void survive_alone(struct world *w)
{
	struct fr_arena_opts opts = little;
	struct fr_process *p;
	int rc = -ENOENT;

	if (w->name[0])
		rc = fr_arena_attach(w->name, NULL, &w->arena);
	if (rc != -ENOENT) {
		MUST_RC(rc, 0);
		check_arena(w, w->arena);
		p = join(w->arena, "s");
		MUST_RC(send_letter(p, fr_self(p), WHO_S, 0, 8, 0), 0);
		fr_leave(p);
		fr_arena_detach(w->arena);
	}
	opts.replace = true;
	MUST_RC(fr_arena_create(w->name[0] ? w->name : NULL, &opts, &w->arena),
		0);
	w->s = join(w->arena, "s");
	w->s_addr = fr_self(w->s);
	MUST_RC(fr_event_group_create(w->arena, EVENTS, &w->group), 0);
}

/* ---- calls ---- */

/* Answered by one who sleeps for mail. */
static void prepare_call(struct world *w, struct victim *v)
{
	v->to = w->sleepers[0].addr;
	stage(v, 0, 24);
}

static void run_call(struct world *w, struct victim *v)
{
	v->rc = fr_call(v->p, v->to, (struct fr_type){0}, v->body[0], v->len,
			w->limit_ns, v->body[1], sizeof(v->body[1]));
}

/* In time, if it has not been stopped too long. */
static void end_call(struct world *w, struct victim *v)
{
	(void)w;
	v->committed++;
	if (v->rc == -ETIMEDOUT)
		return;
	MUST_RC(v->rc, (int)v->len);
	MUST(memcmp(v->body[0], v->body[1], v->len) == 0);
}

/* Nobody answers. */
static void prepare_call_survivor(struct world *w, struct victim *v)
{
	v->to = w->s_addr;
	stage(v, 0, 24);
}

/* The request, if it was sent; nobody waits for the reply any more. */
static void survive_call(struct world *w)
{
	struct fr_message m;
	enum who who;
	int rc = fr_receive(w->s, 0, &m);

	if (rc == -EAGAIN)
		return;
	MUST_RC(rc, 0);
	MUST(read_letter(&m, &who) == 0 && who == WHO_V && m.call);
	rc = fr_reply(w->s, m.call, m.body, m.len);
	if (rc != 0 || w->recovered)
		MUST_RC(rc, -ESRCH);
	fr_release(w->s, &m);
	MUST_RC(fr_receive(w->s, 0, &m), -EAGAIN);
}

static void prepare_reply(struct world *w, struct victim *v)
{
	(void)w;
	receive_one(v);
	MUST(v->held[0].call);
}

static void run_reply(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_reply(v->p, v->held[0].call, v->held[0].body, v->held[0].len);
}

/* ---- the table ---- */

#define ROOM {.run = sleep_for_room, .owed = OWED_END}
#define WORKER {.run = sleep_for_tasks}
#define WAITER {.run = sleep_for_event, .owed = OWED_END}
/* A call that the victim has not answered. */
#define CALLER {.run = sleep_for_reply, .owed = OWED_END, .stage = STAGE_FEED}
#define CALLER_OF_D                                                            \
	{.run = sleep_for_reply, .owed = OWED_END, .stage = STAGE_FEED, .of = D}

const struct op ops[] = {
	/* The arena. */
	{
		.name = "create",
		.flags = OP_ALONE | OP_EARLY | OP_UNJOINED,
		.setup = setup_name,
		.run = run_create,
		.end = end_create,
		.survive = survive_alone,
	},
	{
		.name = "create nameless",
		.flags = OP_ALONE | OP_EARLY | OP_UNJOINED,
		.run = run_create,
		.end = end_create,
		.survive = survive_alone,
	},
	{
		.name = "create, replacing",
		.flags = OP_ALONE | OP_EARLY | OP_UNJOINED,
		.setup = setup_dead_arena,
		.run = run_replace,
		.end = end_create,
		.survive = survive_alone,
	},
	{
		.name = "attach",
		.flags = OP_EARLY | OP_UNJOINED | OP_NAMED_ARENA,
		.run = run_attach,
		.end = end_attach,
	},
	{
		.name = "attach_fd",
		.flags = OP_EARLY | OP_UNJOINED,
		.feed = feed_fd,
		.prepare = prepare_attach_fd,
		.run = run_attach_fd,
		.end = end_attach,
	},
	{
		.name = "detach",
		.flags = OP_EARLY | OP_UNJOINED | OP_NAMED_ARENA,
		.prepare = prepare_attached,
		.run = run_detach,
	},
	{
		.name = "detach, creator",
		.flags = OP_ALONE | OP_EARLY | OP_UNJOINED,
		.setup = setup_name,
		.prepare = prepare_created,
		.run = run_detach,
		.survive = survive_alone,
	},
	{
		.name = "unlink",
		.flags = OP_UNJOINED | OP_NAMED_ARENA,
		.run = run_unlink,
		.end = end_zero,
	},
	{
		.name = "remove_dead",
		.flags = OP_ALONE | OP_EARLY | OP_UNJOINED,
		.setup = setup_dead_arena,
		.run = run_remove_dead,
		.end = end_remove_dead,
		.survive = survive_alone,
	},
	{
		.name = "check",
		.run = run_check,
		.end = end_zero,
	},

	/* Processes. */
	{
		.name = "join",
		.flags = OP_UNJOINED,
		.run = run_join,
		.end = end_zero,
	},
	{
		.name = "join with a name",
		.flags = OP_UNJOINED,
		.sleepers = {{.run = sleep_for_name, .stage = STAGE_FIRST}},
		.run = run_join_named,
		.end = end_zero,
	},
	{
		.name = "join, reserved",
		.flags = OP_UNJOINED,
		.setup = reserve_slot,
		.run = run_join,
		.end = end_zero,
	},
	{
		.name = "leave",
		.run = run_leave,
	},
	{
		.name = "leave, laden",
		.flags = OP_NAMED,
		.sleepers = {MAIL, ROOM, WAITER, CALLER},
		.enter = enter_submitted,
		.feed = feed_laden,
		.prepare = prepare_laden,
		.ready = look_it_up,
		.run = run_leave,
	},
	{
		.name = "reserve",
		.run = run_reserve,
		.end = end_reserve,
	},
	{
		.name = "unreserve",
		.prepare = prepare_unreserve,
		.run = run_unreserve,
		.end = end_zero,
	},
	{
		.name = "lookup",
		.run = run_lookup,
		.end = end_found_one,
	},
	{
		.name = "wait_name",
		.run = run_wait_name,
		.end = end_zero,
	},
	{
		.name = "alive, name, pid, info",
		.run = run_ask,
		.end = end_one_is_right,
	},
	{
		.name = "interrupt",
		.flags = OP_EVENT,
		.sleepers = {{.run = sleep_for_event}},
		.run = run_interrupt,
	},
	{
		.name = "type_intern",
		.prepare = prepare_type,
		.run = run_type_intern,
		.end = end_zero,
		.survive = survive_type,
	},
	{
		.name = "type_name",
		.prepare = prepare_type,
		.run = run_type_name,
		.end = end_zero,
	},
	{
		.name = "recover",
		.flags = OP_DEAD,
		.slots = 12,
		.sleepers = {MAIL,
			     {.run = sleep_for_result, .owed = OWED_END,
			      .stage = STAGE_FIRST},
			     {.run = sleep_for_room, .owed = OWED_END, .of = D},
			     WAITER, WORKER, CALLER_OF_D},
		.feed = feed_dead,
		.doom = doom,
		.ready = look_it_up,
		.run = run_recover,
		.end = end_recover,
	},

	/* Messages. */
	{
		.name = "send",
		.states = SENDERS_STATES,
		.sends = 1,
		.sleepers = {MAIL},
		.prepare = prepare_sender,
		.run = run_send,
		.end = end_one_sent,
	},
	{
		.name = "send_batch",
		.states = IN(RING_EMPTY) | IN(RING_HALF) | IN(RING_WRAP) |
			  IN(RING_PASSED),
		.sends = 3,
		.sleepers = {MAIL},
		.prepare = prepare_batch,
		.run = run_send_batch,
		.end = end_send_batch,
	},
	{
		.name = "send_name",
		.states = IN(RING_EMPTY),
		.sends = 1,
		.sleepers = {MAIL, MAIL},
		.prepare = stage_only,
		.run = run_send_name,
		.end = end_send_name,
	},
	{
		.name = "claim",
		.states = SENDERS_STATES,
		.sleepers = {MAIL},
		.prepare = prepare_sender,
		.run = run_claim,
		.end = end_claim,
	},
	{
		.name = "commit",
		.states = SENDERS_STATES,
		.sends = 1,
		.sleepers = {MAIL},
		.prepare = prepare_claimed,
		.run = run_commit,
		.end = end_one_sent,
	},
	{
		.name = "cancel",
		.states = SENDERS_STATES,
		.sleepers = {MAIL},
		.prepare = prepare_claimed,
		.run = run_cancel,
	},
	{
		.name = "receive",
		.states = IN(RING_EMPTY) | IN(RING_HALF) | IN(RING_WRAP) |
			  IN(RING_PASSED),
		.feed = feed_receiver,
		.prepare = prepare_receive,
		.run = run_receive,
		.end = end_receive,
		.survive = survive_passed,
	},
	{
		.name = "receive",
		.states = IN(RING_FULL),
		.sleepers = {ROOM},
		.feed = feed_receiver,
		.run = run_receive,
		.end = end_receive,
	},
	{
		.name = "receive_batch",
		.states = IN(RING_HALF) | IN(RING_WRAP) | IN(RING_PASSED),
		.feed = feed_receiver,
		.run = run_receive_batch,
		.end = end_receive_batch,
		.survive = survive_passed,
	},
	{
		.name = "release",
		.states = IN(RING_HALF) | IN(RING_WRAP) | IN(RING_PASSED),
		.feed = feed_receiver,
		.prepare = prepare_release,
		.run = run_release,
		.survive = survive_passed,
	},
	{
		.name = "release",
		.states = IN(RING_FULL),
		.sleepers = {ROOM},
		.feed = feed_receiver,
		.prepare = prepare_release,
		.run = run_release,
	},
	{
		.name = "release_batch",
		.states = IN(RING_HALF) | IN(RING_WRAP) | IN(RING_PASSED),
		.feed = feed_receiver,
		.prepare = prepare_release,
		.run = run_release_batch,
		.survive = survive_passed,
	},
	{
		.name = "release_batch",
		.states = IN(RING_FULL),
		.sleepers = {ROOM},
		.feed = feed_receiver,
		.prepare = prepare_release,
		.run = run_release_batch,
	},
	{
		.name = "run",
		.states = IN(RING_EMPTY) | IN(RING_HALF),
		.feed = feed_receiver,
		.prepare = prepare_run,
		.run = run_run,
		.end = end_zero,
	},

	{
		.name = "call",
		.flags = OP_ANSWERED,
		.sends = 1,
		.sleepers = {MAIL},
		.prepare = prepare_call,
		.run = run_call,
		.end = end_call,
	},
	{
		.name = "reply",
		.sleepers = {CALLER},
		.prepare = prepare_reply,
		.run = run_reply,
		.end = end_zero,
	},

	/* Tasks. */
	{
		.name = "submit",
		.states = IN(RING_EMPTY) | IN(RING_WRAP),
		.sleepers = {WORKER},
		.setup = setup_submit,
		.run = run_submit,
		.end = end_submit,
	},
	{
		.name = "submit",
		.states = IN(RING_HALF) | IN(RING_NEARLY) | IN(RING_FULL),
		.sleepers = {{.run = sleep_for_results, .stage = STAGE_FIRST}},
		.feed = feed_submit,
		.run = run_submit,
		.end = end_submit,
	},
	{
		.name = "take",
		.states = IN(RING_EMPTY),
		.run = run_take,
		.end = end_take,
	},
	{
		.name = "take",
		.states = IN(RING_HALF) | IN(RING_NEARLY) | IN(RING_FULL) |
			  IN(RING_WRAP),
		.sleepers = {{.run = sleep_for_results, .stage = STAGE_FIRST}},
		.setup = setup_take,
		.run = run_take,
		.end = end_take,
	},
	{
		.name = "complete",
		.sleepers = {{.run = sleep_for_result, .owed = OWED_END,
			      .stage = STAGE_FIRST},
			     WORKER},
		.prepare = prepare_complete,
		.run = run_complete,
		.end = end_zero,
	},
	{
		.name = "complete, orphan",
		.feed = feed_orphan,
		.prepare = prepare_complete,
		.ready = ready_orphan,
		.run = run_complete,
		.end = end_zero,
	},
	{
		.name = "collect",
		.enter = enter_submitted,
		.feed = do_one,
		.run = run_collect,
		.end = end_collect,
	},
	{
		.name = "result_release",
		.enter = enter_submitted,
		.feed = do_one,
		.prepare = prepare_result_release,
		.run = run_result_release,
	},
	{
		.name = "task_cancel",
		.enter = enter_submitted,
		.run = run_task_cancel,
		.end = end_task_cancel,
	},

	/* Events. */
	{
		.name = "event_group_create",
		.run = run_event_group_create,
		.end = end_event_group_create,
	},
	{
		.name = "event_reserve",
		.run = run_event_reserve,
		.end = end_event_reserve,
	},
	{
		.name = "event_set",
		.flags = OP_EVENT,
		.sleepers = {{.run = sleep_for_event, .owed = OWED_EVENT}},
		.run = run_event_set,
		.end = end_zero,
	},
	{
		.name = "event_set, wait_from",
		.flags = OP_EVENT,
		.sleepers = {{.run = sleep_for_event_from, .owed = OWED_END}},
		.run = run_event_set,
		.end = end_zero,
	},
	{
		.name = "event_clear",
		.flags = OP_EVENT,
		.setup = set_event,
		.run = run_event_clear,
		.end = end_zero,
	},
	{
		.name = "event_post",
		.flags = OP_EVENT,
		.run = run_event_post,
		.end = end_zero,
	},
	{
		.name = "event_take",
		.flags = OP_EVENT,
		.setup = post_event,
		.run = run_event_take,
		.end = end_zero,
	},
	{
		.name = "event_wait",
		.flags = OP_EVENT,
		.setup = set_event,
		.run = run_event_wait,
		.end = end_zero,
	},
	{
		.name = "event_release",
		.sleepers = {WAITER},
		.prepare = reserve_event,
		.run = run_event_release,
		.end = end_zero,
	},

	/* Sleeping: until a time limit, or killed in it. */
	{
		.name = "sleep for mail",
		.run = run_sleep_for_mail,
		.end = end_timed_out,
	},
	{
		.name = "sleep for room",
		.feed = feed_survivor,
		.prepare = stage_only,
		.run = run_sleep_for_room,
		.end = end_timed_out,
		.survive = survive_full,
	},
	{
		.name = "sleep for a task",
		.run = run_sleep_for_task,
		.end = end_timed_out,
	},
	{
		.name = "sleep for a result",
		.enter = enter_submitted,
		.run = run_sleep_for_result,
		.end = end_sleep_for_result,
	},
	{
		.name = "sleep for an event",
		.flags = OP_EVENT,
		.run = run_sleep_for_event,
		.end = end_timed_out,
	},
	{
		.name = "sleep for a reply",
		.prepare = prepare_call_survivor,
		.run = run_call,
		.end = end_timed_out,
		.survive = survive_call,
	},
	{
		.name = "sleep for a name",
		.run = run_sleep_for_name,
		.end = end_timed_out,
	},

	/* Two victims. */
	{
		.name = "send, send",
		.states = IN(RING_EMPTY) | IN(RING_WRAP),
		.sends = 1,
		.sleepers = {MAIL},
		.prepare = prepare_sender,
		.run = run_send,
		.run2 = run_send,
		.end2 = end_one_sent,
		.together = true,
		.end = end_one_sent,
	},
	{
		.name = "send, recover",
		.states = IN(RING_EMPTY),
		.sends = 1,
		.sleepers = {MAIL},
		.prepare = prepare_sender,
		.run = run_send,
		.run2 = run_recover,
		.end = end_one_sent,
		.end2 = end_recover,
	},
	{
		.name = "take, recover",
		.states = IN(RING_EMPTY),
		.sleepers = {{.run = sleep_for_results, .stage = STAGE_FIRST}},
		.run = run_take,
		.run2 = run_recover,
		.end = end_take,
		.end2 = end_recover,
	},
	{
		.name = "recover, recover",
		.flags = OP_DEAD,
		.slots = 12,
		.sleepers = {MAIL,
			     {.run = sleep_for_result, .owed = OWED_END,
			      .stage = STAGE_FIRST},
			     {.run = sleep_for_room, .owed = OWED_END, .of = D},
			     WAITER, WORKER, CALLER_OF_D},
		.feed = feed_dead,
		.doom = doom,
		.ready = look_it_up,
		.run = run_recover,
		.run2 = run_recover,
		.end2 = end_recover,
		.end = end_recover,
	},
};

const unsigned op_count = sizeof(ops) / sizeof(*ops);
