/* SPDX-License-Identifier: MIT */
/*
 * The counting kernel: 64 bytes at a time, without a branch on what they are.
 *
 * Four vectors of 16 bytes are compared with constants, and the outcomes
 * gathered into words of 64 bits, bit i for byte i:
 *
 *	P   print bytes
 *	N   neutral bytes
 *	W   bytes after which a word is open: P, and each N that follows such a
 *	    byte without a space between
 *
 * A word begins at each bit of P whose predecessor is not in W. To find W, the
 * seeds (neutral bytes right behind a print byte, or behind an open word of the
 * block before) are added to N: a run of neutral bytes with a seed at its
 * beginning carries through and turns to zero, one without stays as it is. A
 * seed is always the first of its run, and a run's carry stops in the bit
 * behind the run, which is not neutral; so runs do not disturb each other.
 *
 * Bytes behind the end of the data are taken as zero: neutral, so they change
 * nothing.
 *
 * Comparing uses GCC's vector extensions, on any machine; only the gathering of
 * bits differs: SSE2, Advanced SIMD, or plain C.
 */
#include "count.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define BLOCK	       64

/* Newlines are summed up in bytes, at most 4 a block: this many blocks fit. */
#define BLOCKS_PER_SUM 63

typedef int8_t v16 __attribute__((vector_size(16)));
typedef uint8_t u16 __attribute__((vector_size(16)));

struct masks {
	uint64_t print;
	uint64_t neutral;
};

#define ALL(c) ((u16){c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, c})

/*
 * One comparison per range: adding moves its upper end to the largest signed
 * byte, and whatever lies above wraps around to the negative ones.
 */
#define IN_RANGE(v, low, high)                                                 \
	((v16)((v) + ALL(127 - (high))) > (v16)ALL((low)-1 + 127 - (high)))

static inline v16 is_print(u16 v)
{
	return IN_RANGE(v, 33, 126);
}

static inline v16 is_space(u16 v)
{
	return IN_RANGE(v, 9, 13) | (v == ALL(' '));
}

#if defined(__SSE2__)

static inline uint64_t gather(const v16 v[4])
{
	uint64_t a = (unsigned)_mm_movemask_epi8((__m128i)v[0]);
	uint64_t b = (unsigned)_mm_movemask_epi8((__m128i)v[1]);
	uint64_t c = (unsigned)_mm_movemask_epi8((__m128i)v[2]);
	uint64_t d = (unsigned)_mm_movemask_epi8((__m128i)v[3]);

	return (a | b << 16) | (c | d << 16) << 32;
}

#elif defined(__aarch64__) && defined(__ARM_NEON) &&                           \
	__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

/* One bit of each byte, by its place of 8; then three rounds of pair sums. */
static inline uint64_t gather(const v16 v[4])
{
	const u16 bit = {1, 2, 4, 8, 16, 32, 64, 128,
			 1, 2, 4, 8, 16, 32, 64, 128};
	uint8x16_t ab = vpaddq_u8((uint8x16_t)((u16)v[0] & bit),
				  (uint8x16_t)((u16)v[1] & bit));
	uint8x16_t cd = vpaddq_u8((uint8x16_t)((u16)v[2] & bit),
				  (uint8x16_t)((u16)v[3] & bit));
	uint8x16_t all = vpaddq_u8(ab, cd);

	all = vpaddq_u8(all, all);
	return vgetq_lane_u64(vreinterpretq_u64_u8(all), 0);
}

#else

static inline uint64_t gather(const v16 v[4])
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < BLOCK; i++)
		bits |= (uint64_t)(v[i / 16][i % 16] & 1) << i;
	return bits;
}

#endif

/* Bits set. The instruction for it is not in x86-64's base. */
static inline unsigned ones(uint64_t x)
{
	x -= x >> 1 & UINT64_C(0x5555555555555555);
	x = (x & UINT64_C(0x3333333333333333)) +
	    (x >> 2 & UINT64_C(0x3333333333333333));
	x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (unsigned)(x * UINT64_C(0x0101010101010101) >> 56);
}

/* Classes of a block's bytes; newlines are added to the bytes of *lines. */
static inline struct masks classify(const uint8_t *p, u16 *lines)
{
	v16 print[4], other[4];
	struct masks m;

	for (unsigned i = 0; i < 4; i++) {
		u16 v;

		memcpy(&v, p + 16 * i, sizeof(v));
		print[i] = is_print(v);
		other[i] = is_space(v) | print[i];
		*lines -= (u16)(v == ALL('\n'));
	}
	m.print = gather(print);
	m.neutral = ~gather(other);
	return m;
}

static inline unsigned sum(u16 lines)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 16; i++)
		n += lines[i];
	return n;
}

/* Words that begin in a block; *open: whether a word is, before and after. */
static inline unsigned words(struct masks m, uint64_t *open)
{
	uint64_t seeds = (m.print << 1 | *open) & m.neutral;
	uint64_t in_word = m.print | (m.neutral & ~(m.neutral + seeds));
	uint64_t begins = m.print & ~(in_word << 1 | *open);

	*open = in_word >> 63;
	return ones(begins);
}

/* A block with n bytes of data, the rest zero. */
static const uint8_t *padded(uint8_t block[BLOCK], const uint8_t *p, size_t n)
{
	memset(block, 0, BLOCK);
	memcpy(block, p, n);
	return block;
}

/*
 * Pass over blocks that hold neutral bytes only. Returns how many bytes, and
 * sets *edge if another block follows.
 */
static size_t skip_neutral(const uint8_t *p, size_t n, uint32_t *edge)
{
	uint8_t rest[BLOCK];
	size_t done = 0;

	while (done < n) {
		size_t len = n - done < BLOCK ? n - done : BLOCK;
		const uint8_t *block =
			len == BLOCK ? p + done : padded(rest, p + done, len);
		u16 ignored = {0};
		struct masks m = classify(block, &ignored);
		uint64_t other = ~m.neutral;

		if (other) {
			/* The lowest bit: is it a print byte's? */
			*edge = m.print & other & -other ? COUNT_PRINT
							 : COUNT_SPACE;
			break;
		}
		done += len;
	}
	return done;
}

void count_bytes(struct count *c, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	uint64_t open = c->last == COUNT_PRINT;
	uint8_t rest[BLOCK];

	c->bytes += n;
	if (c->first == COUNT_NONE) {
		size_t skipped = skip_neutral(p, n, &c->first);

		p += skipped;
		n -= skipped;
	}
	while (n >= BLOCK) {
		size_t blocks = n / BLOCK;
		u16 lines = {0};

		if (blocks > BLOCKS_PER_SUM)
			blocks = BLOCKS_PER_SUM;
		for (size_t i = 0; i < blocks; i++, p += BLOCK)
			c->words += words(classify(p, &lines), &open);
		c->lines += sum(lines);
		n -= blocks * BLOCK;
	}
	if (n) {
		u16 lines = {0};

		c->words += words(classify(padded(rest, p, n), &lines), &open);
		c->lines += sum(lines);
	}
	if (c->first != COUNT_NONE)
		c->last = open ? COUNT_PRINT : COUNT_SPACE;
}

void count_join(struct count *left, const struct count *right)
{
	left->lines += right->lines;
	left->bytes += right->bytes;
	left->words += right->words;
	if (left->last == COUNT_PRINT && right->first == COUNT_PRINT)
		left->words--;
	if (left->first == COUNT_NONE)
		left->first = right->first;
	if (right->last != COUNT_NONE)
		left->last = right->last;
}
