/* SPDX-License-Identifier: MIT */
/*
 * Tasks: each one submitted yields exactly one result, to whoever submitted it,
 * however workers and submitters come and go. Several handles of one process
 * where steps must stand in a row, several processes where they must not.
 */
#include "harness.h"

#include "arena.h"
#include "process.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define CELLS 8 /* of small_arena */

struct room {
	struct fr_arena *arena;
	struct fr_process *boss, *worker;
	struct fr_arena_info info;
};

static struct fr_process *join(struct fr_arena *arena, enum fr_wait_mode wait)
{
	struct fr_join_opts opts = {.wait = wait};
	struct fr_process *p;

	assert_rc(fr_join(arena, &opts, &p), 0);
	return p;
}

static struct fr_process *join_in_child(struct fr_arena *arena,
					enum fr_wait_mode wait)
{
	struct fr_join_opts opts = {.wait = wait};
	struct fr_process *p;

	CHECK_RC(fr_join(arena, &opts, &p), 0);
	return p;
}

static void open_room(struct room *t, const struct fr_arena_opts *opts)
{
	assert_rc(fr_arena_create(NULL, opts, &t->arena), 0);
	fr_arena_info(t->arena, &t->info);
	t->boss = join(t->arena, FR_WAIT_ADAPTIVE);
	t->worker = join(t->arena, FR_WAIT_ADAPTIVE);
}

static void close_room(struct room *t)
{
	fr_leave(t->boss);
	fr_leave(t->worker);
	fr_arena_detach(t->arena);
}

static bool sleeps_for(struct fr_arena *arena, struct fr_addr who,
		       uint32_t mark)
{
	return fr__load_sc(&arena->slots[fr__addr_slot(who)].waiting) & mark;
}

/* A task whose argument is one number. */
static int submit(struct fr_process *p, uint32_t n, struct fr_task_id *id)
{
	return fr_submit(p, &(struct fr_task){.arg = &n, .len = sizeof(n)}, id);
}

static uint32_t number(const void *at)
{
	uint32_t n;

	memcpy(&n, at, sizeof(n));
	return n;
}

static struct fr_task_id submitted(struct fr_process *p, uint32_t n)
{
	struct fr_task_id id;

	assert_rc(submit(p, n, &id), 0);
	return id;
}

/* The next task has this number. */
static void take(struct fr_process *p, uint32_t n, struct fr_task *task,
		 struct fr_reply *reply)
{
	assert_rc(fr_take(p, 0, task, reply), 0);
	assert_int_equal(task->len, sizeof(n));
	assert_int_equal(number(task->arg), n);
}

static void take_none(struct fr_process *p)
{
	struct fr_reply reply;
	struct fr_task task;

	assert_rc(fr_take(p, 0, &task, &reply), -EAGAIN);
}

/* The result of a task is the complement of its number. */
static void complete(struct fr_process *p, const struct fr_task *task,
		     struct fr_reply *reply, int value)
{
	uint32_t n = ~number(task->arg);

	memcpy(reply->data, &n, sizeof(n));
	reply->len = sizeof(n);
	assert_rc(fr_complete(p, value, reply), 0);
}

static void work(struct fr_process *p, uint32_t n)
{
	struct fr_reply reply;
	struct fr_task task;

	take(p, n, &task, &reply);
	complete(p, &task, &reply, 0);
}

/* The next result is of this task. */
static void collect(struct fr_process *p, struct fr_task_id id,
		    enum fr_task_status status)
{
	struct fr_result r;

	assert_rc(fr_collect(p, 0, &r), 0);
	assert_true(r.id.id == id.id);
	assert_int_equal(r.status, status);
	fr_result_release(p, &r);
}

/* Every cell can be used, and none is beyond them. */
static void all_cells_work(struct fr_process *boss, struct fr_process *worker,
			   uint32_t cells)
{
	struct fr_task_id ids[64], over;
	uint32_t i;

	assert_rc(fr_outstanding(boss), 0);
	for (i = 0; i < cells; i++)
		ids[i] = submitted(boss, i);
	assert_rc(submit(boss, i, &over), -EAGAIN);
	for (i = 0; i < cells; i++)
		work(worker, i);
	for (i = 0; i < cells; i++) {
		struct fr_result r;
		uint32_t n;

		assert_rc(fr_collect(boss, 0, &r), 0);
		assert_int_equal(r.len, sizeof(uint32_t));
		n = ~number(r.data);
		assert_true(n < cells && r.id.id == ids[n].id);
		fr_result_release(boss, &r);
		ids[n].id = 0;
	}
	take_none(worker);
	assert_rc(fr_outstanding(boss), 0);
}

/* ---- the way of one task ---- */

static void a_task_goes_from_submit_to_release(void **state)
{
	struct fr_reply reply;
	struct fr_result r;
	struct fr_task task;
	struct fr_task_id id;
	struct room t;

	(void)state;
	open_room(&t, &small_arena);
	take_none(t.worker);
	assert_rc(fr_submit(t.boss, &(struct fr_task){.arg = "work", .len = 4},
			    &id), 0);
	assert_rc(fr_outstanding(t.boss), 1);
	assert_rc(fr_collect(t.boss, 0, &r), -EAGAIN);
	assert_rc(fr_take(t.worker, 0, &task, &reply), 0);
	assert_int_equal(task.len, 4);
	assert_memory_equal(task.arg, "work", 4);
	assert_int_equal(reply.len, 0);
	assert_int_equal(reply.max, t.info.result_max);
	assert_int_equal((uintptr_t)reply.data % 8, 0);
	assert_rc(fr_collect(t.boss, 0, &r), -EAGAIN);
	memcpy(reply.data, "done!", 5);
	reply.len = 5;
	assert_rc(fr_complete(t.worker, 0, &reply), 0);
	assert_rc(fr_collect(t.boss, 0, &r), 0);
	assert_true(r.id.id == id.id);
	assert_int_equal(r.status, FR_TASK_DONE);
	assert_int_equal(r.len, 5);
	assert_memory_equal(r.data, "done!", 5);
	assert_rc(fr_outstanding(t.boss), 1);
	fr_result_release(t.boss, &r);
	assert_null(r.data);
	assert_rc(fr_outstanding(t.boss), 0);
	close_room(&t);
}

static void a_process_works_for_itself(void **state)
{
	struct fr_task_id id;
	struct room t;
	uint32_t i;

	(void)state;
	open_room(&t, &small_arena);
	for (i = 0; i < 100; i++) {
		id = submitted(t.boss, i);
		work(t.boss, i);
		collect(t.boss, id, FR_TASK_DONE);
	}
	close_room(&t);
}

static void tasks_are_taken_in_the_order_of_their_submission(void **state)
{
	struct room t;
	uint32_t i;

	(void)state;
	open_room(&t, &small_arena);
	for (i = 0; i < CELLS; i++)
		submitted(t.boss, i);
	for (i = 0; i < CELLS; i++)
		work(t.worker, i);
	take_none(t.worker);
	close_room(&t);
}

static void an_argument_and_a_result_arrive_whole_at_any_length(void **state)
{
	struct fr_arena_opts opts = small_arena;
	unsigned char body[512];
	struct fr_reply reply;
	struct fr_result r;
	struct fr_task task;
	struct fr_task_id id;
	struct room t;
	size_t len, i;

	(void)state;
	opts.arg_max = 300; /* rounded up */
	opts.result_max = 512;
	open_room(&t, &opts);
	assert_int_equal(t.info.arg_max, 304);
	assert_int_equal(t.info.result_max, 512);
	for (len = 0; len <= t.info.arg_max; len++) {
		for (i = 0; i < len; i++)
			body[i] = (unsigned char)(len + i);
		task = (struct fr_task){.arg = len ? body : NULL, .len = len};
		assert_rc(fr_submit(t.boss, &task, &id), 0);
		assert_rc(fr_take(t.worker, 0, &task, &reply), 0);
		assert_int_equal(task.len, len);
		assert_memory_equal(task.arg, body, len);
		reply.len = t.info.result_max - len;
		memset(reply.data, (int)len & 0xff, reply.len);
		assert_rc(fr_complete(t.worker, 0, &reply), 0);
		assert_rc(fr_collect(t.boss, 0, &r), 0);
		assert_int_equal(r.len, t.info.result_max - len);
		for (i = 0; i < r.len; i++)
			assert_int_equal(((const unsigned char *)r.data)[i],
					 len & 0xff);
		fr_result_release(t.boss, &r);
	}
	close_room(&t);
}

/* All of the result's room is written, and no byte of the task's argument changes. */
static void assert_apart(const struct fr_task *task, const unsigned char *arg,
			 const struct fr_reply *reply)
{
	assert_int_equal((uintptr_t)reply->data % 8, 0);
	memset(reply->data, 0xa5, reply->max);
	assert_memory_equal(task->arg, arg, task->len);
}

