/* SPDX-License-Identifier: MIT */
/*
 * The record ring and the task ring, alone: one thread plays every part, so
 * that each step stands where the test puts it.
 */
#include "harness.h"

#include "ring.h"
#include "taskring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UNITS 64u
#define SECRET UINT64_C(0x123456789abcdef1)

struct fixture {
	struct fr__ring ring;
	struct fr__reader reader;
	struct fr__ring_ctl ctl;
	_Alignas(64) unsigned char units[UNITS * FR__UNIT];
};

static void start_at(struct fixture *f, uint64_t position)
{
	memset(f, 0, sizeof(*f));
	fr__ring_map(&f->ring, &f->ctl, f->units, UNITS, SECRET, 0);
	fr__ring_init(&f->ring, position);
	fr__reader_init(&f->reader, &f->ring);
}

static void fill(struct fixture *f, uint64_t at, size_t len, unsigned char c)
{
	unsigned char body[UNITS * FR__UNIT];
	struct fr__record *rec = fr__ring_at(&f->ring, at);

	memset(body, c, len);
	rec->len = (uint32_t)len;
	fr__ring_copy_in(rec, 0, body, len);
}

/* Claim, write, publish, advance; the claim's answer. */
static int put(struct fixture *f, unsigned owner, size_t len, unsigned char c)
{
	uint32_t n = fr__ring_units(len);
	struct fr__place to;
	int rc = fr__ring_claim(&f->ring, owner, n, &to);

	if (rc < 0)
		return rc;
	fill(f, to.position, len, c);
	fr__ring_publish(&f->ring, owner, to.position, to.units);
	fr__ring_advance(&f->ring, to.position, to.units);
	return 0;
}

static uint64_t claim(struct fixture *f, unsigned owner, uint32_t n)
{
	struct fr__place to;

	assert_int_equal(fr__ring_claim(&f->ring, owner, n, &to), 0);
	assert_int_equal(to.units, n);
	return to.position;
}

/* The next record is this; its position. */
static uint64_t next_is(struct fixture *f, unsigned owner, size_t len,
			unsigned char c)
{
	const struct fr__record *rec;
	unsigned who;
	uint64_t at;
	size_t i;

	assert_int_equal(fr__ring_next(&f->ring, &f->reader, &at, &who), 1);
	rec = fr__ring_at(&f->ring, at);
	assert_int_equal(who, owner);
	assert_int_equal(rec->len, len);
	for (i = 0; i < len; i++)
		assert_int_equal(rec->body[i], c);
	return at;
}

static void get(struct fixture *f, unsigned owner, size_t len, unsigned char c)
{
	uint64_t at = next_is(f, owner, len, c);

	assert_int_equal(fr__ring_release(&f->ring, &f->reader, at), 0);
}

static void none(struct fixture *f)
{
	unsigned who;
	uint64_t at;

	assert_int_equal(fr__ring_next(&f->ring, &f->reader, &at, &who), 0);
}

static void sound(struct fixture *f)
{
	const char *wrong = fr__ring_check(&f->ring);

	if (wrong)
		fail_msg("%s", wrong);
}

static void a_record_comes_out_as_it_went_in(void **state)
{
	struct fixture f;
	size_t len;

	(void)state;
	start_at(&f, 0);
	for (len = 0; len <= fr__ring_body_max(&f.ring); len++) {
		assert_int_equal(put(&f, 7, len, (unsigned char)len), 0);
		get(&f, 7, len, (unsigned char)len);
		sound(&f);
	}
	none(&f);
}

static void forty_bytes_take_one_unit_and_one_more_takes_two(void **state)
{
	(void)state;
	assert_int_equal(fr__ring_units(0), 1);
	assert_int_equal(fr__ring_units(40), 1);
	assert_int_equal(fr__ring_units(41), 2);
	assert_int_equal(fr__ring_units(104), 2);
	assert_int_equal(fr__ring_units(105), 3);
}

static void a_full_ring_says_so_and_an_emptied_one_takes_again(void **state)
{
	struct fixture f;
	unsigned i;

	(void)state;
	start_at(&f, 0);
	for (i = 0; i < UNITS; i++)
		assert_int_equal(put(&f, 1, 8, (unsigned char)i), 0);
	assert_int_equal(put(&f, 1, 8, 0), -EAGAIN);
	get(&f, 1, 8, 0);
	assert_int_equal(put(&f, 1, 8, 64), 0);
	assert_int_equal(put(&f, 1, 8, 0), -EAGAIN);
	for (i = 1; i <= UNITS; i++)
		get(&f, 1, 8, (unsigned char)i);
	none(&f);
	sound(&f);
}

static void claim_pads_a_record_that_would_wrap(void **state)
{
	struct fixture f;
	unsigned i;

	(void)state;
	start_at(&f, 0);
	for (i = 0; i < UNITS - 2; i++) {
		assert_int_equal(put(&f, 1, 8, 1), 0);
		get(&f, 1, 8, 1);
	}
	assert_int_equal(put(&f, 1, 150, 9), 0); /* three units, two left */
	assert_true(f.reader.next == UNITS - 2);
	assert_true(next_is(&f, 1, 150, 9) == UNITS);
	assert_int_equal(fr__ring_release(&f.ring, &f.reader, UNITS), 0);
	none(&f);
	sound(&f);
}

static void the_largest_record_fits_wherever_the_ring_stands(void **state)
{
	struct fixture f;
	size_t most;
	unsigned i;

	(void)state;
	start_at(&f, 0);
	most = fr__ring_body_max(&f.ring);
	for (i = 0; i < 3 * UNITS; i++) {
		assert_int_equal(put(&f, 1, most, 5), 0);
		get(&f, 1, most, 5);
		assert_int_equal(put(&f, 1, 0, 0), 0); /* shift by one */
		get(&f, 1, 0, 0);
	}
	sound(&f);
}

