/* SPDX-License-Identifier: MIT */
/*
 * Calls, and waiting for an event from one process: each ends, with the reply or
 * with what became of it, whoever of both is stopped, gone or killed at which step,
 * and whoever finds out; and each gives its cell back. The test is one side in its
 * own process, the other is a child; where a step must stand still in its middle,
 * a page that may not be touched yet holds it there (see set_trap()).
 */
#include "harness.h"

#include "arena.h"
#include "process.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define NO_TYPE ((struct fr_type){0})
#define PLAIN ((struct fr_type){77}) /* a number that nobody interned */
#define CELLS 8                      /* of small_arena */
#define PAGE 4096
#define SHORT (20 * MS) /* for who will not reply */
#define LENGTH_MAX 4096

/* What the processes of one test tell one another. */
struct desk {
	uint32_t here; /* that have joined, one after the other */
	struct fr_addr who[16];
	uint32_t step, caught, go, done;
	uint64_t call; /* a call's number */
	int32_t rc;
};

struct room {
	struct fr_arena *arena;
	struct fr_process *self; /* the test's own, in slot 0 */
	struct fr_arena_info info;
	struct desk *desk;
	/* For the next child: how it waits, whom it calls, how often. */
	enum fr_wait_mode wait;
	struct fr_addr to;
	uint32_t rounds;
	struct fr_event_group *group;
	struct fr_event event;
};

/* ---- the test's own process ---- */

static void open_room_of(struct room *t, const struct fr_arena_opts *opts)
{
	static const struct fr_join_opts adaptive;

	memset(t, 0, sizeof(*t));
	assert_rc(fr_arena_create(NULL, opts, &t->arena), 0);
	fr_arena_info(t->arena, &t->info);
	assert_rc(fr_join(t->arena, &adaptive, &t->self), 0);
	assert_int_equal(fr__addr_slot(fr_self(t->self)), 0);
	t->desk = shared(sizeof(*t->desk));
}

static void open_room(struct room *t)
{
	open_room_of(t, &small_arena);
}

static struct fr_process *join(struct room *t)
{
	struct fr_process *p;

	assert_rc(fr_join(t->arena, NULL, &p), 0);
	return p;
}

static int submit(struct fr_process *p, uint32_t n, struct fr_task_id *id)
{
	return fr_submit(p, &(struct fr_task){.arg = &n, .len = sizeof(n)}, id);
}

/* Each of a process's cells can be used, and none is beyond them. */
static void cells_are_free(struct fr_process *p, unsigned count)
{
	struct fr_task_id ids[64], over;
	struct fr_result r;
	unsigned i;

	assert_rc(fr_outstanding(p), 0);
	for (i = 0; i < count; i++)
		assert_rc(submit(p, i, &ids[i]), 0);
	assert_rc(submit(p, i, &over), -EAGAIN);
	for (i = 0; i < count; i++)
		assert_rc(fr_task_cancel(p, ids[i]), 0);
	for (i = 0; i < count; i++) {
		assert_rc(fr_collect(p, 0, &r), 0);
		fr_result_release(p, &r);
	}
	assert_rc(fr_collect(p, 0, &r), -ENODATA);
}

static void say_fault(void *ctx, const char *fault)
{
	(void)ctx;
	print_error("%s\n", fault);
}

static void is_sound(struct room *t)
{
	assert_rc(fr_check(t->arena, say_fault, NULL), 0);
}

static void close_room(struct room *t)
{
	is_sound(t);
	cells_are_free(t->self, t->info.main_cells);
	fr_event_group_free(t->group);
	fr_leave(t->self);
	fr_arena_detach(t->arena);
}

/* Start a child that will arrive(); its address. */
static pid_t start(struct room *t, int (*fn)(void *ctx), struct fr_addr *who)
{
	uint32_t n = reached(&t->desk->here);
	pid_t pid = spawn(fn, t);

	await(&t->desk->here, n + 1);
	*who = t->desk->who[n % COUNT(t->desk->who)];
	return pid;
}

static void stop(pid_t pid)
{
	int status;

	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
}

static void await_stopped(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
}

static void await_killed(pid_t pid)
{
	int status = wait_status(pid);

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* ---- in every process ---- */

static uint64_t state_of(const struct room *t, struct fr_addr who)
{
	return fr__load_sc(&t->arena->slots[fr__addr_slot(who)].state);
}

/* Does that process hold its slot, or is it being recovered? */
static bool holds_slot(const struct room *t, struct fr_addr who)
{
	uint64_t word = state_of(t, who);

	return fr__slot_generation(word) == fr__addr_generation(who) &&
	       fr__slot_state(word) != FR__SLOT_FREE;
}

static bool sleeps_for(const struct room *t, struct fr_addr who, uint32_t mark)
{
	return fr__load_sc(&t->arena->slots[fr__addr_slot(who)].waiting) & mark;
}

/* Who calls sleeps until there is a reply. */
static void await_caller(const struct room *t, struct fr_addr who)
{
	AWAIT(sleeps_for(t, who, FR__MARK_RESULT));
}

static void recover_slot_of(struct room *t, struct fr_addr who)
{
	while (holds_slot(t, who)) {
		fr__recover(t->arena, fr__addr_slot(who));
		test_yield();
	}
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

#define WANT 1000 /* type: this and the length of the reply that is wanted */

/* A call of so many bytes brings so many back, as they were painted. */
static int talk(struct fr_process *p, struct fr_addr to, size_t len,
		size_t reply_len)
{
	unsigned char body[LENGTH_MAX] = {0}, reply[LENGTH_MAX];
	uint32_t seed = (uint32_t)(len * 31 + reply_len);
	int rc;

	paint(body, len, seed);
	memset(reply, 0xee, sizeof(reply));
	rc = fr_call(p, to, (struct fr_type){(uint32_t)(WANT + reply_len)},
		     body, len, FR_FOREVER, reply, sizeof(reply));
	if (rc < 0)
		return rc;
	return (size_t)rc == reply_len && painted(reply, reply_len, seed + 1) &&
			       reply[reply_len] == 0xee
		       ? 0
		       : -EILSEQ;
}

/* Answer what talk() asks. */
static int answer(struct fr_process *p, const struct fr_message *m)
{
	unsigned char reply[LENGTH_MAX];
	size_t reply_len = m->type.id - WANT;
	uint32_t seed = (uint32_t)(m->len * 31 + reply_len);

	if (!m->call || !painted(m->body, m->len, seed))
		return -EILSEQ;
	paint(reply, reply_len, seed + 1);
	return fr_reply(p, m->call, reply, reply_len);
}

/* A call without limit. Who replies to it replies "defg". */
static int call_forever(struct fr_process *p, struct fr_addr to)
{
	char reply[64];
	int rc = fr_call(p, to, PLAIN, "abc", 3, FR_FOREVER, reply,
			 sizeof(reply));

	return rc < 0 || (rc == 4 && memcmp(reply, "defg", 4) == 0) ? rc
								     : -EILSEQ;
}

/* ---- children ---- */

static struct room *my_room; /* of this child, for what it does in a trap */

static struct fr_process *arrive_at(struct room *t, struct fr_addr reserved)
{
	struct fr_join_opts opts = {.wait = t->wait, .reserved = reserved};
	uint32_t n = reached(&t->desk->here);
	struct fr_process *p;

	my_room = t;
	CHECK_RC(fr_join(t->arena, &opts, &p), 0);
	t->desk->who[n % COUNT(t->desk->who)] = fr_self(p);
	advance(&t->desk->here);
	return p;
}

static struct fr_process *arrive(struct room *t)
{
	return arrive_at(t, (struct fr_addr){0});
}

/* The next call. Its message is released: the number is all that one needs. */
static uint64_t get_call(struct fr_process *p)
{
	struct fr_message m;

	CHECK_RC(fr_receive(p, FR_FOREVER, &m), 0);
	CHECK(m.call != 0);
	fr_release(p, &m);
	return m.call;
}

/* Replies to all calls, until it is to end. */
static int reply_to_all(void *ctx)
{
	struct fr_process *p = arrive(ctx);
	struct fr_message m;

	for (;;) {
		CHECK_RC(fr_receive(p, FR_FOREVER, &m), 0);
		if (m.type.id == FR_TYPE_EXIT.id)
			break;
		CHECK_RC(answer(p, &m), 0);
		fr_release(p, &m);
	}
	fr_release(p, &m);
	fr_leave(p);
	return 0;
}

static void see_off(struct room *t, struct fr_addr who, pid_t pid)
{
	assert_rc(fr_send_exit(t->self, who, FR_FOREVER), 0);
	wait_ok(pid);
}

/* Calls once, for ever; desk->rc is what came of it. */
static int call_once(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);

	t->desk->rc = call_forever(p, t->to);
	advance(&t->desk->done);
	fr_leave(p);
	return 0;
}

/* ---- traps: something stands still in the middle of a step ---- */

static struct {
	unsigned char *at;
	size_t bytes;
	void (*run)(void);
} trap;

static void spring(int sig, siginfo_t *info, void *ctx)
{
	unsigned char *at = info->si_addr;

	(void)ctx;
	if (at < trap.at || at >= trap.at + trap.bytes) {
		signal(sig, SIG_DFL); /* a real one: again, and die of it */
		return;
	}
	trap.run();
	mprotect(trap.at, trap.bytes, PROT_READ | PROT_WRITE);
}

/* Who touches these pages (allowed: PROT_READ for writing only) runs this first,
 * between what it did before and the very access. Once. */
static void set_trap(void *at, size_t bytes, int allowed, void (*run)(void))
{
	struct sigaction action = {
		.sa_sigaction = spring, .sa_flags = SA_SIGINFO,
	};
	uintptr_t from = (uintptr_t)at & ~(uintptr_t)(PAGE - 1);
	uintptr_t to = ((uintptr_t)at + bytes + PAGE - 1) &
		       ~(uintptr_t)(PAGE - 1);

	trap.at = (void *)from;
	trap.bytes = to - from;
	trap.run = run;
	CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
	CHECK(mprotect(trap.at, trap.bytes, allowed) == 0);
}

/* A reply to be copied from here stops in its middle. */
static void *trapped_body(void (*run)(void))
{
	void *body = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(body != MAP_FAILED);
	memset(body, 'x', PAGE);
	memcpy(body, "defg", 4);
	set_trap(body, PAGE, PROT_NONE, run);
	return body;
}

/* Cells of slot 0 are looked at freely; who is about to change one runs this. */
static void trap_cells(const struct room *t, void (*run)(void))
{
	set_trap(fr__arena_cell(t->arena, 0), t->arena->cell_bytes * CELLS,
		 PROT_READ, run);
}

static void die(void)
{
	raise(SIGKILL);
}

/* ... once the test sleeps in its call. */
static void die_when_awaited(void)
{
	await_caller(my_room, fr_self(my_room->self));
	die();
}

static void stop_here(void)
{
	raise(SIGSTOP);
}

/* ---- calls and replies ---- */

static void a_call_brings_the_reply(void **state)
{
	struct fr_addr to;
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	pid = start(&t, reply_to_all, &to);
	assert_rc(talk(t.self, to, 5, 3), 0);
	assert_rc(talk(t.self, to, 0, 0), 0);
	assert_rc(fr_outstanding(t.self), 0);
	see_off(&t, to, pid);
	close_room(&t);
}

static void every_length_of_message_and_reply_arrives_whole(void **state)
{
	struct fr_addr to;
	struct room t;
	size_t len;
	pid_t pid;

	(void)state;
	open_room(&t);
	pid = start(&t, reply_to_all, &to);
	for (len = 0; len <= t.info.message_max - 8; len++)
		assert_rc(talk(t.self, to, len, len % (t.info.result_max + 1)),
			  0);
	see_off(&t, to, pid);
	close_room(&t);
}

static void every_length_arrives_whole_with_the_defaults(void **state)
{
	struct fr_addr to;
	struct room t;
	size_t len;
	pid_t pid;

	(void)state;
	open_room_of(&t, NULL);
	pid = start(&t, reply_to_all, &to);
	for (len = 0; len <= t.info.result_max; len++)
		assert_rc(talk(t.self, to, len, t.info.result_max - len), 0);
	see_off(&t, to, pid);
	close_room(&t);
}

static void a_call_over_the_largest_is_refused(void **state)
{
	struct fr_process *other;
	struct fr_message m;
	struct fr_addr to;
	struct room t;
	size_t over;

	(void)state;
	open_room(&t);
	other = join(&t);
	to = fr_self(other);
	for (over = t.info.message_max - 7; over <= t.info.message_max + 1;
	     over++)
		assert_rc(fr_call(t.self, to, PLAIN, "", over, FR_FOREVER, NULL,
				  0), -EMSGSIZE);
	assert_rc(fr_call(t.self, to, PLAIN, "", SIZE_MAX, FR_FOREVER, NULL, 0),
		  -EMSGSIZE);
	assert_rc(fr_call(t.self, to, PLAIN, "", SIZE_MAX - 7, FR_FOREVER, NULL,
			  0), -EMSGSIZE);
	assert_rc(fr_receive(other, 0, &m), -EAGAIN);
	fr_leave(other);
	close_room(&t);
}

static int reply_too_much_first(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);
	uint64_t call = get_call(p);
	char *much = calloc(1, t->info.result_max + 1);

	CHECK(much);
	CHECK_RC(fr_reply(p, call, much, t->info.result_max + 1), -EMSGSIZE);
	CHECK_RC(fr_reply(p, call, much, SIZE_MAX), -EMSGSIZE);
	CHECK_RC(fr_reply(p, call, "defg", 4), 0);
	free(much);
	fr_leave(p);
	return 0;
}

