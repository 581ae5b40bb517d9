/* SPDX-License-Identifier: MIT */
/*
 * Processes: joining and leaving, reservations, names, waiting for one, the
 * record lock that shows that one lives; and types.
 */
#include "harness.h"

#include "process.h" /* slots, marks, the name index */

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct fr_type no_type;
static const struct fr_addr nobody;

/* ---- helpers ---- */

static struct fr_arena *arena(void)
{
	struct fr_arena *a;

	assert_rc(fr_arena_create(NULL, &small_arena, &a), 0);
	return a;
}

static struct fr_arena *arena_of(unsigned slots)
{
	struct fr_arena_opts opts = small_arena;
	struct fr_arena *a;

	opts.slots = slots;
	assert_rc(fr_arena_create(NULL, &opts, &a), 0);
	return a;
}

static int join_rc(struct fr_arena *a, const char *name,
		   struct fr_process **ret)
{
	return fr_join(a, &(struct fr_join_opts){.name = name}, ret);
}

static struct fr_process *join(struct fr_arena *a, const char *name)
{
	struct fr_process *p;

	assert_rc(join_rc(a, name, &p), 0);
	return p;
}

static struct fr_process *join_with(struct fr_arena *a, int wait)
{
	struct fr_process *p;

	assert_rc(fr_join(a, &(struct fr_join_opts){.wait = wait}, &p), 0);
	return p;
}

static struct fr_process *join_reserved(struct fr_arena *a, struct fr_addr at)
{
	struct fr_process *p;

	assert_rc(fr_join(a, &(struct fr_join_opts){.reserved = at}, &p), 0);
	return p;
}

static unsigned joined(struct fr_arena *a)
{
	struct fr_arena_info info;

	fr_arena_info(a, &info);
	return info.joined;
}

static bool sleeps_for(struct fr_arena *a, struct fr_addr who, uint32_t mark)
{
	return fr__load_acquire(&a->slots[fr__addr_slot(who)].waiting) & mark;
}

/* Who holds the lock of a slot: a pid, or 0. This process's own are not seen. */
static pid_t holder(struct fr_arena *a, struct fr_addr who)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = fr__addr_slot(who),
		.l_len = 1,
	};

	assert_int_equal(fcntl(fr_arena_fd(a), F_GETLK, &lock), 0);
	return lock.l_type == F_UNLCK ? 0 : lock.l_pid;
}

/* A child that joins, says where, and stays until told. */
struct guest {
	struct fr_arena *arena;
	const char *name;
	struct fr_addr self;
	uint32_t joined, leave, left, end;
	pid_t child; /* of its own */
};

static struct guest *new_guest(struct fr_arena *a, const char *name)
{
	struct guest *g = shared(sizeof(*g));

	g->arena = a;
	g->name = name;
	return g;
}

static int be_guest(void *ctx)
{
	struct guest *g = ctx;
	struct fr_process *p;

	CHECK_RC(join_rc(g->arena, g->name, &p), 0);
	g->self = fr_self(p);
	advance(&g->joined);
	await(&g->leave, 1);
	fr_leave(p);
	advance(&g->left);
	await(&g->end, 1);
	return 0;
}

static pid_t invite(struct guest *g)
{
	pid_t pid = spawn(be_guest, g);

	await(&g->joined, 1);
	return pid;
}

static void see_off(struct guest *g, pid_t pid)
{
	advance(&g->leave);
	advance(&g->end);
	wait_ok(pid);
}

/* ---- joining and leaving ---- */

static void who_joined_is_alive(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);

	(void)state;
	assert_rc(fr_alive(p, fr_self(p)), 1);
	assert_ptr_equal(fr_process_arena(p), a);
	fr_leave(p);
	fr_arena_detach(a);
}

static void who_left_is_gone(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q = join(a, "q");
	struct fr_addr old = fr_self(q);
	char name[FR_NAME_MAX + 1];

	(void)state;
	assert_rc(fr_alive(p, old), 1);
	fr_leave(q);
	assert_rc(fr_alive(p, old), 0);
	assert_rc(fr_process_name(p, old, name), -ESRCH);
	assert_rc(fr_process_pid(p, old), -ESRCH);
	assert_rc(fr_send(p, old, no_type, "x", 1, FR_FOREVER), -ESRCH);
	fr_leave(p);
	fr_arena_detach(a);
}

static void the_next_holder_of_a_slot_has_another_address(void **state)
{
	struct fr_arena *a = arena_of(1);
	struct fr_process *p = join(a, NULL);
	struct fr_addr old = fr_self(p);

	(void)state;
	fr_leave(p);
	p = join(a, NULL);
	assert_int_equal(fr__addr_slot(fr_self(p)), fr__addr_slot(old));
	assert_int_not_equal(fr_self(p).id, old.id);
	assert_rc(fr_alive(p, old), 0);
	fr_leave(p);
	fr_arena_detach(a);
}

static void nobodys_address_is_not_alive(void **state)
{
	static const uint64_t ids[] = {0,
				       1,
				       UINT32_MAX,
				       UINT64_MAX,
				       UINT64_C(1) << 32 | 7,
				       UINT64_C(1) << 32 | 8,
				       UINT64_C(1) << 32 | 4096};
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
		assert_rc(fr_alive(p, (struct fr_addr){ids[i]}), 0);
		assert_rc(fr_process_pid(p, (struct fr_addr){ids[i]}), -ESRCH);
	}
	fr_leave(p);
	fr_arena_detach(a);
}

static void an_address_is_never_that_of_nobody(void **state)
{
	struct fr_arena *a = arena_of(1);
	struct fr_process *p = join(a, NULL);
	struct fr_addr last;

	(void)state;
	fr_leave(p);
	/* As if the slot had been held 2^32 - 1 times. */
	fr__store_relaxed(&a->slots[0].state,
			  fr__slot_word(FR__SLOT_FREE, 0, UINT32_MAX - 1));
	p = join(a, NULL);
	last = fr_self(p);
	fr_leave(p);
	p = join(a, NULL);
	assert_int_not_equal(fr_self(p).id, nobody.id);
	assert_int_not_equal(fr__addr_generation(fr_self(p)), 0);
	assert_rc(fr_alive(p, fr_self(p)), 1);
	assert_rc(fr_alive(p, last), 0);
	fr_leave(p);
	fr_arena_detach(a);
}

static void when_every_slot_is_held_nobody_joins(void **state)
{
	struct fr_arena *a = arena_of(2);
	struct fr_process *p = join(a, NULL), *q = join(a, NULL), *r;

	(void)state;
	assert_rc(join_rc(a, NULL, &r), -ENOSPC);
	assert_int_equal(joined(a), 2);
	fr_leave(q);
	assert_rc(join_rc(a, NULL, &r), 0);
	fr_leave(r);
	fr_leave(p);
	fr_arena_detach(a);
}

static void one_process_may_join_several_times(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, "p"), *q = join(a, "q");
	struct fr_message m;

	(void)state;
	assert_int_not_equal(fr_self(p).id, fr_self(q).id);
	assert_rc(fr_send(p, fr_self(q), no_type, "x", 1, 0), 0);
	assert_rc(fr_receive(p, 0, &m), -EAGAIN);
	assert_rc(fr_receive(q, 0, &m), 0);
	assert_int_equal(m.from.id, fr_self(p).id);
	fr_release(q, &m);
	fr_leave(p);
	assert_rc(fr_alive(q, fr_self(q)), 1);
	fr_leave(q);
	fr_arena_detach(a);
}

static void leaving_with_nothing_does_nothing(void **state)
{
	(void)state;
	fr_leave(NULL);
}

static void a_bad_name_is_not_joined(void **state)
{
	static const char long_name[] =
		"123456789 123456789 123456789 123456789 12345678";
	struct fr_arena *a = arena();
	struct fr_process *p;

	(void)state;
	assert_int_equal(strlen(long_name), FR_NAME_MAX + 1);
	assert_rc(join_rc(a, "", &p), -EINVAL);
	assert_rc(join_rc(a, "a/b", &p), -EINVAL);
	assert_rc(join_rc(a, long_name, &p), -ENAMETOOLONG);
	assert_int_equal(joined(a), 0);
	fr_arena_detach(a);
}

static void an_unknown_way_of_waiting_is_not_joined(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p;

	(void)state;
	assert_rc(fr_join(a, &(struct fr_join_opts){.wait = FR_WAIT_POLL + 1},
			  &p),
		  -EINVAL);
	assert_int_equal(joined(a), 0);
	fr_arena_detach(a);
}

