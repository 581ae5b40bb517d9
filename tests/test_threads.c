/* SPDX-License-Identifier: MIT */
/*
 * The rings and the bell between threads of one process, so that
 * ThreadSanitizer sees every access. Only rooms without liburcu, which is not
 * instrumented. More threads than cores, rings so small that they are full and
 * wrap all the time.
 */
#include "harness.h"

#include "bell.h"
#include "forkring/process.h"
#include "ring.h"
#include "taskring.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNITS 64u
#define PRODUCERS 4u
#define EACH 20000u

static struct fr__ring ring;
static struct fr__ring_ctl ctl;
static _Alignas(64) unsigned char units[UNITS * FR__UNIT];
static struct fr__slot consumer_slot, taker_slots[PRODUCERS];
static unsigned wrong; /* of the one consumer */

static uint32_t mixed(uint32_t x)
{
	x = (x ^ x >> 16) * 0x7feb352du;
	x = (x ^ x >> 15) * 0x846ca68bu;
	return x ^ x >> 16;
}

#define LEN_MAX ((UNITS / 2) * FR__UNIT - FR__RECORD_HEAD)

/* Length and content follow from owner and sequence. Some are long. */
static size_t length_of(unsigned owner, uint32_t sequence)
{
	uint32_t x = mixed(owner * 1000003 + sequence);

	return x >> 28 ? 8 + x % 300 : LEN_MAX - x % FR__UNIT;
}

static void content(unsigned char *body, unsigned owner, uint32_t sequence)
{
	size_t len = length_of(owner, sequence), i;

	memcpy(body, &owner, 4);
	memcpy(body + 4, &sequence, 4);
	for (i = 8; i < len; i++)
		body[i] = (unsigned char)(owner + sequence + i);
}

static void *produce(void *arg)
{
	unsigned owner = (unsigned)(uintptr_t)arg;
	unsigned char body[LEN_MAX];
	uint32_t i;

	for (i = 0; i < EACH; i++) {
		size_t len = length_of(owner, i);
		uint32_t n = fr__ring_units(len);
		struct fr__record *rec;
		struct fr__place to;
		uint64_t at;

		content(body, owner, i);
		while (fr__ring_claim(&ring, owner, n, &to) == -EAGAIN)
			sched_yield();
		at = to.position;
		n = to.units;
		if (i % 64 == 0)
			sched_yield(); /* claimed, and not there */
		if (i % 3 == 0)
			fr__ring_advance(&ring, at, n);
		rec = fr__ring_at(&ring, at);
		rec->len = (uint32_t)len;
		rec->type = owner;
		fr__ring_copy_in(rec, 0, body, len);
		if (i % 101 == 100) {
			fr__ring_cancel(&ring, owner, at, n);
			fr__fence_sc();
		} else if (i % 3 == 1) {
			fr__ring_publish_last(&ring, owner, at, n);
		} else {
			fr__ring_publish(&ring, owner, at, n);
		}
		if (i % 3)
			fr__ring_advance(&ring, at, n);
		fr__bell_ring(&consumer_slot, FR__MARK_MAIL);
	}
	return NULL;
}

struct next {
	struct fr__reader reader;
	uint64_t at;
	unsigned owner;
};

static int record_ready(void *arg)
{
	struct next *n = arg;

	return fr__ring_next(&ring, &n->reader, &n->at, &n->owner);
}

/* The first word of each unit is read as the atomic that copy_in stored: a
 * producer that lost its way may try its CAS there (and fail). */
static bool content_is(const struct fr__record *rec, unsigned owner,
		       uint32_t sequence)
{
	unsigned char want[LEN_MAX];
	size_t len = length_of(owner, sequence), i = 0;

	if (rec->len != len)
		return false;
	content(want, owner, sequence);
	while (i < len) {
		uint64_t word;
		size_t n = len - i < 8 ? len - i : 8;

		if ((i + FR__RECORD_HEAD) % FR__UNIT == 0)
			word = fr__load_relaxed(
				(const struct fr__a64 *)(const void *)(rec->body +
								       i));
		else
			memcpy(&word, rec->body + i, n);
		if (memcmp(&word, want + i, n) != 0)
			return false;
		i += n;
	}
	return true;
}