static void a_reply_over_the_largest_is_refused_and_still_owed(void **state)
{
	struct fr_addr to;
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	pid = start(&t, reply_too_much_first, &to);
	assert_rc(call_forever(t.self, to), 4);
	wait_ok(pid);
	close_room(&t);
}

static void a_reply_over_the_callers_room_is_lost(void **state)
{
	struct fr_type want5 = {WANT + 5}, want0 = {WANT};
	struct fr_addr to;
	unsigned char body[4], reply[5];
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	pid = start(&t, reply_to_all, &to);
	paint(body, 4, 4 * 31 + 5);
	memset(reply, 1, sizeof(reply));
	assert_rc(fr_call(t.self, to, want5, body, 4, FR_FOREVER, reply, 4),
		  -EMSGSIZE);
	assert_int_equal(reply[0], 1);
	assert_rc(fr_call(t.self, to, want5, body, 4, FR_FOREVER, NULL, 0),
		  -EMSGSIZE);
	assert_rc(fr_call(t.self, to, want5, body, 4, FR_FOREVER, reply, 5), 5);
	assert_true(painted(reply, 5, 4 * 31 + 5 + 1));
	assert_rc(fr_call(t.self, to, want0, "", 0, FR_FOREVER, NULL, 0), 0);
	see_off(&t, to, pid);
	close_room(&t);
}

static void a_call_works_however_both_wait(void **state)
{
	static const enum fr_wait_mode modes[] = {
		FR_WAIT_ADAPTIVE, FR_WAIT_SLEEP, FR_WAIT_POLL,
	};
	struct fr_join_opts opts = {0};
	struct fr_process *p;
	struct fr_addr to;
	struct room t;
	unsigned i, k;
	pid_t pid;

	(void)state;
	open_room(&t);
	for (i = 0; i < COUNT(modes); i++) {
		opts.wait = modes[i];
		t.wait = modes[(i + 1) % COUNT(modes)];
		assert_rc(fr_join(t.arena, &opts, &p), 0);
		pid = start(&t, reply_to_all, &to);
		for (k = 0; k < 200; k++)
			assert_rc(talk(p, to, k, k % 65), 0);
		see_off(&t, to, pid);
		cells_are_free(p, CELLS);
		fr_leave(p);
	}
	close_room(&t);
}

/* ---- numbers, and messages that have none ---- */

/* The next message has this text; and its call's number. */
static uint64_t receive_text(struct fr_process *p, const char *text)
{
	struct fr_message m;

	assert_rc(fr_receive(p, 0, &m), 0);
	assert_int_equal(m.len, strlen(text));
	assert_memory_equal(m.body, text, m.len);
	assert_int_equal(m.type.id, PLAIN.id);
	assert_int_equal((uintptr_t)m.body % 8, 0);
	fr_release(p, &m);
	return m.call;
}

/* Nobody waits for the reply to this one. */
static void call_in_vain(struct fr_process *p, struct fr_addr to,
			 const char *text)
{
	assert_rc(fr_call(p, to, PLAIN, text, strlen(text), 0, NULL, 0),
		  -ETIMEDOUT);
}

static void only_a_call_has_a_number(void **state)
{
	struct fr_part parts[] = {
		{.type = PLAIN, .body = "three", .len = 5},
		{.type = PLAIN, .body = "four", .len = 4},
	};
	struct fr_process *other;
	struct fr_claim claim;
	struct fr_message m[8];
	struct fr_addr to;
	struct room t;
	unsigned i;

	(void)state;
	open_room(&t);
	other = join(&t);
	to = fr_self(other);
	for (i = 0; i < 2; i++) {
		assert_rc(fr_send(t.self, to, PLAIN, "one", 3, 0), 0);
		call_in_vain(t.self, to, "two");
		assert_rc(fr_send_batch(t.self, to, parts, 2, 0), 2);
		call_in_vain(t.self, to, "");
		assert_rc(fr_claim(t.self, to, PLAIN, 3, 0, &claim), 0);
		memcpy(claim.body, "six", 3);
		fr_commit(t.self, &claim);
		call_in_vain(t.self, to, "seven");
		if (i == 1)
			break;
		assert_int_equal(receive_text(other, "one"), 0);
		assert_int_not_equal(receive_text(other, "two"), 0);
		assert_int_equal(receive_text(other, "three"), 0);
		assert_int_equal(receive_text(other, "four"), 0);
		assert_int_not_equal(receive_text(other, ""), 0);
		assert_int_equal(receive_text(other, "six"), 0);
		assert_int_not_equal(receive_text(other, "seven"), 0);
	}
	assert_rc(fr_receive_batch(other, 0, m, COUNT(m)), 7);
	for (i = 0; i < 7; i++)
		assert_int_equal(m[i].call != 0, i == 1 || i == 4 || i == 6);
	assert_memory_equal(m[1].body, "two", 3);
	assert_memory_equal(m[6].body, "seven", 5);
	fr_release_batch(other, m, 7);
	fr_leave(other);
	close_room(&t);
}

static void a_call_behind_an_open_claim_is_told_after_it(void **state)
{
	struct fr_process *other;
	struct fr_claim claim;
	struct fr_message m;
	struct fr_addr to;
	struct room t;

	(void)state;
	open_room(&t);
	other = join(&t);
	to = fr_self(other);
	assert_rc(fr_claim(t.self, to, PLAIN, 5, 0, &claim), 0);
	call_in_vain(t.self, to, "second");
	assert_rc(fr_receive(other, 0, &m), -EAGAIN);
	memcpy(claim.body, "first", 5);
	fr_commit(t.self, &claim);
	assert_int_equal(receive_text(other, "first"), 0);
	assert_int_not_equal(receive_text(other, "second"), 0);
	fr_leave(other);
	close_room(&t);
}

/* The first bit of a record's type says that it is a call. */
static void a_type_that_cannot_be_is_refused(void **state)
{
	static const uint32_t ids[] = {
		UINT32_C(1) << 31, UINT32_MAX, (UINT32_C(1) << 31) | 77,
	};
	struct fr_process *other;
	struct fr_claim claim;
	struct fr_message m;
	struct fr_addr to;
	struct room t;
	unsigned i;

	(void)state;
	open_room(&t);
	other = join(&t);
	to = fr_self(other);
	for (i = 0; i < COUNT(ids); i++) {
		struct fr_type type = {ids[i]};
		struct fr_part parts[] = {
			{.type = PLAIN, .body = "good", .len = 4},
			{.type = type, .body = "123456789", .len = 9},
		};

		assert_rc(fr_send(t.self, to, type, "123456789", 9, 0),
			  -EINVAL);
		assert_rc(fr_claim(t.self, to, type, 9, 0, &claim), -EINVAL);
		assert_rc(fr_send_batch(t.self, to, &parts[1], 1, 0), -EINVAL);
		assert_rc(fr_call(t.self, to, type, "", 0, FR_FOREVER, NULL, 0),
			  -EINVAL);
		assert_rc(fr_receive(other, 0, &m), -EAGAIN);
		/* Up to it, as up to a part that is too long. */
		assert_rc(fr_send_batch(t.self, to, parts, 2, 0), 1);
		assert_int_equal(receive_text(other, "good"), 0);
	}
	fr_leave(other);
	close_room(&t);
}

static void a_wrong_number_is_refused(void **state)
{
	uint64_t random = 88172645463325252u, call;
	struct fr_process *asked, *other;
	struct fr_addr caller;
	struct room t;
	unsigned i;
	pid_t pid;

	(void)state;
	open_room(&t);
	asked = join(&t);
	other = join(&t);
	t.to = fr_self(asked);
	pid = start(&t, call_once, &caller);
	call = get_call(asked);
	for (i = 0; i < 100000; i++) {
		random ^= random << 13; /* Marsaglia's xorshift64 */
		random ^= random >> 7;
		random ^= random << 17;
		assert_rc(fr_reply(asked, random, "no", 2), -ESRCH);
	}
	for (i = 0; i < 64; i++) /* one bit is wrong */
		assert_rc(fr_reply(asked, call ^ UINT64_C(1) << i, "no", 2),
			  -ESRCH);
	assert_rc(fr_reply(asked, 0, "no", 2), -ESRCH);
	assert_rc(fr_reply(asked, UINT64_MAX, "no", 2), -ESRCH);
	assert_rc(fr_reply(other, call, "no", 2), -ESRCH);
	assert_rc(fr_reply(t.self, call, "no", 2), -ESRCH);
	assert_rc(fr_reply(asked, call, "defg", 4), 0);
	assert_rc(fr_reply(asked, call, "no", 2), -ESRCH);
	wait_ok(pid);
	assert_rc(t.desk->rc, 4);
	assert_rc(fr_reply(asked, call, "no", 2), -ESRCH);
	fr_leave(asked);
	fr_leave(other);
	close_room(&t);
}

static void a_tasks_id_is_not_the_number_of_a_call(void **state)
{
	struct fr_process *worker;
	struct fr_task_id id;
	struct fr_reply reply;
	struct fr_result r;
	struct fr_task task;
	struct room t;

	(void)state;
	open_room(&t);
	worker = join(&t);
	assert_rc(submit(t.self, 5, &id), 0);
	assert_rc(fr_reply(worker, id.id, "no", 2), -ESRCH);
	assert_rc(fr_take(worker, 0, &task, &reply), 0);
	assert_rc(fr_reply(worker, id.id, "no", 2), -ESRCH);
	memcpy(reply.data, "yes", 3);
	reply.len = 3;
	assert_rc(fr_complete(worker, 7, &reply), 0);
	assert_rc(fr_reply(worker, id.id, "no", 2), -ESRCH);
	assert_rc(fr_collect(t.self, 0, &r), 0);
	assert_int_equal(r.status, FR_TASK_DONE);
	assert_int_equal(r.len, 3);
	assert_memory_equal(r.data, "yes", 3);
	assert_rc(fr_reply(t.self, id.id, "no", 2), -ESRCH);
	fr_result_release(t.self, &r);
	fr_leave(worker);
	close_room(&t);
}

static void a_calls_number_is_no_task_to_cancel(void **state)
{
	struct fr_process *asked;
	struct fr_addr caller;
	struct room t;
	uint64_t call;
	pid_t pid;

	(void)state;
	open_room(&t);
	asked = join(&t);
	t.to = fr_self(asked);
	pid = start(&t, call_once, &caller);
	call = get_call(asked);
	assert_rc(fr_task_cancel(t.self, (struct fr_task_id){call}), -ESRCH);
	assert_rc(fr_task_cancel(asked, (struct fr_task_id){call}), -ESRCH);
	assert_rc(fr_reply(asked, call, "defg", 4), 0);
	wait_ok(pid);
	assert_rc(t.desk->rc, 4);
	fr_leave(asked);
	close_room(&t);
}

/* ---- whom one calls ---- */

static void nobody_calls_itself(void **state)
{
	struct fr_message m;
	struct room t;

	(void)state;
	open_room(&t);
	assert_rc(call_forever(t.self, fr_self(t.self)), -EDEADLK);
	assert_rc(fr_receive(t.self, 0, &m), -EAGAIN);
	close_room(&t);
}

static void who_is_not_there_is_not_called(void **state)
{
	struct fr_process *other;
	struct fr_addr to;
	struct room t;

	(void)state;
	open_room(&t);
	other = join(&t);
	to = fr_self(other);
	fr_leave(other);
	assert_rc(call_forever(t.self, to), -ESRCH);
	other = join(&t); /* in its slot */
	assert_int_equal(fr__addr_slot(fr_self(other)), fr__addr_slot(to));
	assert_rc(call_forever(t.self, to), -ESRCH);
	to = fr__addr(t.info.slots, 1);
	assert_rc(call_forever(t.self, to), -ESRCH);
	to.id = UINT64_MAX;
	assert_rc(call_forever(t.self, to), -ESRCH);
	fr_leave(other);
	close_room(&t);
}

static void who_had_ones_slot_before_is_not_oneself(void **state)
{
	struct fr_addr to = {0}, former;
	struct fr_process *p;
	struct room t;

	(void)state;
	open_room(&t);
	/* Nobody's address has slot 0, as the test's has. */
	assert_rc(call_forever(t.self, to), -ESRCH);
	p = join(&t);
	former = fr_self(p);
	fr_leave(p);
	p = join(&t);
	assert_int_equal(fr__addr_slot(fr_self(p)), fr__addr_slot(former));
	assert_rc(call_forever(p, former), -ESRCH);
	fr_leave(p);
	close_room(&t);
}

