/* SPDX-License-Identifier: MIT */
/* One point: a world, a victim brought to it, and what comes after; point.c. */
#ifndef FR_TESTS_CRASH_POINT_H
#define FR_TESTS_CRASH_POINT_H

#include "trace.h"
#include "world.h"

enum job_kind {
	JOB_TRACE,  /* nobody is hurt; the first victim is traced */
	JOB_KILL,   /* then the survivor calls fr_recover(), as a supervisor does */
	JOB_SLICE,  /* killed, and nobody is told */
	JOB_STOP,   /* stopped, and continued later */
	JOB_ASLEEP, /* killed in the system call, when it sleeps */
	JOB_TRACE2, /* the first is killed, the second traced */
	JOB_PAIR,   /* both are killed */
	JOB_KINDS,
};
extern const char *const job_names[JOB_KINDS];

struct job {
	enum job_kind kind;
	uint32_t k, l; /* places of the first and of the second */
	unsigned tries;
};

/* In a process of its own; does not return. Status 0: it went well; 1: w->why;
 * 2: w->missed, it was not tried. t2: of the second victim. */
void point(struct world *w, const struct job *job, struct trace *t,
	   struct trace *t2, unsigned seconds) __attribute__((noreturn));

#endif
