/* SPDX-License-Identifier: MIT */
/*
 * The check of a whole arena: clean after every kind of use and while processes
 * are at work, and each kind of damage is told in its words. Damage is written
 * into the mapping by hand.
 */
#include "harness.h"

#include "cell.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define UNITS 64u /* of small_arena's mailboxes */
#define CELLS 8u

/* ---- helpers ---- */

struct told {
	unsigned count;
	char text[16][200];
};

static void note(void *ctx, const char *text)
{
	struct told *t = ctx;

	if (t->count < COUNT(t->text))
		snprintf(t->text[t->count], sizeof(*t->text), "%s", text);
	t->count++;
}

static void check(struct fr_arena *a, struct told *t)
{
	int rc;

	memset(t, 0, sizeof(*t));
	rc = fr_check(a, note, t);
	assert_int_equal(rc, (int)t->count);
}

static void expect_clean(struct fr_arena *a, int line)
{
	struct told t;
	unsigned i;

	check(a, &t);
	for (i = 0; i < t.count && i < COUNT(t.text); i++)
		print_error("line %d: %s\n", line, t.text[i]);
	assert_int_equal(t.count, 0);
}

#define assert_clean(arena) expect_clean(arena, __LINE__)

/* Exactly this is told. */
__attribute__((format(printf, 2, 3))) static void
assert_fault(struct fr_arena *a, const char *format, ...)
{
	char expected[200];
	struct told t;
	va_list args;

	va_start(args, format);
	vsnprintf(expected, sizeof(expected), format, args);
	va_end(args);
	check(a, &t);
	assert_string_equal(t.text[0], expected);
	assert_int_equal(t.count, 1);
}

/* Among others this is told. */
static void assert_told(struct fr_arena *a, const char *text)
{
	struct told t;
	unsigned i;

	check(a, &t);
	for (i = 0; i < t.count && i < COUNT(t.text); i++)
		if (strcmp(t.text[i], text) == 0)
			return;
	assert_string_equal(t.text[0], text);
}

struct room {
	struct fr_arena *arena;
	struct fr_process *one, *two; /* slots 0 and 1 */
	struct fr_event_group *events;
};

static struct fr_process *join(struct fr_arena *a, const char *name)
{
	struct fr_join_opts opts = {.name = name};
	struct fr_process *p;

	assert_rc(fr_join(a, &opts, &p), 0);
	return p;
}

static void open_room_at(struct room *r, uint64_t position)
{
	struct fr_arena_opts opts = small_arena;

	opts.start_position = position;
	assert_rc(fr_arena_create(NULL, &opts, &r->arena), 0);
	r->one = join(r->arena, "one");
	r->two = join(r->arena, NULL);
	assert_rc(fr_event_group_create(r->arena, 4, &r->events), 0);
}

static void open_room(struct room *r)
{
	open_room_at(r, 0);
}

static void close_room(struct room *r)
{
	fr_event_group_free(r->events);
	fr_leave(r->one);
	fr_leave(r->two);
	fr_arena_detach(r->arena);
}

static void put(struct fr__a64 *word, uint64_t value)
{
	fr__store_relaxed(word, value);
}

static uint64_t get(const struct fr__a64 *word)
{
	return fr__load_relaxed(word);
}

/* A word is damaged, told of, and right again: then all is. */
#define damaged(a, word, value, ...)                                           \
	do {                                                                   \
		uint64_t was_ = get(word);                                     \
                                                                               \
		put(word, value);                                              \
		assert_fault(a, __VA_ARGS__);                                  \
		put(word, was_);                                               \
		assert_clean(a);                                               \
	} while (0)

#define damaged32(a, word, value, ...)                                         \
	do {                                                                   \
		uint32_t was_ = fr__load_relaxed(word);                        \
                                                                               \
		fr__store_relaxed(word, value);                                \
		assert_fault(a, __VA_ARGS__);                                  \
		fr__store_relaxed(word, was_);                                 \
		assert_clean(a);                                               \
	} while (0)

#define damaged_plain(a, field, value, ...)                                    \
	do {                                                                   \
		__typeof__(field) was_ = field;                                \
                                                                               \
		field = value;                                                 \
		assert_fault(a, __VA_ARGS__);                                  \
		field = was_;                                                  \
		assert_clean(a);                                               \
	} while (0)

/* ---- clean ---- */

static void a_new_arena_is_clean(void **state)
{
	struct fr_arena_opts odd = {
		.slots = 3, .mailbox_bytes = 8192, .cells = 5, .main_cells = 70,
		.arg_max = 65, .events = 9, .types = 32,
		.start_position = UINT64_MAX - 5,
	};
	struct fr_arena *a;

	(void)state;
	assert_rc(fr_arena_create(new_name(), NULL, &a), 0);
	assert_clean(a);
	fr_arena_detach(a);
	assert_rc(fr_arena_create(NULL, &odd, &a), 0);
	assert_clean(a);
	fr_arena_detach(a);
}

static void it_is_clean_while_processes_are_in_it_and_after(void **state)
{
	struct fr_process *p[8];
	struct fr_arena *a;
	unsigned i;

	(void)state;
	assert_rc(fr_arena_create(NULL, &small_arena, &a), 0);
	for (i = 0; i < 8; i++) {
		p[i] = join(a, i % 2 ? "a name of more than eight bytes" : NULL);
		assert_clean(a);
	}
	for (i = 0; i < 8; i++) {
		fr_leave(p[i]);
		assert_clean(a);
	}
	p[0] = join(a, "again");
	assert_clean(a);
	fr_leave(p[0]);
	fr_arena_detach(a);
}