static int arrive_where_reserved(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p;

	await_caller(t, fr_self(t->self));
	p = arrive_at(t, t->to);
	CHECK_RC(fr_reply(p, get_call(p), "defg", 4), 0);
	fr_leave(p);
	return 0;
}

static void a_call_waits_for_who_has_yet_to_join(void **state)
{
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	assert_rc(fr_reserve(t.self, &t.to), 0);
	pid = spawn(arrive_where_reserved, &t);
	assert_rc(call_forever(t.self, t.to), 4);
	wait_ok(pid);
	close_room(&t);
}

static void who_calls_one_that_never_joins_is_told(void **state)
{
	struct fr_addr caller;
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	assert_rc(fr_reserve(t.self, &t.to), 0);
	pid = start(&t, call_once, &caller);
	await_caller(&t, caller);
	assert_rc(fr_unreserve(t.self, t.to), 0);
	wait_ok(pid);
	assert_rc(t.desk->rc, -EOWNERDEAD);
	close_room(&t);
}

static int reserve_and_die(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);
	struct fr_addr reserved;

	CHECK_RC(fr_reserve(p, &reserved), 0);
	t->desk->call = reserved.id;
	advance(&t->desk->step);
	die_when_awaited();
	return 0;
}

static void who_calls_one_whose_reserver_dies_is_told(void **state)
{
	struct fr_addr who, to;
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	pid = start(&t, reserve_and_die, &who);
	await(&t.desk->step, 1);
	to.id = t.desk->call;
	assert_rc(call_forever(t.self, to), -EOWNERDEAD);
	await_killed(pid);
	fr_recover(t.arena);
	close_room(&t);
}

static int use_what_the_parent_joined(void *ctx)
{
	struct room *t = ctx;

	CHECK_RC(call_forever(t->self, t->to), -ECHILD);
	CHECK_RC(fr_reply(t->self, t->desk->call, "no", 2), -ECHILD);
	CHECK_RC(fr_event_wait_from(t->self, t->event, t->to, FR_FOREVER),
		 -ECHILD);
	fr_leave(t->self); /* the child's copy */
	return 0;
}

static void a_forked_child_neither_calls_nor_replies(void **state)
{
	struct fr_addr caller;
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	t.to = fr_self(t.self);
	pid = start(&t, call_once, &caller);
	t.desk->call = get_call(t.self);
	t.to = caller;
	wait_ok(spawn(use_what_the_parent_joined, &t));
	assert_rc(fr_reply(t.self, t.desk->call, "defg", 4), 0);
	wait_ok(pid);
	assert_rc(t.desk->rc, 4);
	close_room(&t);
}

/* ---- room in the mailbox, and time ---- */

static void fill(struct room *t, struct fr_addr to)
{
	int rc;

	while ((rc = fr_send(t->self, to, PLAIN, "", 0, 0)) == 0)
		;
	assert_rc(rc, -EAGAIN);
}

static int make_room_and_reply(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);
	struct fr_message m;

	AWAIT(sleeps_for(t, fr_self(t->self), FR__MARK_ROOM));
	do {
		CHECK_RC(fr_receive(p, FR_FOREVER, &m), 0);
		fr_release(p, &m);
	} while (!m.call);
	CHECK_RC(fr_reply(p, m.call, "defg", 4), 0);
	fr_leave(p);
	return 0;
}

static void a_call_waits_for_room(void **state)
{
	struct room t;
	struct fr_addr to;
	pid_t pid;

	(void)state;
	open_room(&t);
	pid = start(&t, make_room_and_reply, &to);
	fill(&t, to);
	assert_rc(call_forever(t.self, to), 4);
	wait_ok(pid);
	close_room(&t);
}

static void a_call_without_room_ends_after_its_time(void **state)
{
	struct fr_process *other;
	struct fr_addr to;
	struct room t;
	int64_t before;

	(void)state;
	open_room(&t);
	other = join(&t);
	to = fr_self(other);
	fill(&t, to);
	assert_rc(fr_call(t.self, to, PLAIN, "", 0, 0, NULL, 0), -EAGAIN);
	before = now_ns();
	assert_rc(fr_call(t.self, to, PLAIN, "", 0, SHORT, NULL, 0),
		  -ETIMEDOUT);
	assert_true(now_ns() - before >= SHORT);
	fr_leave(other);
	close_room(&t);
}

static int leave_while_one_waits_for_room(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);

	AWAIT(sleeps_for(t, fr_self(t->self), FR__MARK_ROOM));
	fr_leave(p);
	return 0;
}

static void a_call_that_waits_for_room_learns_that_there_will_be_none(
	void **state)
{
	struct fr_addr to;
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	pid = start(&t, leave_while_one_waits_for_room, &to);
	fill(&t, to);
	assert_rc(call_forever(t.self, to), -ESRCH);
	wait_ok(pid);
	close_room(&t);
}

static void a_call_ends_after_its_time_and_the_late_reply_is_refused(
	void **state)
{
	struct fr_process *other;
	char reply[64] = "none";
	struct fr_addr to;
	int64_t before;
	struct room t;
	unsigned i;

	(void)state;
	open_room(&t);
	other = join(&t);
	to = fr_self(other);
	for (i = 0; i < 3 * CELLS; i++) {
		before = now_ns();
		assert_rc(fr_call(t.self, to, PLAIN, "", 0, i % 2 ? MS : 0,
				  reply, sizeof(reply)), -ETIMEDOUT);
		assert_true(now_ns() - before >= (i % 2 ? MS : 0));
		assert_rc(fr_reply(other, get_call(other), "no", 3), -ESRCH);
	}
	assert_string_equal(reply, "none");
	fr_leave(other);
	close_room(&t);
}

static void note_signal(int sig)
{
	(void)sig;
}

static int call_until_a_signal(void *ctx)
{
	struct sigaction action = {.sa_handler = note_signal};
	struct room *t = ctx;
	struct fr_process *p = arrive(t);

	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	advance(&t->desk->step);
	t->desk->rc = call_forever(p, t->to);
	advance(&t->desk->done);
	await(&t->desk->go, 1);
	fr_leave(p);
	return 0;
}

static void a_signal_ends_a_call(void **state)
{
	struct fr_addr caller;
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	t.to = fr_self(t.self);
	pid = start(&t, call_until_a_signal, &caller);
	await(&t.desk->step, 1);
	while (!reached(&t.desk->done)) {
		kill(pid, SIGUSR1); /* one may come before its sleep */
		test_yield();
	}
	assert_rc(t.desk->rc, -EINTR);
	assert_rc(fr_reply(t.self, get_call(t.self), "no", 2), -ESRCH);
	advance(&t.desk->go);
	wait_ok(pid);
	close_room(&t);
}

struct threads {
	struct room *room;
	struct fr_process *self;
	uint64_t call;
	uint32_t ready, done;
};

static void *interrupt_a_call(void *ctx)
{
	struct threads *h = ctx;

	await_caller(h->room, fr_self(h->self));
	while (!reached(&h->done)) {
		fr_interrupt(h->self);
		test_yield();
	}
	return NULL;
}

static int call_until_interrupted(void *ctx)
{
	struct room *t = ctx;
	struct threads h = {.room = t, .self = arrive(t)};
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, interrupt_a_call, &h) == 0);
	CHECK_RC(call_forever(h.self, t->to), -EINTR);
	advance(&h.done);
	CHECK(pthread_join(thread, NULL) == 0);
	fr_leave(h.self);
	return 0;
}

static void another_thread_ends_a_call(void **state)
{
	struct fr_addr caller;
	struct room t;

	(void)state;
	open_room(&t);
	t.to = fr_self(t.self);
	wait_ok(start(&t, call_until_interrupted, &caller));
	assert_rc(fr_reply(t.self, get_call(t.self), "no", 2), -ESRCH);
	close_room(&t);
}

/* ---- replies in handlers, later, and from elsewhere ---- */

struct clerk {
	struct room *room;
	uint64_t kept;
};

static int reply_in_place(void *ctx, struct fr_process *p, struct fr_message *m)
{
	(void)ctx;
	CHECK(m->call != 0);
	CHECK_RC(fr_reply(p, m->call, m->body, m->len), 0);
	return FR_CONTINUE;
}

static int release_then_reply(void *ctx, struct fr_process *p,
			      struct fr_message *m)
{
	(void)ctx;
	fr_release(p, m);
	CHECK_RC(fr_reply(p, m->call, "released", 8), 0);
	return FR_CONTINUE;
}

static int keep_number(void *ctx, struct fr_process *p, struct fr_message *m)
{
	struct clerk *c = ctx;

	(void)p;
	c->kept = m->call;
	advance(&c->room->desk->step);
	return FR_CONTINUE;
}

static int reply_to_kept(void *ctx, struct fr_process *p, struct fr_message *m)
{
	struct clerk *c = ctx;

	CHECK_RC(fr_reply(p, c->kept, "kept", 4), 0);
	return reply_in_place(ctx, p, m);
}

static struct fr_type intern(struct fr_process *p, const char *name)
{
	struct fr_type type;

	CHECK_RC(fr_type_intern(p, name, NO_TYPE, &type), 0);
	return type;
}

static int run_with_handlers(void *ctx)
{
	struct clerk clerk = {.room = ctx};
	struct fr_process *p = arrive(ctx);

	CHECK_RC(fr_handle(p, intern(p, "echo"), reply_in_place, NULL), 0);
	CHECK_RC(fr_handle(p, intern(p, "release"), release_then_reply, NULL),
		 0);
	CHECK_RC(fr_handle(p, intern(p, "keep"), keep_number, &clerk), 0);
	CHECK_RC(fr_handle(p, intern(p, "kept"), reply_to_kept, &clerk), 0);
	advance(&clerk.room->desk->go);
	CHECK_RC(fr_run(p, NULL), 0);
	fr_leave(p);
	return 0;
}

/* Calls a type by its name: the reply is this text. */
static int ask(struct fr_process *p, struct fr_addr to, const char *type,
	       const char *body, const char *wanted)
{
	char reply[64];
	int rc = fr_call(p, to, intern(p, type), body, strlen(body), FR_FOREVER,
			 reply, sizeof(reply));

	if (rc < 0)
		return rc;
	return (size_t)rc == strlen(wanted) &&
			       memcmp(reply, wanted, (size_t)rc) == 0
		       ? 0
		       : -EILSEQ;
}

static void a_handler_replies(void **state)
{
	struct fr_addr to;
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	pid = start(&t, run_with_handlers, &to);
	await(&t.desk->go, 1);
	assert_rc(ask(t.self, to, "echo", "hello", "hello"), 0);
	assert_rc(ask(t.self, to, "release", "x", "released"), 0);
	assert_rc(ask(t.self, to, "echo", "", ""), 0);
	see_off(&t, to, pid);
	close_room(&t);
}

static int ask_what_is_kept(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);

	CHECK_RC(ask(p, t->to, "keep", "", "kept"), 0);
	fr_leave(p);
	return 0;
}

static void a_handler_keeps_the_number_and_another_replies(void **state)
{
	struct fr_addr to, other;
	struct room t;
	pid_t pid, caller;

	(void)state;
	open_room(&t);
	pid = start(&t, run_with_handlers, &to);
	await(&t.desk->go, 1);
	t.to = to;
	caller = start(&t, ask_what_is_kept, &other);
	await(&t.desk->step, 1);
	assert_rc(ask(t.self, to, "echo", "meanwhile", "meanwhile"), 0);
	assert_rc(ask(t.self, to, "kept", "now", "now"), 0);
	wait_ok(caller);
	see_off(&t, to, pid);
	close_room(&t);
}

static int run_without_complaint(void *ctx)
{
	FILE *file = tmpfile();
	struct fr_process *p = arrive(ctx);

	CHECK(file);
	CHECK_RC(fr_handle(p, intern(p, "echo"), reply_in_place, NULL), 0);
	fflush(stderr);
	CHECK(dup2(fileno(file), STDERR_FILENO) == STDERR_FILENO);
	if (fr_run(p, NULL) != 0)
		return 1;
	fr_leave(p);
	return 0;
}

static void who_calls_a_type_that_nobody_handles_is_told(void **state)
{
	struct fr_addr to;
	struct room t;
	unsigned i;
	pid_t pid;

	(void)state;
	open_room(&t);
	pid = start(&t, run_without_complaint, &to);
	for (i = 0; i < 2 * CELLS; i++)
		assert_rc(fr_call(t.self, to, intern(t.self, "rumour"), "x", 1,
				  FR_FOREVER, NULL, 0), -ENOMSG);
	assert_rc(fr_call(t.self, to, NO_TYPE, "", 0, FR_FOREVER, NULL, 0),
		  -ENOMSG);
	assert_rc(ask(t.self, to, "echo", "still here", "still here"), 0);
	see_off(&t, to, pid);
	close_room(&t);
}

static int reply_all_the_same(void *ctx, struct fr_process *p,
			      struct fr_message *m)
{
	(void)ctx;
	CHECK_RC(fr_reply(p, m->call, "all the same", 12), 0);
	return FR_CONTINUE;
}

