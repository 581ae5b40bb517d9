/* SPDX-License-Identifier: MIT */
/*
 * For peers that link each writer of a box with each of its readers by a socket
 * of its own: names for these, which is next, and how all part.
 *
 * A box with several readers: its writers take them in turn. (One socket for all
 * readers would pass over slow ones, and the end of a trial not reach each.)
 *
 * What is sent may be lost if its sender closes before it is received. So whoever
 * is done waits until all are.
 */
#ifndef BENCH_LINKS_H
#define BENCH_LINKS_H

#include "queue.h"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

/* Links to the readers of one box: count of them from first on. */
struct way {
	unsigned first, count, next;
};

struct links {
	struct way way[PROCS_MAX]; /* to each box; count 0: none yet */
	unsigned count;		   /* of links of all ways: up to PROCS_MAX */
};

/* For open() and close(): t->priv counts those who have parted. */
static inline int links_prepare(struct trial *t)
{
	t->priv = mmap(NULL, sizeof(word32), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return t->priv == MAP_FAILED ? -errno : 0;
}

static inline void links_clear(struct trial *t)
{
	munmap(t->priv, sizeof(word32));
}

/* Returns once all have called it. */
static inline void links_part(const struct trial *t)
{
	word32 *parted = t->priv;

	/* [LINKS-1] release: only counts; nothing is read on the strength of
	 * it. Pairs with [LINKS-2]. */
	add_release(parted, 1);
	/* [LINKS-2] relaxed: as there; ready stays as it was when the trial
	 * started. Pairs with [LINKS-1]. */
	while (load_relaxed(parted) != load_relaxed(&t->shared->ready))
		poll(NULL, 0, 1);
}

/* An abstract name (unix(7)): nothing is left of it. It is told from those of
 * other runs by the pid of the harness. */
static inline void link_name(char *name, size_t size, const char *scheme,
			     unsigned box, unsigned reader)
{
	snprintf(name, size, "%sforkring-bench.%d.%u.%u", scheme,
		 (int)getppid(), box, reader);
}

/* A way for as many links as the box has readers. */
static inline struct way *way_open(struct links *l, const struct bench_case *c,
				   unsigned box)
{
	struct way *way = &l->way[box];

	way->first = l->count;
	way->count = box_shape(c, box).readers;
	l->count += way->count;
	return way;
}

/* The link whose turn it is. */
static ALWAYS_INLINE unsigned way_link(const struct way *way)
{
	return way->first + way->next;
}

static ALWAYS_INLINE void way_sent(struct way *way)
{
	if (++way->next == way->count)
		way->next = 0;
}

#endif