static void consume(struct fr__bell *bell)
{
	uint32_t expected[PRODUCERS] = {0};
	struct next next;
	struct fr__wait wait = {
		.marks = FR__MARK_MAIL, .ready = record_ready, .ctx = &next,
	};
	unsigned left = PRODUCERS * (EACH - EACH / 101);
	uint64_t late = 0;
	bool held = false;

	fr__reader_init(&next.reader, &ring);
	while (left > 0) {
		unsigned owner;
		int rc = held ? record_ready(&next) : 0;

		/* What is held keeps the ring full: no waiting with it. */
		if (held && rc == 0) {
			wrong += fr__ring_release(&ring, &next.reader, late) !=
				 0;
			held = false;
		}
		if (rc == 0)
			rc = fr__bell_wait(bell, &wait, FR_FOREVER);
		if (rc != 1) {
			wrong++;
			return;
		}
		owner = next.owner;
		if (expected[owner] % 101 == 100)
			expected[owner]++;
		wrong += !content_is(fr__ring_at(&ring, next.at), owner,
				     expected[owner]++);
		left--;
		/* Every now and then one is held over the next. */
		if (left % 7 == 0 && !held && left > 8) {
			held = true;
			late = next.at;
			continue;
		}
		wrong += fr__ring_release(&ring, &next.reader, next.at) != 0;
		if (held)
			wrong += fr__ring_release(&ring, &next.reader, late) !=
				 0;
		held = false;
	}
}

