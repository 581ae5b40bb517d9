/* SPDX-License-Identifier: MIT */
/*
 * Messages: what is sent arrives once, whole and in order, whoever else is
 * stopped, slow or gone; handlers; fr_run(). Two handles of one process where
 * steps must stand in a row, several processes where they must not.
 */
#include "harness.h"

#include "arena.h"
#include "process.h"
#include "ring.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define NO_TYPE ((struct fr_type){0})
#define PLAIN ((struct fr_type){77}) /* a number that nobody interned */

/* ---- two processes' handles in one process ---- */

struct pair {
	struct fr_arena *arena;
	struct fr_process *from, *to;
	struct fr_arena_info info;
};

static struct fr_process *join(struct fr_arena *arena, const char *name,
			       enum fr_wait_mode wait)
{
	struct fr_join_opts opts = {.name = name, .wait = wait};
	struct fr_process *p;

	assert_rc(fr_join(arena, &opts, &p), 0);
	return p;
}

static struct fr_process *join_in_child(struct fr_arena *arena,
					const char *name, enum fr_wait_mode wait)
{
	struct fr_join_opts opts = {.name = name, .wait = wait};
	struct fr_process *p;

	CHECK_RC(fr_join(arena, &opts, &p), 0);
	return p;
}

static void open_pair(struct pair *t, const struct fr_arena_opts *opts)
{
	assert_rc(fr_arena_create(NULL, opts, &t->arena), 0);
	fr_arena_info(t->arena, &t->info);
	t->from = join(t->arena, "from", FR_WAIT_ADAPTIVE);
	t->to = join(t->arena, "to", FR_WAIT_ADAPTIVE);
}

static void close_pair(struct pair *t)
{
	fr_leave(t->from);
	fr_leave(t->to);
	fr_arena_detach(t->arena);
}

static bool sleeps_for(struct fr_arena *arena, struct fr_addr who,
		       uint32_t mark)
{
	return fr__load_sc(&arena->slots[fr__addr_slot(who)].waiting) & mark;
}

/* How many of these are asleep. */
static unsigned asleep(struct fr_arena *arena, const struct fr_addr *who,
		       unsigned count, uint32_t mark)
{
	unsigned n = 0, i;

	for (i = 0; i < count; i++)
		n += sleeps_for(arena, who[i], mark);
	return n;
}

/* Content follows from a seed. */
static void paint(void *body, size_t len, uint32_t seed)
{
	unsigned char *b = body;
	size_t i;

	for (i = 0; i < len; i++)
		b[i] = (unsigned char)(seed * 131 + i * 7 + (i >> 8));
}

static bool painted(const void *body, size_t len, uint32_t seed)
{
	const unsigned char *b = body;
	size_t i;

	for (i = 0; i < len; i++)
		if (b[i] != (unsigned char)(seed * 131 + i * 7 + (i >> 8)))
			return false;
	return true;
}

static int send_int(struct fr_process *from, struct fr_process *to, uint32_t n,
		    int64_t wait_ns)
{
	return fr_send(from, fr_self(to), PLAIN, &n, sizeof(n), wait_ns);
}

static uint32_t int_of(const struct fr_message *m)
{
	uint32_t n;

	memcpy(&n, m->body, sizeof(n));
	return n;
}

/* The next message is this number. */
static void receive_int(struct fr_process *to, uint32_t n)
{
	struct fr_message m;

	assert_rc(fr_receive(to, 0, &m), 0);
	assert_int_equal(m.len, sizeof(n));
	assert_int_equal(int_of(&m), n);
	fr_release(to, &m);
}

static void receive_none(struct fr_process *to)
{
	struct fr_message m;

	assert_rc(fr_receive(to, 0, &m), -EAGAIN);
}

/* Fill a mailbox with numbers from 0 on; how many there are. */
static uint32_t fill(struct fr_process *from, struct fr_process *to)
{
	uint32_t n = 0;
	int rc;

	while ((rc = send_int(from, to, n, 0)) == 0)
		n++;
	assert_rc(rc, -EAGAIN);
	return n;
}

static void mailbox_is_sound(struct fr_process *p)
{
	const char *wrong = fr__ring_check(&p->mailbox);

	if (wrong)
		fail_msg("%s", wrong);
}

/* ---- one sender, one receiver ---- */

static void a_message_arrives_as_it_was_sent(void **state)
{
	struct fr_message m;
	struct fr_type type;
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	receive_none(t.to);
	assert_rc(fr_type_intern(t.from, "greeting", NO_TYPE, &type), 0);
	assert_rc(fr_send(t.from, fr_self(t.to), type, "hello", 5, 0), 0);
	assert_rc(fr_receive(t.to, 0, &m), 0);
	assert_int_equal(m.len, 5);
	assert_memory_equal(m.body, "hello", 5);
	assert_int_equal(m.type.id, type.id);
	assert_true(m.from.id == fr_self(t.from).id);
	assert_int_equal((uintptr_t)m.body % 8, 0);
	fr_release(t.to, &m);
	assert_null(m.body);
	receive_none(t.to);
	receive_none(t.from);
	close_pair(&t);
}

static void a_process_sends_to_itself(void **state)
{
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	assert_rc(send_int(t.to, t.to, 5, FR_FOREVER), 0);
	receive_int(t.to, 5);
	receive_none(t.to);
	close_pair(&t);
}

static void messages_of_each_sender_arrive_in_order(void **state)
{
	struct fr_process *other;
	struct fr_message m;
	struct pair t;
	uint32_t i, a = 0, b = 0;

	(void)state;
	open_pair(&t, &small_arena);
	other = join(t.arena, NULL, FR_WAIT_ADAPTIVE);
	for (i = 0; i < 20; i++) {
		assert_rc(send_int(t.from, t.to, i, 0), 0);
		if (i % 2)
			assert_rc(send_int(other, t.to, i / 2, 0), 0);
	}
	while (fr_receive(t.to, 0, &m) == 0) {
		if (m.from.id == fr_self(t.from).id)
			assert_int_equal(int_of(&m), a++);
		else
			assert_int_equal(int_of(&m), b++);
		fr_release(t.to, &m);
	}
	assert_int_equal(a, 20);
	assert_int_equal(b, 10);
	fr_leave(other);
	close_pair(&t);
}

/* One after the other through the mailbox, so that all places are used. */
static void goes_through(struct pair *t, size_t len, unsigned char *body)
{
	struct fr_message m;

	paint(body, len, (uint32_t)len);
	assert_rc(fr_send(t->from, fr_self(t->to), PLAIN, body, len, 0), 0);
	assert_rc(fr_receive(t->to, 0, &m), 0);
	assert_int_equal(m.len, len);
	assert_true(painted(m.body, len, (uint32_t)len));
	fr_release(t->to, &m);
}

static void every_length_arrives_whole(void **state)
{
	static const struct fr_arena_opts opts; /* the defaults */
	unsigned char *body;
	struct pair t;
	size_t len, power;

	(void)state;
	open_pair(&t, &opts);
	body = malloc(t.info.message_max);
	assert_non_null(body);
	for (len = 0; len <= 300; len++)
		goes_through(&t, len, body);
	for (power = 256; power <= t.info.message_max; power *= 2)
		for (len = power - 26; len <= power + 42; len++)
			if (len <= t.info.message_max)
				goes_through(&t, len, body);
	for (len = t.info.message_max - 70; len <= t.info.message_max; len++)
		goes_through(&t, len, body);
	mailbox_is_sound(t.to);
	free(body);
	close_pair(&t);
}

static void messages_that_would_wrap_arrive_whole(void **state)
{
	unsigned char body[4096];
	uint64_t units = 0;
	struct pair t;
	unsigned lap;
	size_t len;

	(void)state;
	open_pair(&t, &small_arena);
	for (lap = 0; lap < 5; lap++) {
		for (len = 0; len <= t.info.message_max; len++) {
			goes_through(&t, len, body);
			units += fr__ring_units(len);
		}
		goes_through(&t, 0, body); /* the next time one place on */
		units++;
	}
	/* Pads were needed: more units were used than the messages have. */
	assert_true(t.to->reader.next > units);
	mailbox_is_sound(t.to);
	close_pair(&t);
}

static void messages_of_all_lengths_queue_up(void **state)
{
	unsigned char body[4096];
	struct fr_message m;
	uint32_t sent = 0, got = 0;
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	while (got < 5000) {
		size_t len = sent * 37 % 700;

		paint(body, len, sent);
		if (sent < 5000 && fr_send(t.from, fr_self(t.to), PLAIN, body,
					   len, 0) == 0) {
			sent++;
			continue;
		}
		assert_rc(fr_receive(t.to, 0, &m), 0);
		assert_int_equal(m.len, got * 37 % 700);
		assert_true(painted(m.body, m.len, got));
		fr_release(t.to, &m);
		got++;
	}
	receive_none(t.to);
	mailbox_is_sound(t.to);
	close_pair(&t);
}

static void the_largest_message_is_half_a_mailbox_less_a_header(void **state)
{
	static const size_t sizes[] = {4096, 65536, 1 << 20};
	struct fr_arena_opts opts = small_arena;
	unsigned char *body;
	struct pair t;
	unsigned i;

	(void)state;
	for (i = 0; i < COUNT(sizes); i++) {
		opts.mailbox_bytes = sizes[i];
		open_pair(&t, &opts);
		assert_int_equal(t.info.message_max, sizes[i] / 2 - 24);
		body = malloc(t.info.message_max);
		assert_non_null(body);
		goes_through(&t, t.info.message_max, body);
		goes_through(&t, t.info.message_max, body);
		free(body);
		close_pair(&t);
	}
}

static void a_message_over_the_largest_is_refused(void **state)
{
	struct fr_claim claim;
	struct fr_part part = {.type = PLAIN, .body = ""};
	struct pair t;
	struct fr_addr to;
	size_t over;

	(void)state;
	open_pair(&t, &small_arena);
	to = fr_self(t.to);
	over = part.len = t.info.message_max + 1;
	assert_rc(fr_send(t.from, to, PLAIN, "", over, 0), -EMSGSIZE);
	assert_rc(fr_send(t.from, to, PLAIN, "", SIZE_MAX, 0), -EMSGSIZE);
	assert_rc(fr_send_name(t.from, "to", PLAIN, "", over, 0), -EMSGSIZE);
	assert_rc(fr_claim(t.from, to, PLAIN, over, 0, &claim), -EMSGSIZE);
	assert_rc(fr_send_batch(t.from, to, &part, 1, 0), -EMSGSIZE);
	receive_none(t.to);
	close_pair(&t);
}

static int use_what_the_parent_joined(void *ctx)
{
	struct pair *t = ctx;
	struct fr_part part = {.type = PLAIN};
	struct fr_claim claim;
	struct fr_message m;
	struct fr_addr to = fr_self(t->to);

	CHECK_RC(fr_send(t->from, to, PLAIN, "", 0, 0), -ECHILD);
	CHECK_RC(fr_send_name(t->from, "to", PLAIN, "", 0, 0), -ECHILD);
	CHECK_RC(fr_send_batch(t->from, to, &part, 1, 0), -ECHILD);
	CHECK_RC(fr_send_exit(t->from, to, 0), -ECHILD);
	CHECK_RC(fr_claim(t->from, to, PLAIN, 0, 0, &claim), -ECHILD);
	CHECK_RC(fr_receive(t->to, 0, &m), -ECHILD);
	CHECK_RC(fr_receive_batch(t->to, 0, &m, 1), -ECHILD);
	CHECK_RC(fr_run(t->to, NULL), -ECHILD);
	fr_leave(t->from); /* the child's copy */
	return 0;
}

