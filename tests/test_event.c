/* SPDX-License-Identifier: MIT */
/*
 * Events: reserved, set, waited for and given back, by one process and between
 * several; posts that are counted; the scope macro.
 *
 * Sleepers look by themselves once a second, so a wake-up that is lost shows as
 * a delay only. The tests of wake-ups repeat each a hundred times: if it is lost
 * every time the watchdog ends them.
 */
#include "harness.h"

#include "process.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT 4 /* events of the group that most tests use */
#define SLEEPERS 4
#define ROUNDS 100

static const struct fr_event none;

/* ---- helpers ---- */

struct place {
	struct fr_arena *arena;
	struct fr_process *p;
	struct fr_event_group *group;
};

static struct place open_place(void)
{
	struct place at;

	assert_rc(fr_arena_create(NULL, &small_arena, &at.arena), 0);
	assert_rc(fr_join(at.arena, NULL, &at.p), 0);
	assert_rc(fr_event_group_create(at.arena, COUNT, &at.group), 0);
	return at;
}

static void close_place(struct place *at)
{
	fr_event_group_free(at->group);
	fr_leave(at->p);
	fr_arena_detach(at->arena);
}

static struct fr_process *join(struct fr_arena *a, int wait)
{
	struct fr_process *p;

	assert_rc(fr_join(a, &(struct fr_join_opts){.wait = wait}, &p), 0);
	return p;
}

static struct fr_event reserve(struct place *at)
{
	struct fr_event e;

	assert_rc(fr_event_reserve(at->p, at->group, &e), 0);
	return e;
}

/* Does that process sleep, whatever for? */
static bool sleeps(pid_t pid)
{
	char path[64], text[512], *end;
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	end = strrchr(text, ')');
	return end && end[1] == ' ' && end[2] == 'S';
}

/* Is somebody about to sleep for that event, or asleep? */
static bool marked(struct fr_arena *a, struct fr_event e)
{
	return fr__load_acquire(&a->events[e.id & 0xffff].waiting) &
	       FR__MARK_EVENT;
}

static void unmark(struct fr_arena *a, struct fr_event e)
{
	fr__and_relaxed(&a->events[e.id & 0xffff].waiting, ~FR__MARK_EVENT);
}

/* What children are told of, in shared memory. */
struct talk {
	struct fr_arena *arena;
	struct fr_event_group *group;
	struct fr_event event, second;
	uint32_t begun, round, ended;
	int expected;
	int flags;
	bool take;
	uint32_t taken;
};

static struct talk *talk_of(const struct place *at)
{
	struct talk *t = shared(sizeof(*t));

	t->arena = at->arena;
	t->group = at->group;
	return t;
}

static struct fr_process *child_joins(struct fr_arena *a, int wait)
{
	struct fr_process *p;

	CHECK_RC(fr_join(a, &(struct fr_join_opts){.wait = wait}, &p), 0);
	return p;
}

/* ---- one process ---- */

static void a_reserved_event_is_not_set(void **state)
{
	struct place at = open_place();
	struct fr_event e = reserve(&at);

	(void)state;
	assert_int_not_equal(e.id, 0);
	assert_rc(fr_event_wait(at.p, e, 0), -EAGAIN);
	assert_rc(fr_event_release(at.p, e), 0);
	close_place(&at);
}

static void a_set_event_lets_through(void **state)
{
	struct place at = open_place();
	struct fr_event e = reserve(&at);

	(void)state;
	assert_rc(fr_event_set(at.p, e), 0);
	assert_rc(fr_event_wait(at.p, e, 0), 0);
	assert_rc(fr_event_release(at.p, e), 0);
	close_place(&at);
}

static void it_stays_set_until_it_is_cleared(void **state)
{
	struct place at = open_place();
	struct fr_event e = reserve(&at);
	unsigned i;

	(void)state;
	assert_rc(fr_event_set(at.p, e), 0);
	for (i = 0; i < 5; i++)
		assert_rc(fr_event_wait(at.p, e, FR_FOREVER), 0);
	assert_rc(fr_event_clear(at.p, e), 0);
	assert_rc(fr_event_wait(at.p, e, 0), -EAGAIN);
	assert_rc(fr_event_set(at.p, e), 0);
	assert_rc(fr_event_wait(at.p, e, 0), 0);
	assert_rc(fr_event_release(at.p, e), 0);
	close_place(&at);
}

static void setting_what_is_set_does_nothing(void **state)
{
	struct place at = open_place();
	struct fr_event e = reserve(&at);

	(void)state;
	assert_rc(fr_event_set(at.p, e), 0);
	assert_rc(fr_event_set(at.p, e), 0);
	assert_rc(fr_event_clear(at.p, e), 0);
	assert_rc(fr_event_wait(at.p, e, 0), -EAGAIN);
	assert_rc(fr_event_clear(at.p, e), 0);
	assert_rc(fr_event_release(at.p, e), 0);
	close_place(&at);
}

static void each_event_is_set_by_itself(void **state)
{
	struct place at = open_place();
	struct fr_event e = reserve(&at), f = reserve(&at);

	(void)state;
	assert_int_not_equal(e.id, f.id);
	assert_rc(fr_event_set(at.p, f), 0);
	assert_rc(fr_event_wait(at.p, e, 0), -EAGAIN);
	assert_rc(fr_event_wait(at.p, f, 0), 0);
	assert_rc(fr_event_release(at.p, e), 0);
	assert_rc(fr_event_release(at.p, f), 0);
	close_place(&at);
}

