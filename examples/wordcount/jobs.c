/* SPDX-License-Identifier: MIT */
/* Jobs: an array, and a stack of the numbers that are free. */
#include "jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int jobs_make(struct jobs *jobs, unsigned count)
{
	*jobs = (struct jobs){
		.count = count,
		.free = malloc(count * sizeof(*jobs->free)),
		.job = malloc(count * sizeof(*jobs->job)),
	};
	if (!jobs->free || !jobs->job)
		return -ENOMEM;
	while (jobs->free_count < count) {
		jobs->free[jobs->free_count] = jobs->free_count;
		jobs->free_count++;
	}
	return 0;
}

void jobs_free(struct jobs *jobs)
{
	free(jobs->free);
	free(jobs->job);
}

uint32_t jobs_take(struct jobs *jobs, const struct job *job)
{
	uint32_t number = jobs->free[--jobs->free_count];

	/* Most of it is unused. */
	memcpy(&jobs->job[number], job,
	       offsetof(struct job, file) + job->files * sizeof(job->file[0]));
	return number;
}

void jobs_give(struct jobs *jobs, uint32_t number)
{
	jobs->free[jobs->free_count++] = number;
}
