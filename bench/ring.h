/* SPDX-License-Identifier: MIT */
/*
 * For peers whose queues lie in memory that all processes share, and which
 * never sleep: the memory, how many entries, how to wait, and the operations.
 *
 * They are libraries for programs whose messages have a type, so that the size
 * is a constant where a message is copied: there is an instance for each size
 * that is measured.
 */
#ifndef BENCH_RING_H
#define BENCH_RING_H

#include "queue.h"

#include <sched.h>
#include <sys/mman.h>

/* ---- memory ---- */

/* A power of two: 256, or more where those hold less than 256 KiB. */
static inline unsigned ring_entries(const struct bench_case *c)
{
	unsigned n = 256;

	while (n * c->size < 262144)
		n *= 2;
	return n;
}

/* So that what comes behind so many bytes shares no cache line with them. */
static inline size_t ring_align(size_t bytes)
{
	return (bytes + 127) & ~(size_t)127;
}

/* Zeroes, at the same address in all processes forked later. NULL: no memory. */
static inline void *ring_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* ---- waiting ---- */

struct spin {
	bool crowded; /* more processes than CPUs */
	unsigned looks;
};

static inline void spin_open(struct spin *spin, const struct bench_case *c)
{
	unsigned n = c->producers > c->workers ? c->producers : c->workers;
	cpu_set_t set;

	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	spin->crowded =
		c->placement == SAME ||
		(c->placement == UNPINNED && n + 1 > (unsigned)CPU_COUNT(&set));
}

/* After each look that was in vain. */
static inline void spin(struct spin *spin)
{
	if (spin->crowded && ++spin->looks % 256 == 0)
		sched_yield();
	else
		cpu_pause();
}

/* ---- operations ---- */

#define RING_SIZES(X, q)                                                       \
	X(q, 8) X(q, 40) X(q, 64) X(q, 256) X(q, 1024) X(q, 4096) X(q, 65536)

/* Where more than one writes to a box, or reads from it, only if `writers` or
 * `readers`. */
static inline bool ring_can(const struct bench_case *c, bool writers,
			    bool readers)
{
	struct shape shape;

	for (unsigned i = 0; i < boxes_of(c); i++) {
		shape = box_shape(c, i);
		if ((shape.writers > 1 && !writers) ||
		    (shape.readers > 1 && !readers))
			return false;
	}
#define RING_CASE(q, n) case n:
	switch (c->size) {
		RING_SIZES(RING_CASE, )
		return c->mode != SLEEP;
	}
	return false;
}

/*
 * run_<q><n>(), a trial over the queues q with messages of n bytes, from the
 * peer's attach() and done(), whose end starts with a struct spin, and from
 *
 *	unsigned put(end, to, buf, n, count)	copy in, up to count
 *	unsigned get(end, bodies, n, max)	how many there were
 *	claim, commit	as in struct queue_ops, or NULL
 */
#define RING_OPS(q, n, put, get, claim_it, commit_it)                          \
	static inline int send_##q##n(void *end, unsigned to, const void *buf, \
				      size_t size)                             \
	{                                                                      \
		(void)size;                                                    \
		while (unlikely(put(end, to, buf, n, 1) == 0))                 \
			spin(end);                                             \
		return 0;                                                      \
	}                                                                      \
	static inline int try_send_##q##n(void *end, unsigned to,              \
					  const void *buf, size_t size)        \
	{                                                                      \
		(void)size;                                                    \
		return put(end, to, buf, n, 1) ? 0 : -EAGAIN;                  \
	}                                                                      \
	static inline int receive_##q##n(void *end, const void **body)         \
	{                                                                      \
		while (unlikely(get(end, body, n, 1) == 0))                    \
			spin(end);                                             \
		return 0;                                                      \
	}                                                                      \
	static inline int try_receive_##q##n(void *end, const void **body)     \
	{                                                                      \
		return get(end, body, n, 1) ? 0 : -EAGAIN;                     \
	}                                                                      \
	static inline int send_batch_##q##n(void *end, unsigned to,            \
					    const void *buf, size_t size,      \
					    unsigned count)                    \
	{                                                                      \
		unsigned sent;                                                 \
                                                                               \
		(void)size;                                                    \
		while ((sent = put(end, to, buf, n, count)) == 0)              \
			spin(end);                                             \
		return (int)sent;                                              \
	}                                                                      \
	static inline int receive_batch_##q##n(void *end, const void **bodies, \
					       unsigned max)                   \
	{                                                                      \
		unsigned there;                                                \
                                                                               \
		while ((there = get(end, bodies, n, max)) == 0)                \
			spin(end);                                             \
		return (int)there;                                             \
	}                                                                      \
	static int run_##q##n(struct trial *t, enum role role, unsigned index) \
	{                                                                      \
		static const struct queue_ops ops = {                          \
			.attach = attach,                                      \
			.send = send_##q##n,                                   \
			.try_send = try_send_##q##n,                           \
			.receive = receive_##q##n,                             \
			.try_receive = try_receive_##q##n,                     \
			.done = done,                                          \
			.send_batch = send_batch_##q##n,                       \
			.receive_batch = receive_batch_##q##n,                 \
			.claim = claim_it,                                     \
			.commit = commit_it,                                   \
		};                                                             \
                                                                               \
		return queue_run(t, role, index, &ops);                        \
	}

/* claim_<q><n>(), from void *reserve(end, to, n): NULL where there is no room. */
#define RING_CLAIM(q, n, reserve)                                              \
	static inline int claim_##q##n(void *end, unsigned to, size_t size,    \
				       void **body)                            \
	{                                                                      \
		(void)size;                                                    \
		while (unlikely(!(*body = reserve(end, to, n))))               \
			spin(end);                                             \
		return 0;                                                      \
	}

/* run_<q>(), the peer's run(). */
#define RING_RUN(q)                                                            \
	static int run_##q(struct trial *t, enum role role, unsigned index)    \
	{                                                                      \
		switch (t->c->size) {                                          \
			RING_SIZES(RING_RUN_SIZE, q)                           \
		}                                                              \
		return -EMSGSIZE;                                              \
	}
#define RING_RUN_SIZE(q, n)                                                    \
	case n:                                                                \
		return run_##q##n(t, role, index);

#endif
