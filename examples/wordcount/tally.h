/* SPDX-License-Identifier: MIT */
/*
 * Main's side of the farm: takes the files in the order of the walk, makes
 * tasks of them, and puts the results where they belong, in whatever order they
 * come.
 */
#ifndef WORDCOUNT_TALLY_H
#define WORDCOUNT_TALLY_H

#include "jobs.h"
#include "list.h"
#include "progress.h"

#include <forkring/farm.h>

struct tally_opts {
	unsigned workers; /* at least 1 */
	uint64_t piece;	  /* bytes; 0: chosen for each file */
	struct progress *progress;
};

struct tally {
	struct fr_farm *farm;
	struct list list; /* main may add entries that it fills itself */

	/* The rest is tally.c's. */
	struct tally_opts opts;
	struct jobs jobs;
	struct job filling; /* the batch that is being put together */
	struct work_task batch;
	struct tally_queue { /* files to be counted in pieces */
		size_t *files;
		size_t first, end, max;
		uint32_t piece; /* of the first file: to be submitted next */
	} queue;
	int64_t looked_ns; /* tally_pause() did, last */
	bool all_found;
	uint64_t regular;   /* regular files found */
	uint64_t looked_at; /* those of them whose size is known */
	uint64_t known;	    /* sum of these sizes */
	uint64_t counted;   /* bytes */
};

/*
 * Calls return 0 or a negative errno. -EINTR: a signal asks for the end. After
 * an error nothing but tally_close() makes sense.
 */
int tally_open(struct tally *t, const struct tally_opts *opts);

/*
 * Add a regular file to be counted, WALKED or GIVEN. size: if it is known, else
 * 0. A path of PATH_MAX bytes or more is an entry with ENAMETOOLONG.
 */
int tally_file(struct tally *t, enum file_kind kind, const char *path,
	       size_t len, uint64_t size);

/* Take in what is finished, without waiting. */
int tally_poll(struct tally *t);

/* The same, as often as is good, when the next file may be long in coming: if all
 * workers are idle they get what there is. */
int tally_pause(struct tally *t);

/* No file will be added any more: submit what is left. */
int tally_all_found(struct tally *t);

/* Wait until everything is counted. */
int tally_finish(struct tally *t);

/* End the workers. The list stays. -EINTR as fr_farm_close(). */
int tally_close(struct tally *t);

void tally_free(struct tally *t);

#endif