static void a_forked_child_is_not_the_process_that_joined(void **state)
{
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	wait_ok(spawn(use_what_the_parent_joined, &t));
	receive_none(t.to);
	assert_rc(send_int(t.from, t.to, 1, 0), 0);
	receive_int(t.to, 1);
	close_pair(&t);
}

/* ---- a full mailbox ---- */

static void a_full_mailbox_says_so_and_keeps_what_it_has(void **state)
{
	struct pair t;
	uint32_t n, i;

	(void)state;
	open_pair(&t, &small_arena);
	n = fill(t.from, t.to);
	assert_int_equal(n, 4096 / 64);
	receive_int(t.to, 0);
	assert_rc(send_int(t.from, t.to, n, 0), 0);
	assert_rc(send_int(t.from, t.to, 0, 0), -EAGAIN);
	for (i = 1; i <= n; i++)
		receive_int(t.to, i);
	receive_none(t.to);
	close_pair(&t);
}

static void waiting_for_room_ends_with_its_time(void **state)
{
	struct fr_claim claim;
	struct pair t;
	int64_t start;
	uint32_t n;

	(void)state;
	open_pair(&t, &small_arena);
	n = fill(t.from, t.to);
	start = now_ns();
	assert_rc(send_int(t.from, t.to, n, 30 * MS), -ETIMEDOUT);
	assert_true(now_ns() - start >= 30 * MS);
	start = now_ns();
	assert_rc(fr_claim(t.from, fr_self(t.to), PLAIN, 4, 10 * MS, &claim),
		  -ETIMEDOUT);
	assert_true(now_ns() - start >= 10 * MS);
	receive_int(t.to, 0);
	close_pair(&t);
}

/* For children that send while the parent receives. */
struct senders {
	struct fr_arena *arena;
	struct fr_addr to;
	enum fr_wait_mode wait;
	uint32_t each; /* messages */
	size_t len;    /* of each, at least 8 */
	struct {
		uint32_t here; /* counter: have joined */
		struct fr_addr who[8];
	} *page;
};

/* Send `each` messages: own number among the senders, sequence, paint. */
static int send_all(void *ctx)
{
	struct senders *s = ctx;
	struct fr_process *self = join_in_child(s->arena, NULL, s->wait);
	unsigned char *body = malloc(s->len);
	uint32_t me, i;

	CHECK(body);
	me = __atomic_fetch_add(&s->page->here, 1, __ATOMIC_SEQ_CST);
	s->page->who[me] = fr_self(self);
	for (i = 0; i < s->each; i++) {
		memcpy(body, &me, 4);
		memcpy(body + 4, &i, 4);
		paint(body + 8, s->len - 8, me + i);
		CHECK_RC(fr_send(self, s->to, PLAIN, body, s->len, FR_FOREVER),
			 0);
	}
	free(body);
	fr_leave(self);
	return 0;
}

/* Check one of send_all()'s; next[] is the sequence expected from each. */
static void check_one(const struct fr_message *m, uint32_t *next)
{
	uint32_t who, i;

	assert_true(m->len >= 8);
	memcpy(&who, m->body, 4);
	memcpy(&i, (const char *)m->body + 4, 4);
	assert_true(who < 8);
	assert_int_equal(i, next[who]);
	assert_true(painted((const char *)m->body + 8, m->len - 8, who + i));
	next[who]++;
}

static void a_sender_sleeps_until_the_receiver_frees_room(void **state)
{
	uint32_t next[8] = {0}, i;
	struct fr_message m;
	struct senders s;
	struct pair t;
	pid_t child;

	(void)state;
	open_pair(&t, &small_arena);
	s = (struct senders){t.arena, fr_self(t.to), FR_WAIT_SLEEP, 65, 8,
			     shared(sizeof(*s.page))};
	child = spawn(send_all, &s);
	AWAIT(reached(&s.page->here) == 1 &&
	      sleeps_for(t.arena, s.page->who[0], FR__MARK_ROOM));
	for (i = 0; i < 65; i++) {
		assert_rc(fr_receive(t.to, FR_FOREVER, &m), 0);
		check_one(&m, next);
		fr_release(t.to, &m);
	}
	wait_ok(child);
	receive_none(t.to);
	close_pair(&t);
}

/* Whoever is awake keeps the mailbox more than half full, so that nobody who sleeps
 * finds room by itself. */
static void those_who_wait_for_room_of_a_slow_receiver_take_turns(void **state)
{
	uint32_t next[8] = {0}, i, few = 0, got = 0;
	pid_t children[7];
	struct fr_message m;
	struct senders s;
	int64_t until;
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	fr_leave(t.from); /* room for seven */
	s = (struct senders){t.arena, fr_self(t.to), FR_WAIT_SLEEP, 100000, 8,
			     shared(sizeof(*s.page))};
	for (i = 0; i < 7; i++)
		children[i] = spawn(send_all, &s);
	AWAIT(reached(&s.page->here) == 7);
	while (few < 10) {
		assert_rc(fr_receive(t.to, FR_FOREVER, &m), 0);
		check_one(&m, next);
		fr_release(t.to, &m);
		for (until = now_ns() + 100000; now_ns() < until;)
			;
		for (i = 1, few = next[0]; i < 7; i++)
			few = next[i] < few ? next[i] : few;
		assert_true(got++ < 7 * 10 * 20); /* their shares differ less */
	}
	for (i = 0; i < 7; i++)
		kill_hard(children[i]);
	t.from = join(t.arena, "from", FR_WAIT_ADAPTIVE);
	close_pair(&t);
}

/* Whoever frees room finds it by the mailbox's flag, its mark, and where it waits. */
static void who_waits_for_room_says_where_each_time(void **state)
{
	uint32_t next[8] = {0}, i, got = 0;
	struct fr__slot *slot;
	const struct fr__ring *ring;
	struct fr_message m;
	struct senders s;
	struct pair t;
	pid_t child;

	(void)state;
	open_pair(&t, &small_arena);
	s = (struct senders){t.arena, fr_self(t.to), FR_WAIT_SLEEP, 200, 8,
			     shared(sizeof(*s.page))};
	ring = fr__arena_ring(t.arena, fr__addr_slot(s.to));
	child = spawn(send_all, &s);
	AWAIT(s.page->who[0].id != 0);
	slot = &t.arena->slots[fr__addr_slot(s.page->who[0])];
	while (got < 200) {
		if (got < 128)
			AWAIT(sleeps_for(t.arena, s.page->who[0],
					 FR__MARK_ROOM) &&
			      fr__load_sc(&ring->ctl->room) == 1 &&
			      fr__load_sc(&slot->room_of) ==
				      fr__addr_slot(s.to) + 1);
		for (i = 0; i < 64 && got < 200; i++, got++) {
			assert_rc(fr_receive(t.to, FR_FOREVER, &m), 0);
			check_one(&m, next);
			fr_release(t.to, &m);
		}
	}
	wait_ok(child);
	close_pair(&t);
}

static void all_who_wait_for_room_are_served(void **state)
{
	uint32_t next[8] = {0}, i;
	struct fr_message m;
	pid_t children[6];
	struct senders s;
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	s = (struct senders){t.arena, fr_self(t.to), FR_WAIT_SLEEP, 300, 100,
			     shared(sizeof(*s.page))};
	for (i = 0; i < 6; i++) {
		s.len = i % 2 ? 100 : 1000; /* large ones are not forgotten */
		children[i] = spawn(send_all, &s);
	}
	AWAIT(reached(&s.page->here) == 6 &&
	      asleep(t.arena, s.page->who, 6, FR__MARK_ROOM) == 6);
	for (i = 0; i < 6 * 300; i++) {
		assert_rc(fr_receive(t.to, FR_FOREVER, &m), 0);
		check_one(&m, next);
		fr_release(t.to, &m);
	}
	for (i = 0; i < 6; i++) {
		wait_ok(children[i]);
		assert_int_equal(next[i], 300);
	}
	receive_none(t.to);
	close_pair(&t);
}

static void a_batch_release_wakes_who_waits_for_room(void **state)
{
	struct fr_message m[64];
	uint32_t next[8] = {0}, got = 0;
	struct senders s;
	struct pair t;
	pid_t child;
	int i, n;

	(void)state;
	open_pair(&t, &small_arena);
	s = (struct senders){t.arena, fr_self(t.to), FR_WAIT_SLEEP, 1000, 8,
			     shared(sizeof(*s.page))};
	child = spawn(send_all, &s);
	while (got < 1000) {
		n = fr_receive_batch(t.to, FR_FOREVER, m, 64);
		assert_true(n > 0);
		for (i = 0; i < n; i++)
			check_one(&m[i], next);
		fr_release_batch(t.to, m, (unsigned)n);
		got += (uint32_t)n;
	}
	wait_ok(child);
	assert_int_equal(next[0], 1000);
	close_pair(&t);
}

static void waiting_for_room_in_the_own_mailbox_is_a_deadlock(void **state)
{
	struct fr_part part = {PLAIN, "1234", 4};
	struct fr_claim claim;
	struct fr_addr self;
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	self = fr_self(t.to);
	fill(t.from, t.to);
	assert_rc(send_int(t.to, t.to, 1, 0), -EAGAIN);
	assert_rc(send_int(t.to, t.to, 1, FR_FOREVER), -EDEADLK);
	assert_rc(send_int(t.to, t.to, 1, 10 * MS), -EDEADLK);
	assert_rc(fr_claim(t.to, self, PLAIN, 4, FR_FOREVER, &claim), -EDEADLK);
	assert_rc(fr_send_batch(t.to, self, &part, 1, FR_FOREVER), -EDEADLK);
	assert_rc(fr_send_exit(t.to, self, FR_FOREVER), -EDEADLK);
	receive_int(t.to, 0);
	assert_rc(send_int(t.to, t.to, 1, FR_FOREVER), 0);
	close_pair(&t);
}

/* ---- in place ---- */

static void a_claim_is_written_in_place_and_committed(void **state)
{
	struct fr_claim claim;
	struct fr_message m;
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	assert_rc(fr_claim(t.from, fr_self(t.to), PLAIN, 1000, 0, &claim), 0);
	assert_int_equal(claim.len, 1000);
	assert_int_equal((uintptr_t)claim.body % 8, 0);
	paint(claim.body, claim.len, 3);
	receive_none(t.to);
	fr_commit(t.from, &claim);
	assert_rc(fr_receive(t.to, 0, &m), 0);
	assert_int_equal(m.len, 1000);
	assert_int_equal(m.type.id, PLAIN.id);
	assert_true(m.from.id == fr_self(t.from).id);
	assert_true(painted(m.body, m.len, 3));
	fr_release(t.to, &m);
	close_pair(&t);
}