static void a_group_lends_as_many_as_it_has(void **state)
{
	struct place at = open_place();
	struct fr_event e[COUNT], more = {42};
	unsigned i;

	(void)state;
	for (i = 0; i < COUNT; i++)
		e[i] = reserve(&at);
	assert_rc(fr_event_reserve(at.p, at.group, &more), -ENOSPC);
	assert_int_equal(more.id, 42);
	assert_rc(fr_event_release(at.p, e[2]), 0);
	assert_rc(fr_event_reserve(at.p, at.group, &more), 0);
	assert_rc(fr_event_release(at.p, more), 0);
	close_place(&at);
}

static void assert_stale(struct fr_process *p, struct fr_event e)
{
	assert_rc(fr_event_set(p, e), -ESTALE);
	assert_rc(fr_event_clear(p, e), -ESTALE);
	assert_rc(fr_event_wait(p, e, 0), -ESTALE);
	assert_rc(fr_event_wait(p, e, FR_FOREVER), -ESTALE);
	assert_rc(fr_event_post(p, e), -ESTALE);
	assert_rc(fr_event_take(p, e, 0), -ESTALE);
	assert_rc(fr_event_take(p, e, FR_FOREVER), -ESTALE);
	assert_rc(fr_event_release(p, e), -ESTALE);
}

static void a_handle_is_stale_once_it_was_given_back(void **state)
{
	struct place at = open_place();
	struct fr_event e = reserve(&at);

	(void)state;
	assert_rc(fr_event_release(at.p, e), 0);
	assert_stale(at.p, e);
	close_place(&at);
}

static void a_stale_handle_does_nothing_to_the_next_holder(void **state)
{
	struct place at = open_place();
	struct fr_event e[COUNT], old;
	unsigned i;

	(void)state;
	for (i = 0; i < COUNT; i++)
		e[i] = reserve(&at);
	old = e[1];
	assert_rc(fr_event_release(at.p, old), 0);
	e[1] = reserve(&at);
	assert_int_equal(fr_event_index(at.group, e[1]),
			 fr_event_index(at.group, old));
	assert_int_not_equal(e[1].id, old.id);
	assert_stale(at.p, old);
	assert_rc(fr_event_wait(at.p, e[1], 0), -EAGAIN);
	assert_rc(fr_event_take(at.p, e[1], 0), -EAGAIN);
	assert_rc(fr_event_release(at.p, e[1]), 0);
	close_place(&at);
}

static void the_next_holder_finds_it_unset_and_without_posts(void **state)
{
	struct place at = open_place();
	struct fr_event e;
	unsigned i;

	(void)state;
	for (i = 0; i < 2 * COUNT; i++) {
		e = reserve(&at);
		assert_rc(fr_event_wait(at.p, e, 0), -EAGAIN);
		assert_rc(fr_event_take(at.p, e, 0), -EAGAIN);
		assert_rc(fr_event_set(at.p, e), 0);
		assert_rc(fr_event_post(at.p, e), 0);
		assert_rc(fr_event_release(at.p, e), 0);
	}
	close_place(&at);
}

static void a_handle_that_was_never_given_is_stale(void **state)
{
	static const uint64_t ids[] = {
		1, 0xffff, 0x10000, 0x1ffff, UINT64_C(1) << 63, UINT64_MAX};
	struct place at = open_place();
	unsigned i;

	(void)state;
	assert_stale(at.p, none);
	for (i = 0; i < sizeof(ids) / sizeof(*ids); i++)
		assert_stale(at.p, (struct fr_event){ids[i]});
	close_place(&at);
}

static void a_handle_is_never_that_of_none(void **state)
{
	struct place at = open_place();
	struct fr_event e;

	(void)state;
	/* As if the first had been reserved 2^40 - 1 times. */
	fr__store_relaxed(&at.arena->events[0].truth, UINT64_MAX << 24);
	e = reserve(&at);
	assert_int_equal(fr_event_index(at.group, e), 0);
	assert_int_not_equal(e.id, 0);
	assert_stale(at.p, none);
	assert_rc(fr_event_set(at.p, e), 0);
	assert_rc(fr_event_release(at.p, e), 0);
	close_place(&at);
}

static void only_its_reserver_gives_an_event_back(void **state)
{
	struct place at = open_place();
	struct fr_process *q = join(at.arena, 0);
	struct fr_event e = reserve(&at);

	(void)state;
	assert_rc(fr_event_release(q, e), -ESTALE);
	assert_rc(fr_event_wait(q, e, 0), -EAGAIN);
	assert_rc(fr_event_release(at.p, e), 0);
	fr_leave(q);
	close_place(&at);
}

static void anybody_sets_clears_and_waits(void **state)
{
	struct place at = open_place();
	struct fr_process *q = join(at.arena, 0);
	struct fr_event e = reserve(&at);

	(void)state;
	assert_rc(fr_event_set(q, e), 0);
	assert_rc(fr_event_wait(at.p, e, 0), 0);
	assert_rc(fr_event_wait(q, e, 0), 0);
	assert_rc(fr_event_clear(q, e), 0);
	assert_rc(fr_event_wait(at.p, e, 0), -EAGAIN);
	assert_rc(fr_event_release(at.p, e), 0);
	fr_leave(q);
	close_place(&at);
}

static void who_leaves_gives_its_events_back(void **state)
{
	struct place at = open_place();
	struct fr_process *q = join(at.arena, 0);
	struct fr_event e[COUNT];
	unsigned i;

	(void)state;
	for (i = 0; i < COUNT; i++)
		assert_rc(fr_event_reserve(q, at.group, &e[i]), 0);
	fr_leave(q);
	for (i = 0; i < COUNT; i++)
		assert_stale(at.p, e[i]);
	for (i = 0; i < COUNT; i++)
		e[i] = reserve(&at);
	close_place(&at);
}