static void a_result_stands_apart_from_its_argument(void **state)
{
	static const size_t args[] = {1, 8, 16, 23, 24, 40, 64, 89, 300};
	static const size_t results[] = {1, 8, 16, 24, 32, 64, 100, 300};
	unsigned char arg[304];
	struct fr_reply reply;
	struct fr_result r;
	struct fr_task task;
	struct fr_task_id id;
	unsigned i, k, len;

	(void)state;
	for (i = 0; i < sizeof(arg); i++)
		arg[i] = (unsigned char)(i * 7 + 1);
	for (i = 0; i < COUNT(args); i++)
		for (k = 0; k < COUNT(results); k++) {
			struct fr_arena_opts opts = small_arena;
			struct room t;

			opts.arg_max = args[i];
			opts.result_max = results[k];
			open_room(&t, &opts);
			for (len = 0; len <= t.info.arg_max; len++) {
				task = (struct fr_task){.arg = arg, .len = len};
				/* Two, so that no cell runs into the next. */
				assert_rc(fr_submit(t.boss, &task, &id), 0);
				assert_rc(fr_submit(t.boss, &task, &id), 0);
				assert_rc(fr_take(t.worker, 0, &task, &reply), 0);
				assert_apart(&task, arg, &reply);
				reply.len = reply.max;
				assert_rc(fr_complete(t.worker, 0, &reply), 0);
				assert_rc(fr_take(t.worker, 0, &task, &reply), 0);
				assert_apart(&task, arg, &reply);
				reply.len = reply.max;
				assert_rc(fr_complete(t.worker, 0, &reply), 0);
				assert_rc(fr_collect(t.boss, 0, &r), 0);
				assert_int_equal(r.len, t.info.result_max);
				fr_result_release(t.boss, &r);
				assert_rc(fr_collect(t.boss, 0, &r), 0);
				fr_result_release(t.boss, &r);
			}
			assert_rc(fr_check(t.arena, NULL, NULL), 0);
			close_room(&t);
		}
}

static void a_damaged_length_costs_its_task_and_no_cell(void **state)
{
	struct fr_task_id id;
	struct fr_reply reply;
	struct fr_result r;
	struct fr_task task;
	struct fr__cell *c;
	struct room t;

	(void)state;
	open_room(&t, &small_arena);
	id = submitted(t.boss, 5);
	c = fr__arena_cell(t.arena, (uint32_t)id.id);
	c->arg_len = UINT32_MAX;
	assert_rc(fr_take(t.worker, 0, &task, &reply), -EBADMSG);
	assert_rc(fr_collect(t.boss, 0, &r), 0);
	assert_int_equal(r.status, FR_TASK_FAILED);
	assert_int_equal(r.value, -EBADMSG);
	assert_int_equal(r.len, 0);
	fr_result_release(t.boss, &r);
	id = submitted(t.boss, 6);
	c = fr__arena_cell(t.arena, (uint32_t)id.id);
	work(t.worker, 6);
	c->result_len = UINT32_MAX;
	assert_rc(fr_collect(t.boss, 0, &r), -EBADMSG);
	assert_rc(fr_collect(t.boss, 0, &r), -ENODATA);
	all_cells_work(t.boss, t.worker, CELLS);
	close_room(&t);
}

/* As of one that was taken for dead, and is not. */
static void what_was_taken_from_a_worker_it_does_not_finish(void **state)
{
	struct fr_task_id id, other;
	struct fr_reply reply;
	struct fr_task task;
	struct fr__cell *c;
	struct room t;
	uint64_t word;

	(void)state;
	open_room(&t, &small_arena);
	id = submitted(t.boss, 5);
	take(t.worker, 5, &task, &reply);
	c = fr__arena_cell(t.arena, (uint32_t)id.id);
	word = fr__load_sc(&c->state);
	fr__store_sc(&c->state, word + (UINT64_C(1) << 24)); /* an attempt on */
	assert_rc(fr_complete(t.worker, 0, &reply), 0);
	assert_true(fr__load_sc(&c->state) == word + (UINT64_C(1) << 24));
	fr__store_sc(&c->state, 0);
	other = submitted(t.boss, 7);
	work(t.worker, 7);
	collect(t.boss, other, FR_TASK_DONE);
	close_room(&t);
}

/* A process that attaches sees the task ring from where it is then. */
static void who_attaches_goes_on_where_the_ring_is(void **state)
{
	static const uint64_t starts[] = {
		UINT64_C(1) << 63, UINT64_MAX - 5, UINT64_MAX / 2 - 3,
	};
	struct fr_arena_opts opts = small_arena;
	struct fr_process *worker;
	struct fr_arena *again;
	const char *name;
	unsigned i, k;

	(void)state;
	for (i = 0; i < COUNT(starts); i++) {
		struct room t;

		opts.start_position = starts[i];
		name = new_name();
		assert_rc(fr_arena_create(name, &opts, &t.arena), 0);
		t.boss = join(t.arena, FR_WAIT_ADAPTIVE);
		for (k = 0; k < 20; k++) {
			struct fr_task_id id = submitted(t.boss, k);

			assert_rc(fr_arena_attach(name, 0, &again), 0);
			worker = join(again, FR_WAIT_ADAPTIVE);
			work(worker, k);
			collect(t.boss, id, FR_TASK_DONE);
			fr_leave(worker);
			fr_arena_detach(again);
		}
		fr_leave(t.boss);
		fr_arena_detach(t.arena);
		fr_arena_unlink(name);
	}
}

static void an_argument_over_the_largest_is_refused(void **state)
{
	struct fr_task_id id;
	struct room t;

	(void)state;
	open_room(&t, &small_arena);
	assert_rc(fr_submit(t.boss,
			    &(struct fr_task){.len = t.info.arg_max + 1}, &id),
		  -EMSGSIZE);
	assert_rc(fr_submit(t.boss, &(struct fr_task){.len = SIZE_MAX}, &id),
		  -EMSGSIZE);
	assert_rc(fr_outstanding(t.boss), 0);
	take_none(t.worker);
	close_room(&t);
}

static void ids_are_unique(void **state)
{
	enum { ROUNDS = 20000 };
	uint64_t *last;
	struct room t;
	uint32_t i;

	(void)state;
	open_room(&t, &small_arena);
	/* Per cell (the low half) generations go up. */
	last = calloc(fr__cells(t.arena), sizeof(*last));
	assert_non_null(last);
	for (i = 0; i < ROUNDS; i++) {
		struct fr_process *p = i % 3 ? t.boss : t.worker;
		struct fr_task_id id = submitted(p, i);
		uint32_t cell = (uint32_t)id.id;

		assert_true(id.id != 0);
		assert_true(cell < fr__cells(t.arena));
		assert_true(id.id > last[cell]);
		last[cell] = id.id;
		if (i % 5 == 0)
			assert_rc(fr_task_cancel(p, id), 0);
		else
			work(t.worker, i);
		collect(p, id, i % 5 ? FR_TASK_DONE : FR_TASK_CANCELLED);
		if (i % 5 == 0)
			take_none(t.worker);
	}
	free(last);
	close_room(&t);
}

static void kind_attempt_and_addresses_go_along(void **state)
{
	struct fr_reply reply;
	struct fr_result r;
	struct fr_task task = {.arg = "", .len = 0, .kind = 0xfeedbeef,
			       .attempt = 9, .id = {9}, .from = {9}};
	struct fr_task_id id;
	struct room t;

	(void)state;
	open_room(&t, &small_arena);
	assert_rc(fr_submit(t.boss, &task, &id), 0);
	assert_rc(fr_take(t.worker, 0, &task, &reply), 0);
	assert_int_equal(task.kind, 0xfeedbeef);
	assert_int_equal(task.attempt, 1);
	assert_true(task.id.id == id.id);
	assert_true(task.from.id == fr_self(t.boss).id);
	assert_rc(fr_complete(t.worker, 0, &reply), 0);
	assert_rc(fr_collect(t.boss, 0, &r), 0);
	assert_int_equal(r.kind, 0xfeedbeef);
	assert_int_equal(r.attempt, 1);
	assert_true(r.worker.id == fr_self(t.worker).id);
	fr_result_release(t.boss, &r);
	close_room(&t);
}

static void a_workers_error_is_a_result(void **state)
{
	static const int values[] = {0, 1, 7, INT32_MAX, -1, -EIO, INT32_MIN};
	struct fr_reply reply;
	struct fr_result r;
	struct fr_task task;
	struct room t;
	unsigned i;

	(void)state;
	open_room(&t, &small_arena);
	for (i = 0; i < COUNT(values); i++) {
		submitted(t.boss, i);
		take(t.worker, i, &task, &reply);
		complete(t.worker, &task, &reply, values[i]);
		assert_rc(fr_collect(t.boss, 0, &r), 0);
		assert_int_equal(r.status, values[i] < 0 ? FR_TASK_FAILED
							  : FR_TASK_DONE);
		assert_int_equal(r.value, values[i]);
		assert_int_equal(r.len, 4); /* a failure has data, too */
		assert_int_equal(number(r.data), ~i);
		fr_result_release(t.boss, &r);
	}
	close_room(&t);
}