static void any_start_position_does(void **state)
{
	static const uint64_t starts[] = {
		1, UNITS - 1, UNITS, (UINT64_C(1) << 32) * UNITS - 5,
		(UINT64_C(1) << 38) - 1, UINT64_C(1) << 63,
		UINT64_MAX - 10 * UNITS * 3, -(uint64_t)UNITS,
		UINT64_MAX - 5,
	};
	struct fixture f;
	unsigned i, k;

	(void)state;
	for (i = 0; i < sizeof(starts) / sizeof(*starts); i++) {
		start_at(&f, starts[i]);
		for (k = 0; k < 5 * UNITS; k++) {
			assert_int_equal(put(&f, 3, k % 150, 1), 0);
			assert_int_equal(put(&f, 4, k % 60, 2), 0);
			get(&f, 3, k % 150, 1);
			get(&f, 4, k % 60, 2);
		}
		sound(&f);
	}
}

static void an_open_claim_holds_up_its_owner_only(void **state)
{
	struct fixture f;
	uint64_t open;

	(void)state;
	start_at(&f, 0);
	open = claim(&f, 1, 1);
	fr__ring_advance(&f.ring, open, 1);
	assert_int_equal(put(&f, 2, 8, 2), 0);
	assert_int_equal(put(&f, 1, 8, 11), 0);
	assert_int_equal(put(&f, 3, 8, 3), 0);
	get(&f, 2, 8, 2);
	get(&f, 3, 8, 3);
	none(&f);
	fill(&f, open, 8, 10);
	fr__ring_publish(&f.ring, 1, open, 1);
	get(&f, 1, 8, 10);
	get(&f, 1, 8, 11);
	none(&f);
	sound(&f);
}

static void others_flow_past_an_open_claim_until_the_ring_is_full(void **state)
{
	struct fixture f;
	uint64_t open;
	unsigned i;

	(void)state;
	start_at(&f, 10);
	open = claim(&f, 1, 2);
	fr__ring_advance(&f.ring, open, 2);
	for (i = 0; i < UNITS - 2; i++) {
		int rc = put(&f, 2 + i % 3, 8, (unsigned char)i);

		if (rc == -EAGAIN)
			break;
		assert_int_equal(rc, 0);
		get(&f, 2 + i % 3, 8, (unsigned char)i);
	}
	assert_int_equal(i, UNITS - 2);
	assert_int_equal(put(&f, 2, 8, 0), -EAGAIN);
	fill(&f, open, 100, 9);
	fr__ring_publish(&f.ring, 1, open, 2);
	get(&f, 1, 100, 9);
	none(&f);
	assert_int_equal(put(&f, 2, 8, 0), 0);
	get(&f, 2, 8, 0);
	sound(&f);
}

static void two_open_claims_close_in_either_order(void **state)
{
	struct fixture f;
	uint64_t a, b;
	int order;

	(void)state;
	for (order = 0; order < 2; order++) {
		start_at(&f, UNITS - 3);
		a = claim(&f, 1, 1);
		fr__ring_advance(&f.ring, a, 1);
		b = claim(&f, 2, 1);
		fr__ring_advance(&f.ring, b, 1);
		assert_int_equal(put(&f, 3, 8, 3), 0);
		assert_int_equal(put(&f, 2, 8, 22), 0);
		get(&f, 3, 8, 3);
		none(&f);
		fill(&f, order ? a : b, 8, order ? 1 : 2);
		fr__ring_publish(&f.ring, order ? 1 : 2, order ? a : b, 1);
		get(&f, order ? 1 : 2, 8, order ? 1 : 2);
		if (!order)
			get(&f, 2, 8, 22);
		none(&f);
		fill(&f, order ? b : a, 8, order ? 2 : 1);
		fr__ring_publish(&f.ring, order ? 2 : 1, order ? b : a, 1);
		get(&f, order ? 2 : 1, 8, order ? 2 : 1);
		if (order)
			get(&f, 2, 8, 22);
		none(&f);
		sound(&f);
		assert_true(f.reader.head == f.reader.next);
	}
}

static void a_held_record_is_not_delivered_again(void **state)
{
	struct fixture f;
	uint64_t open, held;

	(void)state;
	start_at(&f, 0);
	open = claim(&f, 1, 1);
	fr__ring_advance(&f.ring, open, 1);
	assert_int_equal(put(&f, 2, 8, 2), 0);
	held = next_is(&f, 2, 8, 2);
	fr__ring_cancel(&f.ring, 1, open, 1);
	none(&f); /* went back over the cancelled claim, and past the held */
	assert_int_equal(put(&f, 1, 8, 1), 0);
	get(&f, 1, 8, 1);
	assert_int_equal(fr__ring_release(&f.ring, &f.reader, held), 0);
	none(&f);
	sound(&f);
	assert_true(f.ctl.head.raw == 3);
}

static void head_moves_past_where_we_went_back_to(void **state)
{
	struct fixture f;
	uint64_t open, held, at;

	(void)state;
	start_at(&f, 0);
	open = claim(&f, 1, 1);
	fr__ring_advance(&f.ring, open, 1);
	assert_int_equal(put(&f, 2, 8, 2), 0);
	assert_int_equal(put(&f, 2, 8, 3), 0);
	held = next_is(&f, 2, 8, 2);
	fill(&f, open, 8, 1);
	fr__ring_publish(&f.ring, 1, open, 1);
	at = next_is(&f, 1, 8, 1); /* next stands before the held one */
	assert_int_equal(fr__ring_release(&f.ring, &f.reader, at), 0);
	assert_int_equal(fr__ring_release(&f.ring, &f.reader, held), 0);
	get(&f, 2, 8, 3);
	none(&f);
	sound(&f);
}