static void a_cancelled_claim_lets_later_ones_pass(void **state)
{
	struct fr_claim claim;
	struct pair t;
	uint32_t n, i;

	(void)state;
	open_pair(&t, &small_arena);
	assert_rc(fr_claim(t.from, fr_self(t.to), PLAIN, 100, 0, &claim), 0);
	assert_rc(send_int(t.from, t.to, 1, 0), 0);
	receive_none(t.to);
	fr_cancel(t.from, &claim);
	receive_int(t.to, 1);
	receive_none(t.to);
	/* Its room came back. */
	n = fill(t.from, t.to);
	assert_int_equal(n, 4096 / 64);
	for (i = 0; i < n; i++)
		receive_int(t.to, i);
	mailbox_is_sound(t.to);
	close_pair(&t);
}

static int cancel_when_it_sleeps(void *ctx)
{
	struct senders *s = ctx;
	struct fr_process *self = join_in_child(s->arena, NULL, FR_WAIT_SLEEP);
	struct fr_claim claim;
	uint32_t n = 42;

	CHECK_RC(fr_claim(self, s->to, PLAIN, 4, 0, &claim), 0);
	CHECK_RC(fr_send(self, s->to, PLAIN, &n, 4, 0), 0);
	advance(&s->page->here);
	AWAIT(sleeps_for(s->arena, s->to, FR__MARK_MAIL));
	fr_cancel(self, &claim);
	fr_leave(self);
	return 0;
}

static void a_cancel_wakes_the_receiver_for_what_is_behind(void **state)
{
	struct fr_process *to;
	struct fr_arena *arena;
	struct fr_message m;
	struct senders s;
	pid_t child;

	(void)state;
	assert_rc(fr_arena_create(NULL, &small_arena, &arena), 0);
	to = join(arena, NULL, FR_WAIT_SLEEP);
	s = (struct senders){.arena = arena, .to = fr_self(to),
			     .page = shared(sizeof(*s.page))};
	child = spawn(cancel_when_it_sleeps, &s);
	await(&s.page->here, 1);
	assert_rc(fr_receive(to, FR_FOREVER, &m), 0);
	assert_int_equal(int_of(&m), 42);
	fr_release(to, &m);
	wait_ok(child);
	fr_leave(to);
	fr_arena_detach(arena);
}

static void an_open_claim_holds_up_its_own_process_only(void **state)
{
	struct fr_process *other;
	struct fr_claim claim;
	struct pair t;
	uint32_t i;

	(void)state;
	open_pair(&t, &small_arena);
	other = join(t.arena, NULL, FR_WAIT_ADAPTIVE);
	assert_rc(send_int(t.from, t.to, 0, 0), 0);
	assert_rc(fr_claim(t.from, fr_self(t.to), PLAIN, 4, 0, &claim), 0);
	assert_rc(send_int(t.from, t.to, 2, 0), 0);
	assert_rc(send_int(t.from, t.to, 3, 0), 0);
	receive_int(t.to, 0);
	for (i = 0; i < 10; i++) {
		assert_rc(send_int(other, t.to, 100 + i, 0), 0);
		receive_int(t.to, 100 + i);
	}
	receive_none(t.to);
	memcpy(claim.body, &(uint32_t){1}, 4);
	fr_commit(t.from, &claim);
	for (i = 1; i <= 3; i++)
		receive_int(t.to, i);
	receive_none(t.to);
	mailbox_is_sound(t.to);
	fr_leave(other);
	close_pair(&t);
}

static void claims_of_many_processes_close_in_any_order(void **state)
{
	struct fr_process *p[5];
	struct fr_claim claims[5];
	static const unsigned order[] = {3, 0, 4, 2, 1};
	struct fr_message m;
	struct pair t;
	unsigned i;

	(void)state;
	open_pair(&t, &small_arena);
	for (i = 0; i < 5; i++) {
		p[i] = join(t.arena, NULL, FR_WAIT_ADAPTIVE);
		assert_rc(fr_claim(p[i], fr_self(t.to), PLAIN, 4, 0,
				   &claims[i]), 0);
		memcpy(claims[i].body, &i, 4);
	}
	for (i = 0; i < 5; i++) {
		receive_none(t.to);
		fr_commit(p[order[i]], &claims[order[i]]);
		assert_rc(fr_receive(t.to, 0, &m), 0);
		assert_int_equal(int_of(&m), order[i]);
		assert_true(m.from.id == fr_self(p[order[i]]).id);
		fr_release(t.to, &m);
	}
	receive_none(t.to);
	mailbox_is_sound(t.to);
	for (i = 0; i < 5; i++)
		fr_leave(p[i]);
	close_pair(&t);
}

static int stop_in_a_claim(void *ctx)
{
	struct senders *s = ctx;
	struct fr_process *self = join_in_child(s->arena, NULL, FR_WAIT_SLEEP);
	struct fr_claim claim;
	uint32_t n = UINT32_MAX;

	CHECK_RC(fr_claim(self, s->to, PLAIN, 8, 0, &claim), 0);
	raise(SIGSTOP);
	memcpy(claim.body, &n, 4);
	memcpy((char *)claim.body + 4, &n, 4);
	fr_commit(self, &claim);
	fr_leave(self);
	return 0;
}

static bool from_the_stopped(const struct fr_message *m)
{
	return int_of(m) == UINT32_MAX;
}

/* Three others fill all the room that the stopped one's claim leaves, and more
 * once it goes on. */
static void a_process_stopped_in_its_claim_stops_nobody(void **state)
{
	/* None of the three can be done before the stopped one goes on. */
	enum { ROOM = 4096, EACH = ROOM, ALL = 3 * EACH };
	struct fr_arena_opts opts = small_arena;
	uint32_t next[8] = {0}, i, late = 0;
	struct senders s;
	struct fr_message m;
	pid_t stopped, children[3];
	struct pair t;
	int status;

	(void)state;
	opts.mailbox_bytes = ROOM * 64;
	open_pair(&t, &opts);
	s = (struct senders){t.arena, fr_self(t.to), FR_WAIT_SLEEP, EACH, 8,
			     shared(sizeof(*s.page))};
	stopped = spawn(stop_in_a_claim, &s);
	assert_int_equal(waitpid(stopped, &status, WUNTRACED), stopped);
	assert_true(WIFSTOPPED(status));
	for (i = 0; i < 3; i++)
		children[i] = spawn(send_all, &s);
	for (i = 0; i < ROOM - 1; i++) {
		assert_rc(fr_receive(t.to, FR_FOREVER, &m), 0);
		assert_false(from_the_stopped(&m));
		check_one(&m, next);
		fr_release(t.to, &m);
	}
	AWAIT(reached(&s.page->here) == 3 &&
	      asleep(t.arena, s.page->who, 3, FR__MARK_ROOM) == 3);
	receive_none(t.to);
	kill(stopped, SIGCONT);
	for (; i < ALL + 1; i++) {
		assert_rc(fr_receive(t.to, FR_FOREVER, &m), 0);
		if (from_the_stopped(&m))
			late++;
		else
			check_one(&m, next);
		fr_release(t.to, &m);
	}
	assert_int_equal(late, 1);
	wait_ok(stopped);
	for (i = 0; i < 3; i++) {
		wait_ok(children[i]);
		assert_int_equal(next[i], EACH);
	}
	receive_none(t.to);
	mailbox_is_sound(t.to);
	close_pair(&t);
}

/* ---- held messages ---- */

static void messages_are_released_in_any_order(void **state)
{
	static const unsigned order[] = {5, 1, 7, 0, 2, 6, 4, 3};
	struct fr_message m[8];
	struct pair t;
	uint32_t n, i;

	(void)state;
	open_pair(&t, &small_arena);
	for (i = 0; i < 8; i++)
		assert_rc(send_int(t.from, t.to, i, 0), 0);
	for (i = 0; i < 8; i++)
		assert_rc(fr_receive(t.to, 0, &m[i]), 0);
	for (i = 0; i < 8; i++) {
		unsigned k;

		fr_release(t.to, &m[order[i]]);
		for (k = i + 1; k < 8; k++)
			assert_int_equal(int_of(&m[order[k]]), order[k]);
	}
	n = fill(t.from, t.to);
	assert_int_equal(n, 4096 / 64);
	for (i = 0; i < n; i++)
		receive_int(t.to, i);
	mailbox_is_sound(t.to);
	close_pair(&t);
}

static void room_is_free_once_all_before_it_is_released(void **state)
{
	struct fr_message first, m;
	struct pair t;
	uint32_t n, i;

	(void)state;
	open_pair(&t, &small_arena);
	n = fill(t.from, t.to);
	assert_rc(fr_receive(t.to, 0, &first), 0);
	for (i = 1; i < n; i++) {
		assert_rc(fr_receive(t.to, 0, &m), 0);
		fr_release(t.to, &m);
	}
	assert_rc(send_int(t.from, t.to, 0, 0), -EAGAIN);
	assert_int_equal(int_of(&first), 0);
	fr_release(t.to, &first);
	assert_int_equal(fill(t.from, t.to), n);
	close_pair(&t);
}

static void a_whole_mailbox_of_messages_is_held_at_a_time(void **state)
{
	struct fr_message m[64];
	struct pair t;
	uint32_t n, i;

	(void)state;
	open_pair(&t, &small_arena);
	n = fill(t.from, t.to);
	assert_int_equal(n, COUNT(m));
	for (i = 0; i < n; i++)
		assert_rc(fr_receive(t.to, 0, &m[i]), 0);
	receive_none(t.to);
	for (i = 0; i < n; i++)
		assert_int_equal(int_of(&m[i]), i);
	for (i = n; i-- > 0;)
		fr_release(t.to, &m[i]);
	assert_int_equal(fill(t.from, t.to), n);
	close_pair(&t);
}

/* ---- batches ---- */

static void numbers(struct fr_part *parts, uint32_t *bodies, unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		bodies[i] = i;
		parts[i] = (struct fr_part){PLAIN, &bodies[i], 4};
	}
}

static void a_batch_arrives_in_order(void **state)
{
	unsigned char bodies[6][300];
	struct fr_part parts[6];
	struct fr_message m;
	struct pair t;
	unsigned i, round;

	(void)state;
	open_pair(&t, &small_arena);
	for (round = 0; round < 100; round++) {
		for (i = 0; i < 6; i++) {
			parts[i] = (struct fr_part){
				{100 + i}, bodies[i], (round * 7 + i * 50) % 301,
			};
			paint(bodies[i], parts[i].len, round + i);
		}
		assert_rc(fr_send_batch(t.from, fr_self(t.to), parts, 6, 0), 6);
		for (i = 0; i < 6; i++) {
			assert_rc(fr_receive(t.to, 0, &m), 0);
			assert_int_equal(m.type.id, 100 + i);
			assert_int_equal(m.len, parts[i].len);
			assert_true(painted(m.body, m.len, round + i));
			fr_release(t.to, &m);
		}
		receive_none(t.to);
	}
	assert_rc(fr_send_batch(t.from, fr_self(t.to), parts, 0, 0), 0);
	receive_none(t.to);
	mailbox_is_sound(t.to);
	close_pair(&t);
}