static void a_join_that_fails_leaves_its_ret_alone(void **state)
{
	struct fr_arena *a = arena_of(1);
	struct fr_process *p = join(a, NULL), *ret = p;
	struct fr_addr addr = {42};

	(void)state;
	assert_rc(join_rc(a, NULL, &ret), -ENOSPC);
	assert_rc(join_rc(a, "", &ret), -EINVAL);
	assert_ptr_equal(ret, p);
	assert_rc(fr_reserve(p, &addr), -ENOSPC);
	assert_rc(fr_wait_name(p, "nobody", 0, &addr), -EAGAIN);
	assert_int_equal(addr.id, 42);
	fr_leave(p);
	fr_arena_detach(a);
}

static void whoever_is_in_is_counted(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p, *q;

	(void)state;
	assert_int_equal(joined(a), 0);
	p = join(a, NULL);
	q = join(a, NULL);
	assert_int_equal(joined(a), 2);
	fr_leave(p);
	assert_int_equal(joined(a), 1);
	fr_leave(q);
	assert_int_equal(joined(a), 0);
	fr_arena_detach(a);
}

#define RACERS 6
#define ROUNDS 100

struct race {
	struct fr_arena *arena;
	struct fr_process *p;
	struct round {
		uint32_t ready, tried, done, won;
		uint64_t id[RACERS];
		struct fr_addr reserved;
	} rounds[ROUNDS];
};

/* Everyone at the same moment. */
static void line_up(struct round *r)
{
	advance(&r->ready);
	AWAIT(reached(&r->ready) == RACERS);
}

static int race_for_slots(void *ctx)
{
	struct race *race = ctx;
	struct fr_process *p;
	unsigned i;
	int rc;

	for (i = 0; i < ROUNDS; i++) {
		struct round *r = &race->rounds[i];

		line_up(r);
		rc = join_rc(race->arena, "racer", &p);
		CHECK(rc == 0 || rc == -ENOSPC);
		if (rc == 0)
			r->id[__atomic_fetch_add(
				&r->won, 1, __ATOMIC_RELAXED)] = fr_self(p).id;
		advance(&r->tried);
		await(&r->tried, RACERS);
		if (rc == 0)
			fr_leave(p);
		advance(&r->done);
		await(&r->done, RACERS);
	}
	return 0;
}

static void those_that_race_for_slots_get_one_each(void **state)
{
	struct race *race = shared(sizeof(*race));
	pid_t pids[RACERS];
	unsigned i, j, k;

	(void)state;
	race->arena = arena_of(3);
	for (i = 0; i < RACERS; i++)
		pids[i] = spawn(race_for_slots, race);
	for (i = 0; i < RACERS; i++)
		wait_ok(pids[i]);
	for (i = 0; i < ROUNDS; i++) {
		struct round *r = &race->rounds[i];

		assert_int_equal(r->won, 3);
		for (j = 0; j < 3; j++)
			for (k = 0; k < j; k++)
				assert_int_not_equal(r->id[j], r->id[k]);
	}
	assert_int_equal(joined(race->arena), 0);
	fr_arena_detach(race->arena);
}

/* ---- reservations ---- */

static void a_reserved_address_is_alive_before_anyone_joins(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	char name[FR_NAME_MAX + 1] = "?";
	struct fr_addr r;

	(void)state;
	assert_rc(fr_reserve(p, &r), 0);
	assert_rc(fr_alive(p, r), 1);
	assert_rc(fr_process_pid(p, r), -ESRCH);
	assert_rc(fr_process_name(p, r, name), 0);
	assert_string_equal(name, "");
	assert_rc(fr_unreserve(p, r), 0);
	fr_leave(p);
	fr_arena_detach(a);
}

static void a_reserved_slot_has_not_its_last_holders_name(void **state)
{
	struct fr_arena *a = arena_of(2);
	struct fr_process *p = join(a, NULL), *q = join(a, "q");
	char name[FR_NAME_MAX + 1] = "?";
	struct fr_addr r;

	(void)state;
	fr_leave(q);
	assert_rc(fr_reserve(p, &r), 0);
	assert_rc(fr_process_name(p, r, name), 0);
	assert_string_equal(name, "");
	assert_rc(fr_lookup(p, "q", &r, 1), 0);
	assert_rc(fr_unreserve(p, r), 0);
	fr_leave(p);
	fr_arena_detach(a);
}

static void who_joins_in_a_reserved_slot_has_its_address(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q;
	struct fr_addr first, second;

	(void)state;
	assert_rc(fr_reserve(p, &first), 0);
	assert_rc(fr_reserve(p, &second), 0);
	q = join_reserved(a, second);
	assert_int_equal(fr_self(q).id, second.id);
	assert_rc(fr_process_pid(p, second), getpid());
	fr_leave(q);
	assert_rc(fr_unreserve(p, first), 0);
	fr_leave(p);
	fr_arena_detach(a);
}

static void mail_to_a_reserved_address_waits(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q;
	struct fr_message m;
	struct fr_addr r;

	(void)state;
	assert_rc(fr_reserve(p, &r), 0);
	assert_rc(fr_send(p, r, no_type, "first", 5, 0), 0);
	assert_rc(fr_send(p, r, no_type, "second", 6, 0), 0);
	q = join_reserved(a, r);
	assert_rc(fr_receive(q, 0, &m), 0);
	assert_memory_equal(m.body, "first", 5);
	fr_release(q, &m);
	assert_rc(fr_receive(q, 0, &m), 0);
	assert_memory_equal(m.body, "second", 6);
	fr_release(q, &m);
	fr_leave(q);
	fr_leave(p);
	fr_arena_detach(a);
}

static void mail_to_a_reservation_given_back_is_nobodys(void **state)
{
	struct fr_arena *a = arena_of(2);
	struct fr_process *p = join(a, NULL), *q;
	struct fr_message m;
	struct fr_addr r;

	(void)state;
	assert_rc(fr_reserve(p, &r), 0);
	assert_rc(fr_send(p, r, no_type, "x", 1, 0), 0);
	assert_rc(fr_unreserve(p, r), 0);
	assert_rc(fr_alive(p, r), 0);
	assert_rc(fr_send(p, r, no_type, "x", 1, 0), -ESRCH);
	q = join(a, NULL);
	assert_rc(fr_receive(q, 0, &m), -EAGAIN);
	fr_leave(q);
	fr_leave(p);
	fr_arena_detach(a);
}

static void a_reserved_slot_is_nobody_elses(void **state)
{
	struct fr_arena *a = arena_of(2);
	struct fr_process *p = join(a, NULL), *q;
	struct fr_addr r, more;

	(void)state;
	assert_rc(fr_reserve(p, &r), 0);
	assert_rc(join_rc(a, NULL, &q), -ENOSPC);
	assert_rc(fr_reserve(p, &more), -ENOSPC);
	assert_rc(fr_unreserve(p, r), 0);
	assert_rc(join_rc(a, NULL, &q), 0);
	fr_leave(q);
	fr_leave(p);
	fr_arena_detach(a);
}

static int join_reserved_rc(struct fr_arena *a, struct fr_addr at)
{
	struct fr_process *p;
	int rc = fr_join(a, &(struct fr_join_opts){.reserved = at}, &p);

	if (rc == 0)
		fr_leave(p);
	return rc;
}

static void a_reservation_that_is_not_there_cannot_be_joined(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct fr_addr r;

	(void)state;
	assert_rc(join_reserved_rc(a, (struct fr_addr){5}), -EINVAL);
	assert_rc(join_reserved_rc(a, (struct fr_addr){UINT32_MAX}), -EINVAL);
	assert_rc(join_reserved_rc(a, fr_self(p)), -EINVAL);
	assert_rc(fr_reserve(p, &r), 0);
	assert_rc(fr_unreserve(p, r), 0);
	assert_rc(join_reserved_rc(a, r), -EINVAL);
	assert_int_equal(joined(a), 1);
	fr_leave(p);
	fr_arena_detach(a);
}

static void a_reservation_is_joined_only_once(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q;
	struct fr_addr r;

	(void)state;
	assert_rc(fr_reserve(p, &r), 0);
	q = join_reserved(a, r);
	assert_rc(join_reserved_rc(a, r), -EINVAL);
	fr_leave(q);
	assert_rc(join_reserved_rc(a, r), -EINVAL);
	fr_leave(p);
	fr_arena_detach(a);
}

static void only_its_maker_gives_a_reservation_back(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q = join(a, NULL);
	struct fr_addr r;

	(void)state;
	assert_rc(fr_reserve(p, &r), 0);
	assert_rc(fr_unreserve(q, r), -ESRCH);
	assert_rc(fr_alive(p, r), 1);
	assert_rc(fr_unreserve(p, r), 0);
	assert_rc(fr_unreserve(p, r), -ESRCH);
	assert_rc(fr_unreserve(p, fr_self(p)), -ESRCH);
	assert_rc(fr_unreserve(p, nobody), -ESRCH);
	assert_rc(fr_unreserve(p, (struct fr_addr){UINT64_MAX}), -ESRCH);
	fr_leave(q);
	fr_leave(p);
	fr_arena_detach(a);
}