static void head_does_not_pass_a_claim_cancelled_behind_our_back(void **state)
{
	struct fixture f;
	uint64_t open, held;

	(void)state;
	start_at(&f, 0);
	assert_int_equal(put(&f, 2, 8, 2), 0);
	held = next_is(&f, 2, 8, 2);
	open = claim(&f, 1, 1);
	fr__ring_advance(&f.ring, open, 1);
	assert_int_equal(put(&f, 1, 8, 11), 0);
	none(&f); /* passes the claim, and its owner's next */
	fr__ring_cancel(&f.ring, 1, open, 1);
	assert_int_equal(fr__ring_release(&f.ring, &f.reader, held), 0);
	get(&f, 1, 8, 11);
	none(&f);
	assert_true(f.ctl.head.raw == 3);
	sound(&f);
}

static void records_are_released_in_any_order(void **state)
{
	struct fixture f;
	uint64_t at[5];
	unsigned i;

	(void)state;
	start_at(&f, 0);
	for (i = 0; i < 5; i++)
		assert_int_equal(put(&f, 1, 8, (unsigned char)i), 0);
	for (i = 0; i < 5; i++)
		at[i] = next_is(&f, 1, 8, (unsigned char)i);
	for (i = 4; i > 0; i--) {
		assert_int_equal(fr__ring_release(&f.ring, &f.reader, at[i]),
				 0);
		assert_true(f.ctl.head.raw == 0);
	}
	assert_int_equal(fr__ring_release(&f.ring, &f.reader, at[0]), 0);
	assert_true(f.ctl.head.raw == 5);
	none(&f);
	sound(&f);
}

static void a_record_is_released_once(void **state)
{
	struct fixture f;
	uint64_t at;

	(void)state;
	start_at(&f, 0);
	assert_int_equal(put(&f, 1, 8, 1), 0);
	assert_int_equal(put(&f, 1, 8, 2), 0);
	assert_int_equal(fr__ring_release(&f.ring, &f.reader, 0), -EBADMSG);
	at = next_is(&f, 1, 8, 1);
	assert_int_equal(fr__ring_release(&f.ring, &f.reader, at), 0);
	assert_int_equal(fr__ring_release(&f.ring, &f.reader, at), -EBADMSG);
	get(&f, 1, 8, 2);
	sound(&f);
}

/* Two that end together where the record found last would end, too. */
static void what_came_past_a_claim_is_released_by_itself(void **state)
{
	struct fixture f;
	uint64_t open, first, second;

	(void)state;
	start_at(&f, 0);
	open = claim(&f, 2, 2);
	fr__ring_advance(&f.ring, open, 2);
	assert_int_equal(put(&f, 1, 8, 1), 0);
	assert_int_equal(put(&f, 1, 8, 2), 0);
	first = next_is(&f, 1, 8, 1);
	second = next_is(&f, 1, 8, 2);
	fill(&f, open, 48, 3);
	fr__ring_publish(&f.ring, 2, open, 2);
	get(&f, 2, 48, 3);
	none(&f);
	assert_int_equal(fr__ring_release(&f.ring, &f.reader, first), 0);
	assert_true(f.ctl.head.raw == second);
	assert_int_equal(fr__ring_release(&f.ring, &f.reader, second), 0);
	assert_true(f.ctl.head.raw == second + 1);
	sound(&f);
}

static void a_run_is_released_at_once(void **state)
{
	struct fixture f;
	uint64_t at[8], open;
	unsigned i;

	(void)state;
	start_at(&f, UNITS - 4);
	for (i = 0; i < 4; i++)
		assert_int_equal(put(&f, 1, 8, (unsigned char)i), 0);
	open = claim(&f, 2, 1);
	fr__ring_cancel(&f.ring, 2, open, 1);
	for (i = 4; i < 8; i++)
		assert_int_equal(put(&f, 1, 8, (unsigned char)i), 0);
	for (i = 0; i < 8; i++)
		at[i] = next_is(&f, 1, 8, (unsigned char)i);
	assert_int_equal(fr__ring_release_run(&f.ring, &f.reader, at, 8), 0);
	assert_true(f.ctl.head.raw == UNITS + 5);
	none(&f);
	sound(&f);
}

/* A producer that is preempted before each of its steps. */
static void a_producer_that_stops_anywhere_stops_nobody(void **state)
{
	struct fixture f;
	uint64_t at;

	(void)state;
	/* Before it moves tail, its record not published. */
	start_at(&f, 0);
	claim(&f, 1, 1);
	assert_int_equal(put(&f, 2, 8, 2), 0);
	get(&f, 2, 8, 2);
	/* Before it moves tail, its record published, consumed and freed. */
	start_at(&f, 0);
	at = claim(&f, 1, 1);
	fill(&f, at, 8, 1);
	fr__ring_publish(&f.ring, 1, at, 1);
	get(&f, 1, 8, 1);
	assert_true(f.ctl.tail.raw == 0);
	assert_int_equal(put(&f, 2, 8, 2), 0);
	get(&f, 2, 8, 2);
	/* It moves tail much later. */
	fr__ring_advance(&f.ring, at, 1);
	assert_true(f.ctl.tail.raw == 2);
	sound(&f);
}

static void tail_is_caught_up_at_the_lap_border(void **state)
{
	struct fixture f;
	uint64_t at;

	(void)state;
	start_at(&f, UNITS - 1);
	at = claim(&f, 1, 1);
	fill(&f, at, 8, 1);
	fr__ring_publish(&f.ring, 1, at, 1);
	get(&f, 1, 8, 1);
	assert_int_equal(put(&f, 2, 60, 2), 0);
	get(&f, 2, 60, 2);
	sound(&f);
}