static void reservations_are_clean(void **state)
{
	struct fr_join_opts opts = {0};
	struct fr_process *p;
	struct fr_addr other;
	struct room r;

	(void)state;
	open_room(&r);
	assert_rc(fr_reserve(r.one, &opts.reserved), 0);
	assert_rc(fr_reserve(r.one, &other), 0);
	assert_rc(fr_send(r.two, other, FR_TYPE_EXIT, "x", 1, 0), 0);
	assert_clean(r.arena);
	assert_rc(fr_join(r.arena, &opts, &p), 0);
	assert_rc(fr_unreserve(r.one, other), 0);
	assert_clean(r.arena);
	fr_leave(p);
	assert_clean(r.arena);
	close_room(&r);
}

static void messages_are_clean_at_each_step(void **state)
{
	uint64_t positions[] = {0, 61, UINT64_MAX - 10};
	char body[1000] = "";
	struct fr_message m[3];
	struct fr_claim claim, other;
	struct room r;
	unsigned i, k;

	(void)state;
	for (i = 0; i < COUNT(positions); i++) {
		open_room_at(&r, positions[i]);
		for (k = 0; k < 3; k++)
			assert_rc(fr_send(r.one, fr_self(r.two), FR_TYPE_EXIT,
					  body, 20 + 300 * k, 0), 0);
		assert_clean(r.arena);
		assert_rc(fr_claim(r.one, fr_self(r.two), FR_TYPE_EXIT, 100,
				   0, &claim), 0);
		assert_rc(fr_claim(r.one, fr_self(r.two), FR_TYPE_EXIT, 300,
				   0, &other), 0);
		memset(claim.body, 0xff, claim.len);
		assert_clean(r.arena);
		for (k = 0; k < 3; k++)
			assert_rc(fr_receive(r.two, 0, &m[k]), 0);
		assert_clean(r.arena);
		fr_release(r.two, &m[1]);
		assert_clean(r.arena);
		/* Passed over: what is behind an open claim. */
		assert_rc(fr_send(r.two, fr_self(r.two), FR_TYPE_EXIT, body, 9,
				  0), 0);
		fr_release(r.two, &m[0]);
		assert_rc(fr_receive(r.two, 0, &m[0]), 0);
		assert_clean(r.arena);
		fr_cancel(r.one, &claim);
		fr_release(r.two, &m[0]);
		assert_clean(r.arena);
		fr_commit(r.one, &other);
		fr_release(r.two, &m[2]);
		assert_rc(fr_receive(r.two, 0, &m[0]), 0);
		fr_release(r.two, &m[0]);
		assert_clean(r.arena);
		close_room(&r);
	}
}

static void a_full_mailbox_is_clean(void **state)
{
	struct room r;

	(void)state;
	open_room_at(&r, 13);
	while (fr_send(r.one, fr_self(r.two), FR_TYPE_EXIT, "", 0, 0) == 0)
		;
	assert_clean(r.arena);
	close_room(&r);
}

static void tasks_are_clean_at_each_step(void **state)
{
	struct fr_task_id id[4];
	struct fr_reply reply;
	struct fr_result result;
	struct fr_task task = {.arg = "x", .len = 1};
	struct room r;
	unsigned i;

	(void)state;
	open_room_at(&r, UINT64_MAX - 2);
	for (i = 0; i < 4; i++)
		assert_rc(fr_submit(r.one, &task, &id[i]), 0);
	assert_clean(r.arena);
	assert_rc(fr_task_cancel(r.one, id[3]), 0);
	assert_rc(fr_take(r.two, 0, &task, &reply), 0);
	assert_clean(r.arena);
	assert_rc(fr_complete(r.two, 0, &reply), 0);
	assert_clean(r.arena);
	assert_rc(fr_take(r.two, 0, &task, &reply), 0);
	assert_rc(fr_collect(r.one, 0, &result), 0);
	assert_clean(r.arena);
	fr_result_release(r.one, &result);
	assert_clean(r.arena);
	/* The worker goes with one in hand, and leaves another's result. */
	fr_leave(r.two);
	assert_clean(r.arena);
	r.two = join(r.arena, NULL);
	assert_clean(r.arena);
	close_room(&r);
}

static void a_task_may_outlive_its_submitter(void **state)
{
	struct fr_task task = {.arg = "x", .len = 1};
	struct fr_reply reply;
	struct fr_task_id id;
	struct room r;

	(void)state;
	open_room(&r);
	assert_rc(fr_submit(r.one, &task, &id), 0);
	assert_rc(fr_submit(r.one, &task, &id), 0);
	assert_rc(fr_take(r.two, 0, &task, &reply), 0);
	fr_leave(r.one);
	assert_clean(r.arena);
	r.one = join(r.arena, NULL);
	assert_clean(r.arena);
	assert_rc(fr_complete(r.two, 0, &reply), 0);
	assert_clean(r.arena);
	close_room(&r);
}

static void a_ring_full_of_cancelled_tasks_is_clean(void **state)
{
	struct fr_task task = {.arg = "x", .len = 1};
	struct fr_result result;
	struct fr_task_id id;
	struct room r;
	unsigned i;

	(void)state;
	open_room(&r);
	assert_rc(fr_submit(r.one, &task, &id), 0);
	for (i = 0; i < 8 * CELLS * 2 + 3; i++) {
		assert_rc(fr_submit(r.one, &task, &id), 0);
		assert_rc(fr_task_cancel(r.one, id), 0);
		assert_rc(fr_collect(r.one, 0, &result), 0);
		fr_result_release(r.one, &result);
	}
	assert_clean(r.arena);
	close_room(&r);
}

static void events_are_clean_at_each_step(void **state)
{
	struct fr_event e[2];
	struct room r;

	(void)state;
	open_room(&r);
	assert_rc(fr_event_reserve(r.one, r.events, &e[0]), 0);
	assert_rc(fr_event_reserve(r.two, r.events, &e[1]), 0);
	assert_clean(r.arena);
	assert_rc(fr_event_set(r.two, e[0]), 0);
	assert_rc(fr_event_post(r.one, e[1]), 0);
	assert_clean(r.arena);
	assert_rc(fr_event_release(r.one, e[0]), 0);
	assert_clean(r.arena);
	close_room(&r);
}