static int run_with_unhandled(void *ctx)
{
	struct fr_run_opts opts = {.unhandled = reply_all_the_same};
	struct fr_process *p = arrive(ctx);

	CHECK_RC(fr_run(p, &opts), 0);
	fr_leave(p);
	return 0;
}

static void unhandled_replies_itself(void **state)
{
	struct fr_addr to;
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	pid = start(&t, run_with_unhandled, &to);
	assert_rc(ask(t.self, to, "rumour", "", "all the same"), 0);
	see_off(&t, to, pid);
	close_room(&t);
}

static void a_dispatch_without_handler_leaves_the_reply_owed(void **state)
{
	struct fr_addr caller;
	struct fr_message m;
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	t.to = fr_self(t.self);
	pid = start(&t, call_once, &caller);
	assert_rc(fr_receive(t.self, FR_FOREVER, &m), 0);
	assert_rc(fr_dispatch(t.self, &m), -ENOMSG);
	assert_rc(fr_reply(t.self, m.call, "defg", 4), 0);
	fr_release(t.self, &m);
	wait_ok(pid);
	assert_rc(t.desk->rc, 4);
	close_room(&t);
}

static void who_is_called_to_end_ends_without_a_reply(void **state)
{
	struct fr_addr to;
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	pid = start(&t, run_with_handlers, &to);
	assert_rc(fr_call(t.self, to, FR_TYPE_EXIT, "", 0, FR_FOREVER, NULL, 0),
		  -EOWNERDEAD);
	wait_ok(pid);
	close_room(&t);
}

static void *reply_from_a_thread(void *ctx)
{
	struct threads *h = ctx;

	await(&h->ready, 1);
	await_caller(h->room, fr_self(h->room->self));
	CHECK_RC(fr_reply(h->self, h->call, "defg", 4), 0);
	CHECK_RC(fr_reply(h->self, h->call, "no", 2), -ESRCH);
	return NULL;
}

static int hand_over_to_a_thread(void *ctx)
{
	struct threads h = {.room = ctx, .self = arrive(ctx)};
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, reply_from_a_thread, &h) == 0);
	h.call = get_call(h.self);
	advance(&h.ready);
	CHECK(pthread_join(thread, NULL) == 0);
	fr_leave(h.self);
	return 0;
}

static void another_thread_replies(void **state)
{
	struct fr_addr to;
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	pid = start(&t, hand_over_to_a_thread, &to);
	assert_rc(call_forever(t.self, to), 4);
	wait_ok(pid);
	close_room(&t);
}

static int talk_once(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);

	CHECK_RC(talk(p, t->to, t->rounds, t->rounds * 3), 0);
	fr_leave(p);
	return 0;
}

static void replies_may_come_in_any_order(void **state)
{
	static const unsigned order[] = {2, 0, 3, 1};
	struct fr_message m[4];
	struct fr_addr caller;
	pid_t pids[4];
	struct room t;
	unsigned i, k;

	(void)state;
	open_room(&t);
	t.to = fr_self(t.self);
	for (i = 0; i < 4; i++) {
		t.rounds = i;
		pids[i] = start(&t, talk_once, &caller);
		assert_rc(fr_receive(t.self, FR_FOREVER, &m[i]), 0);
		assert_true(m[i].from.id == caller.id);
		for (k = 0; k < i; k++)
			assert_true(m[k].call != m[i].call);
	}
	for (i = 0; i < 4; i++) {
		assert_rc(answer(t.self, &m[order[i]]), 0);
		wait_ok(pids[order[i]]);
		fr_release(t.self, &m[order[i]]);
	}
	close_room(&t);
}

static int pass_on(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);
	struct fr_message m;

	CHECK_RC(fr_receive(p, FR_FOREVER, &m), 0);
	CHECK_RC(talk(p, t->to, 9, 8), 0);
	CHECK_RC(answer(p, &m), 0);
	fr_release(p, &m);
	fr_leave(p);
	return 0;
}

static void who_is_called_calls_another(void **state)
{
	struct fr_addr last, middle;
	pid_t pids[2];
	struct room t;

	(void)state;
	open_room(&t);
	pids[0] = start(&t, reply_to_all, &last);
	t.to = last;
	pids[1] = start(&t, pass_on, &middle);
	assert_rc(talk(t.self, middle, 11, 22), 0);
	wait_ok(pids[1]);
	see_off(&t, last, pids[0]);
	close_room(&t);
}

/* ---- many at once ---- */

static int talk_much(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);
	uint32_t i;

	for (i = 0; i < t->rounds; i++)
		CHECK_RC(talk(p, t->to, i % 500, i % 65), 0);
	fr_leave(p);
	return 0;
}

static void several_processes_call_at_once(void **state)
{
	struct fr_addr caller;
	pid_t callee, pids[4];
	struct room t;
	unsigned i;

	(void)state;
	open_room(&t);
	t.rounds = 1000;
	callee = start(&t, reply_to_all, &t.to);
	for (i = 0; i < COUNT(pids); i++)
		pids[i] = start(&t, talk_much, &caller);
	for (i = 0; i < COUNT(pids); i++)
		wait_ok(pids[i]);
	see_off(&t, t.to, callee);
	close_room(&t);
}

static void *talk_in_a_thread(void *ctx)
{
	struct threads *h = ctx;
	struct room *t = h->room;
	uint32_t i;
	int rc;

	for (i = 0; i < t->rounds; i++) {
		/* There are more threads than cells. */
		while ((rc = talk(h->self, t->to, i % 500, i % 65)) == -EAGAIN)
			test_yield();
		CHECK_RC(rc, 0);
	}
	return NULL;
}