static void the_dead_owners_claims_are_buried_and_no_others(void **state)
{
	struct fixture f;
	uint64_t a, b, c;

	(void)state;
	start_at(&f, 60);
	a = claim(&f, 1, 2);
	fr__ring_advance(&f.ring, a, 2);
	b = claim(&f, 2, 1);
	fr__ring_advance(&f.ring, b, 1);
	assert_int_equal(put(&f, 1, 8, 1), 0);
	c = claim(&f, 1, 1); /* tail not moved over it */
	(void)c;
	assert_int_equal(fr__ring_bury(&f.ring, 1), 2);
	get(&f, 1, 8, 1);
	none(&f);
	fill(&f, b, 8, 2);
	fr__ring_publish(&f.ring, 2, b, 1);
	get(&f, 2, 8, 2);
	none(&f);
	assert_true(f.reader.head == 65);
	assert_int_equal(put(&f, 3, 8, 3), 0);
	get(&f, 3, 8, 3);
	sound(&f);
}

static void room_is_seen_behind_a_claim_that_has_not_moved_tail(void **state)
{
	struct fixture f;

	(void)state;
	start_at(&f, 0);
	assert_int_equal(fr__ring_room(&f.ring, UNITS), UNITS);
	claim(&f, 1, 3);
	assert_true(f.ctl.tail.raw == 0);
	assert_int_equal(fr__ring_room(&f.ring, UNITS), UNITS - 3);
	assert_int_equal(fr__ring_free_units(&f.ring), UNITS - 3);
	assert_int_equal(fr__ring_room(&f.ring, 10), 10);
	start_at(&f, UNITS - 4); /* the larger of both sides of the lap's end */
	assert_int_equal(fr__ring_room(&f.ring, UNITS / 2), UNITS / 2);
}

/* A consumer died when it had published head, and freed some of the units. */
static void mending_frees_what_a_dead_consumer_had_begun_to_free(void **state)
{
	struct fixture f;
	unsigned freed, i;

	(void)state;
	for (freed = 0; freed <= 4; freed++) {
		start_at(&f, UNITS - 5);
		assert_int_equal(put(&f, 1, 8, 1), 0);    /* 1 unit */
		assert_int_equal(put(&f, 1, 150, 2), 0);  /* 3 units */
		assert_int_equal(put(&f, 1, 8, 3), 0);
		assert_int_equal(put(&f, 1, 8, 4), 0);    /* stays */
		if (freed > 0) { /* the first record, and the second's rear */
			struct fr__reader copy = f.reader;
			uint64_t at;
			unsigned who;

			fr__ring_next(&f.ring, &copy, &at, &who);
			fr__ring_release(&f.ring, &copy, at);
			for (i = 1; i < freed && i < 3; i++)
				fr__ring_at(&f.ring, UNITS - 4 + 3 - i)->tag =
					fr__ring_at(&f.ring, UNITS - 5)->tag;
		}
		f.ctl.head.raw = UNITS;
		fr__ring_mend(&f.ring);
		fr__reader_init(&f.reader, &f.ring);
		sound(&f);
		get(&f, 1, 8, 4);
		for (i = 0; i < UNITS; i++)
			assert_int_equal(put(&f, 2, 8, 5), 0);
		fr__ring_drain(&f.ring);
		sound(&f);
	}
}

/* ---- runs ---- */

#define LONG_LEN (FR__LONG_UNITS * FR__UNIT - FR__RECORD_HEAD)

/* An empty ring whose units are free in runs, as long records leave them. */
#define RUN (UNITS / 16)
static void in_runs(struct fixture *f)
{
	unsigned i;

	start_at(f, 0);
	for (i = 0; i < 2; i++) {
		assert_int_equal(put(f, 1, LONG_LEN, 1), 0);
		get(f, 1, LONG_LEN, 1);
	}
	sound(f);
}

/* As a claim leaves it that takes more than it needs, before it gives the rest back. */
static void claim_open(struct fixture *f, unsigned owner, uint64_t at, uint32_t n)
{
	fr__ring_at(&f->ring, at)->tag.raw =
		(UINT64_C(1) << 61 | (uint64_t)owner << 49 |
		 (uint64_t)n << 32 | at / UNITS) ^ f->ring.secret;
}

/* All units are free, and can be claimed one by one. */
static void all_can_be_claimed(struct fixture *f)
{
	unsigned i;

	none(f);
	sound(f);
	for (i = 0; i < UNITS; i++)
		assert_int_equal(put(f, 3, 8, (unsigned char)i), 0);
	assert_int_equal(put(f, 3, 8, 0), -EAGAIN);
	for (i = 0; i < UNITS; i++)
		get(f, 3, 8, (unsigned char)i);
	sound(f);
}

static void a_long_record_is_freed_in_runs(void **state)
{
	struct fixture f;
	unsigned char units[sizeof(f.units)];
	unsigned i;

	(void)state;
	start_at(&f, 0);
	assert_int_equal(put(&f, 1, LONG_LEN, 1), 0);
	memcpy(units, f.units, sizeof(units));
	get(&f, 1, LONG_LEN, 1);
	for (i = 0; i < sizeof(units); i++)
		if (i % (RUN * FR__UNIT) >= 8 || i / FR__UNIT >= FR__LONG_UNITS)
			assert_int_equal(f.units[i], units[i]);
	all_can_be_claimed(&f);
}

