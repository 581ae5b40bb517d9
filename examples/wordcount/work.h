/* SPDX-License-Identifier: MIT */
/*
 * The two kinds of task, as main and the workers see them.
 *
 *	WORK_BATCH  up to WORK_BATCH_MAX files that nobody has looked at yet.
 *	            The worker opens each, and counts it if what it has counted
 *	            in this task stays within the budget; a larger one it leaves,
 *	            and says how large it is. Yields a struct work_look for each.
 *	WORK_PIECE  a stretch of one file. Yields one struct work_look.
 *
 * A task is a struct work_head, then paths, each a struct work_path and its
 * bytes. A path begins with `keep` bytes of the one before it, as neighbours in
 * a walk share their directory; so a task of 16 KiB holds any one path that
 * the kernel takes, and 128 of the usual length.
 */
#ifndef WORDCOUNT_WORK_H
#define WORDCOUNT_WORK_H

#include "count.h"

#include <forkring/task.h>

#include <stdbool.h>

#define WORK_BATCH_MAX	  128
#define WORK_TASK_BYTES	  (16 << 10)
#define WORK_RESULT_BYTES (WORK_BATCH_MAX * sizeof(struct work_look))

/* A path of PATH_MAX bytes or more is never sent. */
_Static_assert(WORK_TASK_BYTES > 4096 + 64, "the longest path fits");

enum work_type {
	WORK_BATCH = 1,
	WORK_PIECE,
};

/* Flag of a path that the walk found: no symbolic link is followed in its last
 * place, and what is not a regular file any more is passed over. */
#define WORK_WALKED 1u

/* Length of the last piece: read on while there is more. */
#define WORK_TO_END UINT64_MAX

struct work_head {
	uint32_t type;
	uint32_t paths;
	uint64_t offset; /* of the piece */
	uint64_t length; /* of the piece; of a batch: its budget, bytes */
};

struct work_path {
	uint16_t keep;
	uint16_t add; /* bytes that follow */
	uint32_t flags;
};

enum work_outcome {
	WORK_FAILED,  /* could not be opened: err */
	WORK_COUNTED, /* in count; err if reading failed on the way */
	WORK_LATER,   /* a batch's budget is too small for it */
	WORK_SKIPPED, /* not a regular file any more */
};

struct work_look {
	uint32_t outcome;
	int32_t err;   /* an errno, or 0 */
	uint64_t size; /* as the file system says, 0 if it does not */
	struct count count;
};

/* A task being put together, in main. */
struct work_task {
	union {
		struct work_head head;
		unsigned char bytes[WORK_TASK_BYTES];
	};
	size_t len;
	const char *last; /* path added last */
	size_t last_len;
};

/* Begin a task. Offset and length are the caller's to set. */
void work_begin(struct work_task *t, enum work_type type);

/*
 * Add a path of less than PATH_MAX bytes, which stays where it is until the
 * next. False: no room, submit this task and begin another.
 */
bool work_add_path(struct work_task *t, const char *path, size_t len,
		   uint32_t flags);

/* For fr_farm_opts: a worker's state, and what it does with a task. */
int work_setup(void *ctx, unsigned index, void **state);
int work_run(void *state, const struct fr_task *task, struct fr_reply *reply);
void work_teardown(void *state);

#endif