static void types_are_clean(void **state)
{
	struct fr_type type = {0};
	char name[32];
	struct room r;
	unsigned i;

	(void)state;
	open_room(&r);
	for (i = 0; i < 15; i++) {
		snprintf(name, sizeof(name), "%u.%.*s", i, (int)i * 2,
			 "a long name, and a longer one");
		assert_rc(fr_type_intern(r.one, name,
					 i % 3 ? type : FR_TYPE_EXIT, &type),
			  0);
		assert_clean(r.arena);
	}
	close_room(&r);
}

/* A text whose writer died between two words. */
static void a_text_that_was_never_finished_is_clean(void **state)
{
	struct fr_type type, none = {0};
	struct fr__a64 *text;
	struct room r;

	(void)state;
	open_room(&r);
	assert_rc(fr_type_intern(r.one, "a name of three words", none, &type),
		  0);
	text = r.arena->types[type.id - 1].text;
	put(&text[2], 0);
	assert_clean(r.arena);
	put(&text[1], 0);
	assert_clean(r.arena);
	put(&text[0], 0);
	assert_clean(r.arena);
	close_room(&r);
}

struct work {
	struct fr_arena *arena;
	uint32_t ready, stop;
};

static int work(void *ctx)
{
	struct work *w = ctx;
	struct fr_join_opts opts = {.name = "at work"};
	struct fr_task task = {.arg = "x", .len = 1}, taken;
	struct fr_event_group *events;
	struct fr_addr peers[8];
	struct fr_process *p;
	struct fr_message m;
	struct fr_result result;
	struct fr_reply reply;
	struct fr_task_id id;
	struct fr_event e;
	int n;

	CHECK_RC(fr_event_group_create(w->arena, 1, &events), 0);
	advance(&w->ready);
	while (!reached(&w->stop)) {
		CHECK_RC(fr_join(w->arena, &opts, &p), 0);
		CHECK_RC(fr_submit(p, &task, &id), 0);
		if (fr_event_reserve(p, events, &e) == 0)
			CHECK_RC(fr_event_set(p, e), 0);
		n = fr_lookup(p, "at work", peers, 8);
		while (n-- > 0)
			fr_send(p, peers[n], FR_TYPE_EXIT, "x", 1, 0);
		if (fr_take(p, 0, &taken, &reply) == 0)
			CHECK_RC(fr_complete(p, 0, &reply), 0);
		while (fr_receive(p, 0, &m) == 0)
			fr_release(p, &m);
		if (fr_collect(p, 0, &result) == 0)
			fr_result_release(p, &result);
		fr_leave(p);
	}
	fr_event_group_free(events);
	return 0;
}

static void it_is_clean_while_processes_are_at_work(void **state)
{
	struct work *w = shared(sizeof(*w));
	pid_t pids[3];
	unsigned i;

	(void)state;
	assert_rc(fr_arena_create(NULL, &small_arena, &w->arena), 0);
	for (i = 0; i < COUNT(pids); i++)
		pids[i] = spawn(work, w);
	await(&w->ready, COUNT(pids));
	for (i = 0; i < 50; i++)
		assert_clean(w->arena);
	advance(&w->stop);
	for (i = 0; i < COUNT(pids); i++)
		wait_ok(pids[i]);
	assert_clean(w->arena);
	fr_arena_detach(w->arena);
}

/* ---- the dead ---- */

struct victim {
	struct fr_arena *arena;
	uint32_t ready;
};

static int hold_everything(void *ctx)
{
	struct victim *v = ctx;
	struct fr_join_opts opts = {.name = "victim"};
	struct fr_task task = {.arg = "x", .len = 1};
	struct fr_event_group *events;
	struct fr_addr reserved;
	struct fr_process *p;
	struct fr_reply reply;
	struct fr_task_id id;
	struct fr_claim claim;
	struct fr_event e;

	CHECK_RC(fr_join(v->arena, &opts, &p), 0);
	CHECK_RC(fr_event_group_create(v->arena, 1, &events), 0);
	CHECK_RC(fr_event_reserve(p, events, &e), 0);
	CHECK_RC(fr_reserve(p, &reserved), 0);
	CHECK_RC(fr_submit(p, &task, &id), 0);
	CHECK_RC(fr_submit(p, &task, &id), 0);
	CHECK_RC(fr_take(p, 0, &task, &reply), 0);
	CHECK_RC(fr_claim(p, fr_self(p), FR_TYPE_EXIT, 9, 0, &claim), 0);
	advance(&v->ready);
	for (;;)
		pause();
	return 0;
}

static void a_dead_process_is_told_until_it_is_recovered(void **state)
{
	struct victim *v = shared(sizeof(*v));
	struct fr_arena *a;
	pid_t pid;

	(void)state;
	assert_rc(fr_arena_create(NULL, &small_arena, &a), 0);
	v->arena = a;
	pid = spawn(hold_everything, v);
	await(&v->ready, 1);
	assert_clean(a);
	kill_hard(pid);
	assert_fault(a, "slot 0, generation 1: its process (pid %d) is dead: "
			"fr_recover() or `forkring recover` frees it", pid);
	assert_rc(fr_recover(a), 1);
	assert_clean(a);
	fr_arena_detach(a);
}