static void a_run_is_claimed_in_parts(void **state)
{
	struct fixture f;
	unsigned sent, i;
	size_t len;

	(void)state;
	in_runs(&f);
	all_can_be_claimed(&f);
	for (len = 8; len < LONG_LEN; len += 60) {
		in_runs(&f);
		for (sent = 0; put(&f, 1, len, (unsigned char)sent) == 0; sent++)
			sound(&f);
		assert_true(sent >= UNITS / fr__ring_units(len) - 1);
		for (i = 0; i < sent; i++)
			get(&f, 1, len, (unsigned char)i);
		all_can_be_claimed(&f);
	}
}

static void runs_are_claimed_together(void **state)
{
	struct fixture f;

	(void)state;
	in_runs(&f);
	assert_int_equal(put(&f, 2, 8, 2), 0);
	/* What is left of the first run, others, and a unit of one more. */
	assert_int_equal(put(&f, 1, LONG_LEN, 1), 0);
	get(&f, 2, 8, 2);
	get(&f, 1, LONG_LEN, 1);
	all_can_be_claimed(&f);
}

/* A claim in place that is not written to has the old tags of its units in it. Wherever
 * they are sent on to, a producer that has stood still for laps takes none for its own. */
static void a_free_units_tag_is_none_elsewhere(void **state)
{
	struct fixture f, other;
	struct fr__place to;
	unsigned i;

	(void)state;
	start_at(&other, 0);
	fr__ring_map(&other.ring, &other.ctl, other.units, UNITS, SECRET, 1);
	fr__ring_init(&other.ring, 0);
	for (i = 0; i < UNITS; i++) {
		start_at(&f, 0);
		fr__ring_at(&f.ring, 0)->tag =
			i == 0 ? fr__ring_at(&other.ring, 0)->tag
			       : fr__ring_at(&f.ring, i)->tag;
		assert_int_equal(fr__ring_claim(&f.ring, 1, 1, &to), -EBADMSG);
	}
}

static void who_stops_before_giving_back_keeps_all_and_stops_nobody(void **state)
{
	struct fixture f;
	uint64_t tag;

	(void)state;
	in_runs(&f);
	claim_open(&f, 1, UNITS, UNITS / 2);
	none(&f); /* and not passed: its end may come nearer */
	tag = fr__ring_at(&f.ring, UNITS)->tag.raw;
	assert_int_equal(put(&f, 2, 8, 2), 0);
	assert_true(fr__ring_at(&f.ring, UNITS)->tag.raw != tag);
	get(&f, 2, 8, 2);
	fill(&f, UNITS, 8, 1);
	fr__ring_publish(&f.ring, 1, UNITS, UNITS / 2);
	get(&f, 1, 8, 1);
	all_can_be_claimed(&f);
}

/* Nearly all of the ring: its units are claimed with the one before them. */
static void who_keeps_it_may_keep_nearly_all(void **state)
{
	struct fixture f;

	(void)state;
	start_at(&f, 0);
	assert_int_equal(put(&f, 2, 8, 2), 0);
	claim_open(&f, 1, 1, UNITS - 1);
	assert_int_equal(put(&f, 2, 8, 3), -EAGAIN);
	fill(&f, 1, 8, 1);
	fr__ring_publish(&f.ring, 1, 1, UNITS - 1);
	get(&f, 2, 8, 2);
	get(&f, 1, 8, 1);
	assert_int_equal(put(&f, 1, LONG_LEN, 4), 0);
	get(&f, 1, LONG_LEN, 4);
	all_can_be_claimed(&f);
}

static void what_the_dead_one_had_not_given_back_is_buried(void **state)
{
	struct fixture f;
	unsigned settled;

	(void)state;
	for (settled = 0; settled < 2; settled++) {
		in_runs(&f);
		claim_open(&f, 1, UNITS, UNITS / 2);
		assert_int_equal(fr__ring_bury(&f.ring, 2), 0);
		if (settled)
			assert_int_equal(put(&f, 2, 8, 2), 0);
		assert_int_equal(fr__ring_bury(&f.ring, 1), 1);
		assert_int_equal(fr__ring_bury(&f.ring, 1), 0);
		if (settled)
			get(&f, 2, 8, 2);
		all_can_be_claimed(&f);
	}
}

/* Behind it there may be anything by now. */
static void a_new_consumer_leaves_alone_what_is_behind_an_open_claim(void **state)
{
	struct fixture f;
	uint64_t held = (UINT64_C(4) << 61 | UINT64_C(1) << 32 | 1);

	(void)state;
	in_runs(&f);
	claim_open(&f, 1, UNITS, UNITS / 2);
	held ^= f.ring.secret;
	fr__ring_at(&f.ring, UNITS / 2)->tag.raw = held;
	fr__reader_init(&f.reader, &f.ring);
	assert_true(fr__ring_at(&f.ring, UNITS / 2)->tag.raw == held);
}

/* Who stops with an OPEN run has little more than it needs. */
static void runs_are_a_sixteenth_of_the_ring_at_most(void **state)
{
	static _Alignas(64) unsigned char units[4096 * FR__UNIT];
	struct fr__ring_ctl ctl;
	struct fr__reader reader;
	struct fr__place to;
	struct fr__ring ring;
	uint64_t at, tag;
	unsigned who, i, runs = 0;

	(void)state;
	fr__ring_map(&ring, &ctl, units, 4096, SECRET, 0);
	fr__ring_init(&ring, 0);
	fr__reader_init(&reader, &ring);
	for (i = 0; i < 2; i++) {
		assert_int_equal(fr__ring_claim(&ring, 1, 2048, &to), 0);
		fr__ring_publish_last(&ring, 1, to.position, to.units);
		assert_int_equal(fr__ring_next(&ring, &reader, &at, &who), 1);
		assert_int_equal(fr__ring_release(&ring, &reader, at), 0);
	}
	assert_null(fr__ring_check(&ring));
	for (i = 0; i < 4096; i++) {
		tag = fr__ring_at(&ring, i)->tag.raw ^ ring.secret;
		if (tag >> 61 == 7 && (tag >> 44 & 0x1ffff) > 1) {
			assert_true((tag >> 44 & 0x1ffff) <= 256);
			runs++;
		}
	}
	assert_int_equal(runs, 16);
}