static void results_come_as_they_are_finished(void **state)
{
	struct fr_process *second;
	struct fr_reply ra, rb;
	struct fr_task a, b;
	struct fr_task_id ia, ib;
	struct fr_result r;
	struct room t;

	(void)state;
	open_room(&t, &small_arena);
	second = join(t.arena, FR_WAIT_ADAPTIVE);
	ia = submitted(t.boss, 1);
	ib = submitted(t.boss, 2);
	take(t.worker, 1, &a, &ra);
	take(second, 2, &b, &rb);
	complete(second, &b, &rb, 0);
	collect(t.boss, ib, FR_TASK_DONE);
	assert_rc(fr_collect(t.boss, 0, &r), -EAGAIN);
	complete(t.worker, &a, &ra, 0);
	collect(t.boss, ia, FR_TASK_DONE);
	fr_leave(second);
	close_room(&t);
}

/* ---- cells ---- */

static void cells_bound_what_is_outstanding(void **state)
{
	struct fr_result r[CELLS];
	struct fr_task_id id;
	struct room t;
	uint32_t i;

	(void)state;
	open_room(&t, &small_arena);
	for (i = 0; i < CELLS; i++)
		submitted(t.boss, i);
	assert_rc(submit(t.boss, i, &id), -EAGAIN);
	assert_rc(fr_outstanding(t.boss), CELLS);
	for (i = 0; i < CELLS; i++)
		work(t.worker, i);
	assert_rc(submit(t.boss, i, &id), -EAGAIN); /* done, not collected */
	for (i = 0; i < CELLS; i++)
		assert_rc(fr_collect(t.boss, 0, &r[i]), 0);
	assert_rc(submit(t.boss, i, &id), -EAGAIN); /* not released */
	for (i = 0; i < CELLS; i++) {
		fr_result_release(t.boss, &r[i]);
		assert_rc(submit(t.boss, i, &id), 0);
		assert_rc(submit(t.boss, i, &id), -EAGAIN);
	}
	/* Another process has its own. */
	submitted(t.worker, 99);
	close_room(&t);
}

static void the_first_to_join_may_have_more_cells(void **state)
{
	struct fr_arena_opts opts = small_arena;
	struct room t;

	(void)state;
	opts.main_cells = 37;
	opts.cells = 3;
	open_room(&t, &opts);
	assert_int_equal(t.info.main_cells, 37);
	all_cells_work(t.boss, t.worker, 37);
	all_cells_work(t.worker, t.boss, 3);
	close_room(&t);
}

static void a_result_is_released_once(void **state)
{
	struct fr_result r, copy;
	struct fr_task_id id;
	struct room t;

	(void)state;
	open_room(&t, &small_arena);
	submitted(t.boss, 1);
	work(t.worker, 1);
	assert_rc(fr_collect(t.boss, 0, &r), 0);
	copy = r;
	fr_result_release(t.boss, &r);
	id = submitted(t.boss, 2);
	fr_result_release(t.boss, &copy);
	fr_result_release(t.worker, &copy); /* nor by another */
	assert_rc(fr_outstanding(t.boss), 1);
	work(t.worker, 2);
	collect(t.boss, id, FR_TASK_DONE);
	all_cells_work(t.boss, t.worker, CELLS);
	close_room(&t);
}

static void held_results_stay_as_they_are(void **state)
{
	struct fr_result r[CELLS - 1];
	struct fr_task_id id;
	struct room t;
	uint32_t i;

	(void)state;
	open_room(&t, &small_arena);
	for (i = 0; i < CELLS - 1; i++) {
		submitted(t.boss, i);
		work(t.worker, i);
		assert_rc(fr_collect(t.boss, 0, &r[i]), 0);
	}
	for (i = 0; i < 100; i++) {
		id = submitted(t.boss, 100 + i);
		work(t.worker, 100 + i);
		collect(t.boss, id, FR_TASK_DONE);
	}
	for (i = 0; i < CELLS - 1; i++) {
		assert_int_equal(number(r[i].data), ~i);
		fr_result_release(t.boss, &r[i]);
	}
	close_room(&t);
}

static void collecting_with_nothing_outstanding_says_so(void **state)
{
	struct fr_task_id id;
	struct fr_result r;
	struct room t;

	(void)state;
	open_room(&t, &small_arena);
	assert_rc(fr_collect(t.boss, 0, &r), -ENODATA);
	assert_rc(fr_collect(t.boss, FR_FOREVER, &r), -ENODATA);
	id = submitted(t.boss, 1);
	assert_rc(fr_collect(t.worker, FR_FOREVER, &r), -ENODATA);
	work(t.worker, 1);
	collect(t.boss, id, FR_TASK_DONE);
	assert_rc(fr_collect(t.boss, FR_FOREVER, &r), -ENODATA);
	close_room(&t);
}

static void waiting_for_a_result_or_a_task_ends_with_its_time(void **state)
{
	struct fr_reply reply;
	struct fr_result r;
	struct fr_task task;
	struct room t;
	int64_t start;

	(void)state;
	open_room(&t, &small_arena);
	start = now_ns();
	assert_rc(fr_take(t.worker, 20 * MS, &task, &reply), -ETIMEDOUT);
	assert_true(now_ns() - start >= 20 * MS);
	submitted(t.boss, 1);
	start = now_ns();
	assert_rc(fr_collect(t.boss, 20 * MS, &r), -ETIMEDOUT);
	assert_true(now_ns() - start >= 20 * MS);
	work(t.worker, 1);
	assert_rc(fr_collect(t.boss, 20 * MS, &r), 0);
	fr_result_release(t.boss, &r);
	close_room(&t);
}

struct napper {
	struct fr_arena *arena;
	struct {
		uint32_t enough; /* of short waits */
		uint32_t last;   /* one has begun */
		struct fr_addr self;
	} *page;
};

static int wait_for_a_task(void *ctx)
{
	struct napper *n = ctx;
	struct fr_process *self = join_in_child(n->arena, FR_WAIT_ADAPTIVE);
	struct fr_reply reply;
	struct fr_task task;
	int rc;

	n->page->self = fr_self(self);
	do
		rc = fr_take(self, 5 * MS, &task, &reply);
	while (rc == -ETIMEDOUT && !reached(&n->page->enough));
	if (rc == -ETIMEDOUT) {
		advance(&n->page->last);
		rc = fr_take(self, FR_FOREVER, &task, &reply);
	}
	CHECK_RC(rc, 0);
	CHECK_RC(fr_complete(self, 0, &reply), 0);
	fr_leave(self);
	return 0;
}

/* As many handles as make all CPUs taken: none of them sleeps. */
static unsigned open_crowd(struct fr_arena **arena, struct fr_process **awake,
			   unsigned max)
{
	struct fr_arena_opts opts = small_arena;
	unsigned count = fr_cpus() + 1 < max ? fr_cpus() + 1 : max, i;

	opts.slots = count + 2;
	assert_rc(fr_arena_create(NULL, &opts, arena), 0);
	for (i = 0; i < count; i++)
		awake[i] = join(*arena, FR_WAIT_ADAPTIVE);
	return count;
}

static void close_crowd(struct fr_arena *arena, struct fr_process **awake,
			unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++)
		fr_leave(awake[i]);
	fr_arena_detach(arena);
}

static bool says(const struct fr__a64 *words, struct fr_addr who)
{
	unsigned slot = fr__addr_slot(who);

	return fr__load_sc(&words[slot / 64]) >> slot % 64 & 1;
}

static pid_t begin_napping(struct napper *n)
{
	pid_t child;

	n->page = shared(sizeof(*n->page));
	child = spawn(wait_for_a_task, n);
	AWAIT(n->page->self.id != 0);
	AWAIT(says(n->arena->naps, n->page->self));
	return child;
}

/* Its last wait: it naps, then sleeps. */
static void let_sleep(struct napper *n)
{
	advance(&n->page->enough);
	await(&n->page->last, 1);
	AWAIT(sleeps_for(n->arena, n->page->self, FR__MARK_TASK) &&
	      says(n->arena->idle, n->page->self));
}

static void a_worker_that_has_napped_in_vain_is_woken(void **state)
{
	struct fr_process *awake[1024];
	struct fr_task_id id;
	struct fr_result r;
	struct napper n;
	unsigned count;
	pid_t child;

	(void)state;
	count = open_crowd(&n.arena, awake, 1024);
	child = begin_napping(&n);
	let_sleep(&n);
	id = submitted(awake[0], 1);
	assert_false(says(n.arena->idle, n.page->self));
	assert_rc(fr_collect(awake[0], FR_FOREVER, &r), 0);
	assert_true(r.id.id == id.id);
	fr_result_release(awake[0], &r);
	wait_ok(child);
	close_crowd(n.arena, awake, count);
}