static void a_dead_recoverer_is_told(void **state)
{
	struct victim *v = shared(sizeof(*v));
	struct fr_arena *a;
	pid_t pid;

	(void)state;
	assert_rc(fr_arena_create(NULL, &small_arena, &a), 0);
	v->arena = a;
	pid = spawn(hold_everything, v);
	await(&v->ready, 1);
	kill_hard(pid);
	put(&a->slots[0].state,
	    fr__slot_word(FR__SLOT_RECOVERING, (uint32_t)pid, 1));
	assert_fault(a, "slot 0, generation 1: its recoverer (pid %d) is dead: "
			"fr_recover() or `forkring recover` frees it", pid);
	assert_rc(fr_recover(a), 1);
	assert_clean(a);
	fr_arena_detach(a);
}

static void a_stopped_process_is_not_dead(void **state)
{
	struct victim *v = shared(sizeof(*v));
	struct fr_arena *a;
	pid_t pid;

	(void)state;
	assert_rc(fr_arena_create(NULL, &small_arena, &a), 0);
	v->arena = a;
	pid = spawn(hold_everything, v);
	await(&v->ready, 1);
	kill(pid, SIGSTOP);
	assert_clean(a);
	kill_hard(pid);
	assert_rc(fr_recover(a), 1);
	fr_arena_detach(a);
}

/* ---- damage: header ---- */

static void a_changed_header_is_told(void **state)
{
	struct room r;

	(void)state;
	open_room(&r);
	damaged_plain(r.arena, r.arena->header->magic, 1,
		      "header: not what was attached");
	damaged_plain(r.arena, r.arena->header->fingerprint, 1,
		      "header: not what was attached");
	damaged_plain(r.arena, r.arena->header->geo.slots, 7,
		      "header: not what was attached");
	damaged_plain(r.arena, r.arena->header->start_position, 7,
		      "header: not what was attached");
	close_room(&r);
}

static void a_sound_header_of_another_arena_is_told(void **state)
{
	struct fr__header was;
	struct fr_arena *other;
	struct room r;

	(void)state;
	open_room(&r);
	assert_rc(fr_arena_create(NULL, &small_arena, &other), 0);
	was = *r.arena->header;
	*r.arena->header = *other->header;
	r.arena->header->names_probe = was.names_probe;
	r.arena->header->events_used = was.events_used;
	assert_fault(r.arena, "header: not what was attached");
	*r.arena->header = was;
	fr_arena_detach(other);
	close_room(&r);
}

static void counts_of_the_header_out_of_bounds_are_told(void **state)
{
	struct room r;

	(void)state;
	open_room(&r);
	damaged32(r.arena, &r.arena->header->events_used, 17,
		  "header: 17 events given to groups, of 16");
	damaged32(r.arena, &r.arena->header->names_probe, 32,
		  "header: a probe of 32 name words, of 32");
	damaged32(r.arena, &r.arena->header->waking, 9,
		  "header: slot 8 is on its way to a task, of 8 slots");
	damaged32(r.arena, &r.arena->header->waking, 3,
		  "header: on its way to a task is slot 2, which is free, "
		  "generation 0");
	close_room(&r);
}

/* ---- damage: slots ---- */

static void a_slot_state_that_is_none_is_told(void **state)
{
	struct room r;

	(void)state;
	open_room(&r);
	damaged(r.arena, &r.arena->slots[3].state, UINT64_C(9) << 60,
		"slot 3: state 9 is none");
	damaged(r.arena, &r.arena->slots[3].state,
		fr__slot_word(FR__SLOT_FREE, 5, 7),
		"slot 3, generation 7: free, and yet of 5");
	close_room(&r);
}

static void a_reservation_of_nobody_is_told(void **state)
{
	struct room r;

	(void)state;
	open_room(&r);
	damaged(r.arena, &r.arena->slots[3].state,
		fr__slot_word(FR__SLOT_RESERVED, 4, 7),
		"slot 3, generation 7: reserved by slot 4, which is free");
	damaged(r.arena, &r.arena->slots[3].state,
		fr__slot_word(FR__SLOT_RESERVED, 100, 7),
		"slot 3, generation 7: reserved by slot 100, which there is "
		"not");
	damaged(r.arena, &r.arena->slots[3].state,
		fr__slot_word(FR__SLOT_RESERVED, 3, 7),
		"slot 3, generation 7: reserved by slot 3, which nobody has "
		"joined");
	close_room(&r);
}

static void bits_of_nobody_are_told(void **state)
{
	struct fr_arena *a;
	struct room r;

	(void)state;
	open_room(&r);
	a = r.arena;
	damaged(a, a->idle, get(a->idle) | 1 << 2,
		"idle bit of slot 2, which is free, generation 0");
	damaged(a, a->naps, get(a->naps) | 1 << 2,
		"nap bit of slot 2, which is free, generation 0");
	damaged(a, a->awake, get(a->awake) | 1 << 2,
		"awake bit of slot 2, which is free, generation 0");
	damaged(a, a->joined, get(a->joined) & ~UINT64_C(2),
		"slot 1, generation 1: in use, but its bit does not say so: "
		"nobody would see it die");
	damaged(a, a->idle, UINT64_C(1) << 40,
		"idle bit of slot 40, which there is not, generation 0");
	close_room(&r);
}

/* ---- damage: names ---- */

static uint64_t name_word(const char *name, unsigned slot, uint32_t g)
{
	return fr__hash(name, strlen(name)) >> 48 << 48 |
	       (uint64_t)slot << 32 | g;
}

static uint32_t home_of(const struct fr_arena *a, const char *name)
{
	return (uint32_t)fr__hash(name, strlen(name)) & (a->geo.names - 1);
}

static void a_name_word_of_nobody_is_told(void **state)
{
	struct fr__a64 *word;
	struct fr_arena *a;
	struct room r;
	uint32_t at;

	(void)state;
	open_room(&r);
	a = r.arena;
	at = home_of(a, "one") ^ 1; /* not its own */
	word = &a->names[at];
	damaged(a, word, name_word("one", 5, 1),
		"name word %u, generation 1: of slot 5, which is free", at);
	damaged(a, word, name_word("one", 900, 1),
		"name word %u, generation 1: of slot 900, which there is not",
		at);
	damaged(a, word, name_word("one", 0, 2),
		"name word %u: of generation 2 of slot 0, which is gone", at);
	damaged(a, word, name_word("two", 0, 1),
		"name word %u: not of the name of slot 0, generation 1", at);
	damaged(a, word, name_word("", 1, 1),
		"name word %u: not of the name of slot 1, generation 1", at);
	close_room(&r);
}