static void a_batch_sends_as_many_as_fit(void **state)
{
	struct fr_part parts[100];
	uint32_t bodies[100], n, i, left, most;
	uint64_t at;
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	numbers(parts, bodies, 100);
	for (left = 1; left <= 32; left++) {
		n = fill(t.from, t.to);
		for (i = 0; i < left; i++)
			receive_int(t.to, i);
		at = t.to->reader.head - left;
		n = (uint32_t)fr_send_batch(t.from, fr_self(t.to), parts, 100,
					    0);
		/* A record of `left` units holds so many parts of 16 bytes. */
		most = left * 4 - 2 < 100 ? left * 4 - 2 : 100;
		/* Unless the lap ends before: a pad takes room. */
		if ((at & t.to->mailbox.mask) + left <= 64)
			assert_int_equal(n, most);
		assert_true(n >= 1 && n <= most);
		for (i = left; i < 64; i++)
			receive_int(t.to, i);
		for (i = 0; i < n; i++)
			receive_int(t.to, i);
		receive_none(t.to);
	}
	close_pair(&t);
}

static void a_batch_goes_up_to_a_part_that_is_too_long(void **state)
{
	struct fr_part parts[3];
	uint32_t bodies[3];
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	numbers(parts, bodies, 3);
	parts[2].len = t.info.message_max + 1;
	assert_rc(fr_send_batch(t.from, fr_self(t.to), parts, 3, 0), 2);
	receive_int(t.to, 0);
	receive_int(t.to, 1);
	receive_none(t.to);
	close_pair(&t);
}

static void a_batch_for_a_full_mailbox_waits_for_its_first(void **state)
{
	struct fr_part parts[5];
	uint32_t bodies[5];
	struct pair t;
	int64_t start;

	(void)state;
	open_pair(&t, &small_arena);
	numbers(parts, bodies, 5);
	fill(t.from, t.to);
	assert_rc(fr_send_batch(t.from, fr_self(t.to), parts, 5, 0), -EAGAIN);
	start = now_ns();
	assert_rc(fr_send_batch(t.from, fr_self(t.to), parts, 5, 20 * MS),
		  -ETIMEDOUT);
	assert_true(now_ns() - start >= 20 * MS);
	receive_int(t.to, 0);
	/* One unit is free: two parts of 16 bytes. */
	assert_rc(fr_send_batch(t.from, fr_self(t.to), parts, 5, 0), 2);
	close_pair(&t);
}

static void a_batch_is_one_piece_beside_an_open_claim(void **state)
{
	struct fr_part parts[6];
	uint32_t bodies[6], i;
	struct fr_process *other;
	struct fr_claim claim;
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	assert_rc(fr_join(t.arena, NULL, &other), 0);
	numbers(parts, bodies, 6);
	assert_rc(fr_claim(other, fr_self(t.to), PLAIN, 4, 0, &claim), 0);
	memcpy(claim.body, &(uint32_t){99}, 4);
	assert_rc(fr_send_batch(t.from, fr_self(t.to), parts, 6, 0), 6);
	receive_int(t.to, 0);
	/* Passed over, and closed now: it comes behind the batch, not in it. */
	fr_commit(other, &claim);
	for (i = 1; i < 6; i++)
		receive_int(t.to, i);
	receive_int(t.to, 99);
	receive_none(t.to);
	mailbox_is_sound(t.to);
	fr_leave(other);
	close_pair(&t);
}

static void parts_of_a_batch_are_released_in_any_order(void **state)
{
	struct fr_part parts[12];
	uint32_t bodies[12], i, round, held;
	struct fr_message m[12];
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	numbers(parts, bodies, 12);
	for (round = 0; round < 200; round++) {
		assert_rc(fr_send_batch(t.from, fr_self(t.to), parts, 7, 0), 7);
		assert_rc(fr_send_batch(t.from, fr_self(t.to), parts + 7, 5, 0),
			  5);
		assert_rc(fr_receive_batch(t.to, 0, m, 12), 12);
		held = (uint32_t)t.to->reader.head;
		for (i = 0; i < 12; i++)
			assert_int_equal(int_of(&m[i]), i);
		/* 5 and 12 have nothing in common: each once. The first batch
		 * keeps its room until its last part is back. */
		for (i = 0; i < 11; i++) {
			fr_release(t.to, &m[(i * 5 + round) % 12]);
			fr_release(t.to, &m[(i * 5 + round) % 12]);
			if (m[0].body || m[1].body || m[2].body || m[3].body ||
			    m[4].body || m[5].body || m[6].body)
				assert_int_equal((uint32_t)t.to->reader.head,
						 held);
		}
		fr_release(t.to, &m[(11 * 5 + round) % 12]);
		receive_none(t.to);
		mailbox_is_sound(t.to);
	}
	close_pair(&t);
}

static void a_batch_takes_what_the_lap_has_left(void **state)
{
	struct fr_part parts[100];
	uint32_t bodies[100], i;
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	numbers(parts, bodies, 100);
	for (i = 0; i < 44; i++)
		assert_rc(send_int(t.from, t.to, i, 0), 0);
	/* 20 units are free, to the end of the lap. */
	assert_rc(fr_send_batch(t.from, fr_self(t.to), parts, 100, 0), 78);
	for (i = 0; i < 44; i++)
		receive_int(t.to, i);
	for (i = 0; i < 78; i++)
		receive_int(t.to, i);
	receive_none(t.to);
	mailbox_is_sound(t.to);
	close_pair(&t);
}

static void an_old_copy_of_a_message_that_is_released_harms_nobody(void **state)
{
	struct fr_part parts[3];
	struct fr_message m[2], copy;
	uint32_t bodies[3], i;
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	numbers(parts, bodies, 3);
	assert_rc(fr_send_batch(t.from, fr_self(t.to), parts, 2, 0), 2);
	assert_rc(fr_receive_batch(t.to, 0, m, 2), 2);
	copy = m[0];
	fr_release_batch(t.to, m, 2);
	/* A lap later another batch stands in its place. */
	for (i = 1; i < 64; i++) {
		assert_rc(send_int(t.from, t.to, i, 0), 0);
		receive_int(t.to, i);
	}
	assert_rc(fr_send_batch(t.from, fr_self(t.to), parts, 3, 0), 3);
	assert_true(((t.to->reader.next ^ copy.priv) & t.to->mailbox.mask) == 0);
	receive_int(t.to, 0);
	fr_release(t.to, &copy);
	receive_int(t.to, 1);
	receive_int(t.to, 2);
	receive_none(t.to);
	mailbox_is_sound(t.to);
	close_pair(&t);
}

static void a_damaged_batch_is_refused_and_its_room_given_back(void **state)
{
	struct fr_part parts[6];
	uint32_t bodies[6], round;
	struct fr__record *rec;
	struct fr_message m;
	static const int sound_ones[] = {6, 2, 0, 0};
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	numbers(parts, bodies, 6);
	for (round = 0; round < 100; round++) {
		assert_rc(fr_send_batch(t.from, fr_self(t.to), parts, 6, 0), 6);
		rec = fr__ring_at(&t.to->mailbox, t.to->reader.next);
		if (round % 4 == 0) /* more parts than there are */
			rec->type += 1000;
		else if (round % 4 == 3) /* none */
			rec->type = FR__PARTS;
		else if (round % 4 == 1) /* the third runs over the end */
			memcpy(rec->body + 32, &(uint32_t){UINT32_MAX - 3}, 4);
		else /* a body that runs over the record's end */
			rec->len = UINT32_MAX;
		for (int given = 0;; given++) {
			int rc = fr_receive(t.to, 0, &m);

			if (rc == 0) {
				assert_int_equal(int_of(&m), given);
				fr_release(t.to, &m);
				continue;
			}
			assert_rc(rc, -EBADMSG);
			assert_int_equal(given, sound_ones[round % 4]);
			break;
		}
		receive_none(t.to);
		mailbox_is_sound(t.to);
	}
	close_pair(&t);
}

static void as_many_as_there_are_are_received_at_once(void **state)
{
	struct fr_message m[10];
	struct pair t;
	uint32_t i;

	(void)state;
	open_pair(&t, &small_arena);
	assert_rc(fr_receive_batch(t.to, 0, m, 10), -EAGAIN);
	assert_rc(fr_receive_batch(t.to, 0, m, 0), 0);
	assert_rc(fr_receive_batch(t.to, 5 * MS, m, 10), -ETIMEDOUT);
	for (i = 0; i < 13; i++)
		assert_rc(send_int(t.from, t.to, i, 0), 0);
	assert_rc(fr_receive_batch(t.to, FR_FOREVER, m, 10), 10);
	for (i = 0; i < 10; i++)
		assert_int_equal(int_of(&m[i]), i);
	fr_release_batch(t.to, m, 10);
	assert_null(m[9].body);
	assert_rc(fr_receive_batch(t.to, FR_FOREVER, m, 10), 3);
	for (i = 0; i < 3; i++)
		assert_int_equal(int_of(&m[i]), 10 + i);
	fr_release_batch(t.to, m, 3);
	receive_none(t.to);
	mailbox_is_sound(t.to);
	close_pair(&t);
}

struct batch_body {
	uint32_t sender, batch, index;
};

struct batches {
	struct fr_arena *arena;
	struct fr_addr to;
	uint32_t sender;
	uint32_t batches;
	uint32_t *sizes; /* of each batch that was sent; shared */
};

static int send_batches(void *ctx)
{
	struct batches *b = ctx;
	struct fr_process *self = join_in_child(b->arena, NULL,
						FR_WAIT_ADAPTIVE);
	struct batch_body bodies[7];
	struct fr_part parts[7];
	uint32_t k, i;
	int n;

	for (k = 0; k < b->batches; k++) {
		for (i = 0; i < 7; i++) {
			bodies[i] = (struct batch_body){b->sender, k, i};
			parts[i] = (struct fr_part){
				PLAIN, &bodies[i], sizeof(bodies[i]),
			};
		}
		n = fr_send_batch(self, b->to, parts, 1 + k % 7, FR_FOREVER);
		CHECK(n >= 1 && (uint32_t)n <= 1 + k % 7);
		__atomic_store_n(&b->sizes[k], (uint32_t)n, __ATOMIC_SEQ_CST);
	}
	fr_leave(self);
	return 0;
}

static void a_batch_is_not_torn_by_another_sender(void **state)
{
	enum { BATCHES = 3000 };
	struct batch_body now, last = {0, 0, UINT32_MAX};
	uint32_t *sizes[2], next_batch[2] = {0}, left[2] = {BATCHES, BATCHES};
	uint32_t *seen[2];
	struct fr_message m;
	struct batches b;
	pid_t children[2];
	struct pair t;
	uint32_t i;

	(void)state;
	open_pair(&t, &small_arena);
	for (i = 0; i < 2; i++) {
		sizes[i] = shared(BATCHES * sizeof(uint32_t));
		seen[i] = shared(BATCHES * sizeof(uint32_t));
		b = (struct batches){t.arena, fr_self(t.to), i, BATCHES,
				     sizes[i]};
		children[i] = spawn(send_batches, &b);
	}
	while (left[0] + left[1] > 0) {
		int rc = fr_receive(t.to, 100 * MS, &m);

		if (rc == 0) {
			memcpy(&now, m.body, sizeof(now));
			fr_release(t.to, &m);
			if (now.index == 0) {
				assert_int_equal(now.batch,
						 next_batch[now.sender]++);
			} else {
				/* Right behind the one before. */
				assert_int_equal(now.sender, last.sender);
				assert_int_equal(now.batch, last.batch);
				assert_int_equal(now.index, last.index + 1);
			}
			seen[now.sender][now.batch]++;
			last = now;
		}
		/* Which batches have come whole? */
		for (i = 0; i < 2; i++)
			while (left[i] > 0 &&
			       reached(&sizes[i][BATCHES - left[i]]) != 0 &&
			       seen[i][BATCHES - left[i]] ==
				       reached(&sizes[i][BATCHES - left[i]]))
				left[i]--;
	}
	wait_ok(children[0]);
	wait_ok(children[1]);
	receive_none(t.to);
	close_pair(&t);
}