static void who_leaves_keeps_the_events_of_others(void **state)
{
	struct place at = open_place();
	struct fr_process *q = join(at.arena, 0);
	struct fr_event e = reserve(&at), f;

	(void)state;
	assert_rc(fr_event_reserve(q, at.group, &f), 0);
	assert_rc(fr_event_set(at.p, e), 0);
	fr_leave(q);
	assert_rc(fr_event_wait(at.p, e, 0), 0);
	assert_rc(fr_event_release(at.p, e), 0);
	close_place(&at);
}

static void the_last_of_4096_slots_may_own_one(void **state)
{
	const struct fr_arena_opts opts = {
		.slots = 4096,
		.mailbox_bytes = 4096,
		.cells = 1,
		.events = 2,
	};
	struct fr_event_group *group;
	struct fr_process *p, *q;
	struct fr_addr last = {0};
	struct fr_arena *a;
	struct fr_event e;

	(void)state;
	assert_rc(fr_arena_create(NULL, &opts, &a), 0);
	assert_rc(fr_event_group_create(a, 2, &group), 0);
	assert_rc(fr_join(a, NULL, &p), 0);
	while (fr_reserve(p, &last) == 0)
		;
	assert_int_equal(fr__addr_slot(last), 4095);
	assert_rc(fr_join(a, &(struct fr_join_opts){.reserved = last}, &q), 0);
	assert_rc(fr_event_reserve(q, group, &e), 0);
	assert_rc(fr_event_release(p, e), -ESTALE);
	assert_rc(fr_event_set(p, e), 0);
	fr_leave(q);
	assert_rc(fr_event_set(p, e), -ESTALE);
	fr_event_group_free(group);
	fr_leave(p);
	fr_arena_detach(a);
}

/* ---- groups and indices ---- */

static void a_group_of_none_is_refused(void **state)
{
	struct place at = open_place();
	struct fr_event_group *before = at.group, *group = before;

	(void)state;
	assert_rc(fr_event_group_create(at.arena, 0, &group), -EINVAL);
	assert_ptr_equal(group, before);
	close_place(&at);
}

static void a_group_takes_no_more_than_there_are(void **state)
{
	struct place at = open_place(); /* has 4 of 16 */
	struct fr_event_group *all, *more;

	(void)state;
	assert_rc(fr_event_group_create(at.arena, 13, &more), -ENOSPC);
	assert_rc(fr_event_group_create(at.arena, UINT32_MAX, &more), -ENOSPC);
	assert_rc(fr_event_group_create(at.arena, UINT32_MAX - 3, &more),
		  -ENOSPC);
	assert_rc(fr_event_group_create(at.arena, 12, &all), 0);
	assert_rc(fr_event_group_create(at.arena, 1, &more), -ENOSPC);
	fr_event_group_free(all);
	close_place(&at);
}

static void a_group_freed_keeps_its_events(void **state)
{
	struct place at = open_place();
	struct fr_event_group *group;
	struct fr_event e;

	(void)state;
	assert_rc(fr_event_group_create(at.arena, 12, &group), 0);
	assert_rc(fr_event_reserve(at.p, group, &e), 0);
	fr_event_group_free(group);
	assert_rc(fr_event_set(at.p, e), 0);
	assert_rc(fr_event_wait(at.p, e, 0), 0);
	assert_rc(fr_event_group_create(at.arena, 1, &group), -ENOSPC);
	assert_rc(fr_event_release(at.p, e), 0);
	close_place(&at);
}

static void freeing_no_group_does_nothing(void **state)
{
	(void)state;
	fr_event_group_free(NULL);
}

static void groups_have_different_events(void **state)
{
	struct place at = open_place();
	struct fr_event_group *other;
	struct fr_event e, f[COUNT];
	unsigned i;

	(void)state;
	assert_rc(fr_event_group_create(at.arena, 1, &other), 0);
	assert_rc(fr_event_reserve(at.p, other, &e), 0);
	for (i = 0; i < COUNT; i++) {
		f[i] = reserve(&at);
		assert_int_not_equal(f[i].id, e.id);
		assert_rc(fr_event_set(at.p, f[i]), 0);
	}
	assert_rc(fr_event_wait(at.p, e, 0), -EAGAIN);
	assert_rc(fr_event_reserve(at.p, other, &e), -ENOSPC);
	fr_event_group_free(other);
	close_place(&at);
}

static void a_damaged_count_gives_no_group(void **state)
{
	struct place at = open_place();
	struct fr_event_group *group;

	(void)state;
	fr__store_relaxed(&at.arena->header->events_used, UINT32_MAX);
	assert_rc(fr_event_group_create(at.arena, 1, &group), -ENOSPC);
	assert_rc(fr_event_group_create(at.arena, 8, &group), -ENOSPC);
	close_place(&at);
}

static void an_index_and_its_event_lead_to_each_other(void **state)
{
	struct place at = open_place();
	struct fr_event e[COUNT], found;
	unsigned i, seen = 0;

	(void)state;
	for (i = 0; i < COUNT; i++) {
		int index;

		e[i] = reserve(&at);
		index = fr_event_index(at.group, e[i]);
		assert_in_range(index, 0, COUNT - 1);
		seen |= 1u << index;
		assert_rc(fr_event_at(at.group, (unsigned)index, &found), 0);
		assert_int_equal(found.id, e[i].id);
	}
	assert_int_equal(seen, (1u << COUNT) - 1);
	close_place(&at);
}

static void indices_of_each_group_begin_at_0(void **state)
{
	struct place at = open_place();
	struct fr_event_group *other;
	struct fr_event e;

	(void)state;
	assert_rc(fr_event_group_create(at.arena, 1, &other), 0);
	assert_rc(fr_event_reserve(at.p, other, &e), 0);
	assert_rc(fr_event_index(other, e), 0);
	assert_rc(fr_event_index(at.group, e), -EINVAL);
	assert_rc(fr_event_index(other, none), -EINVAL);
	assert_rc(fr_event_index(at.group, none), -EINVAL);
	fr_event_group_free(other);
	close_place(&at);
}