static void a_name_that_cannot_be_found_is_told(void **state)
{
	struct fr__a64 *word;
	struct fr_arena *a;
	struct room r;
	uint32_t at, far;
	uint64_t was;

	(void)state;
	open_room(&r);
	a = r.arena;
	at = home_of(a, "one");
	far = (at + 9) % a->geo.names;
	word = &a->names[at];
	was = get(word);
	damaged(a, word, 0,
		"slot 0, generation 1: no word leads to its name");
	put(word, 0);
	put(&a->names[far], was);
	assert_fault(a, "name word %u (slot 0, generation 1): further from its "
			"home than any look goes", far);
	fr__store_relaxed(&a->header->names_probe, 9);
	assert_clean(a);
	put(word, was);
	assert_fault(a, "name word %u: a second one of slot 0, generation 1",
		     far > at ? far : at);
	put(&a->names[far], 0);
	close_room(&r);
}

static void a_name_without_an_end_is_told(void **state)
{
	struct fr_arena *a;
	struct room r;

	(void)state;
	open_room(&r);
	a = r.arena;
	damaged(a, &a->slots[0].name[5], UINT64_MAX,
		"slot 0, generation 1: its name has no end");
	close_room(&r);
}

/* ---- damage: types ---- */

static void a_damaged_type_is_told(void **state)
{
	struct fr_type parent, type, none = {0};
	struct fr__type_entry *e;
	struct fr_arena *a;
	unsigned other;
	struct room r;

	(void)state;
	open_room(&r);
	a = r.arena;
	assert_rc(fr_type_intern(r.one, "parent", none, &parent), 0);
	assert_rc(fr_type_intern(r.one, "a child of it", parent, &type), 0);
	e = &a->types[type.id - 1];
	for (other = 2; other == type.id || other == parent.id; other++)
		;
	damaged32(a, &e->parent, 17,
		  "type %u: its parent is type 17, which is none", type.id);
	damaged32(a, &e->parent, other,
		  "type %u: its parent is type %u, which is none", type.id,
		  other);
	damaged32(a, &e->parent, type.id,
		  "type %u: its parent is type %u, which is none", type.id,
		  type.id);
	damaged(a, &e->text[0], get(&e->text[0]) ^ 1,
		"type %u: its text is not of its hash", type.id);
	damaged(a, &e->text[5], 'x',
		"type %u: its text is not of its hash", type.id);
	damaged(a, &e->text[5], UINT64_MAX,
		"type %u: its text is not of its hash", type.id);
	damaged32(a, &a->types[other - 1].parent, 1,
		  "type %u: a parent, but no name", other);
	damaged32(a, &a->types[0].parent, 1,
		  "type 1: its entry is not empty");
	close_room(&r);
}

static void a_type_that_cannot_be_found_is_told(void **state)
{
	struct fr_arena *a;
	struct room r;
	unsigned at;

	(void)state;
	open_room(&r);
	a = r.arena;
	at = 5;
	put(&a->types[at].hash, UINT64_C(0xabcdef0000000000) | (at - 1));
	assert_fault(a, "type %u: an empty entry before it hides it", at + 1);
	put(&a->types[at - 1].hash, UINT64_C(0x123450000000000) | (at - 1));
	assert_clean(a);
	close_room(&r);
}

static void types_that_go_round_the_end_are_clean(void **state)
{
	struct fr_arena *a;
	struct room r;

	(void)state;
	open_room(&r);
	a = r.arena;
	put(&a->types[15].hash, UINT64_C(0xabc0) | 15);
	put(&a->types[1].hash, UINT64_C(0xdef0) | 15);
	assert_clean(a);
	put(&a->types[15].hash, 0);
	assert_fault(a, "type 2: an empty entry before it hides it");
	close_room(&r);
}

/* ---- damage: events ---- */

static uint64_t event_word(unsigned owner, unsigned flags)
{
	return UINT64_C(3) << 24 | (uint64_t)owner << 12 | flags;
}

static void a_damaged_event_is_told(void **state)
{
	struct fr_arena *a;
	struct room r;

	(void)state;
	open_room(&r);
	a = r.arena;
	damaged(a, &a->events[2].truth, event_word(0, 1 << 10),
		"event 2, generation 3: set, but not reserved");
	damaged(a, &a->events[2].truth, event_word(0, 7),
		"event 2, generation 3: set, but not reserved");
	damaged(a, &a->events[2].truth, event_word(6, 1 << 11),
		"event 2, generation 3: reserved by slot 6, which is free");
	damaged(a, &a->events[2].truth, event_word(4000, 1 << 11),
		"event 2, generation 3: reserved by slot 4000, which there is "
		"not");
	damaged(a, &a->events[4].truth, event_word(0, 1 << 11),
		"event 4, generation 3: reserved, but of no group");
	close_room(&r);
}

/* ---- damage: tasks ---- */

static uint64_t cell_word(uint32_t g, enum fr__cell_state state, unsigned owner,
			  unsigned outcome)
{
	return (uint64_t)g << 32 | (uint64_t)state << 20 | owner << 8 | outcome;
}

static struct fr__cell *submit(struct room *r, struct fr_task_id *id)
{
	struct fr_task task = {.arg = "x", .len = 1};

	assert_rc(fr_submit(r->one, &task, id), 0);
	return fr__arena_cell(r->arena, (uint32_t)id->id);
}

