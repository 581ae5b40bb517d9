/* SPDX-License-Identifier: MIT */
/*
 * The counting kernel of examples/wordcount against a loop over bytes, and the
 * joining of pieces: every cut of a text must give the same counts.
 */
#include "../examples/wordcount/count.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEXT_MAX 4096

static uint64_t state = UINT64_C(88172645463325252);

static unsigned random_below(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)((state >> 32) % n);
}

/* The rule, one byte after the other. */
static struct count naive(const uint8_t *p, size_t n)
{
	struct count c = {.bytes = n};
	bool in_word = false;

	for (size_t i = 0; i < n; i++) {
		uint32_t edge = COUNT_NONE;

		c.lines += p[i] == '\n';
		if (p[i] == ' ' || (p[i] >= 9 && p[i] <= 13)) {
			edge = COUNT_SPACE;
			in_word = false;
		} else if (p[i] > 32 && p[i] < 127) {
			edge = COUNT_PRINT;
			c.words += !in_word;
			in_word = true;
		}
		if (edge != COUNT_NONE && c.first == COUNT_NONE)
			c.first = edge;
		if (edge != COUNT_NONE)
			c.last = edge;
	}
	return c;
}

static struct count counted(const void *p, size_t n)
{
	struct count c = {0};

	count_bytes(&c, p, n);
	return c;
}

static void assert_same(const struct count *a, const struct count *b)
{
	assert_int_equal(a->lines, b->lines);
	assert_int_equal(a->words, b->words);
	assert_int_equal(a->bytes, b->bytes);
	assert_int_equal(a->first, b->first);
	assert_int_equal(a->last, b->last);
}

/*
 * Text in which everything that matters is frequent. flavour 0: all bytes; 1:
 * one byte of each class; 2: long runs of one class; 3: neutral, nearly all.
 */
static void fill(uint8_t *p, size_t n, unsigned flavour)
{
	static const uint8_t few[] = {'a', ' ', '\n', 0x80, 0, 0x7f, '~', '!'};
	uint8_t now = 0;

	for (size_t i = 0; i < n; i++) {
		if (flavour == 0)
			now = (uint8_t)random_below(256);
		else if (flavour == 1 || random_below(40) == 0)
			now = few[random_below(sizeof(few))];
		else if (flavour == 3)
			now = (uint8_t)(128 + random_below(128));
		p[i] = now;
	}
}

static void nothing_counts_as_nothing(void **arg)
{
	struct count c = counted("", 0), zero = {0};

	(void)arg;
	assert_same(&c, &zero);
}

static void a_byte_is_of_the_class_that_isspace_and_isprint_give(void **arg)
{
	(void)arg;
	for (unsigned b = 0; b < 256; b++) {
		uint8_t text[3] = {'a', (uint8_t)b, 'b'};
		bool space = b == 32 || (b >= 9 && b <= 13);
		bool print = b > 32 && b < 127;
		struct count alone = counted(text + 1, 1);
		struct count between = counted(text, 3);

		assert_int_equal(alone.words, print);
		assert_int_equal(alone.lines, b == '\n');
		assert_int_equal(between.words, space ? 2 : 1);
	}
}

static void a_neutral_byte_neither_begins_nor_ends_a_word(void **arg)
{
	struct count c;

	(void)arg;
	c = counted("a\200b", 3);
	assert_int_equal(c.words, 1);
	c = counted("\200\0\177", 3);
	assert_int_equal(c.words, 0);
	c = counted(" \200 a\200 \200b ", 9);
	assert_int_equal(c.words, 2);
}