static void there_is_no_event_at_an_index_out_of_the_group(void **state)
{
	struct place at = open_place();
	struct fr_event e = {42};

	(void)state;
	assert_rc(fr_event_at(at.group, COUNT, &e), -EINVAL);
	assert_rc(fr_event_at(at.group, UINT32_MAX, &e), -EINVAL);
	assert_int_equal(e.id, 42);
	close_place(&at);
}

static void there_is_no_event_where_nobody_has_reserved_one(void **state)
{
	struct place at = open_place();
	struct fr_event e = {42}, f;
	unsigned i;

	(void)state;
	for (i = 0; i < COUNT; i++)
		assert_rc(fr_event_at(at.group, i, &e), -ENOENT);
	assert_int_equal(e.id, 42);
	f = reserve(&at);
	i = (unsigned)fr_event_index(at.group, f);
	assert_rc(fr_event_release(at.p, f), 0);
	assert_rc(fr_event_at(at.group, i, &e), -ENOENT);
	close_place(&at);
}

/* ---- posts ---- */

static void each_post_lets_one_take_through(void **state)
{
	struct place at = open_place();
	struct fr_event e = reserve(&at);
	unsigned i;

	(void)state;
	assert_rc(fr_event_take(at.p, e, 0), -EAGAIN);
	for (i = 0; i < 3; i++)
		assert_rc(fr_event_post(at.p, e), 0);
	for (i = 0; i < 3; i++)
		assert_rc(fr_event_take(at.p, e, FR_FOREVER), 0);
	assert_rc(fr_event_take(at.p, e, 0), -EAGAIN);
	assert_rc(fr_event_release(at.p, e), 0);
	close_place(&at);
}

static void up_to_1023_posts_may_be_waiting(void **state)
{
	struct place at = open_place();
	struct fr_event e = reserve(&at);
	unsigned i;

	(void)state;
	for (i = 0; i < 1023; i++)
		assert_rc(fr_event_post(at.p, e), 0);
	assert_rc(fr_event_post(at.p, e), -EOVERFLOW);
	assert_rc(fr_event_wait(at.p, e, 0), -EAGAIN); /* no carry into set */
	assert_rc(fr_event_take(at.p, e, 0), 0);
	assert_rc(fr_event_post(at.p, e), 0);
	for (i = 0; i < 1023; i++)
		assert_rc(fr_event_take(at.p, e, 0), 0);
	assert_rc(fr_event_take(at.p, e, 0), -EAGAIN);
	assert_rc(fr_event_release(at.p, e), 0);
	close_place(&at);
}

static void posting_and_setting_do_not_touch_each_other(void **state)
{
	struct place at = open_place();
	struct fr_event e = reserve(&at);

	(void)state;
	assert_rc(fr_event_set(at.p, e), 0);
	assert_rc(fr_event_take(at.p, e, 0), -EAGAIN);
	assert_rc(fr_event_post(at.p, e), 0);
	assert_rc(fr_event_clear(at.p, e), 0);
	assert_rc(fr_event_wait(at.p, e, 0), -EAGAIN);
	assert_rc(fr_event_take(at.p, e, 0), 0);
	assert_rc(fr_event_set(at.p, e), 0);
	assert_rc(fr_event_wait(at.p, e, 0), 0);
	assert_rc(fr_event_release(at.p, e), 0);
	close_place(&at);
}

/* ---- time limits ---- */

static const int modes[] = {FR_WAIT_ADAPTIVE, FR_WAIT_SLEEP, FR_WAIT_POLL};

static void a_wait_lasts_its_time_however_one_waits(void **state)
{
	struct place at = open_place();
	struct fr_event e = reserve(&at);
	struct fr_process *q;
	int64_t start;
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++) {
		q = join(at.arena, modes[i]);
		start = now_ns();
		assert_rc(fr_event_wait(q, e, 20 * MS), -ETIMEDOUT);
		assert_true(now_ns() - start >= 20 * MS);
		fr_leave(q);
	}
	close_place(&at);
}

static void a_take_lasts_its_time_however_one_waits(void **state)
{
	struct place at = open_place();
	struct fr_event e = reserve(&at);
	struct fr_process *q;
	int64_t start;
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++) {
		q = join(at.arena, modes[i]);
		start = now_ns();
		assert_rc(fr_event_take(q, e, 20 * MS), -ETIMEDOUT);
		assert_true(now_ns() - start >= 20 * MS);
		fr_leave(q);
	}
	close_place(&at);
}

static void a_wait_longer_than_a_slice_lasts_its_time(void **state)
{
	struct place at = open_place();
	struct fr_event e = reserve(&at);
	int64_t start = now_ns();

	(void)state;
	assert_rc(fr_event_wait(at.p, e, 1100 * MS), -ETIMEDOUT);
	assert_true(now_ns() - start >= 1100 * MS);
	close_place(&at);
}

static void what_is_there_is_given_whatever_the_limit(void **state)
{
	struct place at = open_place();
	struct fr_event e = reserve(&at);

	(void)state;
	assert_rc(fr_event_set(at.p, e), 0);
	assert_rc(fr_event_wait(at.p, e, 1), 0);
	assert_rc(fr_event_wait(at.p, e, INT64_MAX), 0);
	assert_rc(fr_event_wait(at.p, e, INT64_MIN), 0);
	assert_rc(fr_event_post(at.p, e), 0);
	assert_rc(fr_event_take(at.p, e, 1), 0);
	close_place(&at);
}

/* ---- several processes ---- */

