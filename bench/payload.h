/* SPDX-License-Identifier: MIT */
/*
 * Payloads: 8-byte words derived from a stamp, word i = stamp + i * STEP. The
 * sender writes every byte of each payload, the receiver adds all of them up
 * and compares: a stale, torn or foreign payload has another sum, since its
 * words come from another stamp. Every peer runs this same code, 64 bytes a
 * step, so that its cost hides as little as possible of what is measured.
 *
 * A stamp is who (16 bits) and a sequence number (48 bits).
 */
#ifndef BENCH_PAYLOAD_H
#define BENCH_PAYLOAD_H

#include "shared.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define PAYLOAD_MAX  65536
#define PAYLOAD_STEP UINT64_C(0x9e3779b97f4a7c15)
#define SEQ_BITS 48
#define SEQ_END ((UINT64_C(1) << SEQ_BITS) - 1) /* the sender's last one */

/* 16 bytes: what every CPU we run on has registers for. */
typedef uint64_t payload_pair
	__attribute__((vector_size(16), aligned(8), may_alias));
typedef uint64_t payload_word __attribute__((may_alias));

static inline uint64_t stamp_make(unsigned who, uint64_t seq)
{
	return (uint64_t)who << SEQ_BITS | seq;
}

static inline unsigned stamp_who(uint64_t stamp)
{
	return (unsigned)(stamp >> SEQ_BITS);
}

static inline uint64_t stamp_seq(uint64_t stamp)
{
	return stamp & SEQ_END;
}

static inline uint64_t payload_stamp(const void *buf)
{
	return *(const payload_word *)buf;
}

/* Fill size bytes: a multiple of 8. */
static ALWAYS_INLINE void payload_fill(void *buf, size_t size, uint64_t stamp)
{
	const uint64_t s = PAYLOAD_STEP;
	payload_pair a = {stamp, stamp + s}, b = a + 2 * s, c = b + 2 * s,
		     d = c + 2 * s;
	payload_word *word = buf;
	payload_pair *pair;
	size_t n = size / 8;

	for (; n >= 8; n -= 8, word += 8) {
		pair = (payload_pair *)word;
		pair[0] = a;
		pair[1] = b;
		pair[2] = c;
		pair[3] = d;
		a += 8 * s;
		b += 8 * s;
		c += 8 * s;
		d += 8 * s;
	}
	for (stamp = a[0]; n; n--, stamp += s)
		*word++ = stamp;
}

/* What is added to the sum of a payload by its words' places. */
static inline uint64_t payload_places(size_t size)
{
	uint64_t n = size / 8;

	return PAYLOAD_STEP * (n * (n - 1) / 2);
}

static ALWAYS_INLINE uint64_t payload_sum(const void *buf, size_t size)
{
	payload_pair a = {0}, b = a, c = a, d = a;
	const payload_word *word = buf;
	const payload_pair *pair;
	uint64_t sum = 0;
	size_t n = size / 8;

	if (n >= 8) {
		for (; n >= 8; n -= 8, word += 8) {
			pair = (const payload_pair *)word;
			a += pair[0];
			b += pair[1];
			c += pair[2];
			d += pair[3];
		}
		a += b + c + d;
		sum = a[0] + a[1];
	}
	for (; n; n--)
		sum += *word++;
	return sum;
}

/* Is this the payload of its stamp, every byte of it? */
static ALWAYS_INLINE bool payload_right(const void *buf, size_t size,
					uint64_t places)
{
	return payload_sum(buf, size) ==
	       payload_stamp(buf) * (size / 8) + places;
}

#endif