static int talk_in_threads(void *ctx)
{
	struct threads h = {.room = ctx, .self = arrive(ctx)};
	pthread_t threads[CELLS + 4];
	unsigned i;

	for (i = 0; i < COUNT(threads); i++)
		CHECK(pthread_create(&threads[i], NULL, talk_in_a_thread, &h) ==
		      0);
	for (i = 0; i < COUNT(threads); i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK_RC(fr_check(h.room->arena, NULL, NULL), 0);
	fr_leave(h.self);
	return 0;
}

static void several_threads_of_a_process_call_at_once(void **state)
{
	struct fr_addr caller;
	struct room t;
	pid_t callee;

	(void)state;
	open_room(&t);
	t.rounds = 300;
	callee = start(&t, reply_to_all, &t.to);
	wait_ok(start(&t, talk_in_threads, &caller));
	see_off(&t, t.to, callee);
	close_room(&t);
}

/* ---- calls and tasks of one process ---- */

static int work_and_answer_one(void *ctx, const struct fr_task *task,
			       struct fr_reply *reply)
{
	uint32_t n;

	(void)ctx;
	memcpy(&n, task->arg, sizeof(n));
	n = ~n;
	memcpy(reply->data, &n, sizeof(n));
	reply->len = sizeof(n);
	return 0;
}

static int answer_in_a_handler(void *ctx, struct fr_process *p,
			       struct fr_message *m)
{
	(void)ctx;
	if (m->type.id == FR_TYPE_EXIT.id)
		return FR_STOP;
	CHECK_RC(answer(p, m), 0);
	return FR_CONTINUE;
}

static int work_and_answer(void *ctx)
{
	struct fr_task_run tasks = {.run = work_and_answer_one};
	struct fr_run_opts opts = {
		.tasks = &tasks, .unhandled = answer_in_a_handler,
	};
	struct fr_process *p = arrive(ctx);

	CHECK_RC(fr_run(p, &opts), 0);
	fr_leave(p);
	return 0;
}

static void collect_one(struct fr_process *p, uint64_t *sum)
{
	struct fr_result r;
	uint32_t n;

	CHECK_RC(fr_collect(p, FR_FOREVER, &r), 0);
	CHECK(r.status == FR_TASK_DONE && r.len == sizeof(n));
	memcpy(&n, r.data, sizeof(n));
	*sum += ~n;
	fr_result_release(p, &r);
}

/* Every task comes back once: the sum of their numbers is right. */
static void *work_off(void *ctx)
{
	struct threads *h = ctx;
	uint32_t i, n = h->room->rounds;
	struct fr_task_id id;
	uint64_t sum = 0;
	int rc;

	for (i = 0; i < n; i++) {
		while ((rc = submit(h->self, i, &id)) == -EAGAIN)
			if (fr_outstanding(h->self) > 0)
				collect_one(h->self, &sum);
			else
				test_yield(); /* calls have all cells */
		CHECK_RC(rc, 0);
	}
	while (fr_outstanding(h->self) > 0)
		collect_one(h->self, &sum);
	CHECK(sum == (uint64_t)n * (n - 1) / 2);
	return NULL;
}

static int call_and_collect(void *ctx)
{
	struct threads h = {.room = ctx, .self = arrive(ctx)};
	pthread_t threads[3];
	struct fr_result r;
	unsigned i;

	CHECK(pthread_create(&threads[0], NULL, work_off, &h) == 0);
	for (i = 1; i < COUNT(threads); i++)
		CHECK(pthread_create(&threads[i], NULL, talk_in_a_thread, &h) ==
		      0);
	for (i = 0; i < COUNT(threads); i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK_RC(fr_collect(h.self, 0, &r), -ENODATA);
	fr_leave(h.self);
	return 0;
}

static void who_calls_while_it_collects_gets_all_of_both(void **state)
{
	struct fr_addr caller;
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	t.rounds = 2000;
	pid = start(&t, work_and_answer, &t.to);
	wait_ok(start(&t, call_and_collect, &caller));
	see_off(&t, t.to, pid);
	close_room(&t);
}

static void a_call_leaves_finished_tasks_alone(void **state)
{
	struct fr_process *worker;
	struct fr_task_id id;
	struct fr_reply reply;
	struct fr_result r;
	struct fr_task task;
	struct fr_addr to;
	struct room t;
	unsigned i;
	pid_t pid;

	(void)state;
	open_room(&t);
	worker = join(&t);
	pid = start(&t, reply_to_all, &to);
	for (i = 0; i < CELLS - 1; i++) {
		assert_rc(submit(t.self, i, &id), 0);
		assert_rc(fr_take(worker, 0, &task, &reply), 0);
		assert_rc(fr_complete(worker, (int)i, &reply), 0);
		assert_rc(talk(t.self, to, i, i), 0);
	}
	assert_rc(fr_outstanding(t.self), CELLS - 1);
	for (i = 0; i < CELLS - 1; i++) {
		assert_rc(fr_collect(t.self, 0, &r), 0);
		assert_int_equal(r.status, FR_TASK_DONE);
		fr_result_release(t.self, &r);
		assert_rc(talk(t.self, to, i, i), 0);
	}
	assert_rc(fr_collect(t.self, 0, &r), -ENODATA);
	see_off(&t, to, pid);
	fr_leave(worker);
	close_room(&t);
}

static void *collect_nothing(void *ctx)
{
	struct threads *h = ctx;
	struct fr_result r;
	int rc;

	while (!reached(&h->done)) {
		rc = fr_collect(h->self, MS, &r);
		CHECK(rc == -ETIMEDOUT || rc == -EAGAIN);
	}
	return NULL;
}

/* One task is outstanding that nobody takes, so that there is something to
 * collect. */
static int call_beside_a_collector(void *ctx)
{
	struct threads h = {.room = ctx, .self = arrive(ctx)};
	struct fr_task_id id;
	struct fr_result r;
	pthread_t thread;
	uint32_t i;

	CHECK_RC(submit(h.self, 1, &id), 0);
	CHECK(pthread_create(&thread, NULL, collect_nothing, &h) == 0);
	for (i = 0; i < h.room->rounds; i++)
		CHECK_RC(talk(h.self, h.room->to, 5, 6), 0);
	advance(&h.done);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK_RC(fr_task_cancel(h.self, id), 0);
	CHECK_RC(fr_collect(h.self, 0, &r), 0);
	fr_result_release(h.self, &r);
	fr_leave(h.self);
	return 0;
}

/* A task may be told done twice, or late: then its cell may be a call's. */
static void a_stray_word_of_a_task_does_not_take_a_calls_reply(void **state)
{
	struct fr_addr caller;
	struct fr_message m;
	struct room t;
	uint32_t i;
	pid_t pid;

	(void)state;
	open_room(&t);
	t.to = fr_self(t.self);
	t.rounds = 300;
	pid = start(&t, call_beside_a_collector, &caller);
	for (i = 0; i < t.rounds; i++) {
		unsigned slot = fr__addr_slot(caller);

		assert_rc(fr_receive(t.self, FR_FOREVER, &m), 0);
		fr__or_sc(fr__done(t.arena, slot), (1u << CELLS) - 1);
		fr__bell_ring(&t.arena->slots[slot], FR__MARK_RESULT);
		assert_rc(answer(t.self, &m), 0);
		fr__or_sc(fr__done(t.arena, slot), (1u << CELLS) - 1);
		fr__bell_ring(&t.arena->slots[slot], FR__MARK_RESULT);
		fr_release(t.self, &m);
	}
	wait_ok(pid);
	close_room(&t);
}

static void calls_use_the_cells_that_tasks_leave(void **state)
{
	struct fr_task_id ids[CELLS];
	struct fr_process *other;
	struct fr_message m;
	struct fr_result r;
	struct fr_addr to;
	struct room t;
	unsigned i;

	(void)state;
	open_room(&t);
	other = join(&t);
	to = fr_self(other);
	for (i = 0; i < CELLS; i++)
		assert_rc(submit(t.self, i, &ids[i]), 0);
	assert_rc(call_forever(t.self, to), -EAGAIN);
	assert_rc(fr_receive(other, 0, &m), -EAGAIN);
	assert_rc(fr_task_cancel(t.self, ids[3]), 0);
	assert_rc(call_forever(t.self, to), -EAGAIN);
	assert_rc(fr_collect(t.self, 0, &r), 0);
	assert_rc(call_forever(t.self, to), -EAGAIN);
	fr_result_release(t.self, &r);
	call_in_vain(t.self, to, "");
	call_in_vain(t.self, to, "");
	for (i = 0; i < CELLS; i++)
		assert_rc(fr_task_cancel(t.self, ids[i]), i == 3 ? -ESRCH : 0);
	while (fr_collect(t.self, 0, &r) == 0)
		fr_result_release(t.self, &r);
	fr_leave(other);
	close_room(&t);
}

static void *call_in_a_thread(void *ctx)
{
	struct threads *h = ctx;

	CHECK_RC(call_forever(h->self, h->room->to), 4);
	return NULL;
}

static int call_with_all_cells(void *ctx)
{
	struct threads h = {.room = ctx, .self = arrive(ctx)};
	pthread_t threads[CELLS];
	struct fr_task_id id;
	struct fr_result r;
	unsigned i;

	for (i = 0; i < CELLS; i++)
		CHECK(pthread_create(&threads[i], NULL, call_in_a_thread, &h) ==
		      0);
	await(&h.room->desk->go, 1); /* they have all been received */
	CHECK_RC(fr_outstanding(h.self), 0);
	CHECK_RC(submit(h.self, 1, &id), -EAGAIN);
	CHECK_RC(call_forever(h.self, h.room->to), -EAGAIN);
	CHECK_RC(fr_collect(h.self, FR_FOREVER, &r), -ENODATA);
	advance(&h.room->desk->step);
	for (i = 0; i < CELLS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	for (i = 0; i < CELLS; i++)
		CHECK_RC(submit(h.self, i, &id), 0);
	CHECK_RC(submit(h.self, 1, &id), -EAGAIN);
	fr_leave(h.self);
	return 0;
}

static void as_many_calls_as_cells_may_be_open(void **state)
{
	uint64_t calls[CELLS];
	struct fr_addr caller;
	struct room t;
	unsigned i;
	pid_t pid;

	(void)state;
	open_room(&t);
	t.to = fr_self(t.self);
	pid = start(&t, call_with_all_cells, &caller);
	for (i = 0; i < CELLS; i++)
		calls[i] = get_call(t.self);
	advance(&t.desk->go);
	await(&t.desk->step, 1);
	for (i = CELLS; i-- > 0;)
		assert_rc(fr_reply(t.self, calls[i], "defg", 4), 0);
	wait_ok(pid);
	close_room(&t);
}

/* ---- late replies ---- */

static void a_late_reply_harms_no_task_in_the_cell(void **state)
{
	struct fr_process *callee, *worker;
	struct fr_task_id ids[CELLS];
	struct fr_reply reply;
	struct fr_result r;
	struct fr_task task;
	uint64_t call;
	struct room t;
	unsigned i, k;

	(void)state;
	open_room(&t);
	callee = join(&t);
	worker = join(&t);
	call_in_vain(t.self, fr_self(callee), "");
	call = receive_text(callee, "");
	for (i = 0; i < CELLS; i++)
		assert_rc(submit(t.self, i, &ids[i]), 0); /* all of them */
	assert_rc(fr_reply(callee, call, "late", 4), -ESRCH);
	for (i = 0; i < CELLS; i++) {
		/* The callee takes them, too: its own number is in the cell. */
		struct fr_process *p = i % 2 ? worker : callee;

		assert_rc(fr_take(p, 0, &task, &reply), 0);
		assert_rc(fr_reply(callee, call, "late", 4), -ESRCH);
		memcpy(reply.data, task.arg, 4);
		reply.len = 4;
		assert_rc(fr_complete(p, 0, &reply), 0);
		assert_rc(fr_reply(callee, call, "late", 4), -ESRCH);
	}
	for (i = 0; i < CELLS; i++) {
		assert_rc(fr_collect(t.self, 0, &r), 0);
		for (k = 0; k < CELLS && ids[k].id != r.id.id; k++)
			;
		assert_true(k < CELLS);
		assert_int_equal(r.len, 4);
		assert_memory_equal(r.data, &(uint32_t){k}, 4);
		assert_rc(fr_reply(callee, call, "late", 4), -ESRCH);
		fr_result_release(t.self, &r);
	}
	fr_leave(callee);
	fr_leave(worker);
	close_room(&t);
}

static int give_up_then_call_again(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);
	unsigned i;

	for (i = 0; i < 4 * CELLS; i++) {
		CHECK_RC(fr_call(p, t->to, PLAIN, "", 0, 0, NULL, 0),
			 -ETIMEDOUT);
		CHECK_RC(talk(p, t->to, 7, 9), 0);
	}
	fr_leave(p);
	return 0;
}

static void a_late_reply_harms_no_later_call(void **state)
{
	struct fr_addr caller;
	struct fr_message m;
	struct room t;
	uint64_t call;
	unsigned i;
	pid_t pid;

	(void)state;
	open_room(&t);
	t.to = fr_self(t.self);
	pid = start(&t, give_up_then_call_again, &caller);
	for (i = 0; i < 4 * CELLS; i++) {
		call = get_call(t.self);
		assert_rc(fr_receive(t.self, FR_FOREVER, &m), 0);
		assert_true(m.call != call);
		assert_rc(fr_reply(t.self, call, "late", 4), -ESRCH);
		assert_rc(answer(t.self, &m), 0);
		fr_release(t.self, &m);
	}
	wait_ok(pid);
	close_room(&t);
}

/* ---- a callee that is stopped ---- */

static int reply_late(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);

	t->desk->rc = fr_reply(p, get_call(p), "late", 4);
	advance(&t->desk->done);
	CHECK_RC(fr_reply(p, get_call(p), "defg", 4), 0);
	fr_leave(p);
	return 0;
}

static void a_stopped_callee_is_waited_for_no_longer_than_the_limit(
	void **state)
{
	struct fr_addr to;
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	pid = start(&t, reply_late, &to);
	stop(pid);
	assert_rc(fr_call(t.self, to, PLAIN, "", 0, SHORT, NULL, 0),
		  -ETIMEDOUT);
	assert_rc(fr_recover(t.arena), 0);
	assert_rc(fr_alive(t.self, to), 1);
	cells_are_free(t.self, CELLS);
	kill(pid, SIGCONT);
	await(&t.desk->done, 1);
	assert_rc(t.desk->rc, -ESRCH);
	assert_rc(call_forever(t.self, to), 4);
	wait_ok(pid);
	close_room(&t);
}

static void a_stopped_callee_replies_once_it_goes_on(void **state)
{
	struct fr_addr caller, to;
	struct room t;
	pid_t pid, pids[2];

	(void)state;
	open_room(&t);
	pid = start(&t, reply_to_all, &to);
	stop(pid);
	t.to = to;
	t.rounds = 10;
	pids[0] = start(&t, talk_once, &caller);
	await_caller(&t, caller);
	assert_rc(fr_recover(t.arena), 0);
	kill(pid, SIGCONT);
	wait_ok(pids[0]);
	see_off(&t, to, pid);
	close_room(&t);
}

static int stop_in_the_reply(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);
	uint64_t call = get_call(p);

	t->desk->rc = fr_reply(p, call, trapped_body(stop_here), 4);
	advance(&t->desk->done);
	await(&t->desk->go, 1);
	fr_leave(p);
	return 0;
}

static void who_is_stopped_in_its_reply_keeps_one_cell_until_it_goes_on(
	void **state)
{
	struct fr_addr to;
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	pid = start(&t, stop_in_the_reply, &to);
	assert_rc(fr_call(t.self, to, PLAIN, "", 0, SHORT, NULL, 0),
		  -ETIMEDOUT);
	await_stopped(pid);
	is_sound(&t);
	cells_are_free(t.self, CELLS - 1);
	assert_rc(fr_recover(t.arena), 0);
	kill(pid, SIGCONT);
	await(&t.desk->done, 1);
	assert_rc(t.desk->rc, -ESRCH);
	cells_are_free(t.self, CELLS);
	advance(&t.desk->go);
	wait_ok(pid);
	close_room(&t);
}

static void who_is_stopped_in_its_reply_and_killed_keeps_no_cell(void **state)
{
	struct fr_addr to;
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	pid = start(&t, stop_in_the_reply, &to);
	assert_rc(fr_call(t.self, to, PLAIN, "", 0, SHORT, NULL, 0),
		  -ETIMEDOUT);
	await_stopped(pid);
	kill_hard(pid);
	cells_are_free(t.self, CELLS - 1);
	assert_rc(fr_recover(t.arena), 1);
	close_room(&t);
}

/* ---- a callee that leaves ---- */

static int leave_when_called(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);

	await_caller(t, fr_self(t->self));
	fr_leave(p);
	return 0;
}

static int leave_with_the_number(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);

	get_call(p);
	await_caller(t, fr_self(t->self));
	fr_leave(p);
	return 0;
}

static void who_calls_one_that_leaves_is_told(void **state)
{
	struct fr_addr to;
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	pid = start(&t, leave_when_called, &to);
	assert_rc(call_forever(t.self, to), -EOWNERDEAD);
	wait_ok(pid);
	/* as [BELL-2], by the test: the mark is to be a new one. */
	fr__and_sc(&t.arena->slots[0].waiting, 0);
	pid = start(&t, leave_with_the_number, &to);
	assert_rc(call_forever(t.self, to), -EOWNERDEAD);
	wait_ok(pid);
	close_room(&t);
}

static int reply_and_leave_again_and_again(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p;
	uint32_t i;

	for (i = 0; i < t->rounds; i++) {
		p = arrive(t);
		CHECK_RC(fr_reply(p, get_call(p), "defg", 4), 0);
		fr_leave(p);
	}
	return 0;
}

static void what_one_replied_before_it_left_counts(void **state)
{
	struct room t;
	uint32_t i;
	pid_t pid;

	(void)state;
	open_room(&t);
	t.rounds = 500;
	pid = spawn(reply_and_leave_again_and_again, &t);
	for (i = 0; i < t.rounds; i++) {
		await(&t.desk->here, i + 1);
		assert_rc(call_forever(t.self, t.desk->who[i % 16]), 4);
	}
	wait_ok(pid);
	close_room(&t);
}

/* ---- a callee that dies ---- */

static int die_without_receiving(void *ctx)
{
	arrive(ctx);
	die_when_awaited();
	return 0;
}

static int die_with_the_message(void *ctx)
{
	struct fr_process *p = arrive(ctx);
	struct fr_message m;

	CHECK_RC(fr_receive(p, FR_FOREVER, &m), 0);
	die_when_awaited();
	return 0;
}

static int die_with_the_number(void *ctx)
{
	get_call(arrive(ctx));
	die_when_awaited();
	return 0;
}

static int die_in_the_reply(void *ctx)
{
	struct fr_process *p = arrive(ctx);
	uint64_t call = get_call(p);

	fr_reply(p, call, trapped_body(die_when_awaited), 64);
	return 0;
}

static int be_the_recoverer(void *ctx)
{
	struct room *t = ctx;

	recover_slot_of(t, t->to);
	return 0;
}

/* The test calls and sleeps; then the callee dies there. rc is what comes of the
 * call; helped: a process that has attached only calls for recovery. */
static void call_one_that_dies(int (*dies)(void *ctx), bool helped,
			       enum fr_wait_mode wait, int rc)
{
	struct fr_join_opts opts = {.wait = wait};
	pid_t callee, helper = 0;
	struct room t;

	open_room(&t);
	if (wait != FR_WAIT_ADAPTIVE) {
		fr_leave(t.self);
		assert_rc(fr_join(t.arena, &opts, &t.self), 0);
	}
	callee = start(&t, dies, &t.to);
	if (wait == FR_WAIT_POLL) /* it never sleeps: as if it did */
		fr__or_sc(&t.arena->slots[0].waiting, FR__MARK_RESULT);
	if (helped)
		helper = spawn(be_the_recoverer, &t);
	assert_rc(call_forever(t.self, t.to), rc);
	await_killed(callee);
	if (helped)
		wait_ok(helper);
	else
		fr_recover(t.arena);
	assert_false(holds_slot(&t, t.to));
	assert_rc(fr_alive(t.self, t.to), 0);
	assert_rc(call_forever(t.self, t.to), -ESRCH);
	close_room(&t);
}