/* The consumer died; a sender to it stopped before it gave back what it does not need,
 * and goes on when all is mended. */
static void mending_settles_what_is_not_given_back(void **state)
{
	struct fixture f;
	uint64_t tag;

	(void)state;
	in_runs(&f);
	claim_open(&f, 1, UNITS, UNITS / 2);
	tag = fr__ring_at(&f.ring, UNITS)->tag.raw;
	fr__ring_mend(&f.ring);
	assert_true(fr__ring_at(&f.ring, UNITS)->tag.raw != tag);
	fr__reader_init(&f.reader, &f.ring);
	fill(&f, UNITS, 8, 1);
	fr__ring_publish_last(&f.ring, 1, UNITS, UNITS / 2);
	get(&f, 1, 8, 1);
	all_can_be_claimed(&f);
}

static void payload_that_looks_like_tags_misleads_nobody(void **state)
{
	struct fixture f;
	uint64_t old[UNITS * 8];
	unsigned i, k;

	(void)state;
	start_at(&f, 0);
	/* Send the ring's own former contents through it, at every offset. */
	for (k = 0; k < 4 * UNITS; k++) {
		unsigned char body[LONG_LEN];
		size_t len = k % 5 ? 500 : sizeof(body);
		uint64_t at;
		struct fr__record *rec;

		memcpy(old, f.units, sizeof(old));
		for (i = 0; i < len; i++)
			body[i] = ((unsigned char *)old)[(i + k * 8) %
							 sizeof(old)];
		at = claim(&f, 1, fr__ring_units(len));
		rec = fr__ring_at(&f.ring, at);
		rec->len = (uint32_t)len;
		fr__ring_copy_in(rec, 0, body, len);
		fr__ring_publish(&f.ring, 1, at, fr__ring_units(len));
		if (k % 3)
			fr__ring_advance(&f.ring, at,
					 fr__ring_units(len));
		assert_int_equal(put(&f, 2, k % 41, 7), 0);
		{
			unsigned who;
			uint64_t got;

			assert_int_equal(fr__ring_next(&f.ring, &f.reader,
						       &got, &who), 1);
			assert_true(got == at);
			assert_memory_equal(fr__ring_at(&f.ring, got)->body,
					    body, len);
			fr__ring_release(&f.ring, &f.reader, got);
		}
		get(&f, 2, k % 41, 7);
		sound(&f);
	}
}

static void a_damaged_tag_ends_in_an_error(void **state)
{
	struct fixture f;
	unsigned bit, who;
	uint64_t at;

	(void)state;
	for (bit = 0; bit < 64; bit++) {
		start_at(&f, 0);
		assert_int_equal(put(&f, 1, 8, 1), 0);
		assert_int_equal(put(&f, 1, 8, 2), 0);
		fr__ring_at(&f.ring, 0)->tag.raw ^= UINT64_C(1) << bit;
		while (fr__ring_next(&f.ring, &f.reader, &at, &who) == 1)
			fr__ring_release(&f.ring, &f.reader, at);
		start_at(&f, 0);
		fr__ring_at(&f.ring, 0)->tag.raw ^= UINT64_C(1) << bit;
		assert_true(put(&f, 1, 8, 1) < 0);
		start_at(&f, 0);
		f.ctl.tail.raw ^= UINT64_C(1) << bit;
		put(&f, 1, 8, 1);
	}
}

/* Units of the lap's begin that say that they are free for the last one. */
static void damage_lets_no_record_over_the_laps_end(void **state)
{
	struct fixture f, old;
	struct fr__place to;
	uint64_t k;

	(void)state;
	start_at(&old, 0);
	start_at(&f, UNITS - 2);
	for (k = 0; k < 2; k++)
		fr__ring_at(&f.ring, k)->tag = fr__ring_at(&old.ring, k)->tag;
	assert_int_equal(fr__ring_claim(&f.ring, 1, 4, &to), -EBADMSG);
}

static void the_next_consumer_goes_on_where_the_last_one_was(void **state)
{
	struct fixture f;
	uint64_t open;

	(void)state;
	start_at(&f, 0);
	open = claim(&f, 1, 1);
	fr__ring_advance(&f.ring, open, 1);
	assert_int_equal(put(&f, 2, 8, 2), 0);
	assert_int_equal(put(&f, 2, 8, 3), 0);
	next_is(&f, 2, 8, 2); /* held for ever */
	fr__reader_init(&f.reader, &f.ring);
	get(&f, 2, 8, 3);
	fr__ring_cancel(&f.ring, 1, open, 1);
	none(&f);
	assert_true(f.ctl.head.raw == 3);
	sound(&f);
}

/* ---- the task ring ---- */

#define WORDS 8u

struct tasks {
	struct fr__taskring ring;
	struct fr__taskring_near near;
	struct fr__taskring_ctl ctl;
	struct fr__a64 words[WORDS];
	struct fr__a64 taking;
};

static void tasks_at(struct tasks *t, uint64_t position)
{
	memset(t, 0, sizeof(*t));
	fr__taskring_map(&t->ring, &t->ctl, t->words, WORDS, SECRET,
			 &t->near);
	fr__taskring_init(&t->ring, position);
}

