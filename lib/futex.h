/* SPDX-License-Identifier: MIT */
/*
 * futex(2) on words of the arena (never FUTEX_PRIVATE), and the clock that
 * deadlines are on.
 */
#ifndef FR_LIB_FUTEX_H
#define FR_LIB_FUTEX_H

#include "atomic.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FR__NEVER INT64_MAX

static inline int64_t fr__now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* A relative time limit (negative: none) as a point of CLOCK_MONOTONIC. */
static inline int64_t fr__deadline(int64_t wait_ns)
{
	int64_t at;

	if (wait_ns < 0 || __builtin_add_overflow(fr__now_ns(), wait_ns, &at))
		return FR__NEVER;
	return at;
}

/*
 * Sleep while *word is value, for at most ns nanoseconds (of CLOCK_MONOTONIC).
 * 0: woken, or the value had changed · -ETIMEDOUT · -EINTR.
 */
static inline int fr__futex_wait(struct fr__a32 *word, uint32_t value,
				 int64_t ns)
{
	struct timespec ts = {ns / 1000000000, ns % 1000000000};
	int saved = errno, rc;

	rc = (int)syscall(SYS_futex, &word->raw, FUTEX_WAIT, value, &ts, NULL,
			  0) == -1 ? -errno : 0;
	errno = saved;
	return rc == -EAGAIN ? 0 : rc;
}

/* Wake all who sleep on the word. Signal handlers too. */
static inline void fr__futex_wake(struct fr__a32 *word)
{
	int saved = errno;

	syscall(SYS_futex, &word->raw, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	errno = saved;
}

#endif