/* ---- who is gone ---- */

static void a_message_to_one_that_left_is_refused(void **state)
{
	struct fr_part part = {PLAIN, "", 0};
	struct fr_claim claim;
	struct fr_addr gone;
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	gone = fr_self(t.to);
	fr_leave(t.to);
	assert_rc(fr_send(t.from, gone, PLAIN, "", 0, FR_FOREVER), -ESRCH);
	assert_rc(fr_send_batch(t.from, gone, &part, 1, 0), -ESRCH);
	assert_rc(fr_claim(t.from, gone, PLAIN, 0, 0, &claim), -ESRCH);
	assert_rc(fr_send_exit(t.from, gone, 0), -ESRCH);
	t.to = join(t.arena, "to", FR_WAIT_ADAPTIVE);
	assert_int_equal(fr__addr_slot(fr_self(t.to)), fr__addr_slot(gone));
	assert_rc(fr_send(t.from, gone, PLAIN, "", 0, FR_FOREVER), -ESRCH);
	receive_none(t.to);
	close_pair(&t);
}

static void an_address_that_never_was_is_refused(void **state)
{
	static const uint64_t never[] = {
		0, 1, 5, 8, UINT32_MAX, UINT64_C(1) << 32 | 5,
		UINT64_C(1) << 32 | 4096, UINT64_MAX,
	};
	struct pair t;
	unsigned i;

	(void)state;
	open_pair(&t, &small_arena);
	for (i = 0; i < COUNT(never); i++)
		assert_rc(fr_send(t.from, (struct fr_addr){never[i]}, PLAIN, "",
				  0, FR_FOREVER), -ESRCH);
	close_pair(&t);
}

static int send_until_it_leaves(void *ctx)
{
	struct senders *s = ctx;
	struct fr_process *self = join_in_child(s->arena, NULL, s->wait);
	int rc;

	s->page->who[0] = fr_self(self);
	advance(&s->page->here);
	do
		rc = fr_send(self, s->to, PLAIN, "", 0, FR_FOREVER);
	while (rc == 0);
	CHECK_RC(rc, -ESRCH);
	fr_leave(self);
	return 0;
}

static void who_waits_for_room_learns_that_the_receiver_left(void **state)
{
	struct senders s;
	struct pair t;
	pid_t child;

	(void)state;
	open_pair(&t, &small_arena);
	s = (struct senders){t.arena, fr_self(t.to), FR_WAIT_SLEEP, 0, 0,
			     shared(sizeof(*s.page))};
	child = spawn(send_until_it_leaves, &s);
	await(&s.page->here, 1);
	AWAIT(sleeps_for(t.arena, s.page->who[0], FR__MARK_ROOM));
	fr_leave(t.to);
	wait_ok(child);
	t.to = NULL;
	close_pair(&t);
}

static void mail_of_a_former_holder_is_never_received(void **state)
{
	struct fr_addr former;
	struct fr_claim open;
	struct pair t;
	uint32_t n, i;

	(void)state;
	open_pair(&t, &small_arena);
	former = fr_self(t.to);
	assert_rc(fr_claim(t.from, former, PLAIN, 4, 0, &open), 0);
	n = fill(t.from, t.to);
	assert_int_equal(n, 63);
	fr_leave(t.to);
	t.to = join(t.arena, "to", FR_WAIT_ADAPTIVE);
	assert_int_equal(fr__addr_slot(fr_self(t.to)), fr__addr_slot(former));
	receive_none(t.to);
	fr_commit(t.from, &open); /* for the former one, too */
	receive_none(t.to);
	for (i = 0; i < 200; i++) {
		assert_rc(send_int(t.from, t.to, i, 0), 0);
		receive_int(t.to, i);
	}
	assert_int_equal(fill(t.from, t.to), 64);
	mailbox_is_sound(t.to);
	close_pair(&t);
}

static void mail_that_a_former_holder_held_is_dropped(void **state)
{
	struct fr_message m[3];
	struct fr_claim open;
	struct fr_process *other;
	struct pair t;
	unsigned i;

	(void)state;
	open_pair(&t, &small_arena);
	other = join(t.arena, NULL, FR_WAIT_ADAPTIVE);
	assert_rc(fr_claim(other, fr_self(t.to), PLAIN, 4, 0, &open), 0);
	for (i = 0; i < 4; i++)
		assert_rc(send_int(t.from, t.to, i, 0), 0);
	for (i = 0; i < 3; i++)
		assert_rc(fr_receive(t.to, 0, &m[i]), 0);
	fr_release(t.to, &m[1]);
	fr_leave(t.to); /* two are held, one was never received */
	t.to = join(t.arena, "to", FR_WAIT_ADAPTIVE);
	receive_none(t.to);
	assert_rc(send_int(t.from, t.to, 9, 0), 0);
	receive_int(t.to, 9);
	fr_cancel(other, &open);
	receive_none(t.to);
	assert_int_equal(fill(t.from, t.to), 64);
	fr_leave(other);
	close_pair(&t);
}

static void mail_waits_for_one_that_is_reserved(void **state)
{
	struct fr_join_opts opts = {.name = "late"};
	struct fr_process *late;
	struct pair t;
	uint32_t i;

	(void)state;
	open_pair(&t, &small_arena);
	assert_rc(fr_reserve(t.from, &opts.reserved), 0);
	for (i = 0; i < 5; i++)
		assert_rc(fr_send(t.from, opts.reserved, PLAIN, &i, 4, 0), 0);
	assert_rc(fr_join(t.arena, &opts, &late), 0);
	for (i = 0; i < 5; i++)
		receive_int(late, i);
	receive_none(late);
	fr_leave(late);
	close_pair(&t);
}

/* ---- by name ---- */

static void a_name_reaches_all_that_hold_it(void **state)
{
	struct fr_process *holders[4];
	struct fr_message m;
	struct pair t;
	unsigned i;

	(void)state;
	open_pair(&t, &small_arena);
	for (i = 0; i < 4; i++)
		holders[i] = join(t.arena, "choir", FR_WAIT_ADAPTIVE);
	assert_rc(fr_send_name(t.from, "choir", PLAIN, "la", 2, 0), 4);
	for (i = 0; i < 4; i++) {
		assert_rc(fr_receive(holders[i], 0, &m), 0);
		assert_int_equal(m.len, 2);
		fr_release(holders[i], &m);
		receive_none(holders[i]);
	}
	receive_none(t.to);
	fr_leave(holders[2]);
	assert_rc(fr_send_name(t.from, "choir", PLAIN, "la", 2, 0), 3);
	for (i = 0; i < 4; i++)
		if (i != 2)
			fr_leave(holders[i]);
	close_pair(&t);
}

static void a_name_that_nobody_holds_is_an_error(void **state)
{
	char name[FR_NAME_MAX + 2];
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	assert_rc(fr_send_name(t.from, "nobody", PLAIN, "", 0, FR_FOREVER),
		  -ENOENT);
	assert_rc(fr_send_name(t.from, "", PLAIN, "", 0, 0), -EINVAL);
	assert_rc(fr_send_name(t.from, "a/b", PLAIN, "", 0, 0), -EINVAL);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_rc(fr_send_name(t.from, name, PLAIN, "", 0, 0), -ENAMETOOLONG);
	fr_leave(t.to);
	assert_rc(fr_send_name(t.from, "to", PLAIN, "", 0, 0), -ENOENT);
	t.to = NULL;
	close_pair(&t);
}

static void a_full_holder_does_not_keep_the_others_from_it(void **state)
{
	struct fr_process *holders[3];
	struct pair t;
	int64_t start;
	unsigned i, k;

	(void)state;
	open_pair(&t, &small_arena);
	for (i = 0; i < 3; i++)
		holders[i] = join(t.arena, "choir", FR_WAIT_ADAPTIVE);
	for (i = 0; i < 3; i++) {
		uint32_t n = fill(t.from, holders[i]);

		assert_rc(fr_send_name(t.from, "choir", PLAIN, "1234", 4, 0),
			  2);
		start = now_ns();
		assert_rc(fr_send_name(t.from, "choir", PLAIN, "1234", 4,
				       20 * MS), 2);
		assert_true(now_ns() - start >= 20 * MS);
		for (k = 0; k < n; k++)
			receive_int(holders[i], k);
		receive_none(holders[i]);
		for (k = 0; k < 3; k++) {
			struct fr_message m;

			while (fr_receive(holders[k], 0, &m) == 0)
				fr_release(holders[k], &m);
		}
	}
	for (i = 0; i < 3; i++)
		fill(t.from, holders[i]);
	assert_rc(fr_send_name(t.from, "choir", PLAIN, "", 0, 0), -EAGAIN);
	assert_rc(fr_send_name(t.from, "choir", PLAIN, "", 0, 5 * MS),
		  -ETIMEDOUT);
	for (i = 0; i < 3; i++)
		fr_leave(holders[i]);
	close_pair(&t);
}

static void more_holders_than_a_short_list_all_get_it(void **state)
{
	struct fr_arena_opts opts = small_arena;
	struct fr_process *holders[40];
	struct pair t;
	unsigned i;

	(void)state;
	opts.slots = 48;
	open_pair(&t, &opts);
	for (i = 0; i < 40; i++)
		holders[i] = join(t.arena, "crowd", FR_WAIT_ADAPTIVE);
	assert_rc(fr_send_name(t.from, "crowd", PLAIN, &(uint32_t){7}, 4, 0),
		  40);
	for (i = 0; i < 40; i++) {
		receive_int(holders[i], 7);
		fr_leave(holders[i]);
	}
	close_pair(&t);
}

/* ---- handlers ---- */

/* Notes what it was given. */
struct heard {
	unsigned calls;
	uint32_t type;
	int answer;
};

static int hear(void *ctx, struct fr_process *p, struct fr_message *m)
{
	struct heard *h = ctx;

	(void)p;
	h->calls++;
	h->type = m->type.id;
	return h->answer;
}

static struct fr_type type_of(struct fr_process *p, const char *name,
			      struct fr_type parent)
{
	struct fr_type type;

	assert_rc(fr_type_intern(p, name, parent, &type), 0);
	return type;
}

/* Send a message of this type and run until it has been dealt with. */
static int run_one(struct pair *t, struct fr_type type)
{
	assert_rc(fr_send(t->from, fr_self(t->to), type, "", 0, 0), 0);
	assert_rc(fr_send_exit(t->from, fr_self(t->to), 0), 0);
	return fr_run(t->to, NULL);
}

static void a_message_goes_to_the_handler_of_its_type(void **state)
{
	struct heard a = {0}, b = {0};
	struct fr_type ta, tb;
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	ta = type_of(t.to, "a", NO_TYPE);
	tb = type_of(t.to, "b", NO_TYPE);
	assert_rc(fr_handle(t.to, ta, hear, &a), 0);
	assert_rc(fr_handle(t.to, tb, hear, &b), 0);
	assert_rc(run_one(&t, tb), 0);
	assert_int_equal(a.calls, 0);
	assert_int_equal(b.calls, 1);
	assert_int_equal(b.type, tb.id);
	assert_rc(run_one(&t, ta), 0);
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 1);
	close_pair(&t);
}