static void who_dies_before_it_receives_is_told_to_its_caller(void **state)
{
	(void)state;
	call_one_that_dies(die_without_receiving, false, FR_WAIT_ADAPTIVE,
			   -EOWNERDEAD);
	call_one_that_dies(die_without_receiving, true, FR_WAIT_ADAPTIVE,
			   -EOWNERDEAD);
}

static void who_dies_with_the_message_is_told_to_its_caller(void **state)
{
	(void)state;
	call_one_that_dies(die_with_the_message, false, FR_WAIT_ADAPTIVE,
			   -EOWNERDEAD);
	call_one_that_dies(die_with_the_message, true, FR_WAIT_ADAPTIVE,
			   -EOWNERDEAD);
}

static void who_dies_with_the_number_is_told_to_its_caller(void **state)
{
	(void)state;
	call_one_that_dies(die_with_the_number, false, FR_WAIT_ADAPTIVE,
			   -EOWNERDEAD);
	call_one_that_dies(die_with_the_number, true, FR_WAIT_ADAPTIVE,
			   -EOWNERDEAD);
}

static void who_dies_in_its_reply_is_told_to_its_caller(void **state)
{
	(void)state;
	call_one_that_dies(die_in_the_reply, false, FR_WAIT_ADAPTIVE,
			   -EOWNERDEAD);
	call_one_that_dies(die_in_the_reply, true, FR_WAIT_ADAPTIVE,
			   -EOWNERDEAD);
}

static void so_it_is_to_callers_that_sleep_at_once_or_poll(void **state)
{
	(void)state;
	call_one_that_dies(die_with_the_number, false, FR_WAIT_SLEEP,
			   -EOWNERDEAD);
	call_one_that_dies(die_with_the_number, false, FR_WAIT_POLL,
			   -EOWNERDEAD);
	call_one_that_dies(die_in_the_reply, false, FR_WAIT_POLL, -EOWNERDEAD);
}

static int reply_and_die(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);
	uint64_t call = get_call(p);

	await_caller(t, fr_self(t->self));
	CHECK_RC(fr_reply(p, call, "defg", 4), 0);
	die();
	return 0;
}

/* A reply's first write to the slots clears the caller's mark. */
static int die_before_the_bell(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);
	uint64_t call = get_call(p);

	await_caller(t, fr_self(t->self));
	set_trap(t->arena->slots, sizeof(struct fr__slot) * t->info.slots,
		 PROT_READ, die);
	fr_reply(p, call, "defg", 4);
	return 0;
}

/* The mark is gone, and its sleeper knows nothing. */
static void clear_mark_and_die(void)
{
	CHECK(mprotect(trap.at, trap.bytes, PROT_READ | PROT_WRITE) == 0);
	fr__and_sc(&my_room->arena->slots[0].waiting, ~FR__MARK_RESULT);
	die();
}

static int die_behind_the_mark(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);
	uint64_t call = get_call(p);

	await_caller(t, fr_self(t->self));
	set_trap(t->arena->slots, sizeof(struct fr__slot) * t->info.slots,
		 PROT_READ, clear_mark_and_die);
	fr_reply(p, call, "defg", 4);
	return 0;
}

static void what_one_replied_before_it_died_counts(void **state)
{
	(void)state;
	call_one_that_dies(reply_and_die, false, FR_WAIT_ADAPTIVE, 4);
	call_one_that_dies(reply_and_die, true, FR_WAIT_ADAPTIVE, 4);
}

static void a_reply_whose_bell_died_with_its_sender_is_found(void **state)
{
	(void)state;
	call_one_that_dies(die_before_the_bell, false, FR_WAIT_ADAPTIVE, 4);
	call_one_that_dies(die_before_the_bell, true, FR_WAIT_ADAPTIVE, 4);
	call_one_that_dies(die_behind_the_mark, false, FR_WAIT_ADAPTIVE, 4);
	call_one_that_dies(die_behind_the_mark, true, FR_WAIT_ADAPTIVE, 4);
}

static int arrive_only(void *ctx)
{
	arrive(ctx);
	for (;;)
		pause();
	return 0;
}

static void a_call_to_one_that_is_dead_ends_at_once(void **state)
{
	struct fr_addr to;
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	kill_hard(start(&t, arrive_only, &to)); /* nobody has found out */
	assert_rc(call_forever(t.self, to), -EOWNERDEAD);
	assert_false(holds_slot(&t, to)); /* and was not waited for */
	kill_hard(start(&t, arrive_only, &to));
	assert_rc(fr_recover(t.arena), 1);
	assert_rc(call_forever(t.self, to), -ESRCH);
	pid = start(&t, arrive_only, &to);
	fill(&t, to);
	kill_hard(pid);
	assert_rc(call_forever(t.self, to), -EOWNERDEAD);
	close_room(&t);
}

static void a_number_is_of_no_use_to_who_has_the_slot_next(void **state)
{
	struct fr_addr caller, first;
	struct fr_process *next;
	struct room t;
	pid_t pids[2];
	uint64_t call;

	(void)state;
	open_room(&t);
	next = join(&t);
	first = t.to = fr_self(next);
	pids[0] = start(&t, call_once, &caller);
	call = get_call(next);
	await_caller(&t, caller);
	stop(pids[0]); /* it does not look */
	fr_leave(next);
	next = join(&t);
	assert_int_equal(fr__addr_slot(fr_self(next)), fr__addr_slot(first));
	assert_rc(fr_reply(next, call, "defg", 4), -ESRCH);
	kill(pids[0], SIGCONT);
	wait_ok(pids[0]);
	assert_rc(t.desk->rc, -EOWNERDEAD);
	fr_leave(next);
	close_room(&t);
}

/* One thread of a process calls, the other gets message after message, and each
 * wakes both: no sleep of the caller's ends by time. */
static void *call_beside_mail(void *ctx)
{
	struct threads *h = ctx;

	h->room->desk->rc = call_forever(h->self, h->room->to);
	advance(&h->room->desk->done);
	return NULL;
}

static int get_mail_beside_a_call(void *ctx)
{
	struct threads h = {.room = ctx, .self = arrive(ctx)};
	struct fr_message m;
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, call_beside_mail, &h) == 0);
	do {
		CHECK_RC(fr_receive(h.self, FR_FOREVER, &m), 0);
		fr_release(h.self, &m);
	} while (m.type.id != FR_TYPE_EXIT.id);
	CHECK(pthread_join(thread, NULL) == 0);
	fr_leave(h.self);
	return 0;
}

static int receive_and_pause(void *ctx)
{
	struct room *t = ctx;

	get_call(arrive(t));
	advance(&t->desk->step);
	for (;;)
		pause();
	return 0;
}

static void a_caller_in_a_busy_process_learns_of_the_death(void **state)
{
	struct fr_addr busy, to;
	pid_t callee, caller;
	struct room t;

	(void)state;
	open_room(&t);
	t.wait = FR_WAIT_SLEEP;
	callee = start(&t, receive_and_pause, &to);
	t.to = to;
	caller = start(&t, get_mail_beside_a_call, &busy);
	await(&t.desk->step, 1);
	await_caller(&t, busy);
	kill_hard(callee);
	while (!reached(&t.desk->done))
		if (sleeps_for(&t, busy, FR__MARK_MAIL))
			assert_rc(fr_send(t.self, busy, PLAIN, "", 0,
					  FR_FOREVER), 0);
		else
			test_yield();
	assert_rc(t.desk->rc, -EOWNERDEAD);
	see_off(&t, busy, caller);
	fr_recover(t.arena);
	close_room(&t);
}

/* ---- a caller that dies ---- */

static void a_dead_callers_cell_is_freed(void **state)
{
	struct fr_process *next;
	struct fr_addr caller;
	struct room t;
	uint64_t call;
	pid_t pid;

	(void)state;
	open_room(&t);
	t.to = fr_self(t.self);
	pid = start(&t, call_once, &caller);
	call = get_call(t.self);
	await_caller(&t, caller);
	kill_hard(pid);
	assert_rc(fr_recover(t.arena), 1);
	assert_rc(fr_reply(t.self, call, "late", 4), -ESRCH);
	next = join(&t);
	assert_int_equal(fr__addr_slot(fr_self(next)), fr__addr_slot(caller));
	assert_rc(fr_reply(t.self, call, "late", 4), -ESRCH);
	cells_are_free(next, CELLS);
	assert_rc(fr_reply(t.self, call, "late", 4), -ESRCH);
	fr_leave(next);
	close_room(&t);
}

static void a_reply_to_a_caller_not_known_to_be_dead_is_freed_with_it(
	void **state)
{
	struct fr_process *next;
	struct fr_addr caller;
	struct room t;
	pid_t pid;
	int rc;

	(void)state;
	open_room(&t);
	t.to = fr_self(t.self);
	pid = start(&t, call_once, &caller);
	await_caller(&t, caller);
	kill_hard(pid);
	rc = fr_reply(t.self, get_call(t.self), "defg", 4);
	assert_true(rc == 0 || rc == -ESRCH);
	assert_rc(fr_recover(t.arena), 1);
	is_sound(&t);
	next = join(&t);
	assert_int_equal(fr__addr_slot(fr_self(next)), fr__addr_slot(caller));
	cells_are_free(next, CELLS);
	fr_leave(next);
	close_room(&t);
}

static void a_message_of_a_dead_caller_is_received_and_its_call_refused(
	void **state)
{
	struct fr_addr caller;
	struct room t;
	pid_t pid;

	(void)state;
	open_room(&t);
	t.to = fr_self(t.self);
	pid = start(&t, call_once, &caller);
	await_caller(&t, caller);
	kill_hard(pid);
	assert_rc(fr_recover(t.arena), 1);
	assert_rc(fr_reply(t.self, get_call(t.self), "late", 4), -ESRCH);
	close_room(&t);
}

/* The callee stands in its reply while its caller dies, and another process joins
 * in the caller's slot and uses the cells. */
static void a_reply_under_way_harms_no_later_process_in_the_slot(void **state)
{
	struct fr_task_id ids[CELLS];
	struct fr_process *next;
	struct fr_addr caller;
	struct fr_reply reply;
	pid_t callee, pid;
	struct fr_result r;
	struct fr_task task;
	struct room t;
	unsigned i;

	(void)state;
	open_room(&t);
	callee = start(&t, stop_in_the_reply, &t.to);
	pid = start(&t, call_once, &caller);
	await_stopped(callee);
	kill_hard(pid);
	assert_rc(fr_recover(t.arena), 1);
	is_sound(&t);
	next = join(&t);
	assert_int_equal(fr__addr_slot(fr_self(next)), fr__addr_slot(caller));
	cells_are_free(next, CELLS - 1);
	for (i = 0; i < CELLS - 1; i++)
		assert_rc(submit(next, i, &ids[i]), 0);
	for (i = 0; i < CELLS - 1; i++) {
		assert_rc(fr_take(t.self, 0, &task, &reply), 0);
		memcpy(reply.data, task.arg, 4);
		reply.len = 4;
		assert_rc(fr_complete(t.self, 0, &reply), 0);
	}
	kill(callee, SIGCONT);
	await(&t.desk->done, 1);
	assert_rc(t.desk->rc, -ESRCH);
	for (i = 0; i < CELLS - 1; i++) {
		assert_rc(fr_collect(next, 0, &r), 0);
		assert_true(r.id.id == ids[i].id);
		assert_int_equal(r.len, 4);
		assert_memory_equal(r.data, &i, 4);
		fr_result_release(next, &r);
	}
	cells_are_free(next, CELLS);
	fr_leave(next);
	advance(&t.desk->go);
	wait_ok(callee);
	close_room(&t);
}

/* ---- both die ---- */

enum order { CALLER_FIRST, CALLEE_FIRST };

static void recover_both(struct room *t, struct fr_addr caller,
			 struct fr_addr callee, enum order order)
{
	struct fr_addr first = order == CALLER_FIRST ? caller : callee;
	struct fr_addr second = order == CALLER_FIRST ? callee : caller;
	struct fr_process *next[2];

	assert_true(fr__recover(t->arena, fr__addr_slot(first)));
	assert_true(fr__recover(t->arena, fr__addr_slot(second)));
	is_sound(t);
	next[0] = join(t);
	next[1] = join(t);
	cells_are_free(next[0], CELLS);
	cells_are_free(next[1], CELLS);
	fr_leave(next[0]);
	fr_leave(next[1]);
}

static void both_are_killed(int (*callee)(void *ctx), bool in_reply,
			    enum order order)
{
	struct fr_addr caller;
	pid_t pids[2];
	struct room t;

	open_room(&t);
	pids[0] = start(&t, callee, &t.to);
	pids[1] = start(&t, call_once, &caller);
	if (in_reply)
		await_stopped(pids[0]);
	else
		await(&t.desk->step, 1);
	await_caller(&t, caller);
	stop(pids[1]); /* it does not look */
	kill_hard(pids[order == CALLER_FIRST]);
	kill_hard(pids[order == CALLEE_FIRST]);
	recover_both(&t, caller, t.to, order);
	close_room(&t);
}

