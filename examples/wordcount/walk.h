/* SPDX-License-Identifier: MIT */
/*
 * The walk over a directory tree: regular files in depth-first order, the
 * entries of each directory in bytewise order of their names.
 *
 * Symbolic links below the root are not followed; they, pipes, sockets and
 * devices are passed over. A directory is read to its end before anything in it
 * is reported, so one descriptor is enough at any depth; names of the
 * directories on the way down stay in memory.
 */
#ifndef WORDCOUNT_WALK_H
#define WORDCOUNT_WALK_H

#include <stddef.h>

enum walk_what {
	WALK_DIR,   /* a directory is about to be read */
	WALK_FILE,  /* a regular file */
	WALK_ERROR, /* path could not be read or looked at: errno is err */
};

struct walk_step {
	enum walk_what what;
	const char
		*path; /* root, "/", names; good until the function returns */
	size_t len;    /* of path; may be PATH_MAX or more */
	int err;
};

/* Returns 0 to go on; anything else ends the walk. */
typedef int walk_fn(void *ctx, const struct walk_step *step);

/*
 * Walk the directory root, itself followed if it is a symbolic link. A "/" is
 * put behind it unless it ends in one. Returns what fn returned last, or
 * -ENOMEM.
 */
int walk(const char *root, walk_fn *fn, void *ctx);

#endif