static void a_childs_message_goes_to_its_ancestors_handler(void **state)
{
	struct fr_type root, child, grandchild, stranger;
	struct heard h = {0}, rest = {0};
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	root = type_of(t.from, "animal", NO_TYPE);
	child = type_of(t.from, "animal.dog", root);
	grandchild = type_of(t.from, "animal.dog.terrier", child);
	stranger = type_of(t.from, "animal.cat", NO_TYPE); /* by name only */
	assert_rc(fr_handle(t.to, root, hear, &h), 0);
	assert_rc(fr_handle(t.to, NO_TYPE, hear, &rest), 0);
	assert_rc(run_one(&t, child), 0);
	assert_int_equal(h.type, child.id);
	assert_rc(run_one(&t, grandchild), 0);
	assert_int_equal(h.type, grandchild.id);
	assert_int_equal(h.calls, 2);
	assert_rc(run_one(&t, stranger), 0);
	assert_int_equal(h.calls, 2);
	assert_int_equal(rest.calls, 1);
	close_pair(&t);
}

static void the_nearest_handler_wins(void **state)
{
	struct fr_type root, child, grandchild;
	struct heard far = {0}, near = {0};
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	root = type_of(t.to, "r", NO_TYPE);
	child = type_of(t.to, "c", root);
	grandchild = type_of(t.to, "g", child);
	assert_rc(fr_handle(t.to, root, hear, &far), 0);
	assert_rc(fr_handle(t.to, child, hear, &near), 0);
	assert_rc(run_one(&t, grandchild), 0);
	assert_rc(run_one(&t, child), 0);
	assert_int_equal(near.calls, 2);
	assert_int_equal(far.calls, 0);
	assert_rc(run_one(&t, root), 0);
	assert_int_equal(far.calls, 1);
	/* Its own handler gone, the message goes up. */
	assert_rc(fr_unhandle(t.to, child), 0);
	assert_rc(run_one(&t, child), 0);
	assert_int_equal(near.calls, 2);
	assert_int_equal(far.calls, 2);
	close_pair(&t);
}

static void the_catch_all_gets_what_nobody_else_handles(void **state)
{
	struct heard own = {0}, rest = {0};
	struct fr_type type;
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	type = type_of(t.to, "a", NO_TYPE);
	assert_rc(fr_handle(t.to, type, hear, &own), 0);
	assert_rc(fr_handle(t.to, NO_TYPE, hear, &rest), 0);
	assert_rc(run_one(&t, type), 0);
	assert_int_equal(rest.calls, 0);
	assert_rc(run_one(&t, NO_TYPE), 0);
	assert_rc(run_one(&t, type_of(t.to, "b", NO_TYPE)), 0);
	assert_int_equal(rest.calls, 2); /* and the exit messages are not */
	assert_int_equal(own.calls, 1);
	close_pair(&t);
}

static void what_nobody_handles_goes_to_unhandled(void **state)
{
	struct heard h = {0};
	struct fr_run_opts opts = {.ctx = &h, .unhandled = hear};
	struct fr_type type;
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	type = type_of(t.to, "odd", NO_TYPE);
	assert_rc(fr_send(t.from, fr_self(t.to), type, "", 0, 0), 0);
	assert_rc(fr_send(t.from, fr_self(t.to), NO_TYPE, "", 0, 0), 0);
	assert_rc(fr_send_exit(t.from, fr_self(t.to), 0), 0);
	assert_rc(fr_run(t.to, &opts), 0);
	assert_int_equal(h.calls, 2);
	/* Its answer is as a handler's. */
	h.answer = -EIO;
	assert_rc(fr_send(t.from, fr_self(t.to), type, "", 0, 0), 0);
	assert_rc(fr_run(t.to, &opts), -EIO);
	h.answer = FR_STOP;
	assert_rc(fr_send(t.from, fr_self(t.to), type, "", 0, 0), 0);
	assert_rc(fr_run(t.to, &opts), 0);
	assert_int_equal(h.calls, 4);
	receive_none(t.to); /* all were released */
	assert_int_equal(fill(t.from, t.to), 64);
	close_pair(&t);
}

struct complaint {
	struct fr_arena *arena;
	int fd;
};

static int complain_to(void *ctx)
{
	struct complaint *c = ctx;
	struct fr_process *self = join_in_child(c->arena, "picky",
						FR_WAIT_ADAPTIVE);
	struct fr_addr me = fr_self(self);
	struct fr_type type;

	CHECK_RC(fr_type_intern(self, "rumour", NO_TYPE, &type), 0);
	CHECK(dup2(c->fd, STDERR_FILENO) == STDERR_FILENO);
	CHECK_RC(fr_send(self, me, type, "", 0, 0), 0);
	CHECK_RC(fr_send(self, me, NO_TYPE, "", 0, 0), 0);
	CHECK_RC(fr_send_exit(self, me, 0), 0);
	CHECK_RC(fr_run(self, NULL), 0);
	fflush(stderr);
	fr_leave(self);
	return 0;
}

static void without_unhandled_a_line_on_stderr_says_so(void **state)
{
	struct complaint c;
	FILE *file = tmpfile();
	char line[256];

	(void)state;
	assert_non_null(file);
	assert_rc(fr_arena_create(NULL, &small_arena, &c.arena), 0);
	c.fd = fileno(file);
	wait_ok(spawn(complain_to, &c));
	rewind(file);
	assert_non_null(fgets(line, sizeof(line), file));
	assert_non_null(strstr(line, "picky"));
	assert_non_null(strstr(line, "rumour"));
	assert_non_null(strchr(line, '\n'));
	assert_non_null(fgets(line, sizeof(line), file)); /* of no type */
	assert_null(fgets(line, sizeof(line), file)); /* exit: no complaint */
	fclose(file);
	fr_arena_detach(c.arena);
}

static void handling_a_type_again_replaces_the_handler(void **state)
{
	struct heard old = {0}, new = {0};
	struct fr_type type;
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	type = type_of(t.to, "a", NO_TYPE);
	assert_rc(fr_handle(t.to, type, hear, &old), 0);
	assert_rc(fr_handle(t.to, type, hear, &new), 0);
	assert_rc(run_one(&t, type), 0);
	assert_int_equal(old.calls, 0);
	assert_int_equal(new.calls, 1);
	assert_rc(fr_unhandle(t.to, type), 0);
	assert_rc(fr_unhandle(t.to, type), -ENOENT);
	close_pair(&t);
}

static void what_cannot_be_handled_is_refused(void **state)
{
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	assert_rc(fr_handle(t.to, NO_TYPE, NULL, NULL), -EINVAL);
	assert_rc(fr_handle(t.to, (struct fr_type){3}, hear, NULL), -EINVAL);
	assert_rc(fr_handle(t.to, (struct fr_type){99999}, hear, NULL),
		  -EINVAL);
	assert_rc(fr_unhandle(t.to, NO_TYPE), -ENOENT);
	assert_rc(fr_unhandle(t.to, (struct fr_type){99999}), -ENOENT);
	close_pair(&t);
}

static int hear_once(void *ctx, struct fr_process *p, struct fr_message *m)
{
	hear(ctx, p, m);
	return fr_unhandle(p, m->type);
}

static void a_handler_unhandles_itself(void **state)
{
	struct heard h = {0}, rest = {0};
	struct fr_type type;
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	type = type_of(t.to, "a", NO_TYPE);
	assert_rc(fr_handle(t.to, type, hear_once, &h), 0);
	assert_rc(fr_handle(t.to, NO_TYPE, hear, &rest), 0);
	assert_rc(fr_send(t.from, fr_self(t.to), type, "", 0, 0), 0);
	assert_rc(run_one(&t, type), 0);
	assert_int_equal(h.calls, 1);
	assert_int_equal(rest.calls, 1);
	close_pair(&t);
}

static int hand_over(void *ctx, struct fr_process *p, struct fr_message *m)
{
	return fr_handle(p, m->type, hear, ctx);
}

static void a_handler_replaces_itself(void **state)
{
	struct heard h = {0};
	struct fr_type type;
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	type = type_of(t.to, "a", NO_TYPE);
	assert_rc(fr_handle(t.to, type, hand_over, &h), 0);
	assert_rc(run_one(&t, type), 0);
	assert_int_equal(h.calls, 0);
	assert_rc(run_one(&t, type), 0);
	assert_int_equal(h.calls, 1);
	close_pair(&t);
}

static void a_handler_ends_the_run_with_stop(void **state)
{
	struct heard h = {.answer = FR_STOP};
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	assert_rc(fr_handle(t.to, NO_TYPE, hear, &h), 0);
	assert_rc(send_int(t.from, t.to, 1, 0), 0);
	assert_rc(send_int(t.from, t.to, 2, 0), 0);
	assert_rc(fr_run(t.to, NULL), 0);
	assert_int_equal(h.calls, 1);
	receive_int(t.to, 2); /* the rest is still there */
	receive_none(t.to);
	close_pair(&t);
}

static void a_handlers_error_ends_the_run_with_it(void **state)
{
	static const int errors[] = {-EIO, -EINVAL, -EAGAIN, -ENOMSG, -EINTR,
				     -ETIMEDOUT, -4095};
	struct heard h = {0}, lost = {0};
	struct fr_run_opts opts = {.ctx = &lost, .unhandled = hear};
	struct pair t;
	unsigned i;

	(void)state;
	open_pair(&t, &small_arena);
	assert_rc(fr_handle(t.to, NO_TYPE, hear, &h), 0);
	for (i = 0; i < COUNT(errors); i++) {
		h.answer = errors[i];
		assert_rc(send_int(t.from, t.to, 1, 0), 0);
		assert_rc(fr_send_exit(t.from, fr_self(t.to), 0), 0);
		assert_rc(fr_run(t.to, &opts), errors[i]);
		assert_rc(fr_run(t.to, &opts), 0); /* the exit message */
	}
	assert_int_equal(h.calls, COUNT(errors));
	assert_int_equal(lost.calls, 0);
	receive_none(t.to);
	close_pair(&t);
}

static int hear_and_release(void *ctx, struct fr_process *p,
			    struct fr_message *m)
{
	struct heard *h = ctx;

	h->calls++;
	fr_release(p, m);
	/* The freed room is good for a message to itself at once. */
	return h->calls < 200 ? send_int(p, p, h->calls, 0) : FR_STOP;
}

static void a_handler_releases_the_message_itself(void **state)
{
	struct heard h = {0};
	struct pair t;
	uint32_t n, i;

	(void)state;
	open_pair(&t, &small_arena);
	assert_rc(fr_handle(t.to, NO_TYPE, hear_and_release, &h), 0);
	n = fill(t.from, t.to);
	assert_rc(fr_run(t.to, NULL), 0);
	assert_int_equal(h.calls, 200);
	/* Each call but the last took one and sent one. */
	for (i = 200 - n + 1; i < 200; i++)
		receive_int(t.to, i);
	receive_none(t.to);
	mailbox_is_sound(t.to);
	close_pair(&t);
}