static void a_neutral_run_over_several_blocks_keeps_a_word_open(void **arg)
{
	uint8_t text[512];

	(void)arg;
	for (size_t run = 0; run < sizeof(text) - 2; run++) {
		struct count c;

		memset(text, 0x80, sizeof(text));
		text[0] = 'a';
		text[run + 1] = 'b';
		c = counted(text, run + 2);
		assert_int_equal(c.words, 1);
		text[0] = ' ';
		c = counted(text, run + 2);
		assert_int_equal(c.words, 1);
		text[run / 2] = ' ';
		text[0] = 'a';
		c = counted(text, run + 2);
		assert_int_equal(c.words, run / 2 ? 2 : 1);
	}
}

static void more_newlines_than_a_byte_can_sum_up_are_counted(void **arg)
{
	static uint8_t text[64 * 300 + 5];
	struct count c;

	(void)arg;
	memset(text, '\n', sizeof(text));
	c = counted(text, sizeof(text));
	assert_int_equal(c.lines, sizeof(text));
	assert_int_equal(c.words, 0);
}

static void any_text_at_any_address_counts_as_byte_by_byte(void **arg)
{
	static uint8_t buffer[TEXT_MAX + 64];

	(void)arg;
	for (unsigned round = 0; round < 4000; round++) {
		uint8_t *text = buffer + random_below(64);
		size_t n = random_below(round % 8 ? 300 : TEXT_MAX);
		struct count want, got;

		fill(text, n, round % 4);
		want = naive(text, n);
		got = counted(text, n);
		assert_same(&got, &want);
	}
}

static void counting_goes_on_where_the_bytes_before_ended(void **arg)
{
	uint8_t text[700];

	(void)arg;
	for (unsigned round = 0; round < 1000; round++) {
		struct count want, got = {0};
		size_t at = 0;

		fill(text, sizeof(text), round % 4);
		want = naive(text, sizeof(text));
		while (at < sizeof(text)) {
			size_t n = random_below(200);

			if (n > sizeof(text) - at)
				n = sizeof(text) - at;
			count_bytes(&got, text + at, n);
			at += n;
		}
		assert_same(&got, &want);
	}
}

static void a_cut_anywhere_gives_the_same_counts(void **arg)
{
	uint8_t text[200];

	(void)arg;
	for (unsigned round = 0; round < 200; round++) {
		size_t n = random_below(sizeof(text) + 1);
		struct count want;

		fill(text, n, round % 4);
		want = naive(text, n);
		for (size_t cut = 0; cut <= n; cut++) {
			struct count left = counted(text, cut);
			struct count right = counted(text + cut, n - cut);

			count_join(&left, &right);
			assert_same(&left, &want);
		}
	}
}

static void pieces_may_be_joined_in_any_grouping(void **arg)
{
	uint8_t text[24];

	(void)arg;
	for (unsigned round = 0; round < 400; round++) {
		const size_t n = sizeof(text);
		struct count want;

		fill(text, n, round % 4);
		want = naive(text, n);
		for (size_t i = 0; i <= n; i++) {
			for (size_t j = i; j <= n; j++) {
				struct count a = counted(text, i);
				struct count b = counted(text + i, j - i);
				struct count c = counted(text + j, n - j);
				struct count ab = a, bc = b;

				count_join(&ab, &b);
				count_join(&ab, &c);
				assert_same(&ab, &want);
				count_join(&bc, &c);
				count_join(&a, &bc);
				assert_same(&a, &want);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_counts_as_nothing),
		cmocka_unit_test(
			a_byte_is_of_the_class_that_isspace_and_isprint_give),
		cmocka_unit_test(a_neutral_byte_neither_begins_nor_ends_a_word),
		cmocka_unit_test(
			a_neutral_run_over_several_blocks_keeps_a_word_open),
		cmocka_unit_test(
			more_newlines_than_a_byte_can_sum_up_are_counted),
		cmocka_unit_test(
			any_text_at_any_address_counts_as_byte_by_byte),
		cmocka_unit_test(counting_goes_on_where_the_bytes_before_ended),
		cmocka_unit_test(a_cut_anywhere_gives_the_same_counts),
		cmocka_unit_test(pieces_may_be_joined_in_any_grouping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