static void a_damaged_task_ring_is_told(void **state)
{
	struct fr__taskring *ring;
	struct fr_task_id id;
	struct fr_arena *a;
	struct room r;

	(void)state;
	open_room(&r);
	a = r.arena;
	ring = &a->tasks;
	submit(&r, &id);
	damaged(a, &ring->words[0], 0,
		"task ring: a word behind the tail is not empty");
	submit(&r, &id);
	damaged(a, &ring->words[0], 0,
		"task ring: a word between head and tail is not an entry");
	damaged(a, &ring->words[0],
		get(&ring->words[0]) ^ UINT64_C(1000) << 39,
		"task ring: an entry of a cell that there is not");
	damaged(a, &ring->words[7], 0,
		"task ring: a word behind the tail is not empty");
	damaged(a, &ring->ctl->tail, 1000,
		"task ring: tail is before head, or a lap ahead of it");
	damaged(a, &ring->ctl->head, 3,
		"task ring: tail is before head, or a lap ahead of it");
	close_room(&r);
}

static void head_and_tail_of_the_task_ring_may_lag(void **state)
{
	struct fr__taskring *ring;
	struct fr_task_id id;
	struct fr_arena *a;
	struct fr_task task;
	struct fr_reply reply;
	struct room r;
	unsigned i;

	(void)state;
	open_room(&r);
	a = r.arena;
	ring = &a->tasks;
	submit(&r, &id);
	submit(&r, &id);
	for (i = 0; i <= 2; i++) {
		put(&ring->ctl->tail, i);
		assert_clean(a);
	}
	assert_rc(fr_take(r.two, 0, &task, &reply), 0);
	for (i = 0; i <= 1; i++) {
		put(&ring->ctl->head, i);
		put(&ring->ctl->tail, i);
		assert_clean(a);
	}
	close_room(&r);
}

static void a_lost_task_is_told(void **state)
{
	struct fr_task_id id;
	struct fr__a64 taking;
	struct fr_arena *a;
	struct fr__cell *c;
	uint32_t cell, g;
	struct room r;

	(void)state;
	open_room(&r);
	a = r.arena;
	c = submit(&r, &id);
	assert_int_equal(fr__taskring_take(&a->tasks, &taking, &cell, &g), 1);
	assert_fault(a, "cell 0, generation 1: queued, but no entry leads to "
			"it: task lost");
	/* Whoever has it in hand notes it. */
	put(&a->slots[1].taking, get(&taking));
	assert_clean(a);
	put(&a->slots[1].taking, 0);
	put(&a->slots[5].taking, get(&taking));
	assert_fault(a, "cell 0, generation 1: queued, but no entry leads to "
			"it: task lost");
	/* An entry of another generation is no entry. */
	assert_rc(fr__taskring_push(&a->tasks, cell, g + 1), 0);
	assert_fault(a, "cell 0, generation 1: queued, but no entry leads to "
			"it: task lost");
	assert_rc(fr__taskring_push(&a->tasks, cell, g), 0);
	assert_clean(a);
	put(&c->state, cell_word(1, FR__CELL_FREE, 0, 0));
	close_room(&r);
}

static void a_cell_of_nobody_is_told(void **state)
{
	struct fr_arena *a;
	struct fr__cell *c;
	struct room r;

	(void)state;
	open_room(&r);
	a = r.arena;
	c = fr__arena_cell(a, 3 * CELLS); /* of slot 3 */
	damaged(a, &c->state, cell_word(5, 9, 0, 0),
		"cell 24, generation 5: state 9 is none");
	damaged(a, &c->state, cell_word(5, FR__CELL_FILLING, 3, 0),
		"cell 24, generation 5: being filled, but of slot 3, which is "
		"free");
	damaged(a, &c->state, cell_word(5, FR__CELL_HELD, 3, 0),
		"cell 24, generation 5: held, but of slot 3, which is free");
	damaged(a, &c->state, cell_word(5, FR__CELL_DONE, 0, 1),
		"cell 24, generation 5: done, but of slot 3, which is free");
	damaged(a, &c->state, cell_word(5, FR__CELL_TAKEN, 6, 0),
		"cell 24, generation 5: taken by slot 6, which is free");
	damaged(a, &c->state, cell_word(5, FR__CELL_TAKEN, 4001, 0),
		"cell 24, generation 5: taken by slot 4001, which there is "
		"not");
	put(&c->state, cell_word(5, FR__CELL_QUEUED, 3, 0));
	assert_told(a, "cell 24, generation 5: queued, but of slot 3, which is "
		       "free");
	/* A task that outlives its submitter. */
	put(&c->state, cell_word(5, FR__CELL_TAKEN, 1, 0));
	assert_clean(a);
	close_room(&r);
}

/* A call stands in a cell of the caller's, TAKEN by the callee. */
static void a_damaged_call_is_told(void **state)
{
	struct fr_arena *a;
	struct fr__cell *c;
	struct room r;

	(void)state;
	open_room(&r);
	a = r.arena;
	c = fr__arena_cell(a, 2);
	c->from = fr_self(r.one).id;
	put(&c->state, cell_word(5, FR__CELL_TAKEN, 1, FR__CALL_OPEN));
	assert_clean(a);
	damaged_plain(a, c->from, UINT64_C(9) << 32,
		      "cell 2, generation 5: called, but its submitter is gone");
	/* The callee has left, and the caller has not looked yet. */
	put(&c->state, cell_word(5, FR__CELL_TAKEN, 4, FR__CALL_OPEN));
	assert_clean(a);
	put(&c->state, cell_word(5, FR__CELL_TAKEN, 4, FR__CALL_WRITING));
	assert_fault(a, "cell 2, generation 5: taken by slot 4, which is free");
	put(&c->state, cell_word(5, FR__CELL_TAKEN, 1, FR__CALL_GIVEN_UP));
	c->from = UINT64_C(9) << 32 | 7;
	assert_clean(a);
	c->from = fr_self(r.one).id;
	put(&c->state, cell_word(5, FR__CELL_DONE, 1, FR__CALL_REPLIED));
	damaged_plain(a, c->result_len, 65,
		      "cell 2, generation 5: a result of 65 bytes, of 64");
	put(&c->state, cell_word(5, FR__CELL_FREE, 0, 0));
	close_room(&r);
}

