/* SPDX-License-Identifier: MIT */
/*
 * The progress bar: one line on a terminal, redrawn in place at most ten times
 * a second, and wiped out when it is not needed any more. It sends no escape
 * sequence but "\r" and blanks, and hides no cursor; so whatever ends the
 * program, the terminal is as it was, but for that line.
 */
#ifndef WORDCOUNT_PROGRESS_H
#define WORDCOUNT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	int fd;		/* -1: nothing is drawn */
	unsigned drawn; /* columns to wipe out */
	int64_t start_ns;
	int64_t last_ns;
};

struct progress_state {
	uint64_t bytes; /* counted */
	uint64_t
		total; /* bytes in all, as far as known; 0: cannot be said yet */
	uint64_t files; /* found */
};

int64_t progress_clock_ns(void);

/* Draw on fd if it is a terminal and a bar is wanted. */
void progress_begin(struct progress *p, int fd, bool wanted);

static inline bool progress_on(const struct progress *p)
{
	return p->fd >= 0;
}

/* Draw, if it is time to. Cheap otherwise. */
void progress_draw(struct progress *p, const struct progress_state *s);

/* Wipe it out; it may be drawn again. */
void progress_clear(struct progress *p);

#endif