static void a_worker_stopped_in_its_nap_keeps_no_other_asleep(void **state)
{
	struct fr_process *awake[1024];
	struct napper stopped, sleeper;
	pid_t children[2];
	struct fr_result r;
	unsigned count, i;
	int status;

	(void)state;
	count = open_crowd(&stopped.arena, awake, 1024);
	sleeper.arena = stopped.arena;
	children[0] = begin_napping(&stopped);
	for (;;) {
		kill(children[0], SIGSTOP);
		assert_int_equal(waitpid(children[0], &status, WUNTRACED),
				 children[0]);
		assert_true(WIFSTOPPED(status));
		if (says(stopped.arena->naps, stopped.page->self))
			break;
		kill(children[0], SIGCONT);
	}
	children[1] = begin_napping(&sleeper);
	let_sleep(&sleeper);
	submitted(awake[0], 1);
	assert_false(says(sleeper.arena->idle, sleeper.page->self));
	wait_ok(children[1]);
	advance(&stopped.page->enough);
	submitted(awake[0], 2);
	kill(children[0], SIGCONT);
	for (i = 0; i < 2; i++) {
		assert_rc(fr_collect(awake[0], FR_FOREVER, &r), 0);
		fr_result_release(awake[0], &r);
	}
	wait_ok(children[0]);
	close_crowd(stopped.arena, awake, count);
}

static int collect_lazily(void *ctx)
{
	struct fr_arena *arena = ctx;
	struct fr_process *self = join_in_child(arena, FR_WAIT_SLEEP);
	struct fr_task_id id;
	struct fr_result r;

	CHECK_RC(submit(self, 1, &id), 0);
	CHECK_RC(fr__collect(self, FR_FOREVER, true, &r), 0);
	CHECK(r.id.id == id.id);
	fr_result_release(self, &r);
	fr_leave(self);
	return 0;
}

static void who_takes_the_last_task_tells_a_lazy_collector(void **state)
{
	struct fr_reply reply;
	struct fr_task task;
	struct room t;
	pid_t child;

	(void)state;
	open_room(&t, &small_arena);
	child = spawn(collect_lazily, t.arena);
	AWAIT(fr__load_sc(&t.arena->header->lazy) == 1);
	take(t.worker, 1, &task, &reply);
	complete(t.worker, &task, &reply, 0);
	wait_ok(child);
	close_room(&t);
}

/* ---- a worker's duties ---- */

static void a_worker_has_one_task_in_hand(void **state)
{
	struct fr_reply reply, other;
	struct fr_task task, none;
	struct fr_task_id ids[2];
	struct room t;

	(void)state;
	open_room(&t, &small_arena);
	ids[0] = submitted(t.boss, 0);
	ids[1] = submitted(t.boss, 1);
	take(t.worker, 0, &task, &reply);
	assert_rc(fr_take(t.worker, 0, &none, &other), -EBUSY);
	assert_rc(fr_take(t.worker, FR_FOREVER, &none, &other), -EBUSY);
	complete(t.worker, &task, &reply, 0);
	collect(t.boss, ids[0], FR_TASK_DONE);
	work(t.worker, 1);
	collect(t.boss, ids[1], FR_TASK_DONE);
	close_room(&t);
}

static void completing_without_a_task_is_refused(void **state)
{
	struct fr_reply reply = {0};
	struct room t;

	(void)state;
	open_room(&t, &small_arena);
	assert_rc(fr_complete(t.worker, 0, &reply), -EINVAL);
	submitted(t.boss, 1);
	assert_rc(fr_complete(t.worker, 0, &reply), -EINVAL);
	work(t.worker, 1);
	assert_rc(fr_complete(t.worker, 0, &reply), -EINVAL);
	close_room(&t);
}

static void a_reply_that_is_too_long_is_refused(void **state)
{
	struct fr_task_id id;
	struct fr_reply reply;
	struct fr_result r;
	struct fr_task task;
	struct room t;

	(void)state;
	open_room(&t, &small_arena);
	id = submitted(t.boss, 1);
	take(t.worker, 1, &task, &reply);
	reply.len = reply.max + 1;
	assert_rc(fr_complete(t.worker, 0, &reply), -EINVAL);
	assert_rc(fr_collect(t.boss, 0, &r), -EAGAIN);
	complete(t.worker, &task, &reply, 0); /* still in hand */
	collect(t.boss, id, FR_TASK_DONE);
	close_room(&t);
}

static int use_what_the_parent_joined(void *ctx)
{
	struct room *t = ctx;
	struct fr_task task = {0};
	struct fr_task_id id = {0};
	struct fr_reply reply = {0};
	struct fr_result r = {0};

	CHECK_RC(fr_submit(t->boss, &task, &id), -ECHILD);
	CHECK_RC(fr_collect(t->boss, FR_FOREVER, &r), -ECHILD);
	CHECK_RC(fr_task_cancel(t->boss, id), -ECHILD);
	CHECK_RC(fr_take(t->worker, FR_FOREVER, &task, &reply), -ECHILD);
	CHECK_RC(fr_complete(t->worker, 0, &reply), -ECHILD);
	fr_leave(t->boss);
	fr_leave(t->worker);
	return 0;
}

static void a_forked_child_is_not_the_process_that_joined(void **state)
{
	struct fr_reply reply;
	struct fr_task task;
	struct fr_task_id id;
	struct room t;

	(void)state;
	open_room(&t, &small_arena);
	id = submitted(t.boss, 1);
	take(t.worker, 1, &task, &reply);
	wait_ok(spawn(use_what_the_parent_joined, &t));
	complete(t.worker, &task, &reply, 0);
	collect(t.boss, id, FR_TASK_DONE);
	close_room(&t);
}

/* ---- cancel ---- */

static void a_queued_task_is_cancelled_and_never_taken(void **state)
{
	struct fr_task_id ids[3];
	struct fr_result r;
	struct room t;
	uint32_t i;

	(void)state;
	open_room(&t, &small_arena);
	for (i = 0; i < 3; i++)
		ids[i] = submitted(t.boss, i);
	assert_rc(fr_task_cancel(t.boss, ids[1]), 0);
	assert_rc(fr_outstanding(t.boss), 3);
	assert_rc(fr_collect(t.boss, FR_FOREVER, &r), 0);
	assert_true(r.id.id == ids[1].id);
	assert_int_equal(r.status, FR_TASK_CANCELLED);
	assert_int_equal(r.len, 0);
	assert_int_equal(r.attempt, 0);
	fr_result_release(t.boss, &r);
	work(t.worker, 0);
	work(t.worker, 2);
	take_none(t.worker);
	collect(t.boss, ids[0], FR_TASK_DONE);
	collect(t.boss, ids[2], FR_TASK_DONE);
	close_room(&t);
}

static void a_cell_used_again_is_not_mixed_up_with_its_cancelled_task(void **state)
{
	struct fr_task_id old, new;
	struct room t;

	(void)state;
	open_room(&t, &small_arena);
	do {
		old = submitted(t.boss, 1);
		assert_rc(fr_task_cancel(t.boss, old), 0);
		collect(t.boss, old, FR_TASK_CANCELLED);
		new = submitted(t.boss, 2);
	} while ((uint32_t)new.id != (uint32_t)old.id);
	work(t.worker, 2); /* once, though its cell is queued twice */
	take_none(t.worker);
	assert_rc(fr_task_cancel(t.boss, old), -ESRCH);
	collect(t.boss, new, FR_TASK_DONE);
	close_room(&t);
}

static void a_task_that_is_taken_or_done_is_not_cancelled(void **state)
{
	struct fr_reply reply;
	struct fr_result r;
	struct fr_task task;
	struct fr_task_id id;
	struct room t;

	(void)state;
	open_room(&t, &small_arena);
	id = submitted(t.boss, 1);
	take(t.worker, 1, &task, &reply);
	assert_rc(fr_task_cancel(t.boss, id), -EBUSY);
	complete(t.worker, &task, &reply, 0);
	assert_rc(fr_task_cancel(t.boss, id), -EALREADY);
	assert_rc(fr_collect(t.boss, 0, &r), 0);
	assert_int_equal(r.status, FR_TASK_DONE);
	assert_rc(fr_task_cancel(t.boss, id), -EALREADY);
	fr_result_release(t.boss, &r);
	assert_rc(fr_task_cancel(t.boss, id), -ESRCH);
	id = submitted(t.boss, 1);
	assert_rc(fr_task_cancel(t.boss, id), 0);
	assert_rc(fr_task_cancel(t.boss, id), -EALREADY);
	collect(t.boss, id, FR_TASK_CANCELLED);
	close_room(&t);
}