static void a_cell_of_another_is_told(void **state)
{
	struct fr_task_id id;
	struct fr_arena *a;
	struct fr__cell *c;
	struct room r;

	(void)state;
	open_room(&r);
	a = r.arena;
	c = submit(&r, &id);
	damaged(a, &c->state, cell_word(1, FR__CELL_QUEUED, 1, 0),
		"cell 0, generation 1: queued, of slot 0, but owned by slot 1");
	damaged(a, &c->state, cell_word(1, FR__CELL_HELD, 1, 0),
		"cell 0, generation 1: held, of slot 0, but owned by slot 1");
	damaged_plain(a, c->from, UINT64_C(2) << 32,
		      "cell 0, generation 1: queued, but its submitter is "
		      "gone");
	damaged_plain(a, c->from, fr_self(r.two).id,
		      "cell 0, generation 1: queued, but its submitter is "
		      "gone");
	close_room(&r);
}

static void lengths_out_of_bounds_are_told(void **state)
{
	struct fr_task_id id;
	struct fr_arena *a;
	struct fr__cell *c;
	struct room r;
	uint64_t queued;

	(void)state;
	open_room(&r);
	a = r.arena;
	c = submit(&r, &id);
	damaged_plain(a, c->arg_len, 65,
		      "cell 0, generation 1: an argument of 65 bytes, of 64");
	queued = get(&c->state);
	put(&c->state, cell_word(1, FR__CELL_DONE, 1, FR_TASK_DONE));
	damaged_plain(a, c->result_len, UINT32_MAX,
		      "cell 0, generation 1: a result of 4294967295 bytes, of "
		      "64");
	put(&c->state, cell_word(1, FR__CELL_DONE, 1, FR_TASK_CANCELLED));
	c->result_len = 1000; /* nobody reads it */
	assert_clean(a);
	put(&c->state, queued);
	close_room(&r);
}

static void a_done_bit_of_no_cell_is_told(void **state)
{
	struct fr_arena *a;
	struct room r;

	(void)state;
	open_room(&r);
	a = r.arena;
	damaged(a, fr__done(a, 2), UINT64_C(1) << 9,
		"slot 2: cell 9 is said to be done, of 8");
	close_room(&r);
}

/* ---- damage: mailboxes ---- */

static void a_damaged_mailbox_is_told(void **state)
{
	const struct fr__ring *ring;
	struct fr_arena *a;
	struct room r;

	(void)state;
	open_room(&r);
	a = r.arena;
	assert_rc(fr_send(r.one, fr_self(r.two), FR_TYPE_EXIT, "x", 1, 0), 0);
	ring = fr__arena_ring(a, 1);
	damaged(a, &fr__ring_at(ring, 0)->tag, 0,
		"mailbox of slot 1: a tag that is neither a record nor free "
		"(head 0, tail 1)");
	damaged(a, &fr__ring_at(ring, 9)->tag, 0,
		"mailbox of slot 1: a unit behind the end is not free "
		"(head 0, tail 1)");
	damaged(a, &ring->ctl->tail, 9,
		"mailbox of slot 1: tail is not a border, or is past the end "
		"(head 0, tail 9)");
	close_room(&r);
}

/* As if all that was in the one had been in the other. */
static void move_ring(const struct fr__ring *to, const struct fr__ring *from)
{
	uint64_t i;

	memcpy(to->units, from->units, UNITS * FR__UNIT);
	for (i = 0; i < UNITS; i++)
		put(&fr__ring_at(to, i)->tag, get(&fr__ring_at(from, i)->tag) ^
						      from->secret ^ to->secret);
	*to->ctl = *from->ctl;
}

/* Written by a reader that died: in the slot of one that lives nobody mends it,
 * in any other its next holder does. */
static void what_a_reader_had_begun_to_free_is_its_successors(void **state)
{
	const struct fr__ring *live, *left;
	struct fr_message m;
	struct fr_arena *a;
	struct room r;

	(void)state;
	open_room(&r);
	a = r.arena;
	assert_rc(fr_send(r.one, fr_self(r.two), FR_TYPE_EXIT, "x", 1, 0), 0);
	live = fr__arena_ring(a, 1);
	damaged(a, &live->ctl->head, 1,
		"mailbox of slot 1: a unit behind the end is not free "
		"(head 1, tail 1)");
	assert_rc(fr_receive(r.two, 0, &m), 0);
	fr_release(r.two, &m);

	left = fr__arena_ring(a, 6);
	move_ring(left, live);
	assert_clean(a);
	close_room(&r);
}

static void a_half_freed_mailbox_of_nobody_is_clean(void **state)
{
	char body[200] = "";
	const struct fr__ring *ring, *left;
	uint64_t freed[4], i;
	struct fr_arena *a;
	struct room r;

	(void)state;
	open_room(&r);
	a = r.arena;
	ring = fr__arena_ring(a, 0);
	left = fr__arena_ring(a, 6);
	fr__ring_init(left, UNITS); /* as it is a lap later */
	for (i = 0; i < 4; i++)
		freed[i] = get(&fr__ring_at(left, i)->tag);
	assert_rc(fr_send(r.one, fr_self(r.one), FR_TYPE_EXIT, body, 200, 0), 0);
	move_ring(left, ring);
	put(&left->ctl->tail, 4);
	put(&left->ctl->head, 4);
	put(&fr__ring_at(left, 3)->tag, freed[3]);
	assert_clean(a);
	/* But its header must be there. */
	put(&fr__ring_at(left, 2)->tag, freed[2]);
	put(&fr__ring_at(left, 1)->tag, freed[1]);
	put(&fr__ring_at(left, 0)->tag, 0);
	assert_fault(a, "mailbox of slot 6: a unit behind the end is not free "
			"(head 4, tail 4)");
	close_room(&r);
}