static void a_reservation_that_was_joined_is_not_given_back(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q;
	struct fr_addr r;

	(void)state;
	assert_rc(fr_reserve(p, &r), 0);
	q = join_reserved(a, r);
	assert_rc(fr_unreserve(p, r), -ESRCH);
	assert_rc(fr_alive(p, r), 1);
	fr_leave(q);
	assert_rc(fr_unreserve(p, r), -ESRCH);
	fr_leave(p);
	fr_arena_detach(a);
}

static void who_leaves_gives_its_reservations_back(void **state)
{
	struct fr_arena *a = arena_of(4);
	struct fr_process *p = join(a, NULL), *q = join(a, NULL);
	struct fr_addr mine, others;

	(void)state;
	assert_rc(fr_reserve(q, &mine), 0);
	assert_rc(fr_reserve(p, &others), 0);
	fr_leave(q);
	assert_rc(fr_alive(p, mine), 0);
	assert_rc(join_reserved_rc(a, mine), -EINVAL);
	assert_rc(fr_alive(p, others), 1);
	assert_int_equal(joined(a), 2);
	fr_leave(p);
	assert_int_equal(joined(a), 0);
	fr_arena_detach(a);
}

static void a_slot_passed_on_has_all_of_its_room_again(void **state)
{
	struct fr_arena *a = arena_of(2);
	struct fr_process *p = join(a, NULL), *q = join(a, NULL);
	struct fr_addr r;

	(void)state;
	while (fr_send(p, fr_self(q), no_type, "x", 1, 0) == 0)
		;
	fr_leave(q);
	assert_rc(fr_reserve(p, &r), 0);
	assert_rc(fr_send(p, r, no_type, "x", 1, 0), 0);
	assert_rc(fr_unreserve(p, r), 0);
	fr_leave(p);
	fr_arena_detach(a);
}

static int race_for_a_reservation(void *ctx)
{
	struct race *race = ctx;
	struct fr_process *p;
	unsigned i;
	int rc;

	for (i = 0; i < ROUNDS; i++) {
		struct round *r = &race->rounds[i];

		line_up(r);
		rc = fr_join(race->arena,
			     &(struct fr_join_opts){.reserved = r->reserved},
			     &p);
		if (rc != 0)
			CHECK_RC(rc, -EINVAL);
		else
			__atomic_fetch_add(&r->won, 1, __ATOMIC_RELAXED);
		advance(&r->tried);
		await(&r->tried, RACERS);
		if (rc == 0)
			fr_leave(p);
	}
	return 0;
}

static void of_those_that_race_for_a_reservation_one_wins(void **state)
{
	struct race *race = shared(sizeof(*race));
	struct fr_arena_opts opts = small_arena;
	pid_t pids[RACERS];
	unsigned i;

	(void)state;
	opts.slots = ROUNDS + 1;
	assert_rc(fr_arena_create(NULL, &opts, &race->arena), 0);
	race->p = join(race->arena, NULL);
	for (i = 0; i < ROUNDS; i++)
		assert_rc(fr_reserve(race->p, &race->rounds[i].reserved), 0);
	for (i = 0; i < RACERS; i++)
		pids[i] = spawn(race_for_a_reservation, race);
	for (i = 0; i < RACERS; i++)
		wait_ok(pids[i]);
	for (i = 0; i < ROUNDS; i++)
		assert_int_equal(race->rounds[i].won, 1);
	fr_leave(race->p);
	fr_arena_detach(race->arena);
}

/* ---- names ---- */

static void a_name_leads_to_its_holder(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, "p"), *q = join(a, "q");
	struct fr_addr found;

	(void)state;
	assert_rc(fr_lookup(p, "q", &found, 1), 1);
	assert_int_equal(found.id, fr_self(q).id);
	assert_rc(fr_lookup(p, "p", &found, 1), 1);
	assert_int_equal(found.id, fr_self(p).id);
	fr_leave(q);
	fr_leave(p);
	fr_arena_detach(a);
}

static void a_name_that_nobody_holds_leads_to_nobody(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, "p"), *q = join(a, NULL);
	struct fr_addr found[2];

	(void)state;
	assert_rc(fr_lookup(p, "q", found, 2), 0);
	assert_rc(fr_lookup(p, "p2", found, 2), 0);
	assert_rc(fr_lookup(p, "P", found, 2), 0);
	fr_leave(q);
	fr_leave(p);
	fr_arena_detach(a);
}

static void a_bad_name_is_not_looked_up(void **state)
{
	static const char long_name[] =
		"123456789 123456789 123456789 123456789 12345678";
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct fr_addr found;

	(void)state;
	assert_rc(fr_lookup(p, "", &found, 1), -EINVAL);
	assert_rc(fr_lookup(p, NULL, &found, 1), -EINVAL);
	assert_rc(fr_lookup(p, "a/b", &found, 1), -EINVAL);
	assert_rc(fr_lookup(p, long_name, &found, 1), -ENAMETOOLONG);
	assert_rc(fr_wait_name(p, "", FR_FOREVER, &found), -EINVAL);
	assert_rc(fr_wait_name(p, long_name, FR_FOREVER, &found),
		  -ENAMETOOLONG);
	fr_leave(p);
	fr_arena_detach(a);
}

static void names_are_told_apart_to_their_last_byte(void **state)
{
	char one[] = "123456789 123456789 123456789 123456789 1234567";
	char two[] = "123456789 123456789 123456789 123456789 1234568";
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, one), *q = join(a, two);
	char name[FR_NAME_MAX + 1];
	struct fr_addr found;

	(void)state;
	assert_int_equal(strlen(one), FR_NAME_MAX);
	assert_rc(fr_lookup(p, one, &found, 1), 1);
	assert_int_equal(found.id, fr_self(p).id);
	assert_rc(fr_lookup(p, two, &found, 1), 1);
	assert_int_equal(found.id, fr_self(q).id);
	assert_rc(fr_process_name(p, found, name), 0);
	assert_string_equal(name, two);
	fr_leave(q);
	fr_leave(p);
	fr_arena_detach(a);
}

static void a_name_is_copied(void **state)
{
	struct fr_arena *a = arena();
	char name[] = "before";
	struct fr_process *p = join(a, name);
	struct fr_addr found;

	(void)state;
	strcpy(name, "after");
	assert_rc(fr_lookup(p, "before", &found, 1), 1);
	assert_rc(fr_lookup(p, "after", &found, 1), 0);
	fr_leave(p);
	fr_arena_detach(a);
}

static bool among(struct fr_process *p, const struct fr_addr *addrs,
		  unsigned count)
{
	unsigned i, times = 0;

	for (i = 0; i < count; i++)
		times += addrs[i].id == fr_self(p).id;
	return times == 1;
}

static void all_holders_of_a_name_are_found(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, "x"), *q = join(a, "x");
	struct fr_process *r = join(a, "x"), *s = join(a, "y");
	struct fr_addr found[8];

	(void)state;
	assert_rc(fr_lookup(s, "x", found, 8), 3);
	assert_true(among(p, found, 3));
	assert_true(among(q, found, 3));
	assert_true(among(r, found, 3));
	fr_leave(s);
	fr_leave(r);
	fr_leave(q);
	fr_leave(p);
	fr_arena_detach(a);
}

static void holders_beyond_the_array_are_counted(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, "x"), *q = join(a, "x");
	struct fr_process *r = join(a, "x");
	struct fr_addr found[3];
	unsigned times;

	(void)state;
	for (times = 0; times < 2; times++) { /* the second from a cache */
		memset(found, 0, sizeof(found));
		assert_rc(fr_lookup(p, "x", found, 2), 3);
		assert_int_not_equal(found[0].id, 0);
		assert_int_not_equal(found[1].id, 0);
		assert_int_not_equal(found[0].id, found[1].id);
		assert_int_equal(found[2].id, 0);
	}
	fr_leave(r);
	fr_leave(q);
	fr_leave(p);
	fr_arena_detach(a);
}

static void holders_can_be_counted_without_an_array(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, "x"), *q = join(a, "x");

	(void)state;
	assert_rc(fr_lookup(p, "x", NULL, 0), 2);
	assert_rc(fr_lookup(p, "x", NULL, 0), 2);
	assert_rc(fr_lookup(p, "y", NULL, 0), 0);
	fr_leave(q);
	fr_leave(p);
	fr_arena_detach(a);
}

static void the_name_of_who_left_leads_to_nobody(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q = join(a, "q");
	struct fr_addr found;

	(void)state;
	assert_rc(fr_lookup(p, "q", &found, 1), 1);
	assert_rc(fr_lookup(p, "q", &found, 1), 1);
	fr_leave(q);
	assert_rc(fr_lookup(p, "q", &found, 1), 0);
	fr_leave(p);
	fr_arena_detach(a);
}