static void only_an_own_outstanding_task_is_cancelled(void **state)
{
	struct fr_task_id id, wrong;
	struct room t;

	(void)state;
	open_room(&t, &small_arena);
	id = submitted(t.boss, 1);
	assert_rc(fr_task_cancel(t.worker, id), -ESRCH);
	assert_rc(fr_task_cancel(t.boss, (struct fr_task_id){0}), -ESRCH);
	assert_rc(fr_task_cancel(t.boss, (struct fr_task_id){UINT64_MAX}),
		  -ESRCH);
	wrong.id = id.id + (UINT64_C(1) << 32);
	assert_rc(fr_task_cancel(t.boss, wrong), -ESRCH);
	wrong.id = id.id + 1; /* its neighbour, never used */
	assert_rc(fr_task_cancel(t.boss, wrong), -ESRCH);
	work(t.worker, 1);
	collect(t.boss, id, FR_TASK_DONE);
	close_room(&t);
}

static void cancelled_tasks_do_not_use_the_queue_up(void **state)
{
	struct fr_task_id id;
	struct room t;
	uint32_t i;

	(void)state;
	open_room(&t, &small_arena);
	for (i = 0; i < 1000; i++) {
		id = submitted(t.boss, i); /* and no worker looks */
		assert_rc(fr_task_cancel(t.boss, id), 0);
		collect(t.boss, id, FR_TASK_CANCELLED);
	}
	all_cells_work(t.boss, t.worker, CELLS);
	close_room(&t);
}

static void tasks_of_those_who_left_do_not_use_the_queue_up(void **state)
{
	struct room t;
	uint32_t i, k;

	(void)state;
	open_room(&t, &small_arena);
	for (i = 0; i < 100; i++) {
		for (k = 0; k < CELLS; k++)
			submitted(t.boss, k);
		fr_leave(t.boss);
		t.boss = join(t.arena, FR_WAIT_ADAPTIVE);
	}
	all_cells_work(t.boss, t.worker, CELLS);
	close_room(&t);
}

/* ---- who leaves ---- */

/* The boss leaves; another joins in its slot. */
static void change_boss(struct room *t)
{
	struct fr_addr old = fr_self(t->boss);

	fr_leave(t->boss);
	t->boss = join(t->arena, FR_WAIT_ADAPTIVE);
	assert_int_equal(fr__addr_slot(fr_self(t->boss)), fr__addr_slot(old));
	assert_true(fr_self(t->boss).id != old.id);
}

static void queued_tasks_go_with_their_submitter(void **state)
{
	struct fr_result r;
	struct room t;
	uint32_t i;

	(void)state;
	open_room(&t, &small_arena);
	for (i = 0; i < CELLS; i++)
		submitted(t.boss, i);
	change_boss(&t);
	take_none(t.worker);
	assert_rc(fr_collect(t.boss, FR_FOREVER, &r), -ENODATA);
	all_cells_work(t.boss, t.worker, CELLS);
	close_room(&t);
}

static void a_task_in_work_outlives_its_submitter(void **state)
{
	struct fr_reply reply;
	struct fr_result r;
	struct fr_task task;
	struct fr_task_id id;
	struct room t;
	uint32_t i;

	(void)state;
	open_room(&t, &small_arena);
	submitted(t.boss, 1);
	take(t.worker, 1, &task, &reply);
	change_boss(&t);
	/* The cell in work is not the new one's yet. */
	assert_rc(fr_outstanding(t.boss), 0);
	for (i = 0; i < CELLS - 1; i++)
		submitted(t.boss, 100 + i);
	assert_rc(submit(t.boss, 200, &id), -EAGAIN);
	assert_int_equal(number(task.arg), 1);
	complete(t.worker, &task, &reply, 0);
	assert_rc(fr_collect(t.boss, 0, &r), -EAGAIN); /* no result of it */
	submitted(t.boss, 200);
	for (i = 0; i < CELLS - 1; i++)
		work(t.worker, 100 + i);
	work(t.worker, 200);
	for (i = 0; i < CELLS; i++) {
		assert_rc(fr_collect(t.boss, 0, &r), 0);
		assert_true(~number(r.data) >= 100);
		fr_result_release(t.boss, &r);
	}
	assert_rc(fr_collect(t.boss, FR_FOREVER, &r), -ENODATA);
	all_cells_work(t.boss, t.worker, CELLS);
	close_room(&t);
}

/* A worker that has finished a task and told, and not looked yet whether its
 * submitter is still there. */
static void a_result_of_the_last_holder_is_not_taken_for_an_own_one(void **state)
{
	struct fr_reply reply;
	struct fr_result r;
	struct fr_task task;
	struct fr__cell *c;
	uint64_t taken;
	uint32_t cell;
	struct room t;

	(void)state;
	open_room(&t, &small_arena);
	cell = (uint32_t)submitted(t.boss, 1).id;
	take(t.worker, 1, &task, &reply);
	change_boss(&t);
	submitted(t.boss, 2);
	c = fr__arena_cell(fr_process_arena(t.boss), cell);
	taken = fr__load_sc(&c->state);
	fr__store_sc(&c->state,
		     (taken & ~(UINT64_C(0xf) << 20)) |
			     (uint64_t)FR__CELL_DONE << 20 | FR_TASK_DONE);
	fr__or_sc(fr__done(fr_process_arena(t.boss),
			   fr__slot_of_cell(fr_process_arena(t.boss), cell)),
		  UINT64_C(1) << (cell - t.boss->first_cell));
	assert_rc(fr_collect(t.boss, 0, &r), -EAGAIN);
	assert_rc(fr_outstanding(t.boss), 1);
	fr__store_sc(&c->state, taken);
	complete(t.worker, &task, &reply, 0);
	work(t.worker, 2);
	assert_rc(fr_collect(t.boss, 0, &r), 0);
	assert_int_equal(number(r.data), ~2u);
	fr_result_release(t.boss, &r);
	all_cells_work(t.boss, t.worker, CELLS);
	close_room(&t);
}

static void finished_and_held_results_go_with_their_submitter(void **state)
{
	struct fr_result r;
	struct room t;

	(void)state;
	open_room(&t, &small_arena);
	submitted(t.boss, 1);
	submitted(t.boss, 2);
	submitted(t.boss, 3);
	work(t.worker, 1);
	work(t.worker, 2);
	assert_rc(fr_collect(t.boss, 0, &r), 0); /* and never released */
	change_boss(&t);
	assert_rc(fr_collect(t.boss, FR_FOREVER, &r), -ENODATA);
	all_cells_work(t.boss, t.worker, CELLS);
	close_room(&t);
}

static void a_worker_that_leaves_gives_its_task_a_result(void **state)
{
	struct fr_reply reply;
	struct fr_result r;
	struct fr_task task;
	struct fr_task_id id;
	struct room t;

	(void)state;
	open_room(&t, &small_arena);
	id = submitted(t.boss, 1);
	take(t.worker, 1, &task, &reply);
	fr_leave(t.worker);
	assert_rc(fr_collect(t.boss, FR_FOREVER, &r), 0);
	assert_true(r.id.id == id.id);
	assert_int_equal(r.status, FR_TASK_FAILED);
	assert_int_equal(r.value, -ECANCELED);
	fr_result_release(t.boss, &r);
	t.worker = join(t.arena, FR_WAIT_ADAPTIVE);
	all_cells_work(t.boss, t.worker, CELLS);
	close_room(&t);
}

/* ---- who sleeps ---- */

struct sleeper {
	struct fr_arena *arena;
	struct {
		struct fr_addr who[2];
		uint32_t here; /* have joined */
		uint32_t took; /* have a task in hand */
	} *page;
	uint32_t wanted; /* tasks in hand before one is completed */
};

static int take_one(void *ctx)
{
	struct sleeper *s = ctx;
	struct fr_process *self = join_in_child(s->arena, FR_WAIT_SLEEP);
	struct fr_reply reply;
	struct fr_task task;

	s->page->who[__atomic_fetch_add(&s->page->here, 1, __ATOMIC_SEQ_CST)] =
		fr_self(self);
	CHECK_RC(fr_take(self, FR_FOREVER, &task, &reply), 0);
	advance(&s->page->took);
	await(&s->page->took, s->wanted);
	memcpy(reply.data, task.arg, task.len);
	reply.len = task.len;
	CHECK_RC(fr_complete(self, 0, &reply), 0);
	fr_leave(self);
	return 0;
}

static void a_submit_wakes_a_sleeping_worker(void **state)
{
	struct fr_process *boss;
	struct fr_result r;
	struct sleeper s = {.wanted = 1};
	pid_t child;

	(void)state;
	assert_rc(fr_arena_create(NULL, &small_arena, &s.arena), 0);
	boss = join(s.arena, FR_WAIT_SLEEP);
	s.page = shared(sizeof(*s.page));
	child = spawn(take_one, &s);
	AWAIT(reached(&s.page->here) == 1 &&
	      sleeps_for(s.arena, s.page->who[0], FR__MARK_TASK));
	submitted(boss, 77);
	assert_rc(fr_collect(boss, FR_FOREVER, &r), 0);
	assert_int_equal(number(r.data), 77);
	fr_result_release(boss, &r);
	wait_ok(child);
	fr_leave(boss);
	fr_arena_detach(s.arena);
}