static int set_it(void *ctx)
{
	struct talk *t = ctx;
	struct fr_process *p = child_joins(t->arena, 0);

	CHECK_RC(fr_event_set(p, t->event), 0);
	fr_leave(p);
	return 0;
}

static void what_a_child_sets_its_parent_waits_for(void **state)
{
	struct place at = open_place();
	struct talk *t = talk_of(&at);
	pid_t pid;

	(void)state;
	t->event = reserve(&at);
	pid = spawn(set_it, t);
	assert_rc(fr_event_wait(at.p, t->event, FR_FOREVER), 0);
	wait_ok(pid);
	assert_rc(fr_event_release(at.p, t->event), 0);
	close_place(&at);
}

static int set_by_index(void *ctx)
{
	struct talk *t = ctx;
	struct fr_process *p = child_joins(t->arena, 0);
	struct fr_event e;

	CHECK_RC(fr_event_at(t->group, (unsigned)t->expected, &e), 0);
	CHECK_RC(fr_event_set(p, e), 0);
	fr_leave(p);
	return 0;
}

static void who_knows_the_group_may_set_by_index(void **state)
{
	struct place at = open_place();
	struct talk *t = talk_of(&at);
	struct fr_event e;
	pid_t pid;

	(void)state;
	reserve(&at);
	e = reserve(&at);
	t->expected = fr_event_index(at.group, e);
	pid = spawn(set_by_index, t);
	assert_rc(fr_event_wait(at.p, e, FR_FOREVER), 0);
	wait_ok(pid);
	close_place(&at);
}

static int answer_each(void *ctx)
{
	struct talk *t = ctx;
	struct fr_process *p = child_joins(t->arena, FR_WAIT_SLEEP);
	unsigned i;

	for (i = 0; i < ROUNDS; i++) {
		CHECK_RC(fr_event_wait(p, t->event, FR_FOREVER), 0);
		CHECK_RC(fr_event_clear(p, t->event), 0);
		CHECK_RC(fr_event_set(p, t->second), 0);
	}
	fr_leave(p);
	return 0;
}

static void two_processes_take_turns(void **state)
{
	struct place at = open_place();
	struct talk *t = talk_of(&at);
	unsigned i;
	pid_t pid;

	(void)state;
	t->event = reserve(&at);
	t->second = reserve(&at);
	pid = spawn(answer_each, t);
	for (i = 0; i < ROUNDS; i++) {
		assert_rc(fr_event_set(at.p, t->event), 0);
		assert_rc(fr_event_wait(at.p, t->second, FR_FOREVER), 0);
		assert_rc(fr_event_clear(at.p, t->second), 0);
	}
	wait_ok(pid);
	close_place(&at);
}

/* Each round: wait for the round's event and check what that answers. */
static int wait_each_round(void *ctx)
{
	struct talk *t = ctx;
	struct fr_process *p = child_joins(t->arena, FR_WAIT_SLEEP);
	unsigned i;

	for (i = 0; i < ROUNDS; i++) {
		await(&t->round, i + 1);
		advance(&t->begun);
		if (t->take)
			CHECK_RC(fr_event_take(p, t->event, FR_FOREVER),
				 t->expected);
		else
			CHECK_RC(fr_event_wait(p, t->event, FR_FOREVER),
				 t->expected);
		advance(&t->ended);
	}
	fr_leave(p);
	return 0;
}

static void gather(struct talk *t, pid_t *pids, int expected, bool take)
{
	unsigned i;

	t->expected = expected;
	t->take = take;
	for (i = 0; i < SLEEPERS; i++)
		pids[i] = spawn(wait_each_round, t);
}

/* Let them begin round i, and sleep. */
static void lull(struct talk *t, pid_t *pids, unsigned i)
{
	unsigned j;

	advance(&t->round);
	await(&t->begun, SLEEPERS * (i + 1));
	for (j = 0; j < SLEEPERS; j++)
		AWAIT(sleeps(pids[j]));
}

static void disperse(pid_t *pids)
{
	unsigned i;

	for (i = 0; i < SLEEPERS; i++)
		wait_ok(pids[i]);
}

static void one_set_frees_all_who_sleep(void **state)
{
	struct place at = open_place();
	struct talk *t = talk_of(&at);
	pid_t pids[SLEEPERS];
	unsigned i;

	(void)state;
	gather(t, pids, 0, false);
	for (i = 0; i < ROUNDS; i++) {
		t->event = reserve(&at);
		lull(t, pids, i);
		assert_int_equal(reached(&t->ended), SLEEPERS * i);
		assert_rc(fr_event_set(at.p, t->event), 0);
		await(&t->ended, SLEEPERS * (i + 1));
		assert_rc(fr_event_release(at.p, t->event), 0);
	}
	disperse(pids);
	close_place(&at);
}

static void giving_an_event_back_frees_all_who_wait(void **state)
{
	struct place at = open_place();
	struct talk *t = talk_of(&at);
	pid_t pids[SLEEPERS];
	unsigned i;

	(void)state;
	gather(t, pids, -ESTALE, false);
	for (i = 0; i < ROUNDS; i++) {
		t->event = reserve(&at);
		lull(t, pids, i);
		assert_rc(fr_event_release(at.p, t->event), 0);
		await(&t->ended, SLEEPERS * (i + 1));
	}
	disperse(pids);
	close_place(&at);
}

static void giving_an_event_back_frees_all_who_would_take(void **state)
{
	struct place at = open_place();
	struct talk *t = talk_of(&at);
	pid_t pids[SLEEPERS];
	unsigned i;

	(void)state;
	gather(t, pids, -ESTALE, true);
	for (i = 0; i < ROUNDS; i++) {
		t->event = reserve(&at);
		lull(t, pids, i);
		assert_rc(fr_event_release(at.p, t->event), 0);
		await(&t->ended, SLEEPERS * (i + 1));
	}
	disperse(pids);
	close_place(&at);
}