static void a_name_passed_on_leads_to_its_new_holder(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q = join(a, "q");
	struct fr_addr old = fr_self(q), found;

	(void)state;
	assert_rc(fr_lookup(p, "q", &found, 1), 1);
	fr_leave(q);
	q = join(a, "q");
	assert_rc(fr_lookup(p, "q", &found, 1), 1);
	assert_int_equal(found.id, fr_self(q).id);
	assert_int_not_equal(found.id, old.id);
	fr_leave(q);
	fr_leave(p);
	fr_arena_detach(a);
}

static void one_holder_less_is_one_found_less(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, "x"), *q = join(a, "x");
	struct fr_addr found[2];

	(void)state;
	assert_rc(fr_lookup(p, "x", found, 2), 2);
	fr_leave(q);
	assert_rc(fr_lookup(p, "x", found, 2), 1);
	assert_int_equal(found[0].id, fr_self(p).id);
	fr_leave(p);
	fr_arena_detach(a);
}

static void names_in_other_processes_come_and_go(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct guest *g = new_guest(a, "guest");
	struct fr_addr found;
	pid_t pid;

	(void)state;
	assert_rc(fr_lookup(p, "guest", &found, 1), 0);
	pid = invite(g);
	assert_rc(fr_lookup(p, "guest", &found, 1), 1);
	assert_int_equal(found.id, g->self.id);
	advance(&g->leave);
	await(&g->left, 1);
	assert_rc(fr_lookup(p, "guest", &found, 1), 0);
	advance(&g->end);
	wait_ok(pid);
	fr_leave(p);
	fr_arena_detach(a);
}

static void many_names_at_a_time_are_all_found(void **state)
{
	struct fr_process *p[64];
	char name[64][16];
	struct fr_addr found;
	unsigned round, i;
	struct fr_arena *a = arena_of(64);

	(void)state;
	for (round = 0; round < 10; round++) {
		for (i = 0; i < 64; i++) {
			snprintf(name[i], sizeof(name[i]), "%u.%u", round, i);
			p[i] = join(a, name[i]);
		}
		for (i = 0; i < 64; i++) {
			assert_rc(fr_lookup(p[0], name[i], &found, 1), 1);
			assert_int_equal(found.id, fr_self(p[i]).id);
		}
		for (i = 0; i < 64; i++)
			fr_leave(p[i]);
	}
	fr_arena_detach(a);
}

static void more_names_than_are_remembered_are_all_right(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q;
	struct fr_addr found;
	char name[16];
	unsigned i;

	(void)state;
	for (i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "%u", i);
		q = join(a, name);
		assert_rc(fr_lookup(p, name, &found, 1), 1);
		assert_int_equal(found.id, fr_self(q).id);
		fr_leave(q);
		assert_rc(fr_lookup(p, name, &found, 1), 0);
	}
	fr_leave(p);
	fr_arena_detach(a);
}

static void an_index_of_any_words_leads_to_nobody(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, "p");
	uint64_t word = 88172645463325252u;
	struct fr_addr found;
	uint32_t i;

	(void)state;
	for (i = 0; i < a->geo.names; i++) {
		word ^= word << 13;
		word ^= word >> 7;
		word ^= word << 17;
		fr__store_relaxed(&a->names[i], word);
	}
	fr__store_relaxed(&a->header->names_probe, UINT32_MAX);
	fr__add_sc(&a->header->names_version, 1);
	assert_rc(fr_lookup(p, "q", &found, 1), 0);
	assert_rc(fr_lookup(p, "p", &found, 1), 0);
	fr_leave(p);
	fr_arena_detach(a);
}

static void an_index_of_one_word_again_and_again_is_damage(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, "p");
	struct fr_addr found[64];
	uint64_t word = 0;
	uint32_t i;

	(void)state;
	for (i = 0; i < a->geo.names && word == 0; i++)
		word = fr__load_relaxed(&a->names[i]);
	for (i = 0; i < a->geo.names; i++)
		fr__store_relaxed(&a->names[i], word);
	fr__store_relaxed(&a->header->names_probe, UINT32_MAX);
	fr__add_sc(&a->header->names_version, 1);
	assert_rc(fr_lookup(p, "p", found, 64), -EBADMSG);
	fr_leave(p);
	fr_arena_detach(a);
}

/* ---- what is known of a process ---- */

static void a_process_is_known_by_name_and_pid(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, "p");
	struct guest *g = new_guest(a, "guest");
	pid_t pid = invite(g);
	char name[FR_NAME_MAX + 1];

	(void)state;
	assert_rc(fr_process_pid(p, g->self), pid);
	assert_rc(fr_process_name(p, g->self, name), 0);
	assert_string_equal(name, "guest");
	assert_rc(fr_process_pid(p, fr_self(p)), getpid());
	assert_rc(fr_process_name(p, fr_self(p), name), 0);
	assert_string_equal(name, "p");
	see_off(g, pid);
	fr_leave(p);
	fr_arena_detach(a);
}

static void who_joined_without_a_name_has_none(void **state)
{
	struct fr_arena *a = arena_of(1);
	struct fr_process *p = join(a, "before");
	char name[FR_NAME_MAX + 1] = "?";
	struct fr_addr found;

	(void)state;
	fr_leave(p);
	p = join(a, NULL);
	assert_rc(fr_process_name(p, fr_self(p), name), 0);
	assert_string_equal(name, "");
	assert_rc(fr_lookup(p, "before", &found, 1), 0);
	fr_leave(p);
	fr_arena_detach(a);
}

/* ---- waiting for a name ---- */

static void a_name_that_is_there_is_given_at_once(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q = join(a, "q");
	struct fr_addr found = {0};

	(void)state;
	assert_rc(fr_wait_name(p, "q", 0, &found), 0);
	assert_int_equal(found.id, fr_self(q).id);
	assert_rc(fr_wait_name(p, "q", FR_FOREVER, &found), 0);
	fr_leave(q);
	fr_leave(p);
	fr_arena_detach(a);
}

static void who_does_not_wait_for_a_name_is_told_so(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct fr_addr found;

	(void)state;
	assert_rc(fr_wait_name(p, "nobody", 0, &found), -EAGAIN);
	fr_leave(p);
	fr_arena_detach(a);
}

static void a_wait_for_a_name_lasts_its_time_however_one_waits(void **state)
{
	static const int modes[] = {FR_WAIT_ADAPTIVE, FR_WAIT_SLEEP,
				    FR_WAIT_POLL};
	struct fr_arena *a = arena();
	struct fr_process *p;
	struct fr_addr found;
	int64_t start;
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++) {
		p = join_with(a, modes[i]);
		start = now_ns();
		assert_rc(fr_wait_name(p, "nobody", 20 * MS, &found),
			  -ETIMEDOUT);
		assert_true(now_ns() - start >= 20 * MS);
		fr_leave(p);
	}
	fr_arena_detach(a);
}

static int wait_for_the_parent(void *ctx)
{
	struct guest *g = ctx;
	struct fr_process *p;
	struct fr_addr found;

	CHECK_RC(fr_join(g->arena,
			 &(struct fr_join_opts){.wait = FR_WAIT_SLEEP}, &p),
		 0);
	g->self = fr_self(p);
	advance(&g->joined);
	CHECK_RC(fr_wait_name(p, "parent", FR_FOREVER, &found), 0);
	CHECK_RC(fr_process_pid(p, found), getppid());
	fr_leave(p);
	return 0;
}

static void who_sleeps_for_a_name_is_woken_by_who_joins(void **state)
{
	struct guest *g = new_guest(arena(), NULL);
	pid_t pid = spawn(wait_for_the_parent, g);
	struct fr_process *p;

	(void)state;
	await(&g->joined, 1);
	AWAIT(sleeps_for(g->arena, g->self, FR__MARK_NAME));
	p = join(g->arena, "parent");
	/* Rung by us, not woken by its slice's end. */
	assert_false(sleeps_for(g->arena, g->self, FR__MARK_NAME));
	wait_ok(pid);
	fr_leave(p);
	fr_arena_detach(g->arena);
}

static void all_who_sleep_for_a_name_are_woken(void **state)
{
	struct fr_arena *a = arena();
	struct guest *g[4];
	struct fr_process *p;
	pid_t pids[4];
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++) {
		g[i] = new_guest(a, NULL);
		pids[i] = spawn(wait_for_the_parent, g[i]);
	}
	for (i = 0; i < 4; i++) {
		await(&g[i]->joined, 1);
		AWAIT(sleeps_for(a, g[i]->self, FR__MARK_NAME));
	}
	p = join(a, "parent");
	for (i = 0; i < 4; i++)
		wait_ok(pids[i]);
	fr_leave(p);
	fr_arena_detach(a);
}