static void two_tasks_go_to_two_sleeping_workers(void **state)
{
	struct fr_process *boss;
	struct fr_result r;
	struct sleeper s = {.wanted = 2}; /* neither is done before both are */
	pid_t children[2];
	unsigned i;

	(void)state;
	assert_rc(fr_arena_create(NULL, &small_arena, &s.arena), 0);
	boss = join(s.arena, FR_WAIT_SLEEP);
	s.page = shared(sizeof(*s.page));
	for (i = 0; i < 2; i++)
		children[i] = spawn(take_one, &s);
	AWAIT(reached(&s.page->here) == 2 &&
	      sleeps_for(s.arena, s.page->who[0], FR__MARK_TASK) &&
	      sleeps_for(s.arena, s.page->who[1], FR__MARK_TASK));
	submitted(boss, 0);
	submitted(boss, 1);
	for (i = 0; i < 2; i++) {
		assert_rc(fr_collect(boss, FR_FOREVER, &r), 0);
		fr_result_release(boss, &r);
	}
	wait_ok(children[0]);
	wait_ok(children[1]);
	fr_leave(boss);
	fr_arena_detach(s.arena);
}

/* Submits one, says so, and sleeps for its result. */
static int wait_for_result(void *ctx)
{
	struct sleeper *s = ctx;
	struct fr_process *self = join_in_child(s->arena, FR_WAIT_SLEEP);
	struct fr_task_id id;
	struct fr_result r;

	CHECK_RC(submit(self, 5, &id), 0);
	s->page->who[0] = fr_self(self);
	advance(&s->page->here);
	CHECK_RC(fr_collect(self, FR_FOREVER, &r), 0);
	CHECK(r.id.id == id.id && r.status == FR_TASK_DONE);
	CHECK(number(r.data) == ~UINT32_C(5));
	fr_result_release(self, &r);
	fr_leave(self);
	return 0;
}

static void a_completion_wakes_a_sleeping_submitter(void **state)
{
	struct fr_process *worker;
	struct sleeper s;
	pid_t child;

	(void)state;
	assert_rc(fr_arena_create(NULL, &small_arena, &s.arena), 0);
	worker = join(s.arena, FR_WAIT_SLEEP);
	s.page = shared(sizeof(*s.page));
	child = spawn(wait_for_result, &s);
	await(&s.page->here, 1);
	AWAIT(sleeps_for(s.arena, s.page->who[0], FR__MARK_RESULT));
	work(worker, 5);
	wait_ok(child);
	fr_leave(worker);
	fr_arena_detach(s.arena);
}

static void stop(pid_t pid)
{
	int status;

	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
}

static void a_worker_woken_for_a_cancelled_task_sleeps_on(void **state)
{
	struct fr_process *boss;
	struct fr_result r;
	struct fr_task_id id;
	struct sleeper s = {.wanted = 1};
	pid_t child;

	(void)state;
	assert_rc(fr_arena_create(NULL, &small_arena, &s.arena), 0);
	boss = join(s.arena, FR_WAIT_SLEEP);
	s.page = shared(sizeof(*s.page));
	child = spawn(take_one, &s);
	AWAIT(reached(&s.page->here) == 1 &&
	      sleeps_for(s.arena, s.page->who[0], FR__MARK_TASK));
	stop(child);
	id = submitted(boss, 5); /* rings */
	assert_false(sleeps_for(s.arena, s.page->who[0], FR__MARK_TASK));
	assert_rc(fr_task_cancel(boss, id), 0);
	collect(boss, id, FR_TASK_CANCELLED);
	kill(child, SIGCONT);
	AWAIT(sleeps_for(s.arena, s.page->who[0], FR__MARK_TASK));
	assert_int_equal(reached(&s.page->took), 0);
	submitted(boss, 77);
	assert_rc(fr_collect(boss, FR_FOREVER, &r), 0);
	assert_int_equal(number(r.data), 77);
	fr_result_release(boss, &r);
	wait_ok(child);
	fr_leave(boss);
	fr_arena_detach(s.arena);
}

static void a_task_whose_wake_up_went_to_a_stopped_worker_is_done(void **state)
{
	struct fr_process *boss;
	struct sleeper s = {.wanted = 1};
	struct fr_result r;
	pid_t children[2];
	unsigned i;

	(void)state;
	assert_rc(fr_arena_create(NULL, &small_arena, &s.arena), 0);
	boss = join(s.arena, FR_WAIT_SLEEP);
	s.page = shared(sizeof(*s.page));
	for (i = 0; i < 2; i++) {
		children[i] = spawn(take_one, &s);
		AWAIT(reached(&s.page->here) == i + 1 &&
		      sleeps_for(s.arena, s.page->who[i], FR__MARK_TASK));
	}
	stop(children[0]);
	submitted(boss, 1);
	/* Of the idle ones the lowest slot is chosen. */
	assert_false(sleeps_for(s.arena, s.page->who[0], FR__MARK_TASK));
	assert_rc(fr_collect(boss, FR_FOREVER, &r), 0);
	assert_true(r.worker.id == s.page->who[1].id);
	fr_result_release(boss, &r);
	kill(children[0], SIGCONT);
	submitted(boss, 2);
	assert_rc(fr_collect(boss, FR_FOREVER, &r), 0);
	fr_result_release(boss, &r);
	wait_ok(children[0]);
	wait_ok(children[1]);
	fr_leave(boss);
	fr_arena_detach(s.arena);
}

/* ---- many at once ---- */

#define CROWD 8u
#define EACH 400u

struct crowd {
	struct fr_arena *arena;
	enum fr_wait_mode wait;
	uint32_t number; /* of a submitter */
	struct {
		uint32_t runs[CROWD][EACH]; /* of each task */
		struct fr_addr worker[CROWD];
		uint32_t here; /* workers that have joined */
	} *page;
};

struct crowd_task {
	uint32_t submitter, task;
	uint32_t sum;
};

static int run_crowd_task(void *ctx, const struct fr_task *task,
			  struct fr_reply *reply)
{
	struct crowd *c = ctx;
	struct crowd_task a;

	CHECK(task->len == sizeof(a));
	memcpy(&a, task->arg, sizeof(a));
	CHECK(a.submitter < CROWD && a.task < EACH);
	advance(&c->page->runs[a.submitter][a.task]);
	a.sum = a.submitter * 1000003 + a.task;
	memcpy(reply->data, &a, sizeof(a));
	reply->len = sizeof(a);
	return a.task % 3 ? (int)a.task : -(int)a.task - 1;
}

static int crowd_worker(void *ctx)
{
	struct crowd *c = ctx;
	struct fr_task_run tasks = {run_crowd_task, c};
	struct fr_process *self = join_in_child(c->arena, c->wait);

	c->page->worker[__atomic_fetch_add(&c->page->here, 1,
					   __ATOMIC_SEQ_CST)] = fr_self(self);
	CHECK_RC(fr_run(self, &(struct fr_run_opts){.tasks = &tasks}), 0);
	fr_leave(self);
	return 0;
}

/* Collect one result and check that it is an own task's, for the first time. */
static int crowd_collect(struct crowd *c, struct fr_process *self,
			 struct fr_task_id *ids)
{
	struct crowd_task a;
	struct fr_result r;
	int rc = fr_collect(self, FR_FOREVER, &r);

	if (rc < 0)
		return rc;
	CHECK(r.len == sizeof(a));
	memcpy(&a, r.data, sizeof(a));
	CHECK(a.submitter == c->number && a.task < EACH);
	CHECK(a.sum == a.submitter * 1000003 + a.task);
	CHECK(r.kind == a.task);
	CHECK(r.status == (a.task % 3 ? FR_TASK_DONE : FR_TASK_FAILED));
	CHECK(r.value == (a.task % 3 ? (int)a.task : -(int)a.task - 1));
	CHECK(ids[a.task].id == r.id.id);
	ids[a.task].id = 0;
	fr_result_release(self, &r);
	return 0;
}

static int crowd_submitter(void *ctx)
{
	struct crowd *c = ctx;
	struct fr_process *self = join_in_child(c->arena, c->wait);
	struct fr_task_id ids[EACH];
	uint32_t i;
	int rc;

	for (i = 0; i < EACH; i++) {
		struct crowd_task a = {c->number, i, 0};
		struct fr_task task = {.arg = &a, .len = sizeof(a), .kind = i};

		while ((rc = fr_submit(self, &task, &ids[i])) == -EAGAIN)
			CHECK_RC(crowd_collect(c, self, ids), 0);
		CHECK_RC(rc, 0);
	}
	do
		rc = crowd_collect(c, self, ids);
	while (rc == 0);
	CHECK_RC(rc, -ENODATA);
	for (i = 0; i < EACH; i++)
		CHECK(ids[i].id == 0);
	fr_leave(self);
	return 0;
}

