/* SPDX-License-Identifier: MIT */
/*
 * Messages of one size, cut out of a stream of bytes. Whoever alone reads a
 * stream asks for 64 KiB at a time; one of several readers asks for one message:
 * more would be taken from the others.
 */
#ifndef BENCH_FRAMES_H
#define BENCH_FRAMES_H

#include "queue.h"

#define CHUNK 65536u

struct frames {
	size_t size;	   /* of a message */
	size_t chunk;	   /* bytes to ask for */
	size_t have, used; /* bytes in buf, of them done with */
	size_t given;	   /* bytes given out to be read */
	_Alignas(64) unsigned char buf[CHUNK];
};

static inline void frames_open(struct frames *f, const struct bench_case *c,
			       unsigned box)
{
	bool alone = box_shape(c, box).readers == 1;

	f->size = c->size;
	/* A round trip's stream never holds more than one. */
	f->chunk = alone && c->workload != RTT ? CHUNK : c->size;
}

/* Where to read to, and how much; a part of a message is moved to the front. */
static inline size_t frames_room(struct frames *f, void **where)
{
	f->have -= f->used;
	if (f->have)
		memmove(f->buf, f->buf + f->used, f->have);
	f->used = 0;
	*where = f->buf + f->have;
	return f->chunk - f->have;
}

/* The next messages, at most max. Returns how many are there. */
static inline unsigned frames_next(struct frames *f, const void **bodies,
				   unsigned max)
{
	unsigned n = 0;

	f->given = 0;
	while (n < max && f->have - f->used - f->given >= f->size) {
		bodies[n++] = f->buf + f->used + f->given;
		f->given += f->size;
	}
	return n;
}

/* Those are read. */
static inline void frames_done(struct frames *f)
{
	f->used += f->given;
	f->given = 0;
}

#endif