static void who_sleeps_for_one_name_is_not_content_with_another(void **state)
{
	struct guest *g = new_guest(arena(), NULL);
	pid_t pid = spawn(wait_for_the_parent, g);
	struct fr_process *p, *q;

	(void)state;
	await(&g->joined, 1);
	AWAIT(sleeps_for(g->arena, g->self, FR__MARK_NAME));
	q = join(g->arena, "another");
	AWAIT(sleeps_for(g->arena, g->self, FR__MARK_NAME));
	assert_rc(fr_alive(q, g->self), 1);
	p = join(g->arena, "parent");
	wait_ok(pid);
	fr_leave(p);
	fr_leave(q);
	fr_arena_detach(g->arena);
}

static int poll_for_the_parent(void *ctx)
{
	struct guest *g = ctx;
	struct fr_process *p;
	struct fr_addr found;

	CHECK_RC(fr_join(g->arena, &(struct fr_join_opts){.wait = FR_WAIT_POLL},
			 &p),
		 0);
	advance(&g->joined);
	CHECK_RC(fr_wait_name(p, "parent", FR_FOREVER, &found), 0);
	fr_leave(p);
	return 0;
}

static void who_polls_for_a_name_finds_it(void **state)
{
	struct guest *g = new_guest(arena(), NULL);
	pid_t pid = spawn(poll_for_the_parent, g);
	struct fr_process *p;

	(void)state;
	await(&g->joined, 1);
	p = join(g->arena, "parent");
	wait_ok(pid);
	fr_leave(p);
	fr_arena_detach(g->arena);
}

/* ---- interrupts ---- */

/* A wake-up that is lost is late by a second: once a round, the watchdog ends
 * the test. */
#define INTERRUPTS 100

struct waiter {
	struct fr_process *p;
	int rc;
};

static void *wait_for_nobody(void *ctx)
{
	struct waiter *w = ctx;
	struct fr_addr found;

	w->rc = fr_wait_name(w->p, "nobody", FR_FOREVER, &found);
	return NULL;
}

/* Have a thread wait, and end that with interrupt(), INTERRUPTS times. */
static void interrupt_a_thread(struct fr_process *p,
			       void (*interrupt)(struct fr_process *p))
{
	struct fr_arena *a = fr_process_arena(p);
	struct waiter w = {.p = p};
	pthread_t thread;
	unsigned i;

	for (i = 0; i < INTERRUPTS; i++) {
		fr__and_relaxed(&a->slots[fr__addr_slot(fr_self(p))].waiting,
				~FR__MARK_NAME);
		CHECK(pthread_create(&thread, NULL, wait_for_nobody, &w) == 0);
		AWAIT(sleeps_for(a, fr_self(p), FR__MARK_NAME));
		interrupt(p);
		CHECK(pthread_join(thread, NULL) == 0);
		CHECK_RC(w.rc, -EINTR);
	}
}

static int interrupt_from_here(void *ctx)
{
	struct fr_process *p;

	CHECK_RC(fr_join(ctx, &(struct fr_join_opts){.wait = FR_WAIT_SLEEP},
			 &p),
		 0);
	interrupt_a_thread(p, fr_interrupt);
	fr_leave(p);
	return 0;
}

static void another_thread_ends_a_wait(void **state)
{
	struct fr_arena *a = arena();

	(void)state;
	wait_ok(spawn(interrupt_from_here, a));
	fr_arena_detach(a);
}

static struct fr_process *of_the_handler;

static void interrupt_it(int sig)
{
	(void)sig;
	fr_interrupt(of_the_handler);
}

/* Let the handler run here, where the signal is not blocked. */
static void raise_it(struct fr_process *p)
{
	sigset_t set;

	(void)p;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	raise(SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* the next thread's mask */
}

static int interrupt_from_a_handler(void *ctx)
{
	struct sigaction action = {.sa_handler = interrupt_it};
	sigset_t set;

	CHECK_RC(fr_join(ctx, NULL, &of_the_handler), 0);
	sigaction(SIGUSR1, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	interrupt_a_thread(of_the_handler, raise_it);
	fr_leave(of_the_handler);
	return 0;
}

static void a_signal_handler_ends_a_wait_of_another_thread(void **state)
{
	struct fr_arena *a = arena();

	(void)state;
	wait_ok(spawn(interrupt_from_a_handler, a));
	fr_arena_detach(a);
}

static void an_interrupt_ahead_ends_the_next_wait_and_only_that(void **state)
{
	static const int modes[] = {FR_WAIT_ADAPTIVE, FR_WAIT_SLEEP,
				    FR_WAIT_POLL};
	struct fr_arena *a = arena();
	struct fr_process *p;
	struct fr_addr found;
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++) {
		p = join_with(a, modes[i]);
		fr_interrupt(p);
		assert_rc(fr_wait_name(p, "nobody", FR_FOREVER, &found),
			  -EINTR);
		assert_rc(fr_wait_name(p, "nobody", 5 * MS, &found),
			  -ETIMEDOUT);
		fr_leave(p);
	}
	fr_arena_detach(a);
}

static void an_interrupt_spares_a_wait_that_need_not_sleep(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, "p");
	struct fr_addr found;

	(void)state;
	fr_interrupt(p);
	assert_rc(fr_wait_name(p, "p", FR_FOREVER, &found), 0);
	assert_rc(fr_wait_name(p, "nobody", 0, &found), -EAGAIN);
	assert_rc(fr_wait_name(p, "nobody", FR_FOREVER, &found), -EINTR);
	fr_leave(p);
	fr_arena_detach(a);
}

static void an_interrupt_is_for_one_handle(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL), *q = join(a, NULL);
	struct fr_addr found;

	(void)state;
	fr_interrupt(p);
	assert_rc(fr_wait_name(q, "nobody", 5 * MS, &found), -ETIMEDOUT);
	fr_leave(q);
	fr_leave(p);
	fr_arena_detach(a);
}

static void do_nothing(int sig)
{
	(void)sig;
}

struct signalled {
	struct fr_arena *arena;
	int flags;
	bool receive; /* or wait for a name */
	struct fr_addr self;
	uint32_t joined;
};

static int wait_for_a_signal(void *ctx)
{
	struct signalled *s = ctx;
	struct sigaction action = {
		.sa_handler = do_nothing,
		.sa_flags = s->flags,
	};
	struct fr_process *p;
	struct fr_message m;
	struct fr_addr found;

	sigaction(SIGUSR1, &action, NULL);
	CHECK_RC(fr_join(s->arena, NULL, &p), 0);
	s->self = fr_self(p);
	advance(&s->joined);
	if (s->receive)
		CHECK_RC(fr_receive(p, FR_FOREVER, &m), -EINTR);
	else
		CHECK_RC(fr_wait_name(p, "nobody", FR_FOREVER, &found), -EINTR);
	fr_leave(p);
	return 0;
}

/* One signal may come between its last look and its sleep: send more. */
static void signal_until_it_ends(pid_t pid)
{
	siginfo_t info = {0};

	while (info.si_pid == 0) {
		kill(pid, SIGUSR1);
		test_yield();
		assert_int_equal(waitid(P_PID, (id_t)pid, &info,
					WEXITED | WNOHANG | WNOWAIT),
				 0);
	}
	wait_ok(pid);
}

static void a_signal_ends_a_sleep(int flags, bool receive)
{
	struct signalled *s = shared(sizeof(*s));
	pid_t pid;

	s->arena = arena();
	s->flags = flags;
	s->receive = receive;
	pid = spawn(wait_for_a_signal, s);
	await(&s->joined, 1);
	AWAIT(sleeps_for(s->arena, s->self,
			 receive ? FR__MARK_MAIL : FR__MARK_NAME));
	signal_until_it_ends(pid);
	fr_arena_detach(s->arena);
}

static void a_signal_ends_a_sleep_for_a_name(void **state)
{
	(void)state;
	a_signal_ends_a_sleep(0, false);
}

static void a_signal_ends_a_sleep_for_a_message(void **state)
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

/* ---- the lock that shows that a process lives ---- */

static void while_joined_the_byte_of_the_slot_is_locked(void **state)
{
	struct fr_arena *a = arena();
	struct guest *g = new_guest(a, NULL);
	pid_t pid = invite(g);

	(void)state;
	assert_int_equal(holder(a, g->self), pid);
	see_off(g, pid);
	fr_arena_detach(a);
}

static void in_a_named_arena_the_byte_is_locked_too(void **state)
{
	struct fr_arena *a;
	struct guest *g;
	pid_t pid;

	(void)state;
	assert_rc(fr_arena_create(new_name(), &small_arena, &a), 0);
	g = new_guest(a, NULL);
	pid = invite(g);
	assert_int_equal(holder(a, g->self), pid);
	see_off(g, pid);
	fr_arena_detach(a);
}

