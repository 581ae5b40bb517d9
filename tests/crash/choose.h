/* SPDX-License-Identifier: MIT */
/* Which places of a trace are points; choose.c. */
#ifndef FR_TESTS_CRASH_CHOOSE_H
#define FR_TESTS_CRASH_CHOOSE_H

#include "point.h"

#define PLACES_MAX 1000000u /* of one trace */
#define JOBS_MAX (PLACES_MAX * 4)
#define WATCHED (PLACE_STORES | PLACE_SYSCALL)

/* Points to visit, from behind. */
struct jobs {
	struct job *at; /* room for JOBS_MAX */
	unsigned count;
};

/* Only these. */
struct wish {
	int kind; /* enum job_kind; -1: any */
	uint32_t k_from, k_to, l_from, l_to;
};

/* Random numbers are drawn from this seed. */
void choose_seed(uint64_t seed);
void add_job(struct jobs *jobs, const struct wish *wish, enum job_kind kind,
	     uint32_t k, uint32_t l);
/* All points of a trace of one victim. */
void choose_jobs(struct jobs *jobs, const struct wish *wish,
		 const struct trace *t);
/* About `want` places just before and just behind stores, evenly, and both
 * ends. */
unsigned choose_grid(const struct trace *t, uint32_t *places, unsigned want);

struct counts {
	unsigned stores, syscalls;
	unsigned places; /* instructions that store to the arena */
	unsigned missed; /* of those, not killed just before and just behind */
};
/* hit: the places where a victim was killed. */
struct counts count_trace(const struct trace *t, const bool *hit);

/* Zeroed room that is not malloc's: our heap stays as it is from the first fork
 * to the last, and so does the way that a victim takes through it. */
void *scratch(size_t count, size_t size);
void scrap(void *at, size_t count, size_t size);

#endif