static void a_claim_of_nobody_is_told(void **state)
{
	const struct fr__ring *ring;
	struct fr__place to;
	struct fr_arena *a;
	struct room r;

	(void)state;
	open_room_at(&r, UINT64_MAX - 1);
	a = r.arena;
	ring = fr__arena_ring(a, 1);
	assert_rc(fr__ring_claim(ring, 0, 3, &to), 0);
	fr__ring_advance(ring, to.position, 3);
	assert_clean(a);
	assert_rc(fr__ring_claim(ring, 7, 2, &to), 0);
	fr__ring_advance(ring, to.position, 2);
	assert_fault(a, "mailbox of slot 1: up to 5, a claim of slot 7, which "
			"is free");
	assert_int_equal(fr__ring_bury(ring, 7), 1);
	assert_clean(a);
	close_room(&r);
}

/* ---- reporting ---- */

static void faults_are_counted_without_a_report(void **state)
{
	struct room r;

	(void)state;
	open_room(&r);
	put(&r.arena->slots[3].state, UINT64_C(9) << 60);
	put(&r.arena->slots[4].state, UINT64_C(9) << 60);
	assert_rc(fr_check(r.arena, NULL, NULL), 2);
	put(&r.arena->slots[3].state, 0);
	put(&r.arena->slots[4].state, 0);
	close_room(&r);
}

static void of_very_many_faults_a_thousand_are_told(void **state)
{
	struct fr_arena_opts opts = small_arena;
	struct fr_arena *a;
	unsigned i;

	(void)state;
	opts.events = 3000;
	assert_rc(fr_arena_create(NULL, &opts, &a), 0);
	for (i = 0; i < 3000; i++)
		put(&a->events[i].truth, event_word(0, 1));
	assert_rc(fr_check(a, NULL, NULL), 1000);
	fr_arena_detach(a);
}

static void an_arena_of_random_words_is_only_told_of(void **state)
{
	struct fr_arena *a;
	unsigned short seed[3] = {1, 2, 3};
	unsigned i;
	size_t at;

	(void)state;
	for (i = 0; i < 8; i++) {
		assert_rc(fr_arena_create(NULL, &small_arena, &a), 0);
		for (at = i % 2 ? sizeof(struct fr__header) : 0;
		     at + 8 <= a->bytes; at += i < 4 ? 8 : 8 * (nrand48(seed) % 200 + 1))
			put((void *)(a->base + at),
			    (uint64_t)(uint32_t)mrand48() << 32 |
				    (uint32_t)mrand48());
		assert_true(fr_check(a, NULL, NULL) > 0);
		fr_arena_detach(a);
	}
}

static int fork_and_check(void *ctx)
{
	struct fr_arena *a = ctx;

	CHECK_RC(fr_check(a, NULL, NULL), 0);
	return 0;
}

static void any_process_that_has_it_mapped_may_check(void **state)
{
	struct room r;

	(void)state;
	open_room(&r);
	wait_ok(spawn(fork_and_check, r.arena));
	close_room(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_arena_is_clean),
		TEST(it_is_clean_while_processes_are_in_it_and_after),
		TEST(reservations_are_clean),
		TEST(messages_are_clean_at_each_step),
		TEST(a_full_mailbox_is_clean),
		TEST(tasks_are_clean_at_each_step),
		TEST(a_task_may_outlive_its_submitter),
		TEST(a_ring_full_of_cancelled_tasks_is_clean),
		TEST(events_are_clean_at_each_step),
		TEST(types_are_clean),
		TEST(a_text_that_was_never_finished_is_clean),
		TEST(it_is_clean_while_processes_are_at_work),

		TEST(a_dead_process_is_told_until_it_is_recovered),
		TEST(a_dead_recoverer_is_told),
		TEST(a_stopped_process_is_not_dead),

		TEST(a_changed_header_is_told),
		TEST(a_sound_header_of_another_arena_is_told),
		TEST(counts_of_the_header_out_of_bounds_are_told),
		TEST(a_slot_state_that_is_none_is_told),
		TEST(a_reservation_of_nobody_is_told),
		TEST(bits_of_nobody_are_told),
		TEST(a_name_word_of_nobody_is_told),
		TEST(a_name_that_cannot_be_found_is_told),
		TEST(a_name_without_an_end_is_told),
		TEST(a_damaged_type_is_told),
		TEST(a_type_that_cannot_be_found_is_told),
		TEST(types_that_go_round_the_end_are_clean),
		TEST(a_damaged_event_is_told),
		TEST(a_damaged_task_ring_is_told),
		TEST(head_and_tail_of_the_task_ring_may_lag),
		TEST(a_lost_task_is_told),
		TEST(a_cell_of_nobody_is_told),
		TEST(a_damaged_call_is_told),
		TEST(a_cell_of_another_is_told),
		TEST(lengths_out_of_bounds_are_told),
		TEST(a_done_bit_of_no_cell_is_told),
		TEST(a_damaged_mailbox_is_told),
		TEST(what_a_reader_had_begun_to_free_is_its_successors),
		TEST(a_half_freed_mailbox_of_nobody_is_clean),
		TEST(a_claim_of_nobody_is_told),

		TEST(faults_are_counted_without_a_report),
		TEST(of_very_many_faults_a_thousand_are_told),
		TEST(an_arena_of_random_words_is_only_told_of),
		TEST(any_process_that_has_it_mapped_may_check),
	};

	return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