static void no_other_byte_is_locked(void **state)
{
	struct fr_arena *a = arena();
	struct guest *g = new_guest(a, NULL);
	pid_t pid = invite(g);
	unsigned i;

	(void)state;
	for (i = 0; i < a->geo.slots; i++)
		if (i != fr__addr_slot(g->self))
			assert_int_equal(holder(a, fr__addr(i, 1)), 0);
	see_off(g, pid);
	fr_arena_detach(a);
}

static void who_left_holds_no_lock(void **state)
{
	struct fr_arena *a = arena();
	struct guest *g = new_guest(a, NULL);
	pid_t pid = invite(g);

	(void)state;
	advance(&g->leave);
	await(&g->left, 1);
	assert_int_equal(holder(a, g->self), 0);
	advance(&g->end);
	wait_ok(pid);
	fr_arena_detach(a);
}

static void who_was_killed_holds_no_lock(void **state)
{
	struct fr_arena *a = arena();
	struct guest *g = new_guest(a, NULL);
	pid_t pid = invite(g);

	(void)state;
	kill_hard(pid);
	assert_int_equal(holder(a, g->self), 0);
	fr_arena_detach(a);
}

static void who_is_stopped_keeps_its_lock(void **state)
{
	struct fr_arena *a = arena();
	struct guest *g = new_guest(a, NULL);
	pid_t pid = invite(g);
	int status;

	(void)state;
	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(holder(a, g->self), pid);
	kill(pid, SIGCONT);
	see_off(g, pid);
	fr_arena_detach(a);
}

static int be_guest_with_a_child(void *ctx)
{
	struct guest *g = ctx;
	struct fr_process *p;

	CHECK_RC(join_rc(g->arena, NULL, &p), 0);
	g->self = fr_self(p);
	g->child = fork();
	if (g->child == 0) {
		/* Outlives its parent: so not of spawn(). */
		alarm(30);
		await(&g->end, 1);
		_exit(0);
	}
	advance(&g->joined);
	await(&g->leave, 1);
	return 0;
}

static void a_child_does_not_keep_its_parents_lock(void **state)
{
	struct fr_arena *a = arena();
	struct guest *g = new_guest(a, NULL);
	pid_t pid = spawn(be_guest_with_a_child, g);
	int status;

	(void)state;
	/* We inherit the child that is left. */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	await(&g->joined, 1);
	assert_int_equal(holder(a, g->self), pid);
	kill_hard(pid);
	assert_int_equal(waitpid(g->child, &status, WNOHANG), 0);
	assert_int_equal(holder(a, g->self), 0);
	advance(&g->end);
	wait_ok(g->child);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
	fr_arena_detach(a);
}

static int attach_while_joined(void *ctx)
{
	struct guest *g = ctx;
	struct fr_process *p;
	struct fr_arena *a, *again;

	CHECK_RC(fr_arena_attach(g->name, NULL, &a), 0);
	CHECK_RC(join_rc(a, NULL, &p), 0);
	g->self = fr_self(p);
	CHECK_RC(fr_arena_attach(g->name, NULL, &again), 0);
	fr_arena_detach(again);
	CHECK_RC(fr_arena_attach_fd(fr_arena_fd(a), &again), 0);
	fr_arena_detach(again);
	advance(&g->joined);
	await(&g->leave, 1);
	fr_leave(p);
	fr_arena_detach(a);
	return 0;
}

static void attaching_once_more_does_not_drop_the_lock(void **state)
{
	const char *name = new_name();
	struct fr_arena *a;
	struct guest *g;
	pid_t pid;

	(void)state;
	assert_rc(fr_arena_create(name, &small_arena, &a), 0);
	g = new_guest(a, name);
	pid = spawn(attach_while_joined, g);
	await(&g->joined, 1);
	assert_int_equal(holder(a, g->self), pid);
	advance(&g->leave);
	wait_ok(pid);
	fr_arena_detach(a);
}

static int join_twice_leave_once(void *ctx)
{
	struct guest *g = ctx;
	struct fr_process *p, *q, *r;

	CHECK_RC(join_rc(g->arena, NULL, &p), 0);
	CHECK_RC(join_rc(g->arena, NULL, &q), 0);
	CHECK_RC(join_rc(g->arena, NULL, &r), -ENOSPC);
	fr_leave(p);
	g->self = fr_self(q);
	advance(&g->joined);
	await(&g->leave, 1);
	fr_leave(q);
	return 0;
}

static void each_handle_has_its_own_lock(void **state)
{
	struct fr_arena *a = arena_of(2);
	struct guest *g = new_guest(a, NULL);
	pid_t pid = spawn(join_twice_leave_once, g);

	(void)state;
	await(&g->joined, 1);
	assert_int_equal(fr__addr_slot(g->self), 1);
	assert_int_equal(holder(a, g->self), pid);
	assert_int_equal(holder(a, fr__addr(0, 1)), 0);
	advance(&g->leave);
	wait_ok(pid);
	fr_arena_detach(a);
}

static int look_at_the_parents_lock(void *ctx)
{
	struct guest *g = ctx;
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = fr__addr_slot(g->self),
		.l_len = 1,
	};

	CHECK(fcntl(fr_arena_fd(g->arena), F_GETLK, &lock) == 0);
	CHECK(lock.l_type == F_WRLCK);
	CHECK(lock.l_pid == getppid());
	/* Taken over by a child that detaches? */
	fr_arena_detach(g->arena);
	return 0;
}

static void a_child_that_detaches_does_not_drop_the_lock(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct guest *g = new_guest(a, NULL);

	(void)state;
	g->self = fr_self(p);
	wait_ok(spawn(look_at_the_parents_lock, g));
	wait_ok(spawn(look_at_the_parents_lock, g));
	fr_leave(p);
	fr_arena_detach(a);
}

/* ---- threads ---- */

struct crowd {
	struct fr_arena *arena;
	struct fr_process *p;
	struct fr_type type;
	uint32_t stop;
};

static void *look_up(void *ctx)
{
	struct crowd *c = ctx;
	struct fr_addr found[8];
	char name[FR_NAME_MAX + 1];
	int count, i;

	while (!reached(&c->stop)) {
		/* "p" stays, those of "x" come and go. */
		CHECK_RC(fr_lookup(c->p, "p", found, 8), 1);
		CHECK(found[0].id == fr_self(c->p).id);
		count = fr_lookup(c->p, "x", found, 8);
		CHECK(count >= 0 && count <= 2);
		for (i = 0; i < count; i++)
			if (fr_process_name(c->p, found[i], name) == 0)
				CHECK(strcmp(name, "x") == 0);
		CHECK_RC(fr_lookup(c->p, "nobody", found, 8), 0);
	}
	return NULL;
}

static void *come_and_go(void *ctx)
{
	struct crowd *c = ctx;
	struct fr_process *p;

	while (!reached(&c->stop)) {
		CHECK_RC(join_rc(c->arena, "x", &p), 0);
		fr_leave(p);
	}
	return NULL;
}

static int one(void *ctx, struct fr_process *p, struct fr_message *m)
{
	(void)p, (void)m;
	CHECK(ctx == (void *)1);
	return 1;
}

static int two(void *ctx, struct fr_process *p, struct fr_message *m)
{
	(void)p, (void)m;
	CHECK(ctx == (void *)2);
	return 2;
}

static void *handle_and_unhandle(void *ctx)
{
	struct crowd *c = ctx;

	while (!reached(&c->stop)) {
		CHECK_RC(fr_handle(c->p, c->type, one, (void *)1), 0);
		CHECK_RC(fr_handle(c->p, c->type, two, (void *)2), 0);
		CHECK_RC(fr_unhandle(c->p, c->type), 0);
	}
	return NULL;
}