static void dispatch_gives_one_message_to_its_handler(void **state)
{
	struct heard h = {.answer = 5};
	struct fr_message m;
	struct fr_type type;
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	type = type_of(t.to, "a", NO_TYPE);
	assert_rc(fr_send(t.from, fr_self(t.to), type, "x", 1, 0), 0);
	assert_rc(fr_receive(t.to, 0, &m), 0);
	assert_rc(fr_dispatch(t.to, &m), -ENOMSG);
	assert_rc(fr_handle(t.to, type, hear, &h), 0);
	assert_rc(fr_dispatch(t.to, &m), 5);
	assert_int_equal(h.calls, 1);
	assert_non_null(m.body); /* still the caller's to release */
	fr_release(t.to, &m);
	assert_rc(fr_send_exit(t.from, fr_self(t.to), 0), 0);
	assert_rc(fr_receive(t.to, 0, &m), 0);
	assert_int_equal(m.type.id, FR_TYPE_EXIT.id);
	assert_rc(fr_dispatch(t.to, &m), FR_STOP);
	fr_release(t.to, &m);
	close_pair(&t);
}

/* ---- fr_run ---- */

static void an_exit_message_ends_the_run(void **state)
{
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	assert_rc(fr_send_exit(t.from, fr_self(t.to), 0), 0);
	assert_rc(send_int(t.from, t.to, 1, 0), 0);
	assert_rc(fr_run(t.to, NULL), 0);
	receive_int(t.to, 1);
	close_pair(&t);
}

static void a_handler_for_exit_decides_itself(void **state)
{
	struct heard h = {0};
	struct fr_run_opts opts = {.limit_ns = 10 * MS};
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	assert_rc(fr_handle(t.to, FR_TYPE_EXIT, hear, &h), 0);
	assert_rc(fr_send_exit(t.from, fr_self(t.to), 0), 0);
	assert_rc(fr_send_exit(t.from, fr_self(t.to), 0), 0);
	assert_rc(fr_run(t.to, &opts), 0); /* by its limit */
	assert_int_equal(h.calls, 2);
	close_pair(&t);
}

static void a_run_ends_after_its_limit(void **state)
{
	static const enum fr_wait_mode modes[] = {
		FR_WAIT_ADAPTIVE, FR_WAIT_SLEEP, FR_WAIT_POLL,
	};
	struct fr_run_opts opts = {.limit_ns = 20 * MS};
	struct fr_arena *arena;
	struct fr_process *p;
	int64_t start;
	unsigned i;

	(void)state;
	assert_rc(fr_arena_create(NULL, &small_arena, &arena), 0);
	for (i = 0; i < COUNT(modes); i++) {
		p = join(arena, NULL, modes[i]);
		start = now_ns();
		assert_rc(fr_run(p, &opts), 0);
		assert_true(now_ns() - start >= 20 * MS);
		fr_leave(p);
	}
	fr_arena_detach(arena);
}

static void a_wrong_run_is_refused(void **state)
{
	static const struct fr_task_run none;
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	assert_rc(fr_run(t.to, &(struct fr_run_opts){.limit_ns = -1}), -EINVAL);
	assert_rc(fr_run(t.to, &(struct fr_run_opts){.tasks = &none}), -EINVAL);
	close_pair(&t);
}

struct actor {
	unsigned calls, last; /* answer `rest` up to the last call */
	int rest, end;
};

static int act(void *ctx, struct fr_process *p)
{
	struct actor *a = ctx;

	(void)p;
	return ++a->calls < a->last ? a->rest : a->end;
}

static void an_action_goes_on_until_it_stops(void **state)
{
	static const int ends[] = {FR_STOP, -EIO, -EINTR, -EAGAIN};
	struct actor a;
	struct fr_run_opts opts = {.ctx = &a, .action = act};
	struct pair t;
	unsigned i;

	(void)state;
	open_pair(&t, &small_arena);
	for (i = 0; i < COUNT(ends); i++) {
		a = (struct actor){0, 1000, FR_CONTINUE, ends[i]};
		assert_rc(fr_run(t.to, &opts), ends[i] < 0 ? ends[i] : 0);
		assert_int_equal(a.calls, 1000);
	}
	close_pair(&t);
}

static void a_busy_action_ends_after_the_limit_too(void **state)
{
	struct actor a = {0, UINT32_MAX, FR_CONTINUE, FR_STOP};
	struct fr_run_opts opts = {.ctx = &a, .action = act,
				   .limit_ns = 10 * MS};
	struct pair t;
	int64_t start = now_ns();

	(void)state;
	open_pair(&t, &small_arena);
	assert_rc(fr_run(t.to, &opts), 0);
	assert_true(now_ns() - start >= 10 * MS);
	assert_true(a.calls > 1);
	close_pair(&t);
}

static void mail_is_delivered_beside_a_busy_action(void **state)
{
	struct actor a = {0, UINT32_MAX, FR_CONTINUE, FR_STOP};
	struct fr_run_opts opts = {.ctx = &a, .action = act};
	struct heard h = {0};
	struct pair t;

	(void)state;
	open_pair(&t, &small_arena);
	assert_rc(fr_handle(t.to, NO_TYPE, hear, &h), 0);
	assert_rc(send_int(t.from, t.to, 1, 0), 0);
	assert_rc(fr_send_exit(t.from, fr_self(t.to), 0), 0);
	assert_rc(fr_run(t.to, &opts), 0);
	assert_int_equal(h.calls, 1);
	assert_int_equal(a.calls, 1); /* the action comes first in a round */
	close_pair(&t);
}

struct poke {
	struct fr_arena *arena;
	struct fr_addr to;
	uint32_t *done;
	int signal;
};

/* Three messages, each once the receiver sleeps; then exit. */
static int poke(void *ctx)
{
	struct poke *k = ctx;
	struct fr_process *self = join_in_child(k->arena, NULL, FR_WAIT_SLEEP);
	unsigned i;

	for (i = 0; i < 3; i++) {
		AWAIT(sleeps_for(k->arena, k->to, FR__MARK_MAIL));
		CHECK_RC(fr_send(self, k->to, PLAIN, "", 0, 0), 0);
		await(k->done, i + 1);
	}
	AWAIT(sleeps_for(k->arena, k->to, FR__MARK_MAIL));
	CHECK_RC(fr_send_exit(self, k->to, 0), 0);
	fr_leave(self);
	return 0;
}

static int count_it(void *ctx, struct fr_process *p, struct fr_message *m)
{
	(void)p;
	(void)m;
	advance(ctx);
	return FR_CONTINUE;
}

static void an_idle_action_sleeps_until_the_next_message(void **state)
{
	struct actor a = {0, UINT32_MAX, FR_IDLE, FR_STOP};
	struct fr_run_opts opts = {.ctx = &a, .action = act};
	struct fr_process *to;
	struct poke k;
	pid_t child;

	(void)state;
	assert_rc(fr_arena_create(NULL, &small_arena, &k.arena), 0);
	to = join(k.arena, NULL, FR_WAIT_SLEEP);
	k.to = fr_self(to);
	k.done = shared(sizeof(*k.done));
	assert_rc(fr_handle(to, NO_TYPE, count_it, k.done), 0);
	child = spawn(poke, &k);
	assert_rc(fr_run(to, &opts), 0);
	assert_int_equal(reached(k.done), 3);
	assert_true(a.calls >= 4); /* once in each round */
	wait_ok(child);
	fr_leave(to);
	fr_arena_detach(k.arena);
}

static void do_nothing(int sig)
{
	(void)sig;
}

/* Once it sleeps, signals until it says that it has come back. */
static int disturb(void *ctx)
{
	struct poke *k = ctx;

	AWAIT(sleeps_for(k->arena, k->to, FR__MARK_MAIL));
	while (reached(k->done) == 0) {
		kill(getppid(), k->signal);
		test_yield();
	}
	return 0;
}

static void a_signal_ends_the_run(void **state)
{
	struct sigaction action = {.sa_handler = do_nothing}, old;
	struct fr_process *to;
	struct fr_message m;
	struct poke k = {.signal = SIGUSR1};
	pid_t child;
	unsigned i;

	(void)state;
	assert_rc(fr_arena_create(NULL, &small_arena, &k.arena), 0);
	to = join(k.arena, NULL, FR_WAIT_SLEEP);
	k.to = fr_self(to);
	for (i = 0; i < 2; i++) {
		action.sa_flags = i ? SA_RESTART : 0;
		sigaction(SIGUSR1, &action, &old);
		k.done = shared(sizeof(*k.done));
		child = spawn(disturb, &k);
		if (i)
			assert_rc(fr_run(to, NULL), -EINTR);
		else
			assert_rc(fr_receive(to, FR_FOREVER, &m), -EINTR);
		advance(k.done);
		wait_ok(child);
		sigaction(SIGUSR1, &old, NULL);
	}
	fr_leave(to);
	fr_arena_detach(k.arena);
}

static void an_interrupt_ends_the_next_wait_in_every_mode(void **state)
{
	static const enum fr_wait_mode modes[] = {
		FR_WAIT_ADAPTIVE, FR_WAIT_SLEEP, FR_WAIT_POLL,
	};
	struct fr_arena *arena;
	struct fr_process *p;
	unsigned i;

	(void)state;
	assert_rc(fr_arena_create(NULL, &small_arena, &arena), 0);
	for (i = 0; i < COUNT(modes); i++) {
		struct fr_run_opts brief = {.limit_ns = MS};

		p = join(arena, NULL, modes[i]);
		fr_interrupt(p);
		assert_rc(fr_run(p, NULL), -EINTR);
		assert_rc(fr_run(p, &brief), 0); /* one only */
		fr_leave(p);
	}
	fr_arena_detach(arena);
}

/* ---- two processes, in every mode ---- */

struct modes {
	struct fr_arena *arena;
	enum fr_wait_mode wait;
	uint32_t messages;
};

static int pong(void *ctx)
{
	struct modes *o = ctx;
	struct fr_process *self = join_in_child(o->arena, "pong", o->wait);
	struct fr_message m;
	uint32_t i;

	for (i = 0; i < o->messages; i++) {
		uint32_t n;

		CHECK_RC(fr_receive(self, FR_FOREVER, &m), 0);
		CHECK((n = int_of(&m)) == i);
		n = ~n;
		CHECK_RC(fr_send(self, m.from, PLAIN, &n, 4, FR_FOREVER), 0);
		fr_release(self, &m);
	}
	fr_leave(self);
	return 0;
}

static void ping_pong(enum fr_wait_mode wait)
{
	/* Who polls beside others that want its CPU waits for whole slices. */
	struct modes o = {.wait = wait,
			  .messages = wait == FR_WAIT_POLL ? 200 : 3000};
	struct fr_process *self;
	struct fr_message m;
	struct fr_addr other;
	pid_t child;
	uint32_t i;

	assert_rc(fr_arena_create(NULL, &small_arena, &o.arena), 0);
	self = join(o.arena, "ping", wait);
	child = spawn(pong, &o);
	assert_rc(fr_wait_name(self, "pong", FR_FOREVER, &other), 0);
	for (i = 0; i < o.messages; i++) {
		assert_rc(fr_send(self, other, PLAIN, &i, 4, FR_FOREVER), 0);
		assert_rc(fr_receive(self, FR_FOREVER, &m), 0);
		assert_true(int_of(&m) == ~i);
		fr_release(self, &m);
	}
	wait_ok(child);
	receive_none(self);
	fr_leave(self);
	fr_arena_detach(o.arena);
}

static void two_that_poll_play_ping_pong(void **state)
{
	(void)state;
	ping_pong(FR_WAIT_POLL);
}