static void when_both_die_the_cell_is_free(void **state)
{
	(void)state;
	both_are_killed(receive_and_pause, false, CALLER_FIRST);
	both_are_killed(receive_and_pause, false, CALLEE_FIRST);
}

static void when_both_die_in_the_reply_the_cell_is_free(void **state)
{
	(void)state;
	both_are_killed(stop_in_the_reply, true, CALLER_FIRST);
	both_are_killed(stop_in_the_reply, true, CALLEE_FIRST);
}

static int call_shortly(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);

	CHECK_RC(fr_call(p, t->to, PLAIN, "", 0, SHORT, NULL, 0), -ETIMEDOUT);
	advance(&t->desk->step);
	for (;;)
		pause();
	return 0;
}

static void both_are_killed_after_the_time(enum order order)
{
	struct fr_addr caller;
	pid_t pids[2];
	struct room t;

	open_room(&t);
	pids[0] = start(&t, stop_in_the_reply, &t.to);
	pids[1] = start(&t, call_shortly, &caller);
	await_stopped(pids[0]);
	await(&t.desk->step, 1);
	kill_hard(pids[0]);
	kill_hard(pids[1]);
	recover_both(&t, caller, t.to, order);
	close_room(&t);
}

static void when_both_die_with_the_call_given_up_the_cell_is_free(void **state)
{
	(void)state;
	both_are_killed_after_the_time(CALLER_FIRST);
	both_are_killed_after_the_time(CALLEE_FIRST);
}

/* ---- who is gone rings at once ---- */

static uint32_t bell_of(const struct room *t, struct fr_addr who)
{
	return fr__load_sc(&t->arena->slots[fr__addr_slot(who)].bell);
}

/* The caller is stopped: its bell is rung by others alone. */
static void who_leaves_rings_its_callers(void **state)
{
	struct fr_process *callee;
	struct fr_addr caller;
	struct room t;
	uint32_t bell;
	pid_t pid;

	(void)state;
	open_room(&t);
	callee = join(&t);
	t.to = fr_self(callee);
	pid = start(&t, call_once, &caller);
	await_caller(&t, caller);
	stop(pid);
	bell = bell_of(&t, caller);
	fr_leave(callee);
	assert_true(bell_of(&t, caller) != bell);
	kill(pid, SIGCONT);
	wait_ok(pid);
	assert_rc(t.desk->rc, -EOWNERDEAD);
	close_room(&t);
}

static void who_replies_rings_its_caller_only(void **state)
{
	struct fr_addr caller, other;
	uint32_t bell, others;
	pid_t pids[2];
	struct room t;
	uint64_t call;

	(void)state;
	open_room(&t);
	t.to = fr_self(t.self);
	pids[0] = start(&t, call_once, &caller);
	call = get_call(t.self);
	pids[1] = start(&t, call_once, &other);
	await_caller(&t, caller);
	await_caller(&t, other);
	stop(pids[0]);
	stop(pids[1]);
	bell = bell_of(&t, caller);
	others = bell_of(&t, other);
	assert_rc(fr_reply(t.self, call, "defg", 4), 0);
	assert_true(bell_of(&t, caller) != bell);
	assert_int_equal(bell_of(&t, other), others);
	assert_rc(fr_reply(t.self, get_call(t.self), "defg", 4), 0);
	kill(pids[0], SIGCONT);
	kill(pids[1], SIGCONT);
	wait_ok(pids[0]);
	wait_ok(pids[1]);
	close_room(&t);
}

static void who_recovers_rings_the_callers_of_the_dead(void **state)
{
	struct fr_addr caller;
	pid_t pids[2];
	struct room t;
	uint32_t bell;

	(void)state;
	open_room(&t);
	pids[0] = start(&t, receive_and_pause, &t.to);
	pids[1] = start(&t, call_once, &caller);
	await_caller(&t, caller);
	stop(pids[1]);
	kill_hard(pids[0]);
	bell = bell_of(&t, caller);
	assert_rc(fr_recover(t.arena), 1);
	assert_true(bell_of(&t, caller) != bell);
	kill(pids[1], SIGCONT);
	wait_ok(pids[1]);
	assert_rc(t.desk->rc, -EOWNERDEAD);
	close_room(&t);
}

/* ---- a recoverer that is held up, or dies ---- */

/* Recovers the callee, and stands still between its look at the cell and the step;
 * trap.run says how it goes on. */
static int recover_and_stand_still(struct room *t, void (*run)(void))
{
	my_room = t;
	trap_cells(t, run);
	recover_slot_of(t, t->to);
	return 0;
}

/* The test's call ends meanwhile. */
static void let_the_caller_look(void)
{
	struct desk *desk = my_room->desk;

	advance(&desk->caught);
	while (!reached(&desk->go)) {
		fr__bell_shake(&my_room->arena->slots[0].bell);
		test_yield();
	}
}

static int recover_while_the_caller_looks(void *ctx)
{
	return recover_and_stand_still(ctx, let_the_caller_look);
}

static int recover_and_die(void *ctx)
{
	return recover_and_stand_still(ctx, die);
}

static int recover_and_stop(void *ctx)
{
	return recover_and_stand_still(ctx, stop_here);
}

/* False: the test itself was faster than the recoverer. */
static bool caller_gives_up_beside_the_recoverer(int (*dies)(void *ctx))
{
	pid_t callee, recoverer;
	struct room t;
	bool caught;

	open_room(&t);
	callee = start(&t, dies, &t.to);
	recoverer = spawn(recover_while_the_caller_looks, &t);
	assert_rc(call_forever(t.self, t.to), -EOWNERDEAD);
	caught = reached(&t.desk->caught);
	advance(&t.desk->go);
	await_killed(callee);
	wait_ok(recoverer);
	close_room(&t);
	return caught;
}

static void a_call_given_up_while_its_callee_is_recovered_is_freed(void **state)
{
	(void)state;
	while (!caller_gives_up_beside_the_recoverer(die_with_the_number))
		;
	while (!caller_gives_up_beside_the_recoverer(die_in_the_reply))
		;
}

static void a_callers_recovery_beside_its_callees(int (*callee)(void *ctx),
						  bool in_reply)
{
	struct fr_addr caller;
	pid_t pids[2], recoverer;
	struct fr_process *next;
	struct room t;

	open_room(&t);
	pids[0] = start(&t, callee, &t.to);
	pids[1] = start(&t, call_once, &caller);
	if (in_reply)
		await_stopped(pids[0]);
	else
		await(&t.desk->step, 1);
	stop(pids[1]); /* it does not look */
	kill_hard(pids[0]);
	kill_hard(pids[1]);
	recoverer = spawn(recover_while_the_caller_looks, &t);
	await(&t.desk->caught, 1);
	assert_true(fr__recover(t.arena, fr__addr_slot(caller)));
	advance(&t.desk->go);
	wait_ok(recoverer);
	is_sound(&t);
	next = join(&t);
	cells_are_free(next, CELLS);
	fr_leave(next);
	close_room(&t);
}

static void two_recoverers_of_both_sides_leave_the_cell_free(void **state)
{
	(void)state;
	a_callers_recovery_beside_its_callees(receive_and_pause, false);
	a_callers_recovery_beside_its_callees(stop_in_the_reply, true);
}

static void the_death_of_a_recoverer(int (*dies)(void *ctx))
{
	pid_t callee, recoverer;
	struct room t;

	open_room(&t);
	callee = start(&t, dies, &t.to);
	recoverer = spawn(recover_and_die, &t);
	assert_rc(call_forever(t.self, t.to), -EOWNERDEAD);
	await_killed(callee);
	wait_status(recoverer); /* killed, unless the test was faster */
	fr_recover(t.arena);
	assert_false(holds_slot(&t, t.to));
	close_room(&t);
}

static void a_recoverer_that_dies_is_followed_by_another(void **state)
{
	(void)state;
	the_death_of_a_recoverer(die_with_the_number);
	the_death_of_a_recoverer(die_in_the_reply);
}

/* False: as above. */
static bool a_stopped_recoverer(int (*dies)(void *ctx))
{
	pid_t callee, recoverer;
	siginfo_t info = {0};
	bool stopped;
	struct room t;

	open_room(&t);
	callee = start(&t, dies, &t.to);
	recoverer = spawn(recover_and_stop, &t);
	assert_rc(call_forever(t.self, t.to), -EOWNERDEAD);
	await_killed(callee);
	assert_int_equal(waitid(P_PID, (id_t)recoverer, &info,
				WEXITED | WSTOPPED | WNOWAIT),
			 0);
	stopped = info.si_code == CLD_STOPPED;
	if (stopped) {
		assert_true(holds_slot(&t, t.to));
		assert_rc(fr_recover(t.arena), 0);
		assert_rc(call_forever(t.self, t.to), -ESRCH);
		cells_are_free(t.self, CELLS - (dies == die_in_the_reply));
	}
	kill(recoverer, SIGCONT);
	wait_ok(recoverer);
	fr_recover(t.arena);
	close_room(&t);
	return stopped;
}

static void a_stopped_recoverer_keeps_no_caller_waiting(void **state)
{
	(void)state;
	while (!a_stopped_recoverer(die_with_the_number))
		;
	while (!a_stopped_recoverer(die_in_the_reply))
		;
}

/* Recovers a caller; the test replies between its look and its step. */
static int recover_a_caller_slowly(void *ctx)
{
	struct room *t = ctx;
	unsigned slot = fr__addr_slot(t->to);

	my_room = t;
	set_trap(fr__arena_cell(t->arena, fr__first_cell(t->arena, slot)),
		 t->arena->cell_bytes * CELLS, PROT_READ, let_the_caller_look);
	recover_slot_of(t, t->to);
	return 0;
}

static void a_reply_while_its_caller_is_recovered_leaves_nothing(void **state)
{
	struct fr_process *next;
	struct fr_addr caller;
	pid_t pid, recoverer;
	struct room t;
	uint64_t call;
	int rc;

	(void)state;
	open_room(&t);
	t.to = fr_self(t.self);
	pid = start(&t, call_once, &caller);
	call = get_call(t.self);
	await_caller(&t, caller);
	kill_hard(pid);
	t.to = caller;
	recoverer = spawn(recover_a_caller_slowly, &t);
	await(&t.desk->caught, 1);
	rc = fr_reply(t.self, call, "defg", 4);
	assert_true(rc == 0 || rc == -ESRCH);
	advance(&t.desk->go);
	wait_ok(recoverer);
	is_sound(&t);
	next = join(&t);
	cells_are_free(next, CELLS);
	fr_leave(next);
	close_room(&t);
}

/* ---- waiting for an event from one process ---- */

static void open_event_room(struct room *t)
{
	open_room(t);
	assert_rc(fr_event_group_create(t->arena, 4, &t->group), 0);
	assert_rc(fr_event_reserve(t->self, t->group, &t->event), 0);
}

static void close_event_room(struct room *t)
{
	fr_event_release(t->self, t->event);
	close_room(t);
}

static void await_waiter(const struct room *t)
{
	struct fr__event *e = &t->arena->events[t->event.id & 0xffff];

	AWAIT(fr__load_sc(&e->waiting) & FR__MARK_EVENT);
}

static int set_and_leave(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);

	await_waiter(t);
	CHECK_RC(fr_event_set(p, t->event), 0);
	fr_leave(p);
	return 0;
}

static int set_and_die(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);

	await_waiter(t);
	CHECK_RC(fr_event_set(p, t->event), 0);
	die();
	return 0;
}

static int leave_unset(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);

	await_waiter(t);
	CHECK_RC(fr_event_post(p, t->event), 0); /* not a set */
	fr_leave(p);
	return 0;
}

static int die_unset(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);

	await_waiter(t);
	CHECK_RC(fr_event_set(p, t->event), 0);
	CHECK_RC(fr_event_clear(p, t->event), 0);
	CHECK_RC(fr_event_post(p, t->event), 0);
	die();
	return 0;
}

static void wait_for_setter(int (*fn)(void *ctx), int rc, bool dies)
{
	struct fr_addr setter;
	struct room t;
	pid_t pid;
	int got;

	open_event_room(&t);
	pid = start(&t, fn, &setter);
	got = fr_event_wait_from(t.self, t.event, setter, FR_FOREVER);
	/* What was set and cleared at once may have been seen. */
	if (fn != die_unset || got != 0)
		assert_rc(got, rc);
	if (dies) {
		await_killed(pid);
		fr_recover(t.arena);
	} else {
		wait_ok(pid);
	}
	assert_rc(fr_event_wait_from(t.self, t.event, setter, FR_FOREVER), rc);
	assert_rc(fr_event_wait_from(t.self, t.event, setter, 0), rc);
	close_event_room(&t);
}

static void what_the_setter_sets_is_waited_for(void **state)
{
	(void)state;
	wait_for_setter(set_and_leave, 0, false);
}

static void what_was_set_before_its_setters_death_counts(void **state)
{
	(void)state;
	wait_for_setter(set_and_die, 0, true);
}