static int run_threads(void *ctx)
{
	static void *(*const lives[])(void *) = {
		look_up, look_up, come_and_go, come_and_go, handle_and_unhandle,
	};
	struct crowd c = {.arena = ctx};
	struct fr_message m = {0};
	pthread_t threads[5];
	unsigned i, seen[3] = {0};
	int rc;

	CHECK_RC(join_rc(c.arena, "p", &c.p), 0);
	CHECK_RC(fr_type_intern(c.p, "type", no_type, &c.type), 0);
	m.type = c.type;
	for (i = 0; i < 5; i++)
		CHECK(pthread_create(&threads[i], NULL, lives[i], &c) == 0);
	for (i = 0; i < 100000 || !seen[0] || !seen[1] || !seen[2]; i++) {
		rc = fr_dispatch(c.p, &m);
		CHECK(rc == -ENOMSG || rc == 1 || rc == 2);
		seen[rc == -ENOMSG ? 0 : rc]++;
	}
	advance(&c.stop);
	for (i = 0; i < 5; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	fr_leave(c.p);
	return 0;
}

static void threads_look_up_and_dispatch_while_others_change(void **state)
{
	struct fr_arena *a = arena();

	(void)state;
	wait_ok(spawn(run_threads, a));
	assert_int_equal(joined(a), 0);
	fr_arena_detach(a);
}

static void *join_and_leave(void *ctx)
{
	struct crowd *c = ctx;
	struct fr_process *p;
	unsigned i;

	for (i = 0; i < 500; i++) {
		CHECK_RC(join_rc(c->arena, "x", &p), 0);
		CHECK_RC(fr_alive(p, fr_self(p)), 1);
		CHECK_RC(fr_process_pid(p, fr_self(p)), getpid());
		fr_leave(p);
	}
	return NULL;
}

static int run_joiners(void *ctx)
{
	struct crowd c = {.arena = ctx};
	pthread_t threads[4];
	unsigned i;

	for (i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, join_and_leave, &c) ==
		      0);
	for (i = 0; i < 4; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	return 0;
}

static void threads_may_join_at_once(void **state)
{
	struct fr_arena *a = arena_of(4);

	(void)state;
	wait_ok(spawn(run_joiners, a));
	assert_int_equal(joined(a), 0);
	fr_arena_detach(a);
}

/* ---- types ---- */

static int type_rc(struct fr_process *p, const char *name)
{
	struct fr_type t;

	return fr_type_intern(p, name, no_type, &t);
}

static struct fr_type type(struct fr_process *p, const char *name,
			   struct fr_type parent)
{
	struct fr_type t;

	assert_rc(fr_type_intern(p, name, parent, &t), 0);
	return t;
}

static void the_same_name_is_the_same_type(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);

	(void)state;
	assert_int_equal(type(p, "x", no_type).id, type(p, "x", no_type).id);
	assert_int_not_equal(type(p, "x", no_type).id, 0);
	fr_leave(p);
	fr_arena_detach(a);
}

static void another_name_is_another_type(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);

	(void)state;
	assert_int_not_equal(type(p, "x", no_type).id,
			     type(p, "y", no_type).id);
	fr_leave(p);
	fr_arena_detach(a);
}

static void a_type_is_known_by_its_name(void **state)
{
	static const char longest[] =
		"123456789 123456789 123456789 123456789 1234567";
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	char name[FR_NAME_MAX + 1];

	(void)state;
	assert_rc(fr_type_name(p, type(p, "x", no_type), name), 0);
	assert_string_equal(name, "x");
	assert_rc(fr_type_name(p, type(p, longest, no_type), name), 0);
	assert_string_equal(name, longest);
	fr_leave(p);
	fr_arena_detach(a);
}

struct types {
	struct fr_arena *arena;
	struct fr_type x, y;
	uint32_t ready;
	uint32_t ids[4][12];
};

static int intern_as_child(void *ctx)
{
	struct types *t = ctx;
	struct fr_process *p;
	struct fr_type type_;

	CHECK_RC(join_rc(t->arena, NULL, &p), 0);
	CHECK_RC(fr_type_intern(p, "x", no_type, &type_), 0);
	CHECK(type_.id == t->x.id);
	CHECK_RC(fr_type_intern(p, "y", t->x, &t->y), 0);
	fr_leave(p);
	return 0;
}

static void a_type_is_the_same_in_all_processes(void **state)
{
	struct types *t = shared(sizeof(*t));
	struct fr_process *p;
	char name[FR_NAME_MAX + 1];

	(void)state;
	t->arena = arena();
	p = join(t->arena, NULL);
	t->x = type(p, "x", no_type);
	wait_ok(spawn(intern_as_child, t));
	assert_rc(fr_type_name(p, t->y, name), 0);
	assert_string_equal(name, "y");
	assert_int_equal(type(p, "y", t->x).id, t->y.id);
	fr_leave(p);
	fr_arena_detach(t->arena);
}

static int intern_many(void *ctx)
{
	struct types *t = ctx;
	uint32_t mine = __atomic_fetch_add(&t->ready, 1, __ATOMIC_SEQ_CST), i;
	struct fr_process *p;
	struct fr_type made;
	char name[16];

	CHECK_RC(join_rc(t->arena, NULL, &p), 0);
	AWAIT(reached(&t->ready) == 4);
	for (i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "type %u", i);
		CHECK_RC(fr_type_intern(p, name, no_type, &made), 0);
		t->ids[mine][i] = made.id;
	}
	fr_leave(p);
	return 0;
}

static void processes_that_make_a_type_at_once_agree(void **state)
{
	struct types *t;
	pid_t pids[4];
	unsigned round, i, j;

	(void)state;
	for (round = 0; round < 20; round++) {
		t = shared(sizeof(*t));
		t->arena = arena();
		for (i = 0; i < 4; i++)
			pids[i] = spawn(intern_many, t);
		for (i = 0; i < 4; i++)
			wait_ok(pids[i]);
		for (i = 1; i < 4; i++)
			for (j = 0; j < 12; j++)
				assert_int_equal(t->ids[i][j], t->ids[0][j]);
		fr_arena_detach(t->arena);
	}
}

static int stop(void *ctx, struct fr_process *p, struct fr_message *m)
{
	(void)ctx, (void)p, (void)m;
	return FR_STOP;
}

static void a_type_has_the_parent_it_was_made_with(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct fr_type parent = type(p, "parent", no_type);
	struct fr_message m = {.type = type(p, "child", parent)};

	(void)state;
	assert_rc(fr_dispatch(p, &m), -ENOMSG);
	assert_rc(fr_handle(p, parent, stop, NULL), 0);
	assert_rc(fr_dispatch(p, &m), FR_STOP);
	fr_leave(p);
	fr_arena_detach(a);
}

static void a_type_may_get_its_parent_later(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct fr_type parent = type(p, "parent", no_type);
	struct fr_message m = {.type = type(p, "child", no_type)};

	(void)state;
	assert_rc(fr_handle(p, parent, stop, NULL), 0);
	assert_rc(fr_dispatch(p, &m), -ENOMSG);
	assert_int_equal(type(p, "child", parent).id, m.type.id);
	assert_rc(fr_dispatch(p, &m), FR_STOP);
	fr_leave(p);
	fr_arena_detach(a);
}

static void no_parent_means_whatever_it_has(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct fr_type parent = type(p, "parent", no_type);
	struct fr_message m = {.type = type(p, "child", parent)};

	(void)state;
	assert_rc(fr_handle(p, parent, stop, NULL), 0);
	assert_int_equal(type(p, "child", no_type).id, m.type.id);
	assert_rc(fr_dispatch(p, &m), FR_STOP);
	fr_leave(p);
	fr_arena_detach(a);
}

static void a_second_parent_is_refused(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct fr_type x = type(p, "x", no_type), y = type(p, "y", no_type);
	struct fr_type child = type(p, "child", x), ret = {4242};

	(void)state;
	assert_rc(fr_type_intern(p, "child", y, &ret), -EEXIST);
	assert_int_equal(ret.id, 4242);
	assert_int_equal(type(p, "child", x).id, child.id);
	fr_leave(p);
	fr_arena_detach(a);
}

static void a_parent_that_is_no_type_is_refused(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct fr_type ret, x = type(p, "x", no_type);
	uint32_t i;

	(void)state;
	for (i = 2; i < 40; i++)
		if (i != x.id)
			assert_rc(fr_type_intern(p, "y", (struct fr_type){i}, &ret),
				  -EINVAL);
	assert_rc(fr_type_intern(p, "y", (struct fr_type){UINT32_MAX}, &ret), -EINVAL);
	fr_leave(p);
	fr_arena_detach(a);
}

static void a_type_is_not_its_own_parent(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct fr_type x = type(p, "x", no_type), ret = {4242};

	(void)state;
	assert_rc(fr_type_intern(p, "x", x, &ret), -EINVAL);
	assert_int_equal(ret.id, 4242);
	fr_leave(p);
	fr_arena_detach(a);
}

static void parents_in_a_circle_do_no_harm(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct fr_type x = type(p, "x", no_type), y = type(p, "y", x);
	struct fr_message m = {.type = type(p, "x", y)};

	(void)state;
	assert_rc(fr_dispatch(p, &m), -ENOMSG);
	assert_rc(fr_handle(p, y, stop, NULL), 0);
	assert_rc(fr_dispatch(p, &m), FR_STOP);
	fr_leave(p);
	fr_arena_detach(a);
}

