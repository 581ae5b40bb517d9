/* SPDX-License-Identifier: MIT */
/*
 * The fork cookie: a word on a page that the kernel wipes in a forked child, so
 * that a handle of the parent is told from one of this process by one load.
 */
#ifndef FR_LIB_COOKIE_H
#define FR_LIB_COOKIE_H

#include "atomic.h"

struct fr__cookie {
	const struct fr__a64 *word;
	uint64_t value;
};

/* This process's cookie, drawn if it has none. -ENOMEM, -ENOSYS. */
int fr__cookie_take(struct fr__cookie *ret);

static inline bool fr__cookie_good(const struct fr__cookie *c)
{
	/* [COOKIE-1] relaxed: changes only by fork, before the child runs. */
	return fr__load_relaxed(c->word) == c->value;
}

#endif