static void many_submitters_and_workers(enum fr_wait_mode wait)
{
	struct fr_arena_opts opts = small_arena;
	pid_t submitters[CROWD], workers[CROWD];
	struct crowd c = {.wait = wait};
	struct fr_process *self;
	uint32_t i, k;

	opts.slots = 2 * CROWD + 1;
	assert_rc(fr_arena_create(NULL, &opts, &c.arena), 0);
	self = join(c.arena, FR_WAIT_ADAPTIVE);
	c.page = shared(sizeof(*c.page));
	for (i = 0; i < CROWD; i++) {
		c.number = i;
		workers[i] = spawn(crowd_worker, &c);
		submitters[i] = spawn(crowd_submitter, &c);
	}
	for (i = 0; i < CROWD; i++)
		wait_ok(submitters[i]);
	await(&c.page->here, CROWD);
	for (i = 0; i < CROWD; i++) {
		AWAIT(c.page->worker[i].id != 0);
		assert_rc(fr_send_exit(self, c.page->worker[i], FR_FOREVER), 0);
	}
	for (i = 0; i < CROWD; i++)
		wait_ok(workers[i]);
	for (i = 0; i < CROWD; i++)
		for (k = 0; k < EACH; k++)
			assert_int_equal(c.page->runs[i][k], 1);
	fr_leave(self);
	fr_arena_detach(c.arena);
}

static void many_submitters_and_workers_that_adapt_lose_nothing(void **state)
{
	(void)state;
	many_submitters_and_workers(FR_WAIT_ADAPTIVE);
}

static void many_submitters_and_workers_that_sleep_lose_nothing(void **state)
{
	(void)state;
	many_submitters_and_workers(FR_WAIT_SLEEP);
}

/* ---- threads of one process ---- */

#define THREADS 4u
#define OF_EACH_THREAD 1000u

struct threads {
	struct fr_arena *arena;
	struct fr_process *boss, *worker;
	uint32_t results[THREADS * OF_EACH_THREAD]; /* of each task */
	uint32_t submitted, collected, gone;
	struct fr_result held; /* of the one that got it */
	uint32_t got, ended;
};

/* A result, whose ever it is. */
static int collect_any(struct threads *t, int64_t wait_ns)
{
	struct fr_result r;
	uint32_t n;
	int rc = fr_collect(t->boss, wait_ns, &r);

	if (rc < 0)
		return rc;
	CHECK(r.status == FR_TASK_DONE && r.len == sizeof(n));
	n = ~number(r.data);
	CHECK(n < THREADS * OF_EACH_THREAD);
	CHECK(__atomic_add_fetch(&t->results[n], 1, __ATOMIC_SEQ_CST) == 1);
	fr_result_release(t->boss, &r);
	advance(&t->collected);
	return 0;
}

static void *submit_and_collect(void *ctx)
{
	struct threads *t = ctx;
	struct fr_task_id id;
	uint32_t i;
	int rc;

	for (i = 0; i < OF_EACH_THREAD; i++) {
		uint32_t n = __atomic_fetch_add(&t->submitted, 1,
						__ATOMIC_SEQ_CST);

		while ((rc = submit(t->boss, n, &id)) == -EAGAIN) {
			rc = collect_any(t, 0);
			CHECK(rc == 0 || rc == -EAGAIN || rc == -ENODATA);
			if (rc < 0)
				test_yield();
		}
		CHECK_RC(rc, 0);
	}
	/* Each collects until all are there, whoever gets them. */
	while (reached(&t->collected) < THREADS * OF_EACH_THREAD) {
		rc = collect_any(t, 0);
		CHECK(rc == 0 || rc == -EAGAIN || rc == -ENODATA);
		if (rc < 0)
			test_yield();
	}
	return NULL;
}

static void *work_for_threads(void *ctx)
{
	struct threads *t = ctx;
	struct fr_reply reply;
	struct fr_task task;
	uint32_t i, n;

	for (i = 0; i < THREADS * OF_EACH_THREAD; i++) {
		CHECK_RC(fr_take(t->worker, FR_FOREVER, &task, &reply), 0);
		n = ~number(task.arg);
		memcpy(reply.data, &n, sizeof(n));
		reply.len = sizeof(n);
		CHECK_RC(fr_complete(t->worker, 0, &reply), 0);
	}
	return NULL;
}

static void join_both(struct threads *t, enum fr_wait_mode wait)
{
	CHECK_RC(fr_arena_create(NULL, &small_arena, &t->arena), 0);
	t->boss = join_in_child(t->arena, wait);
	t->worker = join_in_child(t->arena, wait);
}

static int leave_both(struct threads *t)
{
	fr_leave(t->boss);
	fr_leave(t->worker);
	fr_arena_detach(t->arena);
	return 0;
}

static int run_threads(void *ctx)
{
	static struct threads t;
	pthread_t threads[THREADS], worker;
	uint32_t i;

	(void)ctx;
	join_both(&t, FR_WAIT_ADAPTIVE);
	CHECK(pthread_create(&worker, NULL, work_for_threads, &t) == 0);
	for (i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, submit_and_collect,
				     &t) == 0);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_join(worker, NULL);
	for (i = 0; i < THREADS * OF_EACH_THREAD; i++)
		CHECK(t.results[i] == 1);
	CHECK_RC(fr_outstanding(t.boss), 0);
	return leave_both(&t);
}

static void threads_of_a_process_submit_and_collect_at_once(void **state)
{
	(void)state;
	wait_ok(spawn(run_threads, NULL));
}

/* Collect until there is nothing, as in any program's loop. */
static void *collect_all(void *ctx)
{
	struct threads *t = ctx;
	int rc;

	do
		rc = collect_any(t, FR_FOREVER);
	while (rc == 0);
	CHECK_RC(rc, -ENODATA);
	return NULL;
}