static void a_bad_type_name_is_refused(void **state)
{
	static const char long_name[] =
		"123456789 123456789 123456789 123456789 12345678";
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);

	(void)state;
	assert_rc(type_rc(p, ""), -EINVAL);
	assert_rc(type_rc(p, NULL), -EINVAL);
	assert_rc(type_rc(p, long_name), -ENAMETOOLONG);
	fr_leave(p);
	fr_arena_detach(a);
}

/* Make types until there is no room; how many were made. */
static unsigned fill_types(struct fr_process *p)
{
	char name[16];
	unsigned i;
	int rc = 0;

	for (i = 0; rc == 0; i++) {
		snprintf(name, sizeof(name), "type %u", i);
		rc = type_rc(p, name);
	}
	assert_rc(rc, -ENOSPC);
	return i - 1;
}

static void there_is_room_for_as_many_types_as_asked_for(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct fr_arena_info info;

	(void)state;
	fr_arena_info(a, &info);
	assert_int_equal(fill_types(p), info.types - 1); /* and fr.exit */
	fr_leave(p);
	fr_arena_detach(a);
}

static void in_a_full_table_the_known_types_are_found(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct fr_type x = type(p, "x", no_type);

	(void)state;
	fill_types(p);
	assert_rc(type_rc(p, "another"), -ENOSPC);
	assert_int_equal(type(p, "x", no_type).id, x.id);
	fr_leave(p);
	fr_arena_detach(a);
}

static void a_number_that_is_no_type_has_no_name(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	char name[FR_NAME_MAX + 1] = "?";
	uint32_t i;

	(void)state;
	assert_rc(fr_type_name(p, no_type, name), -ENOENT);
	for (i = 2; i < 40; i++)
		assert_rc(fr_type_name(p, (struct fr_type){i}, name), -ENOENT);
	assert_rc(fr_type_name(p, (struct fr_type){UINT32_MAX}, name), -ENOENT);
	assert_string_equal(name, "?");
	fr_leave(p);
	fr_arena_detach(a);
}

static void a_text_that_its_maker_did_not_finish_is_finished(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct fr_type t = type(p, "a name of several words", no_type);
	char name[FR_NAME_MAX + 1];
	unsigned i;

	(void)state;
	/* As its maker would have left it, dying after the first word. */
	for (i = 1; i < FR__NAME_BYTES / 8; i++)
		fr__store_relaxed(&a->types[t.id - 1].text[i], 0);
	assert_rc(fr_type_name(p, t, name), 0);
	assert_string_equal(name, "a name o");
	type(p, "a name of several words", no_type);
	assert_rc(fr_type_name(p, t, name), 0);
	assert_string_equal(name, "a name of several words");
	fr_leave(p);
	fr_arena_detach(a);
}

static void the_exit_type_is_there_from_the_start(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	char name[FR_NAME_MAX + 1];

	(void)state;
	assert_rc(fr_type_name(p, FR_TYPE_EXIT, name), 0);
	assert_int_equal(type(p, name, no_type).id, FR_TYPE_EXIT.id);
	fr_leave(p);
	fr_arena_detach(a);
}

static void the_exit_type_takes_no_parent(void **state)
{
	struct fr_arena *a = arena();
	struct fr_process *p = join(a, NULL);
	struct fr_type x = type(p, "x", no_type), ret = {4242};
	char name[FR_NAME_MAX + 1];

	(void)state;
	assert_rc(fr_type_name(p, FR_TYPE_EXIT, name), 0);
	assert_rc(fr_type_intern(p, name, x, &ret), -EEXIST);
	assert_int_equal(ret.id, 4242);
	fr_leave(p);
	fr_arena_detach(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_joined_is_alive),
		TEST(who_left_is_gone),
		TEST(the_next_holder_of_a_slot_has_another_address),
		TEST(nobodys_address_is_not_alive),
		TEST(an_address_is_never_that_of_nobody),
		TEST(when_every_slot_is_held_nobody_joins),
		TEST(one_process_may_join_several_times),
		TEST(leaving_with_nothing_does_nothing),
		TEST(a_bad_name_is_not_joined),
		TEST(an_unknown_way_of_waiting_is_not_joined),
		TEST(a_join_that_fails_leaves_its_ret_alone),
		TEST(whoever_is_in_is_counted),
		TEST(those_that_race_for_slots_get_one_each),

		TEST(a_reserved_address_is_alive_before_anyone_joins),
		TEST(a_reserved_slot_has_not_its_last_holders_name),
		TEST(who_joins_in_a_reserved_slot_has_its_address),
		TEST(mail_to_a_reserved_address_waits),
		TEST(mail_to_a_reservation_given_back_is_nobodys),
		TEST(a_reserved_slot_is_nobody_elses),
		TEST(a_reservation_that_is_not_there_cannot_be_joined),
		TEST(a_reservation_is_joined_only_once),
		TEST(only_its_maker_gives_a_reservation_back),
		TEST(a_reservation_that_was_joined_is_not_given_back),
		TEST(who_leaves_gives_its_reservations_back),
		TEST(a_slot_passed_on_has_all_of_its_room_again),
		TEST(of_those_that_race_for_a_reservation_one_wins),

		TEST(a_name_leads_to_its_holder),
		TEST(a_name_that_nobody_holds_leads_to_nobody),
		TEST(a_bad_name_is_not_looked_up),
		TEST(names_are_told_apart_to_their_last_byte),
		TEST(a_name_is_copied),
		TEST(all_holders_of_a_name_are_found),
		TEST(holders_beyond_the_array_are_counted),
		TEST(holders_can_be_counted_without_an_array),
		TEST(the_name_of_who_left_leads_to_nobody),
		TEST(a_name_passed_on_leads_to_its_new_holder),
		TEST(one_holder_less_is_one_found_less),
		TEST(names_in_other_processes_come_and_go),
		TEST(many_names_at_a_time_are_all_found),
		TEST(more_names_than_are_remembered_are_all_right),
		TEST(an_index_of_any_words_leads_to_nobody),
		TEST(an_index_of_one_word_again_and_again_is_damage),

		TEST(a_process_is_known_by_name_and_pid),
		TEST(who_joined_without_a_name_has_none),

		TEST(a_name_that_is_there_is_given_at_once),
		TEST(who_does_not_wait_for_a_name_is_told_so),
		TEST(a_wait_for_a_name_lasts_its_time_however_one_waits),
		TEST(who_sleeps_for_a_name_is_woken_by_who_joins),
		TEST(all_who_sleep_for_a_name_are_woken),
		TEST(who_sleeps_for_one_name_is_not_content_with_another),
		TEST(who_polls_for_a_name_finds_it),

		TEST(another_thread_ends_a_wait),
		TEST(a_signal_handler_ends_a_wait_of_another_thread),
		TEST(an_interrupt_ahead_ends_the_next_wait_and_only_that),
		TEST(an_interrupt_spares_a_wait_that_need_not_sleep),
		TEST(an_interrupt_is_for_one_handle),
		TEST(a_signal_ends_a_sleep_for_a_name),
		TEST(a_signal_ends_a_sleep_for_a_message),
		TEST(so_does_a_signal_that_restarts_system_calls),

		TEST(while_joined_the_byte_of_the_slot_is_locked),
		TEST(in_a_named_arena_the_byte_is_locked_too),
		TEST(no_other_byte_is_locked),
		TEST(who_left_holds_no_lock),
		TEST(who_was_killed_holds_no_lock),
		TEST(who_is_stopped_keeps_its_lock),
		TEST(a_child_does_not_keep_its_parents_lock),
		TEST(attaching_once_more_does_not_drop_the_lock),
		TEST(each_handle_has_its_own_lock),
		TEST(a_child_that_detaches_does_not_drop_the_lock),

		TEST(threads_look_up_and_dispatch_while_others_change),
		TEST(threads_may_join_at_once),

		TEST(the_same_name_is_the_same_type),
		TEST(another_name_is_another_type),
		TEST(a_type_is_known_by_its_name),
		TEST(a_type_is_the_same_in_all_processes),
		TEST(processes_that_make_a_type_at_once_agree),
		TEST(a_type_has_the_parent_it_was_made_with),
		TEST(a_type_may_get_its_parent_later),
		TEST(no_parent_means_whatever_it_has),
		TEST(a_second_parent_is_refused),
		TEST(a_parent_that_is_no_type_is_refused),
		TEST(a_type_is_not_its_own_parent),
		TEST(parents_in_a_circle_do_no_harm),
		TEST(a_bad_type_name_is_refused),
		TEST(there_is_room_for_as_many_types_as_asked_for),
		TEST(in_a_full_table_the_known_types_are_found),
		TEST(a_number_that_is_no_type_has_no_name),
		TEST(a_text_that_its_maker_did_not_finish_is_finished),
		TEST(the_exit_type_is_there_from_the_start),
		TEST(the_exit_type_takes_no_parent),
	};

	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
