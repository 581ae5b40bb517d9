/* SPDX-License-Identifier: MIT */
/* What was asked for on the command line. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "bench.h"

#define CASES_MAX 256
#define CHOICES_MAX 16

/* What was chosen; nothing of a kind: all of it. */
struct choice {
	bool workload[WORKLOADS], any_workload;
	const struct peer *peer[PEERS_MAX];
	unsigned peers;
	size_t size[CHOICES_MAX];
	unsigned sizes;
	unsigned producers, workers; /* 0: the usual ones */
	int mode;		     /* of round trips; -1: both */
	unsigned rounds, kills;	     /* 0: the usual number */
	double seconds, watchdog;
	bool quick, list;
	const char *json;    /* file to write, or NULL */
	const char *report;  /* directory to write, or NULL */
	const char *compare; /* file of an older run, or NULL */
	const char *from;    /* file of a run to take instead of one, or NULL */
};

struct cases {
	struct bench_case c[CASES_MAX];
	unsigned n;
};

/* Ends the program with status 2 and one line that says what to do. */
void options_parse(struct choice *ch, int argc, char **argv);

/* The cases that were chosen. */
void options_cases(struct cases *cases, const struct choice *ch);

#endif