static int run_collectors(void *ctx)
{
	static struct threads t;
	pthread_t threads[THREADS];
	struct fr_reply reply;
	struct fr_task task;
	struct fr_task_id id;
	unsigned round;
	uint32_t i, n;

	(void)ctx;
	join_both(&t, FR_WAIT_SLEEP);
	for (round = 0; round < 50; round++) {
		memset(t.results, 0, sizeof(t.results));
		for (i = 0; i < CELLS; i++)
			CHECK_RC(submit(t.boss, i, &id), 0);
		for (i = 0; i < THREADS; i++)
			CHECK(pthread_create(&threads[i], NULL, collect_all,
					     &t) == 0);
		for (i = 0; i < CELLS; i++) {
			CHECK_RC(fr_take(t.worker, 0, &task, &reply), 0);
			n = ~number(task.arg);
			memcpy(reply.data, &n, sizeof(n));
			reply.len = sizeof(n);
			CHECK_RC(fr_complete(t.worker, 0, &reply), 0);
		}
		for (i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		for (i = 0; i < CELLS; i++)
			CHECK(t.results[i] == 1);
	}
	return leave_both(&t);
}

static void threads_that_collect_all_end_with_the_last_result(void **state)
{
	(void)state;
	wait_ok(spawn(run_collectors, NULL));
}

/* Of the two that wait for one result, one gets it; the other sleeps on. */
static void *collect_and_hold(void *ctx)
{
	struct threads *t = ctx;
	struct fr_result r;
	int rc = fr_collect(t->boss, FR_FOREVER, &r);

	if (rc == 0) {
		t->held = r;
		advance(&t->got);
		return NULL;
	}
	CHECK_RC(rc, -ENODATA);
	advance(&t->ended);
	return NULL;
}

static int run_hold(void *ctx)
{
	static struct threads t;
	pthread_t threads[2];
	struct fr_reply reply;
	struct fr_task task;
	struct fr_task_id id;
	unsigned i;

	(void)ctx;
	join_both(&t, FR_WAIT_SLEEP);
	CHECK_RC(submit(t.boss, 1, &id), 0);
	for (i = 0; i < 2; i++)
		CHECK(pthread_create(&threads[i], NULL, collect_and_hold,
				     &t) == 0);
	AWAIT(sleeps_for(t.arena, fr_self(t.boss), FR__MARK_RESULT));
	CHECK_RC(fr_take(t.worker, 0, &task, &reply), 0);
	CHECK_RC(fr_complete(t.worker, 0, &reply), 0);
	await(&t.got, 1);
	AWAIT(sleeps_for(t.arena, fr_self(t.boss), FR__MARK_RESULT));
	CHECK(reached(&t.ended) == 0); /* held: still outstanding */
	fr_result_release(t.boss, &t.held);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CHECK(reached(&t.ended) == 1);
	return leave_both(&t);
}

static void releasing_the_last_result_ends_who_still_waits_for_one(void **state)
{
	(void)state;
	wait_ok(spawn(run_hold, NULL));
}

/* ---- in fr_run ---- */

static int fail_or_overflow(void *ctx, const struct fr_task *task,
			    struct fr_reply *reply)
{
	(void)ctx;
	reply->len = number(task->arg) ? reply->max + 1 : 0;
	return number(task->arg) ? 0 : -EIO;
}

static void a_run_goes_on_after_tasks_that_fail(void **state)
{
	struct fr_task_run tasks = {fail_or_overflow, NULL};
	struct fr_result r;
	struct room t;

	(void)state;
	open_room(&t, &small_arena);
	submitted(t.boss, 0);
	submitted(t.boss, 1);
	/* It ends only once it has nothing to do. */
	assert_rc(fr_run(t.worker, &(struct fr_run_opts){
		.tasks = &tasks, .limit_ns = 5 * MS}), 0);
	assert_rc(fr_collect(t.boss, 0, &r), 0);
	assert_int_equal(r.status, FR_TASK_FAILED);
	assert_int_equal(r.value, -EIO);
	fr_result_release(t.boss, &r);
	assert_rc(fr_collect(t.boss, 0, &r), 0);
	assert_int_equal(r.status, FR_TASK_FAILED);
	assert_int_equal(r.value, -EMSGSIZE); /* it wrote more than max */
	assert_int_equal(r.len, 0);
	fr_result_release(t.boss, &r);
	close_room(&t);
}

struct both {
	struct fr_arena *arena;
	struct fr_addr worker;
	struct {
		uint32_t here, tasks, mails;
	} *page;
};

static int count_task(void *ctx, const struct fr_task *task,
		      struct fr_reply *reply)
{
	struct both *b = ctx;

	(void)task;
	(void)reply;
	advance(&b->page->tasks);
	return 0;
}

static int count_mail(void *ctx, struct fr_process *p, struct fr_message *m)
{
	struct both *b = ctx;

	(void)p;
	(void)m;
	advance(&b->page->mails);
	return FR_CONTINUE;
}

static int run_both(void *ctx)
{
	struct both *b = ctx;
	struct fr_task_run tasks = {count_task, b};
	struct fr_join_opts opts = {.wait = FR_WAIT_SLEEP,
				    .reserved = b->worker};
	struct fr_process *self;

	CHECK_RC(fr_join(b->arena, &opts, &self), 0);
	CHECK_RC(fr_handle(self, (struct fr_type){0}, count_mail, b), 0);
	advance(&b->page->here);
	CHECK_RC(fr_run(self, &(struct fr_run_opts){.tasks = &tasks}), 0);
	fr_leave(self);
	return 0;
}

static void a_run_does_tasks_and_delivers_mail(void **state)
{
	struct fr_process *boss;
	struct fr_result r;
	struct both b;
	pid_t child;
	uint32_t i;

	(void)state;
	assert_rc(fr_arena_create(NULL, &small_arena, &b.arena), 0);
	boss = join(b.arena, FR_WAIT_SLEEP);
	assert_rc(fr_reserve(boss, &b.worker), 0);
	b.page = shared(sizeof(*b.page));
	child = spawn(run_both, &b);
	await(&b.page->here, 1);
	/* One that sleeps for both is woken by either. */
	for (i = 0; i < 200; i++) {
		if (i % 50 == 0)
			AWAIT(sleeps_for(b.arena, b.worker, FR__MARK_TASK) &&
			      sleeps_for(b.arena, b.worker, FR__MARK_MAIL));
		if (i % 2 || i % 100 == 0) {
			submitted(boss, i);
			assert_rc(fr_collect(boss, FR_FOREVER, &r), 0);
			fr_result_release(boss, &r);
		}
		if (i % 3 || i % 100 == 50)
			assert_rc(fr_send(boss, b.worker, (struct fr_type){0},
					  "", 0, FR_FOREVER), 0);
	}
	assert_rc(fr_send_exit(boss, b.worker, FR_FOREVER), 0);
	wait_ok(child);
	assert_int_equal(reached(&b.page->tasks), 102);
	assert_int_equal(reached(&b.page->mails), 134);
	fr_leave(boss);
	fr_arena_detach(b.arena);
}

/* ---- laps about to end ---- */

static void rounds_from(uint64_t start)
{
	struct fr_arena_opts opts = small_arena;
	struct room t;
	unsigned i;

	opts.start_position = start;
	open_room(&t, &opts);
	for (i = 0; i < 50; i++) /* 8 tasks each, a lap has 128 words */
		all_cells_work(t.boss, t.worker, CELLS);
	close_room(&t);
}

static void the_queue_starts_anywhere_in_a_lap(void **state)
{
	uint64_t start;

	(void)state;
	for (start = 0; start <= 300; start += 7)
		rounds_from(start);
}

static void a_lap_number_of_23_bits_wraps(void **state)
{
	uint64_t border = (UINT64_C(1) << 23) * 128, back;

	(void)state;
	for (back = 1; back <= 400; back += 57)
		rounds_from(border - back);
	rounds_from((UINT64_C(1) << 32) * 128 - 200);
	rounds_from((UINT64_C(1) << 63) - 200);
}

static void a_position_of_64_bits_wraps(void **state)
{
	uint64_t back;

	(void)state;
	for (back = 1; back <= 400; back += 57)
		rounds_from(-back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_task_goes_from_submit_to_release),
		TEST(a_process_works_for_itself),
		TEST(tasks_are_taken_in_the_order_of_their_submission),
		TEST(an_argument_and_a_result_arrive_whole_at_any_length),
		TEST(a_result_stands_apart_from_its_argument),
		TEST(a_damaged_length_costs_its_task_and_no_cell),
		TEST(what_was_taken_from_a_worker_it_does_not_finish),
		TEST(who_attaches_goes_on_where_the_ring_is),
		TEST(an_argument_over_the_largest_is_refused),
		TEST(ids_are_unique),
		TEST(kind_attempt_and_addresses_go_along),
		TEST(a_workers_error_is_a_result),
		TEST(results_come_as_they_are_finished),
		TEST(cells_bound_what_is_outstanding),
		TEST(the_first_to_join_may_have_more_cells),
		TEST(a_result_is_released_once),
		TEST(held_results_stay_as_they_are),
		TEST(collecting_with_nothing_outstanding_says_so),
		TEST(waiting_for_a_result_or_a_task_ends_with_its_time),
		TEST(a_worker_that_has_napped_in_vain_is_woken),
		TEST(a_worker_stopped_in_its_nap_keeps_no_other_asleep),
		TEST(who_takes_the_last_task_tells_a_lazy_collector),
		TEST(a_worker_has_one_task_in_hand),
		TEST(completing_without_a_task_is_refused),
		TEST(a_reply_that_is_too_long_is_refused),
		TEST(a_forked_child_is_not_the_process_that_joined),
		TEST(a_queued_task_is_cancelled_and_never_taken),
		TEST(a_cell_used_again_is_not_mixed_up_with_its_cancelled_task),
		TEST(a_task_that_is_taken_or_done_is_not_cancelled),
		TEST(only_an_own_outstanding_task_is_cancelled),
		TEST(cancelled_tasks_do_not_use_the_queue_up),
		TEST(tasks_of_those_who_left_do_not_use_the_queue_up),
		TEST(queued_tasks_go_with_their_submitter),
		TEST(a_task_in_work_outlives_its_submitter),
		TEST(a_result_of_the_last_holder_is_not_taken_for_an_own_one),
		TEST(finished_and_held_results_go_with_their_submitter),
		TEST(a_worker_that_leaves_gives_its_task_a_result),
		TEST(a_submit_wakes_a_sleeping_worker),
		TEST(two_tasks_go_to_two_sleeping_workers),
		TEST(a_completion_wakes_a_sleeping_submitter),
		TEST(a_worker_woken_for_a_cancelled_task_sleeps_on),
		TEST(a_task_whose_wake_up_went_to_a_stopped_worker_is_done),
		TEST(many_submitters_and_workers_that_adapt_lose_nothing),
		TEST(many_submitters_and_workers_that_sleep_lose_nothing),
		TEST(threads_of_a_process_submit_and_collect_at_once),
		TEST(threads_that_collect_all_end_with_the_last_result),
		TEST(releasing_the_last_result_ends_who_still_waits_for_one),
		TEST(a_run_goes_on_after_tasks_that_fail),
		TEST(a_run_does_tasks_and_delivers_mail),
		TEST(the_queue_starts_anywhere_in_a_lap),
		TEST(a_lap_number_of_23_bits_wraps),
		TEST(a_position_of_64_bits_wraps),
	};

	return cmocka_run_group_tests_name("task", tests, NULL, NULL);
}