static void the_death_of_the_setter_ends_the_wait(void **state)
{
	(void)state;
	wait_for_setter(die_unset, -EOWNERDEAD, true);
}

static void the_leaving_of_the_setter_ends_the_wait(void **state)
{
	(void)state;
	wait_for_setter(leave_unset, -EOWNERDEAD, false);
}

static void a_setter_that_is_dead_or_was_never_there_is_told_at_once(
	void **state)
{
	struct fr_addr setter;
	struct room t;

	(void)state;
	open_event_room(&t);
	kill_hard(start(&t, arrive_only, &setter));
	assert_rc(fr_event_wait_from(t.self, t.event, setter, 0), -EOWNERDEAD);
	assert_rc(fr_event_wait_from(t.self, t.event, setter, FR_FOREVER),
		  -EOWNERDEAD);
	assert_false(holds_slot(&t, setter));
	setter = fr__addr(t.info.slots, 1);
	assert_rc(fr_event_wait_from(t.self, t.event, setter, FR_FOREVER),
		  -EOWNERDEAD);
	setter.id = UINT64_MAX;
	assert_rc(fr_event_wait_from(t.self, t.event, setter, FR_FOREVER),
		  -EOWNERDEAD);
	assert_rc(fr_event_set(t.self, t.event), 0);
	assert_rc(fr_event_wait_from(t.self, t.event, setter, FR_FOREVER), 0);
	close_event_room(&t);
}

static void a_wait_for_nobody_in_particular_goes_on(void **state)
{
	struct room t;

	(void)state;
	open_event_room(&t);
	assert_rc(fr_event_wait_from(t.self, t.event, (struct fr_addr){0}, 0),
		  -EAGAIN);
	assert_rc(fr_event_wait_from(t.self, t.event, (struct fr_addr){0},
				     SHORT), -ETIMEDOUT);
	assert_rc(fr_event_set(t.self, t.event), 0);
	assert_rc(fr_event_wait_from(t.self, t.event, (struct fr_addr){0},
				     FR_FOREVER), 0);
	close_event_room(&t);
}

static int set_when_told(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);

	await(&t->desk->go, 1);
	CHECK_RC(fr_event_set(p, t->event), 0);
	await(&t->desk->done, 1);
	fr_leave(p);
	return 0;
}

static void a_stopped_setter_is_waited_for_no_longer_than_the_limit(
	void **state)
{
	struct fr_addr setter;
	int64_t before;
	struct room t;
	pid_t pid;

	(void)state;
	open_event_room(&t);
	pid = start(&t, set_when_told, &setter);
	stop(pid);
	before = now_ns();
	assert_rc(fr_event_wait_from(t.self, t.event, setter, SHORT),
		  -ETIMEDOUT);
	assert_true(now_ns() - before >= SHORT);
	assert_rc(fr_event_wait_from(t.self, t.event, setter, 0), -EAGAIN);
	assert_rc(fr_recover(t.arena), 0);
	advance(&t.desk->go);
	kill(pid, SIGCONT);
	assert_rc(fr_event_wait_from(t.self, t.event, setter, FR_FOREVER), 0);
	advance(&t.desk->done);
	wait_ok(pid);
	close_event_room(&t);
}

static int wait_from_child(void *ctx)
{
	struct room *t = ctx;
	struct fr_process *p = arrive(t);

	t->desk->rc = fr_event_wait_from(p, t->event, t->to, FR_FOREVER);
	fr_leave(p);
	return 0;
}

static void a_stale_event_is_not_waited_for(void **state)
{
	struct fr_addr setter, waiter;
	struct fr_event stale;
	struct room t;
	pid_t pids[2];

	(void)state;
	open_event_room(&t);
	pids[0] = start(&t, set_when_told, &setter);
	assert_rc(fr_event_reserve(t.self, t.group, &stale), 0);
	assert_rc(fr_event_release(t.self, stale), 0);
	assert_rc(fr_event_wait_from(t.self, stale, setter, FR_FOREVER),
		  -ESTALE);
	t.to = setter;
	pids[1] = start(&t, wait_from_child, &waiter);
	await_waiter(&t);
	assert_rc(fr_event_release(t.self, t.event), 0);
	wait_ok(pids[1]);
	assert_rc(t.desk->rc, -ESTALE);
	kill_hard(pids[0]);
	assert_rc(fr_recover(t.arena), 1);
	close_event_room(&t);
}

static void who_leaves_or_is_recovered_rings_who_waits_for_its_event(
	void **state)
{
	struct fr_process *setter;
	struct fr_addr waiter;
	struct fr__event *e;
	pid_t pids[2];
	struct room t;
	uint32_t bell;

	(void)state;
	open_event_room(&t);
	e = &t.arena->events[t.event.id & 0xffff];
	setter = join(&t);
	t.to = fr_self(setter);
	pids[1] = start(&t, wait_from_child, &waiter);
	await_waiter(&t);
	stop(pids[1]);
	bell = fr__load_sc(&e->bell);
	fr_leave(setter);
	assert_true(fr__load_sc(&e->bell) != bell);
	kill(pids[1], SIGCONT);
	wait_ok(pids[1]);
	assert_rc(t.desk->rc, -EOWNERDEAD);

	fr__and_sc(&e->waiting, 0);
	pids[0] = start(&t, arrive_only, &t.to);
	pids[1] = start(&t, wait_from_child, &waiter);
	await_waiter(&t);
	stop(pids[1]);
	kill_hard(pids[0]);
	bell = fr__load_sc(&e->bell);
	assert_rc(fr_recover(t.arena), 1);
	assert_true(fr__load_sc(&e->bell) != bell);
	kill(pids[1], SIGCONT);
	wait_ok(pids[1]);
	assert_rc(t.desk->rc, -EOWNERDEAD);
	close_event_room(&t);
}

static void a_setter_whose_place_is_given_back_ends_the_wait(void **state)
{
	struct fr_addr waiter;
	struct room t;
	pid_t pid;

	(void)state;
	open_event_room(&t);
	assert_rc(fr_reserve(t.self, &t.to), 0);
	pid = start(&t, wait_from_child, &waiter);
	await_waiter(&t);
	assert_rc(fr_unreserve(t.self, t.to), 0);
	wait_ok(pid);
	assert_rc(t.desk->rc, -EOWNERDEAD);
	close_event_room(&t);
}

/* Whoever touches the event rings it: no sleep ends by time. */
static void a_busy_event_does_not_hide_the_setters_death(void **state)
{
	struct fr_addr setter, waiter;
	struct room t;
	pid_t pids[2];
	siginfo_t info = {0};

	(void)state;
	open_event_room(&t);
	pids[0] = start(&t, arrive_only, &setter);
	t.to = setter;
	t.wait = FR_WAIT_SLEEP;
	pids[1] = start(&t, wait_from_child, &waiter);
	await_waiter(&t);
	kill_hard(pids[0]);
	while (info.si_pid == 0) {
		struct fr__event *e = &t.arena->events[t.event.id & 0xffff];

		if (fr__load_sc(&e->waiting) & FR__MARK_EVENT) {
			assert_rc(fr_event_post(t.self, t.event), 0);
			assert_rc(fr_event_take(t.self, t.event, 0), 0);
		}
		test_yield();
		assert_int_equal(waitid(P_PID, (id_t)pids[1], &info,
					WEXITED | WNOHANG | WNOWAIT),
				 0);
	}
	wait_ok(pids[1]);
	assert_rc(t.desk->rc, -EOWNERDEAD);
	fr_recover(t.arena);
	close_event_room(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_call_brings_the_reply),
		TEST(every_length_of_message_and_reply_arrives_whole),
		TEST(every_length_arrives_whole_with_the_defaults),
		TEST(a_call_over_the_largest_is_refused),
		TEST(a_reply_over_the_largest_is_refused_and_still_owed),
		TEST(a_reply_over_the_callers_room_is_lost),
		TEST(a_call_works_however_both_wait),

		TEST(only_a_call_has_a_number),
		TEST(a_call_behind_an_open_claim_is_told_after_it),
		TEST(a_type_that_cannot_be_is_refused),
		TEST(a_wrong_number_is_refused),
		TEST(a_tasks_id_is_not_the_number_of_a_call),
		TEST(a_calls_number_is_no_task_to_cancel),

		TEST(nobody_calls_itself),
		TEST(who_is_not_there_is_not_called),
		TEST(who_had_ones_slot_before_is_not_oneself),
		TEST(a_call_waits_for_who_has_yet_to_join),
		TEST(who_calls_one_that_never_joins_is_told),
		TEST(who_calls_one_whose_reserver_dies_is_told),
		TEST(a_forked_child_neither_calls_nor_replies),

		TEST(a_call_waits_for_room),
		TEST(a_call_without_room_ends_after_its_time),
		TEST(a_call_that_waits_for_room_learns_that_there_will_be_none),
		TEST(a_call_ends_after_its_time_and_the_late_reply_is_refused),
		TEST(a_signal_ends_a_call),
		TEST(another_thread_ends_a_call),

		TEST(a_handler_replies),
		TEST(a_handler_keeps_the_number_and_another_replies),
		TEST(who_calls_a_type_that_nobody_handles_is_told),
		TEST(unhandled_replies_itself),
		TEST(a_dispatch_without_handler_leaves_the_reply_owed),
		TEST(who_is_called_to_end_ends_without_a_reply),
		TEST(another_thread_replies),
		TEST(replies_may_come_in_any_order),
		TEST(who_is_called_calls_another),

		TEST(several_processes_call_at_once),
		TEST(several_threads_of_a_process_call_at_once),
		TEST(who_calls_while_it_collects_gets_all_of_both),
		TEST(a_call_leaves_finished_tasks_alone),
		TEST(a_stray_word_of_a_task_does_not_take_a_calls_reply),
		TEST(calls_use_the_cells_that_tasks_leave),
		TEST(as_many_calls_as_cells_may_be_open),

		TEST(a_late_reply_harms_no_task_in_the_cell),
		TEST(a_late_reply_harms_no_later_call),
		TEST(a_stopped_callee_is_waited_for_no_longer_than_the_limit),
		TEST(a_stopped_callee_replies_once_it_goes_on),
		TEST(who_is_stopped_in_its_reply_keeps_one_cell_until_it_goes_on),
		TEST(who_is_stopped_in_its_reply_and_killed_keeps_no_cell),

		TEST(who_calls_one_that_leaves_is_told),
		TEST(what_one_replied_before_it_left_counts),
		TEST(who_dies_before_it_receives_is_told_to_its_caller),
		TEST(who_dies_with_the_message_is_told_to_its_caller),
		TEST(who_dies_with_the_number_is_told_to_its_caller),
		TEST(who_dies_in_its_reply_is_told_to_its_caller),
		TEST(so_it_is_to_callers_that_sleep_at_once_or_poll),
		TEST(what_one_replied_before_it_died_counts),
		TEST(a_reply_whose_bell_died_with_its_sender_is_found),
		TEST(a_call_to_one_that_is_dead_ends_at_once),
		TEST(a_number_is_of_no_use_to_who_has_the_slot_next),
		TEST(a_caller_in_a_busy_process_learns_of_the_death),

		TEST(a_dead_callers_cell_is_freed),
		TEST(a_reply_to_a_caller_not_known_to_be_dead_is_freed_with_it),
		TEST(a_message_of_a_dead_caller_is_received_and_its_call_refused),
		TEST(a_reply_under_way_harms_no_later_process_in_the_slot),

		TEST(when_both_die_the_cell_is_free),
		TEST(when_both_die_in_the_reply_the_cell_is_free),
		TEST(when_both_die_with_the_call_given_up_the_cell_is_free),

		TEST(who_leaves_rings_its_callers),
		TEST(who_replies_rings_its_caller_only),
		TEST(who_recovers_rings_the_callers_of_the_dead),

		TEST(a_call_given_up_while_its_callee_is_recovered_is_freed),
		TEST(two_recoverers_of_both_sides_leave_the_cell_free),
		TEST(a_recoverer_that_dies_is_followed_by_another),
		TEST(a_stopped_recoverer_keeps_no_caller_waiting),
		TEST(a_reply_while_its_caller_is_recovered_leaves_nothing),

		TEST(what_the_setter_sets_is_waited_for),
		TEST(what_was_set_before_its_setters_death_counts),
		TEST(the_death_of_the_setter_ends_the_wait),
		TEST(the_leaving_of_the_setter_ends_the_wait),
		TEST(a_setter_that_is_dead_or_was_never_there_is_told_at_once),
		TEST(a_wait_for_nobody_in_particular_goes_on),
		TEST(a_stopped_setter_is_waited_for_no_longer_than_the_limit),
		TEST(a_stale_event_is_not_waited_for),
		TEST(who_leaves_or_is_recovered_rings_who_waits_for_its_event),
		TEST(a_setter_whose_place_is_given_back_ends_the_wait),
		TEST(a_busy_event_does_not_hide_the_setters_death),
	};

	return cmocka_run_group_tests_name("call", tests, NULL, NULL);
}