static void two_that_sleep_play_ping_pong(void **state)
{
	(void)state;
	ping_pong(FR_WAIT_SLEEP);
}

static void two_that_adapt_play_ping_pong(void **state)
{
	(void)state;
	ping_pong(FR_WAIT_ADAPTIVE);
}

static size_t length_in_stream(uint32_t i)
{
	return 4 + i % 97;
}

static int stream_to(void *ctx)
{
	struct modes *o = ctx;
	struct fr_process *self = join_in_child(o->arena, NULL, o->wait);
	unsigned char body[128];
	struct fr_addr to;
	uint32_t i;

	CHECK_RC(fr_wait_name(self, "sink", FR_FOREVER, &to), 0);
	for (i = 0; i < o->messages; i++) {
		size_t len = length_in_stream(i);

		memcpy(body, &i, 4);
		paint(body + 4, len - 4, i);
		CHECK_RC(fr_send(self, to, PLAIN, body, len, FR_FOREVER), 0);
	}
	fr_leave(self);
	return 0;
}

static void stream(enum fr_wait_mode wait)
{
	struct modes o = {.wait = wait, .messages = 200000};
	struct fr_arena_opts opts = small_arena;
	struct fr_process *self;
	struct fr_message m;
	pid_t child;
	uint32_t i;

	opts.mailbox_bytes = wait == FR_WAIT_POLL ? 262144 : 16384;
	assert_rc(fr_arena_create(NULL, &opts, &o.arena), 0);
	self = join(o.arena, "sink", wait);
	child = spawn(stream_to, &o);
	for (i = 0; i < o.messages; i++) {
		int rc = fr_receive(self, FR_FOREVER, &m);

		if (rc != 0 || int_of(&m) != i || m.len != length_in_stream(i) ||
		    !painted((const char *)m.body + 4, m.len - 4, i))
			fail_msg("message %u: rc %d", i, rc);
		fr_release(self, &m);
	}
	wait_ok(child);
	receive_none(self);
	mailbox_is_sound(self);
	fr_leave(self);
	fr_arena_detach(o.arena);
}

static void a_stream_arrives_in_order_while_both_poll(void **state)
{
	(void)state;
	stream(FR_WAIT_POLL);
}

static void a_stream_arrives_in_order_while_both_sleep(void **state)
{
	(void)state;
	stream(FR_WAIT_SLEEP);
}

static void a_stream_arrives_in_order_while_both_adapt(void **state)
{
	(void)state;
	stream(FR_WAIT_ADAPTIVE);
}

/* ---- laps about to end ---- */

/* All that a mailbox does, over several laps from here on. */
static void laps_from(uint64_t start)
{
	struct fr_arena_opts opts = small_arena;
	unsigned char body[4096];
	struct fr_process *other;
	struct fr_message held[2];
	struct fr_claim claim;
	struct fr_part parts[20];
	uint32_t bodies[20], i, n;
	struct pair t;

	opts.start_position = start;
	open_pair(&t, &opts);
	other = join(t.arena, NULL, FR_WAIT_ADAPTIVE);
	for (i = 0; i < 30; i++)
		goes_through(&t, i * 67 % (t.info.message_max + 1), body);
	n = fill(t.from, t.to);
	assert_int_equal(n, 64);
	for (i = 0; i < n; i++)
		receive_int(t.to, i);
	receive_none(t.to);
	for (i = 0; i < 100; i++) {
		assert_rc(fr_claim(t.from, fr_self(t.to), PLAIN, 4, 0, &claim),
			  0);
		memcpy(claim.body, &i, 4);
		assert_rc(send_int(other, t.to, 1000 + i, 0), 0);
		assert_rc(send_int(other, t.to, 2000 + i, 0), 0);
		assert_rc(fr_receive(t.to, 0, &held[0]), 0);
		assert_rc(fr_receive(t.to, 0, &held[1]), 0);
		assert_int_equal(int_of(&held[0]), 1000 + i);
		assert_int_equal(int_of(&held[1]), 2000 + i);
		fr_release(t.to, &held[1]);
		fr_release(t.to, &held[0]);
		receive_none(t.to);
		if (i % 3) {
			fr_commit(t.from, &claim);
			receive_int(t.to, i);
		} else {
			fr_cancel(t.from, &claim);
		}
		receive_none(t.to);
	}
	numbers(parts, bodies, 20);
	for (i = 0; i < 20; i++) {
		unsigned k = 0, got;
		int sent;

		while (k < 20) {
			sent = fr_send_batch(t.from, fr_self(t.to), parts + k,
					     20 - k, 0);
			assert_true(sent > 0);
			for (got = 0; got < (unsigned)sent; got++)
				receive_int(t.to, k++);
		}
	}
	mailbox_is_sound(t.to);
	fr_leave(other);
	close_pair(&t);
}

static void a_mailbox_starts_anywhere_in_a_lap(void **state)
{
	uint64_t start;

	(void)state;
	for (start = 0; start <= 130; start++)
		laps_from(start);
}

static void a_lap_number_of_32_bits_wraps(void **state)
{
	uint64_t border = (UINT64_C(1) << 32) * 64, back;

	(void)state;
	for (back = 1; back <= 640; back += 63)
		laps_from(border - back);
	laps_from((UINT64_C(1) << 63) - 100);
}

static void a_position_of_64_bits_wraps(void **state)
{
	uint64_t back;

	(void)state;
	for (back = 1; back <= 640; back += 63)
		laps_from(-back);
}

static void a_stream_crosses_the_wrap_of_the_lap_number(void **state)
{
	struct modes o = {.wait = FR_WAIT_ADAPTIVE, .messages = 20000};
	struct fr_arena_opts opts = small_arena;
	struct fr_process *self;
	struct fr_message m;
	pid_t child;
	uint32_t i;

	(void)state;
	opts.start_position = (UINT64_C(1) << 32) * 64 - 5000;
	assert_rc(fr_arena_create(NULL, &opts, &o.arena), 0);
	self = join(o.arena, "sink", o.wait);
	child = spawn(stream_to, &o);
	for (i = 0; i < o.messages; i++) {
		assert_rc(fr_receive(self, FR_FOREVER, &m), 0);
		assert_int_equal(int_of(&m), i);
		assert_int_equal(m.len, length_in_stream(i));
		fr_release(self, &m);
	}
	wait_ok(child);
	fr_leave(self);
	fr_arena_detach(o.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_message_arrives_as_it_was_sent),
		TEST(a_process_sends_to_itself),
		TEST(messages_of_each_sender_arrive_in_order),
		TEST(every_length_arrives_whole),
		TEST(messages_that_would_wrap_arrive_whole),
		TEST(messages_of_all_lengths_queue_up),
		TEST(the_largest_message_is_half_a_mailbox_less_a_header),
		TEST(a_message_over_the_largest_is_refused),
		TEST(a_forked_child_is_not_the_process_that_joined),
		TEST(a_full_mailbox_says_so_and_keeps_what_it_has),
		TEST(waiting_for_room_ends_with_its_time),
		TEST(a_sender_sleeps_until_the_receiver_frees_room),
		TEST(those_who_wait_for_room_of_a_slow_receiver_take_turns),
		TEST(who_waits_for_room_says_where_each_time),
		TEST(all_who_wait_for_room_are_served),
		TEST(a_batch_release_wakes_who_waits_for_room),
		TEST(waiting_for_room_in_the_own_mailbox_is_a_deadlock),
		TEST(a_claim_is_written_in_place_and_committed),
		TEST(a_cancelled_claim_lets_later_ones_pass),
		TEST(a_cancel_wakes_the_receiver_for_what_is_behind),
		TEST(an_open_claim_holds_up_its_own_process_only),
		TEST(claims_of_many_processes_close_in_any_order),
		TEST(a_process_stopped_in_its_claim_stops_nobody),
		TEST(messages_are_released_in_any_order),
		TEST(room_is_free_once_all_before_it_is_released),
		TEST(a_whole_mailbox_of_messages_is_held_at_a_time),
		TEST(a_batch_arrives_in_order),
		TEST(a_batch_sends_as_many_as_fit),
		TEST(a_batch_goes_up_to_a_part_that_is_too_long),
		TEST(a_batch_for_a_full_mailbox_waits_for_its_first),
		TEST(as_many_as_there_are_are_received_at_once),
		TEST(a_batch_is_one_piece_beside_an_open_claim),
		TEST(parts_of_a_batch_are_released_in_any_order),
		TEST(a_batch_takes_what_the_lap_has_left),
		TEST(an_old_copy_of_a_message_that_is_released_harms_nobody),
		TEST(a_damaged_batch_is_refused_and_its_room_given_back),
		TEST(a_batch_is_not_torn_by_another_sender),
		TEST(a_message_to_one_that_left_is_refused),
		TEST(an_address_that_never_was_is_refused),
		TEST(who_waits_for_room_learns_that_the_receiver_left),
		TEST(mail_of_a_former_holder_is_never_received),
		TEST(mail_that_a_former_holder_held_is_dropped),
		TEST(mail_waits_for_one_that_is_reserved),
		TEST(a_name_reaches_all_that_hold_it),
		TEST(a_name_that_nobody_holds_is_an_error),
		TEST(a_full_holder_does_not_keep_the_others_from_it),
		TEST(more_holders_than_a_short_list_all_get_it),
		TEST(a_message_goes_to_the_handler_of_its_type),
		TEST(a_childs_message_goes_to_its_ancestors_handler),
		TEST(the_nearest_handler_wins),
		TEST(the_catch_all_gets_what_nobody_else_handles),
		TEST(what_nobody_handles_goes_to_unhandled),
		TEST(without_unhandled_a_line_on_stderr_says_so),
		TEST(handling_a_type_again_replaces_the_handler),
		TEST(what_cannot_be_handled_is_refused),
		TEST(a_handler_unhandles_itself),
		TEST(a_handler_replaces_itself),
		TEST(a_handler_ends_the_run_with_stop),
		TEST(a_handlers_error_ends_the_run_with_it),
		TEST(a_handler_releases_the_message_itself),
		TEST(dispatch_gives_one_message_to_its_handler),
		TEST(an_exit_message_ends_the_run),
		TEST(a_handler_for_exit_decides_itself),
		TEST(a_run_ends_after_its_limit),
		TEST(a_wrong_run_is_refused),
		TEST(an_action_goes_on_until_it_stops),
		TEST(a_busy_action_ends_after_the_limit_too),
		TEST(mail_is_delivered_beside_a_busy_action),
		TEST(an_idle_action_sleeps_until_the_next_message),
		TEST(a_signal_ends_the_run),
		TEST(an_interrupt_ends_the_next_wait_in_every_mode),
		TEST(two_that_poll_play_ping_pong),
		TEST(two_that_sleep_play_ping_pong),
		TEST(two_that_adapt_play_ping_pong),
		TEST(a_stream_arrives_in_order_while_both_poll),
		TEST(a_stream_arrives_in_order_while_both_sleep),
		TEST(a_stream_arrives_in_order_while_both_adapt),
		TEST(a_mailbox_starts_anywhere_in_a_lap),
		TEST(a_lap_number_of_32_bits_wraps),
		TEST(a_position_of_64_bits_wraps),
		TEST(a_stream_crosses_the_wrap_of_the_lap_number),
	};

	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
