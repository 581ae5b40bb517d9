/* SPDX-License-Identifier: MIT */
/*
 * A short stress: more processes than cores, mailboxes so small that they are
 * full most of the time, and every message and task accounted for.
 */
#include "harness.h"

#include <string.h>
#include <unistd.h>

#define PRODUCERS 8u
#define CONSUMERS 8u
#define EACH 20000u /* messages of each producer to each consumer */

struct stress {
	struct fr_arena *arena;
	uint32_t *ready; /* consumers that have joined */
	struct fr_addr *consumers;
	unsigned index;
	enum fr_wait_mode wait;
};

struct head {
	uint32_t producer;
	uint32_t sequence;
};

static uint32_t mixed(uint32_t x)
{
	x = (x ^ x >> 16) * 0x7feb352du;
	x = (x ^ x >> 15) * 0x846ca68bu;
	return x ^ x >> 16;
}

static size_t length_of(struct head h)
{
	uint32_t r = mixed(h.producer * 77777 + h.sequence);

	return sizeof(h) + (r % 16 == 0 ? r / 16 % 1500 : r / 16 % 90);
}

static unsigned char byte_of(struct head h, size_t i)
{
	return (unsigned char)(h.producer * 31 + h.sequence + i);
}

static int consume(void *ctx)
{
	struct stress *s = ctx;
	uint32_t expected[PRODUCERS] = {0};
	struct fr_join_opts opts = {.wait = s->wait};
	struct fr_message m[16];
	struct fr_process *self;
	unsigned left = PRODUCERS * EACH;

	CHECK_RC(fr_join(s->arena, &opts, &self), 0);
	s->consumers[s->index] = fr_self(self);
	advance(s->ready);
	while (left > 0) {
		int n = fr_receive_batch(self, FR_FOREVER, m,
					 1 + left % 16), k;

		CHECK(n > 0);
		for (k = 0; k < n; k++) {
			const unsigned char *body = m[k].body;
			struct head h;
			size_t i;

			memcpy(&h, body, sizeof(h));
			CHECK(h.producer < PRODUCERS);
			CHECK(h.sequence == expected[h.producer]++);
			CHECK(m[k].len == length_of(h));
			for (i = sizeof(h); i < m[k].len; i++)
				CHECK(body[i] == byte_of(h, i));
		}
		/* Half of the time one by one, the last first. */
		if (left % 2)
			fr_release_batch(self, m, (unsigned)n);
		else
			for (k = n; k-- > 0;)
				fr_release(self, &m[k]);
		left -= (unsigned)n;
	}
	CHECK_RC(fr_receive(self, 0, &m[0]), -EAGAIN);
	fr_leave(self);
	return 0;
}

static void claim_one(struct fr_process *self, struct fr_addr to,
		      struct head h, struct fr_claim *claim)
{
	unsigned char *body;
	size_t i;

	CHECK_RC(fr_claim(self, to, (struct fr_type){0}, length_of(h),
			  FR_FOREVER, claim),
		 0);
	body = claim->body;
	memcpy(body, &h, sizeof(h));
	for (i = sizeof(h); i < claim->len; i++)
		body[i] = byte_of(h, i);
}

static int produce(void *ctx)
{
	struct stress *s = ctx;
	struct fr_join_opts opts = {.wait = s->wait};
	struct fr_process *self;
	struct head h = {s->index, 0};
	unsigned c;

	CHECK_RC(fr_join(s->arena, &opts, &self), 0);
	await(s->ready, CONSUMERS);
	for (; h.sequence < EACH; h.sequence++)
		for (c = 0; c < CONSUMERS; c++) {
			struct fr_claim claim;

			claim_one(self, s->consumers[c], h, &claim);
			if (mixed(h.sequence + c) % 50 == 0) {
				fr_cancel(self, &claim);
				claim_one(self, s->consumers[c], h, &claim);
			}
			fr_commit(self, &claim);
		}
	fr_leave(self);
	return 0;
}

static void mesh(enum fr_wait_mode wait)
{
	struct fr_arena_opts opts = {
		.slots = PRODUCERS + CONSUMERS,
		.mailbox_bytes = 4096,
		.start_position = (UINT64_C(1) << 38) - 777,
	};
	struct stress s[PRODUCERS + CONSUMERS];
	pid_t pids[PRODUCERS + CONSUMERS];
	struct fr_arena *arena;
	unsigned i;

	assert_rc(fr_arena_create(NULL, &opts, &arena), 0);
	s[0] = (struct stress){
		.arena = arena,
		.ready = shared(sizeof(uint32_t)),
		.consumers = shared(CONSUMERS * sizeof(struct fr_addr)),
		.wait = wait,
	};
	for (i = 0; i < PRODUCERS + CONSUMERS; i++) {
		s[i] = s[0];
		s[i].index = i % PRODUCERS;
		pids[i] = spawn(i < PRODUCERS ? produce : consume, &s[i]);
	}
	for (i = 0; i < PRODUCERS + CONSUMERS; i++)
		wait_ok(pids[i]);
	fr_arena_detach(arena);
}