static void leaving_frees_all_who_wait_for_ones_events(void **state)
{
	struct place at = open_place();
	struct talk *t = talk_of(&at);
	pid_t pids[SLEEPERS];
	unsigned i;

	(void)state;
	gather(t, pids, -ESTALE, false);
	for (i = 0; i < ROUNDS; i++) {
		struct fr_process *q = join(at.arena, 0);

		assert_rc(fr_event_reserve(q, at.group, &t->event), 0);
		lull(t, pids, i);
		fr_leave(q);
		await(&t->ended, SLEEPERS * (i + 1));
	}
	disperse(pids);
	close_place(&at);
}

static void as_many_posts_as_sleepers_free_them_all(void **state)
{
	struct place at = open_place();
	struct talk *t = talk_of(&at);
	pid_t pids[SLEEPERS];
	unsigned i, j;

	(void)state;
	gather(t, pids, 0, true);
	t->event = reserve(&at);
	for (i = 0; i < ROUNDS; i++) {
		lull(t, pids, i);
		for (j = 0; j < SLEEPERS; j++)
			assert_rc(fr_event_post(at.p, t->event), 0);
		await(&t->ended, SLEEPERS * (i + 1));
		assert_rc(fr_event_take(at.p, t->event, 0), -EAGAIN);
	}
	disperse(pids);
	close_place(&at);
}

static int take_until_it_is_given_back(void *ctx)
{
	struct talk *t = ctx;
	struct fr_process *p = child_joins(t->arena, 0);
	int rc;

	while ((rc = fr_event_take(p, t->event, FR_FOREVER)) == 0)
		advance(&t->taken);
	CHECK_RC(rc, -ESTALE);
	fr_leave(p);
	return 0;
}

#define POSTS 5000

static void each_post_is_taken_once(void **state)
{
	struct place at = open_place();
	struct talk *t = talk_of(&at);
	pid_t pids[SLEEPERS];
	unsigned i;
	int rc;

	(void)state;
	t->event = reserve(&at);
	for (i = 0; i < SLEEPERS; i++)
		pids[i] = spawn(take_until_it_is_given_back, t);
	for (i = 0; i < POSTS; i += rc == 0) {
		rc = fr_event_post(at.p, t->event);
		if (rc == -EOVERFLOW)
			test_yield();
		else
			assert_rc(rc, 0);
	}
	await(&t->taken, POSTS);
	assert_rc(fr_event_take(at.p, t->event, 0), -EAGAIN);
	assert_rc(fr_event_release(at.p, t->event), 0);
	disperse(pids);
	assert_int_equal(t->taken, POSTS);
	close_place(&at);
}

static int race_to_reserve(void *ctx)
{
	struct talk *t = ctx;
	struct fr_process *p = child_joins(t->arena, 0);
	struct fr_event e[COUNT];
	unsigned i, count, j;

	advance(&t->begun);
	AWAIT(reached(&t->begun) == SLEEPERS);
	for (i = 0; i < 2000; i++) {
		for (count = 0; count < COUNT; count++)
			if (fr_event_reserve(p, t->group, &e[count]) != 0)
				break;
		for (j = 0; j < count; j++) {
			/* Nobody else has it: nobody else sets it. */
			CHECK_RC(fr_event_wait(p, e[j], 0), -EAGAIN);
			CHECK_RC(fr_event_set(p, e[j]), 0);
			CHECK_RC(fr_event_wait(p, e[j], 0), 0);
		}
		for (j = 0; j < count; j++)
			CHECK_RC(fr_event_release(p, e[j]), 0);
	}
	fr_leave(p);
	return 0;
}

static void an_event_is_reserved_by_one_at_a_time(void **state)
{
	struct place at = open_place();
	struct talk *t = talk_of(&at);
	pid_t pids[SLEEPERS];
	unsigned i;

	(void)state;
	for (i = 0; i < SLEEPERS; i++)
		pids[i] = spawn(race_to_reserve, t);
	disperse(pids);
	for (i = 0; i < COUNT; i++)
		reserve(&at);
	close_place(&at);
}

static int wait_in_poll_mode(void *ctx)
{
	struct talk *t = ctx;
	struct fr_process *p = child_joins(t->arena, FR_WAIT_POLL);

	advance(&t->begun);
	CHECK_RC(fr_event_wait(p, t->event, FR_FOREVER), 0);
	CHECK_RC(fr_event_take(p, t->event, FR_FOREVER), 0);
	fr_leave(p);
	return 0;
}

static void who_polls_sees_set_and_post(void **state)
{
	struct place at = open_place();
	struct talk *t = talk_of(&at);
	pid_t pid;

	(void)state;
	t->event = reserve(&at);
	pid = spawn(wait_in_poll_mode, t);
	await(&t->begun, 1);
	assert_rc(fr_event_set(at.p, t->event), 0);
	assert_rc(fr_event_post(at.p, t->event), 0);
	wait_ok(pid);
	close_place(&at);
}

/* ---- interrupts ---- */

static void do_nothing(int sig)
{
	(void)sig;
}

static int wait_for_a_signal(void *ctx)
{
	struct talk *t = ctx;
	struct sigaction action = {
		.sa_handler = do_nothing,
		.sa_flags = t->flags,
	};
	struct fr_process *p = child_joins(t->arena, 0);

	sigaction(SIGUSR1, &action, NULL);
	advance(&t->begun);
	if (t->take)
		CHECK_RC(fr_event_take(p, t->event, FR_FOREVER), -EINTR);
	else
		CHECK_RC(fr_event_wait(p, t->event, FR_FOREVER), -EINTR);
	fr_leave(p);
	return 0;
}

