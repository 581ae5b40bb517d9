/* SPDX-License-Identifier: MIT */
/*
 * Counting lines, words and bytes as GNU wc 9.1 does in the C locale, in pieces
 * that may be counted anywhere, in any order, and joined afterwards.
 *
 * The rule. Each byte is of one of three classes:
 *
 *	space    9..13 (\t \n \v \f \r) and 32
 *	print    33..126
 *	neutral  all others: 0..8, 14..31, 127 and 128..255
 *
 * A line is a newline (10). A print byte begins a word unless one is open, a
 * space ends the open word, and a neutral byte changes nothing: it neither
 * begins nor ends a word. So "a\200b" is one word, "\200" is none, and
 * "a \200 b" is two. In other words: the words are the stretches between spaces
 * that hold at least one print byte. (wc 9.5 made every byte that is not a
 * space part of a word.)
 *
 * The edges. A piece is counted as if a space stood before it. Whether that
 * made one word too many at a cut depends on the nearest byte on each side that
 * is not neutral: only when both are print bytes was one word counted twice.
 * These two classes, `first` and `last`, are all that a piece must remember;
 * count_join() is associative, and an empty piece is its neutral element.
 */
#ifndef WORDCOUNT_COUNT_H
#define WORDCOUNT_COUNT_H

#include <stddef.h>
#include <stdint.h>

/* Class of the first or last byte of a piece that is not neutral. */
enum count_edge {
	COUNT_NONE, /* there is no such byte */
	COUNT_SPACE,
	COUNT_PRINT,
};

/* All zero: nothing counted yet. */
struct count {
	uint64_t lines;
	uint64_t words;
	uint64_t bytes;
	uint32_t first; /* enum count_edge */
	uint32_t last;	/* enum count_edge */
};

/* Count n bytes that follow those already counted in c. */
void count_bytes(struct count *c, const void *bytes, size_t n);

/* Add what was counted in the piece right behind left. */
void count_join(struct count *left, const struct count *right);

#endif
