/* SPDX-License-Identifier: MIT */
/*
 * Who lives: each process holds a POSIX record lock on one byte of the arena's
 * file, the byte of its slot's number. The kernel drops it when the process is
 * gone, however it went; a child does not inherit it; a stopped process keeps
 * it. (fcntl(2); the locks are advisory and the byte's content has nothing to
 * do with them.)
 *
 * The trap: any close, in the holder, of any descriptor of this file drops it.
 * That is why arena.c opens an arena only once in a process.
 */
#include "process.h"

#include <fcntl.h>
#include <unistd.h>

static int set_lock(const struct fr_arena *a, unsigned slot, short type)
{
	struct flock lock = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)slot,
		.l_len = 1,
	};

	if (fcntl(a->fd, F_SETLK, &lock) == -1)
		return errno == EACCES ? -EAGAIN : -errno;
	return 0;
}

bool fr__life_held(const struct fr_arena *a, unsigned slot)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)slot,
		.l_len = 1,
	};

	return fcntl(a->fd, F_GETLK, &lock) == -1 || lock.l_type != F_UNLCK;
}

int fr__life_lock(const struct fr_arena *a, unsigned slot)
{
	return set_lock(a, slot, F_WRLCK);
}

void fr__life_unlock(const struct fr_arena *a, unsigned slot)
{
	set_lock(a, slot, F_UNLCK);
}