static void eight_producers_and_eight_consumers_asleep(void **state)
{
	(void)state;
	mesh(FR_WAIT_SLEEP);
}

static void eight_producers_and_eight_consumers_adaptive(void **state)
{
	(void)state;
	mesh(FR_WAIT_ADAPTIVE);
}

/* ---- tasks ---- */

#define SUBMITTERS 8u
#define WORKERS 8u
#define TASKS 20000u

static int submit(void *ctx)
{
	struct stress *s = ctx;
	unsigned char seen[TASKS] = {0};
	uint32_t next = 0, got = 0;
	struct fr_process *self;
	struct fr_task_id id;
	struct fr_result r;
	int rc;

	CHECK_RC(fr_join(s->arena, NULL, &self), 0);
	while (got < TASKS) {
		uint32_t arg[2] = {next, s->index};

		rc = next < TASKS ? fr_submit(self, &(struct fr_task){
				.arg = arg, .len = sizeof(arg)}, &id)
				  : -EAGAIN;
		if (rc == 0) {
			next++;
			continue;
		}
		CHECK_RC(rc, -EAGAIN);
		CHECK_RC(fr_collect(self, FR_FOREVER, &r), 0);
		CHECK(r.status == FR_TASK_DONE && r.len == 8);
		memcpy(arg, r.data, 8);
		CHECK(arg[1] == s->index && arg[0] < TASKS);
		CHECK(seen[arg[0]]++ == 0);
		fr_result_release(self, &r);
		got++;
	}
	CHECK_RC(fr_collect(self, 0, &r), -ENODATA);
	advance(s->ready);
	fr_leave(self);
	return 0;
}

static int echo(void *ctx, const struct fr_task *task, struct fr_reply *reply)
{
	(void)ctx;
	memcpy(reply->data, task->arg, task->len);
	reply->len = task->len;
	return 0;
}

static int work(void *ctx)
{
	struct stress *s = ctx;
	struct fr_task_run tasks = {.run = echo};
	struct fr_run_opts opts = {.tasks = &tasks};
	struct fr_join_opts join = {.name = "worker"};
	struct fr_process *self;

	CHECK_RC(fr_join(s->arena, &join, &self), 0);
	CHECK_RC(fr_run(self, &opts), 0);
	fr_leave(self);
	return 0;
}

static void eight_submitters_and_eight_workers(void **state)
{
	struct fr_arena_opts opts = {
		.slots = SUBMITTERS + WORKERS + 1,
		.mailbox_bytes = 4096,
		.cells = 5,
		.start_position = (UINT64_C(1) << 31) - 99,
	};
	struct stress s[SUBMITTERS];
	pid_t pids[SUBMITTERS + WORKERS];
	struct fr_process *self;
	struct fr_arena *arena;
	unsigned i;

	(void)state;
	assert_rc(fr_arena_create(NULL, &opts, &arena), 0);
	assert_rc(fr_join(arena, NULL, &self), 0);
	s[0] = (struct stress){
		.arena = arena, .ready = shared(sizeof(uint32_t)),
	};
	for (i = 0; i < SUBMITTERS; i++) {
		s[i] = s[0];
		s[i].index = i;
		pids[i] = spawn(submit, &s[i]);
		pids[SUBMITTERS + i] = spawn(work, &s[i]);
	}
	for (i = 0; i < SUBMITTERS; i++)
		wait_ok(pids[i]);
	assert_rc(fr_send_name(self, "worker", FR_TYPE_EXIT, NULL, 0,
			       FR_FOREVER), WORKERS);
	for (i = 0; i < WORKERS; i++)
		wait_ok(pids[SUBMITTERS + i]);
	fr_leave(self);
	fr_arena_detach(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(eight_producers_and_eight_consumers_asleep),
		TEST(eight_producers_and_eight_consumers_adaptive),
		TEST(eight_submitters_and_eight_workers),
	};

	return cmocka_run_group_tests_name("stress", tests, NULL, NULL);
}