static void a_signal_ends_a_sleep(int flags, bool take)
{
	struct place at = open_place();
	struct talk *t = talk_of(&at);
	siginfo_t info = {0};
	pid_t pid;

	t->event = reserve(&at);
	t->flags = flags;
	t->take = take;
	pid = spawn(wait_for_a_signal, t);
	await(&t->begun, 1);
	while (info.si_pid == 0) {
		/* One may come between its last look and its sleep. */
		kill(pid, SIGUSR1);
		test_yield();
		assert_int_equal(waitid(P_PID, (id_t)pid, &info,
					WEXITED | WNOHANG | WNOWAIT),
				 0);
	}
	wait_ok(pid);
	close_place(&at);
}

static void a_signal_ends_a_wait(void **state)
{
	(void)state;
	a_signal_ends_a_sleep(0, false);
}

static void a_signal_ends_a_take(void **state)
{
	(void)state;
	a_signal_ends_a_sleep(0, true);
}

static void so_does_a_signal_that_restarts_system_calls(void **state)
{
	(void)state;
	a_signal_ends_a_sleep(SA_RESTART, false);
	a_signal_ends_a_sleep(SA_RESTART, true);
}

struct waiter {
	struct talk *t;
	struct fr_process *p;
};

static void *wait_in_a_thread(void *ctx)
{
	struct waiter *w = ctx;
	struct talk *t = w->t;
	unsigned i;

	for (i = 0; i < ROUNDS; i++) {
		await(&t->round, i + 1);
		if (t->take)
			CHECK_RC(fr_event_take(w->p, t->event, FR_FOREVER),
				 -EINTR);
		else
			CHECK_RC(fr_event_wait(w->p, t->event, FR_FOREVER),
				 -EINTR);
		advance(&t->ended);
	}
	return NULL;
}

static int interrupt_a_thread(void *ctx)
{
	struct talk *t = ctx;
	struct waiter w = {.t = t};
	pthread_t thread;
	unsigned i;

	w.p = child_joins(t->arena, t->expected);
	CHECK(pthread_create(&thread, NULL, wait_in_a_thread, &w) == 0);
	for (i = 0; i < ROUNDS; i++) {
		unmark(t->arena, t->event);
		advance(&t->round);
		if (i % 2 && t->expected != FR_WAIT_POLL)
			AWAIT(marked(t->arena, t->event));
		/* Asleep by then or not: the next sleep ends as well. */
		fr_interrupt(w.p);
		await(&t->ended, i + 1);
	}
	CHECK(pthread_join(thread, NULL) == 0);
	fr_leave(w.p);
	return 0;
}

static void interrupts_end_it(int mode, bool take)
{
	struct place at = open_place();
	struct talk *t = talk_of(&at);

	t->event = reserve(&at);
	t->expected = mode;
	t->take = take;
	wait_ok(spawn(interrupt_a_thread, t));
	close_place(&at);
}

static void another_thread_ends_a_wait(void **state)
{
	(void)state;
	interrupts_end_it(FR_WAIT_SLEEP, false);
}

static void another_thread_ends_a_take(void **state)
{
	(void)state;
	interrupts_end_it(FR_WAIT_SLEEP, true);
}

static void another_thread_ends_a_wait_that_polls(void **state)
{
	(void)state;
	interrupts_end_it(FR_WAIT_POLL, false);
}

/* ---- the scope ---- */

static void a_scope_waits_at_its_end_and_gives_back(void **state)
{
	struct place at = open_place();
	struct fr_event inside = none;
	unsigned bodies = 0;
	int rc = 1;

	(void)state;
	FR_WITH_EVENT(at.p, at.group, scope, FR_FOREVER, &rc) {
		inside = scope.event;
		assert_rc(fr_event_wait(at.p, inside, 0), -EAGAIN);
		assert_rc(fr_event_set(at.p, inside), 0);
		bodies++;
	}
	assert_rc(rc, 0);
	assert_int_equal(bodies, 1);
	assert_stale(at.p, inside);
	close_place(&at);
}

static void a_scope_waits_for_another_process(void **state)
{
	struct place at = open_place();
	struct talk *t = talk_of(&at);
	pid_t pid = 0;
	int rc = 1;

	(void)state;
	FR_WITH_EVENT(at.p, at.group, scope, FR_FOREVER, &rc) {
		t->event = scope.event;
		pid = spawn(set_it, t);
	}
	assert_rc(rc, 0);
	wait_ok(pid);
	close_place(&at);
}

static void a_scope_left_by_break_does_not_wait(void **state)
{
	struct place at = open_place();
	struct fr_event inside = none;
	int rc = 1;

	(void)state;
	FR_WITH_EVENT(at.p, at.group, scope, FR_FOREVER, &rc) {
		inside = scope.event;
		break;
	}
	assert_rc(rc, 0); /* it was reserved: that is all that was tried */
	assert_stale(at.p, inside);
	close_place(&at);
}

static int leave_by_return(struct place *at, struct fr_event *inside, int *rc)
{
	FR_WITH_EVENT(at->p, at->group, scope, FR_FOREVER, rc) {
		*inside = scope.event;
		return 7;
	}
	return 0;
}

static void a_scope_left_by_return_does_not_wait(void **state)
{
	struct place at = open_place();
	struct fr_event inside = none;
	int rc = 1;

	(void)state;
	assert_int_equal(leave_by_return(&at, &inside, &rc), 7);
	assert_stale(at.p, inside);
	close_place(&at);
}