static void take_is(struct tasks *t, uint32_t cell, uint32_t generation)
{
	uint32_t c, g;

	assert_int_equal(fr__taskring_take(&t->ring, &t->taking, &c, &g), 1);
	assert_int_equal(c, cell);
	assert_int_equal(g, generation & 0xffff);
}

static void entries_come_out_in_order_over_many_laps(void **state)
{
	static const uint64_t starts[] = {
		0, WORDS - 1, (UINT64_C(1) << 23) * WORDS - 3,
		UINT64_MAX - 1000 * WORDS, UINT64_MAX - 5,
	};
	struct tasks t;
	uint32_t c, g;
	unsigned i, k;

	(void)state;
	for (k = 0; k < sizeof(starts) / sizeof(*starts); k++) {
		tasks_at(&t, starts[k]);
		for (i = 0; i < 100; i++) {
			assert_false(fr__taskring_any(&t.ring));
			assert_int_equal(fr__taskring_push(&t.ring, i, i + 7),
					 0);
			assert_int_equal(
				fr__taskring_push(&t.ring, i + 1, ~i), 0);
			assert_true(fr__taskring_any(&t.ring));
			take_is(&t, i, i + 7);
			take_is(&t, i + 1, ~i);
			assert_int_equal(fr__taskring_take(&t.ring, &t.taking,
							   &c, &g), 0);
		}
	}
}

static void a_full_task_ring_says_so(void **state)
{
	struct tasks t;
	unsigned i;

	(void)state;
	tasks_at(&t, 5);
	for (i = 0; i < WORDS; i++)
		assert_int_equal(fr__taskring_push(&t.ring, i, 1), 0);
	assert_int_equal(fr__taskring_push(&t.ring, 0, 1), -EAGAIN);
	take_is(&t, 0, 1);
	assert_int_equal(fr__taskring_push(&t.ring, 9, 1), 0);
	assert_int_equal(fr__taskring_push(&t.ring, 0, 1), -EAGAIN);
	for (i = 1; i < WORDS; i++)
		take_is(&t, i, 1);
	take_is(&t, 9, 1);
}

/* As one who comes anew sees the same ring. */
static void come_anew(struct tasks *t)
{
	fr__taskring_map(&t->ring, &t->ctl, t->words, WORDS, SECRET, &t->near);
}

/* So many go in and come out, one by one. */
static void pass(struct tasks *t, unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		assert_int_equal(fr__taskring_push(&t->ring, i, 1), 0);
		take_is(t, i, 1);
	}
}

static void counters_that_lag_mislead_nobody(void **state)
{
	unsigned lag = WORDS / 2, i, k;
	struct tasks t;
	uint32_t c, g;

	(void)state;
	for (k = 0; k < 2 * WORDS; k++) {
		tasks_at(&t, UINT64_MAX - 2 * WORDS + k);
		for (i = 0; i < 100 * WORDS; i++) {
			uint64_t at = UINT64_MAX - 2 * WORDS + k + i;

			come_anew(&t);
			assert_false(fr__taskring_any(&t.ring));
			assert_int_equal(fr__taskring_take(&t.ring, &t.taking,
							   &c, &g), 0);
			assert_true(at - t.ctl.tail.raw <= lag);
			assert_true(at - t.ctl.head.raw <= lag);
			come_anew(&t);
			assert_int_equal(fr__taskring_push(&t.ring, i, 1), 0);
			assert_true(fr__taskring_any(&t.ring));
			assert_null(fr__taskring_check(&t.ring, 100 * WORDS,
						       NULL, NULL));
			if (i % 2)
				come_anew(&t);
			take_is(&t, i, 1);
			assert_null(fr__taskring_check(&t.ring, 100 * WORDS,
						       NULL, NULL));
		}
	}
}

static void a_head_that_lags_is_passed_by_the_next_lap(void **state)
{
	unsigned i;
	struct tasks t;

	(void)state;
	tasks_at(&t, 0);
	pass(&t, WORDS / 2); /* as far as it may lag */
	assert_int_equal(t.ctl.head.raw, 0);
	for (i = 0; i < WORDS; i++)
		assert_int_equal(fr__taskring_push(&t.ring, i, 2), 0);
	come_anew(&t);
	assert_true(fr__taskring_any(&t.ring));
	assert_int_equal(fr__taskring_push(&t.ring, 0, 1), -EAGAIN);
	assert_null(fr__taskring_check(&t.ring, WORDS, NULL, NULL));
	for (i = 0; i < WORDS; i++)
		take_is(&t, i, 2);
	assert_false(fr__taskring_any(&t.ring));
}

static bool is_not_three(const void *ctx, uint32_t cell, uint32_t generation)
{
	(void)ctx;
	(void)generation;
	return cell != 3;
}

static void an_entry_is_replaced_behind_a_head_that_lags(void **state)
{
	unsigned i;
	struct tasks t;

	(void)state;
	tasks_at(&t, 0);
	pass(&t, WORDS / 2);
	for (i = 0; i < WORDS - 1; i++)
		assert_int_equal(fr__taskring_push(&t.ring, 7, 1), 0);
	assert_int_equal(fr__taskring_push(&t.ring, 3, 2), 0);
	assert_int_equal(fr__taskring_push(&t.ring, 8, 1), -EAGAIN);
	assert_int_equal(fr__taskring_replace(&t.ring, is_not_three, NULL, 8, 1),
			 1);
	assert_int_equal(fr__taskring_replace(&t.ring, is_not_three, NULL, 9, 1),
			 0);
	for (i = 0; i < WORDS - 1; i++)
		take_is(&t, 7, 1);
	take_is(&t, 8, 1);
}

