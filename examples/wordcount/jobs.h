/* SPDX-License-Identifier: MIT */
/*
 * Jobs: the tasks that are out, by number. A task carries its number as
 * fr_task.kind, and brings it back with its result.
 *
 *	jobs free + jobs out = jobs in all
 */
#ifndef WORDCOUNT_JOBS_H
#define WORDCOUNT_JOBS_H

#include "work.h"

struct job {
	uint32_t files;
	uint32_t piece; /* of the one file that it is about, if it is cut */
	size_t file[WORK_BATCH_MAX]; /* numbers in the list */
};

struct jobs {
	unsigned count;
	unsigned free_count;
	uint32_t *free; /* a stack */
	struct job *job;
};

/* -ENOMEM. */
int jobs_make(struct jobs *jobs, unsigned count);
void jobs_free(struct jobs *jobs);

static inline bool jobs_any_free(const struct jobs *jobs)
{
	return jobs->free_count > 0;
}

static inline bool jobs_any_out(const struct jobs *jobs)
{
	return jobs->free_count < jobs->count;
}

/* Take a free job, a copy of this one. Returns its number. */
uint32_t jobs_take(struct jobs *jobs, const struct job *job);

/* Its result is in. */
void jobs_give(struct jobs *jobs, uint32_t number);

#endif