static void a_scope_left_by_continue_waits(void **state)
{
	struct place at = open_place();
	unsigned after = 0;
	int rc = 1;

	(void)state;
	FR_WITH_EVENT(at.p, at.group, scope, 1, &rc) {
		if (rc == 0)
			continue;
		after++;
	}
	assert_rc(rc, -ETIMEDOUT);
	assert_int_equal(after, 0);
	close_place(&at);
}

static void a_scope_without_a_free_event_does_not_run(void **state)
{
	struct place at = open_place();
	unsigned i, bodies = 0;
	int rc = 1;

	(void)state;
	for (i = 0; i < COUNT; i++)
		reserve(&at);
	FR_WITH_EVENT(at.p, at.group, scope, FR_FOREVER, &rc)
		bodies++;
	assert_rc(rc, -ENOSPC);
	assert_int_equal(bodies, 0);
	close_place(&at);
}

static void a_scope_ends_after_its_time(void **state)
{
	struct place at = open_place();
	struct fr_event inside = none;
	int64_t start = now_ns();
	int rc = 1;

	(void)state;
	FR_WITH_EVENT(at.p, at.group, scope, 20 * MS, &rc)
		inside = scope.event;
	assert_rc(rc, -ETIMEDOUT);
	assert_true(now_ns() - start >= 20 * MS);
	assert_stale(at.p, inside);
	close_place(&at);
}

static void a_scope_in_a_scope_has_an_event_of_its_own(void **state)
{
	struct place at = open_place();
	int outer = 1, inner = 1;

	(void)state;
	FR_WITH_EVENT(at.p, at.group, one, 0, &outer) {
		FR_WITH_EVENT(at.p, at.group, two, 0, &inner) {
			assert_int_not_equal(one.event.id, two.event.id);
			assert_rc(fr_event_set(at.p, two.event), 0);
		}
		assert_rc(fr_event_wait(at.p, one.event, 0), -EAGAIN);
	}
	assert_rc(inner, 0);
	assert_rc(outer, -EAGAIN);
	close_place(&at);
}

static void scopes_use_up_nothing(void **state)
{
	struct place at = open_place();
	unsigned i;
	int rc = 1;

	(void)state;
	for (i = 0; i < 20 * COUNT; i++) {
		FR_WITH_EVENT(at.p, at.group, scope, 0, &rc) {
			if (i % 2)
				break;
		}
		assert_rc(rc, i % 2 ? 0 : -EAGAIN);
	}
	for (i = 0; i < COUNT; i++)
		reserve(&at);
	close_place(&at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_reserved_event_is_not_set),
		TEST(a_set_event_lets_through),
		TEST(it_stays_set_until_it_is_cleared),
		TEST(setting_what_is_set_does_nothing),
		TEST(each_event_is_set_by_itself),
		TEST(a_group_lends_as_many_as_it_has),
		TEST(a_handle_is_stale_once_it_was_given_back),
		TEST(a_stale_handle_does_nothing_to_the_next_holder),
		TEST(the_next_holder_finds_it_unset_and_without_posts),
		TEST(a_handle_that_was_never_given_is_stale),
		TEST(a_handle_is_never_that_of_none),
		TEST(only_its_reserver_gives_an_event_back),
		TEST(anybody_sets_clears_and_waits),
		TEST(who_leaves_gives_its_events_back),
		TEST(who_leaves_keeps_the_events_of_others),
		TEST(the_last_of_4096_slots_may_own_one),

		TEST(a_group_of_none_is_refused),
		TEST(a_group_takes_no_more_than_there_are),
		TEST(a_group_freed_keeps_its_events),
		TEST(freeing_no_group_does_nothing),
		TEST(groups_have_different_events),
		TEST(a_damaged_count_gives_no_group),
		TEST(an_index_and_its_event_lead_to_each_other),
		TEST(indices_of_each_group_begin_at_0),
		TEST(there_is_no_event_at_an_index_out_of_the_group),
		TEST(there_is_no_event_where_nobody_has_reserved_one),

		TEST(each_post_lets_one_take_through),
		TEST(up_to_1023_posts_may_be_waiting),
		TEST(posting_and_setting_do_not_touch_each_other),

		TEST(a_wait_lasts_its_time_however_one_waits),
		TEST(a_take_lasts_its_time_however_one_waits),
		TEST(a_wait_longer_than_a_slice_lasts_its_time),
		TEST(what_is_there_is_given_whatever_the_limit),

		TEST(what_a_child_sets_its_parent_waits_for),
		TEST(who_knows_the_group_may_set_by_index),
		TEST(two_processes_take_turns),
		TEST(one_set_frees_all_who_sleep),
		TEST(giving_an_event_back_frees_all_who_wait),
		TEST(giving_an_event_back_frees_all_who_would_take),
		TEST(leaving_frees_all_who_wait_for_ones_events),
		TEST(as_many_posts_as_sleepers_free_them_all),
		TEST(each_post_is_taken_once),
		TEST(an_event_is_reserved_by_one_at_a_time),
		TEST(who_polls_sees_set_and_post),

		TEST(a_signal_ends_a_wait),
		TEST(a_signal_ends_a_take),
		TEST(so_does_a_signal_that_restarts_system_calls),
		TEST(another_thread_ends_a_wait),
		TEST(another_thread_ends_a_take),
		TEST(another_thread_ends_a_wait_that_polls),

		TEST(a_scope_waits_at_its_end_and_gives_back),
		TEST(a_scope_waits_for_another_process),
		TEST(a_scope_left_by_break_does_not_wait),
		TEST(a_scope_left_by_return_does_not_wait),
		TEST(a_scope_left_by_continue_waits),
		TEST(a_scope_without_a_free_event_does_not_run),
		TEST(a_scope_ends_after_its_time),
		TEST(a_scope_in_a_scope_has_an_event_of_its_own),
		TEST(scopes_use_up_nothing),
	};

	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