static void who_stood_still_for_laps_finds_the_place(void **state)
{
	unsigned laps;
	struct tasks t;

	(void)state;
	for (laps = 1; laps < 5; laps++) {
		struct fr__taskring_near old;

		tasks_at(&t, 3);
		old = t.near;
		pass(&t, laps * WORDS + 1);
		t.near = old;
		assert_int_equal(fr__taskring_push(&t.ring, 77, 1), 0);
		t.near = old;
		take_is(&t, 77, 1);
	}
}

/* Else who waits for tasks neither sleeps nor ends. */
static void who_looks_and_who_takes_agree_in_a_damaged_ring(void **state)
{
	struct fr__taskring_near near;
	struct tasks was, t;
	unsigned entries, i, bit;
	uint32_t c, g;

	(void)state;
	for (entries = 0; entries < 3; entries++) {
		tasks_at(&t, 0);
		pass(&t, 3 * WORDS);
		for (i = 0; i < entries; i++)
			assert_int_equal(fr__taskring_push(&t.ring, i, 1), 0);
		was = t;
		near = t.near;
		for (i = 0; i < 2 + WORDS; i++)
			for (bit = 0; bit < 64; bit++) {
				struct fr__a64 *word = i == 0   ? &t.ctl.head
						       : i == 1 ? &t.ctl.tail
								: &t.words[i - 2];
				bool any;

				t.ctl = was.ctl;
				memcpy(t.words, was.words, sizeof(t.words));
				t.near = near;
				word->raw ^= UINT64_C(1) << bit;
				any = fr__taskring_any(&t.ring);
				assert_int_equal(fr__taskring_take(&t.ring,
						&t.taking, &c, &g) != 0, any);
			}
	}
}

static void what_a_taker_takes_is_noted(void **state)
{
	struct tasks t;
	uint32_t c, g;

	(void)state;
	tasks_at(&t, 0);
	assert_false(fr__taskring_taken(&t.taking, &c, &g));
	assert_int_equal(fr__taskring_push(&t.ring, 5, 77), 0);
	take_is(&t, 5, 77);
	assert_true(fr__taskring_taken(&t.taking, &c, &g));
	assert_int_equal(c, 5);
	assert_int_equal(g, 77);
}

static void a_damaged_word_ends_in_an_error(void **state)
{
	struct tasks t;
	uint32_t c, g;
	unsigned bit;
	uint64_t was;

	(void)state;
	for (bit = 0; bit < 63; bit++) {
		tasks_at(&t, 0);
		t.words[0].raw ^= UINT64_C(1) << bit;
		was = t.words[0].raw;
		assert_true(fr__taskring_push(&t.ring, 1, 1) < 0 ||
			    t.words[0].raw == was);
		tasks_at(&t, 0);
		t.words[0].raw ^= UINT64_C(1) << bit;
		assert_true(fr__taskring_take(&t.ring, &t.taking, &c, &g) <=
			    0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_record_comes_out_as_it_went_in),
		TEST(forty_bytes_take_one_unit_and_one_more_takes_two),
		TEST(a_full_ring_says_so_and_an_emptied_one_takes_again),
		TEST(claim_pads_a_record_that_would_wrap),
		TEST(the_largest_record_fits_wherever_the_ring_stands),
		TEST(any_start_position_does),
		TEST(an_open_claim_holds_up_its_owner_only),
		TEST(others_flow_past_an_open_claim_until_the_ring_is_full),
		TEST(two_open_claims_close_in_either_order),
		TEST(a_held_record_is_not_delivered_again),
		TEST(head_moves_past_where_we_went_back_to),
		TEST(head_does_not_pass_a_claim_cancelled_behind_our_back),
		TEST(records_are_released_in_any_order),
		TEST(a_record_is_released_once),
		TEST(what_came_past_a_claim_is_released_by_itself),
		TEST(a_run_is_released_at_once),
		TEST(a_producer_that_stops_anywhere_stops_nobody),
		TEST(tail_is_caught_up_at_the_lap_border),
		TEST(the_dead_owners_claims_are_buried_and_no_others),
		TEST(room_is_seen_behind_a_claim_that_has_not_moved_tail),
		TEST(mending_frees_what_a_dead_consumer_had_begun_to_free),
		TEST(a_long_record_is_freed_in_runs),
		TEST(a_run_is_claimed_in_parts),
		TEST(runs_are_claimed_together),
		TEST(a_free_units_tag_is_none_elsewhere),
		TEST(who_stops_before_giving_back_keeps_all_and_stops_nobody),
		TEST(who_keeps_it_may_keep_nearly_all),
		TEST(what_the_dead_one_had_not_given_back_is_buried),
		TEST(mending_settles_what_is_not_given_back),
		TEST(a_new_consumer_leaves_alone_what_is_behind_an_open_claim),
		TEST(runs_are_a_sixteenth_of_the_ring_at_most),
		TEST(payload_that_looks_like_tags_misleads_nobody),
		TEST(a_damaged_tag_ends_in_an_error),
		TEST(damage_lets_no_record_over_the_laps_end),
		TEST(the_next_consumer_goes_on_where_the_last_one_was),
		TEST(entries_come_out_in_order_over_many_laps),
		TEST(a_full_task_ring_says_so),
		TEST(counters_that_lag_mislead_nobody),
		TEST(a_head_that_lags_is_passed_by_the_next_lap),
		TEST(an_entry_is_replaced_behind_a_head_that_lags),
		TEST(who_stood_still_for_laps_finds_the_place),
		TEST(who_looks_and_who_takes_agree_in_a_damaged_ring),
		TEST(what_a_taker_takes_is_noted),
		TEST(a_damaged_word_ends_in_an_error),
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