static void producers_and_a_sleeping_consumer(void **state)
{
	pthread_t threads[PRODUCERS];
	struct fr__bell bell;
	unsigned i;

	(void)state;
	fr__ring_map(&ring, &ctl, units, UNITS, UINT64_C(0x9d3b5f7715a0c2e1),
		     0);
	fr__ring_init(&ring, (UINT64_C(1) << 32) * UNITS - 1000);
	fr__bell_init(&bell, &consumer_slot, FR_WAIT_ADAPTIVE);
	for (i = 0; i < PRODUCERS; i++)
		pthread_create(&threads[i], NULL, produce,
			       (void *)(uintptr_t)i);
	consume(&bell);
	for (i = 0; i < PRODUCERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(wrong, 0);
	assert_null(fr__ring_check(&ring));
}

/* ---- the task ring, with what hangs on its entries ---- */

#define WORDS 16u
#define TASKS 20000u

static struct fr__taskring tasks;
static struct fr__taskring_ctl tasks_ctl;
static struct fr__taskring_near tasks_near;
static struct fr__a64 words[WORDS];
static uint32_t payload[PRODUCERS][TASKS]; /* written before the push */
static unsigned char taken[PRODUCERS][TASKS];
static struct fr__a32 takes;

static void *push_all(void *arg)
{
	unsigned owner = (unsigned)(uintptr_t)arg;
	uint32_t i;

	for (i = 0; i < TASKS; i++) {
		payload[owner][i] = mixed(i + owner);
		while (fr__taskring_push(&tasks, i, owner) == -EAGAIN)
			sched_yield();
	}
	return NULL;
}

static void *take_all(void *arg)
{
	struct fr__slot *slot = arg;
	uintptr_t bad = 0;
	uint32_t cell, owner;

	while (fr__load_relaxed(&takes) < PRODUCERS * TASKS) {
		int rc = fr__taskring_take(&tasks, &slot->taking, &cell, &owner);

		if (rc == 0) {
			sched_yield();
			continue;
		}
		bad += rc != 1 || payload[owner][cell] != mixed(cell + owner) ||
		       taken[owner][cell]++;
		fr__add_relaxed(&takes, 1);
	}
	return (void *)bad;
}

static void each_entry_is_taken_once_and_whole(void **state)
{
	pthread_t pushers[PRODUCERS], takers[PRODUCERS];
	unsigned i;
	void *bad;

	(void)state;
	fr__taskring_map(&tasks, &tasks_ctl, words, WORDS,
			 UINT64_C(0x51ab1e), &tasks_near);
	fr__taskring_init(&tasks, (UINT64_C(1) << 23) * WORDS - 100);
	for (i = 0; i < PRODUCERS; i++) {
		pthread_create(&pushers[i], NULL, push_all,
			       (void *)(uintptr_t)i);
		pthread_create(&takers[i], NULL, take_all, &taker_slots[i]);
	}
	for (i = 0; i < PRODUCERS; i++) {
		pthread_join(pushers[i], NULL);
		pthread_join(takers[i], &bad);
		assert_null(bad);
	}
}

/* ---- the bell: many threads asleep on one word ---- */

static struct fr__slot shared_slot;
static struct fr__bell shared_bell;
static struct fr__a64 turn; /* what the sleepers wait for */
static uint64_t plain;      /* written before turn, read after it */

static int turn_is(void *arg)
{
	/* acquire, as the rings' tags are */
	return fr__load_acquire(&turn) >= *(uint64_t *)arg;
}

static void *sleep_for_turns(void *arg)
{
	uint64_t want;
	struct fr__wait wait = {
		.marks = arg ? FR__MARK_MAIL : FR__MARK_RESULT,
		.ready = turn_is,
		.ctx = &want,
	};
	uintptr_t bad = 0;

	for (want = 1; want <= 2000; want++) {
		bad += fr__bell_wait(&shared_bell, &wait, FR_FOREVER) != 1;
		bad += plain < want * 3;
	}
	return (void *)bad;
}

static void all_threads_that_wait_are_woken(void **state)
{
	pthread_t threads[PRODUCERS];
	uint64_t i;
	void *bad;

	(void)state;
	fr__bell_init(&shared_bell, &shared_slot, FR_WAIT_SLEEP);
	plain = 2000 * 3;
	for (i = 0; i < PRODUCERS; i++)
		pthread_create(&threads[i], NULL, sleep_for_turns,
			       (void *)(uintptr_t)(i % 2));
	for (i = 1; i <= 2000; i++) {
		fr__swap_sc(&turn, i);
		fr__bell_ring(&shared_slot, FR__MARK_MAIL | FR__MARK_RESULT);
		if (i % 16 == 0)
			sched_yield();
	}
	for (i = 0; i < PRODUCERS; i++) {
		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
}

/* ---- the bell: spinning ---- */

static unsigned looks, sleeps;

static int true_at_the_256th_look(void *arg)
{
	(void)arg;
	return ++looks >= 256;
}

static void count_sleep(void *arg)
{
	(void)arg;
	sleeps++;
}

static void who_has_waited_in_vain_finds_out_that_spinning_pays_again(void **state)
{
	struct fr__slot slot = {0};
	struct fr__wait wait = {.marks = FR__MARK_MAIL};
	struct fr__bell bell;
	bool found = false;
	unsigned i;

	(void)state;
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		skip(); /* nobody spins there */
	fr__bell_init(&bell, &slot, FR_WAIT_ADAPTIVE);
	bell.before_sleep = count_sleep;
	wait.ready = turn_is;
	wait.ctx = &(uint64_t){UINT64_MAX};
	for (i = 0; i < 100; i++)
		assert_int_equal(fr__bell_wait(&bell, &wait, 1000), -ETIMEDOUT);
	/* These take a few microseconds, which is now too long for most of them; who
	 * loses the CPU meanwhile does not count. */
	wait.ready = true_at_the_256th_look;
	for (i = 0; i < 1000 && !found; i++) {
		looks = sleeps = 0;
		found = fr__bell_wait(&bell, &wait, 1000000) == 1 && sleeps == 0;
	}
	assert_true(found);
}

static int64_t due;

static int true_when_due(void *arg)
{
	(void)arg;
	return fr__now_ns() >= due;
}

/* Something comes 150 us after a wait has begun, for who has worked for so long before
 * it. How often of 200 times was it found without a sleep? Who loses the CPU meanwhile
 * finds it so, too, or sleeps. */
static unsigned found_by_spinning(int64_t worked_ns)
{
	struct fr__wait wait = {.marks = FR__MARK_MAIL, .ready = true_when_due};
	struct fr__slot slot = {0};
	struct fr__bell bell;
	unsigned found = 0, i;

	fr__bell_init(&bell, &slot, FR_WAIT_ADAPTIVE);
	bell.before_sleep = count_sleep;
	for (i = 0; i < 200; i++) {
		fr__store_relaxed(&bell.spin_ns, 400000);
		fr__store_relaxed(&bell.yield_skip, 1);
		due = fr__now_ns() + 150000;
		fr__store_relaxed(&bell.waited,
				  (uint64_t)(fr__now_ns() - worked_ns));
		sleeps = 0;
		assert_int_equal(fr__bell_wait(&bell, &wait, 1000000), 1);
		found += sleeps == 0;
	}
	return found;
}

static void who_has_worked_for_long_may_spin_for_as_long(void **state)
{
	(void)state;
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		skip(); /* nobody spins there */
	assert_true(found_by_spinning(300000) > 0);
	assert_true(found_by_spinning(0) < 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(producers_and_a_sleeping_consumer),
		TEST(each_entry_is_taken_once_and_whole),
		TEST(all_threads_that_wait_are_woken),
		TEST(who_has_waited_in_vain_finds_out_that_spinning_pays_again),
		TEST(who_has_worked_for_long_may_spin_for_as_long),
	};

	return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
